"""Starts the app and ends it."""

from __future__ import annotations

from gputop.settings import Settings
from gputop.sources.base import Source
from gputop.ui.app import GputopApp
from gputop.ui.display import leave_on_signals
from gputop.ui.processes.columns import chosen_columns, sort_column


def run_app(source: Source, settings: Settings) -> int:
    """Run the UI until the user quits; the exit code.

    Raises:
        SettingsError: a column in the settings is none.
    """
    chosen_columns(settings.columns)  # a column that is none is said before the screen is taken
    sort_column(settings.sort)
    app = GputopApp(source, settings)
    leave_on_signals(app, first=[app.stop_all])
    app.run(mouse=not settings.no_mouse)
    app.stop_all()
    return app.return_code or 0

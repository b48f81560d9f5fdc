"""Starts the app and ends it."""

from __future__ import annotations

import threading

from gputop.settings import Settings
from gputop.sources.base import Source
from gputop.ui.app import GputopApp
from gputop.ui.display import leave_on_signals


def run_app(source: Source, settings: Settings) -> int:
    """Run the UI until the user quits; the exit code."""
    app = GputopApp(source, settings)
    leave_on_signals(app, first=[app.stop_all])
    threading.excepthook = app.thread_failed
    app.run(mouse=not settings.no_mouse)
    app.stop_all()
    return app.return_code or 0

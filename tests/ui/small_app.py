"""A small app with what the process widgets ask of the real one."""

from __future__ import annotations

from typing import Any

from textual.app import App
from textual.message import Message
from textual.widget import Widget

from gputop.insight.alert_log import AlertLog
from gputop.insight.rules import Thresholds
from gputop.insight.verdict_book import VerdictBook
from gputop.model.frame import Frame, Hello
from gputop.settings import Settings
from gputop.state.process_history import ProcessHistory
from gputop.state.store import Store
from gputop.text import Units
from gputop.ui import glyphs
from gputop.ui.keys import Key
from gputop.ui.themes import DARK, Palette, textual_theme
from gputop.ui.view import View, take


def view_of(*records: Hello | Frame) -> View:
    store = Store()
    for record in records:
        store.apply(record)
    return take(store, AlertLog(Thresholds()), VerdictBook())


class SmallApp(App[Any]):
    """Holds one widget, and keeps the messages that come from it."""

    def __init__(
        self, widget: Widget | None = None, *, palette: Palette = DARK, ascii_only: bool = False,
        settings: dict[str, Any] | None = None, can_signal: str | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.palette = palette
        self.ascii = ascii_only
        self.glyphs = glyphs.ASCII if ascii_only else glyphs.UNICODE
        self.units = Units()
        self.settings = Settings(settings or {})
        self.can_signal = can_signal
        self.read_only = False
        self.paused = False
        self.store = Store()
        self.view = View()
        self.window_s = 300.0
        self.behind_s: float | None = None
        self.replay = None
        self.recorder = None
        self.source_keys = ()
        self.trouble = ""
        self.process_history = ProcessHistory()
        self.said: list[Message] = []
        self.toasts: list[str] = []
        self._widget = widget
        self.register_theme(textual_theme(palette))
        self.theme = palette.name

    def can_do(self, key: Key) -> bool:
        return True

    def compose(self) -> Any:
        if self._widget is not None:
            yield self._widget

    def notify(self, message: str, **options: Any) -> None:
        self.toasts.append(message)
        super().notify(message, **options)

    def said_of(self, kind: type) -> list[Any]:
        return [message for message in self.said if isinstance(message, kind)]

"""Every key, and what the marks mean."""

from __future__ import annotations

from textwrap import wrap
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen
from textual.strip import Strip

from gputop import __version__
from gputop.model.nvml_tables import HARMFUL, SEVERITIES
from gputop.ui.device.keys import CHART_KEYS, DEVICE_SCREEN_KEYS
from gputop.ui.keys import APP_KEYS, DEVICE_KEYS, OVERVIEW_KEYS, REPLAY_KEYS, Key, Section
from gputop.ui.processes.columns import ASCII_LEGEND, LEGEND
from gputop.ui.processes.table import TABLE_KEYS
from gputop.ui.screens.base import NewestSize
from gputop.ui.screens.process import PROCESS_KEYS
from gputop.ui.screens.warnings import WARNING_KEYS
from gputop.ui.view import CHARTS
from gputop.ui.widgets.line import Line
from gputop.ui.widgets.page import SCROLL_KEYS, Page

ALL_KEYS: tuple[Key, ...] = (
    *APP_KEYS, *DEVICE_KEYS, *OVERVIEW_KEYS, *TABLE_KEYS, *DEVICE_SCREEN_KEYS, *CHART_KEYS,
    *PROCESS_KEYS, *WARNING_KEYS, *SCROLL_KEYS, *REPLAY_KEYS,
)  # fmt: skip
"""In the order of the help."""

HANGING = 17
"""Cells before the explanations."""

SEVERITY_HELP = {
    "critical": "lost device, uncorrectable memory error, hardware slowdown: act now",
    "warning": "costs speed or will cost it: look into it",
    "notice": "worth knowing, usual in training and serving; not counted in the header",
}


class HelpPage(Page):
    """The rows of the help."""

    def rows(self, width: int) -> list[Strip]:
        """Keys by section, then marks, charts and throttle words."""
        rows = [self._row(width, [(f" gputop {__version__}", "strong"),
                                  ("   Esc closes, arrows scroll", "dim")])]  # fmt: skip
        sections: dict[Section, list[Key]] = {}
        for key in ALL_KEYS:
            sections.setdefault(key.section, []).append(key)
        for section, keys in sections.items():
            rows += self._section(width, section)
            rows += [row for key in keys for row in self._pair(width, key.shown, key.help)]
        rows += self._section(width, "Warnings")
        for severity in SEVERITIES:
            mark = f"{self.gputop.glyphs.severity(severity)} {severity}"
            rows += self._pair(width, mark, SEVERITY_HELP[severity], severity)
        rows += self._section(width, "Why clocks are low")
        for reason in HARMFUL:
            rows += self._pair(width, reason.word, f"{reason.label}: {reason.meaning}")
        rows += self._section(width, "Signs of the process table")
        for sign, meaning in ASCII_LEGEND if self.gputop.ascii else LEGEND:
            rows += self._pair(width, sign, meaning)
        rows += self._section(width, "Signs of the devices")
        rows += self._pair(width, "0*", "CUDA_VISIBLE_DEVICES gave you this device.")
        rows += self._section(width, "Charts")
        for metric in CHARTS:
            rows += self._pair(width, metric.short, metric.help)
        return rows + self._pair(
            width,
            "column",
            "A span of time aligned to the clock; utilisation "
            "is its mean, the rest its peak. A blank is time without reading.",
        )

    def _section(self, width: int, title: str) -> list[Strip]:
        return [self._row(width, [("", "text")]), self._row(width, [(f" {title}", "accent")])]

    def _pair(self, width: int, left: str, right: str, role: str = "strong") -> list[Strip]:
        lines = wrap(right, max(width - HANGING - 1, 20))
        words = [left, *[""] * (len(lines) - 1)]
        return [
            self._row(width, [(f"   {word:<{HANGING - 4}} ", role), (line, "text")])
            for word, line in zip(words, lines, strict=True)
        ]

    def _row(self, width: int, pieces: list[tuple[str, str]]) -> Strip:
        palette = self.palette
        line = Line(width)
        for words, role in pieces:
            line.add(words, palette.style(role, "surface", bold=role in {"strong", "accent"}))
        return line.strip(palette.style("text", "surface"))


class HelpScreen(NewestSize, ModalScreen[None]):
    """The help over whatever was there."""

    DEFAULT_CSS = """
    HelpScreen { align: center middle; }
    HelpScreen > HelpPage { width: 90%; max-width: 100; height: 90%; background: $surface; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,question_mark,f1", "dismiss", "close", show=False),
        Binding("q", "app.leave", "quit", show=False),
    ]

    def compose(self) -> ComposeResult:
        """The page."""
        yield HelpPage(id="help-page")

"""A row that appears only when the readings themselves are in trouble."""

from __future__ import annotations

from textual.strip import Strip

from gputop import text
from gputop.ui.widgets.base import LineWidget, blank
from gputop.ui.widgets.line import Line


class Notice(LineWidget):
    """One row, hidden while there is nothing to say."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._words = ""
        self.display = False

    def show(self, words: str) -> None:
        """Say something, or nothing."""
        words = text.clean(words)
        if words == self._words:
            return
        self._words = words
        self.display = bool(words)
        self.repaint()

    def draw(self, width: int, height: int) -> list[Strip]:
        """The row."""
        style = self.palette.style("warning", "surface", bold=True)
        glyph = self.gputop.glyphs.warning
        strip = Line(width).add(f" {glyph} {self._words}", style).strip(style)
        return [strip] + [blank(width, self.palette)] * (height - 1)

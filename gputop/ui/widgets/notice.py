"""A few rows that appear only when the readings themselves are in trouble."""

from __future__ import annotations

from textwrap import wrap

from textual.strip import Strip

from gputop import text
from gputop.ui.widgets.base import LineWidget, blank
from gputop.ui.widgets.line import Line

MOST_ROWS = 3
"""What to do stands at the end of a sentence, so it is not cut at the first row's."""
INDENT = 3


class Notice(LineWidget):
    """As many rows as the words take, none while there is nothing to say."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._lines: list[str] = []
        self.display = False

    @property
    def rows(self) -> int:
        """Rows it takes."""
        return len(self._lines)

    def show(self, words: str, width: int) -> None:
        """Say something in `width` cells, or nothing."""
        cut = self.gputop.glyphs.ellipsis
        room = max(width - INDENT - 1, 10)
        lines = wrap(text.clean(words), room, max_lines=MOST_ROWS, placeholder=cut)
        if lines == self._lines:
            return
        self._lines = lines
        self.styles.height = max(len(lines), 1)
        self.display = bool(lines)
        self.repaint()

    def draw(self, width: int, height: int) -> list[Strip]:
        """The words behind the mark of a warning."""
        style = self.palette.style("warning", "surface", bold=True)
        heads = [f" {self.gputop.glyphs.warning} ", *[" " * INDENT] * len(self._lines)]
        strips = [
            Line(width).add(f"{head}{line}", style).strip(style)
            for head, line in zip(heads, self._lines, strict=False)
        ]
        return (strips + [blank(width, self.palette)] * height)[:height]

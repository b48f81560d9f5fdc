"""Building one row of the screen, cell by cell."""

from __future__ import annotations

from collections.abc import Iterable

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from gputop.text import display_width, fit


class Line:
    """Segments with their width so far. Text is cut to the room that is left, never wrapped."""

    __slots__ = ("_segments", "room", "width")

    def __init__(self, width: int) -> None:
        self.width = width
        self.room = width
        """Cells still free."""
        self._segments: list[Segment] = []

    def add(self, text: str, style: Style) -> Line:
        """Text, cut with an ellipsis where it does not fit."""
        if self.room > 0 and text:
            wide = len(text) if text.isascii() else display_width(text)
            if wide > self.room:
                text = fit(text, self.room)
                wide = display_width(text)
            self._segments.append(Segment(text, style))
            self.room -= wide
        return self

    def extend(self, segments: Iterable[Segment], width: int) -> Line:
        """Ready segments of `width` cells in all; left out when they do not fit."""
        if width <= self.room:
            self._segments.extend(segments)
            self.room -= width
        return self

    def gap(self, cells: int, style: Style, mark: str = " ") -> Line:
        """`cells` times a mark of one cell, or what fits."""
        cells = min(cells, self.room)
        if cells > 0:
            self._segments.append(Segment(mark * cells, style))
            self.room -= cells
        return self

    def until(self, column: int, style: Style, mark: str = " ") -> Line:
        """Fill up to a column."""
        return self.gap(column - (self.width - self.room), style, mark)

    def segments(self, style: Style) -> list[Segment]:
        """The segments, filled up to the full width."""
        self.gap(self.room, style)
        return self._segments

    def strip(self, style: Style) -> Strip:
        """The finished row."""
        return Strip(self.segments(style), self.width)

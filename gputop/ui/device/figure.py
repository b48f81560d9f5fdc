"""A chart as plain data: what is to be drawn, and the cells that come of it.

Both drawers, plotext's and our own, take a `Figure` and give a `Picture` of the same geometry: the
left axis with its labels, the canvas, the right axis where there is one, and below the canvas the
time axis and its labels. So the cursor and the marks can be laid over either.
"""

from __future__ import annotations

from msgspec import Struct

Point = tuple[float, float]
"""Columns from the canvas's left edge, and the value in its metric's unit."""
Piece = tuple[str, str]
"""Text, and the role of its colour."""

AXIS = "axis"
"""The role of frame and labels."""
AXIS_ROWS = 2
"""Rows below the canvas: the time axis and its labels."""


class Axis(Struct, frozen=True):
    """The values from bottom to top, and where they are written."""

    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]

    @property
    def cells(self) -> int:
        """Cells of its labels and its line."""
        return max((len(label) for _, label in self.ticks), default=0) + 1


class Curve(Struct, frozen=True):
    """Points, each joined to the one before unless it stands in `starts`."""

    points: tuple[Point, ...]
    starts: frozenset[int]
    role: str
    mark: str = ""
    """One character, for where there is no colour or no braille; else braille dots."""
    right: bool = False
    """True when it is measured against the right axis."""


class Rule(Struct, frozen=True):
    """A horizontal line, such as a threshold."""

    value: float
    role: str


class Figure(Struct, frozen=True):
    """All there is to draw, in `width` x `height` cells."""

    width: int
    height: int
    times: tuple[tuple[float, str], ...]
    """Labels of the time axis, by column."""
    left: Axis
    right: Axis | None
    rules: tuple[Rule, ...]
    curves: tuple[Curve, ...]

    @property
    def canvas_x(self) -> int:
        """The canvas's first column."""
        return self.left.cells

    @property
    def canvas_width(self) -> int:
        """Columns of the canvas."""
        return self.width - self.left.cells - (self.right.cells if self.right else 0)

    @property
    def canvas_height(self) -> int:
        """Rows of the canvas."""
        return self.height - AXIS_ROWS


class Picture(Struct, frozen=True):
    """The cells of a figure, row by row."""

    figure: Figure
    rows: tuple[tuple[Piece, ...], ...]
    plain: bool = False
    """True when it is our own drawing in place of plotext's."""

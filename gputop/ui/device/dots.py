"""Drawing a figure ourselves, in braille: where plotext cannot be imported."""

from __future__ import annotations

from itertools import groupby

from gputop.ui.device.figure import AXIS, Axis, Curve, Figure, Picture, Piece

ACROSS, DOWN = 2, 4
"""Dots of a cell."""
_BITS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
_BLANK = "\u2800"
Cell = tuple[str, str]


class _Canvas:
    """Cells that dots and marks are put into; a cell has the colour of the last one."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self.cells: list[list[Cell]] = [[(" ", "")] * width for _ in range(height)]

    def dot(self, x: int, y: int, role: str, mark: str) -> None:
        """Put a dot, counted in dots from the top left corner; outside there is nothing."""
        column, row = x // ACROSS, y // DOWN
        if not (0 <= column < self.width and 0 <= row < self.height):
            return
        before = self.cells[row][column][0]
        if mark:
            drawn = mark
        else:
            dots = ord(before) - ord(_BLANK) if _BLANK <= before <= "\u28ff" else 0
            drawn = chr(ord(_BLANK) + (dots | _BITS[y % DOWN][x % ACROSS]))
        self.cells[row][column] = (drawn, role)


def draw(figure: Figure) -> Picture:
    """The figure's cells."""
    canvas = _Canvas(figure.canvas_width, figure.canvas_height)
    for rule in figure.rules:
        row = _row(rule.value, figure.left, canvas.height * DOWN) // DOWN
        canvas.cells[row] = [("─", rule.role)] * canvas.width
    for curve in figure.curves:
        _curve(canvas, curve, figure.right if curve.right and figure.right else figure.left)
    rows = []
    for number, cells in enumerate(canvas.cells):
        left = _side(figure.left, number, canvas.height, "┤│")
        right = _side(figure.right, number, canvas.height, "├│") if figure.right else ""
        label, line = left[:-1], left[-1]
        rows.append(((label + line, AXIS), *_pieces(cells), (right[-1:] + right[:-1], AXIS)))
    return Picture(figure, (*rows, *_below(figure)), plain=True)


def _row(value: float, axis: Axis, rows: int) -> int:
    """The row, from the top, of a value on an axis of so many rows."""
    share = (value - axis.low) / (axis.high - axis.low)
    return rows - 1 - min(max(int(share * rows), 0), rows - 1)


def _curve(canvas: _Canvas, curve: Curve, axis: Axis) -> None:
    rows = canvas.height * DOWN
    before = (0, 0)
    for number, (x, value) in enumerate(curve.points):
        here = (int(x * ACROSS), _row(value, axis, rows))
        start = here if number in curve.starts or not number else before
        steps = max(abs(here[0] - start[0]), abs(here[1] - start[1]), 1)
        for step in range(steps + 1):
            canvas.dot(
                start[0] + round((here[0] - start[0]) * step / steps),
                start[1] + round((here[1] - start[1]) * step / steps),
                curve.role, curve.mark,
            )  # fmt: skip
        before = here


def _side(axis: Axis, row: int, rows: int, lines: str) -> str:
    """The label of a row, where it has one, and the axis behind it."""
    width = axis.cells - 1
    for value, label in axis.ticks:
        if _row(value, axis, rows) == row:
            return label + lines[0]
    return " " * width + lines[1]


def _pieces(cells: list[Cell]) -> tuple[Piece, ...]:
    return tuple(
        ("".join(mark for mark, _ in run), role)
        for role, run in groupby(cells, key=lambda cell: cell[1])
    )


def _below(figure: Figure) -> tuple[tuple[Piece, ...], ...]:
    """The time axis and its labels."""
    width = figure.canvas_width
    line, words = ["─"] * width, [" "] * width
    for x, label in figure.times:
        line[int(x)] = "┬"
        start = min(max(int(x) - len(label) // 2, 0), width - len(label))
        words[start : start + len(label)] = label
    right = figure.right.cells if figure.right else 0
    corner = "┘" if figure.right else ""
    pad = " " * (figure.left.cells - 1)
    return (
        ((f"{pad}└{''.join(line)}{corner}".ljust(figure.width), AXIS),),
        ((f"{pad} {''.join(words)}{' ' * right}", AXIS),),
    )

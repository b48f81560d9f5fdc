"""What is laid over a picture: the theme's colours, throttle marks, and the cursor."""

from __future__ import annotations

from collections.abc import Mapping

from rich.segment import Segment
from textual.strip import Strip

from gputop.model.nvml_tables import EventReason
from gputop.ui.device.figure import Figure, Picture
from gputop.ui.device.look import Look

_BLANK = " \u2800"


def coloured(picture: Picture, look: Look) -> list[Strip]:
    """The picture's rows in the theme's colours."""
    plain = look.palette.style("text")
    return [
        Strip(
            [Segment(look.plain(words), look.style(role) if role else plain)
             for words, role in pieces]
        ).adjust_cell_length(picture.figure.width, plain)
        for pieces in picture.rows
    ]  # fmt: skip


def throttled(look: Look) -> dict[int, EventReason]:
    """The worst reason in each column of the time axis that has one."""
    stretch, found = look.stretch, {}
    for column in range(stretch.cells):
        start = stretch.start + column * stretch.cell_s
        if start >= stretch.until:
            break
        worst = look.device.worst(start, min(start + stretch.cell_s, stretch.until))
        if worst is not None:
            found[column] = worst[0]
    return found


def laid_over(
    strips: list[Strip], figure: Figure, look: Look, marks: Mapping[int, EventReason]
) -> list[Strip]:
    """A picture's rows with the marks on its time axis, and the cursor where there is one."""
    strips = list(strips)
    axis = figure.canvas_height
    if len(strips) != figure.height:
        return strips
    strips[axis] = _marked(strips[axis], figure, look, marks)
    column = look.stretch.column(look.cursor) if look.cursor is not None else None
    if column is not None and look.cursor is not None:
        for row in range(axis + 1):
            strips[row] = _with_cursor(strips[row], figure.canvas_x + column, look)
        strips[axis + 1] = _with_time(strips[axis + 1], figure, column, look)
    return strips


def _marked(strip: Strip, figure: Figure, look: Look, marks: Mapping[int, EventReason]) -> Strip:
    """The time axis with a severity's glyph where the device was held back."""
    parts, at = [], 0
    for column in sorted(marks):
        severity = marks[column].severity or "notice"
        glyph = Segment(look.glyphs.severity(severity), look.palette.style(severity))
        parts += [strip.crop(at, figure.canvas_x + column), Strip([glyph], 1)]
        at = figure.canvas_x + column + 1
    return Strip.join([*parts, strip.crop(at, figure.width)])


def _with_cursor(strip: Strip, x: int, look: Look) -> Strip:
    """A row with the cursor's cell: a line, or what is drawn there, standing out."""
    mark = strip.crop(x, x + 1).text
    if not mark.strip(_BLANK):
        mark = look.plain("│")
    over = Segment(mark, look.palette.style("strong", "selection", bold=True))
    return Strip.join([strip.crop(0, x), Strip([over], 1), strip.crop(x + 1, strip.cell_length)])


def _with_time(strip: Strip, figure: Figure, column: int, look: Look) -> Strip:
    """The axis's labels with the cursor's time under it."""
    words = f" {look.clock(look.here)} "
    start = figure.canvas_x + column - len(words) // 2
    start = max(min(start, figure.width - len(words)), 0)
    badge = Strip([Segment(words, look.palette.alert("accent"))], len(words))
    rest = strip.crop(start + len(words), strip.cell_length)
    return Strip.join([strip.crop(0, start), badge, rest])

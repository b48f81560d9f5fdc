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
    for column, reason in marks.items():
        severity = reason.severity or "notice"
        glyph = Segment(look.glyphs.severity(severity), look.palette.style(severity))
        strip = _with(strip, figure.canvas_x + column, glyph)
    return strip


def _with_cursor(strip: Strip, x: int, look: Look) -> Strip:
    """A row with the cursor's cell: a line, or what is drawn there, standing out."""
    mark = strip.text[x : x + 1]
    if not mark.strip(_BLANK):
        mark = look.plain("│")
    return _with(strip, x, Segment(mark, look.palette.style("strong", "selection", bold=True)))


def _with_time(strip: Strip, figure: Figure, column: int, look: Look) -> Strip:
    """The axis's labels with the cursor's time under it."""
    words = f" {look.clock(look.here)} "
    start = figure.canvas_x + column - len(words) // 2
    start = max(min(start, figure.width - len(words)), 0)
    return _with(strip, start, Segment(words, look.palette.alert("accent")))


def _with(strip: Strip, start: int, over: Segment) -> Strip:
    """A row of a picture with other words from a cell on. Every character of a picture takes one
    cell, so there is no need to measure any: this is done for each row at each key.
    """
    end, at = start + len(over.text), 0
    segments: list[Segment] = []
    for segment in strip:
        before, words = at, segment.text
        at += len(words)
        if before < start:
            segments.append(
                segment if at <= start else Segment(words[: start - before], segment.style)
            )
        if before <= start < at:
            segments.append(over)
        if at > end:
            rest = segment if before >= end else Segment(words[end - before :], segment.style)
            segments.append(rest)
    return Strip(segments, strip.cell_length)

"""Charts out of block elements: a column is a span of time, a row eight levels of height."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

from rich.segment import Segment
from rich.style import Style

from gputop.model.metrics import Aggregate
from gputop.state.history import Span
from gputop.text import ASCII_BLOCKS as ASCII
from gputop.text import BLOCKS
from gputop.ui.themes import Palette, Ramp

STEPS = 8
AT: dict[Aggregate, int] = {"low": 0, "mean": 1, "peak": 2, "last": 2}
"""Which number of a span stands for it."""
LINE_STEPS = 7
"""A chart of one row leaves its topmost eighth free, or charts in rows would grow together."""

LEVEL_EDGES: dict[str, tuple[float, float, float]] = {
    "temperature_c": (0.6, 0.8, 0.93),
    "": (0.25, 0.5, 0.75),
}
"""Shares of a full chart from which the next colour level begins, by metric."""


def level_of(metric: str, ratio: float) -> int:
    """The colour level, 0 to 3, of a value that fills its chart by `ratio`."""
    edges = LEVEL_EDGES.get(metric) or LEVEL_EDGES[""]
    return sum(ratio >= edge for edge in edges)


class Shape(NamedTuple):
    """A chart of one colour ramp as it is drawn: equal shapes look the same."""

    metric: str
    """Whose ramp and levels it is drawn in."""
    rows: int
    bodies: tuple[int, ...]
    """Height of each column in eighths of a row, of sevenths in a chart of one row; 0 a gap."""
    shades: tuple[int, ...]
    """The peak behind it in a taller chart; in a chart of one row its colour level, -1 none."""


def sparkline(
    columns: Sequence[Span | None],
    full: float,
    metric: str,
    aggregate: Aggregate,
    palette: Palette,
    ascii_only: bool = False,
    *,
    faint: bool = False,
) -> list[Segment]:
    """One row, a cell a column. A gap is a blank; a zero is a line on the floor."""
    shape = shape_of(columns, full, metric, aggregate, 1)
    return paint(shape, palette, ascii_only, faint=faint)[0]


def area(
    columns: Sequence[Span | None],
    full: float,
    metric: str,
    aggregate: Aggregate,
    height: int,
    palette: Palette,
    ascii_only: bool = False,
) -> list[list[Segment]]:
    """`height` rows, top first. Where a metric is drawn by its mean, its peak shows behind it.

    A row has one colour, brighter towards the top, so that height reads as colour too.
    """
    return paint(shape_of(columns, full, metric, aggregate, height), palette, ascii_only)


def shape_of(
    columns: Sequence[Span | None], full: float, metric: str, aggregate: Aggregate, rows: int
) -> Shape:
    """The chart of `columns` in `rows` rows, `full` being its whole height."""
    bodies, shades = _kept_steps(tuple(columns[:-1]), full, metric, aggregate, rows)
    body, shade = _steps(columns[-1:], full, metric, aggregate, rows)
    return Shape(metric, rows, bodies + body, shades + shade)


def _steps(
    columns: Sequence[Span | None], full: float, metric: str, aggregate: Aggregate, rows: int
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The bodies and the shades of a `Shape`."""
    if rows == 1:
        cells = [_cell(span, full, metric, aggregate) for span in columns]
        return tuple(cell[0] for cell in cells), tuple(cell[1] for cell in cells)
    steps = rows * STEPS
    bodies = _heights(columns, AT[aggregate], full, steps)
    if aggregate != "mean":
        return bodies, (0,) * len(bodies)
    return bodies, _heights(columns, AT["peak"], full, steps)


_kept_steps = lru_cache(maxsize=128)(_steps)
"""For what is past, which is the same from one tick to the next."""


def paint(
    shape: Shape, palette: Palette, ascii_only: bool = False, *, faint: bool = False
) -> list[list[Segment]]:
    """The rows of a chart, top first; `faint` where it is old."""
    ramp = palette.ramp(shape.metric)
    if shape.rows == 1:
        return [_paint_line(shape, ramp, palette, ascii_only, faint)]
    shade = palette.style("shade")
    rows = []
    for row in range(shape.rows - 1, -1, -1):
        colour = ramp[level_of(shape.metric, (row + 0.5) / shape.rows)]
        body = shade if faint else palette.colour(colour)
        rows.append(_row(shape, row * STEPS, body, shade, ascii_only))
    return rows


def _paint_line(
    shape: Shape, ramp: Ramp, palette: Palette, ascii_only: bool, faint: bool
) -> list[Segment]:
    marks = ASCII if ascii_only else BLOCKS
    segments = []
    for level, run in groupby(zip(shape.bodies, shape.shades, strict=True), key=itemgetter(1)):
        plain = level < 0 or faint
        style = palette.style("faint") if plain else palette.colour(ramp[level])
        segments.append(Segment("".join(marks[height] for height, _ in run), style))
    return segments


def _cell(span: Span | None, full: float, metric: str, aggregate: Aggregate) -> tuple[int, int]:
    """Height (0 a gap, 1 to 7) and colour level (-1 for nothing to speak of) of a column."""
    if span is None:
        return 0, -1
    ratio = span.by(aggregate) / full
    if ratio <= 0:
        return 1, -1
    step = min(max(round(ratio * LINE_STEPS), 1), LINE_STEPS)
    return step, level_of(metric, ratio)


def _heights(columns: Sequence[Span | None], at: int, full: float, steps: int) -> tuple[int, ...]:
    """The columns' heights in eighths of a row, at least 1 for anything read and 0 for a gap."""
    return tuple(
        [
            min(max(round(span[at] / full * steps), 1), steps) if span is not None else 0
            for span in columns
        ]
    )


def _row(shape: Shape, floor: int, body: Style, shade: Style, ascii_only: bool) -> list[Segment]:
    """One row of a chart: what is past is kept, the newest column is put behind it."""
    bodies, shades = shape.bodies, shape.shades
    segments = list(_past(bodies[:-1], shades[:-1], floor, body, shade, ascii_only))
    if bodies:
        mark, is_body = _mark(bodies[-1] - floor, shades[-1] - floor, ascii_only)
        style = body if is_body else shade
        if segments and segments[-1].style is style:
            mark = segments.pop().text + mark
        segments.append(Segment(mark, style))
    return segments


@lru_cache(maxsize=128)
def _past(
    bodies: tuple[int, ...],
    shades: tuple[int, ...],
    floor: int,
    body: Style,
    shade: Style,
    ascii_only: bool,
) -> tuple[Segment, ...]:
    cells = [
        _mark(solid - floor, ghost - floor, ascii_only)
        for solid, ghost in zip(bodies, shades, strict=True)
    ]
    return tuple(
        Segment("".join(mark for mark, _ in run), body if is_body else shade)
        for is_body, run in groupby(cells, key=_is_body)
    )


_is_body = itemgetter(1)


def _mark(solid: int, ghost: int, ascii_only: bool) -> tuple[str, bool]:
    """The mark of a cell whose column rises so many eighths above its floor, and whether it is
    the column itself or the peak behind it.
    """
    marks = ASCII if ascii_only else BLOCKS
    filled = min(max(solid, 0), STEPS)
    if filled:
        return marks[filled], True
    return marks[min(max(ghost, 0), STEPS)], False


def strip_of_cores(
    cores: Sequence[float], width: int, palette: Palette, ascii_only: bool = False
) -> list[Segment]:
    """Utilisation per core, a cell a core; with less room a cell is the busiest of its group."""
    if len(cores) > width:
        per_cell = -(-len(cores) // width)
        groups = [cores[i : i + per_cell] for i in range(0, len(cores), per_cell)]
        cores = [max(group) for group in groups]
    spans = [Span(core, core, core) for core in cores]
    return sparkline(spans, 1.0, "cpu_utilization", "mean", palette, ascii_only)


def time_axis(width_s: int, count: int, palette: Palette) -> list[Segment]:
    """Labels under a chart: how long ago, from the oldest column to now."""
    return [Segment(_time_labels(width_s, count), palette.style("dim"))]


@lru_cache(maxsize=64)
def _time_labels(width_s: int, count: int) -> str:
    total = width_s * count
    text = [" "] * count
    for share in (0.0, 0.25, 0.5, 0.75):
        label = f"-{_short_time(round(total * (1 - share)))}"
        start = round(count * share)
        if start + len(label) + 1 < count and (share in (0.0, 0.5) or count >= 60):
            text[start : start + len(label)] = label
    if count >= 16:
        text[-3:] = "now"
    return "".join(text)


def _short_time(seconds: int) -> str:
    if seconds < 60:
        return f"{seconds}s"
    if seconds < 3600:
        minutes, rest = divmod(seconds, 60)
        return f"{minutes}m{rest:02d}" if rest else f"{minutes}m"
    hours, rest = divmod(seconds // 60, 60)
    return f"{hours}h{rest:02d}" if rest else f"{hours}h"

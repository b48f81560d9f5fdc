"""One device as a row, or as a cell beside others, where panes do not fit."""

from __future__ import annotations

from rich.segment import Segment
from rich.style import Style

from gputop import text
from gputop.model.metrics import Metric
from gputop.state.history import Span
from gputop.state.windows import Window
from gputop.ui.charts.blocks import sparkline
from gputop.ui.view import CHARTS, DeviceView
from gputop.ui.widgets.line import Line
from gputop.ui.widgets.panes import (
    Pen,
    device_name,
    index_text,
    instances_text,
    state_text,
    value_style,
    value_text,
)

VALUE_WIDTHS = {"gpu_utilization": 5, "memory_used_bytes": 8, "power_w": 6, "temperature_c": 5}
FIXED = 4 + sum(VALUE_WIDTHS.values()) + len(VALUE_WIDTHS)
"""Cells of a row that hold neither name, chart nor warning."""
WARNING_WIDTH = 9
CELL_WIDTHS = {"gpu_utilization": 4, "memory_used_bytes": 6, "temperature_c": 3}


def row_charts(width: int) -> tuple[int, tuple[Metric, ...]]:
    """Cells of each chart in a row, and which metrics have one."""
    spare = width - FIXED - name_width(width) - WARNING_WIDTH - 1
    charted = CHARTS if spare >= 60 else CHARTS[:2] if spare >= 16 else CHARTS[:1]
    return max(spare // len(charted) - 1, 0), charted


def name_width(width: int) -> int:
    """Cells of the name."""
    return 9 if width < 80 else 14 if width < 120 else 18


def row(
    device: DeviceView, pen: Pen, window: Window | None, width: int, focused: bool
) -> list[Segment]:
    """A device in one line."""
    palette = pen.palette
    ground = "selection" if focused else "background"
    cells, charted = row_charts(width)
    line = Line(width)
    _start(line, device, pen, focused, name_width(width), ground)
    if device.reading.status not in {"ok", "timed_out"}:
        return _silent(line, device, pen, ground)
    shown = CHARTS
    if device.instances and device.number("gpu_utilization") is None:
        shown = CHARTS[2:]  # a MIG parent has neither utilisation nor memory: its instances do
        room = sum(VALUE_WIDTHS[m.name] + 1 + (cells + 1 if m in charted else 0)
                   for m in CHARTS[:2])  # fmt: skip
        said = text.fit(" " + instances_text(device, pen), room)
        line.add(said, palette.style("dim")).gap(room - text.display_width(said),
                                                 palette.style("text"))  # fmt: skip
    age = _silent_for(device, pen, cells)
    for metric in shown:
        _value(line, device, metric, pen, VALUE_WIDTHS[metric.name], ground)
        if age and metric in charted:
            line.add(f" {age:>{cells}}", palette.style(device.severity or "dim"))
            age = ""
        elif metric in charted and window is not None and cells > 0:
            columns = pen.book.columns(device, metric, window)
            full = device.full(metric) or _highest(columns)
            chart = sparkline(columns, full, metric.name, metric.aggregate, palette, pen.ascii,
                              faint=not device.ok)  # fmt: skip
            line.add(" ", palette.style("text"))
            line.extend(chart, cells)
    word, severity = short_alert(device, pen)
    line.add(" ", palette.style("text"))
    if word:
        line.add(text.fit(word, WARNING_WIDTH), palette.style(severity, bold=True))
    return line.segments(palette.style("text"))


def _silent_for(device: DeviceView, pen: Pen, cells: int) -> str:
    """How long a device has not answered, whose old values stand in its row; in the place of the
    first chart. Empty for one that answers.
    """
    reading = device.reading
    if reading.status != "timed_out" or reading.since_s is None:
        return ""
    seconds = pen.now - reading.since_s
    words = text.duration(seconds)
    return words if len(words) <= cells else text.fit(f"{seconds // 60:.0f} m", cells)


def _highest(columns: list[Span | None]) -> float:
    return max((span.high for span in columns if span), default=1.0) or 1.0


def _start(
    line: Line, device: DeviceView, pen: Pen, focused: bool, width: int, ground: str
) -> None:
    palette = pen.palette
    mark = pen.glyphs.cursor if focused else " "
    line.add(mark, palette.style("accent", ground, bold=True))
    line.add(f"{index_text(device):>2} ", palette.style("strong", ground, bold=True))
    name = text.fit_words(device_name(device), width)
    line.add(name, palette.style("text", ground))
    line.gap(width - text.display_width(name), palette.style("text", ground))


def _value(
    line: Line, device: DeviceView, metric: Metric, pen: Pen, width: int, ground: str
) -> None:
    words = value_text(device, metric, pen, tight=True)
    style = value_style(device, metric, pen.palette)
    line.add(f" {words:>{width}}", style)


def _silent(line: Line, device: DeviceView, pen: Pen, ground: str) -> list[Segment]:
    """A device that does not answer: what, for how long, and what to do about it."""
    if device.reading.status == "pending":  # which is no fault: those it had before stand beside
        line.add(f" {state_text(device, pen)}", pen.palette.style("dim", bold=True))
        word, severity = short_alert(device, pen)
        line.add(f" {word}" if word else "", pen.palette.style(severity, bold=True))
    else:
        role = device.severity or "dim"
        glyph = pen.glyphs.severity(device.severity) + " " if device.severity else ""
        line.add(f" {glyph}{state_text(device, pen)}", pen.palette.style(role, bold=True))
    if device.reading.detail:
        line.add(f" {pen.glyphs.dot} {text.clean(device.reading.detail)}", pen.palette.style("dim"))
    return line.segments(pen.palette.style("text"))


def short_alert(device: DeviceView, pen: Pen) -> tuple[str, str]:
    """The worst warning as glyph and word, and its role."""
    if device.stale_s is not None:
        return f"{text.duration(device.stale_s)} old", "warning"
    if not device.alerts:
        return "", "dim"
    worst = device.alerts[0]
    return f"{pen.glyphs.severity(worst.severity)} {worst.word}", worst.severity


def cell(device: DeviceView, pen: Pen, width: int, focused: bool) -> list[Segment]:
    """A device in `width` cells, beside others."""
    palette = pen.palette
    ground = "selection" if focused else "background"
    plain: Style = palette.style("text", ground)
    line = Line(width)
    if device.reading.status != "ok":
        word, severity = short_alert(device, pen)
        words = word or state_text(device, pen)
        # The name gives way: an age that is cut off could be any.
        room = min(9, width - 6 - text.display_width(words))
        _start(line, device, pen, focused, max(room, 1), ground)
        line.add(f" {words}", palette.style(severity, ground, bold=True))
        return line.segments(plain)
    word, severity = short_alert(device, pen)
    shown = (CHARTS[0], CHARTS[1], CHARTS[3])
    taken = sum(CELL_WIDTHS[metric.name] + 1 for metric in shown) + 2
    _start(line, device, pen, focused, max(width - 4 - taken, 4), ground)
    for metric in shown:
        value = value_text(device, metric, pen, tight=True)
        if metric is CHARTS[1] and device.instances:
            value = f"MIG x{len(device.instances)}"
        style = value_style(device, metric, palette)
        line.add(f" {value:>{CELL_WIDTHS[metric.name]}}", style)
    line.add(f" {word[:1]}", palette.style(severity, ground, bold=True))
    return line.segments(plain)

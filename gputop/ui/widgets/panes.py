"""One device as a pane: its border says who and how it is, inside are four charts."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct
from rich.segment import Segment
from rich.style import Style

from gputop import text
from gputop.model.metrics import BY_NAME, Metric
from gputop.state.history import Span
from gputop.state.throttle import Share
from gputop.state.windows import Columns, Window
from gputop.ui.charts.blocks import Shape, level_of, paint, shape_of, time_axis
from gputop.ui.glyphs import Glyphs
from gputop.ui.themes import Palette
from gputop.ui.view import CHARTS, DeviceView, View
from gputop.ui.widgets.line import Line

if TYPE_CHECKING:
    from gputop.ui.app import GputopApp

LABEL_WIDTH = 6
VALUE_WIDTH = 13
ALARMING = frozenset({"temperature_c"})
"""Metrics whose highest level is a reason to look."""
TOP_LEVEL = 3
FULL_MINUTE_S = 55
"""Seconds read from which a share is said to be of the last minute."""
EDGES = 4
"""Border and blank on both sides."""


class Pen(Struct, frozen=True):
    """What drawing needs to know, whatever is drawn."""

    palette: Palette
    glyphs: Glyphs
    units: text.Units
    ascii: bool
    now: float
    released: bool
    """True while the driver is let go of."""
    book: ChartBook


class RowPicture(NamedTuple):
    """All that a row of a pane is drawn from: equal ones look the same."""

    label: str
    words: str
    """The value, or a detail below it."""
    words_style: Style
    chart: list[Segment]
    room: int
    """Cells of the chart."""
    edge: Style
    width: int
    plain: Style


Rows = list[list[Segment]]


class ChartBook:
    """The charts of a widget, kept from one picture to the next."""

    def __init__(self) -> None:
        self._columns: dict[tuple[str, str], Columns] = {}
        self._painted: dict[tuple[str, str], tuple[Shape, Palette, bool, Rows]] = {}
        self._drawn: dict[tuple[str, str, int], tuple[RowPicture, list[Segment]]] = {}

    def columns(self, device: DeviceView, metric: Metric, window: Window) -> list[Span | None]:
        """The columns of a device's chart."""
        kept = self._columns.setdefault((device.info.uuid, metric.name), Columns())
        return kept.get(device.history, metric.name, window)

    def chart(self, device: DeviceView, shape: Shape, pen: Pen) -> Rows:
        """The rows of a device's chart: those of the last time where it looks the same."""
        key, faint = (device.info.uuid, shape.metric), not device.ok
        kept = self._painted.get(key)
        if kept is None or kept[:3] != (shape, pen.palette, faint):
            rows = paint(shape, pen.palette, pen.ascii, faint=faint)
            kept = self._painted[key] = (shape, pen.palette, faint, rows)
        return kept[3]

    def row(self, key: tuple[str, str, int], picture: RowPicture, pen: Pen) -> list[Segment]:
        """The row of a device's metric: that of the last time where nothing on it has changed."""
        kept = self._drawn.get(key)
        if kept is None or kept[0] != picture:
            kept = self._drawn[key] = (picture, _draw_row(picture, pen))
        return kept[1]

    def pen(self, app: GputopApp, view: View) -> Pen:
        """The pen to draw a view with."""
        released = view.driver.status == "released"
        return Pen(app.palette, app.glyphs, app.units, app.ascii, view.now, released, self)


def chart_width(pane_width: int) -> int:
    """Cells a chart has in a pane."""
    return pane_width - EDGES - LABEL_WIDTH - VALUE_WIDTH - 1


def pane(
    device: DeviceView, pen: Pen, window: Window, width: int, chart_rows: int, focused: bool
) -> list[list[Segment]]:
    """The rows of a pane `width` cells wide."""
    edge = border_style(device, pen.palette, focused)
    rows = [_top(device, pen, width, edge, focused)]
    for metric in CHARTS:
        rows += _metric_rows(device, metric, pen, window, width, chart_rows, edge)
    if chart_rows > 1:
        rows.append(_axis_row(pen, window, width, edge))
    rows.append(_bottom(device, pen, width, edge))
    return rows


def border_style(device: DeviceView, palette: Palette, focused: bool) -> Style:
    """A border says how the device is; the cursor's is in the accent colour."""
    if device.severity in {"critical", "warning"}:
        return palette.style(str(device.severity), bold=focused)
    return palette.style("accent", bold=True) if focused else palette.style("border")


def _top(device: DeviceView, pen: Pen, width: int, edge: Style, focused: bool) -> list[Segment]:
    palette, glyphs = pen.palette, pen.glyphs
    right = state_text(device, pen)
    right_style = palette.style("dim" if device.ok else (device.severity or "dim"))
    name_room = width - text.display_width(right) - 12
    line = Line(width)
    line.add(glyphs.corners[0] + (glyphs.cursor if focused else glyphs.dash) + " ", edge)
    index = palette.alert("accent") if focused else palette.style("strong", bold=True)
    line.add(index_text(device), index)
    line.add(f" {glyphs.dot} ", palette.style("dim"))
    line.add(text.fit_words(device_name(device), max(name_room, 4)), palette.style("text"))
    line.add(" ", edge)
    line.until(width - text.display_width(right) - 4, edge, glyphs.dash)
    line.add(f" {right} ", right_style)
    line.until(width - 1, edge, glyphs.dash)
    return line.add(glyphs.corners[1], edge).segments(edge)


def index_text(device: DeviceView) -> str:
    """The device's index, with a mark where it is the user's own."""
    index = "?" if device.info.index is None else str(device.info.index)
    return f"{index}*" if device.info.mine else index


def device_name(device: DeviceView) -> str:
    """The name without the maker, safe to show."""
    return text.clean(text.short_name(device.info.name))


UNREAD: dict[str, str] = {
    "pending": "not read", "lost": "lost", "timed_out": "no answer", "error": "error",
}  # fmt: skip
"""What stands for a device without a reading, by its status."""


def state_text(device: DeviceView, pen: Pen) -> str:
    """Clock and P-state; or what is wrong with the readings, and for how long."""
    reading = device.reading
    if reading.status != "ok":
        released = pen.released and reading.status == "pending"
        words = "released" if released else UNREAD[reading.status]
        if reading.since_s is not None:
            return f"{words} for {text.duration(pen.now - reading.since_s)}"
        return words if released or reading.status != "pending" else "reading" + pen.glyphs.ellipsis
    if device.stale_s is not None:
        return f"{text.duration(device.stale_s)} old"
    parts = []
    if device.number("sm_clock_mhz") is not None:
        parts.append(text.mhz(device.number("sm_clock_mhz")))
    if device.number("performance_state") is not None:
        parts.append(f"P{device.number('performance_state'):.0f}")
    return f" {pen.glyphs.dot} ".join(parts) or text.NO_VALUE


def _metric_rows(
    device: DeviceView, metric: Metric, pen: Pen, window: Window, width: int, chart_rows: int,
    edge: Style,
) -> Rows:  # fmt: skip
    palette = pen.palette
    full = device.full(metric)
    columns = pen.book.columns(device, metric, window)
    if full is None:
        full = max((span.high for span in columns if span), default=1.0) or 1.0
    value = device.value(metric.name)
    shape = shape_of(columns, full, metric.name, metric.aggregate, chart_rows)
    charts = pen.book.chart(device, shape, pen)
    if value.value is None and not any(columns):
        style = palette.style("dim" if device.instances else "faint")
        why = Line(window.count).add(_why_empty(device, metric, pen), style).segments(style)
        charts = [why, *charts[1:]]
    dim, plain = palette.style("dim"), palette.style("text")
    left = [(f"{metric.short:<{LABEL_WIDTH}}", value_text(device, metric, pen),
             value_style(device, metric, palette))]  # fmt: skip
    if chart_rows > 1:
        left += [("", " " + text.fit(detail, LABEL_WIDTH + VALUE_WIDTH - 2), dim)
                 for detail in _details(device, metric, pen)]  # fmt: skip
    rows = []
    for number, chart in enumerate(charts):
        label, words, style = left[number] if number < len(left) else ("", "", dim)
        picture = RowPicture(label, words, style, chart, window.count, edge, width, plain)
        rows.append(pen.book.row((device.info.uuid, metric.name, number), picture, pen))
    return rows


def _draw_row(picture: RowPicture, pen: Pen) -> list[Segment]:
    """A row of a pane with its borders."""
    edge, plain = picture.edge, picture.plain
    line = Line(picture.width)
    line.add(pen.glyphs.bar + " ", edge)
    line.add(picture.label, pen.palette.style("dim")).add(picture.words, picture.words_style)
    line.until(picture.width - picture.room - 2, plain)
    line.extend(picture.chart, picture.room)
    return line.add(" " + pen.glyphs.bar, edge).segments(edge)


def _why_empty(device: DeviceView, metric: Metric, pen: Pen) -> str:
    """The reason why there is nothing to draw, or what the instances hold."""
    if device.instances and metric.name == "memory_used_bytes":
        return instances_text(device, pen)
    return text.why(device.value(metric.name).reason or "")


def instances_text(device: DeviceView, pen: Pen) -> str:
    """What each MIG instance of a device holds, in short."""
    return f" {pen.glyphs.dot} ".join(_instance_text(i, pen) for i in device.instances)


def _instance_text(instance: DeviceView, pen: Pen) -> str:
    used, total = instance.value("memory_used_bytes"), instance.value("memory_total_bytes")
    name = text.clean(instance.info.mig_profile or "MIG").partition(".")[0]
    return f"{name} {text.bytes_pair(used.value, total.value, pen.units, True)}"


def value_text(device: DeviceView, metric: Metric, pen: Pen, tight: bool = False) -> str:
    """A metric with what it is measured against, as short as the room asks for."""
    value = device.value(metric.name).value
    if value is None:
        return text.NO_VALUE
    limit = device.value(metric.full).value if isinstance(metric.full, str) else None
    if metric.name == "memory_used_bytes":
        pair = text.bytes_pair(value, limit, pen.units, tight)
        return pair if len(pair) <= VALUE_WIDTH else text.bytes_pair(value, limit, pen.units, True)
    if metric.name == "power_w":
        return text.watts(value, True) if tight else text.watts_pair(value, limit)
    if metric.name == "temperature_c":
        if tight:
            return text.celsius(value, pen.units, True)
        return text.celsius_pair(value, limit, pen.units)
    return text.value(metric, value, pen.units, tight)


def value_style(device: DeviceView, metric: Metric, palette: Palette) -> Style:
    """A number's colour: grey when it is old or missing, the chart's where its height alarms."""
    value, full = device.value(metric.name), device.full(metric)
    if value.value is None or value.reason is not None or not device.ok:
        return palette.style("faint")
    if metric.name in ALARMING and full and level_of(metric.name, value.value / full) == TOP_LEVEL:
        return palette.colour(palette.ramp(metric.name)[TOP_LEVEL])
    return palette.style("text")


def _details(device: DeviceView, metric: Metric, pen: Pen) -> list[str]:
    """What else is worth a line beside a tall chart."""
    pairs: dict[str, tuple[tuple[str, str], ...]] = {
        "gpu_utilization": (("sm", "sm_activity"), ("tensor", "tensor_activity"),
                            ("dram", "dram_activity")),
        "memory_used_bytes": (("controller", "memory_utilization"),),
        "power_w": (("instant", "power_instant_w"),),
        "temperature_c": (("memory", "memory_temperature_c"), ("fan", "fan_speed")),
    }  # fmt: skip
    found = []
    for word, name in pairs[metric.name]:
        if device.number(name) is not None:
            found.append(f"{word} {text.value(BY_NAME[name], device.number(name), pen.units)}")
    return found


def _axis_row(pen: Pen, window: Window, width: int, edge: Style) -> list[Segment]:
    line = Line(width)
    line.add(pen.glyphs.bar + " ", edge)
    line.until(width - window.count - 2, pen.palette.style("text"))
    line.extend(time_axis(window.width, window.count, pen.palette), window.count)
    return line.add(" " + pen.glyphs.bar, edge).segments(edge)


def _bottom(device: DeviceView, pen: Pen, width: int, edge: Style) -> list[Segment]:
    palette, glyphs = pen.palette, pen.glyphs
    people = _people(device)
    line = Line(width)
    line.add(glyphs.corners[2] + glyphs.dash, edge)
    start = width - text.display_width(people) - 4
    warning, severity = alert_text(device, pen, width - 6)
    if not warning:
        warning, severity = verdict_text(device, width - 6, start - 5), "dim"
    if warning:
        line.add(f" {warning} ", palette.style(severity, bold=severity == "critical"))
    if warning and device.alerts and device.verdict is not None:
        # A warning may stand for days: what limits the device stands behind it where both fit.
        title = f"{glyphs.dot} {device.verdict.title} "
        if text.display_width(title) < start - (width - line.room) - 1:
            line.add(title, palette.style("dim"))
    if people and start > width - line.room + 1:
        line.until(start, edge, glyphs.dash)
        line.add(f" {people} ", palette.style("dim"))
    line.until(width - 1, edge, glyphs.dash)
    return line.add(glyphs.corners[3], edge).segments(edge)


def _people(device: DeviceView) -> str:
    if device.instances:
        count = len(device.instances)
        return f"{count} MIG instance{'s' * (count != 1)}"
    if not device.processes:
        return ""
    users = text.clean(", ".join(device.users[:3])) + (", …" if len(device.users) > 3 else "")
    count = device.processes
    return f"{users} ({count})" if users else f"{count} process{'es' * (count != 1)}"


def alert_text(device: DeviceView, pen: Pen, room: int) -> tuple[str, str]:
    """The worst warnings in `room` cells, and the role they are drawn in."""
    if not device.alerts:
        return _past_throttle(device, pen, room)
    severity = device.alerts[0].severity
    if device.reading.status not in {"ok", "pending"} and device.reading.detail:
        # Nothing else on the pane matters now: what happened, and what to do.
        glyph = pen.glyphs.severity(severity)
        worst = device.alerts[0]
        detail = text.clean(worst.detail or device.reading.detail)
        said = f"{worst.title} {pen.glyphs.dot} {detail}"
        return text.fit(f"{glyph} {said}", room), severity
    pieces = [_alert_piece(device, alert.title, alert.rule, alert.detail, room)
              for alert in device.alerts]  # fmt: skip
    glyph = pen.glyphs.severity(severity)
    shown = [pieces[0]]
    for piece in pieces[1:]:
        more = f" +{len(pieces) - len(shown)}"
        joined = f" {pen.glyphs.dot} ".join([*shown, piece])
        if text.display_width(f"{glyph} {joined}{more}") > room:
            break
        shown.append(piece)
    rest = len(pieces) - len(shown)
    line = f"{glyph} " + f" {pen.glyphs.dot} ".join(shown) + (f" +{rest}" if rest else "")
    return text.fit(line, room), severity


def _alert_piece(device: DeviceView, title: str, rule: str, detail: str, room: int) -> str:
    for share in device.shares:
        if rule == f"reason:{share.reason.key}":
            span = _window_text(share, room)
            return f"{title} {text.percent(share.share)} {span}"
    if rule in {"link", "hot"} and detail and room > 30:
        return f"{title}: {detail}" if room > 60 else detail
    return title


def _window_text(share: Share, room: int) -> str:
    """What a share is of: a minute, or as much of it as was read."""
    if share.covered_s < FULL_MINUTE_S:
        return f"of {share.covered_s} s"
    return "of the last minute" if room > 44 else "of 1 min"


def _past_throttle(device: DeviceView, pen: Pen, room: int) -> tuple[str, str]:
    """Nothing now, but something in the last minute: that cost time too."""
    for share in device.shares:
        if share.share >= 0.01:
            span = _window_text(share, room)
            line = f"was held back: {share.reason.label} {text.percent(share.share)} {span}"
            return text.fit(line, room), "dim"
    return "", "dim"


def verdict_text(device: DeviceView, room: int, beside: int) -> str:
    """What limits the device, in `room` cells; in `beside` cells the users fit too, and then how
    the verdict is known gives way to them.
    """
    verdict = device.verdict
    if verdict is None:
        return ""
    forms = (f"{verdict.title} ({verdict.basis})", verdict.title)
    wide = [(form, text.display_width(form)) for form in forms]
    fitting = [f for f, w in wide if w <= beside] or [f for f, w in wide if w <= room]
    return fitting[0] if fitting else text.fit(verdict.title, room)

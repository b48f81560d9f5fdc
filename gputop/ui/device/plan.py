"""What a chart is about: the lines of one device, of all devices, or of two metrics."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean, median

from msgspec import Struct

from gputop import text
from gputop.model.metrics import Metric
from gputop.state.history import Span
from gputop.state.windows import Columns
from gputop.ui.device.axes import time_ticks, value_axis
from gputop.ui.device.charts import Chart, Trace
from gputop.ui.device.figure import AXIS_ROWS, Axis, Curve, Figure, Point, Rule
from gputop.ui.device.timeline import Stretch
from gputop.ui.view import DeviceView, View

SPACING_S = {"fast": 1.0, "medium": 2.0, "slow": 30.0, "once": 0.0}
"""How far apart a tier's readings usually are, in seconds."""
PATIENCE = 2.5
"""Readings so many times their spacing apart are not joined: a gap is a gap."""
APART = 0.2
"""A device whose mean differs from its peers' median by this share of the scale stands apart."""
MOST_APART = 3
"""Devices that are coloured as apart, the furthest first: more would be a crowd again."""
SPREAD_FROM_S = 5
"""From this many seconds a bucket's lowest and highest reading are drawn too."""
MARKS = "*o+x#%&@"
HEADROOM = 1.05


class Book:
    """The buckets of every line, kept from one picture to the next."""

    def __init__(self) -> None:
        self._columns: dict[tuple[str, str], Columns] = {}

    def trail(self, device: DeviceView, metric: Metric, stretch: Stretch, period: float) -> Trail:
        """One metric of one device over a stretch of time."""
        columns = self._columns.setdefault((device.info.uuid, metric.name), Columns())
        window = stretch.window
        spans = columns.get(device.history, metric.name, window)
        series = device.history.series(metric.name)
        return Trail(
            metric, stretch, window.numbers.start, spans,
            PATIENCE * max(SPACING_S[metric.tier], period, stretch.bucket_s / PATIENCE),
            series.revision if series else 0,
        )  # fmt: skip


class Trail(Struct, frozen=True):
    """What was read of one metric in each bucket of a stretch."""

    metric: Metric
    stretch: Stretch
    first: int
    """Number of the first bucket."""
    spans: Sequence[Span | None]
    reach_s: float
    """How long a reading speaks for the time after it."""
    revision: int = 0

    def at(self, moment: float) -> Span | None:
        """What was read at a moment, or last before it if that still holds."""
        bucket = self.stretch.bucket_s
        here = int(moment // bucket) - self.first
        for back in range(int(self.reach_s // bucket) + 1):
            if 0 <= here - back < len(self.spans):
                span = self.spans[here - back]
                if span is not None:
                    return span
        return None

    @property
    def mean(self) -> float | None:
        """The mean over the stretch, None where nothing was read."""
        means = [span.mean for span in self.spans if span is not None]
        return fmean(means) if means else None

    def moments(self) -> list[tuple[float, Span]]:
        """The buckets that hold a reading, by the middle of their time."""
        bucket, until = self.stretch.bucket_s, self.stretch.window.end
        return [
            (min((self.first + n + 0.5) * bucket, until), span)
            for n, span in enumerate(self.spans)
            if span is not None
        ]

    def curve(self, role: str, mark: str, right: bool) -> Curve:
        """The line through its readings."""
        points: list[Point] = []
        starts, before = [], float("-inf")
        for moment, span in self.moments():
            if moment < self.stretch.start:
                continue
            if moment - before > self.reach_s:
                starts.append(len(points))
            points.append((self.stretch.x(moment), span.by(self.metric.aggregate)))
            before = moment
        return Curve(tuple(points), frozenset(starts), role, mark, right)

    def spread(self, role: str, right: bool) -> Curve | None:
        """From the lowest to the highest reading of each bucket, where it has many."""
        if self.stretch.bucket_s < SPREAD_FROM_S:
            return None
        points: list[Point] = []
        for moment, span in self.moments():
            if moment >= self.stretch.start and span.high > span.low:
                x = self.stretch.x(moment)
                points += [(x, span.low), (x, span.high)]
        return Curve(tuple(points), frozenset(range(0, len(points), 2)), role, "", right)


class Line(Struct, frozen=True):
    """A trail with its name in the legend and its looks."""

    word: str
    trail: Trail
    role: str
    mark: str
    device: DeviceView
    spread: bool = False
    right: bool = False

    @property
    def stands_out(self) -> bool:
        """Whether its name has its colour too."""
        return self.role == "own" or self.role.startswith("apart")


class Plan(Struct, frozen=True):
    """A chart before it has a size."""

    title: str
    lines: tuple[Line, ...]
    limits: tuple[tuple[str, Metric, float, str], ...] = ()
    """Word, metric, value and role of each threshold."""
    from_zero: bool = True

    @property
    def key(self) -> tuple[object, ...]:
        """Changes when the picture must."""
        return (
            self.title, self.limits,
            *((line.word, line.role, line.mark, line.trail.revision) for line in self.lines),
        )  # fmt: skip

    @property
    def named(self) -> list[Line]:
        """Its lines in the order of the legend: devices by their index."""
        by_index = all(line.word.isdigit() for line in self.lines)
        return sorted(self.lines, key=lambda line: int(line.word) if by_index else 0)

    def figure(self, view: View, units: text.Units, width: int, height: int) -> Figure:
        """The chart in so many cells; its lines must be of a stretch as wide as the canvas."""
        rows = height - AXIS_ROWS
        left, right = self.axes(units, rows)
        stretch = self.lines[0].trail.stretch
        shades = [
            line.trail.spread("shade", line.right) for line in self.lines if line.spread
        ]  # fmt: skip
        curves = [line.trail.curve(line.role, line.mark, line.right) for line in self.lines]
        curves.reverse()  # what stands first lies on top
        return Figure(
            width, height, time_ticks(stretch, view.utc_s - view.now), left, right,
            tuple(Rule(value, role) for _, _, value, role in self.limits),
            (*(shade for shade in shades if shade is not None and shade.points), *curves),
        )  # fmt: skip

    def axes(self, units: text.Units, rows: int) -> tuple[Axis, Axis | None]:
        """The axis of each side."""
        sides = [[line for line in self.lines if line.right is right] for right in (False, True)]
        left = self._axis(sides[0], units, rows, True)
        return left, self._axis(sides[1], units, rows, False) if sides[1] else None

    def _axis(self, lines: list[Line], units: text.Units, rows: int, left: bool) -> Axis:
        metric = lines[0].trail.metric
        spans = [span for line in lines for span in line.trail.spans if span is not None]
        highs = [span.high for span in spans] + [limit[2] * HEADROOM for limit in self.limits]
        fulls = [line.device.full(line.trail.metric) for line in lines]
        highs += [full for full in fulls if full is not None and self.from_zero]
        low = 0.0
        if not self.from_zero:
            low = min((span.low for span in spans), default=0.0) - 5.0
            low = min(low, *(limit[2] - 20.0 for limit in self.limits)) if self.limits else low
        low = min(low, *(span.low for span in spans)) if spans else low
        return value_axis(metric, low, max(highs, default=0.0) or 1.0, rows, units, left)


ROLES = ("main", "second", "third", "fourth")


def of_device(
    chart: Chart, device: DeviceView, stretch: Stretch, view: View, book: Book, marks: bool
) -> Plan:
    """A chart of one device: its metrics, and the thresholds it has."""
    lines = []
    for number, trace in enumerate(chart.traces):
        if device.history.series(trace.name) is None and number:
            continue
        trail = book.trail(device, trace.metric, stretch, view.period_s)
        lines.append(Line(
            trace.word, trail, f"{ROLES[number]}:{chart.main.name}",
            MARKS[number] if marks else "", device, spread=not number and not marks,
        ))  # fmt: skip
    limits = []
    for limit in chart.limits:
        value = device.value(limit.name).value
        if value is not None:
            limits.append((limit.word, limit.metric, float(value), limit.role))
    return Plan(chart.title, tuple(lines), tuple(limits), chart.from_zero)


def of_peers(
    chart: Chart, device: DeviceView, stretch: Stretch, view: View, book: Book, marks: bool
) -> Plan:
    """One metric of every device. Those apart from the others are coloured, and this one."""
    metric = chart.main.metric
    trails = [(d, book.trail(d, metric, stretch, view.period_s)) for d in view.devices]
    far = _far(trails, metric)
    lines = []
    for other, trail in trails:
        own = other.info.uuid == device.info.uuid
        role = "own" if own else f"apart{far.index(other)}" if other in far else "peer"
        index = "?" if other.info.index is None else str(other.info.index)
        lines.append(Line(index, trail, role, index[-1] if marks else "", other))
    rank = {"own": 0, "peer": 2}
    shown = sorted(lines, key=lambda line: rank.get(line.role, 1))  # the first lies on top
    title = f"{metric.label} of every device"
    return Plan(title, tuple(shown), from_zero=chart.from_zero)


def _far(trails: list[tuple[DeviceView, Trail]], metric: Metric) -> list[DeviceView]:
    """The devices that stand apart from the median of all, furthest first."""
    means = [(device, mean) for device, trail in trails if (mean := trail.mean) is not None]
    if len(means) <= 2:
        return []
    middle = median(mean for _, mean in means)
    scale = max(max(abs(mean), device.full(metric) or 0.0) for device, mean in means)
    apart = [(abs(mean - middle), device) for device, mean in means]
    found = [pair for pair in apart if pair[0] > APART * scale]
    found.sort(key=lambda pair: -pair[0])
    return [device for _, device in found[:MOST_APART]]


def of_pair(
    chart: Chart, other: Trace, device: DeviceView, stretch: Stretch, view: View, book: Book,
    marks: bool,
) -> Plan:  # fmt: skip
    """Two metrics of a device, each with its own axis."""
    lines = []
    for number, trace in enumerate((chart.main, other)):
        metric = trace.metric
        trail = book.trail(device, metric, stretch, view.period_s)
        role = f"main:{chart.main.name}" if not number else "over"
        mark = MARKS[number] if marks else ""
        word = f"{metric.label} ({'right' if number else 'left'})"
        lines.append(Line(word, trail, role, mark, device, right=bool(number)))
    return Plan("Overlay", tuple(lines))

"""Round numbers and round clock times for the axes."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime

from gputop import text
from gputop.model.metrics import Metric, Unit
from gputop.ui.device.figure import Axis
from gputop.ui.device.timeline import Stretch

TIME_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 14400, 21600,
              43200)  # fmt: skip
"""Seconds between two labels: each divides a day, so labels stand at round clock times."""
NICE = (1.0, 2.0, 2.5, 5.0, 10.0)
ROWS_A_TICK = 3
"""Rows between two labels of a value at the least."""
LABEL_CELLS = 7
"""Cells of every label, so that charts one above the other have their times in line."""
AXIS_CELLS = LABEL_CELLS + 1
"""Cells of an axis: its labels and its line."""


def time_ticks(stretch: Stretch, utc_offset_s: float) -> tuple[tuple[float, str], ...]:
    """Local clock times by column. `utc_offset_s`: UTC less CLOCK_BOOTTIME."""
    span = stretch.end - stretch.start
    for step in TIME_STEPS:
        form = "%H:%M:%S" if step < 60 else "%H:%M"
        room = len("00:00:00" if step < 60 else "00:00") + 3
        if span / step * room <= stretch.cells:
            break
    utc = stretch.start + utc_offset_s
    zone = datetime.fromtimestamp(utc).astimezone().utcoffset()
    local = utc + (zone.total_seconds() if zone else 0.0)
    found = []
    moment = math.ceil(local / step) * step - local + stretch.start
    while moment < stretch.end:
        label = datetime.fromtimestamp(moment + utc_offset_s).strftime(form)
        x = stretch.x(moment)
        if len(label) / 2 <= x <= stretch.cells - len(label) / 2:
            found.append((x, label))
        moment += step
    return tuple(found)


def value_axis(
    metric: Metric, low: float, high: float, rows: int, units: text.Units, left: bool = True
) -> Axis:
    """An axis over [low, high], widened to what its labels need; `rows` of canvas."""
    to, back = _display(metric, units, high)
    bottom, top = to(low), to(high)
    if not top > bottom:
        top = bottom + (abs(bottom) or 1.0)
    step = _step((top - bottom) / max(rows // ROWS_A_TICK, 1), top)
    first = math.ceil(bottom / step - 1e-6)
    count = min(int((top - first * step) / step + 1e-6), rows) + 1
    values = [back((first + n) * step) for n in range(count)]
    labels = [
        text.fit(text.value(metric, value, units, tight=True), LABEL_CELLS) if value else "0"
        for value in values
    ]
    ticks = [
        (value, label.rjust(LABEL_CELLS) if left else label.ljust(LABEL_CELLS))
        for value, label in zip(values, labels, strict=True)
    ]
    return Axis(back(bottom), max(back(top), values[-1] if values else 0.0), tuple(ticks))


def _step(least: float, top: float) -> float:
    """The smallest round number that is not below `least`, nor too small to count in."""
    least = max(least, abs(top) * 1e-6, 1e-12)
    magnitude = 10.0 ** math.floor(math.log10(least))
    return next(nice * magnitude for nice in NICE if nice * magnitude >= least * (1 - 1e-9))


Convert = Callable[[float], float]


def _display(metric: Metric, units: text.Units, high: float) -> tuple[Convert, Convert]:
    """To the unit a person reads and back: round numbers are round in that one."""
    if metric.unit is Unit.CELSIUS and units.temperature == "f":
        return (lambda c: c * 9 / 5 + 32), (lambda f: (f - 32) * 5 / 9)
    factor = 1.0
    if metric.unit is Unit.BYTES:
        base = 1024.0 if units.memory == "binary" else 1000.0
        while high / factor >= base and factor < base**6:
            factor *= base
    return (lambda value: value / factor), (lambda value: value * factor)

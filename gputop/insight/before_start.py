"""What a device was through before this program began to look, as far as the driver remembers.

Its violation counters reach back to when it was loaded, and its sample buffers over the last
seconds or minutes.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from gputop.insight.alerts import Alert
from gputop.insight.rules import Rule, Thresholds, rule_of
from gputop.model.nvml_tables import HARMFUL
from gputop.state.store import DeviceState
from gputop.text import duration

WORTH_S = 10.0
"""Seconds of thermal slowdown or power brake since the driver's load that are worth a line."""
BUFFERS_REACH_S = 300
"""How far before the start the driver's buffers are looked at."""
BUFFERED_WORTH_S = 3
"""Seconds in the buffers that are worth a line."""


class _Buffered(Struct, frozen=True):
    """A rule that the driver's buffers alone can speak for."""

    rule: str
    metric: str
    edge: Callable[[DeviceState, Thresholds], float | None]
    """From where the metric's mean over a second counts."""
    unit: str


def _power_edge(device: DeviceState, thresholds: Thresholds) -> float | None:
    limit = device.number("power_limit_w")
    return limit * thresholds.power_full if limit else None


def _heat_edge(device: DeviceState, thresholds: Thresholds) -> float | None:
    slowdown = device.number("temperature_slowdown_c")
    return slowdown - thresholds.temperature_margin_c if slowdown else None


_BUFFERED = (
    _Buffered("power_full", "power_w", _power_edge, "W"),
    _Buffered("hot", "temperature_c", _heat_edge, "°C"),
)


def found_before(
    device: DeviceState, where: str, thresholds: Thresholds, started: float, utc_offset: float
) -> list[Alert]:
    """What the driver tells of the time before `started`; moments are CLOCK_BOOTTIME, and
    `utc_offset` added to one makes it UTC.
    """
    found = [*_counted(device, where, started, utc_offset)]
    for buffered in _BUFFERED:
        alert = _in_buffer(buffered, device, where, thresholds, started)
        if alert is not None:
            alert.since_utc_s = alert.since_s + utc_offset
            found.append(alert)
    return found


def _counted(device: DeviceState, where: str, started: float, utc_offset: float) -> list[Alert]:
    """The harmful reasons that cost time since the driver's load. The power cap is left out: it
    is the usual state of a busy device, and its time stands on the device screen.
    """
    found = []
    for reason in HARMFUL:
        held = device.number(reason.violation) if reason.violation else None
        if held is None or held < WORTH_S or reason.severity == "notice":
            continue
        assert reason.severity is not None
        found.append(
            Alert(
                rule=f"reason:{reason.key}", device=device.uuid, where=where,
                severity=reason.severity, word=reason.word, title=reason.label,
                meaning=reason.meaning, advice=reason.advice,
                since_s=started, since_utc_s=started + utc_offset, until_s=started,
                detail=f"{duration(held)} in all since the driver was loaded",
                worst=held, before_start=True,
            )
        )  # fmt: skip
    return found


def _in_buffer(
    buffered: _Buffered, device: DeviceState, where: str, thresholds: Thresholds, started: float
) -> Alert | None:
    series = device.history.series(buffered.metric)
    edge = buffered.edge(device, thresholds)
    if series is None or edge is None:
        return None
    seconds = range(max(int(started) - BUFFERS_REACH_S, 0), int(started))
    spans = {second: series.fine.span(second, second + 1) for second in seconds}
    over = {second: span for second, span in spans.items() if span and span.mean >= edge}
    if len(over) < BUFFERED_WORTH_S:
        return None
    rule: Rule = rule_of(buffered.rule)
    highest = max(span.high for span in over.values())
    worst = f"up to {highest:.0f} {buffered.unit}"
    return Alert(
        rule=rule.key, device=device.uuid, where=where, severity=rule.severity, word=rule.word,
        title=rule.title, meaning=rule.meaning, advice=rule.advice,
        since_s=float(min(over)), since_utc_s=0.0, until_s=float(max(over) + 1),
        detail=worst, worst=highest, worst_detail=worst, before_start=True,
    )  # fmt: skip

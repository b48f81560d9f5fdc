"""How long a device was held back, reason by reason.

The driver's cumulative violation counters see what happens between two readings and are used
where it has them; elsewhere the sampled event reason bits stand in, and it is said which.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gputop.model.frame import DeviceReading
from gputop.model.nvml_tables import HARMFUL, EventReason
from gputop.state.history import Ring, Series

Basis = Literal["counter", "sampled"]


LONGEST_GAP_S = 120
"""A reading speaks for the time since the one before, up to so many seconds."""


@dataclass(frozen=True, slots=True)
class Share:
    """The part of a window in which one reason held the device back."""

    reason: EventReason
    share: float
    """0 to 1, of the seconds that were read."""
    covered_s: int
    """Seconds of the window that were read."""
    basis: Basis


class ThrottleAccount:
    """Adds up one device's throttling from its readings.

    A reading speaks for the time since the one before: a counter's growth is exact over it, a
    sampled bit is taken to have held all through it.
    """

    def __init__(self) -> None:
        self._read = Ring(1, Series.FINE[1])
        self._held: dict[str, Ring] = {}
        self._basis: dict[str, Basis] = {}
        self._counters: dict[str, tuple[float, float]] = {}
        self._last_fast: float | None = None

    def update(self, reading: DeviceReading) -> None:
        """Take a reading; one that repeats older groups adds nothing."""
        at = reading.read_at.fast
        before = self._last_fast
        if at is None or at == before:
            return
        self._last_fast = at
        if reading.event_reasons is None and reading.read_at.medium is None:
            return
        seconds = _seconds(before, at)
        for second in seconds:
            self._read.add(second, 1.0, 1.0, 1.0, 1)
        for reason in HARMFUL:
            if not self._by_counter(reason, reading):
                self._by_bit(reason, reading.event_reasons, seconds)

    def _by_counter(self, reason: EventReason, reading: DeviceReading) -> bool:
        """True when the reason is counted by the driver, whether or not this reading adds."""
        counter = getattr(reading, reason.violation) if reason.violation else None
        at = reading.read_at.medium
        if counter is None or at is None:
            self._counters.pop(reason.key, None)
            return False
        before = self._counters.get(reason.key)
        self._counters[reason.key] = (at, counter)
        if before is None:
            return False
        if at > before[0] and counter >= before[1]:
            share = min((counter - before[1]) / (at - before[0]), 1.0)
            self._add(reason, "counter", _seconds(before[0], at), share)
        return True

    def _by_bit(self, reason: EventReason, mask: int | None, seconds: range) -> None:
        if mask is not None:
            self._add(reason, "sampled", seconds, 1.0 if mask & reason.bit else 0.0)

    def _add(self, reason: EventReason, basis: Basis, seconds: range, share: float) -> None:
        ring = self._held.get(reason.key)
        if ring is None:
            if not share:
                return  # most reasons never occur: their ring is made when they first do
            ring = self._held[reason.key] = Ring(1, Series.FINE[1])
        self._basis[reason.key] = basis
        for second in seconds:
            ring.add(second, share, share, share, 1)

    def shares(self, now: float, window_s: float) -> list[Share]:
        """The reasons that held the device back in the window before `now`, worst share first."""
        if not self._held:
            return []
        seconds = range(max(int(now - window_s) + 1, 0), int(now) + 1)
        covered = sum(self._read.span(s, s + 1) is not None for s in seconds)
        found = []
        for reason in HARMFUL:
            ring = self._held.get(reason.key)
            if ring is None or not covered:
                continue
            spans = (ring.span(s, s + 1) for s in seconds)
            held = sum(span.mean for span in spans if span is not None)
            if held:
                share = min(held / covered, 1.0)
                found.append(Share(reason, share, covered, self._basis[reason.key]))
        return sorted(found, key=lambda share: -share.share)


def _seconds(before: float | None, at: float) -> range:
    """The whole seconds a reading at `at` speaks for."""
    if before is None or at - before > LONGEST_GAP_S:
        return range(int(at), int(at) + 1)
    return range(min(int(before) + 1, int(at)), int(at) + 1)

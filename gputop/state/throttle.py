"""How long a device was held back, reason by reason.

The driver's cumulative violation counters see what happens between two readings and are used
where it has them; elsewhere the sampled event reason bits stand in, and it is said which.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gputop.model.frame import DeviceReading
from gputop.model.nvml_tables import HARMFUL, EventReason
from gputop.state.history import Series

Basis = Literal["counter", "sampled"]


@dataclass(frozen=True, slots=True)
class Share:
    """The part of a window in which one reason held the device back."""

    reason: EventReason
    share: float
    """0 to 1, of the seconds that were read."""
    covered_s: int
    basis: Basis


class ThrottleAccount:
    """Adds up one device's throttling from its readings."""

    def __init__(self) -> None:
        self._series: dict[str, Series] = {}
        self._basis: dict[str, Basis] = {}
        self._counters: dict[str, tuple[float, float]] = {}
        self._last_fast: float | None = None
        self._since: float | None = None

    def update(self, reading: DeviceReading) -> None:
        """Take a reading; one that repeats older groups adds nothing."""
        at = reading.read_at.fast
        if at is None or at == self._last_fast:
            return
        self._last_fast = at
        self._since = at if self._since is None else self._since
        for reason in HARMFUL:
            if not self._by_counter(reason, reading):
                self._by_bit(reason, reading.event_reasons, at)

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
            self._add(reason, "counter", at, share)
        return True

    def _by_bit(self, reason: EventReason, mask: int | None, at: float) -> None:
        if mask is not None:
            self._add(reason, "sampled", at, 1.0 if mask & reason.bit else 0.0)

    def _add(self, reason: EventReason, basis: Basis, at: float, share: float) -> None:
        series = self._series.get(reason.key)
        if series is None:
            if not share:
                return  # most reasons never occur: their ring is made when they first do
            series = self._series[reason.key] = Series()
        self._basis[reason.key] = basis
        series.add(at, share)

    def shares(self, now: float, window_s: float) -> list[Share]:
        """The reasons that held the device back in the window before `now`, worst share first."""
        start = max(now - window_s, self._since if self._since is not None else now)
        found = []
        for reason in HARMFUL:
            series = self._series.get(reason.key)
            if series is None:
                continue
            total = sum(
                span.mean
                for span in series.columns(range(int(start), int(now) + 1), 1)
                if span is not None
            )
            seconds = max(int(now - start), 1)
            if total:
                found.append(
                    Share(reason, min(total / seconds, 1.0), seconds, self._basis[reason.key])
                )
        return sorted(found, key=lambda share: -share.share)

    def series(self, key: str) -> Series | None:
        """The share of each second in which a reason was active; None if it never was."""
        return self._series.get(key)

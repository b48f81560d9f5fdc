"""Readings become stretches of time: each speaks for the time since the one before it.

The same rule as in :mod:`gputop.state.throttle`. A reading that a frame repeats is taken once (by
when it was read), what the driver buffered in between takes precedence over the reading at the
end of it, and time that nothing speaks for is left out.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from gputop.model.frame import SampleSpan
from gputop.model.metrics import Tier
from gputop.report.weights import Columns, Weighted

_SILENT_INTERVALS, _SILENT_S = 3, 2.0
"""A source is silent after so many intervals and seconds (see the design)."""
_TIER_S: dict[Tier, float] = {"fast": 0.0, "medium": 2.0, "slow": 30.0, "once": 0.0}
"""A tier is read no more seldom than this, whatever the interval of the frames is."""
SLACK_S = 1e-6
"""A stretch of time as short as this is none."""


@lru_cache(maxsize=64)
def patience(tier: Tier, interval_s: float) -> float:
    """Seconds for which a reading can speak at most: beyond that the time before it is a gap."""
    return _SILENT_INTERVALS * max(interval_s, _TIER_S[tier]) + _SILENT_S


class Window(NamedTuple):
    """The time that is summed up, in seconds of CLOCK_BOOTTIME."""

    begin: float
    end: float = float("inf")

    def clip(self, start: float, end: float) -> tuple[float, float]:
        """The part of a stretch that lies inside; it is empty where the end is not later."""
        return max(start, self.begin), min(end, self.end)


class Series:
    """One quantity of a device or the host: its distribution and its chart."""

    __slots__ = ("_counted", "columns", "until", "weighted")

    def __init__(self, resolution: float, begin: float, charted: bool = True) -> None:
        self.weighted = Weighted(resolution)
        self.columns = Columns(begin) if charted else None
        self.until: float | None = None
        """Up to when it is known; None where it is not."""
        self._counted = float("-inf")
        """Up to when it was known before it was not any more."""

    def read(self, at: float, value: float, longest_s: float, window: Window) -> float:
        """A reading made at `at`. Returns value times seconds of the time it speaks for."""
        before = self.until
        if before is not None and at <= before:
            return 0.0
        self.until = at
        begin, finish = window
        if before is not None and at - before <= longest_s:
            start = before if before > begin else begin
            end = at if at < finish else finish
            lasted = end - start
            if lasted > SLACK_S:
                self.weighted.add(value, lasted)
                if self.columns is not None:
                    self.columns.add(start, end, value, value)
                return value * lasted
        if begin <= at <= finish:
            self.weighted.touch(value, value)
        return 0.0

    def read_span(self, span: SampleSpan, window: Window) -> float:
        """What the driver buffered: each of its samples speaks for the time since the last."""
        start, end = span.start_s, span.end_s
        if span.count > 1:
            start -= (end - start) / (span.count - 1)
        # A device that was away and is opened again tells its whole buffer anew.
        start = max(start, self._counted if self.until is None else self.until)
        if end <= start:
            return 0.0
        self.until = end
        start, end = window.clip(start, end)
        if end - start <= SLACK_S:
            return 0.0
        self.weighted.add(span.mean, end - start)
        self.weighted.touch(span.minimum, span.maximum)
        if self.columns is not None:
            self.columns.add(start, end, span.mean, span.maximum)
        return span.mean * (end - start)

    def lapse(self) -> None:
        """There is no value now: the time up to the next reading is a gap."""
        if self.until is not None:
            self._counted, self.until = self.until, None

"""The clocks of the collector, the only part of gputop that reads them."""

from __future__ import annotations

import math
import time
from typing import Protocol

_BOOTTIME = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""Where a system has no CLOCK_BOOTTIME (macOS, for the demo) its monotonic clock stands in."""


LONGEST_SPAN_S = 150.0
"""Two readings of a counter further apart than two of the longest intervals have a suspend between
them, or belong to different stories: their difference over that time is no rate of either.
"""
WALL_STEP_S = 1.0
"""The wall clock was set when it moved so far against CLOCK_BOOTTIME; slewing is far slower."""


class Clock(Protocol):
    """Two clocks, in seconds."""

    def boottime(self) -> float:
        """Since boot, sleep included; never goes back."""

    def utc(self) -> float:
        """Since 1970; may jump."""


class SystemClock:
    """The machine's own clocks."""

    def boottime(self) -> float:
        """CLOCK_BOOTTIME in seconds."""
        return time.clock_gettime(_BOOTTIME)

    def utc(self) -> float:
        """The wall clock in seconds since 1970."""
        return time.time()


def next_tick(now: float, interval: float, at_least: float = 0.0) -> float:
    """The first multiple of `interval` after `now` that is no less than `at_least` away, all in
    seconds. Ticks skipped by a suspend are not made up for, since only `now` counts.
    """
    tick = (math.floor(now / interval) + 1) * interval
    while tick - now < at_least or tick <= now:
        tick += interval
    return tick

"""When a driver's timestamp was, on the clock that frames are keyed by."""

from __future__ import annotations

import math
from collections.abc import Callable

from gputop.collect.clock import WALL_STEP_S, SystemClock

_clock = SystemClock()
boottime = _clock.boottime
utc_now = _clock.utc

FURTHEST_PAST_S, FURTHEST_FUTURE_S = 60.0, 1.0
"""A newest timestamp outside these bounds of now was not made by the clock it is read as."""


def utc_ahead_s(
    boottime: Callable[[], float] = boottime, utc: Callable[[], float] = utc_now
) -> float:
    """How far the wall clock is ahead of CLOCK_BOOTTIME. Both are read at one moment: not one
    before a driver call and the other behind it, and again where another process came between.
    """
    best, gap = 0.0, math.inf
    for _ in range(3):
        before, wall, after = boottime(), utc(), boottime()
        if after - before < gap:
            best, gap = wall - (before + after) / 2, after - before
    return best


class WallClock:
    """Tells when the wall clock was set, forward or back."""

    def __init__(self) -> None:
        self._ahead_s: float | None = None

    def was_set(self) -> bool:
        """Whether it was since the last call."""
        before, self._ahead_s = self._ahead_s, utc_ahead_s()
        return before is not None and abs(self._ahead_s - before) > WALL_STEP_S


def offset_us(
    newest_us: int, now: float, ahead_s: Callable[[], float] = utc_ahead_s
) -> float | None:
    """What to add to a driver's timestamps, in microseconds, to be on CLOCK_BOOTTIME, when the
    newest of them is `newest_us`. Drivers count from 1970 or from boot, and which is not
    documented: the clock that `newest_us` fits is it. None when it fits neither.
    """
    now_us = now * 1e6
    for offset in (-ahead_s() * 1e6, 0.0):
        age = now_us - (newest_us + offset)
        if -FURTHEST_FUTURE_S * 1e6 <= age <= FURTHEST_PAST_S * 1e6:
            return offset
    return None

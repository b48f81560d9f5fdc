"""When a driver's timestamp was, on the clock that frames are keyed by."""

from __future__ import annotations

from collections.abc import Callable

from gputop.collect.clock import WALL_STEP_S, SystemClock

_clock = SystemClock()
boottime = _clock.boottime
utc_now = _clock.utc

FURTHEST_PAST_S, FURTHEST_FUTURE_S = 60.0, 1.0
"""A newest timestamp outside these bounds of now was not made by the clock it is read as."""


class WallClock:
    """Tells when the wall clock was set, forward or back."""

    def __init__(self, utc: Callable[[], float] = utc_now) -> None:
        self._utc = utc
        self._ahead_s: float | None = None

    def was_set(self, now: float) -> bool:
        """Whether it was since the last call; `now` is CLOCK_BOOTTIME."""
        before, self._ahead_s = self._ahead_s, self._utc() - now
        return before is not None and abs(self._ahead_s - before) > WALL_STEP_S


def offset_us(newest_us: int, now: float, utc: Callable[[], float] = utc_now) -> float | None:
    """What to add to a driver's timestamps, in microseconds, to be on CLOCK_BOOTTIME, when the
    newest of them is `newest_us`. Drivers count from 1970 or from boot, and which is not
    documented: the clock that `newest_us` fits is it. None when it fits neither.
    """
    now_us = now * 1e6
    for offset in (now_us - utc() * 1e6, 0.0):
        age = now_us - (newest_us + offset)
        if -FURTHEST_FUTURE_S * 1e6 <= age <= FURTHEST_PAST_S * 1e6:
            return offset
    return None

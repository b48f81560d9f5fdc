"""When a driver's timestamp was, on the clock that frames are keyed by."""

from __future__ import annotations

import time
from collections.abc import Callable

FURTHEST_PAST_S, FURTHEST_FUTURE_S = 60.0, 1.0
"""A newest timestamp outside these bounds of now was not made by the clock it is read as."""


def boottime() -> float:
    """CLOCK_BOOTTIME in seconds."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def offset_us(newest_us: int, now: float, utc: Callable[[], float] = time.time) -> float | None:
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

"""Seconds, added up by when they were: of the last hour by the second, of a day by the minute."""

from __future__ import annotations

import math
from array import array


class Tally:
    """Buckets of `width` seconds, `size` of them, each holding how much of it was counted."""

    __slots__ = ("_held", "newest", "size", "width")

    def __init__(self, width: int, size: int) -> None:
        self.width = width
        self.size = size
        self.newest = -1
        """Number of the newest bucket, counted from boot; -1 before the first second."""
        self._held = array("f")
        """Empty until something is counted: most tallies never count."""

    def add(self, start: float, end: float, share: float = 1.0) -> None:
        """Count `share` (0 to 1) of every second in [start, end)."""
        width, size = self.width, self.size
        last = math.ceil(end / width)
        self._make_room(last - 1)
        held = self._held
        for number in range(max(int(start // width), last - size, 0), last):
            if number > self.newest - size:
                overlap = min(end, (number + 1) * width) - max(start, number * width)
                held[number % size] += overlap * share

    def _make_room(self, number: int) -> None:
        """Open the bucket `number`, and every one before it, empty."""
        if not self._held:
            self._held = array("f", bytes(4 * self.size))
        for fresh in range(max(self.newest, number - self.size) + 1, number + 1):
            self._held[fresh % self.size] = 0.0
        self.newest = max(self.newest, number)

    def sum(self, start: float, end: float) -> float:
        """What was counted in the buckets that [start, end) touches."""
        width, size, held = self.width, self.size, self._held
        first = max(int(start // width), self.newest - size + 1, 0)
        last = min(math.ceil(end / width), self.newest + 1)
        return sum(held[number % size] for number in range(first, last))


class DayTally:
    """Both tiers, fed at once: 20 kB from the first second that does not wait."""

    __slots__ = ("_minutes", "_seconds", "_waits")

    def __init__(self) -> None:
        self._seconds = Tally(1, 3600)
        self._minutes = Tally(60, 1440)
        self._waits = (0.0, 0.0)
        """Whole seconds that follow each other wait here: that all of a time was counted is the
        common case, and mostly nobody asks.
        """

    def add(self, start: float, end: float, share: float = 1.0) -> None:
        """Count `share` (0 to 1) of every second in [start, end), in CLOCK_BOOTTIME."""
        begun, until = self._waits
        if share == 1.0 and start == until and end >= start:
            self._waits = begun, end
            return
        self._settle()
        if share == 1.0:
            self._waits = start, end
        else:
            self._put(start, end, share)

    def _settle(self) -> None:
        start, end = self._waits
        if end > start:
            self._waits = end, end
            self._put(start, end, 1.0)

    def _put(self, start: float, end: float, share: float) -> None:
        self._seconds.add(start, end, share)
        self._minutes.add(start, end, share)

    def sum(self, start: float, end: float, now: float) -> float:
        """The seconds counted in [start, end), from the finest tier that reaches back to `start`
        when the newest reading is of `now`; rounded to its buckets.
        """
        self._settle()
        fine = start > now - self._seconds.size
        return (self._seconds if fine else self._minutes).sum(start, end)

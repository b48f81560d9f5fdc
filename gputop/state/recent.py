"""The last hour of a metric by the second, for who asks what the last minutes held, again and
again, and draws nothing.

The same buckets and the same numbers as in :mod:`gputop.state.history`, at a fraction of the time:
they lie in the order of time, so that a stretch of them is a slice, and there is no second ring.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left

from gputop.state.history import (
    FOREVER,
    MOST_READINGS,
    Cells,
    History,
    Ring,
    Series,
    Span,
    Stretch,
)

_SPARE = 400
"""Buckets beyond the hour that are kept until it is worth a move to drop them."""


class Recent(Ring):
    """Buckets of a second; a gap takes no place."""

    __slots__ = ("_counts", "_highs", "_lows", "_means", "_numbers")

    def __init__(self, size: int = Series.FINE[1]) -> None:
        self.width, self.size, self.newest = 1, size, -1
        self.reserved = True
        self._numbers: list[int] = []
        # Of 32 bits, as a ring's.
        self._lows, self._means, self._highs = array("f"), array("f"), array("f")
        self._counts: list[int] = []

    def add(self, at: float, low: float, mean: float, high: float, count: int) -> None:
        """Put a reading, or the summary of `count` readings, into the bucket of moment `at`."""
        number = int(at // 1)
        if number > self.newest and number >= 0:
            self.newest = number
            self._numbers.append(number)
            self._lows.append(low)
            self._means.append(mean)
            self._highs.append(high)
            self._counts.append(min(count, MOST_READINGS))
            if len(self._numbers) > self.size + _SPARE:
                self._drop()
        elif number >= 0 and number > self.newest - self.size:
            self._put_back(number, low, mean, high, count)

    def _put_back(self, number: int, low: float, mean: float, high: float, count: int) -> None:
        """Put it into the newest bucket, or one behind it."""
        numbers = self._numbers
        place = bisect_left(numbers, number)
        if numbers[place] != number:
            numbers.insert(place, number)
            for cells, value in ((self._lows, low), (self._means, mean), (self._highs, high)):
                cells.insert(place, value)
            self._counts.insert(place, min(count, MOST_READINGS))
            return
        had, had_mean = self._counts[place], self._means[place]
        if low < self._lows[place]:
            self._lows[place] = low
        if high > self._highs[place]:
            self._highs[place] = high
        self._means[place] = had_mean + (mean - had_mean) * (count / (had + count))
        self._counts[place] = min(had + count, MOST_READINGS)

    def _drop(self) -> None:
        keep = bisect_left(self._numbers, self.newest - self.size + 1)
        for cells in (self._numbers, self._lows, self._means, self._highs, self._counts):
            del cells[:keep]

    def _slice(self, start: float, end: float) -> slice:
        first = max(int(start // 1), self.newest - self.size + 1, 0)
        last = math.ceil(end) if end < FOREVER else self.newest + 1
        return slice(bisect_left(self._numbers, first), bisect_left(self._numbers, last))

    def span(self, start: float, end: float) -> Span | None:
        """What lay in [start, end), both rounded to buckets; None when nothing was read."""
        found = self.stretch(start, end)
        return found.span if found else None

    def stretch(self, start: float, end: float) -> Stretch | None:
        """What lay in [start, end), and how much of it was read; None when nothing was."""
        part = self._slice(start, end)
        numbers, means = self._numbers[part], self._means[part]
        if not numbers:
            return None
        span = Span(min(self._lows[part]), sum(means) / len(means), max(self._highs[part]))
        return Stretch(span, len(numbers), numbers[-1] + 1 - numbers[0])

    def cells(self, start: float, end: float) -> Cells:
        """The buckets in [start, end) that hold a reading."""
        part = self._slice(start, end)
        return Cells(
            self._numbers[part], self._lows[part], self._means[part], self._highs[part]
        )


class RecentSeries(Series):
    """One metric of one device (or of the host) over the last hour."""

    __slots__ = ()

    def _rings(self) -> tuple[Ring, Ring]:
        ring = Recent()
        return ring, ring

    def add_span(self, at: float, low: float, mean: float, high: float, count: int) -> None:
        """The summary of `count` readings around the moment `at`."""
        self.fine.add(at, low, mean, high, count)


class RecentHistory(History):
    """The series of one device or host over the last hour."""

    __slots__ = ()

    make = RecentSeries

"""The last hour of a metric by the second, for who asks what the last minutes held, again and
again, and draws nothing.

The same buckets and the same numbers as in :mod:`gputop.state.history`, at a fraction of the time:
they lie in the order of time, so that a stretch of them is a slice, and there is no second ring.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left
from collections.abc import Sequence
from operator import lt

from gputop.model.frame import SampleSpan
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

Row = tuple[Sequence[str], float, Sequence[float | None]]
"""Names, the moment at which they were read, and their values."""
_MOST_WAITING = 256


class Recent(Ring):
    """Buckets of a second; a gap takes no place."""

    __slots__ = ("_counts", "_highs", "_lows", "_means", "_most", "_numbers")

    def __init__(self, size: int = Series.FINE[1]) -> None:
        self.width, self.size, self.newest = 1, size, -1
        self.reserved = True
        self._most = size + size // 8
        """Buckets from which it is worth a move to drop those that are too old."""
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
            if len(self._numbers) > self._most:
                self._drop()
        elif number >= 0 and number > self.newest - self.size:
            self._put_back(number, low, mean, high, count)

    def append(self, numbers: Sequence[int], values: Sequence[float]) -> None:
        """Put readings that each begin a bucket, newer than all before."""
        self.newest = numbers[-1]
        self._numbers += numbers
        self._lows.extend(values)
        self._means.extend(values)
        self._highs.extend(values)
        self._counts += [1] * len(numbers)
        if len(self._numbers) > self._most:
            self._drop()

    def _put_back(self, number: int, low: float, mean: float, high: float, count: int) -> None:
        """Put it into the newest bucket, or one behind it."""
        numbers = self._numbers
        place = len(numbers) - 1
        if numbers[place] != number:
            place = bisect_left(numbers, number)  # mostly that before the newest
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
        return Cells(self._numbers[part], self._lows[part], self._means[part], self._highs[part])


class RecentSeries(Series):
    """One metric of one device (or of the host) over the last hour."""

    __slots__ = ()
    fine: Recent

    def _rings(self) -> tuple[Ring, Ring]:
        ring = Recent()
        return ring, ring

    def add_span(self, at: float, low: float, mean: float, high: float, count: int) -> None:
        """The summary of `count` readings around the moment `at`."""
        self.fine.add(at, low, mean, high, count)

    def append(self, at: float, numbers: Sequence[int], values: Sequence[float]) -> None:
        """Readings that each begin a bucket, newer than all before; the last was made at `at`."""
        self._last_at = at
        self.fine.append(numbers, values)


class RecentHistory(History):
    """The series of one device or host over the last hour. Readings wait until somebody asks: many
    of them are taken together in less time than one by one.
    """

    __slots__ = ("_spans", "_waiting")

    make = RecentSeries

    def __init__(self) -> None:
        super().__init__()
        self._waiting: list[Row | SampleSpan] = []
        self._spans = 0
        """How many of those that wait are spans."""

    def series(self, name: str) -> Series | None:
        """The series of a metric, None before its first value."""
        if self._waiting:
            self._take()
        return self._series.get(name)

    def add_row(self, names: Sequence[str], at: float, values: Sequence[float | None]) -> None:
        """Take the values that were read at one moment; one that is None was not."""
        self._waiting.append((names, at, values))
        if len(self._waiting) >= _MOST_WAITING:
            self._take()

    def add_span(self, span: SampleSpan) -> None:
        """Take what the driver buffered of a metric."""
        self._waiting.append(span)
        self._spans += 1

    def _take(self) -> None:
        waiting, self._waiting = self._waiting, []
        ordered: set[str] = set()
        if self._spans:
            self._spans = 0
            ordered = {entry.metric for entry in waiting if isinstance(entry, SampleSpan)}
            self._one_by_one(waiting, ordered)
        groups: dict[Sequence[str], list[Row]] = {}
        for entry in waiting:
            if not isinstance(entry, SampleSpan):
                groups.setdefault(entry[0], []).append(entry)
        for names, rows in groups.items():
            self._together(names, rows, ordered)

    def _one_by_one(self, waiting: list[Row | SampleSpan], chosen: set[str]) -> None:
        """Of metrics with spans readings and spans are taken in their order."""
        chosen_of: dict[Sequence[str], list[tuple[int, Series]]] = {}
        for entry in waiting:
            if isinstance(entry, SampleSpan):
                super().add_span(entry)
                continue
            names, at, values = entry
            places = chosen_of.get(names)
            if places is None:
                places = chosen_of[names] = [
                    (n, self.ensure(name)) for n, name in enumerate(names) if name in chosen
                ]
            for place, series in places:
                value = values[place]
                if value is not None:
                    series.add(at, value)

    def _together(self, names: Sequence[str], rows: list[Row], but: set[str]) -> None:
        ats = [at for _, at, _ in rows]
        numbers = [int(at // 1) for at in ats]
        rising = all(map(lt, numbers, numbers[1:]))
        for name, column in zip(names, zip(*[row[2] for row in rows], strict=True), strict=True):
            if name in but:
                continue
            whole = None not in column
            if not whole and not any(value is not None for value in column):
                continue
            series = self.ensure(name)
            if whole and rising and numbers[0] > series.fine.newest and numbers[0] >= 0:
                assert isinstance(series, RecentSeries)
                series.append(ats[-1], numbers, column)
                continue
            for at, value in zip(ats, column, strict=True):
                if value is not None:
                    series.add(at, value)

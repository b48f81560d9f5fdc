"""Values that weigh as long as they lasted: mean, median and percentiles over time, and a chart.

Both keep a bounded amount of memory however long the run is.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from gputop.model.metrics import Unit

RESOLUTIONS: dict[Unit, float] = {
    Unit.RATIO: 0.001, Unit.BYTES: 2**20, Unit.WATT: 0.1, Unit.CELSIUS: 0.1, Unit.MHZ: 1.0,
}  # fmt: skip
"""How finely medians and percentiles tell values apart; means and extremes are exact."""

MOST_COLUMNS = 240
Piece = tuple[int, int, float]
"""Which value, the number of the column, and for how many seconds it was that there."""


class Weighted:
    """The distribution of one quantity over time."""

    __slots__ = ("_resolution", "_seconds", "_sum", "covered_s", "maximum", "minimum")

    def __init__(self, resolution: float) -> None:
        self._resolution = resolution
        self._seconds: dict[int, float] = {}
        self._sum = 0.0
        self.covered_s = 0.0
        """Seconds that readings speak for."""
        self.minimum: float | None = None
        self.maximum: float | None = None

    def add(self, value: float, seconds: float) -> None:
        """The quantity was `value` for `seconds`."""
        step = round(value / self._resolution)
        self._seconds[step] = self._seconds.get(step, 0.0) + seconds
        self._sum += value * seconds
        self.covered_s += seconds
        self.touch(value, value)

    def add_all(self, values: Sequence[float], seconds: Sequence[float]) -> None:
        """The same for many, all of which were touched already."""
        resolution, known = self._resolution, self._seconds
        total, covered = self._sum, self.covered_s
        for value, lasted in zip(values, seconds, strict=True):
            step = round(value / resolution)
            known[step] = known.get(step, 0.0) + lasted
            total += value * lasted
            covered += lasted
        self._sum, self.covered_s = total, covered

    def touch(self, low: float, high: float) -> None:
        """The quantity was seen this low and this high, for whatever time."""
        if self.minimum is None or low < self.minimum:
            self.minimum = low
        if self.maximum is None or high > self.maximum:
            self.maximum = high

    @property
    def integral(self) -> float:
        """Value times seconds."""
        return self._sum

    @property
    def mean(self) -> float | None:
        """Over the time covered; None where none is."""
        return self._sum / self.covered_s if self.covered_s else None

    def quantile(self, share: float) -> float | None:
        """The lowest value that the quantity did not exceed for `share` of the time covered."""
        if not self.covered_s or self.minimum is None or self.maximum is None:
            return None
        wanted, passed, found = share * self.covered_s, 0.0, 0
        for found in sorted(self._seconds):
            passed += self._seconds[found]
            if passed >= wanted * (1 - 1e-12):
                break
        return min(max(found * self._resolution, self.minimum), self.maximum)

    def seconds_below(self, edge: float) -> float:
        """Seconds in which the quantity was below `edge`, to the resolution."""
        return sum(s for step, s in self._seconds.items() if step * self._resolution < edge)

    def tenths(self) -> list[float]:
        """Seconds of a ratio in each tenth: from 0 up to 0.1, ..., from 0.9 to 1 and beyond."""
        bins = [0.0] * 10
        for step, seconds in self._seconds.items():
            thousandths = round(step * self._resolution * 1000)  # 0.3 // 0.1 is 2
            bins[min(max(thousandths // 100, 0), 9)] += seconds
        return bins


class Columns:
    """A quantity over time in at most `MOST_COLUMNS` equal spans, which widen as time passes."""

    __slots__ = ("_highs", "_seconds", "_sums", "begin", "width_s")

    def __init__(self, begin: float, width_s: float = 1.0) -> None:
        self.begin = begin
        self.width_s = width_s
        self._sums: list[float] = []
        self._seconds: list[float] = []
        self._highs: list[float] = []

    def add(self, start: float, end: float, value: float, high: float) -> None:
        """The quantity was `value`, and at most `high`, between two moments."""
        while end - self.begin > self.width_s * MOST_COLUMNS:
            self.widen()
        at = start
        number = max(int((at - self.begin) // self.width_s), 0)
        while at < end and number < MOST_COLUMNS:
            until = min(end, self.begin + (number + 1) * self.width_s)
            if until > at:
                self._put(number, value, until - at, high)
                at = until
            number += 1

    def cut(
        self, starts: Sequence[float], ends: Sequence[float], first: int
    ) -> tuple[list[Piece], int]:
        """Stretches of time from the number `first` on cut at the edges of the columns, up to one
        that reaches beyond the last column; and the number of that.
        """
        begin, width = self.begin, self.width_s
        pieces: list[Piece] = []
        for which in range(first, len(starts)):
            at, end = starts[which], ends[which]
            if end - begin > width * MOST_COLUMNS:
                return pieces, which
            number = max(int((at - begin) // width), 0)
            while at < end and number < MOST_COLUMNS:
                until = min(end, begin + (number + 1) * width)
                if until > at:
                    pieces.append((which, number, until - at))
                    at = until
                number += 1
        return pieces, len(starts)

    def add_all(self, pieces: Sequence[Piece], values: Sequence[float]) -> None:
        """Add what was cut: the quantity was values[n] in the pieces of the stretch n."""
        if pieces:
            self._grow(max(number for _, number, _ in pieces) + 1)
        sums, known, highs = self._sums, self._seconds, self._highs
        for which, number, seconds in pieces:
            value = values[which]
            sums[number] += value * seconds
            known[number] += seconds
            if value > highs[number]:
                highs[number] = value

    def _put(self, number: int, value: float, seconds: float, high: float) -> None:
        self._grow(number + 1)
        self._sums[number] += value * seconds
        self._seconds[number] += seconds
        if high > self._highs[number]:
            self._highs[number] = high

    def _grow(self, count: int) -> None:
        missing = count - len(self._sums)
        if missing > 0:
            self._sums += [0.0] * missing
            self._seconds += [0.0] * missing
            self._highs += [float("-inf")] * missing

    def widen(self) -> None:
        """Two columns become one."""
        self.width_s *= 2

        def pairs(numbers: list[float], empty: float) -> itertools.zip_longest[tuple[float, float]]:
            return itertools.zip_longest(numbers[::2], numbers[1::2], fillvalue=empty)

        self._sums = [a + b for a, b in pairs(self._sums, 0.0)]
        self._seconds = [a + b for a, b in pairs(self._seconds, 0.0)]
        self._highs = [max(a, b) for a, b in pairs(self._highs, float("-inf"))]

    def means(self) -> list[float | None]:
        """The mean of each column; None where nothing was read."""
        cells = zip(self._sums, self._seconds, strict=True)
        return [total / seconds if seconds else None for total, seconds in cells]

    def highs(self) -> list[float | None]:
        """The highest value in each column; None where nothing was read."""
        cells = zip(self._highs, self._seconds, strict=True)
        return [high if seconds else None for high, seconds in cells]

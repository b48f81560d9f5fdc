"""What was read, over time: rings of fixed size, keyed on CLOCK_BOOTTIME.

Every charted metric keeps a bucket a second for an hour and a bucket a minute for a day. A bucket
holds the lowest, mean and highest reading in it; a bucket without a reading is a gap and stays
one. The memory is reserved at once and given by the kernel page by page as it is filled; after half
an hour all of it is taken, so that from then on it stands still: growth is a leak.
"""

from __future__ import annotations

import itertools
import math
import mmap
import struct
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from gputop.model.frame import SampleSpan
from gputop.model.metrics import Aggregate

OLD_S = 3
"""A reading more than this many seconds behind the newest rewrites the past."""

MOST_READINGS = 65_536
"""Readings a bucket counts; beyond that its mean hardly moves."""
RESERVE_AFTER_S = 1800
"""A session this long takes the memory of a day."""
_BUCKET = struct.Struct("4f")
LOW, MEAN, HIGH, COUNT = range(4)
"""The numbers of a bucket."""
FOREVER = 1 << 62
_revisions = itertools.count()


class Span(NamedTuple):
    """What a stretch of time held."""

    low: float
    mean: float
    high: float

    def by(self, aggregate: Aggregate) -> float:
        """The one number that stands for the span."""
        if aggregate == "mean":
            return self.mean
        return self.low if aggregate == "low" else self.high


class Stretch(NamedTuple):
    """What a stretch of time held, and how much of it was read."""

    span: Span
    read: int
    """Buckets with a reading."""
    reach_s: int
    """Seconds from the begin of the first of them to the end of the last."""


class Cells(NamedTuple):
    """Buckets that hold a reading, side by side, the oldest first."""

    numbers: Sequence[int]
    lows: Sequence[float]
    means: Sequence[float]
    highs: Sequence[float]


NO_CELLS = Cells((), (), (), ())


class Ring:
    """Buckets of `width` seconds, `size` of them; the oldest makes room for the newest."""

    __slots__ = ("_cells", "newest", "reserved", "size", "width")

    def __init__(self, width: int, size: int) -> None:
        self.reserved = False
        """True once all of its memory was taken."""
        self.width = width
        self.size = size
        self.newest = -1
        """Number of the newest bucket, counted from boot; -1 before the first reading."""
        # Untouched anonymous memory reads as zero and costs nothing: a count of 0 is a gap. A
        # bucket's four numbers lie side by side, so that a short history touches few pages.
        memory = mmap.mmap(-1, size * 4 * 4, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self._cells: memoryview[float] = memoryview(memory).cast("f")

    def reserve(self) -> None:
        """Take all of its memory at once, where it would be taken page by page."""
        cells = self._cells
        for at in range(0, len(cells), mmap.PAGESIZE // cells.itemsize):
            cells[at] = cells[at]
        self.reserved = True

    def add(self, at: float, low: float, mean: float, high: float, count: int) -> None:
        """Put a reading, or the summary of `count` readings, into the bucket of moment `at`."""
        number = int(at // self.width)
        place = number % self.size * _BUCKET.size
        if number == self.newest + 1:  # the usual case: what stands in the bucket is too old
            self.newest = number
            kept = count if count < MOST_READINGS else MOST_READINGS
            _BUCKET.pack_into(self._cells, place, low, mean, high, kept)
            return
        if (number != self.newest or number < 0) and not self._make_room(number):
            return
        # Packed and unpacked whole: half the time of four numbers one by one.
        had_low, had_mean, had_high, had = _BUCKET.unpack_from(self._cells, place)
        if had:
            low = low if low < had_low else had_low
            mean = had_mean + (mean - had_mean) * (count / (had + count))
            high = high if high > had_high else had_high
            count += had
        kept = count if count < MOST_READINGS else MOST_READINGS
        _BUCKET.pack_into(self._cells, place, low, mean, high, kept)

    def _make_room(self, number: int) -> bool:
        """Open the bucket `number`; False when it is older than the ring reaches."""
        if number <= self.newest:
            return number > self.newest - self.size and number >= 0
        # Before the first reading every bucket is a gap already.
        skipped = min(number - self.newest, self.size) if self.newest >= 0 else 0
        for fresh in range(number - skipped + 1, number + 1):
            if self._cells[fresh % self.size * 4 + COUNT]:
                self._cells[fresh % self.size * 4 + COUNT] = 0
        self.newest = number
        return True

    @property
    def oldest(self) -> int | None:
        """Number of the oldest bucket with a reading; None when there is none."""
        first = max(self.newest - self.size + 1, 0)
        held = (n for n in range(first, self.newest + 1) if self._cells[n % self.size * 4 + COUNT])
        return next(held, None)

    def span(self, start: float, end: float) -> Span | None:
        """What lay in [start, end), both rounded to buckets; None when nothing was read."""
        cells = self._cut(start, end)[1]
        counts = cells[COUNT::4]
        lows, means, highs = cells[LOW::4], cells[MEAN::4], cells[HIGH::4]
        if not all(counts):
            lows, means, highs = (
                list(itertools.compress(part, counts)) for part in (lows, means, highs)
            )
        # A bucket is a stretch of time: it weighs the same however often it was read.
        return Span(min(lows), sum(means) / len(means), max(highs)) if lows else None

    def stretch(self, start: float, end: float) -> Stretch | None:
        """What lay in [start, end), and how much of it was read; None when nothing was."""
        cells = self._cut(start, end)[1]
        counts = cells[COUNT::4]
        lows, means, highs = cells[LOW::4], cells[MEAN::4], cells[HIGH::4]
        reach = len(counts)
        if not all(counts):
            read = [n for n, count in enumerate(counts) if count]
            if not read:
                return None
            lows, means, highs = ([part[n] for n in read] for part in (lows, means, highs))
            reach = read[-1] + 1 - read[0]
        if not lows:
            return None
        span = Span(min(lows), sum(means) / len(lows), max(highs))
        return Stretch(span, len(lows), reach * self.width)

    def cells(self, start: float, end: float) -> Cells:
        """The buckets in [start, end) that hold a reading."""
        first, cells = self._cut(start, end)
        counts = cells[COUNT::4]
        numbers: Sequence[int] = range(first, first + len(counts))
        lows, means, highs = cells[LOW::4], cells[MEAN::4], cells[HIGH::4]
        if not all(counts):
            numbers = list(itertools.compress(numbers, counts))
            lows, means, highs = (
                list(itertools.compress(part, counts)) for part in (lows, means, highs)
            )
        return Cells(numbers, lows, means, highs)

    def _cut(self, start: float, end: float) -> tuple[int, list[float]]:
        """The number of the first bucket in [start, end), and the numbers in it and those behind
        it, four a bucket.
        """
        first = max(int(start // self.width), self.newest - self.size + 1, 0)
        last = math.ceil(end / self.width) if end < FOREVER else self.newest + 1
        count = min(last, self.newest + 1) - first
        if count <= 0:
            return first, []
        at = first % self.size
        cells: list[float] = []
        cells += self._cells[at * 4 : (at + count) * 4].tolist()
        if at + count > self.size:
            cells += self._cells[: (at + count - self.size) * 4].tolist()
        return first, cells


class Series:
    """One metric of one device (or of the host) over time."""

    __slots__ = ("_last_at", "_reserve_at", "coarse", "fine", "revision")

    FINE = (1, 3600)
    COARSE = (60, 1440)

    def __init__(self) -> None:
        self.fine, self.coarse = self._rings()
        self._last_at = float("-inf")
        self._reserve_at: float | None = None
        self.revision = next(_revisions)
        """Another one when something older than a few seconds was written: columns must be
        redone. No two series share one, so those of a host that was rebuilt are redone too.
        """

    def _rings(self) -> tuple[Ring, Ring]:
        return Ring(*self.FINE), Ring(*self.COARSE)

    def add(self, at: float, value: float) -> None:
        """A reading taken at CLOCK_BOOTTIME `at`. The same reading repeated counts once."""
        if at == self._last_at:
            return
        self._last_at = at
        self.add_span(at, value, value, value, 1)

    def add_span(self, at: float, low: float, mean: float, high: float, count: int) -> None:
        """The summary of `count` readings around the moment `at`."""
        if at < self.fine.newest - OLD_S:
            self.revision = next(_revisions)
        self.fine.add(at, low, mean, high, count)
        self.coarse.add(at, low, mean, high, count)
        if self._reserve_at is None:
            self._reserve_at = at + RESERVE_AFTER_S
        elif at >= self._reserve_at and not self.coarse.reserved:
            self.fine.reserve()
            self.coarse.reserve()

    @property
    def oldest(self) -> float | None:
        """CLOCK_BOOTTIME of the oldest bucket that holds a reading; None before the first."""
        # While the finer ring reaches back to the first reading, it knows better when that was.
        coarse, fine = self.coarse.oldest, self.fine.oldest
        if coarse is None or fine is None:
            return None
        begun = coarse * self.coarse.width
        return float(max(begun, fine) if fine - begun < self.coarse.width else begun)

    def span(self, start: float, end: float) -> Span | None:
        """What lay between two moments, from the finest ring that reaches back that far."""
        return self._ring(start).span(start, end)

    def stretch(self, start: float, end: float) -> Stretch | None:
        """The same, with how much of it was read."""
        return self._ring(start).stretch(start, end)

    def _ring(self, start: float) -> Ring:
        """The finest ring that reaches back to a moment."""
        reach = (self.fine.newest + 1 - self.fine.size) * self.fine.width
        return self.fine if start >= reach or self.fine.newest < 0 else self.coarse

    def columns(
        self, numbers: Iterable[int], width: int, until: float = float("inf")
    ) -> list[Span | None]:
        """One span a column; column `n` stands for [n * width, (n + 1) * width) seconds, or as
        much of it as lies before `until`.
        """
        return [self.span(n * width, min((n + 1) * width, until)) for n in numbers]


class History:
    """The series of one device or host, made when their first value comes."""

    __slots__ = ("_series",)

    make: type[Series] = Series

    def __init__(self) -> None:
        self._series: dict[str, Series] = {}

    def series(self, name: str) -> Series | None:
        """The series of a metric, None before its first value."""
        return self._series.get(name)

    def add_row(self, names: Sequence[str], at: float, values: Sequence[float | None]) -> None:
        """Take the values that were read at one moment; one that is None was not."""
        for name, value in zip(names, values, strict=True):
            if value is not None:
                self.ensure(name).add(at, value)

    def add_span(self, span: SampleSpan) -> None:
        """Take what the driver buffered of a metric."""
        self.ensure(span.metric).add_span(
            (span.start_s + span.end_s) / 2, span.minimum, span.mean, span.maximum, span.count
        )

    def ensure(self, name: str) -> Series:
        """The series of a metric, made if need be."""
        series = self._series.get(name)
        if series is None:
            series = self._series[name] = self.make()
        return series

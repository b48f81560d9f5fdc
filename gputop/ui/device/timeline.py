"""Which stretch of time the charts show, and where their cursor stands.

Times are CLOCK_BOOTTIME seconds, as the history has them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from gputop.state.history import Series
from gputop.state.windows import NICE_WIDTHS, Window

DOTS = 2.0
"""Columns of braille dots in a cell: a line never has more points than that."""
FINE_S = Series.FINE[0] * Series.FINE[1]
COARSE_S = Series.COARSE[0]
REACH_S = Series.COARSE[0] * Series.COARSE[1]
"""How far the history goes back; it has a bucket a second for the last `FINE_S` of it only."""
FRESHEN_S = 10.0
"""A chart whose columns are wider than this takes up new readings after so long all the same."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """What a chart of `cells` columns shows: [start, end), summed up in buckets."""

    start: float
    end: float
    cells: int
    bucket_s: int
    until: float = field(compare=False)
    """Nothing that was read later is shown: a frozen picture stays frozen."""
    drawn_at: int = 0
    """Changes as often as the picture must be drawn anew while the stretch stays."""

    @property
    def cell_s(self) -> float:
        """Seconds of a column."""
        return (self.end - self.start) / self.cells

    @property
    def step_s(self) -> float:
        """How far a key moves the cursor: a column, and at least to the next reading."""
        return max(self.cell_s, self.bucket_s)

    @property
    def window(self) -> Window:
        """The buckets, as the history sums them up."""
        newest = math.ceil(self.end / self.bucket_s) - 1
        first = int(self.start // self.bucket_s)
        return Window(self.bucket_s, newest - first + 1, newest, min(self.end, self.until))

    def x(self, moment: float) -> float:
        """Where a moment stands, in columns from the left edge."""
        return (moment - self.start) / self.cell_s

    def column(self, moment: float) -> int | None:
        """The column of a moment, None outside."""
        x = math.floor(self.x(moment))
        return x if 0 <= x < self.cells else None


def bucket_s(seconds: float, points: float, period_s: float, coarse: bool) -> int:
    """Seconds to a bucket: at most so many, none narrower than the readings are apart."""
    least = max(seconds / points, period_s)
    if not coarse:
        return next((w for w in NICE_WIDTHS if w >= least), math.ceil(least))
    minutes = math.ceil(max(least, COARSE_S) / COARSE_S)
    return minutes * COARSE_S


class Timeline:
    """Follows the newest reading, until the cursor or a page stops it."""

    def __init__(self) -> None:
        self.end: float | None = None
        """The right edge; None while it follows."""
        self.cursor: float | None = None

    @property
    def following(self) -> bool:
        """True while the newest reading stands at the right edge."""
        return self.end is None

    def follow(self) -> None:
        """Back to now."""
        self.end = self.cursor = None

    def stretch(
        self, seconds: float, cells: int, now: float, period_s: float, dots: float = DOTS
    ) -> Stretch:
        """What a chart of `cells` columns shows of a window of `seconds`, with at most so many
        points to a column.
        """
        cell = seconds / cells
        step = max(cell, period_s)
        live = (math.floor(now / step) + 1) * step
        end = live if self.end is None else min(self.end, live)
        if self.cursor is not None and not end - seconds <= self.cursor <= end:
            end = min(self.cursor + seconds / 2, live)  # another window: the cursor stays in it
        coarse = end - seconds < now - FINE_S
        bucket = bucket_s(seconds, cells * dots, period_s, coarse)
        fresh = int(now // FRESHEN_S) if end >= now and cell > FRESHEN_S else 0
        return Stretch(end - seconds, end, cells, bucket, now, fresh)

    def move(self, steps: int, stretch: Stretch) -> None:
        """Move the cursor by columns; the first key puts it on the newest reading."""
        newest = min(stretch.until, stretch.end)
        self.go(newest if self.cursor is None else self.cursor + steps * stretch.step_s, stretch)

    def go(self, moment: float, stretch: Stretch) -> None:
        """Put the cursor on a moment; at an edge time scrolls under it."""
        self.cursor = min(max(moment, stretch.until - REACH_S, 0.0), stretch.until)
        self.end = stretch.end + min(self.cursor - stretch.start, 0.0)
        self.end += max(self.cursor - self.end, 0.0)

    def page(self, pages: float, stretch: Stretch) -> None:
        """Scroll by so many windows, the cursor with it; past the newest reading it follows."""
        seconds = stretch.end - stretch.start
        oldest = max(stretch.until - REACH_S, 0.0) + seconds
        end = max(stretch.end + pages * seconds, min(oldest, stretch.end))
        if end > stretch.until + stretch.step_s or (pages > 0 and end >= stretch.until):
            self.follow()
            return
        if self.cursor is not None:
            self.cursor += end - stretch.end
        self.end = end

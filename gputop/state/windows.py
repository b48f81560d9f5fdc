"""The time columns of a chart: spans of whole seconds, aligned to the clock.

All charts of a screen share one window, so they move together and stay comparable. A column keeps
its span once it is past; only the newest ones are summed up again on each tick.
"""

from __future__ import annotations

import math

from msgspec import Struct

from gputop.state.history import OLD_S, History, Span

NICE_WIDTHS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 30, 40, 60, 90, 120, 180, 240, 300, 360, 480,
               600, 720, 900, 1200, 1440, 1800, 3600)  # fmt: skip


class Window(Struct, frozen=True):
    """What a chart shows: `count` columns of `width` seconds, the last holding `end`."""

    width: int
    count: int
    newest: int
    end: float = float("inf")
    """Nothing that was read later is shown: a frozen picture stays frozen."""

    @classmethod
    def over(cls, seconds: float, count: int, end: float, period_s: float = 1.0) -> Window:
        """The window of `count` columns that reaches at least `seconds` back from `end`.

        A column is never narrower than the time between two readings: else every other one
        would look like a gap.
        """
        least = max(seconds / max(count, 1), period_s)
        width = next((w for w in NICE_WIDTHS if w >= least), math.ceil(least))
        return cls(width, count, int(end // width), end)

    @property
    def numbers(self) -> range:
        """The numbers of its columns, oldest first."""
        return range(self.newest - self.count + 1, self.newest + 1)

    @property
    def seconds(self) -> int:
        """How far it reaches."""
        return self.width * self.count


class Columns:
    """The columns of one metric's chart, kept from one picture to the next."""

    __slots__ = ("_columns", "_first", "_past", "_revision", "_width")

    def __init__(self) -> None:
        self._width = 0
        self._first = 0
        self._columns: list[Span | None] = []
        self._revision = -1
        self._past = 0
        """Number of the first column that was not past yet when it was summed up."""

    def get(self, history: History, name: str, window: Window) -> list[Span | None]:
        """One span a column, oldest first; None where nothing was read."""
        series = history.series(name)
        if series is None:
            return [None] * window.count
        numbers = window.numbers
        # What lies behind this is written only together with another revision.
        settled_s = (series.fine.newest - OLD_S) * series.fine.width
        fresh_from = min(settled_s // window.width, window.newest)
        kept: list[Span | None] = []
        if self._width == window.width and self._revision == series.revision:
            # Of what was drawn last time, all that is past and still in view stays as it is.
            start = numbers.start - self._first
            stop = min(fresh_from, self._past) - self._first
            if 0 <= start < stop:
                kept = self._columns[start:stop]
        rest = range(numbers.start + len(kept), numbers.stop)
        self._columns = kept + series.columns(rest, window.width, window.end)
        self._width, self._first, self._revision = window.width, numbers.start, series.revision
        self._past = min(fresh_from, numbers.stop)
        return self._columns

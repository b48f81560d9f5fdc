"""Many readings of one device at once: what :class:`gputop.report.series.Series` does one by one,
to the same numbers, in a fraction of the time.

The quantities of a device that are read together also speak for the same stretches of time: these
are worked out once, and each quantity then goes through its values in one tight loop.
"""

from __future__ import annotations

from collections.abc import Sequence

from gputop.report.series import SLACK_S, Series, Window
from gputop.report.weights import Columns, Piece


class Stretches:
    """What readings made at `ats` (in the order of time) speak for, after one made at `until`."""

    __slots__ = ("_cuts", "_ends", "_starts", "inside", "lasted", "rows", "until", "whole")

    def __init__(
        self, ats: Sequence[float], until: float | None, longest_s: float, window: Window
    ) -> None:
        self.until = until
        """When the newest of them was made."""
        self.rows: list[int] = []
        """The numbers of the readings that speak for some time."""
        self.lasted: list[float] = []
        """For how long each of these does."""
        self.inside: list[int] = []
        """The numbers of all that were made in the window or speak for time there."""
        self._starts: list[float] = []
        self._ends: list[float] = []
        self._cuts: dict[tuple[float, float, int], tuple[list[Piece], int]] = {}
        begin, finish = window
        for row, at in enumerate(ats):
            before = self.until
            if before is not None and at <= before:
                continue
            self.until = at
            if before is not None and at - before <= longest_s:
                start = before if before > begin else begin
                end = at if at < finish else finish
                if end - start > SLACK_S:
                    self.rows.append(row)
                    self.lasted.append(end - start)
                    self._starts.append(start)
                    self._ends.append(end)
                    self.inside.append(row)
                    continue
            if begin <= at <= finish:
                self.inside.append(row)
        self.whole = len(self.rows) == len(ats)
        """Whether each of them speaks for some time."""

    def add_to(self, series: Series, values: Sequence[float]) -> None:
        """Add the values that were read."""
        series.until = self.until
        rows, lasted = self.rows, self.lasted
        speaking = values if self.whole else [values[row] for row in rows]
        seen = values if self.whole else [values[row] for row in self.inside]
        if seen:
            series.weighted.touch(min(seen), max(seen))
        series.weighted.add_all(speaking, lasted)
        if series.columns is not None:
            self._add_to_columns(series.columns, speaking)

    def _add_to_columns(self, columns: Columns, values: Sequence[float]) -> None:
        first = 0
        while first < len(values):
            pieces, fitting = self._cut(columns, first)
            if fitting == first:
                columns.widen()
            else:
                columns.add_all(pieces, values)
                first = fitting

    def _cut(self, columns: Columns, first: int) -> tuple[list[Piece], int]:
        """The stretches from `first` on cut at the columns' edges, up to the first that lies
        beyond the last column; and its number.
        """
        key = (columns.begin, columns.width_s, first)
        found = self._cuts.get(key)
        if found is None:
            found = self._cuts[key] = columns.cut(self._starts, self._ends, first)
        return found

"""What the table holds between two frames: order, filter, tags, folding and the cursor.

The cursor belongs to a process and not to a place on the screen; so do tags and unfolding.
"""

from __future__ import annotations

from collections.abc import Sequence

from gputop.query import Filter
from gputop.state.process_history import ProcessKey
from gputop.ui.processes.columns import BY_KEY, DEFAULT_SORT, Column, sorted_rows
from gputop.ui.processes.rows import Row, RowKey


class TableModel:
    """The rows that are shown, top to bottom, and the one under the cursor."""

    def __init__(self) -> None:
        self.column: Column = BY_KEY[DEFAULT_SORT]
        """The column rows are sorted by."""
        self.reverse = False
        """True for the direction that is not the column's own."""
        self.filter = Filter()
        self.all: Sequence[Row] = ()
        """A row a process, before filter and sort."""
        self.shown: list[Row] = []
        """What is on the screen and above and below it, unfolded rows included."""
        self.cursor = 0
        """Index in `shown` of the row under the cursor."""
        self.cursor_key: RowKey | None = None
        self.lost: Row | None = None
        """The row that was under the cursor until its process left; see `forget_lost`."""
        self._tags: set[ProcessKey] = set()
        self._unfolded: set[ProcessKey] = set()

    @property
    def current(self) -> Row | None:
        """The row under the cursor."""
        return self.shown[self.cursor] if self.shown else None

    @property
    def tagged(self) -> list[Row]:
        """The tagged processes that are there, whether the filter lets them through or not."""
        return [row for row in self.all if row.key.process in self._tags]

    @property
    def chosen(self) -> list[Row]:
        """What an action is about: the tagged processes, else the one under the cursor."""
        tagged = self.tagged
        if tagged or self.current is None:
            return tagged
        key = self.current.key.process
        return [row for row in self.all if row.key.process == key]

    def is_tagged(self, row: Row) -> bool:
        """Whether the row's process is tagged."""
        return row.key.process in self._tags

    def is_unfolded(self, row: Row) -> bool:
        """Whether the process has its devices below it."""
        return row.unfolds and row.key.process in self._unfolded

    # -- changes -------------------------------------------------------------------------------

    def load(self, rows: Sequence[Row]) -> None:
        """The processes of the next frame."""
        before = self.current
        self.all = rows
        self._arrange()
        if before is not None and all(r.key.process != before.key.process for r in rows):
            self.lost = before

    def forget_lost(self) -> None:
        """The loss was seen, or another key was pressed."""
        self.lost = None

    def set_filter(self, compiled: Filter) -> None:
        """Show the processes it lets through."""
        self.filter = compiled
        self._arrange()

    def set_sort(self, column: Column, reverse: bool = False) -> None:
        """Sort by a column, in its own direction or the other."""
        self.column, self.reverse = column, reverse
        self._arrange()

    def move_to(self, index: int) -> None:
        """Put the cursor on the row at `index`, or the nearest there is."""
        if self.shown:
            self.cursor = min(max(index, 0), len(self.shown) - 1)
            self.cursor_key = self.shown[self.cursor].key

    def toggle_tag(self) -> None:
        """Tag the process under the cursor, or take its tag away."""
        if self.current is not None:
            self._tags ^= {self.current.key.process}

    def clear_tags(self) -> None:
        """Take all tags away."""
        self._tags.clear()

    def toggle_fold(self) -> None:
        """Unfold the process under the cursor, or fold it; from a row of a device too."""
        row = self.current
        if row is not None and (row.unfolds or row.is_part):
            self._unfolded ^= {row.key.process}
            self._arrange()

    def _arrange(self) -> None:
        passing = [row for row in self.all if self.filter(row)]
        shown: list[Row] = []
        for row in sorted_rows(passing, self.column, self.reverse):
            shown.append(row)
            if self.is_unfolded(row):
                shown += row.parts()
        self.shown = shown
        self._find_cursor()

    def _find_cursor(self) -> None:
        """Follow the row; then its process; then stay at the place it had."""
        if not self.shown:
            self.cursor = 0
            return
        key = self.cursor_key
        if key is not None:
            for wanted in (key, RowKey(key.process)):
                for index, row in enumerate(self.shown):
                    if row.key == wanted:
                        self.move_to(index)
                        return
        self.move_to(self.cursor)

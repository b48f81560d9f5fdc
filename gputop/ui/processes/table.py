"""The process table as a widget: keys, mouse, scrolling, and what it says when it is empty."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import ClassVar

from rich.cells import cell_len
from textual import events
from textual.binding import BindingType
from textual.message import Message
from textual.strip import Strip

from gputop.actions.signals import Target
from gputop.model.frame import Process
from gputop.model.missing import PENDING
from gputop.query import Filter, Place, compile_filter
from gputop.state.process_history import ProcessKey, may_have_left
from gputop.text import clean, why
from gputop.ui.keys import Key, bindings
from gputop.ui.processes.columns import (
    Column,
    chosen_columns,
    sort_column,
)
from gputop.ui.processes.model import TableModel
from gputop.ui.processes.note import Note
from gputop.ui.processes.picture import Look, Picture, message
from gputop.ui.processes.rows import (
    Row,
    RowKey,
    RowOptions,
    build_rows,
    cards_of,
    compact_places,
    target_of,
)
from gputop.ui.view import DeviceView, View
from gputop.ui.widgets.base import LineWidget, blank
from gputop.ui.widgets.filter_bar import FilterBar

__all__ = ["TABLE_KEYS", "FilterBar", "ProcessTable"]

SCROLL = 8
"""Cells a key scrolls the command line by."""
WHEEL = 3
"""Rows a notch of the mouse wheel scrolls by."""
NOTED_S = 5.0
"""Seconds of the stream for which the header says that the cursor's process is gone."""


def _key(action: str, keys: str, shown: str, label: str, meaning: str, footer: int = 0) -> Key:
    moves = action.startswith(("row", "page", "first", "last", "scroll"))
    return Key(action, keys, shown, label, meaning, "Processes", footer, palette=not moves,
               live=action in ("tag", "signal"))  # fmt: skip


TABLE_KEYS: tuple[Key, ...] = (
    _key("row(-1)", "up,k", "↑ k", "up", "Process above."),
    _key("row(1)", "down,j", "↓ j", "down", "Process below."),
    _key("page(-1)", "pageup,ctrl+b", "PgUp", "page up", "A page up."),
    _key("page(1)", "pagedown,ctrl+f", "PgDn", "page down", "A page down."),
    _key("first", "home,g", "Home g", "first", "The first process."),
    _key("last", "end,G", "End G", "last", "The last process."),
    _key("scroll(-1)", "left,h", "← h", "left", "Show the beginning of long command lines."),
    _key("scroll(1)", "right,l", "→ l", "right", "Show the end of long command lines."),
    _key("open", "enter", "Enter", "open", "Open the process.", 4),
    _key("tag", "space", "Space", "tag", "Tag the process, or take its tag away.", 17),
    _key("signal", "K", "K", "signal", "Send a signal to the tagged processes, or to this one.",
         15),
    _key("fold", "u,o", "u o", "unfold", "Show a process's devices below it, or hide them."),
    _key("sort(1)", "s,greater_than_sign", "s >", "sort", "Sort by the next column.", 16),
    _key("sort(-1)", "less_than_sign", "<", "sort back", "Sort by the column before."),
    _key("reverse", "S", "S", "reverse", "Turn the order round."),
    _key("clear", "escape", "Esc", "clear", "Take the filter away, then the tags."),
)  # fmt: skip


class ProcessTable(LineWidget, can_focus=True):
    """The processes of a view. The cursor, tags and folding stay with the process."""

    BINDINGS: ClassVar[list[BindingType]] = bindings(TABLE_KEYS)

    class Opened(Message):
        """Enter or a double click on a process."""

        def __init__(self, key: ProcessKey) -> None:
            super().__init__()
            self.key = key

    class SignalRequested(Message):
        """The signal dialog is wanted for these processes."""

        def __init__(self, targets: list[Target]) -> None:
            super().__init__()
            self.targets = targets

    class SortChanged(Message):
        """Another order was chosen."""

        def __init__(self, sort_key: str, reverse: bool) -> None:
            super().__init__()
            self.sort_key = sort_key
            self.reverse = reverse

    class FilterCleared(Message):
        """Esc took the filter away."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self.model = TableModel()
        self.uid: int | None = os.getuid()
        """Whose processes are marked; None for nobody's, as in a recording from elsewhere."""
        self.hide_args = False
        """True to show programs without their arguments."""
        self.device: str | None = None
        """UUID of the only device whose processes are shown; None for all."""
        self._painter = Picture(chosen_columns(()))
        self._view = View()
        self._top = 0
        self._lost_at: float | None = None

    def on_mount(self) -> None:
        """Take columns, order and what to hide from the settings."""
        settings = self.gputop.settings
        self._painter = Picture(chosen_columns(settings.columns))
        self.model.set_sort(sort_column(settings.sort))
        self.hide_args = settings.hide_args

    # -- what others use -----------------------------------------------------------------------

    def load(self, processes: Sequence[Process], view: View) -> None:
        """Show these processes; `view` names the devices and says why there may be none."""
        self._view = view
        options = RowOptions(self.uid, view.utc_s, self.device, self.hide_args)
        told = self.model.lost
        self.model.load(build_rows(processes, cards_of(view.devices), options))
        lost = self.model.lost
        if lost is not None and lost is not told and not self._may_have_left(lost):
            self.model.forget_lost()
        self._age_note()
        self.repaint()

    @property
    def row_count(self) -> int:
        """Rows below the header that it has something to show in."""
        return max(len(self.model.shown), 1)

    @property
    def sort_key(self) -> str:
        """The key of the column it is sorted by."""
        return self.model.column.key

    @property
    def reverse(self) -> bool:
        """True when the order is not the column's own."""
        return self.model.reverse

    def sort_by(self, sort_key: str, reverse: bool = False) -> None:
        """Sort by the column with this key.

        Raises:
            SettingsError: there is no such column.
        """
        self._sort(sort_column(sort_key), reverse)

    def choose_columns(self, keys: Sequence[str]) -> None:
        """Show these columns, empty for the usual ones.

        Raises:
            SettingsError: there is no such column.
        """
        self._painter = Picture(chosen_columns(keys))
        self.repaint()

    @property
    def filter_text(self) -> str:
        """The filter in force, as it was written."""
        return self.model.filter.text

    @filter_text.setter
    def filter_text(self, text: str) -> None:
        """Filter anew; a text that is no filter raises QueryError and changes nothing."""
        self.set_filter(compile_filter(text))

    def set_filter(self, compiled: Filter) -> None:
        """Show the processes that a compiled filter lets through."""
        self.model.set_filter(compiled)
        self.repaint()

    @property
    def tagged(self) -> list[ProcessKey]:
        """The tagged processes that are still there."""
        return [row.key.process for row in self.model.tagged]

    @property
    def cursor_key(self) -> RowKey | None:
        """The row under the cursor."""
        row = self.model.current
        return row.key if row else None

    @property
    def current(self) -> Row | None:
        """What is known of the row under the cursor."""
        return self.model.current

    @property
    def targets(self) -> list[Target]:
        """What a signal would go to: the tagged processes, else the one under the cursor."""
        return [target_of(row.process) for row in self.model.chosen]

    # -- drawing -------------------------------------------------------------------------------

    def draw(self, width: int, height: int) -> list[Strip]:
        """A header and the rows around the cursor, or one sentence on why there are none."""
        look = self._look()
        page = max(height - 1, 1)
        self._follow_cursor(page)
        rows = self.model.shown[self._top : self._top + page]
        strips = self._painter.draw(self.model, rows, width, look, self._notes(page))[:height]
        if not rows:
            return strips + message(
                self._empty(), width, height - len(strips), look.palette, look.marks.cut
            )
        return strips + [blank(width, look.palette)] * (height - len(strips))

    def _look(self) -> Look:
        app = self.gputop
        return Look(app.palette, app.units, self.has_focus, app.ascii)

    def _follow_cursor(self, page: int) -> None:
        cursor = self.model.cursor
        top = min(max(self._top, cursor - page + 1), cursor)
        self._top = max(min(top, len(self.model.shown) - page), 0)

    def _notes(self, page: int) -> list[Note]:
        """What the header says at its right end, most important first."""
        notes = []
        if self.filter_text.strip() and not self.model.filter.unfinished:
            notes.append(Note((f"/{clean(self.filter_text.strip())}",), "accent", "(Esc clears)"))
        lost = self.model.lost
        if lost is not None:
            pid, name = str(lost.pid), lost.name or ""
            notes.append(Note((f"{pid} {name} left".replace("  ", " "), f"{pid} left"), "notice"))
        if count := self._count(page):
            notes.append(Note(count, "dim"))
        unread = self._unread()
        if unread and self.model.all:
            where = compact_places([Place(d.info.index, d.info.uuid) for d, _ in unread])
            notes.append(Note((f"GPU {where} not read", f"{where} not read", f"!{where}"),
                              "warning"))  # fmt: skip
        return notes

    def _count(self, page: int) -> tuple[str, ...]:
        """Where the rows in view stand among those the filter passes, and those among all."""
        shown, every = len(self.model.shown), len(self.model.all)
        passing = sum(not row.is_part for row in self.model.shown)
        filtered = (f"{passing} of {every}",) if self.filter_text.strip() and passing else ()
        if shown <= page:
            return filtered
        last = min(self._top + page, shown)
        place = f"{self._top + 1}{'-' if self.gputop.ascii else '–'}{last} of {shown}"
        return (f"{place} ({every} in all)", place, *filtered) if filtered else (place,)

    def _may_have_left(self, row: Row) -> bool:
        """A device whose list was not read says nothing of its processes."""
        frame, driver = self._view.frame, self._view.driver
        unread = {device.info.uuid for device, _ in self._unread()}
        return (
            driver.status == "ok"
            and frame is not None
            and not any(use.device in unread for use in row.process.uses)
            and may_have_left(row.process, frame)
        )

    def _empty(self) -> str:
        view = self._view
        if not view.ready:
            return "Waiting for the first reading."
        if self.model.all and self.model.filter.unfinished:
            return "The filter is not complete yet."
        if self.model.all:
            return f"No process matches the filter {clean(self.filter_text)} (Esc clears)."
        if view.driver.status != "ok":
            return _DRIVER_SAYS.get(view.driver.status, _NO_DRIVER)
        if not view.devices:
            return "No GPU is read yet."
        unread = self._unread()
        if unread:
            where = "".join(f" GPU {self._label(d)}: {why(reason)}." for d, reason in unread)
            return f"Process lists are not readable:{where}"
        return "No process uses this GPU." if self.device else "No process uses a GPU."

    def _unread(self) -> list[tuple[DeviceView, str]]:
        """The devices whose process list was not read, and why."""
        found = []
        for device in self._view.devices:
            if self.device in (None, device.info.uuid):
                reason = device.reading.reason("processes")
                if reason is None and device.reading.read_at.processes is None:
                    reason = PENDING
                if reason is not None:
                    found.append((device, reason))
        return found

    @staticmethod
    def _label(device: DeviceView) -> str:
        return clean(device.info.uuid) if device.info.index is None else str(device.info.index)

    def _age_note(self) -> None:
        """A loss is told for a few seconds."""
        if self.model.lost is None:
            self._lost_at = None
        elif self._lost_at is None:
            self._lost_at = self._view.now
        elif self._view.now - self._lost_at > NOTED_S:
            self._forget_lost()

    def _forget_lost(self) -> None:
        self.model.forget_lost()
        self._lost_at = None

    def watch_has_focus(self, has_focus: bool) -> None:
        """The cursor is bright where keys go. (An `on_focus` would come before the change.)"""
        super().watch_has_focus(has_focus)
        self.repaint()

    def on_resize(self) -> None:
        """Another size is another picture, with columns as wide as they need to be."""
        self._painter.forget_widths()

    # -- keys ----------------------------------------------------------------------------------

    def _move(self, index: int) -> None:
        self._forget_lost()
        self.model.move_to(index)
        self.repaint()

    def action_row(self, rows: int) -> None:
        """Move the cursor by rows."""
        self._move(self.model.cursor + rows)

    def action_page(self, pages: int) -> None:
        """Move the cursor by pages."""
        self._move(self.model.cursor + pages * max(self.size.height - 1, 1))

    def action_first(self) -> None:
        """Move to the first row."""
        self._move(0)

    def action_last(self) -> None:
        """Move to the last row."""
        self._move(len(self.model.shown) - 1)

    def action_scroll(self, steps: int) -> None:
        """Scroll the command lines sideways."""
        slot = self._painter.command_slot()
        if slot is None:
            return
        longest = max((cell_len(row.command) for row in self.model.shown), default=0)
        furthest = max(longest - slot.width + SCROLL, 0) // SCROLL * SCROLL
        scrolled = self._painter.scrolled + steps * SCROLL
        self._painter.scrolled = min(max(scrolled, 0), furthest)
        self.repaint()

    def action_open(self) -> None:
        """Open the process under the cursor."""
        if self.model.current is not None:
            self.post_message(self.Opened(self.model.current.key.process))

    def action_tag(self) -> None:
        """Tag or untag, and go on to the next row."""
        self.model.toggle_tag()
        self._move(self.model.cursor + 1)

    def action_fold(self) -> None:
        """Unfold or fold the process under the cursor."""
        self.model.toggle_fold()
        self.repaint()

    def action_signal(self) -> None:
        """Ask for the signal dialog, or say why there is none."""
        refusal = self.gputop.can_signal
        if refusal is not None:
            self.notify(refusal, severity="warning")
        elif targets := self.targets:
            self.post_message(self.SignalRequested(targets))

    def action_sort(self, steps: int) -> None:
        """Sort by the next visible column, or the one before."""
        columns = [slot.column for slot in self._painter.slots]
        if not columns:
            return
        if self.model.column in columns:
            place = (columns.index(self.model.column) + steps) % len(columns)
        else:
            place = 0
        self._sort(columns[place], False)

    def action_reverse(self) -> None:
        """Turn the order round."""
        self._sort(self.model.column, not self.model.reverse)

    def _sort(self, column: Column, reverse: bool) -> None:
        self.model.set_sort(column, reverse)
        self.repaint()
        self.post_message(self.SortChanged(column.key, reverse))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Esc is left to the screen where there is nothing to clear."""
        if action == "clear":
            return bool(self.filter_text or self.model.tagged)
        return super().check_action(action, parameters)

    def action_clear(self) -> None:
        """Take the filter away, or if there is none the tags."""
        if self.filter_text:
            self.set_filter(Filter())
            self.post_message(self.FilterCleared())
        else:
            self.model.clear_tags()
            self.repaint()

    # -- mouse ---------------------------------------------------------------------------------

    def on_click(self, event: events.Click) -> None:
        """A title sorts, a row takes the cursor, twice opens."""
        if event.y == 0:
            column = self._painter.column_at(event.x)
            if column is not None:
                again = column is self.model.column
                self._sort(column, not self.model.reverse if again else False)
            return
        index = self._top + event.y - 1
        if index < len(self.model.shown):
            self._move(index)
            if event.chain == 2:
                self.action_open()

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Scroll down; the cursor stays on the screen."""
        self._wheel(WHEEL, event)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Scroll up; the cursor stays on the screen."""
        self._wheel(-WHEEL, event)

    def _wheel(self, rows: int, event: events.MouseEvent) -> None:
        page = max(self.size.height - 1, 1)
        top = min(max(self._top + rows, 0), max(len(self.model.shown) - page, 0))
        if top != self._top:
            self._top = top
            self._move(min(max(self.model.cursor, top), top + page - 1))
        event.stop()


_NO_DRIVER = "Look around with `gputop --demo`; `gputop doctor` says what is missing."
"""What happened stands above, in place of the devices."""
_DRIVER_SAYS: dict[str, str] = {
    "starting": "The driver is being opened.",
    "released": "The driver is released; x takes it back.",
}

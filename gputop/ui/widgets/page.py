"""A page of rows that scrolls: help, warnings, a device's facts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, overload

from textual import events
from textual.binding import BindingType
from textual.strip import Strip

from gputop.ui.keys import Key, bindings
from gputop.ui.widgets.base import LineWidget, blank

SCROLL_KEYS: tuple[Key, ...] = tuple(
    Key(action, keys, shown, label, meaning, "Scrolling", palette=False)
    for action, keys, shown, label, meaning in (
        ("go(-1)", "up,k", "↑ k", "up", "A row up."),
        ("go(1)", "down,j", "↓ j", "down", "A row down."),
        ("go_page(-1)", "pageup,ctrl+b", "PgUp", "page up", "A page up."),
        ("go_page(1)", "pagedown,ctrl+f", "PgDn", "page down", "A page down."),
        ("go(-1000000)", "home,g", "Home g", "top", "To the first row."),
        ("go(1000000)", "end,G", "End G", "bottom", "To the last row."),
    )
)


class LazyRows(Sequence[Strip]):
    """Rows of a long page, each made when it comes into view."""

    def __init__(self, count: int, make: Callable[[int], Strip]) -> None:
        self._count, self._make = count, make

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> Strip: ...

    @overload
    def __getitem__(self, index: slice) -> list[Strip]: ...

    def __getitem__(self, index: int | slice) -> Strip | list[Strip]:
        if isinstance(index, int):
            return self._make(range(self._count)[index])
        return [self._make(number) for number in range(self._count)[index]]


class Page(LineWidget, can_focus=True):
    """Rows that a subclass makes in `rows`; with `picks` there is a cursor on one of them."""

    BINDINGS: ClassVar[list[BindingType]] = bindings(SCROLL_KEYS)
    picks = False

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self.top = 0
        self.cursor = 0
        self._count = 0
        self._made: Sequence[Strip] | None = None
        self._made_for = 0

    def reload(self) -> None:
        """Make the rows anew and draw them. Scrolling alone shows the rows as they were, so that
        a frozen picture stays frozen.
        """
        self._made = None
        self.repaint()

    def forget_picture(self) -> None:
        """Another theme is another set of rows."""
        self._made = None
        super().forget_picture()

    def rows(self, width: int) -> Sequence[Strip]:
        """Every row of the page."""
        raise NotImplementedError

    def draw(self, width: int, height: int) -> list[Strip]:
        """The rows in view."""
        if self._made is None or self._made_for != width or self.picks:
            self._made, self._made_for = self.rows(width), width
        rows = self._made
        self._count = len(rows)
        self.cursor = min(max(self.cursor, 0), max(len(rows) - 1, 0))
        if self.picks:
            self.top = min(max(self.top, self.cursor - height + 1), self.cursor)
        self.top = min(max(self.top, 0), max(len(rows) - height, 0))
        shown = list(rows[self.top : self.top + height])
        return shown + [blank(width, self.palette)] * (height - len(shown))

    def action_go(self, rows: int) -> None:
        """Scroll, or move the cursor, by so many rows."""
        if self.picks:
            self.cursor = min(max(self.cursor + rows, 0), max(self._count - 1, 0))
            self.moved()
        else:
            self.top = min(max(self.top + rows, 0), max(self._count - self.size.height, 0))
        self.repaint()

    def action_go_page(self, pages: int) -> None:
        """Scroll by so many pages."""
        self.action_go(pages * max(self.size.height - 1, 1))

    def moved(self) -> None:
        """The cursor stands on another row."""

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """The wheel scrolls three rows."""
        self.action_go(-3)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """The wheel scrolls three rows."""
        self.action_go(3)

    def on_click(self, event: events.Click) -> None:
        """A click moves the cursor."""
        if self.picks and self.top + event.y < self._count:
            self.cursor = self.top + event.y
            self.moved()
            self.repaint()

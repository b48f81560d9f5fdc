"""The line in which the process filter is typed; the table follows every key."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.message import Message
from textual.widgets import Input, Static

from gputop.query import Filter, QueryError, compile_filter


class FilterBar(Horizontal):
    """A prompt, the text, and beside it what is wrong with it."""

    DEFAULT_CSS = """
    FilterBar { height: 1; background: $surface; }
    FilterBar > #filter-prompt { width: 2; color: $accent; background: $surface; }
    FilterBar > Input {
        width: 1fr; height: 1; border: none; padding: 0; background: $surface;
    }
    FilterBar > Input:focus { border: none; }
    FilterBar > #filter-error {
        width: auto; max-width: 60%; height: 1; padding: 0 1; color: $warning; background: $surface;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "cancel", "Clear the filter", show=False, id="filter.cancel"),
    ]

    class Changed(Message):
        """Another filter is in force. It is not sent while the text is no filter."""

        def __init__(self, compiled: Filter) -> None:
            super().__init__()
            self.filter = compiled

    class Kept(Message):
        """Enter: the filter stays, the bar is no longer needed for typing."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    class Cleared(Message):
        """Esc: there is no filter any more."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self.input = Input(
            placeholder="text, or user:ann gpu:0 mem>10G", compact=True, select_on_focus=False
        )
        self.input.cursor_blink = False  # a blinking cursor costs more than the whole table
        self._error = Static("", id="filter-error", markup=False)

    def compose(self) -> ComposeResult:
        """Prompt, text, error."""
        yield Static("/ ", id="filter-prompt", markup=False)
        yield self.input
        yield self._error

    @property
    def text(self) -> str:
        """What is typed."""
        return self.input.value

    @property
    def error(self) -> str:
        """What is wrong with it, empty where nothing is."""
        return str(self._error.content)

    def open(self, text: str) -> None:
        """Show the bar with a filter to go on with, and take the keys."""
        self.display = True
        self.input.value = text
        self.input.cursor_position = len(text)
        self.input.focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filter with every key; an unfinished text leaves the last filter in force."""
        event.stop()
        try:
            compiled = compile_filter(event.value)
        except QueryError as error:
            self._error.update(str(error))
            return
        self._error.update("")
        self.post_message(self.Changed(compiled))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Keep the filter, if it is one."""
        event.stop()
        if not self.error:
            self.post_message(self.Kept(event.value))

    def action_cancel(self) -> None:
        """Clear the text."""
        self.input.value = ""
        self.post_message(self.Changed(Filter()))
        self.post_message(self.Cleared())

"""The line in which a filter is typed; what it filters follows every key."""

from __future__ import annotations

from typing import ClassVar

from msgspec.structs import replace
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widgets import Input, Static

from gputop.query import PROCESSES, Filter, Language, QueryError, compile_filter


class FilterBar(Vertical):
    """A prompt and the text, and below it the fields there are, or what is wrong with it."""

    DEFAULT_CSS = """
    FilterBar { height: auto; background: $surface; }
    FilterBar > Horizontal { height: 1; }
    FilterBar #filter-prompt { width: 2; color: $accent; background: $surface; }
    FilterBar Input { width: 1fr; height: 1; border: none; padding: 0; background: $surface; }
    FilterBar Input:focus { border: none; }
    FilterBar > Static { width: 1fr; height: auto; padding: 0 2; background: $surface; }
    FilterBar > #filter-hint { text-style: dim; }
    FilterBar > #filter-error { color: $warning; display: none; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "cancel", "Clear the filter", show=False, id="filter.cancel"),
    ]

    class Changed(Message):
        """Another filter is in force; the last good one, marked unfinished, while the text is no
        filter.
        """

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

    def __init__(
        self,
        language: Language = PROCESSES,
        example: str = "user:ann gpu:0 mem>10G",
        *,
        id: str | None = None,  # noqa: A002
    ) -> None:
        super().__init__(id=id)
        self._language = language
        self.input = Input(placeholder=f"text, or {example}", compact=True, select_on_focus=False)
        self.input.cursor_blink = False  # a blinking cursor costs more than the whole table
        self._error = Static("", id="filter-error", markup=False)
        self._hint = Static(
            f"Fields: {' '.join(field.name for field in language.fields)}",
            id="filter-hint",
            markup=False,
        )
        self._good = Filter()
        """What the text was when it last was a filter."""

    def compose(self) -> ComposeResult:
        """Prompt and text; error or hint."""
        with Horizontal():
            yield Static("/ ", id="filter-prompt", markup=False)
            yield self.input
        yield self._error
        yield self._hint

    @property
    def text(self) -> str:
        """What is typed."""
        return self.input.value

    @property
    def typing(self) -> bool:
        """True while keys go to the text."""
        return self.screen.focused is self.input

    @property
    def error(self) -> str:
        """What is wrong with it, empty where nothing is."""
        return str(self._error.content)

    def open(self, text: str) -> None:
        """Show the bar with a filter to go on with, and take the keys."""
        self.display = True
        self.input.value = text
        self.input.cursor_position = len(text)
        self.screen.set_focus(self.input)  # at once: the keys behind this one are the filter's

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filter with every key; an unfinished text leaves the last filter in force."""
        event.stop()
        try:
            self._good = compile_filter(event.value, self._language)
        except QueryError as error:
            self._say(str(error))
            self.post_message(self.Changed(replace(self._good, unfinished=True)))
        else:
            self._say("")
            self.post_message(self.Changed(self._good))

    def _say(self, error: str) -> None:
        self._error.update(error)
        self._error.display = bool(error)
        self._hint.display = not error

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

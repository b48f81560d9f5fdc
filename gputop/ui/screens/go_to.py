"""Where a time is typed that a replay jumps to."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from gputop.ui.screens.base import NewestSize

if TYPE_CHECKING:
    from gputop.ui.replay import Replay

HINT = "14:25   2026-11-21 14:25:30   90s from the start   +5m   -30s"


class GoToScreen(NewestSize, ModalScreen[None]):
    """A line to type in, over what was there."""

    DEFAULT_CSS = """
    GoToScreen { align: center middle; }
    GoToScreen > Vertical {
        width: 90%; max-width: 66; height: auto; background: $panel; padding: 1 2;
    }
    GoToScreen Input { height: 1; border: none; padding: 0; background: $surface; }
    GoToScreen Input:focus { border: none; }
    GoToScreen #go-to-hint { text-style: dim; }
    GoToScreen #go-to-error { color: $warning; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss", "close", show=False),
    ]

    def __init__(self, replay: Replay) -> None:
        super().__init__()
        self._replay = replay

    def compose(self) -> ComposeResult:
        """Title, line, hint."""
        line = Input(placeholder="a time", compact=True)
        line.cursor_blink = False
        with Vertical():
            yield Static("Go to", markup=False)
            yield line
            yield Static(HINT, id="go-to-hint", markup=False)
            yield Static("", id="go-to-error", markup=False)

    def on_mount(self) -> None:
        """Let the moment that it is about be seen."""
        self.styles.background = "transparent"  # the app has a rule for all screens

    def on_input_submitted(self, message: Input.Submitted) -> None:
        """Go there, or say what is wrong."""
        message.stop()
        if self.app.screen is not self:
            return  # a second Enter was on its way when the first was obeyed
        problem = self._replay.go_to(message.value)
        if problem:
            self.query_one("#go-to-error", Static).update(problem)
        else:
            self.dismiss()

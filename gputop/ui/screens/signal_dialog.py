"""The signal dialog: whom it is for, which signal, and what became of it.

The targets are opened with the dialog and held until it closes, so whatever happens to their
pids meanwhile, a signal reaches these processes or none.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from typing import ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.screen import ModalScreen
from textual.strip import Strip
from textual.timer import Timer

from gputop.actions.signals import (
    CHOICES,
    OpenTarget,
    OpenTargets,
    Outcome,
    SignalChoice,
    Status,
    Target,
    open_targets,
)
from gputop.ui.widgets.base import LineWidget
from gputop.ui.widgets.line import Line

MOMENT_S = 2.0
"""Seconds a signalled process has to end before it is said to be still running."""
MOST_LISTED = 12
WIDTH = 78
MARGIN = 2
FRAME_ROWS = 8
"""Rows besides the list: border, title, blanks, choices, meaning."""


class SignalPanel(LineWidget, can_focus=True):
    """Title, targets and choices, drawn as lines. `targets` are whatever they have become."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,h,shift+tab", "choose(-1)", "Choice before", show=False),
        Binding("right,l,tab", "choose(1)", "Next choice", show=False),
        Binding("t", "select('TERM')", "Select TERM", show=False),
        Binding("i", "select('INT')", "Select INT", show=False),
        Binding("k", "select('KILL')", "Select KILL", show=False),
        Binding("c", "select('')", "Select Cancel", show=False),
        Binding("enter", "press", "Do it", show=False),
    ]

    class Pressed(Message):
        """A choice was made: a signal, or None to close."""

        def __init__(self, choice: SignalChoice | None) -> None:
            super().__init__()
            self.choice = choice

    def __init__(self) -> None:
        super().__init__(id="signal-panel")
        self.targets: Sequence[OpenTarget] = ()
        self.ended: Collection[Target] = ()
        self.late: Collection[Target] = ()
        """Those that got a signal and were still running a moment later."""
        self.selected = 0
        """0 is to cancel or close; then the signals in their order."""
        self._places: list[tuple[int, int]] = []

    @property
    def ready(self) -> bool:
        """True while there is a target to send anything to."""
        return any(t.fd is not None and t.target not in self.ended for t in self.targets)

    @property
    def _labels(self) -> list[str]:
        sent = any(t.outcome.status is Status.SENT for t in self.targets)
        close = "Close" if sent or not self.ready else "Cancel"
        return [close, *(choice.label for choice in CHOICES)]

    def rows(self, height: int) -> int:
        """Rows it takes of `height`."""
        return min(FRAME_ROWS + min(len(self.targets), MOST_LISTED + 1), height)

    # -- drawing -------------------------------------------------------------------------------

    def draw(self, width: int, height: int) -> list[Strip]:
        """Everything inside the border, and the border."""
        count = len(self.targets)
        title = "Send a signal to this process?" if count == 1 else (
            f"Send a signal to these {count} processes?"
        )  # fmt: skip
        inner = [
            self._text(title, width, "strong"),
            self._text("", width),
            *self._list(width, max(height - FRAME_ROWS, 1)),
            self._text("", width),
            self._choices(width),
            self._text(self._meaning(), width, "dim"),
        ]
        strips = [self._edge(width, top=True), self._text("", width), *inner]
        del strips[max(height - 1, 0) :]
        strips += [self._text("", width)] * (height - 1 - len(strips))
        return [*strips, self._edge(width, top=False)]

    def _list(self, width: int, room: int) -> list[Strip]:
        """The targets, those that need a word first; the rest as a number."""
        order = sorted(self.targets, key=lambda t: t.outcome.status in (Status.READY, Status.SENT))
        shown = order if len(order) <= room else order[: room - 1]
        strips = [self._target(target, width) for target in shown]
        if len(order) > len(shown):
            strips.append(self._text(f"+ {len(order) - len(shown)} more", width, "dim"))
        return strips

    def _target(self, target: OpenTarget, width: int) -> Strip:
        said = self.sentence(target)
        status = target.outcome.status
        if status not in (Status.READY, Status.SENT):
            return self._text(said, width, "warning")
        return self._text(said, width, "notice" if status is Status.SENT else "text")

    def sentence(self, target: OpenTarget) -> str:
        """What there is to say of a target now."""
        who, said = str(target.target), target.outcome.sentence
        if target.outcome.status is Status.READY:
            return f"{who} has already ended." if target.target in self.ended else who
        if target.outcome.status is Status.SENT:
            if target.target in self.ended:
                return f"{said.removesuffix('.')} and ended."
            if target.target in self.late:
                return f"{said.removesuffix('.')} and is still running."
        return said

    def _meaning(self) -> str:
        if not self.ready:
            return "There is no process here that can be signalled."
        if self.selected == 0:
            return "Nothing is sent."
        choice = CHOICES[self.selected - 1]
        return f"{choice.label} {choice.meaning}."

    def _choices(self, width: int) -> Strip:
        palette, line = self.palette, self._line(width)
        plain = palette.style("text", "surface")
        self._places = []
        for number, label in enumerate(self._labels):
            chosen = number == self.selected
            text = f"[ {label} ]" if chosen else f"  {label}  "
            style = palette.style("text", "surface")
            if chosen:
                style = palette.style("strong", "selection", bold=True)
            elif number and not self.ready:
                style = palette.style("faint", "surface")
            start = width - line.room
            line.add(text, style).add(" ", plain)
            self._places.append((start, start + cell_len(text)))
        return self._finish(line)

    def _text(self, text: str, width: int, role: str = "text") -> Strip:
        line = self._line(width)
        room = max(line.room - MARGIN, 0)
        inner = Line(room).add(text, self.palette.style(role, "surface"))
        line.extend(inner.segments(self.palette.style("text", "surface")), room)
        return self._finish(line)

    def _line(self, width: int) -> Line:
        bar = self.gputop.glyphs.bar
        line = Line(width).add(bar, self.palette.style("border", "surface"))
        return line.gap(MARGIN - 1, self.palette.style("text", "surface"))

    def _finish(self, line: Line) -> Strip:
        plain = self.palette.style("text", "surface")
        line.until(line.width - 1, plain)
        line.add(self.gputop.glyphs.bar, self.palette.style("border", "surface"))
        return line.strip(plain)

    def _edge(self, width: int, *, top: bool) -> Strip:
        glyphs, style = self.gputop.glyphs, self.palette.style("border", "surface")
        left, right = (0, 1) if top else (2, 3)
        dashes = glyphs.dash * max(width - 2, 0)
        return Strip([Segment(f"{glyphs.corners[left]}{dashes}{glyphs.corners[right]}", style)])

    # -- keys and mouse ------------------------------------------------------------------------

    def _select(self, number: int) -> None:
        self.selected = number % len(self._labels) if self.ready else 0
        self.repaint()

    def action_choose(self, steps: int) -> None:
        """Go on to another choice."""
        self._select(self.selected + steps)

    def action_select(self, label: str) -> None:
        """Select a signal by its letter; Enter is what sends it."""
        self._select(next((n for n, c in enumerate(CHOICES, 1) if c.label == label), 0))

    def action_press(self) -> None:
        """Take the selected choice."""
        self.post_message(self.Pressed(CHOICES[self.selected - 1] if self.selected else None))

    def on_click(self, event: events.Click) -> None:
        """A click selects; a click on what is selected presses."""
        for number, (start, end) in enumerate(self._places):
            if start <= event.x < end and event.y == self._choices_row():
                if number == self.selected:
                    self.action_press()
                else:
                    self._select(number)

    def _choices_row(self) -> int:
        listed = max(self.size.height - FRAME_ROWS, 1)
        return 5 + min(len(self.targets), listed)


class SignalDialog(ModalScreen[list[Outcome]]):
    """Asks which signal to send, sends it, and tells what came of it.

    It is dismissed with an outcome for every target: READY where nothing was sent.
    """

    DEFAULT_CSS = """
    SignalDialog { align: center middle; background: transparent; }
    SignalDialog > SignalPanel { height: 10; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "close", "Close", show=False),
    ]

    def __init__(self, targets: Sequence[Target], protected: Collection[int] = ()) -> None:
        """`protected` are pids that nothing is sent to, such as the collector's."""
        super().__init__()
        self._wanted, self._protected = targets, protected
        self._open: OpenTargets | None = None
        self._panel = SignalPanel()
        self._watched: set[int] = set()
        self._ended: set[Target] = set()
        self._moment: Timer | None = None

    def compose(self) -> ComposeResult:
        """One panel."""
        yield self._panel

    def on_mount(self) -> None:
        """Open the targets: from here on the signal can reach no other process."""
        self._open = open_targets(self._wanted, self._protected)
        self._panel.targets = list(self._open)
        self._panel.ended = self._ended
        for target in self._open:
            self._watch(target)
        self._fit()
        self._panel.focus()

    def on_unmount(self) -> None:
        """Let go of them."""
        loop = asyncio.get_running_loop()
        for fd in self._watched:
            loop.remove_reader(fd)
        self._watched.clear()
        if self._open is not None:
            self._open.close()

    def on_resize(self) -> None:
        """Stay within the screen."""
        self._fit()

    def _fit(self) -> None:
        width, height = self.app.size
        self._panel.styles.width = min(WIDTH, width)
        self._panel.styles.height = self._panel.rows(height)

    def _watch(self, target: OpenTarget) -> None:
        """A pidfd becomes readable when its process ends."""
        if target.fd is not None:
            asyncio.get_running_loop().add_reader(target.fd, self._has_ended, target)
            self._watched.add(target.fd)

    def _has_ended(self, target: OpenTarget) -> None:
        if target.fd is not None:
            asyncio.get_running_loop().remove_reader(target.fd)
            self._watched.discard(target.fd)
        self._ended.add(target.target)
        if not self._panel.ready:
            self._panel.selected = 0
        self._panel.repaint()
        self._leave_if_done()

    def on_signal_panel_pressed(self, message: SignalPanel.Pressed) -> None:
        """Send the signal that was chosen, or close."""
        if message.choice is None or self._open is None:
            self.action_close()
            return
        self._open.send(message.choice.number)
        self._panel.selected = 0
        self._panel.late = ()
        self._panel.repaint()
        if self._moment is not None:
            self._moment.stop()
        self._moment = self.set_timer(MOMENT_S, self._look_again)
        self._leave_if_done()

    def _look_again(self) -> None:
        """The moment is over: what still runs is said to."""
        self._panel.late = {
            t.target for t in self._panel.targets
            if t.outcome.status is Status.SENT and t.target not in self._ended
        }  # fmt: skip
        self._panel.repaint()

    def _leave_if_done(self) -> None:
        """Close by itself once every target got its signal and ended."""
        targets = self._panel.targets
        if all(t.outcome.status is Status.SENT and t.target in self._ended for t in targets):
            count = len(targets)
            said = f"{targets[0].target} ended." if count == 1 else f"{count} processes ended."
            self.app.notify(said, markup=False)
            self.action_close()

    def action_close(self) -> None:
        """Close, whatever became of it."""
        if self.is_current:
            self.dismiss([target.outcome for target in self._panel.targets])

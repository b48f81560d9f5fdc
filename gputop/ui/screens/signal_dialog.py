"""The signal dialog: whom it is for, which signal, and what became of it.

The targets are opened with the dialog and held until it closes, so whatever happens to their
pids meanwhile, a signal reaches these processes or none.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
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
from gputop.model.frame import Process
from gputop.state.process_history import ProcessKey, key_of
from gputop.text import size
from gputop.ui.processes.picture import wrap
from gputop.ui.processes.rows import RowOptions, build_rows, cards_of
from gputop.ui.screens.base import NewestSize
from gputop.ui.widgets.base import LineWidget
from gputop.ui.widgets.line import Line

MOMENT_S = 2.0
"""Seconds a signalled process has to end before it is said to be still running."""
MOST_LIST_ROWS = 24
WIDTH = 100
MARGIN = 2


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
        self.details: Mapping[Target, str] = {}
        """Devices, device memory and command line, where they are known."""
        self.late: Collection[Target] = ()
        """Those that got a signal and were still running a moment later."""
        self.selected = 0
        """0 is to cancel or close; then the signals in their order."""
        self._places: list[tuple[int, int]] = []
        self._choices_row = 0

    @property
    def ready(self) -> bool:
        """True while there is a target to send anything to."""
        return any(t.fd is not None and t.target not in self.ended for t in self.targets)

    @property
    def _labels(self) -> list[str]:
        sent = any(t.outcome.status is Status.SENT for t in self.targets)
        close = "Close" if sent or not self.ready else "Cancel"
        return [close, *(choice.label for choice in CHOICES if self.ready)]

    def rows(self, width: int, height: int) -> int:
        """Rows it takes of `height`."""
        least = len(self._frame(width, [])[0])
        return min(least + len(self._list(width, min(height - least, MOST_LIST_ROWS))), height)

    # -- drawing -------------------------------------------------------------------------------

    def draw(self, width: int, height: int) -> list[Strip]:
        """Everything inside the border, and the border."""
        least = len(self._frame(width, [])[0])
        strips, self._choices_row = self._frame(width, self._list(width, height - least))
        del strips[max(height - 1, 0) : -1]
        return [*strips[:-1], *[self._text("", width)] * (height - len(strips)), strips[-1]]

    def _frame(self, width: int, listed: Sequence[Strip]) -> tuple[list[Strip], int]:
        """Everything around the list, and the row of the choices."""
        count = len(self.targets)
        title = "Send a signal to this process?" if count == 1 else (
            f"Send a signal to these {count} processes?"
        )  # fmt: skip
        empty = self._text("", width)
        above = [self._edge(width, top=True), empty, *self._wrapped(title, width, "strong"), empty]
        above += [*listed, empty]
        said = [self._wrapped(self._meaning(n), width, "dim") for n in range(len(self._labels))]
        meaning = said[min(self.selected, len(said) - 1)]
        # The choices have as many rows as the longest takes, so that the panel keeps its size.
        rest = [empty] * (max(map(len, said)) - len(meaning))
        below = [self._choices(width), *meaning, *rest, self._edge(width, top=False)]
        return [*above, *below], len(above)

    def _list(self, width: int, room: int) -> list[Strip]:
        """The targets, those that need a word first; the rest as a number. A target has rows for
        itself where all have, and else one.
        """
        room = max(room, 1)
        order = sorted(self.targets, key=lambda t: t.outcome.status in (Status.READY, Status.SENT))
        blocks = [self._target(target, width) for target in order]
        if sum(map(len, blocks)) > room:
            blocks = [self._short(target, width) for target in order]
        strips: list[Strip] = []
        for number, block in enumerate(blocks):
            left = len(blocks) - number
            if len(strips) + len(block) > room - (left > 1):
                return [*strips[: room - 1], self._text(f"+ {left} more", width, "dim")]
            strips += block
        return strips

    def _target(self, target: OpenTarget, width: int) -> list[Strip]:
        strips = self._wrapped(self.sentence(target), width, self._role(target))
        details = self.details.get(target.target)
        return [*strips, self._text(f"  {details}", width, "dim")] if details else strips

    def _short(self, target: OpenTarget, width: int) -> list[Strip]:
        said, details = self.sentence(target), self.details.get(target.target)
        if target.outcome.status not in (Status.READY, Status.SENT):
            return self._wrapped(said, width, self._role(target))
        words = f"{said}  {details}" if details else said
        return [self._text(words, width, self._role(target))]

    def _role(self, target: OpenTarget) -> str:
        status = target.outcome.status
        return {Status.READY: "text", Status.SENT: "notice"}.get(status, "warning")

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

    def _meaning(self, number: int) -> str:
        if not self.ready:
            return "There is no process here that can be signalled."
        if number == 0:
            return "Nothing is sent."
        choice = CHOICES[number - 1]
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

    def _wrapped(self, text: str, width: int, role: str) -> list[Strip]:
        lines = wrap(text, max(width - 2 * MARGIN, 1))
        return [self._text(line, width, role) for line in lines]

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
        """Take the selected choice, once: a second Enter that is on its way finds Cancel."""
        choice = CHOICES[self.selected - 1] if self.selected else None
        self._select(0)
        self.post_message(self.Pressed(choice))

    def on_click(self, event: events.Click) -> None:
        """A click selects; a click on what is selected presses."""
        for number, (start, end) in enumerate(self._places):
            if start <= event.x < end and event.y == self._choices_row:
                if number == self.selected:
                    self.action_press()
                else:
                    self._select(number)


class SignalDialog(NewestSize, ModalScreen[list[Outcome]]):
    """Asks which signal to send, sends it, and tells what came of it.

    It is dismissed with an outcome for every target: READY where nothing was sent.
    """

    DEFAULT_CSS = """
    SignalDialog { align: center middle; }
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
        self.styles.background = "transparent"  # the app has a rule for all screens
        self._open = open_targets(self._wanted, self._protected)
        self._panel.targets = list(self._open)
        self._panel.ended = self._ended
        self._panel.details = self._describe()
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
        width, height = min(WIDTH, self.app.size.width), self.app.size.height
        self._panel.styles.width = width
        self._panel.styles.height = self._panel.rows(width, height)

    def _show(self) -> None:
        """Draw what changed; sentences may take more rows than before."""
        self._fit()
        self._panel.repaint()

    def _describe(self) -> dict[Target, str]:
        """What tells each target from its like: where it is, what it holds, what it runs."""
        app = self._panel.gputop
        cards = cards_of(app.view.devices)
        options = RowOptions(hide_args=app.settings.hide_args)
        shown = {key_of(process): process for process in app.view.processes}
        details = {}
        for target in self._wanted:
            process = self._process(target, shown)
            for row in build_rows([process] if process else [], cards, options):
                held = size(row.memory.value, app.units)
                if row.memory.at_least:
                    held = f"{'>' if app.ascii else '≥'}{held}"
                memory = "GPU memory not read" if row.memory.value is None else held
                details[target] = f"GPU {row.gpu} · {memory} · {row.command}"
        return details

    def _process(self, target: Target, shown: Mapping[ProcessKey, Process]) -> Process | None:
        key = ProcessKey(target.pid, target.start_ticks)
        past = self._panel.gputop.process_history.get(key)
        return shown.get(key) or (past.process if past else None)

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
        self._show()
        self._leave_if_done()

    def on_signal_panel_pressed(self, message: SignalPanel.Pressed) -> None:
        """Send the signal that was chosen, or close. What comes once this is closed, or another
        screen is over it, was not meant for it.
        """
        if message.choice is None or self._open is None:
            self.action_close()
            return
        if not self._is_on_top:
            return
        self._open.send(message.choice.number)
        self._panel.late = ()
        self._show()
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
        self._show()

    def _leave_if_done(self) -> None:
        """Close by itself once every target got its signal and ended."""
        targets = self._panel.targets
        done = all(t.outcome.status is Status.SENT and t.target in self._ended for t in targets)
        if targets and done and self._is_on_top:
            count = len(targets)
            said = f"{targets[0].target} ended." if count == 1 else f"{count} processes ended."
            self.app.notify(said)
            self.action_close()

    def on_screen_resume(self) -> None:
        """What was over it is gone; meanwhile all may have ended."""
        self._leave_if_done()

    @property
    def _is_on_top(self) -> bool:
        """Whether keys are meant for it, and closing it closes no other screen. (Textual's
        `is_current` is true for a screen that another one lies over, too.)
        """
        return self.app.screen is self

    def action_close(self) -> None:
        """Close, whatever became of it."""
        if self._is_on_top:
            self.dismiss([target.outcome for target in self._panel.targets])

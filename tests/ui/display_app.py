"""A small app that makes the display work hard; run by `test_display` in a terminal.

Its first line tells what it did: "step 3 keys 7". Where DISPLAY_REPORT names a file, it
writes its counters there when it leaves.
"""

import json
import os
import random
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.app import App, ComposeResult
from textual.binding import BindingType
from textual.containers import Grid
from textual.drivers.linux_driver import LinuxDriver
from textual.screen import ModalScreen
from textual.strip import Strip
from textual.timer import Timer
from textual.widget import Widget
from textual.widgets import Input, Static

from gputop.ui import display
from gputop.ui.display import DiffDisplay, leave_at_once, leave_on_signals

WORDS = (
    "idle ",
    "93 %",
    "    ",
    "▂▃▅▇█",
    "╭──╮",
    "71 °C · P0",
    "日本",
    "训练",
    "é",
    "🚀",
    "⣿⣷",
    "▲",
)
COLOURS = (None, "red", "#30a050", "color(178)", "bright_blue")


def random_strip(source: random.Random, width: int) -> Strip:
    """A line of words in all kinds of styles."""
    segments: list[Segment] = []
    while sum(segment.cell_length for segment in segments) < width:
        style = Style(
            color=source.choice(COLOURS),
            bgcolor=source.choice((None, None, "#101820", "blue")),
            bold=source.random() < 0.2,
            underline=source.random() < 0.1,
            reverse=source.random() < 0.1,
            dim=source.random() < 0.1,
        )
        segments.append(Segment(source.choice(WORDS) * source.randint(1, 3), style))
    return Strip(segments).crop(0, width)


def resident_kib() -> int:
    """Resident memory now. (getrusage's maximum is inherited from whoever forked us.)"""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 1024


class Pane(Widget):
    """Random lines, which change in part."""

    seed = 0
    changed_lines: Iterable[int] = ()

    def render_line(self, y: int) -> Strip:
        """One line; the same as long as nothing was changed."""
        seed = self.seed if y in self.changed_lines else 0
        source = random.Random(f"{self.id} {seed} {y} {self.size}")
        return random_strip(source, self.size.width)


class Dialog(ModalScreen[None]):
    """Something that lies above the panes, or a line to type into."""

    CSS = """
    Dialog { align: center middle; }
    Dialog > * { width: 30; height: 5; border: round green; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [("n", "app.step"), ("escape", "app.close")]

    def __init__(self, content: Widget) -> None:
        super().__init__()
        self._content = content

    def compose(self) -> ComposeResult:
        """The one widget it was made for."""
        yield self._content


class DisplayApp(DiffDisplay[None], App[None]):
    """Every key is a way to change the screen."""

    CSS = "Grid { grid-size: 2 2; } #status { height: 1; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        ("n", "step"),
        ("u", "refresh_all"),
        ("c", "one_cell"),
        ("f", "flood"),
        ("d", "dialog"),
        ("i", "input"),
        ("z", "suspend_a_while"),
        ("t", "next_theme"),
        ("r", "redraw"),
        ("x", "break"),
        ("q", "leave"),
        ("w", "whistle"),
        ("s", "signals"),
        ("m", "midst"),
        ("escape", "close"),
    ]
    ENABLE_COMMAND_PALETTE = False

    def __init__(self) -> None:
        super().__init__()
        self.steps = 0
        self.keys = 0
        self.flooding: Timer | None = None

    def compose(self) -> ComposeResult:
        """A status line above four panes."""
        yield Static(id="status")
        with Grid():
            for number in range(4):
                yield Pane(id=f"pane{number}")

    def on_mount(self) -> None:
        """Begin."""
        leave_on_signals(self, first=[self.report])
        self.show_status()

    async def on_event(self, event: events.Event) -> None:
        """Count keys, whoever handles them, except u."""
        if isinstance(event, events.Key) and not event.is_forwarded and event.key != "u":
            self.keys += 1
            self.call_later(self.show_status)
        await super().on_event(event)

    def show_status(self) -> None:
        """Tell what was done."""
        status = self.screen_stack[0].query_one("#status", Static)
        status.update(f"step {self.steps} keys {self.keys} ")

    def action_step(self) -> None:
        """Change some lines of some panes."""
        self.steps += 1
        source = random.Random(self.steps)
        for pane in self.screen_stack[0].query(Pane):
            if source.random() < 0.7:
                pane.seed = self.steps
                pane.changed_lines = set(source.sample(range(60), source.randint(0, 60)))
                pane.refresh()
        self.show_status()

    def action_refresh_all(self) -> None:
        """Draw everything again, though nothing changed."""
        self.screen.refresh(layout=True)
        for widget in self.screen_stack[0].query():
            widget.refresh()

    def action_one_cell(self) -> None:
        """Let only the number of keys change."""

    def action_flood(self) -> None:
        """Change everything, many times a second, until pressed again."""
        if self.flooding is None:
            self.flooding = self.set_interval(0.02, self.action_step)
        else:
            self.flooding.stop()
            self.flooding = None

    def action_dialog(self) -> None:
        """Open something above the panes."""
        self.push_screen(Dialog(Pane(id=f"dialog{self.steps}")))

    def action_input(self) -> None:
        """Open a line to type into."""
        self.push_screen(Dialog(Input()))

    def action_close(self) -> None:
        """Close what is open."""
        if len(self.screen_stack) > 1:
            self.pop_screen()

    def action_next_theme(self) -> None:
        """Change all colours."""
        self.theme = "nord" if self.theme != "nord" else "ansi-dark"

    def action_suspend_a_while(self) -> None:
        """Give the terminal away, with updates going on."""
        with self.suspend():
            paused = self.frames is not None and self.frames.is_paused
            print("suspended", "paused" if paused else "drawing", flush=True)
            sys.stdin.readline()

    def action_break(self) -> None:
        """Make the next drawing fail."""
        assert self.frames is not None
        self.frames._grid = object()  # type: ignore[assignment]

    def action_whistle(self) -> None:
        """Write more beside the frames than Textual queues."""
        assert self._driver is not None
        for _ in range(100):
            self._driver.write("\x07" * 4096)

    def action_signals(self) -> None:
        """Get the signals of DISPLAY_SIGNALS while a write holds its queue's lock."""
        driver = self._driver
        assert isinstance(driver, LinuxDriver)
        assert driver._writer_thread is not None
        with driver._writer_thread._queue.mutex:
            get_signals()

    def action_midst(self) -> None:
        """Leave, and get the signals of DISPLAY_SIGNALS when half of that is done."""
        write = display._write_patiently

        def get_signals_first(*arguments: Any) -> None:
            display._write_patiently = write
            get_signals()
            write(*arguments)

        display._write_patiently = get_signals_first
        self.action_leave()

    def action_leave(self) -> None:
        """Quit."""
        leave_at_once(self, 7, first=[self.report], farewell=f"bye at step {self.steps}")

    def report(self) -> None:
        """Write the counters where the test wants them."""
        path = os.environ.get("DISPLAY_REPORT")
        if not path:
            return
        frames = self.frames
        report: dict[str, object] = {
            "cpu_s": time.process_time(),
            "rss_kib": resident_kib(),
            "error": repr(self.display_error),
            "steps": self.steps,
        }
        if frames is not None:
            counters = frames.counters
            report |= {
                "bytes": counters.bytes_written,
                "drawn": counters.frames_drawn,
                "merged": counters.frames_merged,
                "answers": frames.pacer.answers,
                "queued": frames._backlog(),
            }
        with open(path, "w", encoding="utf-8") as file:
            json.dump(report, file)


def get_signals() -> None:
    """Get the signals of DISPLAY_SIGNALS."""
    for number in os.environ["DISPLAY_SIGNALS"].split():
        os.kill(os.getpid(), int(number))


if __name__ == "__main__":
    DisplayApp().run()

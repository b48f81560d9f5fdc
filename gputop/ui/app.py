"""The app: takes records from a source, keeps the state, and lets the screens draw it."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import locale
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import App, SystemCommand
from textual.await_complete import AwaitComplete
from textual.binding import Binding, BindingType
from textual.filter import LineFilter, Monochrome, NoColor
from textual.notifications import SeverityLevel
from textual.screen import Screen

from gputop import text
from gputop.errors import EXIT_FAILED, unforeseen
from gputop.insight.alert_log import AlertLog
from gputop.insight.host_state import HostState
from gputop.insight.rules import Thresholds
from gputop.insight.verdict_book import VerdictBook
from gputop.model.commands import ReadSlow, Release, Retake, SetInterval
from gputop.model.frame import AnyRecord, Event, Frame, Hello
from gputop.settings import Settings
from gputop.sources.base import Source, SourceStatus
from gputop.state.process_history import ProcessHistory
from gputop.state.store import Store
from gputop.ui import glyphs
from gputop.ui.announce import Announcer
from gputop.ui.colourless import Colourless
from gputop.ui.display import DiffDisplay, leave_at_once
from gputop.ui.keys import APP_KEYS, REPLAY_KEYS, Key, bindings
from gputop.ui.processes.table import ProcessTable
from gputop.ui.screens.base import ViewScreen
from gputop.ui.screens.overview import OverviewScreen
from gputop.ui.themes import PALETTES, Palette, textual_theme, theme_for
from gputop.ui.view import View, take
from gputop.ui.widgets.device_grid import DeviceGrid

if TYPE_CHECKING:
    from gputop.ui.recorder import Recorder
    from gputop.ui.replay import Replay
    from gputop.ui.snapshots import Saving

INTERVALS = (0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
LATEST_LOAD_S = 3.0
"""By then the rest of the program is loaded, even if no first picture came."""
TIDY_AFTER_S = 1.0
"""A closed screen is taken back so long after it: the timers of a palette have ended by then."""
_COLOURLESS = Colourless()
LAST_WAIT_S = 0.3
"""How long leaving waits for snapshots that are being written."""
MOST_SAID = 20
"""Recordings and snapshots of which leaving tells."""
WINDOWS = (60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 10800.0, 43200.0, 86400.0)


class GputopApp(DiffDisplay[int], App[int]):
    """gputop's terminal UI."""

    TITLE = "gputop"
    ENABLE_COMMAND_PALETTE = True
    ALLOW_SELECT = False
    """Textual's selection cannot be copied here, where Ctrl-C leaves, and ends the program where
    the mouse goes down on what is just being closed. `--no-mouse` leaves selecting to the terminal.
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings(APP_KEYS),
        Binding("ctrl+c", "leave", show=False, priority=True),  # in dialogs and inputs too
        Binding("ctrl+z", "suspend_process", show=False, priority=True),
    ]
    CSS = """
    Screen { background: $background; }
    Toast { border: none; padding: 0 1; margin: 0; width: auto; max-width: 70; background: $panel; }
    CommandPalette SearchIcon { display: none; }
    CommandPalette > Vertical { width: 80%; min-width: 10; max-width: 90; }
    """

    def __init__(self, source: Source, settings: Settings) -> None:
        super().__init__()
        self.source = source
        self.settings = settings
        self.state = HostState(Thresholds.of(settings))
        self.replay = self._replay_of(source)
        self.announcer = Announcer(settings, self._write_sequence, self._hook_failed)
        self.recorder: Recorder | None = None
        """The recording that `R` began."""
        self._savings: list[Saving] = []
        """Snapshots that are being written."""
        self._saved: deque[str] = deque(maxlen=MOST_SAID)
        """What became of the files that were asked for: a notice may not have been seen when we
        leave.
        """
        self.view = View()
        self.paused = False
        self.window_s: float = settings.window
        self.units = text.Units(settings.temperature, settings.memory)
        self.ascii: bool = settings.ascii or not _speaks_unicode()
        self.glyphs = glyphs.ASCII if self.ascii else glyphs.UNICODE
        self.read_only: bool = settings.read_only
        self.source_status: SourceStatus | None = None
        self._inbox: deque[AnyRecord | HostState] = deque()
        self._woken = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._last_frame_at: float | None = None
        self._age_check: asyncio.TimerHandle | None = None
        self._tidying: asyncio.TimerHandle | None = None
        self._released = False
        self._complete = False
        """Whether what the first picture did not need was loaded."""
        self._said = ""
        """What the collector had to say of itself, such as that a device is not there."""
        for palette in PALETTES.values():
            self.register_theme(textual_theme(palette))
        self.palette: Palette = PALETTES[_theme_name(settings)]
        self.theme = self.palette.name
        self.no_color = False  # to the style sheets: `get_line_filters` sees to it
        for key in self.source_keys:
            self.bind(key.keys, key.action, description=key.label, show=False)
        self.overview = OverviewScreen()

    def _replay_of(self, source: Source) -> Replay | None:
        """The replay of a source that is one; a live screen starts without its code."""
        if source.live:
            return None
        from gputop.ui.replay import Replay

        return Replay.of(source, self.settings, self)

    @property
    def store(self) -> Store:
        """What was read."""
        return self.state.store

    @property
    def alerts(self) -> AlertLog:
        """The warnings."""
        return self.state.alerts

    @property
    def verdicts(self) -> VerdictBook:
        """What limits each device."""
        return self.state.verdicts

    @property
    def process_history(self) -> ProcessHistory:
        """What each process did."""
        return self.state.process_history

    @property
    def source_keys(self) -> tuple[Key, ...]:
        """The keys that this source has besides those of the screens."""
        return REPLAY_KEYS if self.replay else ()

    def can_do(self, key: Key) -> bool:
        """Whether a key does anything with this source."""
        return self.source.live or not key.live

    def get_default_screen(self) -> Screen[None]:
        """The overview is the first screen: none is made only to be covered by it."""
        return self.overview

    # --- records come in -------------------------------------------------------------------------

    def on_mount(self) -> None:
        """Show the overview and begin to take records."""
        self._loop = asyncio.get_running_loop()
        self._loop.set_exception_handler(self._call_failed)
        if self.replay is not None:
            self.replay.start()
        self.source.start(self._take_record, self._take_status)
        self._loop.call_later(LATEST_LOAD_S, self._load_the_rest)

    def _load_the_rest(self) -> None:
        """Load what the first picture did not need and the next key may; once."""
        if self._complete:
            return
        self._complete = True
        from gputop.ui.screens import (  # noqa: F401
            device,
            help,  # noqa: A004
            process,
            signal_dialog,
            warnings,
        )

        gc.enable()
        gc.collect()
        gc.freeze()  # what the imports made stays: no need to look at it again and again

    def pop_screen(self) -> AwaitComplete:
        """Close the screen on top, and take back what it held before another is opened beside it:
        a screen is full of cycles, and the collector of these would leave several for later.
        """
        if self._tidying is not None:
            self._tidying.cancel()
        if self._loop is not None:
            self._tidying = self._loop.call_later(TIDY_AFTER_S, gc.collect)
        return super().pop_screen()

    def on_unmount(self) -> None:
        """Nothing is drawn any more, so nothing need come."""
        self.stop_all()

    def _soon(self, call: Callable[[], object]) -> None:
        """Have something done in the loop's thread, unless it has ended."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(call)

    def take_state(self, state: HostState) -> None:
        """Another state in the place of this one, after a jump. Called in the source's thread."""
        self._take_record(state)

    def _take_record(self, record: AnyRecord | HostState) -> None:
        """Called in the source's thread."""
        self._inbox.append(record)
        if not self._woken and self._loop is not None:
            self._woken = True
            self._soon(self._drain)

    def _take_status(self, status: SourceStatus) -> None:
        """Called in the source's thread."""
        self._soon(partial(self._status_changed, status))

    def _call_failed(self, loop: asyncio.AbstractEventLoop, what: dict[str, Any]) -> None:
        """A call of the loop's that failed ends the program as any other error: asyncio would log
        it, and the picture or the ages stand still for good.
        """
        error = what.get("exception")
        if "handle" in what and isinstance(error, Exception):
            self._handle_exception(error)
        else:
            loop.default_exception_handler(what)

    def _drain(self) -> None:
        """Take every record that has come, and show what they add up to."""
        self._woken = False
        shown = jumped = False
        while self._inbox:
            record = self._inbox.popleft()
            if isinstance(record, HostState):
                self.state = record
                shown = jumped = True
                continue
            self.state.apply(record)
            if self.recorder is not None:
                self.recorder.put(record)
            if isinstance(record, Frame):
                changes = self.alerts.take_changes()
                if self.source.live:  # what is played back was told when it happened
                    self.announcer.take(changes, self.store)
                self._last_frame_at = self._now() - self.source.late_s
                shown = True
            elif isinstance(record, Hello):
                self._released = record.driver.status == "released"
                shown = True
            elif isinstance(record, Event) and record.kind == "log":
                self._said = record.text
                shown = True
        if shown:
            self._watch_age()
            if not self.paused:
                self._show()
            if not self._complete and self.view.ready:
                self.call_after_refresh(self._load_the_rest)
            if jumped and self.replay is not None:
                self.call_after_refresh(self.replay.picture_stands)

    def _write_sequence(self, sequence: str) -> None:
        """A control sequence that draws nothing, such as the bell."""
        if self._driver is not None:
            self._driver.write(sequence)

    def _hook_failed(self, sentence: str) -> None:
        """Called in the hook's thread."""
        self._soon(partial(self.notify, sentence, severity="warning", timeout=10))

    def _status_changed(self, status: SourceStatus) -> None:
        self.source_status = status
        self._redraw_age()

    def _show(self) -> None:
        self.view = take(self.store, self.alerts, self.verdicts)
        self._redraw()

    def _redraw(self) -> None:
        """Draw the view on the screen that is seen; those below draw it when they are back."""
        if (screen := self._view_screen) is not None:
            screen.show(self.view)

    def _redraw_age(self) -> None:
        if (screen := self._view_screen) is not None:
            screen.show_age()

    @property
    def _view_screen(self) -> ViewScreen | None:
        """The screen on top that shows a view, if it is seen: around a dialog it is, and would tell
        old values for new ones. One that is only being opened shows the view itself.
        """
        for screen in reversed(self.screen_stack):
            if isinstance(screen, ViewScreen):
                return screen if screen.is_running and screen.is_mounted else None
            if not screen.is_modal:
                return None
        return None

    # --- ages ------------------------------------------------------------------------------------

    def _now(self) -> float:
        return self._loop.time() if self._loop else 0.0

    def _watch_age(self) -> None:
        """Look again when the next frame is overdue, and each second from then on."""
        if not self.source.live:
            return
        if self._age_check is not None:
            self._age_check.cancel()
        if self._loop is not None:
            late = 2 * self.store.period_s + 1
            self._age_check = self._loop.call_later(late, self._age_changed)

    def _age_changed(self) -> None:
        self._redraw_age()
        if self._loop is not None:
            self._age_check = self._loop.call_later(1.0, self._age_changed)

    @property
    def behind_s(self) -> float | None:
        """Seconds since the last frame, once the next one is overdue."""
        if self._last_frame_at is None or not self.source.live:
            return None
        age = self._now() - self._last_frame_at
        return age if age >= 2 * self.store.period_s + 1 else None

    @property
    def trouble(self) -> str:
        """One sentence on what keeps readings from coming; empty when they come."""
        status = self.source_status
        if status is not None and status.state != "live" and status.message:
            return status.message
        driver = self.store.driver
        if driver.status in {"released", "absent", "failed", "stuck"} and self.store.devices:
            return f"{driver.message} {driver.remedy}".strip()
        return self._said if driver.status == "ok" else ""

    @property
    def can_signal(self) -> str | None:
        """Why no signal may be sent; None when it may."""
        if self.read_only:
            return "Read-only: signals are off."
        if not self.source.live:
            return "This is a recording; there is nothing to signal."
        if self.view.simulated:
            return "The processes are simulated; there is nothing to signal."
        if not self.source.can_signal:
            return "These processes run elsewhere; signals go to this machine's only."
        from gputop.actions.signals import foreign_pids

        hello = self.store.hello
        return foreign_pids(hello.host, hello.driver) if hello else None

    def _handle_exception(self, error: Exception) -> None:
        """One sentence instead of a traceback, but for those who debug: plain lines then, which
        can be read in a terminal of any width.
        """
        if self.is_headless:
            super()._handle_exception(error)
            return
        farewell = text.clean(f"gputop: {unforeseen(error)}")
        if os.environ.get("GPUTOP_TRACEBACK") == "1":
            import traceback

            lines = "".join(traceback.format_exception(error)).splitlines()
            farewell = "\n".join(map(text.clean, lines))  # what raised it may quote anything
        leave_at_once(self, EXIT_FAILED, first=[self.stop_all], farewell=farewell)

    def thread_failed(self, what: threading.ExceptHookArgs) -> None:
        """A thread's error ends the program as any other: the picture would stand still, or a
        recording with it, and nobody would say so. Called in that thread.
        """
        if isinstance(what.exc_value, Exception):
            self._soon(partial(self._handle_exception, what.exc_value))

    def notify(
        self, message: str, *, title: str = "", severity: SeverityLevel = "information",
        timeout: float | None = None, markup: bool = False,
    ) -> None:  # fmt: skip
        """Say something for a few seconds. It may quote what others wrote: it is only text."""
        super().notify(
            text.clean(message), title=title, severity=severity, timeout=timeout, markup=False
        )

    # --- actions ---------------------------------------------------------------------------------

    def stop_all(self) -> None:
        """Leave no process behind, and no file half written. Waits for nothing else."""
        self.source.stop()
        self.announcer.stop()
        if self.recorder is not None:
            self.recorder.leave()
        until_s = time.monotonic() + LAST_WAIT_S
        for saving in tuple(self._savings):
            saving.wait(until_s - time.monotonic())
        if self.replay is not None:
            self.replay.stop()

    def action_leave(self) -> None:
        """Quit at once."""
        self.leave(0)

    def leave(self, code: int) -> None:
        """Give the terminal back and end."""
        with contextlib.suppress(Exception):
            self.stop_all()
        said = [*self._saved, *(saving.sentence for saving in self._savings)]
        if self.recorder is not None:
            said.append(self.recorder.sentence)
        farewell = "\r\n".join(f"gputop: {sentence}" for sentence in said)
        leave_at_once(self, code, farewell=farewell)

    def action_pause(self) -> None:
        """Freeze the picture, or let it go on; stop a replay, or let it go on."""
        if self.replay is not None:
            self.replay.source.toggle()
            return
        self.paused = not self.paused
        self.view = take(self.store, self.alerts, self.verdicts, frozen=self.paused)
        self._redraw()

    def action_theme(self) -> None:
        """Take the next theme."""
        names = list(PALETTES)
        self.use_theme(names[(names.index(self.palette.name) + 1) % len(names)])
        self.notify(f"Theme: {self.palette.name}", timeout=2)

    def get_line_filters(self) -> Sequence[LineFilter]:
        """What is between the widgets and the terminal. Textual's own for NO_COLOR draws black on
        black where a theme has the terminal's colours, and it is the theme that says.
        """
        filters = super().get_line_filters()
        kept = [one for one in filters if not isinstance(one, Monochrome | NoColor)]
        return [*kept, _COLOURLESS] if self.palette.colourless else kept

    def use_theme(self, name: str) -> None:
        """Take a theme by its name."""
        self.palette = PALETTES[name]
        self.theme = name
        for screen in self.screen_stack:
            for widget in screen.query("LineWidget"):
                widget.forget_picture()  # type: ignore[attr-defined]
                widget.refresh()

    def action_slower(self) -> None:
        """Read less often, or play slower."""
        if self.replay is not None:
            self.replay.source.faster(-1)
            return
        self._set_interval(next((s for s in INTERVALS if s > self._asked + 1e-9), INTERVALS[-1]))

    def action_faster(self) -> None:
        """Read more often, or play faster."""
        if self.replay is not None:
            self.replay.source.faster(1)
            return
        shorter = [s for s in INTERVALS if s < self._asked - 1e-9]
        self._set_interval(shorter[-1] if shorter else INTERVALS[0])

    @property
    def _asked(self) -> float:
        """Not the frames' interval: a second key may come before the first has reached them."""
        return self.source.period_s

    def _set_interval(self, seconds: float) -> None:
        if self.source.can_set_interval:
            self.source.send(SetInterval(seconds))
            self.notify(f"Reading every {seconds:g} s", timeout=2)
        else:
            self.notify("This source has its own rhythm.", severity="warning")

    def action_window_shorter(self) -> None:
        """Charts show less time."""
        shorter = [s for s in WINDOWS if s < self.window_s]
        self._set_window(shorter[-1] if shorter else WINDOWS[0])

    def action_window_longer(self) -> None:
        """Charts show more time."""
        self._set_window(next((s for s in WINDOWS if s > self.window_s), WINDOWS[-1]))

    def _set_window(self, seconds: float) -> None:
        self.window_s = seconds
        if self.replay is not None:
            self.replay.reach(seconds)
        self._redraw()

    def action_release(self) -> None:
        """Let go of the driver, or take it back."""
        if not self.source.live:
            self.notify("A recording has no driver to let go of.", severity="warning")
            return
        self._released = not self._released
        self.source.send(Release() if self._released else Retake())
        if self._released:
            self.notify("Letting go of the driver; x takes it back.")
        else:
            self.notify("Taking the driver back.")

    def action_replay(self, what: str, amount: int = 0) -> None:
        """What the keys of a replay do."""
        if self.replay is not None:
            self.replay.act(what, amount)

    def action_switch(self) -> None:
        """Between devices and processes."""
        overview = self.overview
        if self.screen is overview:
            (overview.table if overview.devices.has_focus else overview.devices).focus()

    def open_device(self, uuid: str) -> None:
        """Open the screen of a device; of a MIG instance its device's."""
        from gputop.ui.screens.device import DeviceScreen

        state = self.store.device(uuid)
        if state is not None:
            self.push_screen(DeviceScreen(state.info.parent or uuid))

    def press(self, key: Key) -> None:
        """Do what a key does, where it works."""
        if isinstance(self.screen, ViewScreen):
            self.screen.focus_for(key)
        self.call_later(self.simulate_key, key.first)

    def on_device_grid_opened(self, message: DeviceGrid.Opened) -> None:
        """Open a device."""
        self.open_device(message.uuid)

    def action_help(self) -> None:
        """Show every key."""
        from gputop.ui.screens.help import HelpScreen

        self.push_screen(HelpScreen())

    def action_warnings(self) -> None:
        """List the warnings."""
        from gputop.ui.screens.warnings import WarningsScreen

        self.push_screen(WarningsScreen())

    def on_process_table_opened(self, message: ProcessTable.Opened) -> None:
        """Open a process."""
        from gputop.ui.screens.process import ProcessScreen

        self.push_screen(ProcessScreen(message.key))

    def on_process_table_signal_requested(self, message: ProcessTable.SignalRequested) -> None:
        """Ask which signal to send."""
        from gputop.ui.screens.signal_dialog import SignalDialog

        collector = getattr(self.source, "pid", None)
        self.push_screen(SignalDialog(message.targets, [collector] if collector else []))

    def action_copy(self) -> None:
        """Copy what is under the cursor."""
        copyable = self.screen.copyable if isinstance(self.screen, ViewScreen) else None
        if copyable is not None:
            words, what = text.clean(copyable[0]), copyable[1]
            self.copy_to_clipboard(words)
            self.notify(f"Copied {what} {words}", timeout=3)

    def action_snapshot(self, form_name: str = "") -> None:
        """Write a snapshot file and show its path."""
        from gputop.export.formats import Options  # not needed for the first screen
        from gputop.ui.snapshots import Saving, save

        shown = self.view.shown
        if shown is None:
            self.notify("There is no reading yet.", severity="warning")
            return
        form = form_name or self.settings.snapshot_format
        picture = self.export_screenshot(title="gputop") if form == "svg" else ""
        options = Options(
            with_args=self.settings.with_args, units=self.units, verdicts=self.view.verdicts,
            alerts=self.view.alerts,
        )  # fmt: skip
        folder = Path(self.settings.snapshot_folder or ".")

        write = partial(save, *shown, form, folder, options, picture)
        self._savings.append(saving := Saving(write, self._snapshot_ended))
        saving.start()

    def _snapshot_ended(self, saving: Saving, failed: bool) -> None:
        """Called in the snapshot's thread."""

        def tell() -> None:
            self._savings.remove(saving)
            self._saved.append(saving.sentence)
            severity: SeverityLevel = "error" if failed else "information"
            self.notify(saving.sentence, severity=severity, timeout=10 if failed else 8)

        self._soon(tell)

    def action_record(self) -> None:
        """Begin to record what comes in, or end it."""
        from gputop.ui.recorder import Recorder  # not needed for the first screen

        hello, frame = self.store.hello, self.store.frame
        if self.recorder is not None:
            self.recorder.stop()
        elif not self.source.live:
            self.notify("This is a recording already.", severity="warning")
        elif hello is None or frame is None:
            self.notify("There is no reading yet.", severity="warning")
        else:
            folder = Path(self.settings.snapshot_folder or ".")
            self.recorder = Recorder(
                folder, hello, frame, self.settings.with_args, self._recording_ended
            )
            self._redraw_age()

    def _recording_ended(self, sentence: str, failed: bool) -> None:
        """Called in the recorder's thread."""

        def tell() -> None:
            self.recorder = None
            self._saved.append(sentence)
            self.notify(sentence, severity="error" if failed else "information", timeout=10)
            self._redraw_age()

        self._soon(tell)

    # --- the palette -----------------------------------------------------------------------------

    def action_command_palette(self) -> None:
        """Find any action by its name."""
        from gputop.ui.screens.palette import ActionPalette

        if not isinstance(self.screen, ActionPalette):
            self.push_screen(ActionPalette())

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """Every action by its name, and every theme."""
        keys = screen.keys if isinstance(screen, ViewScreen) else ()
        for key in (*self.source_keys, *APP_KEYS, *keys):
            if key.palette and self.can_do(key):
                title = f"{key.label.capitalize()} ({key.shown})"
                yield SystemCommand(title, key.help, partial(self.press, key))
        for name in PALETTES:
            yield SystemCommand(f"Theme: {name}", f"Use the {name} theme.",
                                partial(self.use_theme, name))  # fmt: skip
        for form in ("text", "json", "csv", "openmetrics", "svg"):
            yield SystemCommand(f"Snapshot as {form}", f"Write a snapshot in the {form} format.",
                                partial(self.action_snapshot, form))  # fmt: skip
        if self.source.live:
            yield SystemCommand("Read the slow values now", "Fans, ECC, links, limits at once.",
                                partial(self.source.send, ReadSlow()))  # fmt: skip


def _speaks_unicode() -> bool:
    """Whether the locale is UTF-8: anything else cannot show block elements."""
    encoding = (sys.stdout.encoding or locale.getpreferredencoding(False)).lower()
    return encoding.replace("-", "").replace("_", "") == "utf8"


def _theme_name(settings: Settings) -> str:
    """The theme that was asked for, or the one that suits the terminal."""
    if settings.no_color or os.environ.get("NO_COLOR"):
        return "mono"
    return theme_for(os.environ) if settings.theme == "auto" else str(settings.theme)

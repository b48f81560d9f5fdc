"""How frames reach the terminal: only what changed, and never faster than it can draw.

This is gputop's one private seam of Textual: `DiffDisplay` stands in front of
`App._display`, `DisplayDriver` in front of the driver. Where the seam is not what this
module was written for (`seam_is_intact`), or with GPUTOP_DISPLAY=plain in the
environment, Textual draws as it always does.

Each frame ends with a query (DECRQM 2026) that the terminal answers once it has drawn
what came before. Until then newer updates are only noted, and the next frame shows
what is true when the answer comes. How much a frame may hold follows from how long the
answers take, and small changes go first: so however slow the link, the picture is of
the present, and a key waits for about a round trip and a tenth of a second.
"""

import asyncio
import codecs
import contextlib
import os
import selectors
import signal
import termios
import time
import tty
from collections.abc import Callable, Iterable
from functools import partial
from inspect import signature
from io import StringIO
from types import FrameType, SimpleNamespace
from typing import Any
from weakref import WeakSet

from msgspec import Struct
from rich.color import ColorSystem
from rich.console import RenderableType
from rich.style import Style
from textual import events
from textual._compositor import ChopsUpdate, CompositorUpdate, LayoutUpdate
from textual._styles_cache import StylesCache
from textual.app import App, ReturnType
from textual.await_remove import AwaitRemove
from textual.dom import DOMNode
from textual.driver import Driver
from textual.drivers import linux_driver
from textual.drivers._writer_thread import WriterThread
from textual.drivers.linux_driver import LinuxDriver
from textual.geometry import Size
from textual.message import Message
from textual.messages import TerminalSupportsSynchronizedOutput
from textual.screen import Screen
from textual.strip import Strip
from textual.widget import Widget

from gputop.terminals import opened_anew
from gputop.ui.cells import Grid, Looks, parse_sgr
from gputop.ui.terminal_input import AnswerParser, FrameAnswer, InputSelector

_driver_module: Any = linux_driver

QUERY = "\x1b[?2026$p"
SYNC_START = "\x1b[?2026h"
SYNC_END = "\x1b[?2026l"
KEYBOARD = (
    linux_driver.KITTY_DISAMBIGUATE_ESCAPE_CODES
    | linux_driver.KITTY_REPORT_ALL_KEYS
    | linux_driver.KITTY_REPORT_ASSOCIATED_TEXT
)
"""What Textual asks of a terminal that knows kitty's keyboard protocol."""

NOBODY_CONTINUES = "No shell is there to go back to."
MOST_KEYS_AHEAD = 256
"""Keys that may wait for those before them."""
DEFAULT_BYTES_PER_S = 20_000
"""What a terminal that never answers is sent at most: a poor SSH link's worth."""


class Pacer:
    """Says when the next frame may be written.

    A terminal that has answered once gets one frame at a time. One that has not, yet or
    ever, gets a byte budget. It reads no clock: the time is given, in seconds.
    """

    ANSWER_DEADLINE_S = 1.0
    """A terminal that has not answered by then may be one that never does."""
    FIRST_ANSWER_S = 0.3
    """Where a terminal answers, its first answer comes by then, but over the slowest links."""
    FIRST_BURST_BYTES = 4096
    """What may follow the first frame before that deadline."""
    ASK_AGAIN_S = 10.0
    """When to ask a silent terminal again; doubles up to `MAX_PAUSE_S`."""
    PROBE_S = 5.0
    """When to suspect that an answer got lost; doubles up to `MAX_PAUSE_S`."""
    MAX_PAUSE_S = 300.0
    GRACE_S = 1.0
    """How long further answers are waited for once a probe was answered."""
    FRAME_S = 0.05
    """How long the bytes of one frame should be under way, beside the round trip."""
    MIN_FRAME_BYTES = 512
    MAX_FRAME_BYTES = 1 << 20

    def __init__(self, bytes_per_s: float = DEFAULT_BYTES_PER_S, *, can_ask: bool = True) -> None:
        """Start with a terminal of which nothing is known.

        Args:
            bytes_per_s: The budget of a terminal that does not answer.
            can_ask: False where answers could not be read, or the query would show.
        """
        self.answers = False
        """Has the terminal ever answered?"""
        self.owed = 0
        """Answers that are still to come."""
        self.last_answer_s: float | None = None
        """How long the latest answer took: the age of the picture."""
        self._can_ask = can_ask
        self._rate = bytes_per_s
        self._tokens = 0.0
        self._refilled_at: float | None = None  # None until the first frame is written.
        self._asked_at = 0.0
        self._ask_pause = self.ASK_AGAIN_S
        self._probe_pause = self.PROBE_S
        self._settled_at: float | None = None
        self._asked_bytes = 0  # Written ahead of the latest query; 0 where that tells nothing.
        self._frame_bytes = float(self.MAX_FRAME_BYTES)
        self._round_trip_s: float | None = None

    @property
    def frame_bytes(self) -> int:
        """What the next frame should hold at most: more would keep a key waiting."""
        if self.answers or self._refilled_at is None:
            return int(self._frame_bytes)
        return max(self.MIN_FRAME_BYTES, int(self._rate * self.FRAME_S))

    def answer_expected_in(self, now: float) -> float:
        """Seconds within which an answer should come; 0 where none will, or it is overdue."""
        if not self.owed:
            return 0.0
        usual_s = self.FIRST_ANSWER_S
        if self.last_answer_s is not None:
            usual_s = 1.5 * self.last_answer_s + 0.05
        return max(0.0, self._asked_at + usual_s - now)

    def forget_flight(self) -> None:
        """Expect no more answers, as after the terminal was given to somebody else."""
        self.owed = 0
        self._settled_at = None

    def may_write(self, now: float) -> bool:
        """May a frame be written now?"""
        if self.answers:
            if self._settled_at is not None and now >= self._settled_at:
                self.forget_flight()
            return self.owed == 0
        self._refill(now)
        return self._refilled_at is None or self._tokens > 0

    def should_ask(self, now: float) -> bool:
        """Should a frame written now end with the query?"""
        if not self._can_ask:
            return False
        first = self._refilled_at is None
        return self.answers or first or now - self._asked_at >= self._ask_pause

    def should_probe(self, now: float) -> bool:
        """Has an answer been missing for so long that it may be lost?"""
        missing = self.answers and self.owed > 0 and self._settled_at is None
        return missing and now - self._asked_at >= self._probe_pause

    def look_again_in(self, now: float) -> float:
        """Seconds until `may_write` or `should_probe` can change without an answer."""
        if not self.answers:
            if self._refilled_at is None or self._tokens > 0:
                return 0.01
            wait = max(0.0, self._refilled_at - now) + (1 - self._tokens) / self._rate
        elif self._settled_at is not None:
            wait = self._settled_at - now
        else:
            wait = self._asked_at + self._probe_pause - now
        return max(0.01, wait)

    def wrote(self, size_bytes: int, now: float, *, asked: bool) -> None:
        """Note that a frame was written, with or without the query."""
        if asked and not self.answers and self._refilled_at is not None:
            self._ask_pause = min(self._ask_pause * 2, self.MAX_PAUSE_S)
        if self._refilled_at is None:
            self._tokens = self.FIRST_BURST_BYTES
            self._refilled_at = now + self.ANSWER_DEADLINE_S
        else:
            self._tokens -= size_bytes
        if asked:
            self._asked(now, size_bytes)

    def probed(self, now: float) -> None:
        """Note that the query was sent again, alone."""
        self._asked(now, 0)
        self._probe_pause = min(self._probe_pause * 2, self.MAX_PAUSE_S)

    def answered(self, now: float) -> None:
        """Note that the terminal answered."""
        self.answers = True
        if not self.owed:
            return  # to what was forgotten: how long that took tells nothing
        self.owed -= 1
        self.last_answer_s = now - self._asked_at
        if self._asked_bytes:
            self._learn(self._asked_bytes, self.last_answer_s)
            self._asked_bytes = 0
        self._probe_pause = self.PROBE_S
        # With a probe under way, answers may be late or lost: only silence tells.
        self._settled_at = now + self.GRACE_S if self.owed else None

    def _learn(self, size_bytes: int, answer_s: float) -> None:
        """Fit the size of frames to what the link carries.

        Small answers tell the round trip; what bigger ones take beyond it, the rate.
        """
        target_s = max(self.FRAME_S, self._round_trip_s or 0.0)
        if size_bytes < self.MIN_FRAME_BYTES:
            answer_s = max(0.0, answer_s - target_s * size_bytes / self._frame_bytes)
            known_s = self._round_trip_s
            # It follows at once where it gets shorter, slowly where the path got longer.
            if known_s is None or answer_s < known_s:
                known_s = answer_s
            self._round_trip_s = known_s + (answer_s - known_s) / 20
            return
        round_trip_s = self._round_trip_s or 0.0
        carrying_s = answer_s - round_trip_s
        if carrying_s > target_s:
            fitting = size_bytes * target_s / carrying_s
            self._frame_bytes = max(self.MIN_FRAME_BYTES, fitting)
        elif carrying_s < target_s / 2 and size_bytes >= self._frame_bytes / 2:
            self._frame_bytes = min(self.MAX_FRAME_BYTES, self._frame_bytes * 2)

    def _asked(self, now: float, size_bytes: int) -> None:
        self.owed += 1
        self._asked_at = now
        self._asked_bytes = size_bytes
        self._settled_at = None

    def _refill(self, now: float) -> None:
        if self._refilled_at is not None and now > self._refilled_at:
            earned = (now - self._refilled_at) * self._rate
            self._tokens = min(self._rate, self._tokens + earned)
            self._refilled_at = now


class DisplayCounters(Struct):
    """What was drawn so far."""

    bytes_written: int = 0
    """Bytes of frames and queries; not what sets the terminal up."""
    frames_drawn: int = 0
    """Frames that were written; one that changes nothing is not."""
    frames_merged: int = 0
    """Updates that waited, and were drawn together with a later one."""


class FrameWriter:
    """Keeps the wanted screen, and writes frames as the pacer allows."""

    BACKLOG_PAUSE_S = 0.05
    """When to look again whether the writing thread has caught up."""

    def __init__(
        self,
        *,
        write: Callable[[str], None],
        backlog: Callable[[], int],
        loop: asyncio.AbstractEventLoop,
        looks: Looks,
        pacer: Pacer,
        on_error: Callable[[Exception], None],
    ) -> None:
        """Start paused, with nothing on the screen.

        Args:
            write: Queues text for the terminal.
            backlog: Counts what is queued and not yet taken up for writing.
            loop: Where timers run; every method belongs to its thread.
            looks: Translates styles.
            pacer: Says when to write.
            on_error: Called once drawing failed; nothing is written any more.
        """
        self.counters = DisplayCounters()
        self.pacer = pacer
        self.is_broken = False
        self.synchronised = False
        """Does the terminal take frames as a whole (mode 2026)?"""
        self._write = write
        self._backlog = backlog
        self._loop = loop
        self._looks = looks
        self._on_error = on_error
        self._grid: Grid | None = None
        self._cursor: tuple[int, int] | None = None
        self._paused = True
        self._awaits_layout = False
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_paused(self) -> bool:
        """Does the terminal belong to somebody else now?"""
        return self._paused

    def pause(self) -> None:
        """Write nothing until `resume`; updates are still taken."""
        self._paused = True

    def resume(self) -> None:
        """The terminal is ours, and shows anything."""
        self._paused = False
        self.pacer.forget_flight()
        self.redraw()

    def redraw(self) -> None:
        """Send the whole screen again."""
        if self._grid is not None:
            self._grid.invalidate()
            self._draw_if_possible()

    def resized(self, width: int, height: int) -> None:
        """The terminal has this size, in cells, and shows anything."""
        grid = self._grid
        self._awaits_layout = grid is None or (grid.width, grid.height) != (width, height)
        if not self._awaits_layout:
            self.redraw()

    def update(
        self, update: LayoutUpdate | ChopsUpdate, cursor: tuple[int, int] | None = None
    ) -> None:
        """Take an update, and draw it now if the last frame has arrived.

        Args:
            update: What the compositor made.
            cursor: The cell (column, row) the terminal's cursor belongs on, if any.
        """
        try:
            if isinstance(update, LayoutUpdate):
                self._take_layout(update)
            else:
                self._take_chops(update)
        except Exception as error:
            self._give_up(error)
            return
        if self._grid is not None:
            self._grid.end_update()
        self._cursor = cursor
        if not self._draw_if_possible():
            self.counters.frames_merged += 1

    def answered(self, *, supports_sync: bool) -> None:
        """The terminal answered a query: it has drawn what was written before it."""
        self.synchronised = supports_sync
        self.pacer.answered(time.monotonic())
        self._draw_if_possible()

    def _take_layout(self, update: LayoutUpdate) -> None:
        region = update.region
        grid = self._grid
        if grid is None or (grid.width, grid.height) != (region.right, region.bottom):
            grid = self._grid = Grid(region.right, region.bottom, self._looks)
        self._awaits_layout = False
        for y, line in enumerate(update.strips, region.y):
            x = region.x
            for strip in line:
                x = grid.put(x, y, strip)

    def _take_chops(self, update: ChopsUpdate) -> None:
        """Take the fragments that overlap the changed spans, whole.

        A fragment holds what its widget shows now, also beside what it said had changed.
        """
        chop_ends = update.chop_ends
        grid = self._grid
        if grid is None:
            grid = self._grid = Grid(chop_ends[0][-1], len(chop_ends), self._looks)
        for y, first, last in update.spans:
            for end, (x, strip) in zip(chop_ends[y], update.chops[y].items(), strict=False):
                if strip is not None and x <= last and end > first:
                    grid.put(x, y, strip)

    def _draw_if_possible(self) -> bool:
        """Write what is new, or see to it that it is written later.

        Returns:
            False where the update has to wait.
        """
        if self.is_broken:
            return True
        if self._paused or self._awaits_layout or self._grid is None:
            return False
        now = time.monotonic()
        if self._backlog():
            self._look_again(self.BACKLOG_PAUSE_S)
            return False
        if not self.pacer.may_write(now):
            if self._grid.is_dirty:
                self._probe(now)
                self._look_again(self.pacer.look_again_in(now))
            return False
        try:
            self._draw(self._grid, now)
        except Exception as error:
            self._give_up(error)
        return True

    def _draw(self, grid: Grid, now: float) -> None:
        """Write a frame: all that is new, or the part of it that the link carries now."""
        text = grid.paint(self._cursor, self.pacer.frame_bytes)
        if not text:
            return
        if self.synchronised:
            text = f"{SYNC_START}{text}{SYNC_END}"
        asked = self.pacer.should_ask(now)
        if asked:
            text += QUERY if self.pacer.answers else grid.paint_corner(QUERY)
        size_bytes = self._send(text)
        self.counters.frames_drawn += 1
        self.pacer.wrote(size_bytes, now, asked=asked)
        if grid.is_dirty:
            self._look_again(self.pacer.look_again_in(now))

    def _probe(self, now: float) -> None:
        if self.pacer.should_probe(now):
            self._send(QUERY)
            self.pacer.probed(now)

    def _send(self, text: str) -> int:
        """Queue text for the terminal; returns its size in bytes."""
        size_bytes = len(text.encode())
        self.counters.bytes_written += size_bytes
        self._write(text)
        return size_bytes

    def _look_again(self, delay_s: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(delay_s, self._draw_if_possible)

    def _give_up(self, error: Exception) -> None:
        self.is_broken = True
        self._on_error(error)


class StoppableDriver(LinuxDriver):
    """Textual's driver, which a signal of job control may meet anywhere.

    A handler runs in the midst of anything, such as a write that holds the queue's lock: what
    writes or waits is the loop's.
    """

    _is_to_stop = False
    """Was the latest signal of job control a SIGTSTP? (A handler may come before `__init__`.)"""

    def _sigtstp_application(self, *_: object) -> None:
        self._is_to_stop = True
        self._loop.call_soon_threadsafe(self._stop)

    def _sigcont_application(self, *_: object) -> None:
        self._is_to_stop = False
        self._loop.call_soon_threadsafe(super()._sigcont_application)

    def _stop(self) -> None:
        """Obey a SIGTSTP, unless a SIGCONT has come since."""
        if self._is_to_stop:
            self.suspend_application_mode()
            self._must_signal_resume = True
        if self._is_to_stop:
            _stop_where_somebody_can_continue()
        if self._is_to_stop:
            self._is_to_stop = False
            self.resume_application_mode()
            self._app.notify(NOBODY_CONTINUES, timeout=5)

    def _query_in_band_window_resize(self) -> None:
        """Ask nothing: SIGWINCH tells of another size, and the answer would be typed into the shell
        of who leaves before it comes.
        """

    def start_application_mode(self) -> None:
        """Set the terminal up."""
        if self._has_terminal():
            # A SIGCONT that no SIGTSTP came before. Once more set up, what the terminal was like
            # before us would be forgotten.
            self._set_up_again()
            return
        super().start_application_mode()  # type: ignore[no-untyped-call]

    def _has_terminal(self) -> bool:
        return self._writer_thread is not None and self._writer_thread.is_alive()

    def _set_up_again(self) -> None:
        """Set the terminal up after a SIGSTOP, during which a shell may have changed all of it."""
        with contextlib.suppress(OSError, termios.error):
            if _is_anothers(self.fileno):
                # As after `bg`: as after Ctrl-Z and `bg`, wait for `fg`.
                os.kill(os.getpid(), signal.SIGSTOP)
                return
            settings = termios.tcgetattr(self.fileno)
            settings[tty.IFLAG] = self._patch_iflag(settings[tty.IFLAG])
            settings[tty.LFLAG] = self._patch_lflag(settings[tty.LFLAG])
            settings[tty.CC][termios.VMIN] = 1
            termios.tcsetattr(self.fileno, termios.TCSANOW, settings)
        self.write(f"\x1b[?1049h\x1b[?25l\x1b[?1004h\x1b[<u\x1b[>{KEYBOARD}u")
        self._enable_mouse_support()
        self._enable_bracketed_paste()
        self._disable_line_wrap()
        self._draw_again()

    def _draw_again(self) -> None:
        """The terminal is ours, and shows anything."""
        self._app.refresh(layout=True)


class DisplayDriver(StoppableDriver):
    """The driver with a `FrameWriter` in it, and the ear for its answers."""

    def __init__(
        self,
        app: App[Any],
        *,
        debug: bool = False,
        mouse: bool = True,
        size: tuple[int, int] | None = None,
    ) -> None:
        super().__init__(app, debug=debug, mouse=mouse, size=size)
        self.answers_seen = 0
        """Counts answers as they are read, ahead of the event loop."""
        self.answers_handled = 0
        """Counts those that the event loop has dealt with."""
        self._keys_ahead = WeakSet[events.Key]()
        """Those that are not dealt with yet: nobody keeps one any longer."""
        self._input_wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        # Apple's terminal prints part of the query; Textual makes the same exception.
        can_ask = self.input_tty and os.environ.get("TERM_PROGRAM") != "Apple_Terminal"
        self.frames = FrameWriter(
            write=self.write,
            backlog=self._backlog,
            loop=self._loop,
            looks=Looks(app.console._color_system or ColorSystem.TRUECOLOR),
            pacer=Pacer(_bytes_per_s(), can_ask=can_ask),
            on_error=self._on_display_error,
        )

    def start_application_mode(self) -> None:
        """Set the terminal up, and draw from then on."""
        was_ours = self._has_terminal()
        super().start_application_mode()
        if not was_ours and self._has_terminal():
            self.frames.resume()

    def _draw_again(self) -> None:
        self.frames.resume()

    def stop_application_mode(self) -> None:
        """Give the terminal back, however stuck it is, until `start_application_mode`."""
        if self._writer_thread is None or not self._writer_thread.is_alive():
            return
        output = self._writer_thread.fileno()
        ours = os.dup(output)
        _restore_terminal(self, "")
        self.disable_input()
        self._writer_thread.stop()
        os.dup2(ours, output)
        os.close(ours)
        signal.signal(signal.SIGTTOU, signal.SIG_DFL)
        self.frames.pacer.forget_flight()

    def write(self, data: str) -> None:
        """Queue text for the terminal. Where it has long stopped reading the text is dropped: the
        queue holds 30 pieces, and waiting for room would hold up the event loop and all keys.
        Frames are not written while anything is queued, so it is mouse pointers and bells.
        """
        if self._writer_thread is None or not self._writer_thread._queue.full():
            super().write(data)

    def run_input_thread(self) -> None:
        """Read keys and answers."""
        parser = AnswerParser()
        waiter = partial(InputSelector, self._input_wake, parser.is_pending)
        # The method looks the parser, the selector and the decoder up in its module.
        _driver_module.XTermParser = lambda debug: parser
        _driver_module.selectors = SimpleNamespace(
            SelectSelector=waiter, EVENT_READ=selectors.EVENT_READ
        )
        # A terminal of another encoding sends bytes that are no UTF-8.
        decoder = partial(codecs.getincrementaldecoder("utf-8"), "replace")
        _driver_module.getincrementaldecoder = lambda encoding: decoder
        super().run_input_thread()

    def disable_input(self) -> None:
        """Have the input thread look up, and end it."""
        os.eventfd_write(self._input_wake, 1)
        super().disable_input()

    def process_message(self, message: Message) -> None:
        """Keep answers from the app's queue, where they would wait behind keys."""
        if isinstance(message, FrameAnswer):
            self.answers_seen += 1
            with contextlib.suppress(RuntimeError):  # The loop is closed: we are leaving.
                self._loop.call_soon_threadsafe(self._on_answer, message.setting)
        elif isinstance(message, events.Key) and not self._takes(message):
            return
        elif not isinstance(message, TerminalSupportsSynchronizedOutput):
            super().process_message(message)

    def _takes(self, key: events.Key) -> bool:
        """Keys beyond what anybody types ahead are a paste into a terminal that does not mark one,
        or a cat on the keyboard: they would be worked off for minutes, with Ctrl-C behind them.
        """
        if len(self._keys_ahead) >= MOST_KEYS_AHEAD and key.key != "ctrl+c":
            return False
        self._keys_ahead.add(key)
        return True

    def _request_terminal_sync_mode_support(self) -> None:
        """Ask nothing: the first frame does."""

    def _on_answer(self, setting: int) -> None:
        self.answers_handled += 1
        supports_sync = setting in (1, 2, 3)
        self._app._sync_available = supports_sync
        self.frames.answered(supports_sync=supports_sync)

    def _backlog(self) -> int:
        return self._writer_thread._queue.qsize() if self._writer_thread else 0

    def _on_display_error(self, error: Exception) -> None:
        self._app.log.error(f"the cell diff failed, drawing plainly from now on: {error!r}")
        if isinstance(self._app, DiffDisplay):
            self._app.display_error = error
        self._app.refresh(layout=True)


def _stop_where_somebody_can_continue() -> None:
    """Stop until a SIGCONT. Where no shell stands above us, as in a window or an SSH session that
    runs nothing but us, nobody could send one: there the kernel passes over a SIGTSTP that is not
    handled, but not over a SIGSTOP.
    """
    handler = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGTSTP)
    signal.signal(signal.SIGTSTP, handler)


def _bytes_per_s() -> float:
    """The budget for terminals that do not answer, from GPUTOP_DISPLAY_BYTES_PER_S."""
    try:
        return max(100.0, float(os.environ["GPUTOP_DISPLAY_BYTES_PER_S"]))
    except (KeyError, ValueError):
        return DEFAULT_BYTES_PER_S


class DiffDisplay(App[ReturnType]):
    """An app whose frames are diffed and paced; mix it in before `App`."""

    diff_display = True
    """Set to False in a subclass to draw as Textual does."""

    display_error: Exception | None = None
    """Why drawing fell back to Textual's, if it did."""

    @property
    def frames(self) -> FrameWriter | None:
        """What draws the frames; None where Textual does (plain, headless, inline)."""
        driver = self._driver
        if isinstance(driver, DisplayDriver) and not driver.frames.is_broken:
            return driver.frames
        return None

    def action_redraw(self) -> None:
        """Draw the whole screen again, whatever the terminal shows."""
        if self.frames is not None:
            self.frames.redraw()
        else:
            self.refresh(layout=True)

    def get_driver_class(self) -> type[Driver]:
        """Textual's choice, unless that is the driver this module knows."""
        stock = super().get_driver_class()
        if stock is not LinuxDriver:
            return stock
        plain = not self.diff_display or os.environ.get("GPUTOP_DISPLAY") == "plain"
        return StoppableDriver if plain or not seam_is_intact() else DisplayDriver

    def _display(self, screen: Screen[Any], renderable: RenderableType | None) -> None:
        frames = self.frames
        if frames is None or not isinstance(renderable, LayoutUpdate | ChopsUpdate):
            super()._display(screen, renderable)
            return
        try:
            if self._running and not self._closed and not self._batch_count:
                # Textual's (0, 0) means that nobody has asked for a place.
                cursor = screen.outer_size.clamp_offset(self.cursor_position)
                frames.update(renderable, cursor if any(cursor) else None)
        finally:
            self.post_display_hook()

    def _prune(self, *nodes: Widget, parent: DOMNode | None = None) -> AwaitRemove:
        """Let go of widgets that are removed, and of their rows.

        Textual's `get_inner_outer` is an `lru_cache` on a method: it holds the last 1024 widgets'
        caches with every row in them, 80 MB once enough screens were opened and closed.
        """
        if forget := getattr(StylesCache.get_inner_outer, "cache_clear", None):
            forget()
        return super()._prune(*nodes, parent=parent)

    async def _on_resize(self, event: events.Resize) -> None:
        # Textual calls the handler of every class: this one runs before App's own.
        if self.frames is not None:
            self.frames.resized(*event.size)
            # Textual's SIGWINCH handler reads the size, then posts it: of two signals at once
            # the older size may come last, so the terminal has the last word.
            size = Size(*self._driver._get_terminal_size())  # type: ignore[union-attr]
            if size != event.size:
                self.post_message(events.Resize(size, size))


def seam_is_intact() -> bool:
    """Are the private parts of Textual that this module leans on as it expects them?"""
    try:
        return all(
            (
                list(signature(App._display).parameters) == ["self", "screen", "renderable"],
                list(signature(LayoutUpdate).parameters) == ["strips", "region"],
                list(signature(ChopsUpdate).parameters) == ["chops", "spans", "chop_ends"],
                issubclass(LayoutUpdate, CompositorUpdate),
                callable(App._on_resize),
                callable(LinuxDriver._get_terminal_size),
                callable(LinuxDriver._sigtstp_application),
                callable(LinuxDriver._sigcont_application),
                callable(App.post_display_hook),
                callable(LinuxDriver._request_terminal_sync_mode_support),
                callable(LinuxDriver._query_in_band_window_resize),
                {"XTermParser", "SelectSelector", "getincrementaldecoder"}
                <= _names_in(LinuxDriver.run_input_thread),
                WriterThread(StringIO())._queue.qsize() == 0,
                not WriterThread(StringIO())._queue.full(),
                [type(token) for token in AnswerParser().feed("\x1b[?2026;0$y")] == [FrameAnswer],
                _is_pending_after("\x1b") and not _is_pending_after("\x1b[?2026;0$y"),
                _look_of_a_strip() == parse_sgr("1;31;44"),
            )
        )
    except Exception:
        return False


def _is_pending_after(read: str) -> bool:
    parser = AnswerParser()
    list(parser.feed(read))
    return parser.is_pending()


def _names_in(function: Callable[..., object]) -> set[str]:
    """The names a function looks up, outside those it holds itself."""
    return set(function.__code__.co_names)


def _look_of_a_strip() -> object:
    """What `Strip.render_ansi` makes of a style, read back."""
    style = Style(bold=True, color="red", bgcolor="blue")
    assert style._link is None
    return parse_sgr(Strip.render_ansi(style, ColorSystem.STANDARD))


# Leaving


LEAVE_LIMIT_S = 0.2
"""How long a terminal that takes nothing may hold up its being given back."""

LINGER_LIMIT_S = 1.0
"""How long an answer under way may be waited for, once the terminal was given back."""


def leave_at_once(
    app: App[Any],
    code: int = 0,
    *,
    first: Iterable[Callable[[], object]] = (),
    farewell: str = "",
) -> None:
    """Give the terminal back and end the process, however stuck the terminal is.

    What is queued for the terminal is dropped. Call it from the main thread.

    Args:
        app: The running app.
        code: The exit code.
        first: Called before anything else, such as what kills the collector. They must
            not block; what they raise is ignored.
        farewell: A line to leave on the terminal, without its end.
    """
    for callback in first:
        with contextlib.suppress(Exception):
            callback()
    driver = app._driver
    if isinstance(driver, LinuxDriver):
        with contextlib.suppress(Exception):
            _restore_terminal(driver, f"{farewell}\r\n" if farewell else "")
    os._exit(code)


ENDING_SIGNALS = (
    signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2,
    signal.SIGALRM, signal.SIGVTALRM, signal.SIGXCPU, signal.SIGPOLL, signal.SIGPWR,
)  # fmt: skip
"""What ends a process that does nothing about it, and would leave the terminal as we had it."""


def leave_on_signals(
    app: App[Any],
    *,
    first: Iterable[Callable[[], object]] = (),
    signals: Iterable[signal.Signals] = ENDING_SIGNALS,
) -> None:
    """Leave at once, with exit code 128 + n, on signals that ask for it.

    Args:
        app: The app that is about to run or runs.
        first: See `leave_at_once`.
        signals: The signals.
    """
    callbacks = tuple(first)

    # A plain handler, not the event loop's: it runs even where the loop is stuck.
    def leave(number: int, _frame: FrameType | None) -> None:
        leave_at_once(app, 128 + number, first=callbacks)

    for number in signals:
        signal.signal(number, leave)


def _restore_terminal(driver: LinuxDriver, farewell: str) -> None:
    """Undo what the driver did to the terminal."""
    # Were we in the background, touching the terminal would stop us.
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    _stop_drawing(driver)
    if driver._writer_thread is not None and driver._writer_thread.is_alive():
        _write_past(driver._writer_thread, _restore_sequence(driver) + farewell)
    if isinstance(driver, DisplayDriver):
        _await_answers(driver)
    with contextlib.suppress(termios.error, OSError):
        if _is_anothers(driver.fileno):
            return  # As after `kill %1`: a shell has set the line, and reads what is typed.
        if driver.attrs_before is not None:
            termios.tcsetattr(driver.fileno, termios.TCSANOW, driver.attrs_before)
        termios.tcflush(driver.fileno, termios.TCIFLUSH)


def _is_anothers(terminal: int) -> bool:
    """Does the terminal belong to another job, such as the shell? One that controls no session, as
    under `setsid`, belongs to nobody.
    """
    try:
        return os.tcgetpgrp(terminal) != os.getpgrp()
    except OSError:
        return False


def _stop_drawing(driver: LinuxDriver) -> None:
    """Let nothing more be written."""
    if isinstance(driver, DisplayDriver):
        driver.frames.pause()
    if driver._writer_thread is not None:
        # Not `get_nowait`: a signal may have come while a write held the queue's lock.
        driver._writer_thread._queue.queue.clear()


def _await_answers(driver: DisplayDriver) -> None:
    """Wait for an answer that is under way, as long as such take on this link.

    One that came after we left would be typed into the user's shell. Nothing is waited
    for where the link hangs.
    """
    pacer = driver.frames.pacer
    now = time.monotonic()
    deadline = now + min(LINGER_LIMIT_S, pacer.answer_expected_in(now))
    seen = driver.answers_handled
    while driver.answers_seen - seen < pacer.owed and time.monotonic() < deadline:
        time.sleep(0.002)


def _restore_sequence(driver: LinuxDriver) -> str:
    """What brings the terminal back from whatever the driver set."""
    parts = [
        "\x1b\\",  # Ends a sequence that was cut short.
        SYNC_END,
        "\x1b[m\x1b]8;;\x1b\\",
        "\x1b[?2004l",  # Bracketed paste.
        "\x1b[?7h",  # Line wrap.
    ]
    if driver._mouse:
        parts.append("\x1b[?1000l\x1b[?1003l\x1b[?1015l\x1b[?1006l\x1b[?1016l")
    # The keyboard protocol belongs to the alternate screen: it goes first.
    parts.append("\x1b[<u\x1b[?1049l\x1b[?25h\x1b[?1004l")
    return "".join(parts)


def _write_past(thread: WriterThread, text: str) -> None:
    """Write to the terminal even where the writing thread is stuck in the middle of it.

    The thread's own descriptor is turned to /dev/null and the thread woken, so that it
    lets go of the terminal; what the terminal has not taken is thrown away.

    Args:
        thread: Textual's writing thread.
        text: What to write: all of it to a terminal that is slow, none to one that takes nothing
            for `LEAVE_LIMIT_S`.
    """
    output = thread.fileno()
    terminal = opened_anew(output)
    with contextlib.suppress(OSError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, output)
        os.close(nowhere)
    _write_patiently(thread, terminal, text.encode())
    os.close(terminal)


def _write_patiently(thread: WriterThread, terminal: int, data: bytes) -> None:
    """Write to a descriptor that does not block, waking the thread that holds the terminal."""
    signal.signal(signal.SIGURG, lambda *_: None)  # A signal with a handler interrupts.
    begun = False
    deadline = time.monotonic() + LEAVE_LIMIT_S
    while data and time.monotonic() < deadline:
        try:
            if not begun:
                termios.tcflush(terminal, termios.TCOFLUSH)
            data = data[os.write(terminal, data) :]
            begun = True
            deadline = time.monotonic() + LEAVE_LIMIT_S
        except BlockingIOError:
            if thread.ident is not None:
                signal.pthread_kill(thread.ident, signal.SIGURG)
            time.sleep(0.002)
        except (OSError, termios.error):
            return

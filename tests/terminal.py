"""A terminal for tests: a program on a real pty, its screen, its keys, its link.

    with Terminal(["gputop", "--demo"], size=(120, 40)) as terminal:
        terminal.wait_for("H100")
        terminal.type("q")
        assert terminal.exit_code() == 0

It draws with pyte, answers queries as xterm does, and can be as slow, as late or as
stuck as a bad link. Everything waits on what the program writes; nothing polls.
"""

import contextlib
import fcntl
import heapq
import os
import re
import signal
import struct
import subprocess
import termios
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pyte

from tests.waiting import readable

KEYS = {
    "enter": "\r",
    "esc": "\x1b",
    "tab": "\t",
    "shift-tab": "\x1b[Z",
    "space": " ",
    "backspace": "\x7f",
    "delete": "\x1b[3~",
    "up": "\x1b[A",
    "down": "\x1b[B",
    "right": "\x1b[C",
    "left": "\x1b[D",
    "home": "\x1b[H",
    "end": "\x1b[F",
    "pgup": "\x1b[5~",
    "pgdn": "\x1b[6~",
    **{f"ctrl-{chr(96 + code)}": chr(code) for code in range(1, 27)},
    **dict(zip(("f1", "f2", "f3", "f4"), ("\x1bOP", "\x1bOQ", "\x1bOR", "\x1bOS"), strict=True)),
    **{f"f{n}": f"\x1b[{code}~" for n, code in ((5, 15), (6, 17), (7, 18), (8, 19), (9, 20))},
    "f10": "\x1b[21~",
}
"""What named keys send."""

# What pyte does not know, or the terminal has to act upon; anything else is drawn.
_SPECIAL = re.compile(
    rb"\x1b\[\?(?P<query>\d+)\$p"
    rb"|\x1b\[\?(?P<modes>[\d;]+)(?P<switch>[hl])"
    rb"|\x1b\[(?P<report>[56])n"
    rb"|\x1b\[(?P<attributes>0?c|>0?c)"
    rb"|\x1b\[(?P<keyboard>[<=>?][\d;]*u)"
    rb"|\x1b\[[<=>][\d;]*[a-zA-Z]"
    rb"|\x1b\](?P<osc>[^\x07\x1b]*)(?:\x07|\x1b\\)"
    rb"|\x1b[P_^][^\x1b]*\x1b\\"
    rb"|\x1b\\",
    re.S,
)
_UNFINISHED = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*|[\]P_^][^\x07\x1b]*\x1b?)?\Z", re.S)
_MODE_SETTINGS = {2026: 2}
_MAX_RAW_BYTES = 8_000_000
_TICK_S = 0.01

Condition = str | re.Pattern[str] | Callable[["Terminal"], Any]


def _passing_over(draw: Callable[..., None]) -> Callable[..., None]:
    """A sequence that has too much in it is passed over, as terminals do: one that was cut short
    goes on with whatever comes next.
    """

    def call(screen: pyte.Screen, *numbers: int, **private: bool) -> None:
        with contextlib.suppress(TypeError):
            draw(screen, *numbers, **private)

    return call


_Screen = type(
    "_Screen", (pyte.Screen,),
    {name: _passing_over(getattr(pyte.Screen, name)) for name in pyte.Stream.csi.values()},
)  # fmt: skip


def _give_a_shell() -> None:
    """Have our process group be one that the kernel stops: one of whose members has a parent in
    another group of the session. That member ends with the session, and its parent with it.
    """
    program = os.getpid()
    if os.fork():
        return
    try:
        os.closerange(0, os.sysconf("SC_OPEN_MAX"))
        os.setpgid(0, 0)
        if not os.fork():
            os.setpgid(0, program)
            while True:
                signal.pause()
        os.wait()
    finally:
        os._exit(0)


class Terminal:
    """A program and the terminal it runs in."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        size: tuple[int, int] = (80, 24),
        env: Mapping[str, str | None] | None = None,
        cwd: str | os.PathLike[str] | None = None,
        answers: bool = True,
        answer_delay_s: float = 0.0,
        mode_settings: Mapping[int, int] = _MODE_SETTINGS,
        bytes_per_s: float | None = None,
        link_bytes: int = 0,
        mark: str | None = None,
        stoppable: bool = False,
    ) -> None:
        """Start the program.

        Args:
            command: The program and its arguments.
            size: Columns and rows.
            env: Added to the environment; None takes a name out of it. TERM is
                xterm-256color and COLORTERM absent, as over SSH, unless given.
            cwd: Where it runs.
            answers: Does the terminal answer queries?
            answer_delay_s: How long its answers are under way.
            mode_settings: What it says of each mode (DECRPM): 1 set, 2 reset, otherwise 0,
                not recognised.
            bytes_per_s: How fast the link is; None for as fast as it goes.
            link_bytes: What a slow or stalled link holds in its own buffers, beyond the
                pty's: kilobytes to megabytes with SSH.
            mark: `NAME=VALUE` in the environment by which `descendants` knows the program's
                processes, for one that is started elsewhere with it; made up otherwise.
            stoppable: Is there somebody who could continue it, as there is in a shell? Nothing
                but SIGSTOP stops it otherwise.
        """
        self.columns, self.rows = size
        self.answers = answers
        self.answer_delay_s = answer_delay_s
        self.mode_settings = mode_settings
        self.bytes_per_s = bytes_per_s
        self.link_bytes = link_bytes
        self.bytes_written = 0
        """What the program has written, as far as it was read from it."""
        self.writes = 0
        """Reads that brought something: about as many as the program's writes."""
        self.queries: dict[int, int] = {}
        """How often each mode was asked for (DECRQM)."""
        self.modes: set[int] = set()
        """The private modes that are on: 1049 alternate screen, 1000 mouse, ..."""
        self.keyboard_stack = 0
        """Kitty keyboard settings that were pushed and not popped."""
        self.osc: list[str] = []
        """Operating system commands, such as "52;c;..." for the clipboard."""
        self.raw = bytearray()
        """What was drawn, for debugging; the oldest half is dropped at 8 MB."""

        self._screen = _Screen(*size)
        self._stream = pyte.ByteStream(self._screen)
        self._unfinished = b""
        self._changed = threading.Condition(threading.RLock())
        self._last_read = time.monotonic()
        self._is_stalled = False
        self._link = bytearray()
        self._tokens = 0.0
        self._answers_due: list[tuple[float, int, bytes]] = []
        self._answer_count = 0
        self._closed = False
        self._hangs_up = False
        self._at_end = False
        self._failure: BaseException | None = None
        """What ended the reading thread: nothing more is read then."""
        self._mark = mark or f"GPUTOP_TEST_TERMINAL={uuid.uuid4().hex}"
        self._wake_read, self._wake_write = os.pipe()
        self._start(command, env or {}, cwd, stoppable)

    def _start(
        self,
        command: Sequence[str],
        env: Mapping[str, str | None],
        cwd: str | os.PathLike[str] | None,
        stoppable: bool,
    ) -> None:
        def prepare() -> None:
            os.login_tty(slave)
            if stoppable:
                _give_a_shell()

        self._master, slave = os.openpty()
        self._set_size()
        self.settings_before = termios.tcgetattr(slave)
        """The line settings that the program found."""
        self._process = subprocess.Popen(
            command,
            env=self._environment(env),
            cwd=cwd,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            preexec_fn=prepare,
        )
        os.close(slave)
        self._reader = threading.Thread(target=self._run, name="terminal", daemon=True)
        self._reader.start()

    def _environment(self, changes: Mapping[str, str | None]) -> dict[str, str]:
        foreign = ("COLORTERM", "NO_COLOR", "TERM_PROGRAM", "LC_TERMINAL", "COLUMNS", "LINES")
        env = {
            name: value
            for name, value in os.environ.items()
            if name not in foreign and not name.startswith(("TEXTUAL", "PYTEST", "GPUTOP"))
        }
        env |= {"TERM": "xterm-256color", "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"}
        env |= {name: value for name, value in changes.items() if value is not None}
        for name, value in changes.items():
            if value is None:
                env.pop(name, None)
        name, _, value = self._mark.partition("=")
        return {**env, name: value}

    # What the user does

    def type(self, *keys: str) -> None:
        """Press keys.

        Args:
            keys: Each a name from `KEYS` or a text to type as it is.
        """
        for key in keys:
            os.write(self._master, KEYS.get(key, key).encode())

    def send(self, raw: bytes) -> None:
        """Send bytes that no key sends."""
        os.write(self._master, raw)

    def resize(self, columns: int, rows: int) -> None:
        """Give the window another size."""
        with self._changed:
            self.columns, self.rows = columns, rows
            self._screen.resize(rows, columns)
            self._set_size()

    def signal(self, number: int) -> None:
        """Send the program a signal."""
        self._process.send_signal(number)

    def stall(self) -> None:
        """Take nothing more from the program, as a link that hangs."""
        self._is_stalled = True
        self._wake()

    def resume(self) -> None:
        """End a stall."""
        self._is_stalled = False
        self._wake()

    def hang_up(self) -> None:
        """Close the terminal, as a window that is closed or a connection that breaks."""
        with self._changed:
            self._hangs_up = True
            self._wake()
            self._changed.wait_for(lambda: self._at_end, 5)

    # What the user sees

    def lines(self) -> list[str]:
        """The rows of the screen, without the blanks at their ends."""
        # Not pyte's own `display`: it fails on half a wide character.
        return ["".join(cell.data for cell in row).rstrip() for row in self.cells()]

    def text(self) -> str:
        """The screen."""
        return "\n".join(self.lines())

    def find(self, pattern: str | re.Pattern[str]) -> re.Match[str] | None:
        """Search the screen; ^ and $ match at every line."""
        return re.search(pattern, self.text(), re.MULTILINE)

    def cell(self, column: int, row: int) -> pyte.screens.Char:
        """A cell (from 0, 0) with its style: data, fg, bg, bold, reverse, ..."""
        with self._changed:
            return self._screen.buffer[row][column]

    def cells(self) -> list[list[pyte.screens.Char]]:
        """All cells, row by row."""
        with self._changed:
            buffer = self._screen.buffer
            return [[buffer[y][x] for x in range(self.columns)] for y in range(self.rows)]

    def cursor(self) -> tuple[int, int]:
        """Column and row of the cursor."""
        with self._changed:
            return self._screen.cursor.x, self._screen.cursor.y

    # Waiting

    def wait_for(self, condition: Condition, timeout: float = 20) -> Any:
        """Wait until the screen shows something.

        Args:
            condition: A pattern to be found, or a function of the terminal.
            timeout: Seconds.

        Returns:
            The match, or what the function returned.

        Raises:
            AssertionError: When it does not come true; shows the screen.
        """
        if callable(condition):
            test = condition
        else:
            pattern = condition

            def test(terminal: "Terminal") -> Any:
                return terminal.find(pattern)

        found: Any = None

        def is_over() -> Any:
            nonlocal found
            found = test(self)  # once: what was true of a process may not be a moment later
            return self._failure or found or (self._at_end and not self._link)

        with self._changed:
            result = self._changed.wait_for(is_over, timeout)
        if self._failure is not None:
            raise AssertionError(
                f"the terminal itself failed\n{self.describe()}"
            ) from self._failure
        if not found:
            state = "in time" if not result else "before the program ended"
            raise AssertionError(f"{condition!r} did not come {state}\n{self.describe()}")
        return found

    def wait_quiet(self, quiet_s: float = 0.3, timeout: float = 20) -> None:
        """Wait until the program has written nothing for a while."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while not self._at_end:
                now = time.monotonic()
                left = self._last_read + quiet_s - now
                if left <= 0:
                    return
                assert now < deadline, f"never quiet for {quiet_s} s\n{self.describe()}"
                self._changed.wait(left)

    def exit_code(self, timeout: float = 20) -> int:
        """Wait for the program to end, and for what it wrote last.

        Returns:
            Its exit code, negative for a signal.
        """
        try:
            code = self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running\n{self.describe()}") from None
        if not self._is_stalled:
            with self._changed:
                self._changed.wait_for(lambda: self._at_end and not self._link, 2)
        return code

    def wait_stopped(self, timeout: float = 60) -> None:
        """Wait, as a shell does, until a signal of job control has stopped the program."""
        deadline = time.monotonic() + timeout
        look = os.WSTOPPED | os.WNOHANG | os.WNOWAIT
        while os.waitid(os.P_PID, self.pid, look) is None:
            assert time.monotonic() < deadline, f"not stopped\n{self.describe()}"
            time.sleep(0.005)

    def describe(self) -> str:
        """The screen, how the program fares, and what it wrote last."""
        border = "+" + "-" * self.columns + "+"
        screen = "\n".join(f"|{line:{self.columns}}|" for line in self.lines())
        state = self._process.poll()
        return (
            f"{border}\n{screen}\n{border}\nexit code: {state}; {self.bytes_written} bytes "
            f"written; last: {bytes(self.raw[-300:])!r}"
        )

    # The program's processes

    @property
    def pid(self) -> int:
        """The program's process id."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Has the program not ended yet?"""
        return self._process.poll() is None

    def descendants(self) -> list[int]:
        """Ids of all processes alive that the program started, and itself.

        They are known by a mark in their environment, whatever session they went to.
        """
        found = []
        for name in os.listdir("/proc"):
            if name.isdecimal():
                with contextlib.suppress(OSError), open(f"/proc/{name}/environ", "rb") as file:
                    if self._mark.encode() in file.read().split(b"\0"):
                        found.append(int(name))
        return found

    def is_restored(self) -> bool:
        """Are the modes and the line settings as the program found them?"""
        on = self.modes - {7, 25}
        return not on and self.keyboard_stack <= 0 and self.settings() == self.settings_before

    def settings(self) -> list[Any]:
        """The line settings (see termios)."""
        return termios.tcgetattr(self._master)

    def set(self, settings: list[Any]) -> None:
        """Change the line settings, as a shell does that takes the terminal back."""
        termios.tcsetattr(self._master, termios.TCSANOW, settings)

    def close(self) -> None:
        """Kill the program and all it started."""
        if self._closed:
            return
        self._closed = True
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        # More than once: one that is just replacing itself (exec) has no environment.
        for _ in range(3):
            for pid in self.descendants():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.001)
        self._wake()
        self._reader.join()
        if self._master >= 0:
            os.close(self._master)
        os.close(self._wake_read)
        os.close(self._wake_write)

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # The reading thread

    def _run(self) -> None:
        try:
            self._read_on()
        except BaseException as failure:
            with self._changed:
                self._failure = failure
                self._changed.notify_all()
            raise

    def _read_on(self) -> None:
        before = time.monotonic()
        while not self._closed:
            if self._hangs_up and self._master >= 0:
                self._close_master()
            now = time.monotonic()
            self._send_answers(now)
            self._deliver(now - before)
            before = now
            sources = [self._wake_read]
            if self._may_read():
                sources.append(self._master)
            ready = readable(*sources, timeout_s=self._pause())
            if self._wake_read in ready:
                os.read(self._wake_read, 4096)
            if self._master in ready:
                self._read()

    def _close_master(self) -> None:
        """Only this thread may close it: another's close would wait for the poll here."""
        with self._changed:
            os.close(self._master)
            self._master = -1
            self._at_end = True
            self._changed.notify_all()

    def _may_read(self) -> bool:
        if self._at_end:
            return False
        if self._is_stalled or self.bytes_per_s:
            return len(self._link) < max(self.link_bytes, 0 if self._is_stalled else 1)
        return True

    def _pause(self) -> float | None:
        """Seconds until there is something to do without anything to read."""
        pauses = []
        if self._link and not self._is_stalled:
            pauses.append(_TICK_S)
        if self._answers_due:
            pauses.append(max(0.0, self._answers_due[0][0] - time.monotonic()))
        return min(pauses, default=None)

    def _read(self) -> None:
        room = 65536
        if self.bytes_per_s:
            room = max(256, int(self.bytes_per_s * _TICK_S), self.link_bytes - len(self._link))
        try:
            data = os.read(self._master, room)
        except OSError:  # EIO: the last process has closed its side.
            data = b""
        with self._changed:
            self._last_read = time.monotonic()
            if data:
                self.bytes_written += len(data)
                self.writes += 1
                self._link += data
            else:
                self._at_end = True
            self._changed.notify_all()
        self._deliver(0.0)

    def _deliver(self, elapsed_s: float) -> None:
        """Draw what the link lets through."""
        if self._is_stalled or not self._link:
            return
        size = len(self._link)
        if self.bytes_per_s:
            limit = max(256.0, self.bytes_per_s * 0.05)
            self._tokens = min(limit, self._tokens + elapsed_s * self.bytes_per_s)
            size = min(size, int(self._tokens))
            self._tokens -= size
        if size:
            with self._changed:
                self._draw(bytes(self._link[:size]))
                del self._link[:size]
                self._changed.notify_all()

    def _draw(self, data: bytes) -> None:
        self.raw += data
        if len(self.raw) > _MAX_RAW_BYTES:
            del self.raw[: _MAX_RAW_BYTES // 2]
        data = self._unfinished + data
        cut = self._unfinished_from(data)
        data, self._unfinished = data[:cut], data[cut:]
        drawn = 0
        for match in _SPECIAL.finditer(data):
            self._stream.feed(data[drawn : match.start()])
            self._obey(match)
            drawn = match.end()
        self._stream.feed(data[drawn:])

    def _unfinished_from(self, data: bytes) -> int:
        """Where that begins which cannot be drawn yet: a sequence cut short, or a frame that is
        shown as a whole (mode 2026) where the terminal can do that.
        """
        frame = data.rfind(b"\x1b[?2026h")
        if frame >= 0 and self.mode_settings.get(2026) and b"\x1b[?2026l" not in data[frame:]:
            return frame
        cut = _UNFINISHED.search(data)
        return cut.start() if cut else len(data)

    def _obey(self, match: re.Match[bytes]) -> None:
        """Act upon a sequence that is not drawn."""
        part = match.groupdict()
        if part["query"]:
            mode = int(part["query"])
            self.queries[mode] = self.queries.get(mode, 0) + 1
            self._answer(f"\x1b[?{mode};{self.mode_settings.get(mode, 0)}$y")
        elif part["modes"]:
            modes = {int(mode) for mode in part["modes"].split(b";") if mode}
            self.modes = self.modes | modes if part["switch"] == b"h" else self.modes - modes
            self._stream.feed(match[0])
        elif part["report"]:
            x, y = self._screen.cursor.x, self._screen.cursor.y
            self._answer("\x1b[0n" if part["report"] == b"5" else f"\x1b[{y + 1};{x + 1}R")
        elif part["attributes"]:
            kind = part["attributes"].startswith(b">")
            self._answer("\x1b[>41;390;0c" if kind else "\x1b[?62;22c")
        elif part["keyboard"]:
            self.keyboard_stack += {b">": 1, b"<": -1}.get(part["keyboard"][:1], 0)
        elif part["osc"]:
            self.osc.append(part["osc"].decode(errors="replace"))

    def _answer(self, text: str) -> None:
        if self.answers:
            self._answer_count += 1
            due = time.monotonic() + self.answer_delay_s
            heapq.heappush(self._answers_due, (due, self._answer_count, text.encode()))
            self._send_answers(time.monotonic())

    def _send_answers(self, now: float) -> None:
        while self._answers_due and self._answers_due[0][0] <= now:
            with contextlib.suppress(OSError):
                os.write(self._master, heapq.heappop(self._answers_due)[2])

    def _set_size(self) -> None:
        size = struct.pack("HHHH", self.rows, self.columns, 0, 0)
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, size)

    def _wake(self) -> None:
        os.write(self._wake_write, b".")

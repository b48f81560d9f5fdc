"""The real program for tests: on a terminal, or as a command whose output is read.

Every process started here stands in a folder of its own, knows no settings of the user who runs
the tests, and finds the driver that the test wants it to find.
"""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import gputop
from gputop.model.codec import decode
from gputop.model.frame import AnyRecord, Event, Frame, Hello
from tests.terminal import Terminal
from tests.waiting import readable

PATIENCE_S = float(os.environ.get("GPUTOP_TEST_PATIENCE", "60"))
"""A net for what never comes, on a machine that is very busy; nothing is measured by it."""
CLOCK = r"\d\d:\d\d:\d\d"
CHECKOUT = Path(gputop.__file__).resolve().parent.parent
_OF_THE_USER = ("CUDA_VISIBLE_DEVICES", "SLURM_STEP_GPUS", "SLURM_JOB_GPUS", "XDG_RUNTIME_DIR")

DISPLAY_KEYS = {
    "question_mark": "?", "slash": "/", "minus": "-", "plus": "+", "equals_sign": "=",
    "left_square_bracket": "[", "right_square_bracket": "]", "greater_than_sign": ">",
    "less_than_sign": "<", "pageup": "pgup", "pagedown": "pgdn", "escape": "esc",
}  # fmt: skip
"""Textual's names of keys in those of the test terminal."""


def key_name(textual: str) -> str:
    """A key of a binding as the test terminal calls it."""
    return DISPLAY_KEYS.get(textual) or textual.replace("+", "-")


def environment(home: Path, driver: Mapping[str, str], scale: float) -> dict[str, str | None]:
    """What the program's environment differs in from ours; None takes a name out."""
    return {
        **dict.fromkeys(_OF_THE_USER),
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / "config"),
        "PYTHONPATH": str(CHECKOUT),
        "GPUTOP_DEADLINE_SCALE": repr(scale),
        **driver,
    }


def command_line(arguments: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", "gputop", *arguments]


WITH_MANY_FILES = (
    sys.executable,
    "-c",
    """if True:
    import os, resource, sys
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (2048, hard))
    while os.dup(0) < 1100: pass
    for fd in range(3, 1100): os.set_inheritable(fd, True)
    os.execvp(sys.argv[1], sys.argv[1:])
    """,
)
"""What runs a program so that all its descriptors but the first three are above 1023."""


def allows_many_files() -> bool:
    """May there be descriptors above 1023?"""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return hard == resource.RLIM_INFINITY or hard >= 2048


class Gputop(Terminal):
    """The program's terminal, with what tests ask of it again and again.

    Args:
        arguments: What stands behind `gputop`.
        folder: Where it runs, so where it writes its snapshots.
        env: Changes to the environment.
        through: A command that runs the program, given as its last arguments.
        more: See `Terminal`.
    """

    def __init__(
        self, arguments: Sequence[str], folder: Path, env: Mapping[str, str | None],
        through: Sequence[str] = (), **more: Any,
    ) -> None:  # fmt: skip
        self.folder = folder
        super().__init__([*through, *command_line(arguments)], env=env, cwd=folder, **more)

    # -- waiting ---------------------------------------------------------------------------

    def wait_for(self, condition: Any, timeout: float = PATIENCE_S) -> Any:
        return super().wait_for(condition, timeout)

    def wait_gone(self, pattern: str) -> None:
        """Wait until the screen no longer shows something."""
        self.wait_for(lambda terminal: not terminal.find(pattern))

    def press(self, *keys: str, shows: str = "", hides: str = "") -> re.Match[str] | None:
        """Press keys, and wait for what comes of it. What is to go is waited for first: of Esc and
        a key at once the terminal makes Alt and that key.
        """
        if hides:
            self.wait_for(hides)
        self.type(*keys)
        if hides:
            self.wait_gone(hides)
        return self.wait_for(shows) if shows else None

    # -- devices ---------------------------------------------------------------------------

    def device(self, index: int | str) -> str:
        """What the overview shows of a device: its pane, row or cell; empty when it does not."""
        lines = self.lines()
        row = re.compile(rf"(?:^|│)[› ] ?{index}\*? \S")
        if corner := _corner(lines, index):
            return _block(lines, *corner)
        for line in lines:
            if match := row.search(line):
                end = line.find("│", match.end())
                return line[match.start() : end if end > 0 else None].strip("│ ")
        return ""

    def wait_device(self, index: int | str, pattern: str) -> re.Match[str]:
        """Wait until the device's part of the overview shows something."""
        compiled = re.compile(pattern, re.MULTILINE)
        found = self.wait_for(_Says(index, compiled))
        assert isinstance(found, re.Match)
        return found

    def pane_at(self, index: int) -> tuple[int, int]:
        """Column and row of the upper left corner of a device's pane."""
        return self.wait_for(lambda terminal: _corner(terminal.lines(), index))  # type: ignore[no-any-return]

    def utilisation(self, index: int) -> str:
        """The utilisation that stands at a device."""
        found = re.search(r"(\d+) ?%", self.device(index))
        return found[1] if found else ""

    def wait_alive(self, index: int, changes: int = 3) -> None:
        """Wait until a device's utilisation has changed a few times."""
        for _ in range(changes):
            before = self.utilisation(index)
            self.wait_for(lambda _, before=before: self.utilisation(index) not in ("", before))

    def wait_frames(self) -> None:
        """Wait until frames have come: the header's clock is that of the newest one."""
        before = self.find(CLOCK)
        self.wait_for(lambda t: (now := t.find(CLOCK)) and (not before or now[0] != before[0]))

    # -- keys ------------------------------------------------------------------------------

    def check_keys_answer(self) -> None:
        """The help opens and closes."""
        self.press("?", shows="Esc closes, arrows scroll")
        self.press("esc", hides="Esc closes, arrows scroll")

    def save(self) -> list[Path]:
        """Press `e` and return the files that it wrote."""
        before = set(self.folder.iterdir())

        def written(_: Terminal) -> list[Path]:
            new = sorted(set(self.folder.iterdir()) - before)
            return [] if any(path.suffix == ".tmp" for path in new) else new

        self.type("e")
        self.wait_for("Snapshot written to")  # which may still be there of another time
        return self.wait_for(written)  # type: ignore[no-any-return]

    def saved_snapshot(self) -> dict[str, Any]:
        """Press `e` and return the document it wrote: the frame that is on screen."""
        (path,) = self.save()
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return document

    def check_leaves(self, key: str = "q", code: int = 0) -> None:
        """A key ends it: the terminal is as it was, and no process is left."""
        started = self.descendants()
        self.type(key)
        assert self.exit_code(PATIENCE_S) == code, self.describe()
        wait_ended(set(started) | set(self.descendants()))
        assert self.descendants() == []
        assert self.is_restored(), self.describe()

    @property
    def collectors(self) -> list[int]:
        """Ids of the collector processes that are alive."""
        return [pid for pid in self.descendants() if "--control" in arguments(pid)]


def flat(terminal: Terminal) -> str:
    """The screen as one line, so that a sentence is found where it is wrapped."""
    return " ".join(terminal.text().split())


def wait_flat(terminal: Gputop, pattern: str) -> re.Match[str]:
    """Wait for a sentence, wherever it is wrapped."""
    return terminal.wait_for(lambda _: re.search(pattern, flat(terminal)))  # type: ignore[no-any-return]


class _Says:
    """A device's part of the screen matches a pattern; says so in a failure's message."""

    def __init__(self, index: int | str, pattern: re.Pattern[str]) -> None:
        self._index, self._pattern = index, pattern

    def __call__(self, terminal: Terminal) -> re.Match[str] | None:
        assert isinstance(terminal, Gputop)
        return self._pattern.search(terminal.device(self._index))

    def __repr__(self) -> str:
        return f"{self._pattern.pattern!r} at device {self._index}"


def _corner(lines: Sequence[str], index: int | str) -> tuple[int, int] | None:
    """Column and row where a device's pane begins."""
    pane = re.compile(rf"╭[─›]+ {index}\*? · ")
    for y, line in enumerate(lines):
        if match := pane.search(line):
            return match.start(), y
    return None


def _block(lines: Sequence[str], left: int, top: int) -> str:
    """A pane, from its upper left corner on."""
    right = lines[top].find("╮", left)
    taken = []
    for line in lines[top:]:
        taken.append(line[left : right + 1])
        if line[left : left + 1] == "╰":
            break
    return "\n".join(taken)


def children(pid: int) -> list[int]:
    """Ids of the processes that a process has started and not buried."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text().split()]


def arguments(pid: int) -> list[str]:
    """The command line of a process; empty where it is gone."""
    try:
        raw = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return []
    return [part.decode(errors="replace") for part in raw.split(b"\0")]


def wait_ended(pids: Iterable[int], timeout_s: float = PATIENCE_S) -> None:
    """Wait until processes have ended; raises AssertionError when one lives on."""
    until = time.monotonic() + timeout_s
    for pid in pids:
        try:
            fd = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        try:
            ready = readable(fd, timeout_s=max(0.0, until - time.monotonic()))
            assert ready, f"process {pid} lives on: {' '.join(arguments(pid))}"
        finally:
            os.close(fd)


class Program:
    """A command such as `gputop stream`, run to its end or line by line."""

    def __init__(
        self, arguments: Sequence[str], folder: Path, env: Mapping[str, str | None],
        stdin: int = subprocess.DEVNULL, stdout: int = subprocess.PIPE,
    ) -> None:  # fmt: skip
        whole = {**os.environ, **{k: v for k, v in env.items() if v is not None}}
        for name, value in env.items():
            if value is None:
                whole.pop(name, None)
        self._process = subprocess.Popen(
            command_line(arguments), cwd=folder, env=whole, stdin=stdin,
            stdout=stdout, stderr=subprocess.PIPE, text=True, encoding="utf-8",
        )  # fmt: skip
        self.out = self.errors = ""

    def end(self) -> int:
        """Wait for the end; `out` and `errors` hold what it said. Returns the exit code."""
        self.out, self.errors = self._process.communicate(timeout=PATIENCE_S)
        return self._process.returncode

    def check(self) -> str:
        """What it printed, once it has ended well."""
        code = self.end()
        assert (code, self.errors) == (0, "")
        return self.out

    def stop(self, enough: Callable[[Records], object]) -> Records:
        """What it has printed once that is enough, or all of it where it ends before. Its reader
        goes away then, and it ends well.
        """
        records, out = Records(), self._process.stdout
        assert out is not None
        for line in out:
            records.add(line)
            if enough(records):
                break
        out.close()
        self._process.stdout = None
        self.end()
        assert (self._process.returncode, self.errors) == (0, "")
        return records

    def signal(self, number: int) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def close(self) -> None:
        """Kill it if it still runs."""
        self._process.kill()
        self._process.communicate()


MEASURE = """
import resource, subprocess, sys
done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
sys.stderr.buffer.write(done.stderr)
print(done.returncode, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""
"""Runs a command and prints its exit code and its peak of memory. (It is small itself: a process
begins with the peak of the one it was forked from.)
"""


def peak(folder: Path, *arguments: str) -> tuple[int, int, str]:
    """Exit code, peak of memory in kB, and what was said."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, *command_line(arguments)], cwd=folder, check=True,
        capture_output=True, text=True, timeout=PATIENCE_S,
    )  # fmt: skip
    code, size = done.stdout.split()
    return int(code), int(size), done.stderr


class Records:
    """The records that a stream printed, or that a recording holds."""

    def __init__(self, text: str | Iterable[AnyRecord] = ()) -> None:
        self.all: list[AnyRecord] = []
        for record in text.splitlines() if isinstance(text, str) else text:
            self.add(record)

    def add(self, record: str | AnyRecord) -> None:
        """Take the next record, or its line."""
        if isinstance(record, str):
            record = decode(record.encode(), len(self.all))
        self.all.append(record)

    @property
    def hellos(self) -> list[Hello]:
        return [record for record in self.all if isinstance(record, Hello)]

    @property
    def frames(self) -> list[Frame]:
        return [record for record in self.all if isinstance(record, Frame)]

    @property
    def events(self) -> list[Event]:
        return [record for record in self.all if isinstance(record, Event)]

    @property
    def last(self) -> Frame:
        """The last frame."""
        return self.frames[-1]


Start = Callable[..., Gputop]
Run = Callable[..., Program]

"""The monitors that are measured, and how to read their screens."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.terminal import Terminal

_CLOCK = re.compile(r"\b(\d\d):(\d\d):(\d\d)\b")
_DAY_S = 86_400


@dataclass(frozen=True)
class Tool:
    """A monitor."""

    name: str
    begin: Callable[[], list[str] | None]
    """The beginning of its command line; None where it is not installed."""
    arguments: Callable[[float], list[str]]
    """What makes it read every so many seconds."""
    reading: str
    """What the screen shows once for every device that was read: its utilisation."""
    keys: tuple[str, str] = ("", "")
    """Up and down in the process table; empty where there is no cursor."""
    charts: tuple[str, ...] = ()
    """Keys that open its largest charts."""

    @property
    def has_cursor(self) -> bool:
        """Whether it has a process cursor to move."""
        return bool(self.keys[0])

    def command(self, interval_s: float) -> list[str] | None:
        """Its command line, or None where it is not installed."""
        begin = self.begin()
        return None if begin is None else [*begin, *self.arguments(interval_s)]

    def version(self) -> str | None:
        """What `--version` prints, or None where it is not installed."""
        begin = self.begin()
        if begin is None:
            return None
        done = subprocess.run([*begin, "--version"], capture_output=True, text=True, check=False)
        return done.stdout.strip()

    def shows_readings(self, terminal: Terminal, devices: int) -> bool:
        """Whether every device has a reading on the screen."""
        return len(re.findall(self.reading, terminal.text())) >= devices


def chosen_process(terminal: Terminal) -> str | None:
    """The pid in the row under the cursor, or None when no row stands out.

    It is the one row whose background, or reverse video, no other row has at its beginning.
    """
    cells = terminal.cells()
    looks = [(row[9].bg, row[9].reverse) for row in cells]
    # The cursor's row comes after the headings, so the last that stands out is the one.
    for y in range(len(cells) - 1, -1, -1):
        if looks.count(looks[y]) == 1:
            numbers = re.findall(r"\b\d+\b", "".join(cell.data for cell in cells[y][:40]))
            if len(numbers) >= 2:
                return str(numbers[1])
    return None


def picture_age_s(terminal: Terminal) -> float | None:
    """Seconds between the clock in the first row of the screen and now, or None without one.

    The clock shows whole seconds, so this is up to one more than the truth.
    """
    found = _CLOCK.search(terminal.lines()[0])
    if found is None:
        return None
    hours, minutes, seconds = map(int, found.groups())
    now = time.time()
    local = time.localtime(now)
    today = local.tm_hour * 3600 + local.tm_min * 60 + local.tm_sec + now % 1
    return (today - hours * 3600 - minutes * 60 - seconds) % _DAY_S


def _installed(name: str) -> Callable[[], list[str] | None]:
    def begin() -> list[str] | None:
        beside = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
        path = shutil.which(name, path=beside)
        return None if path is None else [path]

    return begin


GPUTOP = Tool(
    name="gputop",
    begin=lambda: [sys.executable, "-m", "gputop"],
    arguments=lambda seconds: ["--interval", f"{seconds:g}"],
    reading=r"\butil +\d+ %",
    keys=("up", "down"),
    charts=("tab", "enter"),
)
NVITOP = Tool(
    name="nvitop",
    begin=_installed("nvitop"),
    arguments=lambda seconds: ["--interval", f"{seconds:g}"],
    reading=r"\b\d+% +Default",
    # It puts the keypad into application mode, where a terminal sends these.
    keys=("\x1bOA", "\x1bOB"),
)
GPUSTAT = Tool(
    name="gpustat",
    begin=_installed("gpustat"),
    arguments=lambda seconds: ["--interval", f"{seconds:g}"],
    reading=r"\b\d+ % \|",
)
TOOLS = {tool.name: tool for tool in (GPUTOP, NVITOP, GPUSTAT)}

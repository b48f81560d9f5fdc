"""What the checks look at: the kernel's files, the terminal, and the probe's answers."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from gputop.children import unstoppable
from gputop.sources.process import collector_environment

PROBE_S = 10.0
"""How long the probe may take: opening a driver without persistence mode takes seconds."""
KILL_S = 2.0
"""How long a killed probe may take to go; one stuck in the kernel never does."""

Level = Literal["ok", "info", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found."""

    level: Level
    finding: str
    remedy: str = ""
    no_driver: bool = False
    """True for a failure that means there is no driver or no device."""


@dataclass(frozen=True, slots=True)
class Terminal:
    """What is known of the terminal."""

    is_tty: bool
    columns: int
    rows: int
    encoding: str
    colors: int | None = None
    """What terminfo says TERM can show; None where it does not know TERM."""


@dataclass(slots=True)
class Probe:
    """The probe's answers, by step."""

    steps: dict[str, dict[str, Any]] = field(default_factory=dict)
    devices: list[dict[str, Any]] = field(default_factory=list)
    hung: bool = False
    trouble: str = ""
    """What it wrote to stderr when it ended early."""

    def take(self, line: str) -> None:
        """Take a line of its output; one that is not JSON is somebody else's."""
        try:
            answer = json.loads(line)
            step = answer.pop("step")
        except (ValueError, AttributeError, KeyError, TypeError):
            return
        if step == "device":
            self.devices.append(answer)
        else:
            self.steps[step] = answer

    def get(self, step: str) -> dict[str, Any]:
        """What a step found; empty where it was not reached."""
        return self.steps.get(step, {})


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Everything the checks look at, in one place, so that a test can set up any machine."""

    root: Path
    """The folder that holds proc, sys and dev."""
    environ: Mapping[str, str]
    folder: Path
    """The working folder."""
    terminal: Terminal
    probe: Probe

    def read(self, path: str) -> str | None:
        """A small file below the root, or None where it cannot be read."""
        try:
            return (self.root / path).read_text("utf-8", "replace")
        except OSError:
            return None

    def exists(self, path: str) -> bool:
        """Whether there is something at `path` below the root."""
        return (self.root / path).exists()


def here() -> Surroundings:
    """This machine and this terminal."""
    probe = ask(environ=collector_environment())
    return Surroundings(Path("/"), os.environ, Path("."), _this_terminal(), probe)


def _this_terminal() -> Terminal:
    size = shutil.get_terminal_size()
    encoding = getattr(sys.stdout, "encoding", None) or "ascii"
    is_tty = sys.stdout is not None and sys.stdout.isatty()
    return Terminal(is_tty, size.columns, size.lines, encoding, _terminfo_colors())


def _terminfo_colors() -> int | None:
    try:
        import curses

        with open(os.devnull, "wb") as nowhere:
            curses.setupterm(fd=nowhere.fileno())
        return curses.tigetnum("colors")
    except (ImportError, curses.error):  # a Python without curses, or a TERM unknown to terminfo
        return None


def ask(
    command: Sequence[str] | None = None,
    timeout_s: float = PROBE_S,
    environ: Mapping[str, str] | None = None,
) -> Probe:
    """Run the probe and collect its answers; a hang is an answer too.

    It runs with -P, as the collector does, so that nothing in the working folder is imported.
    `command` and `environ` stand in for its own command line and environment.
    """
    script = str(Path(__file__).with_name("probe.py"))
    with unstoppable():
        process = subprocess.Popen(
            command or [sys.executable, "-P", script],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, encoding="utf-8", errors="replace", env=environ, start_new_session=True,
        )  # fmt: skip
    probe = Probe()
    trouble: list[str] = []
    readers = [
        threading.Thread(target=_each_line, args=(process.stdout, probe.take), daemon=True),
        threading.Thread(target=_each_line, args=(process.stderr, trouble.append), daemon=True),
    ]
    for reader in readers:
        reader.start()
    try:
        process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        probe.hung = True
        process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(KILL_S)
    for reader in readers:
        reader.join(KILL_S)
    if "done" not in probe.steps:
        probe.trouble = trouble[-1].strip() if trouble else ""
        if not probe.hung and process.returncode and process.returncode < 0:
            probe.trouble = f"killed by signal {-process.returncode}"
    return probe


def _each_line(stream: Any, take: Any) -> None:
    for line in stream:
        take(line)

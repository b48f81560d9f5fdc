"""Commands that write to a file for as long as they run, beside a screen on the same machine."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

from gputop.errors import GputopError
from gputop.recording import read
from tests.e2e.program import Gputop, Program, Records, Run
from tests.fake_driver import Scenario

INTERVAL = ("--interval", "0.25")
NO_LOG = {"FAKE_NVML_CALLS": None}
"""The log of the driver's calls is of the screen's collector alone."""


def recorded(path: Path) -> Records:
    """What a recording holds so far."""
    try:
        return Records(read(path))
    except GputopError:
        return Records()


class Beside:
    """A command with a collector of its own, and the file that it fills."""

    def __init__(self, program: Program, path: Path, leaves_with: int) -> None:
        """`leaves_with` is its exit code after SIGTERM."""
        self._program, self._path, self._leaves_with = program, path, leaves_with

    @property
    def written(self) -> Records:
        """What it has written so far."""
        return recorded(self._path)

    def wait(self, terminal: Gputop, missing: Callable[[Records], object]) -> None:
        """Wait until nothing is missing in what it has written."""
        left: list[object] = []

        def is_complete(_: object) -> bool:
            left[:] = [missing(self.written)]
            return not left[0]

        try:
            terminal.wait_for(is_complete)
        except AssertionError as screen:
            raise AssertionError(f"still missing in {self._path.name}: {left}") from screen

    def end(self) -> Records:
        """Have it leave, which it does well; what it has written."""
        self._program.signal(signal.SIGTERM)
        return self.ended(self._leaves_with)

    def ended(self, code: int) -> Records:
        """What it has written by its end, which comes by itself, with that exit code."""
        assert (self._program.end(), self._program.errors) == (code, "")
        return self.written


def start_record(run: Run, scenario: Scenario, scale: float) -> Beside:
    """`gputop record`."""
    path = scenario.path.with_suffix(".ndjson")
    program = run(scenario, "record", "-o", str(path), *INTERVAL, scale=scale, env=NO_LOG)
    return Beside(program, path, 0)


def start_stream(run: Run, scenario: Scenario, scale: float) -> Beside:
    """`gputop stream`, its output put into a file."""
    path = scenario.path.with_suffix(".stream.ndjson")
    with path.open("wb") as out:
        program = run(scenario, "stream", *INTERVAL, scale=scale, env=NO_LOG, stdout=out.fileno())
    return Beside(program, path, 128 + signal.SIGTERM)

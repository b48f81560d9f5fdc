"""`gputop stream` as a process, for tests that read its records."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any, TypeVar

from gputop.model.codec import decode
from gputop.model.frame import AnyRecord, Event, Frame, Hello
from tests.waiting import readable

PATIENCE_S = 60.0
"""How long a test waits for what should come at once, on a machine that is very busy."""
CHECKOUT = Path(__file__).parent.parent.parent
FAKE = str(CHECKOUT / "tests/collect/fake_collector.py")

R = TypeVar("R", Hello, Frame, Event)


def fake_command(machine: Mapping[str, object], *arguments: str) -> list[str]:
    """A command line of a collector on a fake machine (see fake_collector.py)."""
    return [sys.executable, "-P", FAKE, repr(dict(machine)), "stream", *arguments]


def environment(**more: str) -> dict[str, str]:
    """The environment in which a fake collector finds the checkout."""
    return {**os.environ, "PYTHONPATH": str(CHECKOUT), **more}


class Stream:
    """A running collector."""

    def __init__(self, command: list[str], stdin: int | IO[Any] = subprocess.DEVNULL) -> None:
        self.process = subprocess.Popen(
            command, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0,
            env=environment(),
        )  # fmt: skip
        assert self.process.stdout is not None
        self._out = self.process.stdout
        self._rest = b""
        self._lines: list[bytes] = []

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait(PATIENCE_S)
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()

    def read(self) -> AnyRecord:
        """The next record."""
        while not self._lines:
            ready = readable(self._out, timeout_s=PATIENCE_S)
            assert ready, "the collector says nothing"
            part = os.read(self._out.fileno(), 65536)
            assert part, f"the collector has ended: {self.errors()}"
            *self._lines, self._rest = (self._rest + part).split(b"\n")
        return decode(self._lines.pop(0), 1)

    def next(self, kind: type[R], that: Callable[[R], bool] = lambda _: True) -> R:
        """The next record of a kind for which `that` is true."""
        while True:
            record = self.read()
            if isinstance(record, kind) and that(record):
                return record

    def errors(self) -> str:
        """All it says on stderr until it closes it."""
        assert self.process.stderr is not None
        return self.process.stderr.read().decode()

    def wait(self) -> int:
        """Its exit code."""
        return self.process.wait(PATIENCE_S)


def fake_stream(
    machine: Mapping[str, object] | None = None, *arguments: str,
    stdin: int | IO[Any] = subprocess.DEVNULL,
) -> Stream:  # fmt: skip
    """A collector on a fake machine, with an interval of 0.1 s unless told."""
    if "--interval" not in arguments:
        arguments = ("--interval", "0.1", *arguments)
    return Stream(fake_command(machine or {}, *arguments), stdin)

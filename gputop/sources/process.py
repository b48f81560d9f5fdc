"""A collector process and its pipes."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Mapping, Sequence

import gputop
from gputop.children import unstoppable
from gputop.errors import CollectorFailed

STDERR_LINES, STDERR_LINE_BYTES = 50, 500
"""How much of what a collector says on stderr is kept."""
READ_BYTES = 1 << 16


def collector_command(arguments: Sequence[str]) -> list[str]:
    """The program that reads this machine. `-P` keeps the folder we happen to stand in off the
    import path: a psutil.py lying there must not be run.

    Raises:
        CollectorFailed: it is not known which Python runs us.
    """
    if not sys.executable:
        raise CollectorFailed("Cannot find the Python that runs gputop; start it with one.")
    return [sys.executable, "-P", "-m", "gputop", "stream", *arguments]


def collector_environment(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment in which the collector finds this very gputop, wherever it was imported
    from, and nothing that lies in the folder we stand in: relative and empty entries of
    PYTHONPATH mean that folder.
    """
    given = environment.get("PYTHONPATH", "").split(os.pathsep)
    folders = [folder for folder in given if os.path.isabs(folder)]
    home = os.path.dirname(os.path.dirname(os.path.realpath(gputop.__file__)))
    # An installed package is found anyway, and a site-packages in front of the standard library
    # could hide parts of it.
    if os.path.basename(home) not in ("site-packages", "dist-packages"):
        folders.insert(0, home)
    result = {name: value for name, value in environment.items() if name != "PYTHONPATH"}
    if folders:
        result["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(folders))
    return result


class CollectorProcess:
    """One run of the collector, in a session of its own so that keys typed at the terminal do
    not reach it.

    Raises:
        CollectorFailed: the process cannot be started.
    """

    def __init__(self, command: Sequence[str], control: bool) -> None:
        try:
            with unstoppable():
                self._process = subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE if control else subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    bufsize=0,
                    cwd="/",
                    env=collector_environment(),
                    start_new_session=True,
                )
        except OSError as error:
            raise CollectorFailed(f"Cannot start the collector: {error.strerror}.") from None
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self.out = self._process.stdout.fileno()
        self.errors = self._process.stderr.fileno()
        self._said: deque[str] = deque(maxlen=STDERR_LINES)
        self._saying = b""
        if self._process.stdin is not None:
            os.set_blocking(self._process.stdin.fileno(), False)

    @property
    def pid(self) -> int:
        """Its process id, which is its process group's too."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """How it ended (a signal's number negated), or None while it lives."""
        return self._process.poll()

    @property
    def last_words(self) -> str:
        """The last line it wrote to stderr, or an empty string."""
        rest = _line(self._saying)
        return rest or (self._said[-1] if self._said else "")

    def read_errors(self) -> bool:
        """Take what is there on stderr; False at its end."""
        part = os.read(self.errors, READ_BYTES)
        *lines, rest = (self._saying + part).split(b"\n")
        self._said.extend(text for text in map(_line, lines) if text)
        self._saying = rest[:STDERR_LINE_BYTES]
        return bool(part)

    def read_last_errors(self) -> None:
        """Take what is left on stderr, without waiting for more."""
        os.set_blocking(self.errors, False)
        with contextlib.suppress(OSError):
            while self.read_errors():
                pass

    def tell(self, line: bytes) -> None:
        """Write a command's line. One that finds the pipe full or closed is lost: its reader
        hangs or is gone, and will be replaced.
        """
        if self._process.stdin is not None:
            with contextlib.suppress(OSError, ValueError):
                os.write(self._process.stdin.fileno(), line)

    def wait(self, seconds: float) -> None:
        """Wait for its end, at most so long."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)

    def kill(self) -> None:
        """Send SIGKILL to it and to whatever it started. Waits for nothing."""
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def close(self) -> None:
        """Close our ends of its pipes."""
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()


def _line(content: bytes) -> str:
    return content[:STDERR_LINE_BYTES].decode("utf-8", "replace").strip()

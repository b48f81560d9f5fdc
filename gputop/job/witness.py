"""Tells a signal sent to the whole process group from one sent to us alone.

A signal of the terminal, or of a shell's ``kill %1``, reaches the command by itself: passing it on
would deliver it twice. Who sent it does not tell (`timeout` sends it either way), but another
process of the group does: it gets what the group gets.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import struct
import time
from collections.abc import Iterable

from gputop.job.kernel import die_with_parent

PATIENCE_S = 0.05
"""How long a signal to the group may take to reach its other members."""
_FRESH_S = 1.0
"""What it told longer ago was another signal of that number."""
_TOLD = struct.Struct("=Bd")


class Witness:
    """A process in our group that does nothing but tell which signals it gets.

    Make it before any thread is started: it is a fork.

    Raises:
        OSError: there can be no further process.
    """

    def __init__(self, signals: Iterable[int]) -> None:
        watched = set(signals)
        self._read, write = os.pipe()
        parent = os.getpid()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            self.pid = os.fork()
            if self.pid == 0:
                _watch(watched, write, parent)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        os.close(write)

    def saw(self, number: int) -> bool:
        """Whether the group got a signal that we have just got."""
        while select.select([self._read], [], [], PATIENCE_S)[0]:
            part = os.read(self._read, _TOLD.size)
            if len(part) < _TOLD.size:
                return False  # it was killed: nobody knows
            told, at = _TOLD.unpack(part)
            if told == number and time.monotonic() - at < _FRESH_S:
                return True
        return False

    def end(self) -> None:
        """Kill it and bury it."""
        with contextlib.suppress(OSError):
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self._read)


def _watch(watched: set[int], write: int, parent: int) -> None:
    """The life of the witness; it never returns."""
    try:
        die_with_parent()
        null = os.open(os.devnull, os.O_RDWR)
        for fd in (0, 1, 2):  # a pipe ends when the command has closed it, whoever else is there
            os.dup2(null, fd)
        while os.getppid() == parent:
            number = signal.sigwait(watched)
            os.write(write, _TOLD.pack(number, time.monotonic()))
    finally:
        os._exit(0)

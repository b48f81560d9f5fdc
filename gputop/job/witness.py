"""Tells a signal sent to the whole process group from one sent to us alone.

A signal of the terminal, or of a shell's ``kill %1``, reaches the command by itself: passing it on
would deliver it twice. Who sent it does not tell (`timeout` sends it either way), but another
process of the group does: what the group gets is pending there too.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import time

from gputop import procfs
from gputop.job.kernel import die_with_parent

_SETTLE_S = 0.002
"""The kernel walks the group in one go: by then all of it has the signal."""
_FORGET_S = 1.0
"""How long the witness may take to forget a signal."""
_PENDING = re.compile(r"^ShdPnd:\s*([0-9a-f]+)$", re.MULTILINE)


class Witness:
    """A process in our group that blocks every signal, so that what it got can be looked up.

    Make it before any thread is started: it is a fork.

    Raises:
        OSError: there can be no further process.
    """

    def __init__(self) -> None:
        asked, self._ask = os.pipe()
        self._told, tell = os.pipe()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            self.pid = os.fork()
            if self.pid == 0:
                _stand_by(asked, self._ask, tell)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        os.close(asked)
        os.close(tell)

    def saw(self, number: int) -> bool:
        """Whether the group got a signal that we have just got. It is forgotten then."""
        time.sleep(_SETTLE_S)
        pending = _PENDING.search(procfs.read_text(f"/proc/{self.pid}/status") or "")
        if pending is None or not int(pending[1], 16) & 1 << (number - 1):
            return False
        with contextlib.suppress(OSError):
            os.write(self._ask, bytes([number]))
            poll = select.poll()  # not select: it takes no descriptor above 1023
            poll.register(self._told, select.POLLIN)
            if poll.poll(_FORGET_S * 1000):
                os.read(self._told, 1)
        return True

    def end(self) -> None:
        """Kill it and bury it."""
        with contextlib.suppress(OSError):
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self._ask)
        os.close(self._told)


def _stand_by(asked: int, ask: int, tell: int) -> None:
    """The life of the witness: it forgets what it is told to forget. It never returns."""
    try:
        die_with_parent()
        null = os.open(os.devnull, os.O_RDWR)
        for fd in (0, 1, 2):  # a pipe ends when the command has closed it, whoever else is there
            os.dup2(null, fd)
        os.close(ask)  # with a copy of our end it would never see that we are gone
        while number := os.read(asked, 1):
            signal.sigtimedwait(number, 0)
            os.write(tell, number)
    finally:
        os._exit(0)

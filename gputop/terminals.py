"""Writing to a terminal that may take nothing."""

from __future__ import annotations

import contextlib
import os


def opened_anew(descriptor: int) -> int:
    """The same terminal, but writing to it never blocks.

    O_NONBLOCK set on the old descriptor would stay with the user's shell, which shares it.
    """
    flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY
    for path in (f"/proc/self/fd/{descriptor}", "/dev/tty"):
        with contextlib.suppress(OSError):
            opened = os.open(path, flags)
            if os.isatty(opened):  # not where a signal ends us in the midst of giving it back
                return opened
            os.close(opened)
    return os.dup(descriptor)

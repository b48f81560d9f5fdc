"""Starting processes beside us."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator


@contextlib.contextmanager
def unstoppable() -> Iterator[None]:
    """Within, what is started cannot be stopped by Ctrl-Z before it has left our process group.

    Until a child runs its program its parent waits for it in the kernel (vfork, where no signal
    gets through): one that is stopped there would hold us for ever, and the shell with us. The
    child keeps the signal blocked, which in a session without a terminal it has no use for.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTSTP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

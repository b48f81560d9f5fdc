"""The workers take turns, so that their threads do not meet in every call."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

PATIENCE_S = 0.005
"""After so long the next one begins beside the one whose turn it is: its calls take their time."""


class Turn:
    """At most one worker has it. Python runs one thread at a time, and a call gives that up: where
    several threads call quick functions at once, each call costs two of them a wake, and together
    up to twice the CPU time. Where calls are slow they run side by side, as they would without.
    """

    def __init__(self, patience_s: float = PATIENCE_S) -> None:
        self._patience_s = patience_s
        self._lock = threading.Lock()
        self._since_s = 0.0

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Have the turn while a piece of work is done, or do it beside one that takes long."""
        has_it = self._take()
        try:
            yield
        finally:
            if has_it:
                self._lock.release()

    def _take(self) -> bool:
        while not self._lock.acquire(timeout=max(self._left_s(), 0.0)):
            if self._left_s() <= 0.0:
                return False
        self._since_s = time.monotonic()
        return True

    def _left_s(self) -> float:
        """How long the one whose turn it is may still be waited for."""
        return self._since_s + self._patience_s - time.monotonic()

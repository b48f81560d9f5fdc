"""The workers take turns, so that their threads do not meet in every call."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

PATIENCE_S = 0.005
"""After so long the next one begins beside the one whose turn it is: its calls take their time."""
HANGS_S = 0.25
"""After so long the turn is taken from the one that has it: who hangs would keep it for ever."""


class Turn:
    """At most one worker has it. Python runs one thread at a time, and a call gives that up: where
    several threads call quick functions at once, each call costs two of them a wake, and together
    up to twice the CPU time. Where calls are slow they run side by side, as they would without.
    """

    def __init__(self, patience_s: float = PATIENCE_S, hangs_s: float = HANGS_S) -> None:
        self._patience_s, self._hangs_s = patience_s, hangs_s
        self._taking = threading.Lock()
        self._current = threading.Lock()
        """Held by the one whose turn it is; another one once the turn was taken from it."""
        self._since_s = 0.0

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Have the turn while a piece of work is done, or do it beside one that takes long."""
        held = self._take()
        try:
            yield
        finally:
            if held is not None:
                held.release()

    def _take(self) -> threading.Lock | None:
        while True:
            lock = self._current
            if lock.acquire(timeout=max(self._left_s(), 0.0)):
                if lock is self._current:
                    self._since_s = time.monotonic()
                    return lock
                lock.release()  # its holder came back after all
            elif self._left_s() <= 0.0 and not self._take_away(lock):
                return None

    def _take_away(self, lock: threading.Lock) -> bool:
        """Leave who has the turn with its lock, and go on with another; False where that is too
        early. Only one of those who wait does it.
        """
        with self._taking:
            if self._current is lock:
                if self._since_s + self._hangs_s > time.monotonic():
                    return False
                self._current = threading.Lock()
                self._since_s = time.monotonic()
            return True

    def _left_s(self) -> float:
        """How long the one whose turn it is may still be waited for."""
        return self._since_s + self._patience_s - time.monotonic()

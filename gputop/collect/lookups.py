"""Look-ups that may hang, kept off the collector's loop."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Collection, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

PATIENCE_S = 0.01
"""How long a first answer is waited for, so that a quick one is there at once."""


class Lookups(Generic[K, V]):
    """Answers of `look_up`, asked for in a thread of its own and kept.

    A user's name may come from a directory server that is down, and the arguments of a process
    stuck in the driver cannot be read: either may block for minutes.
    """

    def __init__(self, look_up: Callable[[K], V]) -> None:
        self._look_up = look_up
        self._found: dict[K, V] = {}
        self._asked: set[K] = set()
        self._questions: queue.SimpleQueue[K] = queue.SimpleQueue()
        self._answered = threading.Condition()
        self._thread: threading.Thread | None = None

    def get(self, key: K) -> V | None:
        """The answer, or None while it is not there yet."""
        if key in self._found:
            return self._found[key]
        if key not in self._asked:
            self._ask(key)
        return self._found.get(key)

    def keep(self, keys: Collection[K]) -> None:
        """Forget every answer but these."""
        for key in self._found.keys() - set(keys):
            del self._found[key]
            self._asked.discard(key)

    def _ask(self, key: K) -> None:
        waiting = len(self._asked) > len(self._found)
        self._asked.add(key)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="lookups", daemon=True)
            self._thread.start()
        self._questions.put(key)
        if not waiting:
            with self._answered:
                self._answered.wait_for(lambda: key in self._found, PATIENCE_S)

    def _run(self) -> None:
        while True:
            key = self._questions.get()
            answer = self._look_up(key)
            with self._answered:
                self._found[key] = answer
                self._answered.notify_all()

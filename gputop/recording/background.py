"""A writer that never holds its caller up, however slow the disk is."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Protocol

from gputop.errors import ExportFailed, unforeseen
from gputop.model.frame import AnyRecord, Frame

MOST_WAITING = 300
"""Frames kept for a disk that is slow: five minutes at one a second. The oldest is dropped."""


class RecordWriter(Protocol):
    """What takes records one after the other: one file, or several."""

    def write(self, record: AnyRecord) -> None:
        """Add a record; may wait for the disk."""

    def close(self) -> None:
        """End it."""


class BackgroundWriter:
    """Gives records to a writer in a thread of its own.

    `on_end` is called once from that thread: with None when the recording was closed, or with
    what went wrong.
    """

    def __init__(self, writer: RecordWriter, on_end: Callable[[ExportFailed | None], None]) -> None:
        self.writer = writer
        self.dropped = 0
        """Frames that the disk was too slow for."""
        self._on_end = on_end
        self._changed = threading.Condition()
        self._waiting: deque[AnyRecord] = deque()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="recording", daemon=True)
        self._thread.start()

    def put(self, record: AnyRecord) -> None:
        """Take a record. Never waits."""
        with self._changed:
            if self._closing:
                return
            self._waiting.append(record)
            if len(self._waiting) > MOST_WAITING:
                self._drop_oldest_frame()
            self._changed.notify()

    def close(self, wait_s: float | None = 0.0) -> bool:
        """End the recording once everything taken is written; wait for that so many seconds at
        most, for ever with None. True when it has ended.
        """
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(wait_s)
        return not self._thread.is_alive()

    def _drop_oldest_frame(self) -> None:
        for place, record in enumerate(self._waiting):
            if isinstance(record, Frame):
                del self._waiting[place]
                self.dropped += 1
                return

    def _run(self) -> None:
        problem: ExportFailed | None = None
        try:
            while (record := self._next()) is not None:
                self.writer.write(record)
            self.writer.close()
        except Exception as error:  # else nobody would know that nothing is written any more
            problem = error if isinstance(error, ExportFailed) else ExportFailed(unforeseen(error))
            with self._changed:
                self._closing = True
                self._waiting.clear()
        self._on_end(problem)

    def _next(self) -> AnyRecord | None:
        """The next record; None when there is none left and none will come."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closing)
            return self._waiting.popleft() if self._waiting else None

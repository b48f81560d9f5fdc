"""Writing to a pipe that may be full, without ever holding up the reading."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import threading
from collections import deque
from collections.abc import Callable
from enum import Enum

FRAMES_WAITING = 4
"""Frames kept for a reader that is slow; older ones are dropped."""
EVENTS_WAITING = 10_000
"""A flood of events beyond this pushes out the oldest: about 2 MB."""


class Kind(Enum):
    """What a line holds, which decides what becomes of it when the pipe is full."""

    HELLO = "hello"
    FRAME = "frame"
    EVENT = "event"


class Writer:
    """Lines to a file descriptor through a thread of its own.

    `on_end` is called from that thread, once, when the reader is gone (None) or writing failed
    (the error).
    """

    def __init__(self, fd: int, on_end: Callable[[OSError | None], None]) -> None:
        self._fd = fd
        self._on_end = on_end
        self._changed = threading.Condition()
        self._lines: deque[tuple[Kind, bytes]] = deque()
        self._writing = False
        self._ended = False
        self._dropped = 0
        threading.Thread(target=self._run, name="writer", daemon=True).start()

    @property
    def dropped(self) -> int:
        """Frames dropped since the start because the reader was slow."""
        return self._dropped

    def put(self, kind: Kind, line: bytes) -> None:
        """Queue a line. A frame may push out the oldest one waiting; nothing else is dropped."""
        with self._changed:
            if self._ended:
                return
            self._lines.append((kind, line))
            if kind is Kind.FRAME and self._waiting(Kind.FRAME) > FRAMES_WAITING:
                self._drop_oldest(Kind.FRAME)
                self._dropped += 1
            if kind is Kind.EVENT and self._waiting(Kind.EVENT) > EVENTS_WAITING:
                self._drop_oldest(Kind.EVENT)
            self._changed.notify_all()

    def drain(self, timeout: float | None = None) -> bool:
        """Wait until everything queued is written, the reader is gone, or `timeout` seconds are
        over. True when nothing is left.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._ended or self._idle(), timeout)
            return self._idle()

    def finish_line(self, timeout: float) -> None:
        """Forget what is queued, and wait up to `timeout` seconds for the line that is being
        written, so that the stream ends with a whole one.
        """
        with self._changed:
            self._lines.clear()
        self.drain(timeout)

    def _idle(self) -> bool:
        return not self._lines and not self._writing

    def _waiting(self, kind: Kind) -> int:
        return sum(1 for queued, _ in self._lines if queued is kind)

    def _drop_oldest(self, kind: Kind) -> None:
        for position, (queued, _) in enumerate(self._lines):
            if queued is kind:
                del self._lines[position]
                self._merge_hellos(position)
                return

    def _merge_hellos(self, position: int) -> None:
        """A hello with nothing between it and the next one is out of date before it is read."""
        if 0 < position < len(self._lines):
            pair = self._lines[position - 1][0], self._lines[position][0]
            if pair == (Kind.HELLO, Kind.HELLO):
                del self._lines[position - 1]

    def _run(self) -> None:
        problem: OSError | None = None
        try:
            while True:
                with self._changed:
                    self._changed.wait_for(lambda: bool(self._lines))
                    _, line = self._lines.popleft()
                    self._writing = True
                _write_all(self._fd, line)
                with self._changed:
                    self._writing = False
                    self._changed.notify_all()
        except OSError as error:
            problem = None if error.errno in (errno.EPIPE, errno.ECONNRESET) else error
        with self._changed:
            self._ended = True
            self._writing = False
            self._lines.clear()
            self._changed.notify_all()
        self._on_end(problem)


def _write_all(fd: int, line: bytes) -> None:
    """Write every byte, also where someone else made the descriptor non-blocking."""
    view = memoryview(line)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except BlockingIOError:
            await_room(fd)


def await_room(fd: int) -> None:
    """Wait until a non-blocking descriptor takes something, or nobody reads it any more."""
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    poll.poll()


class Wake:
    """What the loop sleeps on: a call from another thread, or its reader going away."""

    def __init__(self, out: int) -> None:
        self._read_end, self._write_end = os.pipe()
        os.set_blocking(self._read_end, False)
        os.set_blocking(self._write_end, False)
        self._out = out
        self._poll = select.poll()
        self._poll.register(self._read_end, select.POLLIN)
        # No event asked for: errors and hang-ups of the reader are always reported.
        self._poll.register(out, 0)

    def call(self) -> None:
        """End the sleep, now or the next one. Safe in any thread and in a signal handler."""
        with contextlib.suppress(BlockingIOError):
            os.write(self._write_end, b"\0")

    def sleep(self, seconds: float) -> bool:
        """Sleep until called, or `seconds` are over. False when the reader is gone."""
        ready = dict(self._poll.poll(max(0.0, seconds) * 1000))
        if self._read_end in ready:
            os.read(self._read_end, 4096)
        return self._out not in ready

    def close(self) -> None:
        """Close the pipe of its own."""
        os.close(self._read_end)
        os.close(self._write_end)

"""Reads a recording: whatever its name, wherever it was cut, also while it is being written."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from gputop.errors import BrokenRecord, GputopError
from gputop.model.codec import LONGEST_LINE
from gputop.model.frame import AnyRecord
from gputop.recording.container import LONGEST_MAGIC, MARK, Damaged, container_of
from gputop.recording.lines import LineDecoder, check_first

if TYPE_CHECKING:
    from gputop.recording.index import Block

READ_BYTES = 1 << 16
"""Bytes read from the file at once."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How what has been read ends."""

    state: Literal["complete", "cut", "growing"]
    """`growing`: somebody writes it now; iterate again for what has come since."""
    line: int
    """The last whole line."""

    @property
    def sentence(self) -> str:
        """What to tell a person; empty for a complete recording."""
        if self.state == "complete":
            return ""
        if self.state == "growing":
            return "It is still being written."
        if not self.line:
            return "It is cut off before its first line."
        return f"It is cut off after line {self.line}; what came before is whole."


def read(path: Path) -> Reader:
    """The records of a recording, or of what `gputop stream` printed.

    Raises:
        GputopError: it cannot be opened.
    """
    return Reader(path)


def read_block(path: Path, block: Block) -> Reader:
    """The records of one block, the hello in force first.

    Raises:
        GputopError: it cannot be opened.
    """
    return Reader(path, block)


class Reader(Iterator[AnyRecord]):
    """Iterates over records, in order. Memory stays bounded, whatever the file holds.

    Iteration raises :class:`BrokenRecord` for a line that cannot be read, with its number.
    """

    def __init__(self, path: Path, block: Block | None = None) -> None:
        self.path = path
        self._fd = -1
        self._fd = open_to_read(path)
        start = _read(self._fd, path, 0, 16)
        self._unpack = container_of(start).unpacker()
        self._at = block.offset if block else 0
        self._until = block.end if block else None
        self._frames = block.frames if block else None
        first = block.header.line if block and block.header else 1
        plain = not container_of(start).magics
        self._lines = LineDecoder(first - 1 - (plain and first > 1), str(path))
        self._unpacked: Iterator[bytes] = iter(())
        """What is still to come of the bytes read last: little may unpack to very much."""
        self.line_bytes = 0
        """Bytes of the lines read so far."""
        self._pieces: list[bytes] = []
        self._held = 0
        self._ready: deque[bytes] = deque()
        self._ended = False
        self._empty = not start
        self.ending: Ending | None = None
        """How it ends; None until iteration has come to the end."""

    def __next__(self) -> AnyRecord:
        self.ending = None
        while True:
            while self._ready:
                line = self._ready.popleft()
                self.line_bytes += len(line)
                if (record := self._lines.decode(line)) is not None:
                    return record
            if not self._read_more():
                self._conclude()
                raise StopIteration

    @property
    def progress(self) -> float:
        """The part of the file that was taken in, 0 to 1; it may be growing."""
        size = os.fstat(self._fd).st_size if self._fd >= 0 else 0
        return min(self._at / size, 1.0) if size else 1.0

    @property
    def open_ended(self) -> bool:
        """True when it reads on to the end of the file, wherever that will be."""
        return self._until is None

    def close(self) -> None:
        """Close the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __del__(self) -> None:
        self.close()

    def _read_more(self) -> bool:
        """Unpack the next piece of the file; False at its end for now."""
        if self._fd < 0 or self._ended:
            return False
        try:
            if (piece := next(self._unpacked, None)) is not None:
                self._split(piece)
                return True
        except Damaged as problem:
            number = self._lines.number + len(self._ready) + 1
            if self._more_blocks():
                raise BrokenRecord(number, str(problem), str(self.path)) from None
            self._ended = True  # a power cut leaves such an end
            return True
        most = READ_BYTES if self._until is None else min(READ_BYTES, self._until - self._at)
        data = _read(self._fd, self.path, self._at, most)
        if not data:
            return False
        self._at += len(data)
        self._unpacked = self._unpack.feed(data)
        return True

    def _split(self, piece: bytes) -> None:
        *whole, rest = piece.split(b"\n")
        for end in whole:
            self._ready.append(b"".join([*self._pieces, end]))
            self._pieces, self._held = [], 0
        if rest:
            self._pieces.append(rest)
            self._held += len(rest)
        if self._held > LONGEST_LINE:
            number = self._lines.number + len(self._ready) + 1
            raise BrokenRecord(number, f"is longer than {LONGEST_LINE} bytes", str(self.path))

    def _more_blocks(self) -> bool:
        """Whether another block begins behind what was read."""
        at, tail = self._at, b""
        while data := _read(self._fd, self.path, at, 1 << 20):
            if MARK in tail + data:
                return True
            at, tail = at + len(data), data[-len(MARK) :]
        return False

    def _conclude(self) -> None:
        if self._held >= LONGEST_MAGIC and not self._lines.number:
            check_first(b"".join([*self._pieces, b'"']), str(self.path))
        whole = not self._held and self._unpack.between and not self._ended
        if whole and self._frames is not None:
            self._lines.check_block(self._frames)
        if whole and (self._lines.ended or self._until is not None):
            state: Literal["complete", "cut", "growing"] = "complete"
        else:
            state = "growing" if _is_written(self._fd) else "cut"
        self.ending = Ending(state, self._lines.number)


def open_to_read(path: Path) -> int:
    """A descriptor of a regular file.

    Raises:
        GputopError: there is none, or it may not be read.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise GputopError(f"There is no recording {path}.") from None
    except OSError as error:
        why = "it may not be read" if error.errno == errno.EACCES else error.strerror
        raise GputopError(f"Cannot open {path}: {why}.") from None
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise GputopError(f"{path} is no regular file, so it is no recording.")
    return fd


def _read(fd: int, path: Path, at: int, size: int) -> bytes:
    try:
        return os.pread(fd, size, at)
    except OSError as error:
        raise GputopError(f"Cannot read {path}: {error.strerror}.") from None


def _is_written(fd: int) -> bool:
    """Whether a writer holds its lock on the file."""
    if fd < 0:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    fcntl.flock(fd, fcntl.LOCK_UN)
    return False

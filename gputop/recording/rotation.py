"""A recording in several files, one after the other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from gputop.export.files import FileExists
from gputop.model.frame import AnyRecord, Hello
from gputop.recording.container import CONTAINERS
from gputop.recording.writer import RecordingWriter


class Rotation(NamedTuple):
    """When another file begins; 0 for never."""

    bytes: int = 0
    seconds: float = 0.0
    """Of recorded time."""


class RotatingWriter:
    """Writes to FILE, then FILE-2, FILE-3 and so on, the number in front of the suffixes; numbers
    that are taken are passed over. The first file is created at once.

    Raises what :class:`RecordingWriter` does. `on_file` is called with the path of each new file.
    """

    def __init__(
        self, path: Path, rotation: Rotation, with_args: bool = False,
        on_file: Callable[[Path], None] = lambda path: None,
    ) -> None:  # fmt: skip
        self._path, self._rotation, self._with_args = path, rotation, with_args
        self._on_file = on_file
        self._writer = RecordingWriter(path, with_args)
        self._number = 1
        self._began_s: float | None = None
        self._hello: Hello | None = None
        self._before = 0, 0
        self.files = 1
        """Files so far."""

    @property
    def path(self) -> Path:
        """The file that is being written."""
        return self._writer.path

    @property
    def size(self) -> int:
        """Bytes so far, in all files."""
        return self._before[0] + self._writer.size

    @property
    def frames(self) -> int:
        """Frames so far, in all files."""
        return self._before[1] + self._writer.frames

    def write(self, record: AnyRecord) -> None:
        """Add a record, in a new file where it is time for one; raises as the writer does."""
        if isinstance(record, Hello):
            self._hello = record
        elif self._is_time(record.boottime_s):
            self._next_file()
            self._began_s = record.boottime_s
        self._writer.write(record)

    def close(self) -> None:
        """End the recording; raises as the writer does."""
        self._writer.close()

    def discard(self) -> None:
        """Take away the file that is being written."""
        self._writer.discard()

    def _is_time(self, now: float) -> bool:
        if self._began_s is None:
            self._began_s = now
        full = 0 < self._rotation.bytes <= self._writer.size
        return full or 0 < self._rotation.seconds <= now - self._began_s

    def _next_file(self) -> None:
        self._writer.close()
        self._before = self.size, self.frames
        while True:
            self._number += 1
            try:
                writer = RecordingWriter(numbered(self._path, self._number), self._with_args)
            except FileExists:
                continue
            break
        self._writer = writer
        self.files += 1
        self._on_file(writer.path)
        if self._hello is not None:
            writer.write(self._hello)


def numbered(path: Path, number: int) -> Path:
    """``run.ndjson.zst`` as ``run-2.ndjson.zst``."""
    suffix = next(c.suffix for c in CONTAINERS if path.name.endswith(c.suffix))
    stem = path.name.removesuffix(suffix)
    inner = ".ndjson" if stem.endswith(".ndjson") and stem != ".ndjson" else ""
    return path.with_name(f"{stem.removesuffix(inner)}-{number}{inner}{suffix}")

"""Recording what comes in while the screen shows it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from gputop import text
from gputop.errors import ExportFailed
from gputop.export.files import FileExists, snapshot_name
from gputop.model.frame import AnyRecord, Frame, Hello
from gputop.recording.background import BackgroundWriter
from gputop.recording.rotation import numbered
from gputop.recording.writer import RecordingWriter

SUFFIX = ".ndjson.zst"
LAST_WAIT_S = 0.3
"""How long leaving waits for the last seconds to be written; without them it opens all the same."""
_MOST_NAMES = 1000


class Recorder:
    """One recording of the screen's readings. The disk is only touched in a thread of its own.

    `on_end` is called from that thread with a sentence, and True when something went wrong.
    """

    def __init__(
        self, folder: Path, hello: Hello, frame: Frame, with_args: bool,
        on_end: Callable[[str, bool], None],
    ) -> None:  # fmt: skip
        self._on_end = on_end
        self._problem: ExportFailed | None = None
        path = folder / f"{snapshot_name(hello, frame)}{SUFFIX}"
        self._file = _FileToBe(path, with_args)
        self._writer = BackgroundWriter(self._file, self._ended)
        self._writer.put(hello)

    @property
    def size(self) -> int:
        """Bytes so far."""
        return self._file.writer.size if self._file.writer else 0

    @property
    def sentence(self) -> str:
        """What was recorded, and where to, or what went wrong."""
        if self._problem is not None:
            return text.clean(str(self._problem))
        writer = self._file.writer
        if writer is None:
            return "Nothing was recorded."
        dropped = self._writer.dropped
        lost = f"; {dropped} more were dropped, the disk is too slow" if dropped else ""
        path = text.clean(str(writer.path.resolve()))
        return f"{writer.frames} frames recorded to {path} ({text.size(writer.size)}){lost}."

    def put(self, record: AnyRecord) -> None:
        """Add a record. Never waits."""
        self._writer.put(record)

    def stop(self) -> None:
        """End it; `on_end` tells when it is done."""
        self._writer.close()

    def leave(self) -> str:
        """End it now, and say what was recorded."""
        self._writer.close(LAST_WAIT_S)
        return self.sentence

    def _ended(self, problem: ExportFailed | None) -> None:
        self._problem = problem
        self._on_end(self.sentence, problem is not None)


class _FileToBe:
    """A recording that is created when its first record comes, under the first free name."""

    def __init__(self, path: Path, with_args: bool) -> None:
        self._path, self._with_args = path, with_args
        self.writer: RecordingWriter | None = None

    def write(self, record: AnyRecord) -> None:
        """Add a record."""
        if self.writer is None:
            self.writer = self._create()
        self.writer.write(record)

    def close(self) -> None:
        """End it."""
        if self.writer is not None:
            self.writer.close()

    def _create(self) -> RecordingWriter:
        for number in range(1, _MOST_NAMES + 1):
            path = self._path if number == 1 else numbered(self._path, number)
            try:
                return RecordingWriter(path, self._with_args)
            except FileExists:
                continue
        raise ExportFailed(f"{self._path.parent} holds too many recordings; move some away.")

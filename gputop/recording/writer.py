"""Writes a recording: created exclusively, growing in place, readable up to its last flush."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec

from gputop.errors import ExportFailed, UsageError
from gputop.export.files import FileExists, failed
from gputop.model.codec import encode
from gputop.model.frame import AnyRecord, Frame, Hello, Job
from gputop.recording.container import CONTAINERS, container_for
from gputop.recording.delta import DeltaEncoder
from gputop.recording.lines import FORMAT_VERSION, Again, End, Header

BLOCK_FRAMES = 100
"""Frames a block: fewer make a larger file, more make a jump into it slower."""
FLUSH_S = 3.0
"""Seconds of readings that a crash or a power cut may lose."""

_encoder = msgspec.json.Encoder()


def check_name(path: Path) -> None:
    """See that a name says how its file is packed.

    Raises:
        UsageError: it does not.
    """
    if container_for(path) is None:
        suffixes = ", ".join(f".ndjson{c.suffix}" for c in CONTAINERS[:-1])
        raise UsageError(f"{path} does not say how it is packed: end it in {suffixes} or .ndjson.")


class RecordingWriter:
    """Records to a new file; its name's ending says how it is packed (.zst, .gz, .ndjson).

    The file has the permissions of the user's umask, and is locked (flock) while it grows, by
    which a reader knows that more will come. Calls may wait for the disk.

    Args:
        path: A name that is free.
        with_args: Keep the command lines of processes, which can hold secrets.
        sync: Have the disk keep what was flushed, every `FLUSH_S` seconds of readings.

    Raises:
        UsageError: the name does not say how the file is packed.
        FileExists: something stands at `path`, be it a link that leads nowhere.
        ExportFailed: the file cannot be created.
    """

    def __init__(self, path: Path, with_args: bool = False, sync: bool = True) -> None:
        check_name(path)
        container = container_for(path)
        assert container is not None
        self.path = path
        self.size = 0
        """Bytes so far."""
        self.frames = 0
        """Frames so far."""
        self._with_args = with_args
        self._sync = sync
        self._packer = container.packer()
        self._headers_are_lines = not container.magics
        self._encoder = DeltaEncoder()
        self._hello: Hello | None = None
        self._in_block = -1
        """Frames in the open block; -1 while none is open."""
        self._blocks = self._lines = 0
        self._flushed_at: float | None = None
        self._last_utc_s = 0.0
        self._fd = _create(path)
        self._created = os.fstat(self._fd)

    def write(self, record: AnyRecord) -> None:
        """Add a record.

        Raises:
            ExportFailed: it cannot be written; what was written before stays readable.
        """
        if self._fd < 0:
            raise ExportFailed(f"{self.path} is closed.")
        self._last_utc_s = record.utc_s
        if isinstance(record, Hello):
            self._write_hello(record)
        elif isinstance(record, Frame):
            self._write_frame(record)
        else:
            if isinstance(record, Job) and not self._with_args:
                record = msgspec.structs.replace(record, command=None)
            self._open_block(record)
            self._add(encode(record))
        if not isinstance(record, Hello):
            self._flush_if_due(record.boottime_s)

    def close(self) -> None:
        """End the recording.

        Raises:
            ExportFailed: its last part cannot be written; what is before it stays readable.
        """
        if self._fd < 0:
            return
        try:
            if self._in_block >= 0:
                self._add(_encoder.encode(End(self.frames, self._last_utc_s)) + b"\n")
                self._put(self._packer.end())
            self._keep()
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Close the file as it is, without an end."""
        if self._fd >= 0:
            with contextlib.suppress(OSError):
                os.close(self._fd)
            self._fd = -1

    def discard(self) -> None:
        """Close the file and take it away, where it is still the one of its name."""
        self.abandon()
        with contextlib.suppress(OSError):
            if os.path.samestat(self._created, os.lstat(self.path)):
                os.unlink(self.path)

    def __enter__(self) -> RecordingWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self.close()

    def _write_hello(self, hello: Hello) -> None:
        if not self._with_args and hello.with_args:
            hello = msgspec.structs.replace(hello, with_args=False)
        self._open_block(hello)
        self._hello = hello
        self._add(encode(hello))

    def _write_frame(self, frame: Frame) -> None:
        line = encode(frame)
        plain: dict[str, Any] = msgspec.json.decode(line)
        if not self._with_args and _drop_commands(plain):
            line = _encoder.encode(plain) + b"\n"
        if self._in_block >= BLOCK_FRAMES:
            self._put(self._packer.end())
            self._in_block = -1
        self._open_block(frame)
        delta = self._encoder.encode(plain) if self._in_block else None
        if delta is None:
            self._encoder.start(plain)
            self._add(line)
        else:
            self._add(_encoder.encode(delta) + b"\n")
        self._in_block += 1
        self.frames += 1

    def _open_block(self, record: AnyRecord) -> None:
        """Begin a block, unless one is open, that starts with `record`."""
        if self._in_block >= 0:
            return
        self._lines += self._headers_are_lines
        header = Header(
            FORMAT_VERSION, self._blocks, self._lines + 1, self.frames, record.utc_s,
            record.boottime_s,
        )  # fmt: skip
        self._put(self._packer.begin(_encoder.encode(header)))
        self._blocks += 1
        self._in_block = 0
        if self._hello is not None:
            self._add(_encoder.encode(Again(self._hello)) + b"\n")

    def _add(self, line: bytes) -> None:
        self._lines += 1
        self._put(self._packer.add(line, flush=False))

    def _flush_if_due(self, now: float) -> None:
        if self._flushed_at is None or abs(now - self._flushed_at) >= FLUSH_S:
            self._flushed_at = now
            self._put(self._packer.add(b"", flush=True))
            self._keep()

    def _put(self, data: bytes) -> None:
        view = memoryview(data)
        try:
            while view:
                written = os.write(self._fd, view)
                self.size += written
                view = view[written:]
        except OSError as error:
            self.abandon()
            raise failed(self.path, error) from None

    def _keep(self) -> None:
        """Have the disk keep what is written, where the file lies on one."""
        try:
            self._check_there()
            if self._sync:
                os.fdatasync(self._fd)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EROFS):
                self.abandon()
                raise failed(self.path, error) from None

    def _check_there(self) -> None:
        """A file that was deleted takes every write, and none of it is ever read. (Some
        filesystems count no links: there the name tells.)
        """
        if os.fstat(self._fd).st_nlink == 0 and not os.path.lexists(self.path):
            self.abandon()
            raise ExportFailed(
                f"{self.path} was deleted while it was written, so nothing of it is left; record "
                "to another file."
            )


def _create(path: Path) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        fd = os.open(path, flags, 0o666)
    except FileExistsError:
        raise FileExists(f"{path} exists already; choose another name.") from None
    except OSError as error:
        raise failed(path, error) from None
    with contextlib.suppress(OSError):  # a filesystem without locks: it looks cut off meanwhile
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return fd


def _drop_commands(frame: dict[str, Any]) -> bool:
    """Take the command lines out; False where there were none."""
    dropped = [process.pop("command", None) for process in frame.get("processes", ())]
    return any(dropped)

"""`gputop record`: readings to a file, for `gputop replay` and `gputop report`."""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import select
import signal
import sys
import threading
from pathlib import Path
from types import FrameType

from gputop import text
from gputop.commands.base import add_machine_arguments, end_with_any_thread, say, stream_arguments
from gputop.errors import CollectorFailed, GputopError, UsageError
from gputop.model.frame import AnyRecord, Event, Frame, Hello
from gputop.query.literals import BadValue, duration, size
from gputop.recording.background import BackgroundWriter
from gputop.recording.rotation import RotatingWriter, Rotation
from gputop.scale import deadline_scale
from gputop.sources.base import SourceStatus
from gputop.sources.local import LocalSource
from gputop.terminals import opened_anew

HELP = "write readings to a file, for replay and report"

PROGRESS_S = 1.0
WITHOUT_READINGS_S = 10.0
"""So long after --duration, and an interval, it ends by its own clock, where no reading comes that
could say so.
"""
A_START_S = 60.0
"""A recording of no device ends, and leaves no file, when it is no older than that."""
LONGEST_WRITE_S = 0.2
"""How long a terminal that takes nothing is waited for."""
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def prepare_parser(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `gputop record`."""
    parser.description = (
        "Record until Ctrl-C, SIGTERM, or what --duration and --max-size say. The file can be "
        "followed while it grows, and opens up to its last few seconds if the machine goes down."
    )
    parser.add_argument(
        "-o", "--output", required=True, type=Path, metavar="FILE",
        help="write to this new file: .ndjson.zst, .ndjson.gz or .ndjson",
    )  # fmt: skip
    parser.add_argument(
        "--duration", type=_time, default=0.0, metavar="TIME",
        help="end after this time, such as 90s, 10m or 1h30m",
    )  # fmt: skip
    parser.add_argument(
        "--max-size", type=_size, default=0, metavar="SIZE",
        help="end when so much was written, such as 500M or 2G",
    )  # fmt: skip
    parser.add_argument(
        "--rotate", type=_rotation, default=Rotation(), metavar="SIZE|TIME",
        help="begin another file (FILE-2, FILE-3, ...) after so much or so long, such as 100M or "
        "1h",
    )  # fmt: skip
    add_machine_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Record until something says stop.

    Raises:
        UsageError: the file's name does not say how it is packed, or a device is not there.
        ExportFailed: the file cannot be created or written; what was written stays readable.
        GputopError: no reading ever came, and why.
    """
    end_with_any_thread()
    return _Recorder(args).run()


class _Recorder:
    """A source, a writer, and what ends them."""

    def __init__(self, args: argparse.Namespace) -> None:
        self._duration: float = args.duration
        self._max_size: int = args.max_size
        self._interval: float = args.interval
        self._source = LocalSource(stream_arguments(args), args.interval)
        self._output = RotatingWriter(args.output, args.rotate, args.with_args)
        # Not an Event: its lock is none that a signal's handler may find held by its own thread.
        self._changed = threading.Condition(threading.RLock())
        self._done = self._was_told = False
        self._problem: GputopError | None = None
        self._first_s: float | None = None
        self._elapsed_s = 0.0
        self._said = ""
        self._not_found: list[str] = []
        self._listed = self._refused = False
        self._writer = BackgroundWriter(self._output, self._written)

    def run(self) -> int:
        """Record to the end; the exit code."""
        for number in _SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:  # as `nohup` wants it
                signal.signal(number, self._on_signal)
        progress, late, left_s = _Progress(), False, math.inf
        if self._duration:
            patience = self._interval + WITHOUT_READINGS_S * deadline_scale(os.environ)
            left_s = self._duration + patience
        self._source.start(self._take, self._status)
        while not self._is_done_within(PROGRESS_S):
            progress.show(self._summary())
            # By no clock: while the machine sleeps, or Ctrl-Z has stopped us, no reading is late.
            left_s -= PROGRESS_S
            if left_s <= 0:
                late = self._end()
        self._source.stop()
        self._writer.close(None)
        progress.clear()
        nothing = not self._output.frames and (self._problem is not None or self._said)
        if nothing or self._refused:
            self._output.discard()  # for the next attempt its name is free
        if self._problem is not None:
            raise self._problem
        if self._said and not self._output.frames:
            raise GputopError(f"Nothing was recorded, for no reading ever came ({self._said}).")
        if late:
            why = f" ({self._said})" if self._said else ""
            raise CollectorFailed(
                f"No reading came after {text.duration(self._elapsed_s)}{why}; what came before is "
                f"in {self._output.path}."
            )
        if progress.is_on:
            files = f" and {self._output.files - 1} more" if self._output.files > 1 else ""
            progress.end(f"Wrote {self._summary()}{files}.")
        if self._not_found:
            say(f"Asked for and not found: {', '.join(self._not_found)}.")
        return 0

    def _is_done_within(self, wait_s: float) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: self._done, wait_s)

    def _end(self) -> bool:
        """Have it end; False where it does already. From any thread, or a signal's handler."""
        with self._changed:
            first, self._done = not self._done, True
            self._changed.notify()
        return first

    def _summary(self) -> str:
        output = self._output
        parts = [
            str(output.path),
            f"{output.frames} frame{'s' * (output.frames != 1)}",
            text.size(output.size),
            text.duration(self._elapsed_s),
        ]
        if self._writer.dropped:
            parts.append(f"{self._writer.dropped} dropped, the disk is too slow")
        return ", ".join(parts) + (f" ({self._said})" if self._said else "")

    # -- called in the source's thread

    def _take(self, record: AnyRecord) -> None:
        if self._done:
            return
        self._writer.put(record)
        if isinstance(record, Frame):
            self._first_s = record.boottime_s if self._first_s is None else self._first_s
            self._elapsed_s = record.boottime_s - self._first_s
            if 0 < self._duration <= self._elapsed_s or 0 < self._max_size <= self._output.size:
                self._end()
        elif isinstance(record, Hello):
            self._listed = self._listed or bool(record.devices)
            self._not_found = record.not_found
        elif isinstance(record, Event) and record.kind == "log" and self._has_nothing:
            self._refused, self._problem = True, UsageError(record.text)
            self._end()

    @property
    def _has_nothing(self) -> bool:
        """Whether no device was ever seen, and what was recorded is too little to keep."""
        return not self._listed and self._elapsed_s < A_START_S

    def _status(self, status: SourceStatus) -> None:
        if status.state == "stopped":
            self._problem = UsageError(status.message)
            self._end()
        self._said = status.message.rstrip(".") if status.state != "live" else ""

    # -- called in the writer's thread

    def _written(self, problem: GputopError | None) -> None:
        if problem is not None:
            self._problem = problem
            self._end()

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        if self._was_told:  # already leaving, and it takes too long
            self._source.stop()
            os._exit(128 + number)
        self._was_told = True
        self._end()


class _Progress:
    """One line on stderr, drawn over itself, where that is a terminal. One that takes nothing (a
    link that hangs, Ctrl-S) is not waited for: the recording must end when it is told to.
    """

    def __init__(self) -> None:
        self.is_on = sys.stderr is not None and sys.stderr.isatty()
        self._terminal = opened_anew(sys.stderr.fileno()) if self.is_on else -1
        self._width = 0

    def show(self, words: str) -> None:
        """Replace the line. It may quote a file's name, or what a collector said."""
        if not self.is_on:
            return
        try:
            room = os.get_terminal_size(self._terminal).columns - 1
        except OSError:
            room = 79
        words = text.clean(f"recording {words}", max(room, 1))
        blank = " " * max(self._width - text.display_width(words), 0)
        self._width = text.display_width(words)
        self._write(f"\r{words}{blank}")

    def clear(self) -> None:
        """Take the line away."""
        if self._width:
            self._write(f"\r{' ' * self._width}\r")

    def end(self, words: str) -> None:
        """Leave a line for good."""
        self._write(f"{text.clean(words)}\n")

    def _write(self, words: str) -> None:
        room = select.poll()
        room.register(self._terminal, select.POLLOUT)
        with contextlib.suppress(OSError):
            room.poll(LONGEST_WRITE_S * 1000)
            os.write(self._terminal, words.encode(sys.stderr.encoding, "replace"))


def _time(words: str) -> float:
    try:
        seconds = duration(words).value
    except BadValue as wanted:
        raise argparse.ArgumentTypeError(f"{words!r} is not {wanted}") from None
    if seconds <= 0:
        raise argparse.ArgumentTypeError(f"{words!r} is no time to record for")
    return seconds


def _size(words: str) -> int:
    try:
        number = int(size(words).value)
    except BadValue as wanted:
        raise argparse.ArgumentTypeError(f"{words!r} is not {wanted}") from None
    if number < 1:
        raise argparse.ArgumentTypeError(f"{words!r} is no room for a recording")
    return number


def _rotation(words: str) -> Rotation:
    """A size, or else a time: a lower-case ``m`` is minutes, as ``M`` is MiB."""
    if words[-1:].islower() and words[-2:].lower() != "ib":
        return Rotation(seconds=_time(words))
    try:
        return Rotation(bytes=_size(words))
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(
            f"{words!r} is neither a size such as 100M nor a time such as 1h"
        ) from None

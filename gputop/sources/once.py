"""One reading of this machine, for commands that print and leave."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from gputop.errors import EXIT_USAGE, CollectorFailed, NoDriver, UsageError
from gputop.model.frame import AnyRecord, DeviceReading, Frame, Hello, Process
from gputop.model.missing import NEEDS_TWO_READINGS
from gputop.sources.base import no_driver
from gputop.sources.deadlines import Deadlines
from gputop.sources.lines import RecordLines
from gputop.sources.process import READ_BYTES, CollectorProcess, collector_command

SHORTEST_WINDOW_S = 0.1
MOST_WINDOWS = 4
"""So long is waited for the second reading of what showed up late."""


def read_once(
    arguments: Sequence[str],
    window_s: float = 0.25,
    timeout_s: float | None = None,
    command: Callable[[Sequence[str]], list[str]] = collector_command,
) -> tuple[Hello, Frame]:
    """The machine as it is now: two readings at least `window_s` apart, so that rates exist.

    `arguments` are flags of `gputop stream`, such as ``["--demo"]``; the interval among them is
    replaced by the window, which the frame states as its `interval_s`. A device that does not
    answer within the deadline stands in the frame as `timed_out`, and the others are there.
    `timeout_s` bounds the whole (20 s unless told).

    Raises:
        NoDriver: there is no NVIDIA driver, or no device behind it.
        UsageError: the collector refused the arguments, such as a device that is not there.
        CollectorFailed: it ended, fell silent, or the driver does not answer.
    """
    window_s = max(window_s, SHORTEST_WINDOW_S)
    deadlines = Deadlines.from_environment()
    reading = _Reading(window_s, deadlines.answer_s)
    flags = [*arguments, "--interval", repr(window_s), "--every-tier"]
    process = CollectorProcess(command(flags), control=False)
    try:
        follow(process, reading, deadlines.once_s if timeout_s is None else timeout_s)
    finally:
        process.kill()
    return reading.result()


class _Reading:
    """Takes records until there is a frame worth returning."""

    def __init__(self, window_s: float, answer_s: float) -> None:
        self._window = window_s
        self._answer_s = answer_s
        self._hello: Hello | None = None
        self._frame: Frame | None = None
        self._listed_since: float | None = None
        self._first_answer: float | None = None
        self.done = False

    @property
    def is_waiting_for_devices(self) -> bool:
        """True once there is a frame with devices: what is missing then are answers of theirs."""
        return self._frame is not None

    def take(self, record: AnyRecord) -> None:
        """Look at the next record.

        Raises:
            NoDriver, CollectorFailed: the driver's state says that nothing will come.
        """
        if isinstance(record, Hello):
            self._hello = record
            judge(record)
        elif isinstance(record, Frame) and self._hello and self._hello.driver.status == "ok":
            self._take_frame(record, self._hello.not_found)

    def result(self) -> tuple[Hello, Frame]:
        """The last hello and frame, with devices that never answered marked as such."""
        assert self._hello is not None
        assert self._frame is not None
        for reading in self._frame.devices:
            if reading.status == "pending":
                give_up(reading, self._frame.boottime_s - (self._listed_since or 0.0))
        return self._hello, self._frame

    def _take_frame(self, frame: Frame, not_found: Sequence[str]) -> None:
        now = frame.boottime_s
        if not frame.devices or not_found:  # still being opened, until the collector gives it up
            return
        self._listed_since = now if self._listed_since is None else self._listed_since
        self._frame = frame
        waiting = sum(reading.status == "pending" for reading in frame.devices)
        if self._first_answer is None and waiting < len(frame.devices):
            self._first_answer = now
        if now - self._listed_since >= self._answer_s:
            self.done = True
        elif self._first_answer is not None and not waiting:
            windows = 1 if has_rates(frame) else MOST_WINDOWS
            self.done = now - self._first_answer >= windows * self._window


class Taker(Protocol):
    """What follows a collector's records."""

    done: bool
    """True when it has seen enough."""

    @property
    def is_waiting_for_devices(self) -> bool:
        """True once there is a frame with devices: what is missing then are answers of theirs."""

    def take(self, record: AnyRecord) -> None:
        """Look at the next record."""


def follow(process: CollectorProcess, reading: Taker, timeout_s: float) -> None:
    """Hand a collector's records to `reading` until it is done.

    Raises:
        UsageError: the collector refused its arguments.
        CollectorFailed: it ended, cannot be understood, or `timeout_s` passed in silence.
    """
    deadline = time.monotonic() + timeout_s
    lines = RecordLines()
    poll = select.poll()
    poll.register(process.out, select.POLLIN)
    poll.register(process.errors, select.POLLIN)
    while not reading.done:
        if (left := deadline - time.monotonic()) <= 0:
            if reading.is_waiting_for_devices:
                return
            raise CollectorFailed(
                f"The machine could not be read within {timeout_s:g} s; `gputop doctor` says "
                "what works and what does not."
            )
        ready = {fd for fd, _ in poll.poll(left * 1000)}
        if process.errors in ready and not process.read_errors():
            poll.unregister(process.errors)
        if process.out in ready:
            if not (part := os.read(process.out, READ_BYTES)):
                raise _ended(process, deadline)
            for record in lines.feed(part):
                reading.take(record)
            if lines.broken:
                raise CollectorFailed(f"The collector cannot be understood: {lines.last_problem}")


def has_rates(frame: Frame) -> bool:
    """Was everything read twice? What shows up late, such as a process, was not."""
    read: tuple[DeviceReading | Process, ...] = (*frame.devices, *frame.processes)
    return not any(NEEDS_TWO_READINGS in one.missing.values() for one in read)


def judge(hello: Hello) -> None:
    """Raise NoDriver or CollectorFailed where the driver's state says that nothing will come."""
    driver = hello.driver
    if driver.status in ("absent", "failed"):
        raise NoDriver(no_driver(driver))
    if driver.status in ("stuck", "released"):
        raise CollectorFailed(no_driver(driver))


def give_up(reading: DeviceReading, seconds: float) -> None:
    """Make a device that has not answered for so long one that timed out."""
    reading.status = "timed_out"
    reading.detail = f"The driver has not answered for this device within {seconds:.1f} s."


def _ended(process: CollectorProcess, deadline: float) -> CollectorFailed | UsageError:
    """The error for a collector that left without being asked to."""
    process.wait(max(0.0, deadline - time.monotonic()))
    process.read_last_errors()
    words = process.last_words.removeprefix("gputop: ")
    if process.exit_code == EXIT_USAGE:
        return UsageError(words or "The collector refused its arguments.")
    return CollectorFailed(words or f"The collector ended with exit code {process.exit_code}.")

"""The records of a span of time, for commands that look for a while, print and leave."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gputop.model.frame import AnyRecord, Frame, Hello
from gputop.sources.deadlines import Deadlines
from gputop.sources.once import follow, give_up, judge
from gputop.sources.process import CollectorProcess, collector_command


def watch(
    arguments: Sequence[str],
    window_s: float,
    on_record: Callable[[AnyRecord], None],
    command: Callable[[Sequence[str]], list[str]] = collector_command,
) -> None:
    """Hand over the records from the start until `window_s` seconds after every device has
    answered for the first time. A device that has not answered by its deadline is `timed_out` in
    a last frame.

    `arguments` are flags of `gputop stream`, such as ``["--demo"]``.

    Raises:
        NoDriver: there is no NVIDIA driver, or no device behind it.
        UsageError: the collector refused the arguments, such as a device that is not there.
        CollectorFailed: it ended, fell silent, or the driver does not answer.
    """
    deadlines = Deadlines.from_environment()
    watching = _Watch(window_s, deadlines.answer_s, on_record)
    process = CollectorProcess(command(arguments), control=False)
    try:
        follow(process, watching, deadlines.once_s + window_s)
    finally:
        process.kill()
    watching.end()


class _Watch:
    """Takes records until the window is over."""

    def __init__(
        self, window_s: float, answer_s: float, on_record: Callable[[AnyRecord], None]
    ) -> None:
        self._window_s = window_s
        self._answer_s = answer_s
        self._on_record = on_record
        self._hello: Hello | None = None
        self._frame: Frame | None = None
        self._listed_since: float | None = None
        self._settled: float | None = None
        self.done = False

    @property
    def is_waiting_for_devices(self) -> bool:
        """True once there is a frame with devices."""
        return self._frame is not None

    def take(self, record: AnyRecord) -> None:
        """Look at the next record.

        Raises:
            NoDriver, CollectorFailed: the driver's state says that nothing will come.
        """
        if isinstance(record, Hello):
            self._hello = record
            judge(record)
        self._on_record(record)
        if isinstance(record, Frame) and self._hello and self._hello.driver.status == "ok":
            self._take_frame(record, self._hello.not_found)

    def _take_frame(self, frame: Frame, not_found: Sequence[str]) -> None:
        if not frame.devices or not_found:  # still being opened, until the collector gives it up
            return
        now = frame.boottime_s
        self._listed_since = now if self._listed_since is None else self._listed_since
        overdue = now - self._listed_since >= self._answer_s
        self._frame = frame
        waiting = any(reading.status == "pending" for reading in frame.devices)
        if self._settled is None and (overdue or not waiting):
            self._settled = now
        self.done = self._settled is not None and now - self._settled >= self._window_s

    def end(self) -> None:
        """Say of the devices that never answered that they did not."""
        frame, since = self._frame, self._listed_since
        if frame is None or since is None:
            return
        pending = [reading for reading in frame.devices if reading.status == "pending"]
        if not pending:
            return
        for reading in pending:
            give_up(reading, frame.boottime_s - since)
        self._on_record(frame)

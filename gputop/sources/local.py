"""The collector on this machine: started, watched, and started again."""

from __future__ import annotations

import os
import select
import threading
import time
from collections.abc import Callable, Sequence

from gputop.errors import EXIT_USAGE, CollectorFailed
from gputop.model.commands import Command, Release, Retake, SetInterval, encode_command
from gputop.model.frame import AnyRecord, Frame
from gputop.sources.base import (
    EXIT_START_AFRESH,
    OnRecord,
    OnStatus,
    SourceState,
    SourceStatus,
)
from gputop.sources.deadlines import Deadlines
from gputop.sources.lines import RecordLines
from gputop.sources.process import READ_BYTES, CollectorProcess, collector_command

MOST_BROKEN_LINES = 10
"""So many unreadable lines in a row, and the collector is replaced."""
STEP_S = 0.01
"""How often a collector that is dying is looked at."""


class LocalSource:
    """Readings of this machine (or of the demo) from a collector process.

    `spawn` may be called long before `start`: the process begins at once and its first records
    wait in the pipe. One thread reads, watches and restarts, so the callbacks of `start` come
    one at a time; while one of them blocks nothing is watched.
    """

    live = True
    can_seek = False
    can_set_interval = True

    def __init__(
        self, arguments: Sequence[str], interval_s: float = 1.0,
        command: Callable[[Sequence[str]], list[str]] = collector_command,
    ) -> None:  # fmt: skip
        """`arguments` are flags of `gputop stream`; `command` makes the command line of them."""
        self._arguments = list(arguments)
        self._command = command
        self._interval = interval_s
        self._sent_interval = interval_s
        self.can_signal = "--demo" not in arguments
        self.late_s = 0.0
        self._deadlines = Deadlines.from_environment()
        self._process: CollectorProcess | None = None
        self._spawned: CollectorProcess | None = None
        self._attempts = 0
        self._stopping = False
        self._released = False
        self._telling = threading.Lock()
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)
        self._on_record: OnRecord = lambda record: None
        self._on_status: OnStatus = lambda status: None
        self._status = SourceStatus("starting", since_s=time.monotonic())

    @property
    def period_s(self) -> float:
        """Seconds from one frame to the next."""
        return self._interval

    @property
    def status(self) -> SourceStatus:
        """The last status that was reported."""
        return self._status

    @property
    def pid(self) -> int | None:
        """Process id of the collector, once one was started."""
        return self._process.pid if self._process else None

    def spawn(self) -> None:
        """Start the first collector now.

        Raises:
            CollectorFailed: it cannot be started.
        """
        if self._process is None:
            self._process = self._spawned = self._new_process(released=False)

    def start(self, on_record: OnRecord, on_status: OnStatus) -> None:
        """Deliver every record and every change of the status, from a thread of its own."""
        self._on_record, self._on_status = on_record, on_status
        threading.Thread(target=self._run, name="local-source", daemon=True).start()

    def send(self, command: Command) -> None:
        """Tell the collector. An interval, and whether the driver is released, is kept for those
        started later; any other command is lost when the collector does not listen.
        """
        with self._telling:
            if isinstance(command, SetInterval):
                self._interval = command.seconds
                self._wake()
            elif isinstance(command, Release | Retake):
                self._released = isinstance(command, Release)
            if self._process is not None:
                self._process.tell(encode_command(command))

    def stop(self) -> None:
        """Kill the collector and end the thread. Waits for neither."""
        self._stopping = True
        if self._process is not None:
            self._process.kill()
        self._wake()

    # -- the thread ------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stopping:
            why = self._live_once()
            if self._stopping or not self._pause(why):
                return

    def _live_once(self) -> str:
        """Start a collector, follow it to its end, and see it dead. Returns what happened."""
        born_released = self._released and self._spawned is None
        try:
            process, self._spawned = self._spawned or self._new_process(born_released), None
        except CollectorFailed as problem:
            return str(problem).rstrip(".")
        with self._telling:
            self._process = process
            if self._released != born_released:  # told while it was being started
                process.tell(encode_command(Release() if self._released else Retake()))
        if self._stopping:  # `stop` may have looked before there was a process to kill
            process.kill()
            return ""
        why = self._follow(process)
        if not self._stopping:
            self._see_dead(process, self._deadlines.leave_s if not why else 0.0)
        return why or _how_it_ended(process)

    def _new_process(self, released: bool) -> CollectorProcess:
        """`released`: it is to leave the driver alone, so that not even its start opens it."""
        arguments = [*self._arguments, "--interval", repr(self._interval), "--control"]
        if released:
            arguments.append("--released")
        # What went wrong stands until it works: a notice that comes and goes cannot be read.
        self._report("starting", self._status.message)
        return CollectorProcess(self._command(arguments), control=True)

    def _follow(self, process: CollectorProcess) -> str:
        """Deliver what it says until it ends (an empty string) or has to be replaced (why)."""
        lines = RecordLines()
        first_at: float | None = None
        poll = select.poll()
        for fd in (process.out, process.errors, self._wake_read):
            poll.register(fd, select.POLLIN)
        heard_at = time.monotonic()
        try:
            while True:
                deadline = heard_at + self._patience(first_at is None)
                ready = {fd for fd, _ in poll.poll(_milliseconds(deadline - time.monotonic()))}
                if self._stopping:
                    return ""
                if self._wake_read in ready:
                    os.read(self._wake_read, 4096)
                if process.errors in ready and not process.read_errors():
                    poll.unregister(process.errors)
                if process.out in ready:
                    if not (part := os.read(process.out, READ_BYTES)):
                        lines.end()
                        self._complain(lines)
                        return ""
                    if records := lines.feed(part):
                        heard_at = time.monotonic()
                        first_at = first_at or heard_at
                        self._deliver(records)
                    self._complain(lines)
                    if lines.broken_in_a_row >= MOST_BROKEN_LINES:
                        return (
                            f"The collector cannot be understood: {lines.last_problem.rstrip('.')}"
                        )
                elif not ready and (late := time.monotonic() - deadline) >= 0:
                    if late > self._deadlines.stopped_s:
                        heard_at = time.monotonic()  # it was us who stood still
                        continue
                    silence = time.monotonic() - heard_at
                    self._report("silent", f"The collector has said nothing for {silence:.0f} s.")
                    return f"The collector said nothing for {silence:.0f} s"
        finally:
            if first_at and time.monotonic() - first_at >= self._deadlines.healthy_s:
                self._attempts = 0

    def _patience(self, starting: bool) -> float:
        """How long silence may last, in seconds. A collector that was told another interval keeps
        to the old one until its next frame.
        """
        interval = max(self._interval, self._sent_interval)
        most = self._deadlines.silence_s + 3 * interval
        return most + self._deadlines.start_s if starting else most

    def _deliver(self, records: list[AnyRecord]) -> None:
        if self._status.state != "live":
            self._report("live")
        for record in records:
            if isinstance(record, Frame):
                self._sent_interval = record.interval_s
                age_s = time.clock_gettime(time.CLOCK_BOOTTIME) - record.boottime_s
                self.late_s = max(0.0, age_s)
            self._on_record(record)

    def _complain(self, lines: RecordLines) -> None:
        """Say once that a line could not be read."""
        if lines.broken and not lines.reported:
            lines.reported = True
            problem = f"A line of the collector could not be read: {lines.last_problem}"
            self._report(self._status.state, problem)

    def _see_dead(self, process: CollectorProcess, leave_s: float) -> None:
        """Return when the process is gone. It is left `leave_s` seconds to go by itself, so that
        its exit code tells why, and then killed.
        """
        kill_at = time.monotonic() + leave_s
        stuck_at = kill_at + self._deadlines.die_s
        killed = False
        while process.exit_code is None and not self._stopping:
            now = time.monotonic()
            if now >= kill_at and not killed:
                process.kill()
                killed = True
            if now >= stuck_at and self._status.state != "stuck":
                self._report(
                    "stuck",
                    f"The collector (pid {process.pid}) hangs in the driver and cannot be killed; "
                    "another is started when it is gone. A reboot may be needed.",
                )
            self._sleep(STEP_S if now < stuck_at else self._deadlines.die_s)
        if not self._stopping:
            process.read_last_errors()
            process.close()

    def _pause(self, why: str) -> bool:
        """Wait before the next attempt; False when there is none."""
        code = self._process.exit_code if self._process else None
        if code == EXIT_USAGE:
            self._report("stopped", f"{why}.")
            return False
        if code == EXIT_START_AFRESH and self._attempts == 0:
            delay = 0.0
            self._report("restarting", "The driver was replaced, so the collector starts afresh.")
        else:
            delay = self._deadlines.back_off(self._attempts)
            self._report("restarting", f"{why}; the next attempt is in {delay:g} s.")
        self._attempts += 1
        self._sleep(delay)
        return not self._stopping

    def _sleep(self, seconds: float) -> None:
        """Sleep for a time, or until `stop`."""
        end = time.monotonic() + seconds
        poll = select.poll()  # not select: it takes no descriptor above 1023
        poll.register(self._wake_read, select.POLLIN)
        while not self._stopping and (left := end - time.monotonic()) > 0:
            if poll.poll(_milliseconds(left)):
                os.read(self._wake_read, 4096)

    def _wake(self) -> None:
        try:
            os.write(self._wake_write, b"\0")
        except BlockingIOError:
            return  # it is awake already

    def _report(self, state: SourceState, message: str = "") -> None:
        last = self._status
        since = last.since_s if state == last.state else time.monotonic()
        words = self._process.last_words if self._process else ""
        self._status = SourceStatus(state, message, since, self._attempts, words)
        if not self._stopping and self._status != last:
            self._on_status(self._status)


def _how_it_ended(process: CollectorProcess) -> str:
    code = process.exit_code
    if code is not None and code < 0:
        how = f"The collector was killed by signal {-code}"
    else:
        how = f"The collector ended with exit code {code}"
    words = process.last_words.removeprefix("gputop: ").rstrip(".")
    return f"{how}: {words}" if words else how


def _milliseconds(seconds: float) -> int:
    """A timeout for poll, rounded up so that the deadline has passed when it returns."""
    return max(0, int(seconds * 1000) + 1)

"""What stands beside the command of `gputop run`: the collector, and who keeps what it reads."""

from __future__ import annotations

import threading

import msgspec

from gputop.actions.signals import foreign_pids
from gputop.commands.base import explain
from gputop.errors import ExportFailed
from gputop.job.command import Command, Ended
from gputop.job.tree import Tree
from gputop.model.commands import SetInterval
from gputop.model.frame import AnyRecord, Event, Frame, Hello, Job
from gputop.recording import BackgroundWriter, RecordingWriter
from gputop.report.account import Account
from gputop.sources.base import SourceStatus
from gputop.sources.local import LocalSource
from gputop.text import clean

FIRST_RECORD_S = 2.0
"""How long the end waits for the collector's first record, without which there is no recording."""
LAST_FRAME_S = 0.4
"""How long the end waits for a reading that was made after it."""
LAST_INTERVAL_S = 0.1
MOST_WAITING = 32
"""Records that wait to be added up: many at once cost less of the CPU than each by itself, whose
code and data the command has meanwhile driven out of the caches.
"""
WRITTEN_S = 30.0
"""How long the end waits for a slow disk to take the rest of the recording."""
FOREIGN = (
    "In this container the driver gives the host's pids, so this job's processes cannot be told "
    "from others."
)
NO_SUBREAPER = "The kernel does not let gputop follow processes that leave their parent."


class Follower:
    """Says of each process whether it is the command's, and keeps every record."""

    def __init__(
        self, command: Command, source: LocalSource, job: Job,
        recording: RecordingWriter | None, account: Account | None, follows: bool,
    ) -> None:  # fmt: skip
        """`account` is None where there is to be no report. `follows`: processes that lose their
        parent become ours.
        """
        self.problems: list[str] = []
        """What went wrong on the way, a sentence each."""
        self._command = command
        self._source = source
        self._job = job
        self._account = account
        self._waiting: list[AnyRecord] = []
        """What is to be added up."""
        self._writer = BackgroundWriter(recording, self._recording_ended) if recording else None
        self._tree = Tree(lambda: command.helpers)
        self._changed = threading.Condition()
        self._newest_s = float("-inf")
        self._has_devices = self._starting = self._done = False
        self._told = False
        if not follows:
            job.unfollowed = NO_SUBREAPER
        if account is not None:
            account.add(job)

    def begin(self) -> None:
        """Take what the collector reads, in the source's thread."""
        threading.excepthook = self._thread_failed
        self._source.start(self._take, self._status_changed)

    # -- from the source's thread ---------------------------------------------------------------

    def _take(self, record: AnyRecord) -> None:
        with self._changed:
            if self._done:
                return
            if isinstance(record, Frame):
                self._tree.mark(record.processes, record.simulated)
                self._newest_s = record.boottime_s
                self._changed.notify()
            elif isinstance(record, Hello):
                self._has_devices = bool(record.devices)
                self._starting = record.driver.status == "starting"
                self._changed.notify()
                self._told_apart(record)
            elif isinstance(record, Event) and record.kind == "log":
                self.problems.append(clean(record.text, 200))
            self._keep(record)
            if isinstance(record, Hello) and not self._told:
                self._told = True
                self._keep(self._job)

    def _told_apart(self, hello: Hello) -> None:
        """Whether the driver's pids are ours: only then the job's processes can be found."""
        if foreign_pids(hello.host, hello.driver) and hello.devices:
            self._job.unfollowed = FOREIGN

    def _keep(self, record: AnyRecord) -> None:
        if self._account is not None:
            self._waiting.append(record)
            if len(self._waiting) >= MOST_WAITING:
                self._add_up(self._account)
        if self._writer is not None and (self._told or not isinstance(record, Job)):
            self._writer.put(record)

    def _add_up(self, account: Account) -> None:
        account.add_all(self._waiting)
        self._waiting.clear()

    def _status_changed(self, status: SourceStatus) -> None:
        if status.state in ("stopped", "stuck"):
            self.problems.append(clean(status.message, 200))

    # -- the end --------------------------------------------------------------------------------

    def end(self, ended: Ended) -> None:
        """The command has ended: keep that, and wait a moment for a reading made after it."""
        at = ended.boottime_s
        with self._changed:
            self._job = msgspec.structs.replace(
                self._job, ended_s=at, exit_code=ended.exit_code, signal=ended.signal,
                user_s=ended.user_s, system_s=ended.system_s,
                memory_peak_bytes=ended.memory_peak_bytes, left_running=self._tree.count(),
            )  # fmt: skip
            self._keep(self._job)  # in a recording it stands behind the first hello
            if self._writer is not None and not self._told and not self.problems:
                self._changed.wait_for(lambda: self._told, FIRST_RECORD_S)
            if self._has_devices:
                self._source.send(SetInterval(LAST_INTERVAL_S))
                self._changed.wait_for(lambda: self._newest_s >= at, LAST_FRAME_S)
            elif self._starting:  # what is missing is worth a moment too
                self._changed.wait_for(lambda: not self._starting, LAST_FRAME_S)
            self._done = True
            if self._account is not None:
                self._add_up(self._account)
        self._source.stop()
        if self._writer is not None and not self._writer.close(WRITTEN_S):
            self.problems.append("The disk is too slow: the recording is not whole.")

    def _thread_failed(self, what: threading.ExceptHookArgs) -> None:
        """Of the source's, or of the recording's: the command runs on without it."""
        if isinstance(what.exc_value, Exception):
            self.problems.append(explain(what.exc_value))

    def _recording_ended(self, problem: ExportFailed | None) -> None:
        if problem is not None:
            self.problems.append(f"The recording is not whole: {problem}")

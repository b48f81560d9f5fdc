"""`gputop run`: a command as it would run without us, and a report of what it did to the GPUs."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from gputop.actions.signals import foreign_pids
from gputop.commands.base import add_machine_arguments, stream_arguments
from gputop.commands.reporting import (
    account_options,
    add_report_arguments,
    format_of,
    look_of,
    put,
)
from gputop.errors import CollectorFailed, GputopError, UsageError
from gputop.job.command import Command, Ended
from gputop.job.kernel import become_subreaper
from gputop.job.tree import Tree
from gputop.model.commands import SetInterval
from gputop.sources.local import LocalSource
from gputop.text import clean

if TYPE_CHECKING:
    from gputop.errors import ExportFailed
    from gputop.model.frame import AnyRecord, Hello
    from gputop.recording import BackgroundWriter, RecordingWriter
    from gputop.report.account import Account
    from gputop.report.shape import Report
    from gputop.settings import Settings
    from gputop.sources.base import SourceStatus

HELP = "run a command, then report what it did to the GPUs"

LAST_FRAME_S = 0.4
"""How long the end waits for a reading that was made after it."""
LAST_INTERVAL_S = 0.1
WRITTEN_S = 30.0
"""How long the end waits for a slow disk to take the rest of the recording."""
FOREIGN = (
    "In this container the driver gives the host's pids, so this job's processes cannot be told "
    "from others."
)
NO_SUBREAPER = "The kernel does not let gputop follow processes that leave their parent."


def prepare_parser(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `gputop run`."""
    parser.usage = "%(prog)s [options] [--] COMMAND [ARGUMENTS...]"
    parser.description = (
        "Run COMMAND with this terminal, its pipes, its signals and its exit code, as if gputop "
        "were not there; when it has ended, print a report to stderr. Without an NVIDIA driver "
        "the command runs all the same. The exit code is the command's; 126 when it cannot be "
        "executed, 127 when it is not there."
    )
    parser.add_argument(
        "-o", "--output", metavar="FILE",
        help="record into this new file, for `gputop report` and `gputop replay`",
    )  # fmt: skip
    parser.add_argument("--report", metavar="FILE",
                        help="write the report to this new file instead of stderr")  # fmt: skip
    parser.add_argument("-q", "--quiet", action="store_true", help="print no report")
    add_report_arguments(parser)
    add_machine_arguments(parser)
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="COMMAND",
                        help="what to run, with its arguments")  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Run the command to its end and report on it. Ends the way the command ended.

    Raises:
        UsageError: there is no command, or the flags do not fit together.
        SettingsError: the settings are broken.
        CannotRun: the command is not there, or cannot be executed.
        GputopError: the report cannot be written.
    """
    from gputop.settings import load

    command = args.command[1:] if args.command[:1] == ["--"] else args.command
    if not command:
        raise UsageError("There is no command to run; name one: gputop run -- COMMAND.")
    settings = load(args)
    path = Path(args.report) if args.report else None
    form = format_of(args, path)  # its mistakes before the command's hours
    runner = _Runner(args, command, settings)
    ended = runner.run()
    try:
        if path is not None or not args.quiet:
            look = look_of(settings, sys.stderr, path is not None)
            put(form.one(runner.report(), look), form, path, sys.stderr, force=False)
        for problem in runner.problems:
            print(f"gputop: {problem}", file=sys.stderr)
    except (GputopError, OSError) as problem:  # how the command ended matters more than our page
        with contextlib.suppress(OSError):
            print(f"gputop: {problem}", file=sys.stderr)
    return ended.follow()


class _Runner:
    """The command, the collector beside it, and what is written of them."""

    def __init__(
        self, args: argparse.Namespace, command: Sequence[str], settings: Settings
    ) -> None:
        self._args = args
        self._words = list(command)
        self._settings = settings
        self.problems: list[str] = []
        """What went wrong on the way, a sentence each."""
        self._recording = _open_recording(args)
        self._writer: BackgroundWriter | None = None
        self._source = LocalSource(stream_arguments(args), args.interval)
        self._unfollowed = "" if become_subreaper() else NO_SUBREAPER
        self._changed = threading.Condition()
        self._newest_s = float("-inf")
        self._has_devices = self._starting = self._done = False
        self._account: Account | None = None
        self._told = False

    def run(self) -> Ended:
        """Run the command to its end.

        Raises:
            CannotRun: it is not there, or cannot be executed.
        """
        utc, boottime = time.time(), _boottime()
        # Its helper is a fork: it is made while there is only one thread.
        try:
            command = Command(self._words, self._helpers)
        except BaseException:
            if self._recording is not None:  # of nothing
                self._recording.abandon()
                self._recording.path.unlink(missing_ok=True)
            raise
        self._follow(command, utc, boottime)
        ended = command.wait()
        self._end(ended)
        command.let_go()
        return ended

    def report(self) -> Report:
        """What the run adds up to."""
        assert self._account is not None
        return self._account.report()

    def _helpers(self) -> set[int]:
        pid = self._source.pid
        return set() if pid is None else {pid}

    def _follow(self, command: Command, utc: float, boottime: float) -> None:
        """Begin to read the machine, now that the command is on its way."""
        try:
            self._source.spawn()
        except CollectorFailed as problem:
            self.problems.append(str(problem))
        from gputop.model.frame import Job
        from gputop.recording import BackgroundWriter
        from gputop.report.account import Account

        if self._recording is not None:
            self._writer = BackgroundWriter(self._recording, self._recording_ended)
        self._tree = Tree(lambda: command.helpers)
        self._job = Job(
            name=os.path.basename(self._words[0]), utc_s=utc, boottime_s=boottime,
            command=self._words if self._args.with_args else None, unfollowed=self._unfollowed,
        )  # fmt: skip
        self._account = Account(account_options(self._settings))
        self._account.add(self._job)
        if not self.problems:
            self._source.start(self._take, self._status_changed)

    # -- from the source's thread ---------------------------------------------------------------

    def _take(self, record: AnyRecord) -> None:
        from gputop.model.frame import Event, Frame, Hello

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
        assert self._account is not None
        self._account.add(record)
        if self._writer is not None:
            self._writer.put(record)

    def _status_changed(self, status: SourceStatus) -> None:
        if status.state in ("stopped", "stuck"):
            self.problems.append(clean(status.message, 200))

    # -- the end --------------------------------------------------------------------------------

    def _end(self, ended: Ended) -> None:
        """The command has ended: keep that, and wait a moment for a reading made after it."""
        now = _boottime()
        with self._changed:
            self._job = msgspec.structs.replace(
                self._job, ended_s=now, exit_code=ended.exit_code, signal=ended.signal,
                user_s=ended.user_s, system_s=ended.system_s,
                memory_peak_bytes=ended.memory_peak_bytes, left_running=self._tree.count(),
            )  # fmt: skip
            if self._told or self._writer is None:
                self._keep(self._job)
            else:
                self._account.add(self._job)  # type: ignore[union-attr]
            if self._has_devices:
                self._source.send(SetInterval(LAST_INTERVAL_S))
                self._changed.wait_for(lambda: self._newest_s >= now, LAST_FRAME_S)
            elif self._starting:  # what is missing is worth a moment too
                self._changed.wait_for(lambda: not self._starting, LAST_FRAME_S)
            self._done = True
        self._source.stop()
        if self._writer is not None and not self._writer.close(WRITTEN_S):
            self.problems.append("The disk is too slow: the recording is not whole.")

    def _recording_ended(self, problem: ExportFailed | None) -> None:
        if problem is not None:
            self.problems.append(f"The recording is not whole: {problem}")


def _boottime() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _open_recording(args: argparse.Namespace) -> RecordingWriter | None:
    """The recording, where one was asked for.

    Raises:
        UsageError: its name says no format.
        ExportFailed: it cannot be created, or is there already.
    """
    if args.output is None:
        return None
    from gputop.recording import RecordingWriter

    return RecordingWriter(Path(args.output), with_args=args.with_args)

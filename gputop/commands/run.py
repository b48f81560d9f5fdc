"""`gputop run`: a command as it would run without us, and a report of what it did to the GPUs.

Nothing is imported here that the command would have to wait for: what follows it comes after it.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from gputop.commands.base import (
    add_machine_arguments,
    report_unforeseen,
    say,
    stream_arguments,
)
from gputop.commands.reporting import (
    account_options,
    add_report_arguments,
    format_of,
    look_of,
    put,
)
from gputop.errors import CollectorFailed, GputopError, UsageError
from gputop.job.command import Command, fill_closed_descriptors
from gputop.job.kernel import become_subreaper
from gputop.report.formats import FORMATS, Format

if TYPE_CHECKING:
    from pathlib import Path

    from gputop.commands.following import Follower
    from gputop.recording import RecordingWriter
    from gputop.report.account import Account
    from gputop.settings import Settings
    from gputop.sources.local import LocalSource

HELP = "run a command, then report what it did to the GPUs"


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
        ExportFailed: the recording cannot be created, or it or the report is there already.
        CannotRun: the command is not there, or cannot be executed.
    """
    from gputop.settings import load

    words = args.command[1:] if args.command[:1] == ["--"] else args.command
    if not words:
        raise UsageError("There is no command to run; name one: gputop run -- COMMAND.")
    fill_closed_descriptors()
    settings = load(args)
    path = _path(args.report)
    form = format_of(args, path)  # its mistakes before the command's hours
    if path is not None:
        _check_report(path)
    recording = _open_recording(args)
    follows = become_subreaper()
    utc, boottime = time.time(), time.clock_gettime(time.CLOCK_BOOTTIME)
    command = _start(words, recording)
    # Whatever goes wrong with us from here on, the command runs on, and its end is ours.
    account: Account | None = None
    follower: Follower | None = None
    with _failure_is_said():
        source, problem = _start_collector(command, args)
        # The command and the collector are on their way: now there is time to load the rest.
        from gputop.commands.following import Follower
        from gputop.model.frame import Job

        account = _account(settings) if path is not None or not args.quiet else None
        job = Job(name=os.path.basename(words[0]), utc_s=utc, boottime_s=boottime,
                  command=words if args.with_args else None)  # fmt: skip
        follower = Follower(command, source, job, recording, account, follows)
        if problem:
            follower.problems.append(problem)
        else:
            follower.begin()
    if follower is None:
        _discard(recording)
    ended = command.wait()
    with _failure_is_said():
        if follower is not None:
            follower.end(ended)
    command.let_go()
    with _failure_is_said():
        if follower is not None:
            for problem in [*follower.problems, *_told(account, settings, form, path)]:
                say(problem)
    return ended.follow()


@contextlib.contextmanager
def _failure_is_said() -> Iterator[None]:
    try:
        yield
    except GputopError as error:
        say(str(error))
    except Exception as error:
        report_unforeseen(error)


def _told(
    account: Account | None, settings: Settings, form: Format, path: Path | None
) -> list[str]:
    """Write the report; where its file cannot be written, to stderr. Returns what went wrong."""
    if account is None:
        return []
    try:
        look = look_of(settings, sys.stderr, path is not None)
        put(form.page.render(account.report(), look), form, path, sys.stderr, force=False)
    except (GputopError, OSError) as problem:
        if path is None:
            return [str(problem)]
        return [str(problem), *_told(account, settings, FORMATS["text"], None)]
    return []


def _check_report(path: Path) -> None:
    from gputop.export.files import FileExists, check_new

    try:
        check_new(path)
    except FileExists:  # there is no --force here
        raise FileExists(f"{path} exists already; choose another name.") from None


def _path(name: str | None) -> Path | None:
    if name is None:
        return None
    if name == "-":  # stdout is the command's
        raise UsageError("--report writes a file; without it the report goes to stderr.")
    from pathlib import Path

    return Path(name)


def _open_recording(args: argparse.Namespace) -> RecordingWriter | None:
    """The recording, where one was asked for.

    Raises:
        UsageError: its name says no format.
        ExportFailed: it cannot be created, or is there already.
    """
    path = _path(args.output)
    if path is None:
        return None
    from gputop.recording import RecordingWriter

    return RecordingWriter(path, with_args=args.with_args)


def _start(words: Sequence[str], recording: RecordingWriter | None) -> Command:
    """The command. Its helper is a fork: it is made while there is only one thread.

    Raises:
        CannotRun: it is not there, or cannot be executed.
    """
    try:
        return Command(words)
    except BaseException:
        _discard(recording)
        raise


def _discard(recording: RecordingWriter | None) -> None:
    """Take away a recording of nothing."""
    if recording is not None:
        recording.discard()


def _start_collector(command: Command, args: argparse.Namespace) -> tuple[LocalSource, str]:
    """Who reads the machine, and in a sentence why nobody does."""
    from gputop.sources.local import LocalSource

    source = LocalSource(stream_arguments(args), args.interval)
    command.ours = lambda: set() if source.pid is None else {source.pid}
    try:
        source.spawn()
    except CollectorFailed as problem:
        return source, str(problem)
    return source, ""


def _account(settings: Settings) -> Account:
    from gputop.report.account import Account

    return Account(account_options(settings))

"""`gputop stream`: the collector. It prints records until its reader goes away."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from types import FrameType
from typing import NoReturn

from gputop.collect.control import listen
from gputop.collect.loop import Collector, Ending, Options
from gputop.collect.selection import NotFound
from gputop.collect.writer import Wake, Writer
from gputop.commands.base import add_machine_arguments, end_with_any_thread, machine_from, say
from gputop.errors import GputopError, NoDriver, UsageError
from gputop.model.codec import decode
from gputop.model.frame import Frame
from gputop.scale import deadline_scale
from gputop.settings import command, flag_type, load
from gputop.sources.base import EXIT_START_AFRESH, no_driver

HELP = "print every reading as a line of JSON, until the pipe closes"

LAST_EVENTS_S = 10.0 * deadline_scale()
"""How long a stream that ends by itself waits for the commands on its events."""
LAST_LINE_S = 0.2
"""How long a signal waits for the line that is being written."""


def prepare_parser(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `gputop stream`."""
    parser.description = (
        "Print one JSON object a line: first a hello with the host and the devices (again when "
        "they change), then a frame at every interval, and events as they happen. The first "
        "frame holds the host's load only, since it leaves before the driver is opened. A reader "
        "that is too slow misses the oldest frames; each frame says how many were dropped."
    )
    add_machine_arguments(parser)
    parser.add_argument(
        "--count", type=_count, metavar="N",
        help="end after N frames; those sent before every device has answered for the first "
        "time are extra. The exit code is 3 when there is no driver or no device then",
    )  # fmt: skip
    parser.add_argument(
        "--on-event", type=flag_type(command), metavar="CMD",
        help="run this command on every critical event and warning, the event as JSON on its "
        "stdin",
    )  # fmt: skip
    parser.add_argument("--control", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--released", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--every-tier", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--counted", type=int, default=0, help=argparse.SUPPRESS)


def run(args: argparse.Namespace) -> int:
    """Stream until the reader goes away, the count is reached or a signal says stop.

    Raises:
        NoDriver: at the end of `--count` there is no driver or no device.
        UsageError: `--devices` names one that is not there.
        GputopError: it names one that may be a device that does not say who it is, or the records
            cannot be written.
    """
    end_with_any_thread()
    return _Stream(args, _claim_stdout()).run()


class _Stream:
    """A collector with its stdout, its stdin and its signals."""

    def __init__(self, args: argparse.Namespace, out: int) -> None:
        self._out = out
        self._control: bool = args.control
        self._signal = 0
        self._write_problem: OSError | None = None
        self._events = _Events(args) if args.on_event else None
        self._writer = Writer(out, self._stopped_writing)
        self._machine = machine_from(args, lists_at_once=args.every_tier)
        options = Options(
            interval_s=args.interval,
            frames=args.count,
            counted=args.counted,
            devices=args.devices,
            with_args=args.with_args,
            control=args.control,
            released=args.released,
            every_tier=args.every_tier,
        )
        listener = self._events.take if self._events else None
        self._collector = Collector(self._machine, self._writer, Wake(out), options, None, listener)

    def run(self) -> int:
        """Run the collector to its end; the exit code, unless there is an error to raise."""
        self._obey_signals()
        if self._control:
            # At the end of stdin the parent is gone, and nobody is left to read a last line.
            listen(0, self._collector.tell, lambda: os._exit(0))
        ending = self._collector.run()
        self._machine.devices.close()
        if self._events:
            self._events.end(ending)
        match ending:
            case Ending.READER_GONE | Ending.PARENT_GONE:
                return 0
            case Ending.WRITE_FAILED:
                problem = self._write_problem
                raise GputopError(f"Cannot write to stdout: {problem and problem.strerror}.")
            case Ending.SIGNAL:
                self._writer.finish_line(LAST_LINE_S)
                return 128 + self._signal
            case Ending.NOT_FOUND:
                self._writer.finish_line(LAST_LINE_S)
                raise _not_found(self._collector.not_found)
        self._writer.drain()
        if ending is Ending.RESTART:
            if self._control:
                return EXIT_START_AFRESH
            self._start_afresh()
        if not self._collector.has_devices:
            raise NoDriver(no_driver(self._collector.driver))
        return 0

    def _stopped_writing(self, problem: OSError | None) -> None:
        self._write_problem = problem
        self._collector.leave(Ending.WRITE_FAILED if problem else Ending.READER_GONE)

    def _obey_signals(self) -> None:
        """A signal that was ignored when we were started (nohup, a job in the background) stays
        ignored.
        """
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        if self._collector.ending is not None:  # already leaving, and it takes too long
            if self._events:
                self._events.hook.stop()
            os._exit(128 + number)
        self._signal = number
        self._collector.leave(Ending.SIGNAL)

    def _start_afresh(self) -> NoReturn:
        """The loaded library does not fit the new driver: only a new process can load another."""
        os.dup2(self._out, 1)
        counted = ["--counted", str(self._collector.counted)]
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:], *counted])


def _not_found(what: NotFound) -> GputopError:
    if what.nameless:
        return GputopError(f"{what}; `gputop doctor` says what works and what does not.")
    return UsageError(f"{what}; `gputop snapshot` lists its devices with their UUIDs.")


class _Events:
    """Watches the stream for events, and runs the user's command on them."""

    def __init__(self, args: argparse.Namespace) -> None:
        from gputop.actions.hooks import Hook
        from gputop.insight.alert_log import AlertLog
        from gputop.insight.rules import Thresholds
        from gputop.state.store import Store

        self.hook = Hook(args.on_event, say)
        self._store = Store()
        self._log = AlertLog(Thresholds.of(load(args)))

    def take(self, line: bytes) -> None:
        """Follow a record that was sent. Its line is read again: a backend may keep its records
        and change them.
        """
        from gputop.export.alerts import event_document, is_loud

        self._store.apply(record := decode(line, 0))
        if isinstance(record, Frame):
            self._log.update(self._store)
            for change in self._log.take_changes():
                if is_loud(change):
                    self.hook.put(event_document(change, self._store))

    def end(self, ending: Ending) -> None:
        """Let a stream that has counted to its end see its events through; else leave at once."""
        if ending is Ending.COUNTED:
            self.hook.finish(LAST_EVENTS_S)
        self.hook.stop()


def _claim_stdout() -> int:
    """A descriptor of our own for the records. Stdout itself becomes stderr, so that nothing a
    driver library prints gets between them.
    """
    if sys.stdout is None:
        raise GputopError("Stdout is closed, so there is nowhere to write the records.")
    out = os.dup(1)
    os.dup2(2, 1)
    return out


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of frames")
    return int(text)

"""What the subcommands share: their shape, and the flags that say where readings come from."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import threading
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, TextIO

from gputop.errors import EXIT_FAILED, GputopError, UsageError, unforeseen
from gputop.settings import flag_type, is_selector, seconds

if TYPE_CHECKING:
    from gputop.collect.backend import Machine

INTERVAL_LOW_S, INTERVAL_HIGH_S = 0.1, 60.0
DEMO_DEVICES, DEMO_SEED = 8, 1

interval = flag_type(seconds(INTERVAL_LOW_S, INTERVAL_HIGH_S))
"""A converter for the time between two readings."""


class Parser(argparse.ArgumentParser):
    """A parser whose errors are gputop's, and which learns how wide help is when it is asked.

    argparse makes a formatter for every flag, to see that its metavar can be told; each looks
    for the width of the terminal with shutil, which takes 0.5 MB.
    """

    def __init__(
        self, *, formatter_class: type[argparse.HelpFormatter] = argparse.HelpFormatter,
        **others: Any,
    ) -> None:  # fmt: skip
        super().__init__(formatter_class=partial(formatter_class, width=80), **others)
        self._formatter_for_people = formatter_class

    def format_help(self) -> str:
        """What `--help` prints, as wide as the terminal."""
        self.formatter_class = self._formatter_for_people
        return super().format_help()

    def error(self, message: str) -> NoReturn:
        """Say in one sentence what cannot be meant.

        Raises:
            UsageError: always.
        """
        raise UsageError(f"{message}; see `{self.prog} --help`.")

    def _print_message(self, message: str, file: object = None) -> None:
        """Print help, or the version. (argparse itself passes over what cannot be written.)"""
        print_out(message)


class Command(Protocol):
    """A module under `gputop.commands`."""

    HELP: str

    def prepare_parser(self, parser: argparse.ArgumentParser) -> None:
        """Add this subcommand's flags."""

    def run(self, args: argparse.Namespace) -> int:
        """Do it, and return the exit code."""


def add_machine_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of everything that reads a machine."""
    group = parser.add_argument_group("what is read")
    group.add_argument(
        "--interval", type=interval, default=1.0, metavar="TIME",
        help="time between readings, 0.1 to 60 seconds (default: 1)",
    )  # fmt: skip
    group.add_argument(
        "--devices", type=device_list, default=(), metavar="LIST",
        help="only these: indices, UUIDs or beginnings of UUIDs, with commas between",
    )  # fmt: skip
    group.add_argument(
        "--with-args", action="store_true",
        help="read the command lines of processes too; they can hold secrets",
    )  # fmt: skip
    add_demo_arguments(parser)


def add_demo_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags that put a simulated machine in the place of this one."""
    group = parser.add_argument_group("demo")
    group.add_argument(
        "--demo", action="store_true", help="a simulated machine instead of this one"
    )
    group.add_argument(
        "--demo-devices", type=demo_devices, default=DEMO_DEVICES, metavar="N",
        help=f"how many devices it has (default: {DEMO_DEVICES})",
    )  # fmt: skip
    group.add_argument(
        "--demo-seed", type=int, default=DEMO_SEED, metavar="S",
        help=f"the same number simulates the same machine (default: {DEMO_SEED})",
    )  # fmt: skip
    group.add_argument(
        "--demo-start", type=flag_type(seconds(0, 86_400)), default=0.0, metavar="TIME",
        help="begin so far into its simulated story, such as 90s (default: 0)",
    )  # fmt: skip


def machine_from(args: argparse.Namespace, lists_at_once: bool = False) -> Machine:
    """The machine the flags mean. Imports its backend, but asks it nothing yet.

    With `lists_at_once` a device is named before it has said who it is, for a reader who waits for
    every one and would leave without it.
    """
    from msgspec.structs import replace

    from gputop.collect.backend import Machine

    if args.demo:
        from gputop.collect.demo import demo_machine

        return demo_machine(args.demo_devices, args.demo_seed, args.demo_start)
    from gputop.collect.host import this_host
    from gputop.collect.kernel_log import KernelLog
    from gputop.collect.nvml import Deadlines, NvmlDevices

    deadlines = Deadlines.from_environment()
    if lists_at_once:
        deadlines = replace(deadlines, listed_s=0.0)
    return Machine(NvmlDevices(deadlines), this_host(), past=KernelLog())


def stream_arguments(args: argparse.Namespace) -> list[str]:
    """The flags with which `gputop stream` reads the same machine in the same way: `interval`
    (in seconds), `devices` and `with_args` of `args`, and the demo's.
    """
    flags = ["--interval", repr(args.interval)]
    if args.devices:
        flags += ["--devices", ",".join(args.devices)]
    if args.with_args:
        flags.append("--with-args")
    if args.demo:
        flags += ["--demo", "--demo-devices", str(args.demo_devices)]
        flags += ["--demo-seed", str(args.demo_seed), "--demo-start", f"{args.demo_start:f}"]
    return flags


def say(sentence: str, prefix: str = "gputop: ") -> None:
    """Tell the user something on stderr, where there is one that takes it. It may quote a file's
    name, or what stands in one: what drives a terminal is made visible.
    """
    if sys.stderr is not None:
        with contextlib.suppress(OSError):  # the exit code says it too
            print(f"{prefix}{_cleaned(sentence)}", file=sys.stderr, flush=True)


def draw(words: str) -> None:
    """Draw a line of progress on stderr, over itself. The terminal may be gone: what goes on does
    so without it.
    """
    with contextlib.suppress(OSError):
        print(f"\r{words}", end="", file=sys.stderr, flush=True)


def _cleaned(sentence: str) -> str:
    try:
        from gputop.text import clean  # only where there is something to say
    except OSError:  # there is no descriptor left to read it with
        return ascii(sentence)[1:-1]
    return clean(sentence)


def report_unforeseen(error: Exception) -> int:
    """Say what nobody foresaw; returns the exit code."""
    say(explain(error))
    return EXIT_FAILED


def explain(error: Exception) -> str:
    """The sentence about what nobody foresaw, once its traceback is printed where one is wanted."""
    if os.environ.get("GPUTOP_TRACEBACK") == "1":
        import traceback

        traceback.print_exception(error)
    return unforeseen(error)


def end_with_any_thread() -> None:
    """From now on a thread that fails ends the process, as the main thread does: the others would
    go on without what it did, and say what is not so.
    """

    def failed(what: threading.ExceptHookArgs) -> None:
        if isinstance(what.exc_value, Exception):
            os._exit(report_unforeseen(what.exc_value))

    threading.excepthook = failed


def print_out(text: str, encoding: str | None = None) -> None:
    """Write text to stdout: in stdout's own encoding, unless told, what that lacks replaced.

    Raises:
        GputopError: stdout is closed, or cannot be written to.
    """
    if sys.stdout is None:
        raise GputopError("Stdout is closed; redirect it to a file.")
    try:
        raw = text.encode(encoding or sys.stdout.encoding or "utf-8", "replace")
        write_all(sys.stdout, raw)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise GputopError(f"Cannot write to stdout: {error.strerror}.") from None


def write_all(stream: TextIO, data: bytes) -> None:
    """Write bytes to a text stream to the last one, or raise OSError. The descriptor may take a
    part and be content, and nothing where somebody else made it non-blocking: that is waited for.
    """
    stream.flush()
    raw = getattr(stream.buffer, "raw", stream.buffer)
    left = memoryview(data)
    while left:
        taken = raw.write(left)
        if taken is None:
            from gputop.collect.writer import await_room

            await_room(stream.fileno())
        else:
            left = left[taken:]


def device_list(text: str) -> tuple[str, ...]:
    """Device selectors with commas between.

    Raises:
        argparse.ArgumentTypeError: one is neither an index nor the beginning of a UUID.
    """
    selectors = tuple(part.strip() for part in text.split(",") if part.strip())
    wrong = [s for s in selectors if not is_selector(s)]
    if wrong or not selectors:
        raise argparse.ArgumentTypeError(
            f"{(wrong or [text])[0]!r} is neither an index such as 0 nor the beginning of a UUID "
            "such as GPU-8932f937"
        )
    return selectors


def demo_devices(text: str) -> int:
    """How many devices the demo has.

    Raises:
        argparse.ArgumentTypeError: it is no number from 1 to 64.
    """
    if not text.isdecimal() or not 1 <= int(text) <= 64:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to 64")
    return int(text)

"""`gputop` without a subcommand: the terminal UI."""

from __future__ import annotations

import argparse
import gc
import os
import sys

from gputop import settings
from gputop.commands.base import add_demo_arguments, stream_arguments
from gputop.errors import UsageError
from gputop.lean import import_asyncio
from gputop.sources.local import LocalSource

HELP = "show the GPUs of this machine"


def prepare_parser(parser: argparse.ArgumentParser) -> None:
    """Add the flags of the UI: one for every setting, and those of the demo."""
    settings.add_flags(parser)
    add_demo_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Run the UI until the user quits.

    Raises:
        SettingsError: the settings are broken.
        UsageError: there is no terminal to draw on.
        CollectorFailed: the collector cannot be started.
    """
    chosen = settings.load(args)  # its mistakes first: a script without a terminal can check it
    need_terminal(
        "in a pipe or a script use `gputop snapshot` for one reading or `gputop stream` for all "
        "of them."
    )
    forget_overrides()
    args.interval, args.devices = chosen.interval, chosen.devices
    args.with_args = not chosen.hide_args
    source = LocalSource(stream_arguments(args), chosen.interval)
    source.spawn()  # before Textual is imported: the two start side by side
    gc.disable()  # until the first picture: nothing that the imports make is garbage
    import_asyncio()

    from gputop.ui.run import run_app

    return run_app(source, chosen)


def need_terminal(instead: str) -> None:
    """See that there is a terminal to draw on; `instead` says what to use where there is none.

    Raises:
        UsageError: there is none, or it cannot be drawn on.
    """
    streams = (sys.stdin, sys.stdout, sys.stderr)  # None where one is closed
    if not all(stream is not None and stream.isatty() for stream in streams):
        raise UsageError(f"The screen needs a terminal; {instead}")
    if os.environ.get("TERM", "dumb") in {"dumb", ""}:
        raise UsageError(
            "This terminal (TERM=dumb) cannot be drawn on; set TERM to what the terminal is, or "
            f"{instead}"
        )


def forget_overrides() -> None:
    """Take out of the environment what Textual would believe rather than the terminal.

    An exported COLUMNS is the size of some other moment, and with it no resize is seen; one of
    99999 takes all memory. To be called before Textual is imported.
    """
    for name in list(os.environ):
        if name in {"COLUMNS", "LINES"} or name.startswith("TEXTUAL"):
            del os.environ[name]

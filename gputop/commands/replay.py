"""`gputop replay`: a recording in the screens of the live view."""

from __future__ import annotations

import argparse
import gc
import os
import sys
import time
from pathlib import Path

from gputop import settings
from gputop.commands.tui import forget_overrides, need_terminal
from gputop.lean import import_asyncio

HELP = "play a recording back"

POLL_S = 2.0
NICE = 10


def prepare_parser(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `gputop replay`: those of the UI, and where to begin."""
    parser.description = (
        "Play a recording, or the output of `gputop stream`, in the screens of the live view. "
        "One that is still being written is followed."
    )
    parser.add_argument("file", type=Path, metavar="FILE")
    parser.add_argument(
        "--at", default="", metavar="TIME",
        help="begin there: a clock time such as 14:25, or a time from the start such as 1h30m",
    )  # fmt: skip
    parser.add_argument("--marks", metavar="THRESHOLDS", help=argparse.SUPPRESS)
    settings.add_flags(parser)


def run(args: argparse.Namespace) -> int:
    """Play until the user quits.

    Raises:
        SettingsError: the settings are broken.
        UsageError: there is no terminal to draw on, or `--at` is no time.
        GputopError: the file cannot be read.
    """
    if args.marks:
        return _print_marks(args.file, args.marks)
    chosen = settings.load(args)
    need_terminal("in a pipe or a script use `gputop report`.")
    forget_overrides()
    gc.disable()  # until the first picture: nothing that the imports make is garbage
    import_asyncio()
    from gputop.sources.recording import RecordingSource

    source = RecordingSource(args.file, args.at)

    from gputop.ui.run import run_app

    return run_app(source, chosen)


def _print_marks(path: Path, thresholds: str) -> int:
    """The events of the recording, one JSON object a line, for the timeline of a replay."""
    import msgspec

    from gputop.insight.marks import MarkFinder
    from gputop.insight.rules import Thresholds
    from gputop.recording import read

    os.nice(NICE)
    finder, reader = MarkFinder(msgspec.json.decode(thresholds, type=Thresholds)), read(path)
    while True:
        for news in finder.find(reader):
            sys.stdout.buffer.write(msgspec.json.encode(news) + b"\n")
            sys.stdout.buffer.flush()
        if reader.ending is None or reader.ending.state != "growing":
            return 0
        time.sleep(POLL_S)

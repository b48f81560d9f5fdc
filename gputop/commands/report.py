"""`gputop report`: what a recording adds up to, or how two of them differ."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from gputop.commands.base import draw
from gputop.commands.reporting import (
    account_options,
    add_report_arguments,
    format_of,
    look_of,
    put,
)
from gputop.errors import GputopError, UsageError
from gputop.report.moments import Moment
from gputop.text import clean, fit, percent

if TYPE_CHECKING:
    from gputop.model.frame import AnyRecord
    from gputop.recording import Reader
    from gputop.report.account import Options
    from gputop.report.shape import Report

HELP = "tell what a recording adds up to, or compare two"

_PROGRESS_RECORDS = 200
"""How many records lie between two looks at how far it is."""
_NAME_WIDTH = 50


def prepare_parser(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `gputop report`."""
    parser.description = (
        "Tell what a recording (of `gputop record` or `gputop run -o`) adds up to: time, "
        "GPU-hours, energy, how each device was used, what held it back and what would most "
        "likely help. With two recordings, compare them side by side. Statistics are weighted "
        "by time; time without readings is left out and said."
    )
    parser.add_argument("files", nargs="+", metavar="FILE", help="a recording, or two")
    parser.add_argument("--from", dest="start", type=_moment, metavar="T",
                        help="leave out what came before: 14:05, a date, or 90s or 1h30m after "
                        "the begin")  # fmt: skip
    parser.add_argument("--to", dest="end", type=_moment, metavar="T",
                        help="leave out what came after")  # fmt: skip
    parser.add_argument("-o", "--output", metavar="FILE",
                        help="write to this new file; its suffix chooses the format")  # fmt: skip
    parser.add_argument("--force", action="store_true", help="replace a file that is there")
    add_report_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Write the report, or the comparison.

    Raises:
        UsageError: the flags do not fit together.
        SettingsError: the settings are broken.
        GputopError: a file is no recording, or cannot be read.
        ExportFailed: the output cannot be written, or is there already.
    """
    from gputop.export.files import check_new
    from gputop.report.compare import compare
    from gputop.settings import load

    if len(args.files) > 2:
        raise UsageError("Two recordings can be compared, not more; name one or two.")
    settings = load(args)
    path = Path(args.output) if args.output not in (None, "-") else None
    form = format_of(args, path)
    if path is not None:
        check_new(path, args.force)  # a long recording takes minutes
    look = look_of(settings, sys.stdout, path is not None)
    options = account_options(settings, start=args.start, end=args.end)
    reports = [_report(Path(name), replace(options, file=Path(name).name)) for name in args.files]
    if len(reports) == 1:
        page = form.page.render(reports[0], look)
    else:
        page = form.page.render_comparison(compare(reports[0], reports[1], look.units), look)
    put(page, form, path, sys.stdout, args.force)
    return 0


def _moment(text: str) -> Moment:
    try:
        return Moment.parse(text)
    except ValueError as problem:
        raise argparse.ArgumentTypeError(str(problem)) from None


def _report(path: Path, options: Options) -> Report:
    from gputop.recording import read
    from gputop.report.account import Account

    account = Account(options)
    reader, record = read(path), None
    for record in _with_progress(reader, path):
        account.add(record)
    if record is None:
        raise GputopError(f"{path} holds no record, so there is nothing to report.")
    if account.missed:
        raise GputopError(f"{path} {account.missed}.")
    if reader.ending is not None and reader.ending.sentence:
        account.note(reader.ending.sentence)
    return account.report()


def _with_progress(reader: Reader, path: Path) -> Iterator[AnyRecord]:
    """The records, with a line on the terminal that says how much of the file is read."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield from reader
        return
    name, told = fit(clean(path.name), _NAME_WIDTH), ""
    for number, record in enumerate(reader, 1):
        yield record
        if number % _PROGRESS_RECORDS == 0 and (now := percent(reader.progress)) != told:
            told = now
            draw(f"\x1b[K{name}: {told} read")
    if told:
        draw("\x1b[K")

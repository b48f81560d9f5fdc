"""`gputop snapshot`: one reading, to stdout or to a file."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from gputop.commands.base import add_machine_arguments, interval, print_out, say, stream_arguments
from gputop.errors import UsageError
from gputop.export.files import write_all
from gputop.export.formats import FORMATS, PRINTABLE, Format, Options, Part, of_suffix, part_path
from gputop.export.text_format import DEFAULT_WIDTH
from gputop.settings import load
from gputop.text import Units

HELP = "write one reading as text, JSON, CSV or OpenMetrics"

WINDOW_S = 0.25
_TABLES = {"devices": 0, "processes": 1}
"""Which part of the CSV holds which table."""


def prepare_parser(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `gputop snapshot`."""
    formats = "; ".join(f"{name}: {FORMATS[name].meaning}" for name in PRINTABLE)
    parser.description = (
        "Take two readings a short window apart, so that rates exist, and write the second. "
        "The exit code is 3 when there is no driver or no device."
    )
    parser.add_argument(
        "-o", "--output", metavar="FILE",
        help="write to this new file; its suffix chooses the format. CSV makes two: the "
        "processes go to FILE-processes.csv",
    )  # fmt: skip
    parser.add_argument("--format", choices=PRINTABLE, help=f"{formats} (default: text)")
    parser.add_argument("--force", action="store_true", help="replace a file that is there")
    parser.add_argument("--table", choices=tuple(_TABLES), help="only this table of the CSV")
    parser.add_argument(
        "--window", dest="apart_s", type=interval, default=WINDOW_S, metavar="TIME",
        help=f"time between the two readings, 0.1 to 60 seconds (default: {WINDOW_S:g})",
    )  # fmt: skip
    add_machine_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Write the snapshot.

    Raises:
        UsageError: the flags do not fit together.
        ExportFailed: the file cannot be written, or is there already.
        NoDriver: there is no driver or no device.
        CollectorFailed: the machine could not be read.
        GputopError: stdout cannot be written to.
    """
    from gputop.sources.once import read_once

    path = Path(args.output) if args.output not in (None, "-") else None
    form = _format(args, path)
    hello, frame = read_once(stream_arguments(args), args.apart_s)
    assert form.make is not None
    parts = form.make(hello, frame, _options(args, path))
    if args.table:
        parts = [Part("", parts[_TABLES[args.table]].text)]
    if path is None:
        _print(parts, form)
    else:
        _write(parts, path, args.force)
    return 0


def _format(args: argparse.Namespace, path: Path | None) -> Format:
    """The format asked for by flag, by the file's suffix or by nobody."""
    form = FORMATS[args.format] if args.format else of_suffix(path) if path else FORMATS["text"]
    if form is None:
        suffixes = ", ".join(FORMATS[name].suffixes[0] for name in PRINTABLE)
        raise UsageError(f"{path} does not say its format: add --format, or end it in {suffixes}.")
    if form.make is None:
        raise UsageError(f"Only the screen makes {form.name} files: press e there.")
    if args.table and form.name != "csv":
        raise UsageError("--table chooses a table of the CSV: add --format csv.")
    return form


def _options(args: argparse.Namespace, path: Path | None) -> Options:
    settings = load(args)
    width = DEFAULT_WIDTH if path else shutil.get_terminal_size((DEFAULT_WIDTH, 24)).columns
    units = Units(settings.temperature, settings.memory)
    return Options(with_args=args.with_args, width=width, units=units)


def _print(parts: Sequence[Part], form: Format) -> None:
    """All parts on stdout, a blank line between them."""
    # Data is UTF-8 whatever the locale; a page for people is what their terminal can show.
    print_out("\n".join(part.text for part in parts), None if form.name == "text" else "utf-8")


def _write(parts: Sequence[Part], path: Path, force: bool) -> None:
    files = [(part_path(path, part), part.text.encode()) for part in parts]
    written = write_all(files, force)
    if sys.stderr is not None and sys.stderr.isatty():
        say(f"Wrote {' and '.join(map(str, written))}.", prefix="")

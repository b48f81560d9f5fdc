"""What `gputop run` and `gputop report` share: formats, looks and where a report goes."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING, TextIO

from gputop.commands.base import say, write_all
from gputop.errors import GputopError, UsageError
from gputop.report.formats import FORMATS, Format, of_suffix

if TYPE_CHECKING:
    from pathlib import Path

    from gputop.report.account import Options
    from gputop.report.text_page import Look
    from gputop.settings import Settings


def add_report_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags that say how a report looks."""
    group = parser.add_argument_group("the report")
    group.add_argument("--format", choices=FORMATS, help="how it is written (default: text)")
    group.add_argument("--ascii", action="store_true", default=None,
                       help="draw with ASCII characters only")  # fmt: skip
    group.add_argument("--no-color", action="store_true", default=None, help="use no colour")
    group.add_argument("--config", metavar="FILE", help="read settings (prices, units) from here")


def format_of(args: argparse.Namespace, path: Path | None) -> Format:
    """The format asked for by flag, by the file's suffix or by nobody.

    Raises:
        UsageError: the file does not say it.
    """
    form = FORMATS[args.format] if args.format else of_suffix(path) if path else FORMATS["text"]
    if form is None:
        suffixes = ", ".join(form.suffixes[0] for form in FORMATS.values())
        raise UsageError(f"{path} does not say its format: add --format, or end it in {suffixes}.")
    return form


def account_options(settings: Settings, **more: object) -> Options:
    """Thresholds and prices as the settings have them."""
    from gputop.insight.rules import Thresholds
    from gputop.report.account import Options
    from gputop.report.prices import Prices
    from gputop.text import clean

    prices = Prices(
        settings.prices_gpu_hour, settings.prices_kwh, settings.prices_co2_g_per_kwh,
        clean(settings.prices_currency),
    )  # fmt: skip
    return Options(thresholds=Thresholds.of(settings), prices=prices, **more)  # type: ignore[arg-type]


def look_of(settings: Settings, stream: TextIO | None, to_file: bool) -> Look:
    """How a page is drawn where it goes to."""
    from gputop.report.text_page import DEFAULT_WIDTH, LEAST_WIDTH, Look
    from gputop.text import Units

    terminal = not to_file and stream is not None and stream.isatty()
    plain = settings.no_color or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    encoding = (stream.encoding if stream is not None and not to_file else "utf-8") or "ascii"
    width = DEFAULT_WIDTH
    if terminal:
        from shutil import get_terminal_size

        columns = get_terminal_size((DEFAULT_WIDTH, 24)).columns
        width = min(max(columns, LEAST_WIDTH), 120)
    return Look(
        width, bool(terminal and not plain),
        bool(settings.ascii) or encoding.lower().replace("-", "") != "utf8",
        Units(settings.temperature, settings.memory),
    )  # fmt: skip


def put(page: str, form: Format, path: Path | None, stream: TextIO | None, force: bool) -> None:
    """Write a page to a new file, or to a stream.

    Raises:
        ExportFailed: the file cannot be written, or is there already.
        GputopError: the stream is closed, or cannot be written to.
    """
    if path is not None:
        from gputop.export.files import write_new

        written = write_new(path, page.encode(), force)
        if sys.stderr is not None and sys.stderr.isatty():
            say(f"Wrote {written}.", prefix="")
        return
    if stream is None:
        raise GputopError("There is nowhere to write the report; name a file for it.")
    encoding = (stream.encoding or "utf-8") if form.name == "text" else "utf-8"
    try:
        write_all(stream, page.encode(encoding, "replace"))
    except BrokenPipeError:
        raise
    except OSError as error:
        raise GputopError(f"Cannot write the report: {error.strerror}.") from None

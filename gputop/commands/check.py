"""`gputop check`: health by exit status, for scripts, schedulers and people."""

from __future__ import annotations

import argparse
import shutil

from gputop.commands.base import add_machine_arguments, print_out, stream_arguments
from gputop.export.check_report import CheckReport, as_json, as_text
from gputop.insight.alert_log import AlertLog
from gputop.insight.rules import Thresholds
from gputop.model.frame import AnyRecord, Frame
from gputop.settings import flag_type, load, seconds
from gputop.state.store import Store

HELP = "say by exit status whether the devices are healthy"

WAIT_S = 12.0
"""Long enough for every warning that fails a check to be sure of itself."""
LONGEST_WAIT_S = 3600.0
MOST_BETWEEN_S, LOOKS = 1.0, 4
"""A second between two readings, and at least so many readings in a short window."""


def prepare_parser(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `gputop check`."""
    parser.description = (
        "Look at the devices for a while and print what is wrong. The exit code is 0 when they "
        "are healthy, 1 when anything is critical or a warning, 2 when the flags cannot be "
        "meant, 3 when there is no NVIDIA driver or no device. Notices are listed and do not "
        "fail. The edges are those of the settings."
    )
    parser.add_argument(
        "--wait", type=flag_type(seconds(0.1, LONGEST_WAIT_S)), default=WAIT_S, metavar="TIME",
        help=f"how long to look once every device has answered (default: {WAIT_S:g} s); what "
        "needs longer to be sure of is told as not judged",
    )  # fmt: skip
    parser.add_argument("--format", choices=("text", "json"), default="text",
                        help="text for people or json for programs (default: text)")  # fmt: skip
    add_machine_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Print what is wrong; the exit code says whether anything is.

    Raises:
        UsageError: a device was asked for that is not there.
        NoDriver: there is no driver or no device.
        CollectorFailed: the machine could not be read.
    """
    from gputop.sources.watch import watch

    store = Store()
    log = AlertLog(Thresholds.of(load(args)))

    def take(record: AnyRecord) -> None:
        store.apply(record)
        if isinstance(record, Frame):
            log.update(store)

    args.interval = max(min(MOST_BETWEEN_S, args.wait / LOOKS), 0.1)
    watch([*stream_arguments(args), "--every-tier"], args.wait, take)
    report = CheckReport(store, log, args.wait)
    width = shutil.get_terminal_size((100, 24)).columns
    if args.format == "json":
        print_out(as_json(report) + "\n", "utf-8")
    else:
        print_out(as_text(report, width) + "\n")
    return report.exit_code

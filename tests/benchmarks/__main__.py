"""`python -m tests.benchmarks`: measure, print the table, write the JSON file."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tests.benchmarks.calls import FAST, USUAL, Calls, count_calls
from tests.benchmarks.measure import SHORT_PLAN, Plan, Workplace, measure
from tests.benchmarks.report import Cell, calls_table, document, table
from tests.benchmarks.rows import ROWS, SHORT
from tests.benchmarks.tools import TOOLS
from tests.builds import compiler
from tests.link import sshd_path

CALLS_WINDOW_S = 5.0


def main() -> int:
    """Run the benchmark; returns the exit code."""
    args = _arguments()
    if compiler() is None:
        print("The benchmark needs a C compiler (cc) for the fake driver.", file=sys.stderr)
        return 1
    plan = SHORT_PLAN if args.short else Plan()
    plan = replace(plan, runs=args.runs or plan.runs)
    # Threads wait for each other's bytecode this long at most: it goes into every key's time.
    sys.setswitchinterval(0.0005)
    cells = [
        Cell(ROWS[row], tool, why_not=_why_not(row, tool))
        for row in args.rows or (SHORT if args.short else ROWS)
        for tool in ROWS[row].tools
        if tool in args.tools
    ]
    counted: dict[str, dict[str, Calls]] = {}
    with (
        tempfile.TemporaryDirectory(prefix="gputop-bench-") as folder,
        Workplace(Path(folder)) as workplace,
    ):
        _run(cells, plan, workplace)
        if not args.no_calls:
            counted = _count(args.tools, workplace)
    print(table(cells))
    for title, tools in counted.items():
        print(calls_table(tools, title))
    if args.json:
        content = json.dumps(document(cells, counted, plan), indent=1)
        Path(args.json).write_text(content + "\n", encoding="utf-8")
    return 0


def _run(cells: Sequence[Cell], plan: Plan, workplace: Workplace) -> None:
    """Row by row; in each the tools take turns, and each turn another begins."""
    for row in {cell.row.name: cell.row for cell in cells}.values():
        tools = [cell for cell in cells if cell.row is row and not cell.why_not]
        for number in range(min(plan.runs, row.runs or plan.runs)):
            for cell in tools if number % 2 == 0 else reversed(tools):
                _say(f"{row.title}: {cell.tool}, run {number + 1}")
                try:
                    cell.runs.append(measure(TOOLS[cell.tool], row, plan, workplace))
                except (AssertionError, RuntimeError) as error:
                    cell.why_not = str(error).splitlines()[0]
                    _say(str(error))


def _count(names: Sequence[str], workplace: Workplace) -> dict[str, dict[str, Calls]]:
    counted: dict[str, dict[str, Calls]] = {}
    for row in (FAST, USUAL):
        for name in names:
            if TOOLS[name].begin() is not None:
                _say(f"driver calls, {row.title}: {name}")
                calls = count_calls(TOOLS[name], row, CALLS_WINDOW_S, workplace)
                counted.setdefault(row.title, {})[name] = calls
    return counted


def _why_not(row: str, tool: str) -> str:
    if TOOLS[tool].begin() is None:
        return "not installed"
    if ROWS[row].link_bytes_per_s is not None and sshd_path() is None:
        return "no sshd (package openssh-server)"
    return ""


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--short", action="store_true", help="one run, one row, five seconds")
    parser.add_argument("--rows", nargs="+", choices=ROWS, help="default: all")
    parser.add_argument("--tools", nargs="+", choices=TOOLS, default=list(TOOLS))
    parser.add_argument("--runs", type=int, help="runs of each tool in each row (default: 5)")
    parser.add_argument("--no-calls", action="store_true", help="leave the driver calls out")
    parser.add_argument("--json", metavar="FILE", help="write everything that was measured")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())

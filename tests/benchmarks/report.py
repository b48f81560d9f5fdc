"""Medians, ratios, the table and the JSON file."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from tests.benchmarks.calls import Calls
from tests.benchmarks.keys import PATIENCE_S, percentile
from tests.benchmarks.measure import Figures, Plan
from tests.benchmarks.rows import Row
from tests.benchmarks.tools import GPUTOP, NVITOP, TOOLS


@dataclass(frozen=True)
class Column:
    """One figure: its heading, and how it is printed."""

    key: str
    heading: str
    decimals: int
    scale: float = 1.0


# fmt: off
COLUMNS = (
    Column("first_s",       "first s",   2),
    Column("cpu_percent",   "CPU %",     2),
    Column("device_tick_ms", "dev-tick", 2),
    Column("wakeups_per_s", "wakes/s",   1),
    Column("bytes_per_s",   "kB/s",      2, 1e-3),
    Column("writes_per_s",  "writes/s",  1),
    Column("rss_mb",        "RSS MB",    1),
    Column("pss_mb",        "PSS MB",    1),
    Column("rss_charts_mb", "+charts",   1),
    Column("key_p50_s",     "key p50",   0, 1e3),
    Column("key_p99_s",     "p99 ms",    0, 1e3),
    Column("link_s",        "link ms",   0, 1e3),
    Column("age_s",         "age s",     1),
    Column("age_max_s",     "age max",   1),
)
# fmt: on


@dataclass
class Cell:
    """All runs of one tool in one row."""

    row: Row
    tool: str
    runs: list[Figures] = field(default_factory=list)
    why_not: str = ""
    """Why it was not measured."""

    def figures(self) -> dict[str, float]:
        """The median of each column; key latencies are those of all runs together."""
        found: dict[str, float] = {}
        for column in COLUMNS:
            values = [run.values[column.key] for run in self.runs if column.key in run.values]
            if values:
                found[column.key] = statistics.median(values)
        if "cpu_percent" in found:
            device_ticks_per_s = self.row.devices / self.row.interval_s
            found["device_tick_ms"] = found["cpu_percent"] * 10 / device_ticks_per_s
        keys = [latency for run in self.runs for latency in run.key_s]
        if keys:
            found["key_p50_s"] = percentile(keys, 0.5)
            found["key_p99_s"] = percentile(keys, 0.99)
        return found


def ratios(ours: Mapping[str, float], theirs: Mapping[str, float]) -> dict[str, float]:
    """Ours divided by theirs, where both are there."""
    return {key: ours[key] / theirs[key] for key in ours if theirs.get(key)}


def table(cells: Sequence[Cell]) -> str:
    """The table, with gputop's ratio to nvitop under each pair."""
    lines = [_line("", "", [column.heading for column in COLUMNS])]
    by_row: dict[str, dict[str, Cell]] = {}
    for cell in cells:
        by_row.setdefault(cell.row.name, {})[cell.tool] = cell
    for tools in by_row.values():
        title = next(iter(tools.values())).row.title
        for name, cell in tools.items():
            if cell.runs:
                lines.append(_line(title, name, _words(cell.figures())))
            else:
                lines.append(f"{title:27} {name:8} {cell.why_not}")
            title = ""
        if GPUTOP.name in tools and NVITOP.name in tools and tools[NVITOP.name].runs:
            ratio = ratios(tools[GPUTOP.name].figures(), tools[NVITOP.name].figures())
            words = [f"{ratio[c.key]:.2f}" if c.key in ratio else "–" for c in COLUMNS]
            lines.append(_line("", "ratio", words))
    return "\n".join(lines)


def calls_table(counted: Mapping[str, Calls], title: str) -> str:
    """Driver calls, with the functions called most."""
    lines = [f"driver calls, {title}: per device in its middle tick, and per device and second"]
    for name, calls in counted.items():
        most = ", ".join(f"{symbol} {n:g}" for symbol, n in list(calls.symbols.items())[:6])
        lines.append(f"  {name:8} {calls.per_tick:5.1f} {calls.per_device_s:7.1f}   {most}, ...")
    return "\n".join(lines)


def document(
    cells: Sequence[Cell], counted: Mapping[str, Mapping[str, Calls]], plan: Plan
) -> dict[str, Any]:
    """Everything that was measured, for a JSON file."""
    peers = {cell.row.name: cell.figures() for cell in cells if cell.tool == NVITOP.name}
    return {
        "machine": {
            "cpus": os.cpu_count(), "kernel": platform.release(),
            "python": platform.python_version(), "load": os.getloadavg(),
        },
        "versions": {name: tool.version() for name, tool in TOOLS.items()},
        "plan": asdict(plan),
        "rows": [
            {
                "row": cell.row.name, "title": cell.row.title, "tool": cell.tool,
                "why_not": cell.why_not, "median": cell.figures(),
                "ratio_to_nvitop": ratios(cell.figures(), peers.get(cell.row.name, {})),
                "runs": [asdict(run) for run in cell.runs],
            }
            for cell in cells
        ],
        "calls": {
            title: {name: asdict(calls) for name, calls in tools.items()}
            for title, tools in counted.items()
        },
    }  # fmt: skip


def _words(figures: Mapping[str, float]) -> list[str]:
    return [_word(column, figures.get(column.key)) for column in COLUMNS]


def _word(column: Column, value: float | None) -> str:
    if value is None:
        return "–"
    lost = column.key.startswith("key_") and value >= PATIENCE_S
    return "lost" if lost else f"{value * column.scale:.{column.decimals}f}"


def _line(title: str, tool: str, words: Sequence[str]) -> str:
    return f"{title:27} {tool:8}" + "".join(f"{word:>9}" for word in words)

"""A report in Markdown, as GitHub renders it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import groupby

from gputop.report import words
from gputop.report.compare import Comparison, unmatched
from gputop.report.shape import Chart, DeviceReport, Report
from gputop.report.text_page import Look, spark

_CHART_CELLS = 40
_SPECIAL = re.compile(r"([\\`*_\[\]#!|~@$]|(?<=www)\.|:(?=//))")
"""What begins markup, a mention, a reference or a link within a line."""


def escape(text: str) -> str:
    """Text of others that must not be taken for markup, a mention or a link."""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _SPECIAL.sub(r"\\\1", text)


def render(report: Report, look: Look | None = None) -> str:
    """The whole document, with a newline at its end."""
    look = look or Look()
    blocks = [
        f"# {escape(words.title(report))}",
        escape(" · ".join(filter(None, [words.outcome(report), *words.heading(report)]))),
        f"**{words.SIMULATED}**" if report.simulated else "",
        _table(("", ""), [(row.label, row.value) for row in words.summary(report, look.units)]),
        _changes(report),
        *(_device(device, look) for device in report.devices if device.used),
        _events(report),
        _processes(report, look),
        *(f"*{escape(note)}*" for note in report.notes),
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]], numbers: bool = False) -> str:
    lines = [_line(heads), "|" + "|".join(
        " ---: " if numbers and place else " --- " for place in range(len(heads))
    ) + "|"]  # fmt: skip
    lines += [_line(row) for row in rows]
    return "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(escape(cell) for cell in cells) + " |"


def _changes(report: Report) -> str:
    if not report.changes:
        return ""
    lines = [f"{n}. {escape(words.change(change, report.devices))}"
             for n, change in enumerate(report.changes, 1)]  # fmt: skip
    return "## What would most likely shorten it\n\n" + "\n".join(lines)


def _device(device: DeviceReport, look: Look) -> str:
    parts = [f"## {escape(words.device_title(device))}"]
    if said := words.coverage(device):
        parts.append(f"*{escape(said.capitalize())}.*")
    rows = words.statistics(device, look.units)
    if rows:
        heads = ("", *words.STATISTIC_HEADS)
        parts.append(_table(heads, [(row.label, *row.cells) for row in rows], numbers=True))
    if chart := device.charts.get("gpu_utilization"):
        parts.append(_chart(chart))
    if tenths := words.tenths(device):
        shares = [words.tenth(share) for _, share in tenths]
        parts.append(_table(("utilisation in %", *(name for name, _ in tenths)),
                            [("of time in %", *shares)], numbers=True))  # fmt: skip
    facts = [f"- **{fact.label}** {escape(fact.value)}" for fact in words.facts(device, look.units)]
    parts.append("\n".join(facts))
    return "\n\n".join(part for part in parts if part)


def _chart(chart: Chart) -> str:
    """In a block of code, where all cells are as wide."""
    return f"```text\nutilisation {spark(chart, _CHART_CELLS)}\n```"


def _events(report: Report) -> str:
    if not report.events:
        return ""
    rows = []
    for event in report.events:
        row = words.event(event)
        rows.append((row.label, event.severity, row.value))
    return "## Events\n\n" + _table(("after", "severity", "what"), rows)


def _processes(report: Report, look: Look) -> str:
    if not report.processes:
        return ""
    rows = [words.process(process, report, look.units) for process in report.processes]
    star = " (\\* of this job)" if report.job else ""
    return f"## Processes{star}\n\n" + _table(words.PROCESS_HEADS, rows)


def render_comparison(two: Comparison, look: Look | None = None) -> str:
    """Two reports side by side."""
    blocks = ["# Comparison"]
    sides = [
        (letter, words.title(report), words.outcome(report), " · ".join(words.heading(report)))
        for letter, report in (("A", two.a), ("B", two.b))
    ]
    blocks.append(_table(("", "what", "ended", "where and when"), sides))
    if two.a.simulated or two.b.simulated:
        blocks.append(f"**{words.SIMULATED}**")
    for device, rows in groupby(two.differences, key=lambda found: found.device):
        blocks.append(f"## {escape(device or 'The whole run')}")
        cells = [(row.label, *row.shown) for row in rows]
        blocks.append(_table(("", "A", "B", "change"), cells, numbers=True))
    if note := unmatched(two):
        blocks.append(f"*{escape(note)}*")
    return "\n\n".join(blocks) + "\n"

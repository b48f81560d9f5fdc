"""A report for a terminal: from 60 columns up, with colour or without, in Unicode or ASCII."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from gputop.export.table import Column, lay_out
from gputop.report import words
from gputop.report.compare import Comparison, unmatched
from gputop.report.shape import Chart, DeviceReport, Report
from gputop.text import ASCII_BLOCKS, BLOCKS, DEFAULT_UNITS, Units, display_width, fit, to_ascii

LEAST_WIDTH, DEFAULT_WIDTH = 60, 80
_SHOWN = {
    "gpu_utilization": "util", "memory_used_bytes": "memory", "power_w": "power",
    "temperature_c": "temp", "sm_clock_mhz": "SM clock", "sm_activity": "SM active",
    "tensor_activity": "tensor", "dram_activity": "DRAM",
}  # fmt: skip
"""The metrics of a device's table; the other pages show all that a report has."""
_LABEL, _CELL = 14, 10
_RANKS = {"THERE": 1, "SM TIME": 2}
"""Columns of the processes that give way where there is little room, the higher first."""
_BEFORE_UNIT = re.compile(r"(?<=\d) (?=(?:%|°?[A-Za-z]{1,3})(?![A-Za-z]))")
_COLOURS = {"critical": "1;31", "warning": "33", "notice": ""}


@dataclass(frozen=True, slots=True)
class Look:
    """How it is drawn."""

    width: int = DEFAULT_WIDTH
    colour: bool = False
    ascii_only: bool = False
    units: Units = DEFAULT_UNITS

    def paint(self, text: str, code: str) -> str:
        """Text in an SGR colour, where there is colour."""
        return f"\x1b[{code}m{text}\x1b[0m" if self.colour and code else text


def render(report: Report, look: Look | None = None) -> str:
    """The whole page, with a newline at its end."""
    look = look or Look()
    blocks = [
        _head(report, look),
        _changes(report, look),
        *(_device(device, look) for device in report.devices if device.used),
        _unused(report, look),
        _events(report, look),
        _processes(report, look),
        _notes(report, look),
    ]
    page = "\n\n".join("\n".join(block) for block in blocks if block) + "\n"
    return to_ascii(page) if look.ascii_only else page


def _head(report: Report, look: Look) -> list[str]:
    name = look.paint(fit(words.title(report), look.width - 24), "1")
    said = [part for part in (name, words.outcome(report)) if part]
    lines = [" · ".join(said), *_hanging(" · ".join(words.heading(report)), look, "")]
    if report.simulated:
        lines.append(look.paint(words.SIMULATED, "33"))
    lines.append("")
    rows = words.summary(report, look.units)
    label = max((len(row.label) for row in rows), default=0) + 2
    for row in rows:
        lines += _hanging(row.value, look, row.label.ljust(label))
    return lines


def _hanging(text: str, look: Look, label: str, code: str = "2") -> list[str]:
    """Text behind a label, wrapped under itself."""
    room = max(look.width - len(label), 20)
    whole = _BEFORE_UNIT.sub("\xa0", text)  # a number stays beside its unit
    wrapped = textwrap.wrap(whole, room, break_on_hyphens=False) or [""]
    parts = [part.replace("\xa0", " ") for part in wrapped]
    first = look.paint(label, code) + parts[0]
    return [first, *(" " * len(label) + part for part in parts[1:])]


def _title(text: str, look: Look, right: str = "") -> str:
    text = fit(text, look.width - display_width(right) - 5)
    rule = look.width - display_width(text) - display_width(right) - (4 if right else 1)
    line = look.paint("─" * max(rule, 1) + (f" {right} ─" if right else ""), "2")
    return f"{look.paint(text, '1')} {line}"


def _changes(report: Report, look: Look) -> list[str]:
    if not report.changes:
        return []
    lines = [_title("What would most likely shorten it", look)]
    for number, change in enumerate(report.changes, 1):
        lines += _hanging(words.change(change, report.devices), look, f"{number}. ", "1")
    return lines


def _device(device: DeviceReport, look: Look) -> list[str]:
    lines = [_title(words.device_title(device), look, words.coverage(device))]
    rows = [row for row in words.statistics(device, look.units) if row.metric in _SHOWN]
    if rows:
        heads = "".join(head.rjust(_CELL) for head in words.STATISTIC_HEADS)
        lines.append(look.paint(" " * _LABEL + heads, "2"))
    room = look.width - _LABEL - 4 * _CELL - 2
    for row in rows:
        cells = "".join(cell.rjust(_CELL) for cell in row.cells)
        chart = device.charts.get(row.metric)
        drawn = "  " + spark(chart, room, look.ascii_only) if chart and room >= 10 else ""
        label = look.paint(_SHOWN[row.metric].ljust(_LABEL), "2")
        lines.append(f"{label}{cells}{look.paint(drawn.rstrip(), '36')}")
    lines += _tenths(device, look)
    before = ""
    for fact in words.facts(device, look.units):
        label = "" if fact.label == before else fact.label
        before = fact.label
        lines += _hanging(fact.value, look, label.ljust(_LABEL))
    return lines


def _tenths(device: DeviceReport, look: Look) -> Iterator[str]:
    found = words.tenths(device)
    if found is None:
        return
    cells = (look.width - _LABEL) // len(found)
    head = "".join(name.rjust(cells - 1) + " " for name, _ in found).rstrip()
    shares = "".join(_share(share).rjust(cells - 1) + " " for _, share in found).rstrip()
    yield look.paint("util in %".ljust(_LABEL) + head, "2")
    yield look.paint("of time in %".ljust(_LABEL), "2") + shares


def _share(share: float) -> str:
    return words.tenth(share) if share else "."


def spark(chart: Chart, width: int, ascii_only: bool = False) -> str:
    """A chart in one line of `width` cells; a blank is time without a reading."""
    marks = ASCII_BLOCKS if ascii_only else BLOCKS
    columns = squeeze(chart, width)
    full = chart.full or max((value for value in columns if value is not None), default=0) or 1
    top = len(marks) - 1
    return "".join(
        marks[0] if value is None else marks[min(max(round(value / full * top), 1), top)]
        for value in columns
    )


def squeeze(chart: Chart, width: int) -> list[float | None]:
    """Its columns in at most `width`, by mean or peak as the chart is."""
    values = chart.values
    if len(values) <= width:
        return list(values)
    squeezed: list[float | None] = []
    for number in range(width):
        part = values[number * len(values) // width : (number + 1) * len(values) // width]
        known = [value for value in part if value is not None]
        if not known:
            squeezed.append(None)
        else:
            squeezed.append(max(known) if chart.aggregate == "peak" else sum(known) / len(known))
    return squeezed


def _unused(report: Report, look: Look) -> list[str]:
    unused = [d for d in report.devices if not d.used and d.parent is None]
    if not unused:
        return []
    names = ", ".join(words.place(device) for device in unused)
    by = "by this job" if report.job else "by anybody"
    return _hanging(f"GPU {names}", look, f"Not used {by}: ")


def _events(report: Report, look: Look) -> list[str]:
    if not report.events:
        return []
    lines = [_title("Events", look)]
    rows = [(event, words.event(event)) for event in report.events]
    label = max(len(row.label) for _, row in rows)
    for event, row in rows:
        head = f"{row.label.rjust(label)}  {event.severity:<8}  "
        lines += _hanging(row.value, look, head, _COLOURS[event.severity])
    return lines


def _processes(report: Report, look: Look) -> list[str]:
    if not report.processes:
        return []
    rows = [words.process(process, report, look.units) for process in report.processes]
    last = len(words.PROCESS_HEADS) - 1
    columns: list[Column[Sequence[str]]] = [
        Column(head, _cell(number), _RANKS.get(head, 0), number == last)
        for number, head in enumerate(words.PROCESS_HEADS)
    ]
    table = lay_out(columns, rows, look.width)
    star = " (* of this job)" if report.job else ""
    return [_title(f"Processes{star}", look), *table.lines]


def _cell(number: int) -> Callable[[Sequence[str], bool], str]:
    return lambda row, _: row[number]


def _notes(report: Report, look: Look) -> list[str]:
    return [line for note in report.notes for line in _hanging(note, look, "Note  ")]


# --- Two reports --------------------------------------------------------------------------------


def render_comparison(two: Comparison, look: Look | None = None) -> str:
    """Two reports side by side, with a newline at the end."""
    look = look or Look()
    lines = []
    for letter, report in (("A", two.a), ("B", two.b)):
        said = [words.title(report), words.outcome(report), *words.heading(report)]
        lines += _hanging(" · ".join(filter(None, said)), look, f"{letter}  ", "1")
    if two.a.simulated or two.b.simulated:
        lines.append(look.paint(words.SIMULATED, "33"))
    for device, rows in groupby(two.differences, key=lambda found: found.device):
        lines += ["", _title(device or "The whole run", look)]
        lines.append(look.paint(" " * 32 + "".join(h.rjust(15) for h in ("A", "B", "change")), "2"))
        for row in rows:
            cells = "".join(cell.rjust(15) for cell in row.shown)
            lines.append(look.paint(fit(row.label, 31).ljust(32), "2") + cells)
    if note := unmatched(two):
        lines += ["", *_hanging(note, look, "Note  ")]
    page = "\n".join(lines) + "\n"
    return to_ascii(page) if look.ascii_only else page

"""A report as one HTML file: its charts are inline SVG, and it asks the network for nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape
from itertools import groupby

from gputop import text
from gputop.model.metrics import BY_NAME
from gputop.report import words
from gputop.report.compare import Comparison, pair_title, pairs, unmatched
from gputop.report.shape import Chart, DeviceReport, EventReport, Report
from gputop.report.text_page import Look
from gputop.text import Units

_WIDTH, _HEIGHT = 480, 84
"""Of a chart, in its own units; it is stretched to the room there is."""
_BARS_WIDTH, _BARS_HEIGHT = 320, 74
"""Of the histogram, which holds text and keeps its shape."""
_CHARTS = ("gpu_utilization", "memory_used_bytes", "power_w", "temperature_c", "sm_clock_mhz")

_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
"""Whatever a name may have got past the escapes, it can neither run nor load anything."""

_STYLE = """
:root { color-scheme: light dark; --ink: #1c2127; --dim: #5d6773; --line: #d8dde3; --back: #fff;
  --card: #f6f8fa; --accent: #2f7d32; --fill: #2f7d3226; --bad: #b3261e; --warn: #8a5a00; }
@media (prefers-color-scheme: dark) { :root { --ink: #e3e7eb; --dim: #98a2ad; --line: #343b43;
  --back: #14181c; --card: #1b2025; --accent: #7cc47f; --fill: #7cc47f2b; --bad: #ff8a80;
  --warn: #f0b955; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem 1.25rem 4rem; max-width: 68rem; background: var(--back);
  color: var(--ink); font: 15px/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { margin: 0; font-size: 1.6rem; } h2 { margin: 2.2rem 0 .6rem; font-size: 1.15rem; }
.sub, .sub * { color: var(--dim); margin: .2rem 0 0; }
.sim { display: inline-block; margin-top: .6rem; padding: .1rem .6rem; border: 1px solid
  var(--warn); border-radius: 4px; color: var(--warn); font-weight: 600; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .25rem 1.2rem; margin: 1.2rem 0; }
dt { color: var(--dim); } dd { margin: 0; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .6rem; border-bottom: 1px solid var(--line); text-align: left;
  vertical-align: top; }
th { color: var(--dim); font-weight: 500; }
.num td + td, .num th + th { text-align: right; white-space: nowrap; }
table { overflow-wrap: break-word; } td:last-child { overflow-wrap: anywhere; }
.wide { overflow-x: auto; } .events td:first-child { white-space: nowrap; }
section { margin-top: 1.4rem; padding: .2rem 1.2rem 1.2rem; border: 1px solid var(--line);
  border-radius: 8px; background: var(--card); }
section h2 { margin-top: .9rem; display: flex; flex-wrap: wrap; gap: 0 1rem;
  justify-content: space-between; align-items: baseline; }
section h2 small { color: var(--warn); font-weight: 400; }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(17rem, 1fr)); gap: 1rem;
  margin: .8rem 0; }
.two { grid-template-columns: repeat(auto-fit, minmax(17rem, 1fr)); }
figure { margin: 0; min-width: 0; }
figcaption { display: flex; justify-content: space-between; gap: 1rem;
  color: var(--dim); font-size: .85rem; }
svg { display: block; width: 100%; height: auto; }
.area { fill: var(--fill); } .line { fill: none; stroke: var(--accent); stroke-width: 1.6;
  vector-effect: non-scaling-stroke; stroke-linejoin: round; }
.frame { fill: none; stroke: var(--line); vector-effect: non-scaling-stroke; }
.bar { fill: var(--accent); } .axis { fill: var(--dim); font-size: 11px; }
.critical { color: var(--bad); font-weight: 600; } .warning { color: var(--warn); }
.notice { color: var(--dim); } .note { color: var(--dim); font-style: italic; }
ol { padding-left: 1.4rem; } ol li { margin-bottom: .4rem; }
@media (max-width: 34rem) { body { padding: 1rem .7rem 2rem; font-size: 14px; }
  section { padding: .1rem .7rem .7rem; } th, td { padding: .2rem .25rem; }
  table { font-size: 12px; } .num td, .num th { padding: .2rem .15rem; }
  dl { gap: .25rem .8rem; } }
@media print { body { max-width: none; padding: 0; font-size: 12px; } h2 { break-after: avoid; }
  section, figure, tr { break-inside: avoid; } .wide { overflow: visible; }
  * { print-color-adjust: exact; } }
"""


def render(report: Report, look: Look | None = None) -> str:
    """The whole document."""
    units = (look or Look()).units
    subtitle = [words.outcome(report), *words.heading(report)]
    body = [
        f"<h1>{_safe(words.title(report))}</h1>",
        f'<p class="sub">{_safe(" · ".join(filter(None, subtitle)))}</p>',
        _simulated(report.simulated),
        _pairs(words.summary(report, units)),
        _changes(report),
        *(_device(device, units) for device in report.devices if device.used),
        _host(report, units),
        _events(report.events),
        _processes(report, units),
        *(f'<p class="note">{_safe(note)}</p>' for note in report.notes),
    ]
    return _document(f"{words.title(report)}: GPU report", body)


def _document(title: str, body: Iterable[str]) -> str:
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_safe(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(part for part in body if part)
        + "\n</body>\n</html>\n"
    )


def _safe(text: str) -> str:
    return escape(text, quote=True)


def _simulated(simulated: bool) -> str:
    return f'<p class="sim">{_safe(words.SIMULATED)}</p>' if simulated else ""


def _pairs(rows: Iterable[words.Row]) -> str:
    cells = "".join(f"<dt>{_safe(row.label)}</dt><dd>{_safe(row.value)}</dd>\n" for row in rows)
    return f"<dl>\n{cells}</dl>" if cells else ""


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]], kind: str = "") -> str:
    head = "".join(f"<th>{_safe(cell)}</th>" for cell in heads)
    lines = "\n".join(
        "<tr>" + "".join(f"<td>{_safe(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f'<div class="wide"><table class="{kind}">\n<tr>{head}</tr>\n{lines}\n</table></div>'


def _changes(report: Report) -> str:
    if not report.changes:
        return ""
    items = "\n".join(
        f"<li>{_safe(words.change(change, report.devices))}</li>" for change in report.changes
    )
    return f"<h2>What would most likely shorten it</h2>\n<ol>\n{items}\n</ol>"


def _device(device: DeviceReport, units: Units) -> str:
    said = words.coverage(device)
    note = f"<small>{_safe(said)}</small>" if said else ""
    rows = words.statistics(device, units)
    parts = [
        f"<section>\n<h2>{_safe(words.device_title(device))}{note}</h2>",
        _figures(device, units),
        _table(("", *words.STATISTIC_HEADS), [(row.label, *row.cells) for row in rows], "num")
        if rows
        else "",
        _pairs(words.facts(device, units)),
        "</section>",
    ]
    return "\n".join(part for part in parts if part)


def _figures(device: DeviceReport, units: Units) -> str:
    figures = []
    for name in _CHARTS:
        if (found := device.charts.get(name)) is not None:
            metric, statistic = BY_NAME[name], device.statistics[name]
            mean, _, _, most = words.cells(name, statistic, units)
            top = text.value(metric, _full(found), units)
            figures.append(_figure(found, metric.label, f"{mean} mean, {most} max", top))
    if tenths := words.tenths(device):
        figures.append(
            f"<figure>\n<figcaption><span>Time by utilisation in %</span></figcaption>\n"
            f"{_histogram(tenths)}\n</figure>"
        )
    return f'<div class="charts">\n{"".join(figures)}</div>' if figures else ""


def _figure(chart: Chart, label: str, said: str, top: str, span_s: float | None = None) -> str:
    """A chart with what it is, what its upper edge stands for, and the time it shows."""
    span_s = span_s or _span_s(chart)
    return (
        f"<figure>\n<figcaption><span>{_safe(label)}</span><span>{_safe(said)}</span></figcaption>"
        f"\n{_drawing(chart, label, span_s)}\n<figcaption><span>0</span>"
        f"<span>full height {_safe(top)}</span><span>{_safe(text.duration(span_s))}</span>"
        "</figcaption>\n</figure>\n"
    )


def _full(chart: Chart) -> float:
    """What the upper edge stands for: the limit, unless something was above it."""
    known = [value for value in chart.values if value is not None]
    return max([chart.full or 0.0, *known]) or 1.0


def _span_s(chart: Chart) -> float:
    return len(chart.values) * chart.width_s


def _drawing(chart: Chart, label: str, span_s: float) -> str:
    """A chart: an area under a line; where nothing was read there is neither."""
    full, step = _full(chart), _WIDTH * chart.width_s / span_s
    shapes = []
    for start, run in _runs(chart.values):
        points = []
        for number, value in enumerate(run, start):
            y = _HEIGHT - value / full * (_HEIGHT - 4) - 2
            points += [(number * step, y), ((number + 1) * step, y)]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        left, right = points[0][0], points[-1][0]
        shapes.append(
            f'<polygon class="area" points="{left:.1f},{_HEIGHT} {line} {right:.1f},{_HEIGHT}"/>'
            f'<polyline class="line" points="{line}"/>'
        )
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" preserveAspectRatio="none" role="img" '
        f'aria-label="{_safe(label)} over {_safe(text.duration(span_s))}">'
        f'<rect class="frame" x="0" y="0" width="{_WIDTH}" height="{_HEIGHT}"/>'
        f"{''.join(shapes)}</svg>"
    )


def _runs(values: Sequence[float | None]) -> Iterator[tuple[int, list[float]]]:
    """Stretches without a gap, each with the number of its first column."""
    run: list[float] = []
    for number, value in enumerate([*values, None]):
        if value is not None:
            run.append(value)
        elif run:
            yield number - len(run), run
            run = []


def _histogram(tenths: Sequence[tuple[str, float]]) -> str:
    room, top = _BARS_WIDTH / len(tenths), _BARS_HEIGHT - 30
    most = max(share for _, share in tenths) or 1.0
    bars = []
    for number, (name, share) in enumerate(tenths):
        tall = share / most * top
        middle = (number + 0.5) * room
        bars.append(
            f'<rect class="bar" x="{number * room + 4:.1f}" y="{top + 14 - tall:.1f}" '
            f'width="{room - 8:.1f}" height="{tall:.1f}"/>'
            f'<text class="axis" x="{middle:.1f}" y="{_BARS_HEIGHT - 3}" text-anchor="middle">'
            f"{_safe(name)}</text>"
        )
        if share:
            bars.append(
                f'<text class="axis" x="{middle:.1f}" y="{top + 10 - tall:.1f}" '
                f'text-anchor="middle">{_safe(words.tenth(share))}%</text>'
            )
    return (
        f'<svg viewBox="0 0 {_BARS_WIDTH} {_BARS_HEIGHT}" role="img" '
        f'aria-label="Histogram of utilisation">'
        f"{''.join(bars)}</svg>"
    )


def _host(report: Report, units: Units) -> str:
    host = report.host
    figures = []
    if host.cpu is not None and (cpu := host.charts.get("cpu_utilization")):
        said = f"{text.percent(host.cpu.mean)} mean, {text.percent(host.cpu.maximum)} max"
        figures.append(_figure(cpu, "CPU", said, text.percent(_full(cpu))))
    used = host.memory_used_bytes
    if used is not None and (memory := host.charts.get("memory_used_bytes")):
        pair = text.bytes_pair(used.maximum, host.memory_total_bytes, units)
        figures.append(_figure(memory, "Memory", f"{pair} max", text.size(_full(memory), units)))
    if not figures:
        return ""
    return f'<section>\n<h2>Host</h2>\n<div class="charts">\n{"".join(figures)}</div>\n</section>'


def _events(found: Sequence[EventReport]) -> str:
    if not found:
        return ""
    rows = []
    for event in found:
        row = words.event(event)
        rows.append(
            f'<tr><td>{_safe(row.label)}</td><td class="{event.severity}">{event.severity}</td>'
            f"<td>{_safe(row.value)}</td></tr>"
        )
    return (
        '<h2>Events</h2>\n<div class="wide"><table class="events">\n<tr><th>after</th>'
        "<th>severity</th><th>what</th></tr>\n" + "\n".join(rows) + "\n</table></div>"
    )


def _processes(report: Report, units: Units) -> str:
    if not report.processes:
        return ""
    star = " (* of this job)" if report.job else ""
    rows = [words.process(process, report, units) for process in report.processes]
    return f"<h2>Processes{star}</h2>\n{_table(words.PROCESS_HEADS, rows)}"


def render_comparison(two: Comparison, look: Look | None = None) -> str:
    """Two reports side by side, with the charts of utilisation on one scale of time."""
    body = ["<h1>Comparison</h1>"]
    sides = [
        words.Row(letter, " · ".join(filter(None, [
            words.title(report), words.outcome(report), *words.heading(report)])))
        for letter, report in (("A", two.a), ("B", two.b))
    ]  # fmt: skip
    body += [_pairs(sides), _simulated(two.a.simulated or two.b.simulated)]
    charts = {pair_title(*both): _both(*both) for both in pairs(two.a, two.b)}
    for device, rows in groupby(two.differences, key=lambda found: found.device):
        cells = [(row.label, *row.shown) for row in rows]
        body.append(f"<section>\n<h2>{_safe(device or 'The whole run')}</h2>")
        body.append(charts.get(device or "", ""))
        body.append(_table(("", "A", "B", "change"), cells, "num"))
        body.append("</section>")
    if note := unmatched(two):
        body.append(f'<p class="note">{_safe(note)}</p>')
    return _document("GPU report: comparison", body)


def _both(ours: DeviceReport, theirs: DeviceReport) -> str:
    """Utilisation of a device in both runs; the shorter one fills a part of the width."""
    name = "gpu_utilization"
    found = [
        (letter, device.charts[name], device.statistics[name])
        for letter, device in (("A", ours), ("B", theirs))
        if name in device.charts
    ]
    span_s = max((_span_s(chart) for _, chart, _ in found), default=0.0)
    figures = [
        _figure(
            chart, f"{letter}: {BY_NAME[name].label}", f"{text.percent(statistic.mean)} mean",
            text.percent(_full(chart)), span_s,
        )
        for letter, chart, statistic in found
    ]  # fmt: skip
    return f'<div class="charts two">\n{"".join(figures)}</div>' if figures else ""

"""The words of the charts: every chart's value, a chart's legend, and what time is shown."""

from __future__ import annotations

from textual.strip import Strip

from gputop import text
from gputop.ui.device.charts import Chart, charts_of
from gputop.ui.device.look import Look
from gputop.ui.device.plan import Line, Plan
from gputop.ui.widgets.line import Line as Row


def values(look: Look, chosen: Chart, width: int) -> Strip:
    """The device, and every chart's newest value; the chosen chart stands out."""
    palette, device = look.palette, look.device
    index = "?" if device.info.index is None else device.info.index
    row = Row(width).add(f" GPU {index} ", palette.style(device.severity or "strong", bold=True))
    for chart in charts_of(device):
        value = device.value(chart.main.name)
        said = text.value(chart.main.metric, value.value, look.units, tight=True)
        if row.room < text.display_width(f" {chart.short} {said} "):
            break
        if chart is chosen:
            badge = palette.alert("accent")
            style = badge if look.focused else palette.style("strong", "selection", bold=True)
            row.add(f" {chart.short} {said} ", style)
        else:
            old = value.reason is not None or not device.ok
            row.add(f" {chart.short} ", palette.style("dim"))
            row.add(f"{said} ", palette.style("faint" if old else "text"))
    return row.strip(palette.style("text"))


def legend(look: Look, plan: Plan, chosen: bool, width: int, most: int) -> list[Strip]:
    """The title, each line's name and value at the cursor or now, and the thresholds; in at most
    `most` rows.
    """
    palette = look.palette
    plain, dim = palette.style("text"), palette.style("dim")
    title = palette.style("accent" if chosen else "strong", bold=True)
    rows = [Row(width).add(f" {plan.title}", title)]
    for line in plan.named:
        mark = line.mark or look.plain("━")
        value = _value(look, line, with_range=True)
        if rows[-1].room <= (wide := _width(mark, line, value)):
            value = _value(look, line, with_range=False)
            wide = _width(mark, line, value)
        if rows[-1].room <= wide and len(rows) < most:
            rows.append(Row(width).add(" ", plain))
        if rows[-1].room <= wide:
            rows[-1].add(f" {look.glyphs.ellipsis}", dim)
            break
        style = look.style(line.role)
        named = style if line.stands_out else dim
        rows[-1].add("  ", plain)
        if mark != line.word:  # a device's mark may be its index
            rows[-1].add(f"{mark} ", style)
        rows[-1].add(f"{line.word} ", named)
        rows[-1].add(value, plain)
    for word, metric, limit, role in plan.limits:
        said = f"{word} {text.value(metric, limit, look.units)}"
        if rows[-1].room > text.display_width(said) + 4:
            rows[-1].add("  ", plain).add(look.plain("─ "), look.style(role)).add(said, dim)
    return [row.strip(plain) for row in rows]


def _width(mark: str, line: Line, value: str) -> int:
    """Cells that a line takes in the legend."""
    return text.display_width(f"  {mark} {line.word} {value}")


def _value(look: Look, line: Line, with_range: bool) -> str:
    """A line's value at the cursor, where asked with the lowest and highest; or the newest."""
    metric = line.trail.metric
    if look.cursor is None and look.following:
        if line.device.reading.status == "lost":
            return "lost"
        value = line.device.value(metric.name)
        return text.value(metric, value.value if value.current else None, look.units)
    span = line.trail.at(look.here)
    if span is None:
        return "no reading"
    said = text.value(metric, span.by(metric.aggregate), look.units)
    low, high = (text.value(metric, v, look.units, True) for v in (span.low, span.high))
    return f"{said} ({low} to {high})" if with_range and line.spread and low != high else said


def status(look: Look, width: int, ours: bool) -> Strip:
    """What time is shown, what held the device back in it, and whether the charts are our own."""
    palette, stretch = look.palette, look.stretch
    dim = palette.style("dim")
    row = Row(width).add(" ", dim)
    if look.cursor is not None:
        row.add(f" {look.clock(look.here)} ", palette.alert("accent"))
        row.add(f" {text.age(look.view.now - look.here)}; End goes back to now", dim)
        around = (look.here - stretch.step_s / 2, look.here + stretch.step_s / 2)
    else:
        around = (stretch.start, min(stretch.end, look.view.now))
        span = "–".join(map(look.clock, around))
        if look.following:
            row.add("live", palette.style("good", bold=True)).add(f"  {span}", dim)
        else:
            row.add("the past", palette.style("notice", bold=True))
            row.add(f"  {span}; End goes back to now", dim)
    worst = look.device.worst(*around)
    if worst is not None:
        reason, share = worst
        severity = reason.severity or "notice"
        said = f"{look.glyphs.severity(severity)} {reason.label} {text.percent(share)}"
        if row.room > text.display_width(said) + 3:
            row.add("   ", dim).add(said, palette.style(severity))
    if ours:
        row.add("   plain charts: plotext cannot be used here", palette.style("notice"))
    return row.strip(palette.style("text"))

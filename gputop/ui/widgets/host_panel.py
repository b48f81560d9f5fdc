"""The host beside its GPUs: CPU with its own chart, busiest core, pressure, load, memory."""

from __future__ import annotations

from rich.segment import Segment
from textual.strip import Strip

from gputop import text
from gputop.model.metrics import Aggregate
from gputop.state.store import host_memory
from gputop.state.windows import Columns, Window
from gputop.ui.charts.blocks import sparkline, strip_of_cores
from gputop.ui.view import View
from gputop.ui.widgets.base import LineWidget, blank
from gputop.ui.widgets.line import Line
from gputop.ui.widgets.panes import EDGES, LABEL_WIDTH, VALUE_WIDTH

PANEL_ROWS = 4


class HostPanel(LineWidget):
    """One row, or four with a border."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._view = View()
        self._cpu, self._memory = Columns(), Columns()

    def show(self, view: View) -> None:
        """Take the newest view and draw it."""
        self._view = view
        self.repaint()

    def draw(self, width: int, height: int) -> list[Strip]:
        """The panel where it has its four rows, else the line."""
        if height >= PANEL_ROWS:
            return self._panel(width, height)
        return [self._line(width)] + [blank(width, self.palette)] * (height - 1)

    # --- the words -------------------------------------------------------------------------------

    def _facts(self, short: bool) -> list[str]:
        """Everything that is known beside the charts, most telling first."""
        host = self._view.host
        facts = []
        if host.cores:
            facts.append(f"{'max' if short else 'busiest core'} {text.percent(max(host.cores))}")
        limits = host.container
        if limits and limits.cpu_throttled is not None:
            facts.append(f"throttled {text.percent(limits.cpu_throttled)}")
        if host.iowait is not None:
            facts.append(f"{'io' if short else 'iowait'} {text.percent(host.iowait)}")
        facts += self._pressure(short)
        if host.load_1 is not None:
            loads = (host.load_1, host.load_5, host.load_15)[: 1 if short else 3]
            facts.append("load " + " ".join(f"{load:.1f}" for load in loads if load is not None))
        if host.swap_total_bytes:
            pair = text.bytes_pair(host.swap_used_bytes, host.swap_total_bytes,
                                   self.gputop.units, True)  # fmt: skip
            facts.append(f"swap {pair}")
        return facts

    def _cpu_text(self) -> str:
        """The load; in a container the cores it uses of its quota."""
        host = self._view.host
        limits = host.container
        if limits and limits.cpu_quota_cores:
            used = limits.cpu_used_cores
            words = text.NO_VALUE if used is None else f"{used:.1f}"
            return f"{words}/{limits.cpu_quota_cores:g} cores"
        return text.percent(host.cpu_utilization)

    def _pressure(self, short: bool) -> list[str]:
        pressure = self._view.host.pressure
        parts = [
            f"{word} {text.percent(value)}"
            for word, value in (("cpu", pressure.cpu_some), ("mem", pressure.memory_some),
                                ("io", pressure.io_some))
            if value is not None
        ]  # fmt: skip
        return [("psi " if short else "pressure ") + " ".join(parts)] if parts else []

    def _title(self) -> str:
        info = self._view.host_info
        if info is None:
            return "cpu"
        parts = ["cpu"]
        if info.cpu_count:
            parts.append(f"{info.cpu_count} cores")
        if info.cpu_model:
            parts.append(text.clean(info.cpu_model))
        if info.container:
            parts.append(f"in {text.clean(info.container)}")
        return f" {self.gputop.glyphs.dot} ".join(parts)

    # --- the two forms ---------------------------------------------------------------------------

    def _line(self, width: int) -> Strip:
        palette, app, host = self.palette, self.gputop, self._view.host
        dim, plain = palette.style("dim"), palette.style("text")
        chart = 10 if width < 90 else 20 if width < 140 else 40
        line = Line(width)
        line.add(" cpu ", dim).add(f"{self._cpu_text():>5} ", plain)
        line.extend(self._chart("cpu_utilization", chart, 1.0), chart)
        used, total = host_memory(host)
        memory = f"  mem {text.bytes_pair(used, total, app.units, True)}"
        for number, fact in enumerate(self._facts(short=True)):
            piece = f"  {fact}"
            if number and len(piece) + len(memory) > line.room:
                break
            line.add(piece, plain if number == 0 else dim)
        line.add(memory, plain)
        return line.strip(plain)

    def _panel(self, width: int, height: int) -> list[Strip]:
        palette, glyphs, host = self.palette, self.gputop.glyphs, self._view.host
        edge = palette.style("border")
        up = f"up {text.duration(host.uptime_s)}" if host.uptime_s is not None else ""
        top = Line(width).add(glyphs.corners[0] + glyphs.dash + " ", edge)
        top.add(text.fit(self._title(), width - len(up) - 10), palette.style("text"))
        top.add(" ", edge).until(width - len(up) - 4, edge, glyphs.dash)
        if up:
            top.add(f" {up} ", palette.style("dim"))
        top.until(width - 1, edge, glyphs.dash).add(glyphs.corners[1], edge)
        used, total = host_memory(host)
        rows = [
            top.strip(edge),
            self._row(width, "cpu", self._cpu_text(), "cpu_utilization", 1.0,
                      cores=True),
            self._row(width, "mem", text.bytes_pair(used, total, self.gputop.units),
                      "memory_used_bytes", float(total or 1), cores=False),
        ]  # fmt: skip
        bottom = Line(width).add(glyphs.corners[2], edge)
        bottom.until(width - 1, edge, glyphs.dash).add(glyphs.corners[3], edge)
        rows.append(bottom.strip(edge))
        return rows + [blank(width, palette)] * (height - len(rows))

    def _row(
        self, width: int, label: str, value: str, metric: str, full: float, cores: bool
    ) -> Strip:
        palette, glyphs = self.palette, self.gputop.glyphs
        edge, dim, plain = palette.style("border"), palette.style("dim"), palette.style("text")
        left = 2 + LABEL_WIDTH + VALUE_WIDTH + 1
        chart = max((width - left) // 2 - 2, 8)
        line = Line(width).add(glyphs.bar + " ", edge).add(f"{label:<{LABEL_WIDTH}}", dim)
        line.add(value, plain).until(left, plain)
        line.extend(self._chart(metric, chart, full), chart).add("  ", plain)
        room = width - left - chart - EDGES
        if cores:
            line.add("cores ", dim)
            found = self._view.host.cores or []
            cells = min(len(found), room - 6) if len(found) <= room - 6 else room - 6
            segments = strip_of_cores(found, max(cells, 1), palette, self.gputop.ascii)
            line.extend(segments, sum(len(s.text) for s in segments))
        else:
            dot = f" {glyphs.dot} "
            said = ""
            for fact in self._facts(short=room < 70):
                joined = said + dot + fact if said else fact
                if len(joined) <= room:
                    said = joined
            line.add(said, dim)
        return line.until(width - 2, plain).add(" " + glyphs.bar, edge).strip(edge)

    def _chart(self, metric: str, cells: int, full: float) -> list[Segment]:
        view = self._view
        window = Window.over(self.gputop.window_s, cells, view.now, view.period_s)
        kept = self._cpu if metric == "cpu_utilization" else self._memory
        columns = kept.get(view.host_history, metric, window)
        aggregate: Aggregate = "mean" if metric == "cpu_utilization" else "peak"
        return sparkline(columns, full, metric, aggregate, self.palette, self.gputop.ascii)

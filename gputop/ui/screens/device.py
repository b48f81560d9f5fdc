"""One device: its charts over time, everything it says of itself, and its processes."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container
from textual.widget import Widget

from gputop.ui.device.facts import Facts
from gputop.ui.device.keys import CHART_KEYS, DEVICE_SCREEN_KEYS
from gputop.ui.device.panel import ChartPanel
from gputop.ui.keys import HERE_TOO, Key, bindings
from gputop.ui.processes.table import TABLE_KEYS, ProcessTable
from gputop.ui.screens.base import ViewScreen
from gputop.ui.view import View
from gputop.ui.widgets.footer import Footer, window_text
from gputop.ui.widgets.header import Header
from gputop.ui.widgets.notice import Notice

WIDE = (120, 30)
"""Columns and rows from which charts, text and processes are all in view."""
LOW = 20
"""Rows below which only the part that has the focus is in view."""
TABLE_ROWS = 8
"""Rows of the process table at the most, where everything is in view."""


class DeviceScreen(ViewScreen):
    """Charts, text and processes: together where there is room, else one at a time with Tab."""

    DEFAULT_CSS = """
    DeviceScreen > #body { height: 1fr; width: 1fr; layout: horizontal; }
    DeviceScreen #charts { width: 1fr; height: 1fr; }
    DeviceScreen #facts { width: 58; height: 1fr; }
    DeviceScreen #device-processes { width: 1fr; height: 6; }
    DeviceScreen.narrow > #body { layout: vertical; }
    DeviceScreen.narrow #charts { height: 3fr; }
    DeviceScreen.narrow #facts { width: 1fr; height: 2fr; }
    """
    BINDINGS: ClassVar[list[BindingType]] = bindings(DEVICE_SCREEN_KEYS)
    keys = (*DEVICE_SCREEN_KEYS, *CHART_KEYS, *TABLE_KEYS)

    def __init__(self, uuid: str) -> None:
        super().__init__()
        self.uuid = uuid
        self.charts = ChartPanel()
        self.facts = Facts()
        self.table = ProcessTable(id="device-processes")
        self.footer = Footer((*DEVICE_SCREEN_KEYS, *CHART_KEYS, *HERE_TOO), id="footer")

    def focus_for(self, key: Key) -> None:
        """The charts or the process table."""
        if key in CHART_KEYS:
            self._give_focus(self.charts)
        elif key in TABLE_KEYS:
            self._give_focus(self.table)

    @property
    def copyable(self) -> tuple[str, str] | None:
        """The device's UUID; in the process list the PID."""
        key = self.table.cursor_key
        if self.table.has_focus and key is not None:
            return str(key.process.pid), "PID"
        return self.uuid, "UUID"

    def compose(self) -> ComposeResult:
        """Header, charts and text, processes, footer."""
        yield Header(id="header")
        yield Notice(id="notice")
        with Container(id="body"):
            yield self.charts
            yield self.facts
        yield self.table
        yield self.footer

    def on_mount(self) -> None:
        """Show what there is."""
        self.charts.focus()
        self._arrange()
        self.show(self.gputop.view)

    def on_resize(self) -> None:
        """Choose what is in view."""
        self._arrange()

    @property
    def _parts(self) -> tuple[Widget, ...]:
        """In the order of Tab."""
        return self.charts, self.table, self.facts

    def _arrange(self) -> None:
        """Everything in view; or the charts and one part below them; or one part alone."""
        width, height = self.size
        wide = width >= WIDE[0] and height >= WIDE[1]
        focused = next((part for part in self._parts if part is self.focused), self.charts)
        self.set_class(not wide, "narrow")
        self.charts.display = wide or height >= LOW or focused is self.charts
        self.facts.display = wide or focused is self.facts or (
            height >= LOW and focused is self.charts)  # fmt: skip
        self.table.display = wide or focused is self.table
        rows = min(self.table.row_count + 1, TABLE_ROWS)
        self.query_one("#body").display = self.charts.display or self.facts.display
        if wide:
            self.table.styles.height = rows
        else:
            self.table.styles.height = "1fr" if height < LOW else max(height * 2 // 5 - 1, 5)

    def draw_view(self, view: View) -> None:
        """Charts, text, processes, and the charts' window."""
        device = next((d for d in view.devices if d.info.uuid == self.uuid), None)
        self.charts.show(device, view)
        self.facts.device, self.facts.view = device, view
        self.facts.reload()
        another, self.table.device = self.table.device != self.uuid, self.uuid
        self.table.load(view.processes, view)
        if another:
            self.table.model.forget_lost()  # the process under the cursor is on another device
            self.table.repaint()
        self._arrange()
        self.footer.show(window_text(self.gputop.window_s))

    def action_part(self, step: int) -> None:
        """The next part takes the keys."""
        parts = self._parts
        here = next((n for n, part in enumerate(parts) if part is self.focused), 0)
        self._give_focus(parts[(here + step) % len(parts)])

    def _give_focus(self, part: Widget) -> None:
        part.display = True  # what is not in view cannot take the focus
        if part is self.facts:
            self.query_one("#body").display = True
        self.set_focus(part)  # at once: the next key may be another Tab
        self.call_after_refresh(self._arrange)

    def action_back(self) -> None:
        """First back to now and to the device's own charts."""
        if not (self.charts.has_focus and self.charts.reset()):
            super().action_back()

    def action_other(self, step: int) -> None:
        """The device before or after this one."""
        uuids = [d.info.uuid for d in self.gputop.view.devices]
        if self.uuid in uuids:
            self.uuid = uuids[(uuids.index(self.uuid) + step) % len(uuids)]
            self.show(self.gputop.view)

    def action_peers(self) -> None:
        """The same metric of every device."""
        self.charts.toggle_peers()

    def action_pair(self) -> None:
        """Another metric over the chart's first."""
        self.charts.next_pair()

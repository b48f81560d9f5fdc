"""The overview: host, every device, the process table."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.strip import Strip

from gputop.text import ELLIPSIS
from gputop.ui.charts.layout import SMALLEST
from gputop.ui.keys import APP_KEYS, DEVICE_KEYS, OVERVIEW_KEYS, Key, bindings
from gputop.ui.processes.table import TABLE_KEYS, ProcessTable
from gputop.ui.screens.base import ViewScreen
from gputop.ui.view import View
from gputop.ui.widgets.base import LineWidget, blank
from gputop.ui.widgets.device_grid import DeviceGrid
from gputop.ui.widgets.filter_bar import FilterBar
from gputop.ui.widgets.footer import Footer, window_text
from gputop.ui.widgets.header import Header
from gputop.ui.widgets.host_panel import PANEL_ROWS, HostPanel
from gputop.ui.widgets.line import Line
from gputop.ui.widgets.notice import Notice

PANEL_FROM = (80, 30)
"""Columns and rows from which the host has its panel of four rows."""


def too_small(width: int, height: int) -> tuple[str, ...]:
    """What is said in so many columns and rows: the most that fits whole."""
    needed = f"{SMALLEST[0]}x{SMALLEST[1]}"
    forms = (
        (f"gputop needs {needed}", f"this is {width}x{height}"),
        (f"gputop needs {needed}",),
        (f"needs {needed}",),
        ("too small", needed),
        ("too small",),
        (needed,),
    )
    fitting = (f for f in forms if len(f) <= height and max(map(len, f)) <= width)
    return next(fitting, (ELLIPSIS,))


class TooSmall(LineWidget):
    """What a terminal too small for the overview shows instead."""

    def draw(self, width: int, height: int) -> list[Strip]:
        """The size it needs, in the middle."""
        palette = self.palette
        said = too_small(width, height)
        strips = [blank(width, palette) for _ in range(height)]
        top = (height - len(said)) // 2
        for number, words in enumerate(said, top):
            line = Line(width).gap((width - len(words)) // 2, palette.style("text"))
            strips[number] = line.add(words, palette.style("text")).strip(palette.style("text"))
        return strips


class Devices(DeviceGrid):
    """The device grid with its keys."""

    BINDINGS: ClassVar[list[BindingType]] = bindings(DEVICE_KEYS)

    def action_move(self, right: int, down: int) -> None:
        """Move the cursor."""
        self.move(right, down)

    def action_open(self) -> None:
        """Open the device under the cursor."""
        if self.current is not None:
            self.post_message(self.Opened(self.current.info.uuid))


class OverviewScreen(ViewScreen):
    """Host line, one pane per device, process table, footer."""

    DEFAULT_CSS = """
    OverviewScreen > ProcessTable { height: 1fr; }
    """

    BINDINGS: ClassVar[list[BindingType]] = bindings(OVERVIEW_KEYS)
    keys = (*OVERVIEW_KEYS, *TABLE_KEYS, *DEVICE_KEYS)

    def __init__(self) -> None:
        super().__init__(id="overview")
        self.header = Header(id="header")
        self.notice = Notice(id="notice")
        self.host = HostPanel(id="host")
        self.devices = Devices(id="devices")
        self.filter_bar = FilterBar(id="filter")
        self.table = ProcessTable(id="processes")
        self.footer = Footer((*APP_KEYS, *OVERVIEW_KEYS, *TABLE_KEYS), id="footer")
        self.too_small = TooSmall(id="too-small")
        self.too_small.display = self.filter_bar.display = False
        self._arranged_for: tuple[int, ...] = ()

    def focus_for(self, key: Key) -> None:
        """The devices or the table."""
        if key in TABLE_KEYS:
            self.table.focus()
        elif key in DEVICE_KEYS:
            self.devices.focus()

    @property
    def copyable(self) -> tuple[str, str] | None:
        """The UUID or PID under the cursor."""
        device, key = self.devices.current, self.table.cursor_key
        if self.devices.has_focus:
            return (device.info.uuid, "UUID") if device else None
        return (str(key.process.pid), "PID") if key else None

    def compose(self) -> ComposeResult:
        """From top to bottom."""
        yield self.header
        yield self.notice
        yield self.host
        yield self.devices
        yield self.filter_bar
        yield self.table
        yield self.footer
        yield self.too_small

    def on_mount(self) -> None:
        """Show what there is already."""
        self.table.focus()
        self.show(self.gputop.view)

    def on_resize(self) -> None:
        """Choose the forms anew."""
        self.show(self.gputop.view)

    def draw_view(self, view: View) -> None:
        """Choose the forms, then draw them."""
        self._arrange(view)
        self.devices.show(view)
        self.table.load(view.processes, view)
        self.host.show(view)
        self.footer.show(window_text(self.gputop.window_s))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """While a filter is typed its key is text."""
        return not (action == "filter" and self.filter_bar.typing)

    def action_filter(self) -> None:
        """Open the filter bar."""
        self.filter_bar.open(self.table.filter_text)
        self._arrange(self.gputop.view)

    def on_filter_bar_changed(self, message: FilterBar.Changed) -> None:
        """Filter while typing."""
        self.table.set_filter(message.filter)

    def on_filter_bar_kept(self, message: FilterBar.Kept) -> None:
        """Back to the table, with the filter."""
        self._close_filter()

    def on_filter_bar_cleared(self, message: FilterBar.Cleared) -> None:
        """Back to the table, without the filter."""
        self.table.filter_text = ""
        self._close_filter()

    def _close_filter(self) -> None:
        self.filter_bar.display = False
        self.table.focus()
        self._arrange(self.gputop.view)

    def _arrange(self, view: View) -> None:
        """Give host and devices their rows; the table has the rest."""
        width, height = self.size
        wanted = len(view.processes) + 1  # filtering must not move the devices
        panel = width >= PANEL_FROM[0] and height >= PANEL_FROM[1]
        host_rows = PANEL_ROWS if panel else 1
        extra = self.notice.rows + (self.filter_bar.size.height or 2) * self.filter_bar.display
        rows = height - self.header.rows - 1 - extra - host_rows
        device_rows = self.devices.plan(len(view.devices), width, rows, wanted)
        small = width < SMALLEST[0] or height < SMALLEST[1]
        arranged = (width, height, host_rows, device_rows, small)
        if arranged == self._arranged_for:
            return
        self._arranged_for = arranged
        self.host.styles.height = host_rows
        self.devices.styles.height = device_rows
        for part in (self.header, self.host, self.devices, self.table, self.footer):
            part.display = not small
        self.too_small.styles.height = height
        self.too_small.display = small

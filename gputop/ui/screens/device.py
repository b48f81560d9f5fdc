"""One device: tall charts, and everything it says of itself."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal
from textual.strip import Strip

from gputop.state.windows import Window
from gputop.ui.charts.layout import TALLEST_CHART, pane_height
from gputop.ui.device.facts import Facts
from gputop.ui.keys import HERE_TOO, Key, bindings
from gputop.ui.screens.base import ViewScreen
from gputop.ui.view import DeviceView, View
from gputop.ui.widgets.base import LineWidget, blank
from gputop.ui.widgets.footer import Footer, window_text
from gputop.ui.widgets.header import Header
from gputop.ui.widgets.notice import Notice
from gputop.ui.widgets.panes import ChartBook, chart_width, pane

DEVICE_SCREEN_KEYS: tuple[Key, ...] = (
    Key("back", "escape", "Esc", "back", "Back to the screen before.", "Device screen", footer=1,
        palette=False),
    Key("other(-1)", "left,h", "←, h", "previous", "The device before.", "Device screen",
        footer=2, palette=False),
    Key("other(1)", "right,l", "→, l", "next", "The device after.", "Device screen", footer=3,
        palette=False),
)  # fmt: skip


class Charts(LineWidget):
    """The device's pane, as tall as there is room."""

    def __init__(self) -> None:
        super().__init__(id="charts")
        self.device: DeviceView | None = None
        self.view = View()
        self._book = ChartBook()

    def draw(self, width: int, height: int) -> list[Strip]:
        """The pane."""
        if self.device is None:
            return [blank(width, self.palette)] * height
        app, view = self.gputop, self.view
        window = Window.over(app.window_s, chart_width(width), view.now, view.period_s)
        pen = self._book.pen(app, view)
        tallest = max(TALLEST_CHART, height // 4)
        rows = next((r for r in range(tallest, 0, -1) if pane_height(r) <= height), 1)
        drawn = [Strip(s, width) for s in pane(self.device, pen, window, width, rows, False)]
        return (drawn + [blank(width, self.palette)] * height)[:height]


class DeviceScreen(ViewScreen):
    """Charts beside facts; one above the other where it is narrow."""

    DEFAULT_CSS = """
    DeviceScreen > #body { height: 1fr; width: 1fr; }
    DeviceScreen #charts { width: 3fr; height: 1fr; }
    DeviceScreen #facts { width: 2fr; height: 1fr; min-width: 56; }
    DeviceScreen.narrow > #body { layout: vertical; }
    DeviceScreen.narrow #charts { width: 1fr; height: 6; }
    DeviceScreen.narrow #facts { width: 1fr; min-width: 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = bindings(DEVICE_SCREEN_KEYS)

    def __init__(self, uuid: str) -> None:
        super().__init__()
        self.uuid = uuid

    @property
    def copyable(self) -> tuple[str, str] | None:
        """The device's UUID."""
        return self.uuid, "UUID"

    def compose(self) -> ComposeResult:
        """Header, charts and facts, footer."""
        yield Header(id="header")
        yield Notice(id="notice")
        with Horizontal(id="body"):
            yield Charts()
            yield Facts()
        yield Footer((*DEVICE_SCREEN_KEYS, *HERE_TOO), id="footer")

    def on_mount(self) -> None:
        """Show what there is."""
        self.query_one(Facts).focus()
        self.show(self.gputop.view)

    def on_resize(self) -> None:
        """Side by side only where both have room."""
        self.set_class(self.size.width < 120, "narrow")

    def draw_view(self, view: View) -> None:
        """Charts, facts, and the charts' window."""
        device = next((d for d in view.devices if d.info.uuid == self.uuid), None)
        charts, facts = self.query_one(Charts), self.query_one(Facts)
        charts.device, charts.view = device, view
        facts.device, facts.view = device, view
        charts.repaint()
        facts.reload()
        self.query_one(Footer).show(window_text(self.gputop.window_s))

    def action_other(self, step: int) -> None:
        """The device before or after this one."""
        uuids = [d.info.uuid for d in self.gputop.view.devices]
        if self.uuid in uuids:
            self.uuid = uuids[(uuids.index(self.uuid) + step) % len(uuids)]
            self.show(self.gputop.view)

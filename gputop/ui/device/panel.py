"""The charts of the device screen as a widget: which are shown, their time, their cursor."""

from __future__ import annotations

from collections.abc import Hashable
from typing import ClassVar, Literal

from rich.segment import Segment
from textual import events
from textual.binding import BindingType
from textual.message import Message
from textual.strip import Strip

from gputop.model.nvml_tables import EventReason
from gputop.ui.device.axes import AXIS_CELLS
from gputop.ui.device.charts import CHARTS, Chart, Trace, charts_of
from gputop.ui.device.drafter import Drafter
from gputop.ui.device.figure import AXIS_ROWS, Figure, Picture
from gputop.ui.device.keys import CHART_KEYS
from gputop.ui.device.legend import legend, status, values
from gputop.ui.device.look import Look
from gputop.ui.device.overlay import coloured, laid_over, throttled
from gputop.ui.device.plan import Book, Plan, of_device, of_pair, of_peers
from gputop.ui.device.timeline import DOTS, Stretch, Timeline
from gputop.ui.keys import bindings
from gputop.ui.view import DeviceView, View
from gputop.ui.widgets.base import LineWidget, blank

Mode = Literal["own", "peers", "pair"]

TILE_WIDTH = 62
"""Cells of a chart from which two stand side by side."""
TILE_HEIGHT = 9
"""Rows of a chart, its legend included, from which two stand one above the other."""
EDGE_ROWS = 2
"""Rows above and below the charts: every chart's value, and what time is shown."""
PEER_DOTS = 0.5
"""Points to a column where every device has its line: a mean over more time is a calmer line."""
GAP = 2
"""Cells between charts side by side."""


class ChartPanel(LineWidget, can_focus=True):
    """The charts of one device, as many as fit; of the chosen one, also other views."""

    BINDINGS: ClassVar[list[BindingType]] = bindings(CHART_KEYS)

    class Drawn(Message):
        """A picture came from the drafter's thread."""

        def __init__(self, place: Hashable, picture: Picture) -> None:
            super().__init__()
            self.place, self.picture = place, picture

    def __init__(self) -> None:
        super().__init__(id="charts")
        self.device: DeviceView | None = None
        self.view = View()
        self.timeline = Timeline()
        self.chosen = CHARTS[0]
        self.enlarged = False
        self.mode: Mode = "own"
        self._over = 0
        self._book = Book()
        self._drafter = Drafter(self._take)
        self._asked: dict[Hashable, object] = {}
        self._waiting: dict[Hashable, Figure] = {}
        self._pictures: dict[Hashable, Picture] = {}
        self._strips_of: dict[Hashable, tuple[Picture, str, list[Strip]]] = {}
        self._stretch: Stretch | None = None
        self._marks: tuple[object, dict[int, EventReason]] = (None, {})

    # -- what others use -----------------------------------------------------------------------

    def show(self, device: DeviceView | None, view: View) -> None:
        """Draw a device as it is in a view."""
        if device is None or self.device is None or device.info.uuid != self.device.info.uuid:
            self._asked.clear()
            self._waiting.clear()
            self._pictures.clear()
            self._strips_of.clear()
        self.device, self.view = device, view
        self.repaint()

    @property
    def settled(self) -> bool:
        """True when every chart that was asked for is on the screen."""
        return not self._waiting

    def plain(self) -> bool:
        """True when a picture is our own drawing, since plotext cannot be used."""
        return any(picture.plain for picture in self._pictures.values())

    def reset(self) -> bool:
        """Back to now, or else to the device's own charts; False when there was nothing to do."""
        if not self.timeline.following:
            self.timeline.follow()
        elif self.mode != "own":
            self.mode = "own"
        else:
            return False
        self.repaint()
        return True

    def toggle_peers(self) -> None:
        """The chosen chart's metric of every device, or the device's own charts."""
        self.mode = "own" if self.mode == "peers" else "peers"
        self.repaint()

    def next_pair(self) -> None:
        """Lay the next metric over the chosen chart's; after the last, none."""
        others = self._others()
        if not others:
            self.notify("There is no second metric to lay over.", severity="warning")
            return
        self._over = self._over + 1 if self.mode == "pair" else 0
        self.mode = "own" if self._over >= len(others) else "pair"
        self.repaint()

    def _others(self) -> list[Trace]:
        """What can be laid over the chosen chart."""
        if self.device is None:
            return []
        return [chart.main for chart in charts_of(self.device) if chart is not self._chart()]

    # -- drawing -------------------------------------------------------------------------------

    def draw(self, width: int, height: int) -> list[Strip]:
        """Every chart's value, the charts, and what time they show."""
        if self.device is None or height <= EDGE_ROWS or width <= 2 * AXIS_CELLS:
            return [blank(width, self.palette)] * height
        rows, columns, shown = self._layout(width, height - EDGE_ROWS)
        tile = (width - GAP * (columns - 1)) // columns
        axes = 2 if self.mode == "pair" else 1
        self._stretch = self.timeline.stretch(
            self.gputop.window_s, max(tile - axes * AXIS_CELLS, 1), self.view.now,
            self.view.period_s, PEER_DOTS if self.mode == "peers" else DOTS,
        )  # fmt: skip
        look = self._look(self._stretch)
        strips = [values(look, self._chart(), width)]
        for row in range(rows):
            tall = (height - 1 - len(strips)) // (rows - row)
            tiles = [
                self._tile(chart, look, tile, tall)
                for chart in shown[row * columns : (row + 1) * columns]
            ]
            strips += [self._beside(parts, width) for parts in zip(*tiles, strict=True)]
        strips += [blank(width, self.palette)] * (height - 1 - len(strips))
        return [*strips[: height - 1], status(look, width, self.plain())]

    def _chart(self) -> Chart:
        """The chosen chart, where the device has it."""
        charts = charts_of(self.device) if self.device else CHARTS
        return self.chosen if self.chosen in charts else charts[0]

    def _layout(self, width: int, height: int) -> tuple[int, int, tuple[Chart, ...]]:
        """Rows and columns of charts, and which: those around the chosen one."""
        assert self.device is not None
        charts, chart = charts_of(self.device), self._chart()
        if self.enlarged or self.mode != "own":
            return 1, 1, (chart,)
        columns = max(min((width + GAP) // (TILE_WIDTH + GAP), len(charts)), 1)
        rows = max(min(height // TILE_HEIGHT, -(-len(charts) // columns)), 1)
        place = charts.index(chart)
        first = max(min(place // columns - rows + 1, -(-len(charts) // columns) - rows), 0)
        return rows, columns, charts[first * columns : (first + rows) * columns]

    def _beside(self, parts: tuple[Strip, ...], width: int) -> Strip:
        plain = self.palette.style("text")
        segments: list[Segment] = []
        used = 0
        for number, part in enumerate(parts):
            if number:
                segments.append(Segment(" " * GAP, plain))
                used += GAP
            segments += part
            used += part.cell_length
        return Strip([*segments, Segment(" " * (width - used), plain)], width)

    def _look(self, stretch: Stretch) -> Look:
        assert self.device is not None
        app, timeline = self.gputop, self.timeline
        return Look(
            app.palette, app.glyphs, app.units, app.ascii, self.has_focus, self.view, self.device,
            stretch, timeline.cursor, timeline.following,
        )  # fmt: skip

    def _plan(self, chart: Chart, look: Look) -> Plan:
        """What a chart is about now."""
        given = (look.device, look.stretch, self.view, self._book, look.with_marks)
        if self.mode == "peers":
            return of_peers(chart, *given)
        # A replay may go back to before the device had a second chart.
        if self.mode == "pair" and (others := self._others()):
            return of_pair(chart, others[self._over % len(others)], *given)
        return of_device(chart, *given)

    def _tile(self, chart: Chart, look: Look, width: int, height: int) -> list[Strip]:
        """A legend and its chart in so many rows."""
        plan = self._plan(chart, look)
        chosen = chart is self._chart() and self.has_focus
        strips = legend(look, plan, chosen, width, max(height - TILE_HEIGHT + 1, 1))
        rows = height - len(strips)
        if rows <= AXIS_ROWS:
            return (strips + [blank(width, self.palette)] * height)[:height]
        place = (look.device.info.uuid, self.mode, chart.title)
        asked = (look.stretch, plan.key, width, rows, look.units, look.with_marks)
        if self._asked.get(place) != asked:
            self._asked[place] = asked
            figure = plan.figure(self.view, look.units, width, rows)
            self._waiting[place] = figure
            self._drafter.ask(place, figure)
        picture = self._pictures.get(place)
        if picture is None or (picture.figure.width, picture.figure.height) != (width, rows):
            return [*strips, *[blank(width, self.palette)] * rows]
        marks = {} if self.mode == "peers" else self._throttled(look)
        return strips + laid_over(self._coloured(place, picture, look), picture.figure, look, marks)

    def _coloured(self, place: Hashable, picture: Picture, look: Look) -> list[Strip]:
        """The picture in the theme's colours, made once."""
        kept = self._strips_of.get(place)
        if kept is None or kept[0] is not picture or kept[1] != look.palette.name:
            kept = (picture, look.palette.name, coloured(picture, look))
            self._strips_of[place] = kept
        return kept[2]

    def _throttled(self, look: Look) -> dict[int, EventReason]:
        """The marks of the time axis, the same for every chart."""
        key = (look.stretch, look.device.info.uuid, int(self.view.now // look.stretch.step_s))
        if self._marks[0] != key:
            self._marks = (key, throttled(look))
        return self._marks[1]

    def on_unmount(self) -> None:
        """Nothing is drawn for a screen that is gone."""
        self._drafter.close()

    def _take(self, place: Hashable, picture: Picture) -> None:
        """Called in the drafter's thread."""
        self.post_message(self.Drawn(place, picture))

    # -- keys ----------------------------------------------------------------------------------

    def on_chart_panel_drawn(self, message: Drawn) -> None:
        """Show a picture; a newer one of the same place may be on its way."""
        if self._waiting.get(message.place) is message.picture.figure:
            del self._waiting[message.place]
        self._pictures[message.place] = message.picture
        self.repaint()

    def action_cursor(self, steps: int) -> None:
        """Move the cursor by columns."""
        if self._stretch is not None:
            self.timeline.move(steps, self._stretch)
            self.repaint()

    def action_page(self, pages: float) -> None:
        """Scroll by windows."""
        if self._stretch is not None:
            self.timeline.page(pages, self._stretch)
            self.repaint()

    def action_oldest(self) -> None:
        """Put the cursor on the oldest reading there is."""
        if self._stretch is None or self.device is None:
            return
        series = [
            found for chart in CHARTS for trace in chart.traces
            if (found := self.device.history.series(trace.name)) is not None
        ]  # fmt: skip
        moments = [moment for one in series if (moment := one.oldest) is not None]
        if moments:
            self.timeline.go(min(moments), self._stretch)
            self.repaint()

    def action_now(self) -> None:
        """Follow the readings again."""
        self.timeline.follow()
        self.repaint()

    def action_choose(self, step: int) -> None:
        """Go through the charts."""
        if self.device is not None:
            charts = charts_of(self.device)
            self.chosen = charts[(charts.index(self._chart()) + step) % len(charts)]
            self.repaint()

    def action_enlarge(self) -> None:
        """One chart alone, or as many as fit."""
        self.enlarged = not self.enlarged
        self.repaint()

    def watch_has_focus(self, has_focus: bool) -> None:
        """The chosen chart is bright where keys go."""
        super().watch_has_focus(has_focus)
        self.repaint()

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """The wheel scrolls time."""
        self.action_page(-0.1)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """The wheel scrolls time."""
        self.action_page(0.1)

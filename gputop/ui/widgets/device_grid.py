"""All devices: panes, rows or cells, whichever lets every one of them be seen."""

from __future__ import annotations

from itertools import zip_longest

from rich.segment import Segment
from textual import events
from textual.message import Message
from textual.strip import Strip

from gputop import text
from gputop.state.windows import Window
from gputop.ui.charts.layout import Grid, choose
from gputop.ui.view import DeviceView, View
from gputop.ui.widgets.base import LineWidget, blank
from gputop.ui.widgets.line import Line
from gputop.ui.widgets.panes import ChartBook, chart_width, pane
from gputop.ui.widgets.rows import cell, row, row_charts


class DeviceGrid(LineWidget, can_focus=True):
    """The devices of a view, with a cursor on one of them."""

    class Opened(Message):
        """Enter or a double click on a device."""

        def __init__(self, uuid: str) -> None:
            super().__init__()
            self.uuid = uuid

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._view = View()
        self._grid = Grid("pane", 1, 1, 0)
        self._cursor: str | None = None
        self._book = ChartBook()

    # --- what is shown ---------------------------------------------------------------------------

    def show(self, view: View) -> None:
        """Take the newest view and draw it."""
        self._view = view
        self.repaint()

    def plan(self, count: int, width: int, rows: int, table_rows: int) -> int:
        """Choose the form of `count` devices for a screen part of `width` cells and `rows` rows,
        shared with the process table, which would like `table_rows`. Returns the rows they take.
        """
        self._grid = choose(count, width, rows, table_rows) if count else Grid("pane", 1, 1, 4)
        return self._grid.height

    @property
    def current(self) -> DeviceView | None:
        """The device under the cursor."""
        devices = self._view.devices
        for device in devices:
            if device.info.uuid == self._cursor:
                return device
        return devices[0] if devices else None

    # --- drawing ---------------------------------------------------------------------------------

    def draw(self, width: int, height: int) -> list[Strip]:
        """The devices, then blank rows."""
        if not self._view.devices:
            return self._nothing(width, height)
        lines = {"pane": self._panes, "row": self._rows, "cell": self._rows}[self._grid.form](width)
        strips = [Strip(segments, width) for segments in lines[:height]]
        return strips + [blank(width, self.palette)] * (height - len(strips))

    def _panes(self, width: int) -> list[list[Segment]]:
        grid, gaps = self._grid, self.palette.style("text")
        base, spare = divmod(width, grid.columns)
        window = self._window(chart_width(base))
        pen = self._book.pen(self.gputop, self._view)
        lines: list[list[Segment]] = []
        for group in self._groups():
            drawn = [
                pane(device, pen, window, base + (number < spare), grid.chart_rows,
                     self._is_current(device))
                for number, device in enumerate(group)
            ]  # fmt: skip
            missing = sum(base + (n < spare) for n in range(len(group), grid.columns))
            for parts in zip(*drawn, strict=True):
                line = [segment for part in parts for segment in part]
                lines.append([*line, Segment(" " * missing, gaps)] if missing else line)
        return lines

    def _rows(self, width: int) -> list[list[Segment]]:
        grid, palette = self._grid, self.palette
        pen = self._book.pen(self.gputop, self._view)
        edge = Segment(f"{self.gputop.glyphs.bar}", palette.style("border"))
        base, spare = divmod(width - (grid.columns - 1), grid.columns)
        cells, _ = row_charts(base)
        window = self._window(cells) if grid.form == "row" and cells > 0 else None
        lines = []
        for group in self._groups():
            line: list[Segment] = []
            for number, device in zip_longest(range(grid.columns), group):
                wide = base + (number < spare)
                if number:
                    line.append(edge)
                if device is None:
                    line.append(Segment(" " * wide, palette.style("text")))
                elif grid.form == "row":
                    line += row(device, pen, window, wide, self._is_current(device))
                else:
                    line += cell(device, pen, wide, self._is_current(device))
            lines.append(line)
        return lines

    def _nothing(self, width: int, height: int) -> list[Strip]:
        """No device: what is missing, and what to do."""
        palette, driver = self.palette, self._view.driver
        # A driver that has none is `absent`: behind one that works the devices are being opened,
        # until the collector says that those that were asked for are not there.
        ellipsis = self.gputop.glyphs.ellipsis
        words = {"starting": "Opening the NVIDIA driver" + ellipsis,
                 "ok": "Opening the GPUs" + ellipsis}  # fmt: skip
        if driver.status == "ok" and self.gputop.trouble:
            words["ok"] = "Of the devices that were asked for, none was found."
        said = [driver.message or words.get(driver.status, ""), driver.remedy]
        roles = ["strong" if driver.status in {"starting", "ok"} else "warning", "text"]
        strips = [blank(width, palette)]
        for line_text, role in zip(said, roles, strict=True):
            for part in _wrapped(text.clean(line_text), width - 4):
                line = Line(width).add("  ", palette.style("text"))
                strips.append(line.add(part, palette.style(role)).strip(palette.style("text")))
        return (strips + [blank(width, palette)] * height)[:height]

    def _groups(self) -> list[tuple[DeviceView, ...]]:
        devices, columns = self._view.devices, self._grid.columns
        return [devices[i : i + columns] for i in range(0, len(devices), columns)]

    def _window(self, cells: int) -> Window:
        view = self._view
        return Window.over(self.gputop.window_s, cells, view.now, view.period_s)

    def _is_current(self, device: DeviceView) -> bool:
        return self.has_focus and device is self.current

    # --- moving ----------------------------------------------------------------------------------

    def move(self, right: int, down: int) -> None:
        """Move the cursor by so many devices."""
        devices = self._view.devices
        current = self.current
        if current is None:
            return
        at = devices.index(current) + right + down * self._grid.columns
        if 0 <= at < len(devices):
            self._cursor = devices[at].info.uuid
        self.repaint()

    def watch_has_focus(self, has_focus: bool) -> None:
        """The cursor shows while the devices have the focus."""
        super().watch_has_focus(has_focus)
        self.repaint()

    def on_click(self, event: events.Click) -> None:
        """A click moves the cursor; a second one opens the device."""
        grid = self._grid
        if not self._view.devices or not self.size.width:
            return
        number = event.y // grid.item_height * grid.columns
        number += min(event.x * grid.columns // self.size.width, grid.columns - 1)
        if number < len(self._view.devices):
            self._cursor = self._view.devices[number].info.uuid
            self.repaint()
            if event.chain > 1:
                self.post_message(self.Opened(self._cursor))


def _wrapped(words: str, width: int) -> list[str]:
    lines = [""]
    for word in words.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines if lines[0] else []

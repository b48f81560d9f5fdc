"""Which form the devices take, so that every one of them is visible at any size."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

Form = Literal["pane", "row", "cell"]

SMALLEST = (60, 15)
"""Columns and rows below which the screen only says what size it needs."""
PANE_WIDTH = 38
WIDE_PANE = 46
PANE_CHARTS = 4
CELL_WIDTH = 25
ROW_WIDTH = 58
TALLEST_CHART = 6
TABLE_ROWS = 5
"""Rows the process table keeps at the least: its header and a few processes."""


class Grid(Struct, frozen=True):
    """How the devices are laid out: `columns` side by side, each `height` rows."""

    form: Form
    columns: int
    chart_rows: int
    height: int
    """Rows of all devices together."""

    @property
    def item_height(self) -> int:
        """Rows of one device."""
        return pane_height(self.chart_rows) if self.form == "pane" else 1


def pane_height(chart_rows: int) -> int:
    """Rows of a pane: its border and four charts; taller charts get a time axis."""
    return 2 + PANE_CHARTS * chart_rows + (1 if chart_rows > 1 else 0)


def choose(devices: int, width: int, rows: int, table_rows: int) -> Grid:
    """The richest form in which `devices` fit into `width` cells and `rows` rows.

    `rows` is what devices and process table share; `table_rows` what the table would like, which
    it gets before charts grow tall, but not before every device has its pane.
    """
    room = rows - TABLE_ROWS
    for chart_rows in range(TALLEST_CHART, 0, -1):
        spare = rows - min(max(table_rows, TABLE_ROWS), max(rows // 3, TABLE_ROWS))
        grid = _panes(devices, width, spare if chart_rows > 1 else room, chart_rows)
        if grid:
            return grid
    if devices <= room and width >= ROW_WIDTH:
        return Grid("row", 1, 0, devices)
    columns = max(1, min(width // CELL_WIDTH, devices))
    if width >= ROW_WIDTH and -(-devices // 2) <= room and width >= 2 * ROW_WIDTH:
        return Grid("row", 2, 0, -(-devices // 2))
    for fewer in range(2, columns + 1):
        lines = -(-devices // fewer)
        if lines <= room:
            return Grid("cell", fewer, 0, lines)
    return Grid("cell", columns, 0, -(-devices // columns))


def _panes(devices: int, width: int, room: int, chart_rows: int) -> Grid | None:
    most = max(width // PANE_WIDTH, 1)
    roomy = max(width // WIDE_PANE, 1)
    for columns in range(1, most + 1):
        lines = -(-devices // columns)
        height = lines * pane_height(chart_rows)
        if height <= room and columns <= max(roomy, 1 if chart_rows > 1 else most):
            return Grid("pane", columns, chart_rows, height)
    return None

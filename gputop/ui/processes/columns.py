"""Every column of the process table, declared once: what it shows, sorts by and how wide it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from msgspec import Struct

from gputop.errors import SettingsError
from gputop.query import Amount
from gputop.text import NO_VALUE, Units, duration, percent, size
from gputop.ui.processes.marks import ASCII, UNICODE, Marks
from gputop.ui.processes.rows import Row

LEAST_COMMAND = 20
"""Cells the command keeps, as long as there is another column to drop."""
ROOMY_COMMAND = 30
"""Cells the command keeps, as long as there is a column that few would miss."""
SELDOM = 8
"""The rank from which on few would miss a column."""
GAP = 1
"""Cells between two columns."""

SortValue = float | str | tuple[float, ...] | None


class Drawing(Struct, frozen=True):
    """What a cell's text depends on besides its row."""

    units: Units
    at_least: str
    """The mark of a sum that lacks a part."""
    branch: str
    """What stands before the device of an unfolded row."""


class Column(Struct, frozen=True):
    """One column. `width` and `widest` are cells; the table widens it to its longest text."""

    key: str
    title: str
    text: Callable[[Row, Drawing], str | None]
    """None where the row has nothing to say here; :data:`NO_VALUE` where it was not read."""
    sort: Callable[[Row], SortValue]
    """None sorts last, whatever the direction."""
    help: str
    width: int
    widest: int
    rank: int
    """Where there is no room the highest rank goes first; rank 0 stays."""
    align: Literal["left", "right"] = "right"
    descending: bool = True
    """Whether its first sort is from high to low."""
    field: str | None = None
    """The filter field that looks at the same."""

    @property
    def minimum(self) -> int:
        """Cells it takes at least: its title, and the mark of the sort column behind it."""
        return max(self.width, len(self.title) + 1)


def _amount(
    attribute: str, form: Callable[[float, Drawing], str], *, of_process: bool = False
) -> Callable[[Row, Drawing], str | None]:
    def text(row: Row, drawing: Drawing) -> str | None:
        if of_process and row.is_part:
            return None
        amount: Amount = getattr(row, attribute)
        if amount.value is None:
            return NO_VALUE
        return (drawing.at_least if amount.at_least else "") + form(amount.value, drawing)

    return text


def _by(attribute: str) -> Callable[[Row], SortValue]:
    def sort(row: Row) -> SortValue:
        amount: Amount = getattr(row, attribute)
        return amount.value

    return sort


def _word(attribute: str) -> Callable[[Row, Drawing], str | None]:
    def text(row: Row, drawing: Drawing) -> str | None:
        return None if row.is_part else getattr(row, attribute) or NO_VALUE

    return text


def _by_word(attribute: str) -> Callable[[Row], SortValue]:
    def sort(row: Row) -> SortValue:
        word: str | None = getattr(row, attribute)
        return word.casefold() if word else None

    return sort


def _ratio(value: float, drawing: Drawing) -> str:
    return percent(value, tight=True).rstrip("%")


def _bytes(value: float, drawing: Drawing) -> str:
    return size(value, drawing.units)


def _by_place(row: Row) -> SortValue:
    places = [
        part
        for place in row.places
        for part in (place.index, place.instance if place.instance is not None else -1)
    ]
    return None if None in places else tuple(float(p) for p in places if p is not None)


def _command(row: Row, drawing: Drawing) -> str:
    return f"{drawing.branch}GPU {row.gpu} {row.device_name}" if row.is_part else row.command


# fmt: off
COLUMNS: tuple[Column, ...] = (
    Column("gpu", "GPU", lambda row, _: row.gpu, _by_place,
           "Devices it is on; 7:1 is MIG instance 1 of device 7.", 3, 12, 1,
           align="left", descending=False, field="gpu"),
    Column("pid", "PID", lambda row, _: None if row.is_part else str(row.pid), lambda row: row.pid,
           "Process id.", 6, 10, 0, descending=False, field="pid"),
    Column("user", "USER", _word("user"), _by_word("user"),
           "Its owner.", 6, 12, 2, align="left", descending=False, field="user"),
    Column("type", "TYPE", lambda row, _: row.kinds or NO_VALUE, lambda row: row.kinds or None,
           "C compute, G graphics, M client of the MPS server.", 3, 4, 9,
           align="left", descending=False, field="type"),
    Column("sm", "SM%", _amount("sm", _ratio), _by("sm"),
           "Share of time its kernels ran, all its devices together: 100 is one device.", 4, 6, 0,
           field="sm"),
    Column("memory_controller", "MC%", _amount("memory_controller", _ratio),
           _by("memory_controller"),
           "Share of time it kept the memory controller busy, all its devices together.", 4, 6, 8),
    Column("encoder", "ENC%", _amount("encoder", _ratio), _by("encoder"),
           "Share of time it used the video encoder, all its devices together.", 4, 6, 12),
    Column("decoder", "DEC%", _amount("decoder", _ratio), _by("decoder"),
           "Share of time it used the video decoder, all its devices together.", 4, 6, 11),
    Column("gpu_memory", "GPU MEM", _amount("memory", _bytes), _by("memory"),
           "Device memory it holds, all its devices together.", 8, 10, 0, field="mem"),
    Column("gpu_memory_share", "MEM%", _amount("memory_share", _ratio), _by("memory_share"),
           "How much of the memory of its devices it holds.", 5, 6, 5),
    Column("cpu", "CPU%", _amount("cpu", _ratio, of_process=True), _by("cpu"),
           "CPU time: 100 is one core.", 5, 6, 3, field="cpu"),
    Column("host_memory", "HOST MEM", _amount("host_memory", _bytes, of_process=True),
           _by("host_memory"), "Host memory it has resident.", 8, 9, 6, field="hostmem"),
    Column("threads", "THR", _amount("threads", lambda value, _: f"{value:.0f}", of_process=True),
           _by("threads"), "Threads.", 4, 6, 10, field="threads"),
    Column("time", "TIME",
           _amount("running_s", lambda value, _: duration(value), of_process=True),
           _by("running_s"), "Time since its start.", 9, 9, 4, field="time"),
    Column("state", "S", _word("state"), _by_word("state"),
           "R running, S sleeping, D waiting for a device, Z zombie, T stopped, I idle.", 1, 2, 7,
           align="left", descending=False, field="state"),
    Column("command", "COMMAND", _command, lambda row: row.command.casefold(),
           "Program and arguments.", 8, 0, 0, align="left", descending=False, field="cmd"),
)
# fmt: on

BY_KEY: Mapping[str, Column] = {column.key: column for column in COLUMNS}
DEFAULT_COLUMNS: tuple[str, ...] = tuple(column.key for column in COLUMNS)
DEFAULT_SORT = "gpu_memory"


def legend(marks: Marks) -> tuple[tuple[str, str], ...]:
    """Sign and meaning of what the table says in signs, with these marks."""
    return (
        (marks.mine, "Yours."),
        (marks.folded, "On several GPUs; u shows them one by one."),
        (marks.tag, "Tagged."),
        (marks.at_least, "At least: a part of the sum was not read."),
        ("7:0", "MIG instance 0 of GPU 7."),
        ("TYPE", BY_KEY["type"].help),
        ("MEM%", BY_KEY["gpu_memory_share"].help),
        ("MC%", BY_KEY["memory_controller"].help),
    )


LEGEND: tuple[tuple[str, str], ...] = legend(UNICODE)
ASCII_LEGEND: tuple[tuple[str, str], ...] = legend(ASCII)


def chosen_columns(keys: Sequence[str]) -> tuple[Column, ...]:
    """The columns that the settings name, in their order; all of them where none are named.

    The command always comes last, and is there even when it is not named.

    Raises:
        SettingsError: there is no such column.
    """
    keys = [key.replace("-", "_") for key in keys or DEFAULT_COLUMNS]
    columns = [_column(key) for key in dict.fromkeys(keys) if key != "command"]
    return (*columns, BY_KEY["command"])


def sort_column(key: str) -> Column:
    """The column that the settings name for sorting; GPU memory where they name none.

    Raises:
        SettingsError: there is no such column.
    """
    return _column(key.replace("-", "_") or DEFAULT_SORT)


def _column(key: str) -> Column:
    column = BY_KEY.get(key)
    if column is None:
        raise SettingsError(f"There is no process column {key}; accepted are {', '.join(BY_KEY)}.")
    return column


def sorted_rows(rows: Sequence[Row], column: Column, reverse: bool) -> list[Row]:
    """Rows in the column's own direction, or with `reverse` in the other.

    Equal rows keep their order, and rows without a value come last in both directions.
    """
    keyed = [(column.sort(row), row) for row in rows]
    known = [item for item in keyed if item[0] is not None]
    known.sort(key=_first, reverse=column.descending is not reverse)
    return [row for _, row in known] + [row for value, row in keyed if value is None]


def _first(item: tuple[SortValue, Row]) -> float | str | tuple[float, ...]:
    value = item[0]
    assert value is not None  # narrows the type: the unknown were left out
    return value


class Slot(Struct, frozen=True):
    """A column's place on the line, in cells."""

    column: Column
    start: int
    width: int


def lay_out(
    columns: Sequence[Column],
    widths: Mapping[str, int],
    start: int,
    total: int,
    titles: Mapping[str, int] | None = None,
) -> list[Slot]:
    """Which columns fit between `start` and `total`, and where.

    `widths` are the cells each column's texts take, `titles` those of titles that take more than
    their words. Columns of the highest rank are left out until the command, which takes what
    remains, has :data:`ROOMY_COMMAND` cells, or :data:`LEAST_COMMAND` if those that few would
    miss are gone.
    """
    cells = {c.key: max(_width(c, widths), (titles or {}).get(c.key, 0)) for c in columns}
    kept = list(columns)
    while True:
        fixed = [c for c in kept if c.key != "command"]
        room = total - start - sum(cells[c.key] + GAP for c in fixed)
        last = max(fixed, key=lambda c: c.rank, default=None)
        if last is None or not last.rank:
            break
        if room >= (ROOMY_COMMAND if last.rank >= SELDOM else LEAST_COMMAND):
            break
        kept.remove(last)
    slots = []
    for column in kept:
        width = total - start if column.key == "command" else cells[column.key]
        slots.append(Slot(column, start, max(width, 0)))
        start += width + GAP
    return slots


def _width(column: Column, widths: Mapping[str, int]) -> int:
    return max(column.minimum, min(widths.get(column.key, 0), max(column.widest, column.minimum)))

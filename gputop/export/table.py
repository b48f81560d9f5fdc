"""Plain tables that fit a width: columns shorten, then give way, and no value is cut."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from gputop.text import display_width, fit

GAP = 2
_FLEXIBLE = 20
"""Cells the flexible column gets before others lengthen or join."""
_LEAST_FLEXIBLE = 10
"""Cells it keeps whatever else needs room."""

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Column(Generic[Row]):
    """One column: `cell` gives its text for a row, in a long or a tight form."""

    title: str
    cell: Callable[[Row, bool], str]
    rank: int = 0
    """0 always has a place where there is one; from 1 up the higher gives way first."""
    flexible: bool = False
    """True for the one column of words, which is left-aligned, and cut where room is short."""
    fields: tuple[str, ...] = ()
    """The fields it shows, for a legend of what is missing."""


@dataclass(frozen=True, slots=True)
class Layout(Generic[Row]):
    """The columns that fit, and how they are written."""

    columns: list[Column[Row]]
    lines: list[str]
    """Header and rows, without trailing blanks."""


def lay_out(columns: Sequence[Column[Row]], rows: Sequence[Row], width: int) -> Layout[Row]:
    """The table in at most `width` cells, unless even the shortest columns of rank 0 need more."""
    grid = {
        (column.title, tight): [column.title, *(column.cell(row, tight) for row in rows)]
        for column in columns
        for tight in (False, True)
    }

    def natural(column: Column[Row], tight: bool) -> int:
        return max(map(display_width, grid[column.title, tight]))

    def needed(shown: Sequence[Column[Row]], tight: bool, flexible: int) -> int:
        widths = (
            min(natural(column, tight), flexible) if column.flexible else natural(column, tight)
            for column in shown
        )
        return sum(widths) + GAP * (len(shown) - 1)

    chosen = [column for column in columns if column.rank == 0]
    tight = needed(chosen, False, _FLEXIBLE) > width
    for column in sorted(columns, key=lambda column: column.rank):
        if column.rank and needed([*chosen, column], tight, _FLEXIBLE) <= width:
            chosen.append(column)
    shown = [column for column in columns if column in chosen]

    room = _LEAST_FLEXIBLE + max(width - needed(shown, tight, _LEAST_FLEXIBLE), 0)
    widths = [
        min(natural(column, tight), room) if column.flexible else natural(column, tight)
        for column in shown
    ]
    lines = [
        (" " * GAP)
        .join(
            _padded(grid[column.title, tight][number], cells, column.flexible)
            for column, cells in zip(shown, widths, strict=True)
        )
        .rstrip()
        for number in range(len(rows) + 1)
    ]
    return Layout(shown, lines)


def _padded(text: str, cells: int, left: bool) -> str:
    text = fit(text, cells) if left else text
    blank = " " * (cells - display_width(text))
    return text + blank if left else blank + text

"""The signs of the process table, for terminals with Unicode and for those without."""

from __future__ import annotations

from msgspec import Struct


class Marks(Struct, frozen=True):
    """The signs of the table, each one cell wide where nothing else is said."""

    tag: str
    mine: str
    folded: str
    unfolded: str
    branch: str
    """Two cells."""
    descending: str
    """What stands behind the title of the sort column; with a blank where it is a letter."""
    ascending: str
    at_least: str
    cut: str


UNICODE = Marks("●", "▪", "▸", "▾", "└ ", "▼", "▲", "≥", "…")
ASCII = Marks("*", "@", "+", "-", "`-", " v", " ^", ">", "~")

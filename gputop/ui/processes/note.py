"""What stands at the right end of the table's header: as much of it as there is room for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import Struct
from rich.cells import cell_len

from gputop.text import fit

JOINT = " · "
LEAST_CUT = 4
"""Cells from which the beginning of a part says anything."""


class Note(Struct, frozen=True):
    """One part of the note."""

    forms: tuple[str, ...]
    """From the longest to the shortest."""
    role: str
    hint: str = ""
    """Said behind it only where everything else is said in full."""


def fit_notes(notes: Sequence[Note], room: int, cut: str) -> list[tuple[str, str]]:
    """Texts and roles that together take at most `room` cells, most important first.

    The last notes are shortened before any is dropped, and dropped before the first is cut.
    """
    chosen = [0] * len(notes)
    hinted = [(f"{note.forms[0]} {note.hint}".rstrip(), note.role) for note in notes]
    if cell_len(JOINT.join(text for text, _ in hinted)) <= room:
        return _joined(hinted)
    for number in reversed(range(len(notes))):
        while _width(notes, chosen) > room and chosen[number] < len(notes[number].forms) - 1:
            chosen[number] += 1
    while len(chosen) > 1 and _width(notes, chosen) > room:
        chosen.pop()
    if _width(notes, chosen) <= room:
        roles = [note.role for note in notes]
        return _joined(zip(_texts(notes, chosen), roles, strict=False))
    text = fit(notes[0].forms[-1], room, cut) if room >= LEAST_CUT else ""
    return [(text, notes[0].role)]


def _texts(notes: Sequence[Note], chosen: Sequence[int]) -> list[str]:
    return [note.forms[form] for note, form in zip(notes, chosen, strict=False)]


def _width(notes: Sequence[Note], chosen: Sequence[int]) -> int:
    return cell_len(JOINT.join(_texts(notes, chosen)))


def _joined(said: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    parts: list[tuple[str, str]] = []
    for part in said:
        parts += [(JOINT, "dim"), part] if parts else [part]
    return parts

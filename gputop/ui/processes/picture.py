"""The table as strips: a header row and a row a process, drawn anew only where they changed."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct
from rich.cells import cell_len, set_cell_size, split_text
from rich.segment import Segment
from textual.strip import Strip

from gputop.text import NO_VALUE, Units, fit
from gputop.ui.processes.columns import Column, Drawing, Slot, lay_out
from gputop.ui.processes.marks import ASCII, UNICODE, Marks
from gputop.ui.processes.model import TableModel
from gputop.ui.processes.note import Note, fit_notes
from gputop.ui.processes.rows import Row
from gputop.ui.themes import Palette
from gputop.ui.widgets.base import blank

LEAD = 3
"""Cells before the first column: tag, whose it is, whether it unfolds."""


class Look(Struct, frozen=True):
    """What the picture depends on besides the rows."""

    palette: Palette
    units: Units
    focused: bool
    ascii: bool = False

    @property
    def marks(self) -> Marks:
        """The signs it is drawn with."""
        return ASCII if self.ascii else UNICODE


Part = tuple[str, str]
"""A text and the palette's role it is drawn in."""


class Picture:
    """Draws a model. Rows that say the same as last time are the same strips."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self.columns = columns
        self.slots: list[Slot] = []
        """Where the columns stood when it was last drawn."""
        self.scrolled = 0
        """Cells of the command line left of what is shown of it."""
        self._widths: dict[str, int] = {}
        self._strips: dict[object, Strip] = {}
        self._drawn_with: tuple[Look, int] | None = None

    def forget_widths(self) -> None:
        """Let columns shrink again; between two calls they only grow, so that nothing jumps."""
        self._widths.clear()

    def draw(
        self, model: TableModel, rows: Sequence[Row], width: int, look: Look, notes: Sequence[Note]
    ) -> list[Strip]:
        """The header, with `notes` at its right end, and `rows` (a part of what `model` shows)."""
        if self._drawn_with != (look, width):
            self._drawn_with = look, width
            self._strips.clear()
        drawing = Drawing(look.units, look.marks.at_least, look.marks.branch)
        texts = [
            {column.key: column.text(row, drawing) or "" for column in self.columns} for row in rows
        ]
        self._widen(texts)
        titles = {model.column.key: cell_len(_title(model, look))}
        slots = lay_out(self.columns, self._widths, LEAD, width, titles)
        if slots != self.slots:
            self.slots = slots
            self._strips.clear()
        before, self._strips = self._strips, {}
        strips = [self._header(model, width, look, notes)]
        for row, of_row in zip(rows, texts, strict=True):
            lead = _lead(model, row, look.marks)
            cells = tuple(of_row[slot.column.key] for slot in slots)
            key = (cells, lead, row.is_part, row.mine, row is model.current, self.scrolled)
            strip = before.get(key)
            if strip is None:
                strip = self._row(row, cells, lead, row is model.current, look, width)
            self._strips[key] = strip
            strips.append(strip)
        return strips

    def _widen(self, texts: Sequence[dict[str, str]]) -> None:
        for column in self.columns:
            widest = max((_cells(of_row[column.key]) for of_row in texts), default=0)
            if widest > self._widths.get(column.key, 0):
                self._widths[column.key] = widest

    def command_slot(self) -> Slot | None:
        """Where the command stands."""
        return next((slot for slot in self.slots if slot.column.key == "command"), None)

    def column_at(self, x: int) -> Column | None:
        """The column whose title is at cell `x`."""
        for slot in self.slots:
            if slot.start <= x <= slot.start + slot.width:
                return slot.column
        return None

    # -- one row -------------------------------------------------------------------------------

    def _row(
        self, row: Row, cells: Sequence[str], lead: str, current: bool, look: Look, width: int
    ) -> Strip:
        parts: list[Part] = [(lead, "accent")]
        for slot, text in zip(self.slots, cells, strict=True):
            key = slot.column.key
            role = _role(row, key, text)
            if key == "command" and not row.is_part:
                text = _scroll(text, self.scrolled, look.marks.cut)
            if look.ascii:
                text = to_ascii(text)
            parts += [(_size(text, slot, look.marks.cut), role), (" ", "text")]
        background = "background"
        if current:
            background = "selection" if look.focused else "surface"
        return _strip(parts[:-1], background, look.palette, width)

    def _header(self, model: TableModel, width: int, look: Look, notes: Sequence[Note]) -> Strip:
        parts: list[Part] = [(" " * LEAD, "dim")]
        for slot in self.slots:
            chosen = slot.column is model.column
            title = _title(model, look) if chosen else slot.column.title
            role = "strong" if chosen else "dim"
            if slot.column.key == "command":
                if self.scrolled:
                    title += f" {look.marks.cut}{self.scrolled}"
                parts += _with_notes((title, role), notes, slot.width, look.marks.cut)
            else:
                parts += [(_size(title, slot, look.marks.cut), role), (" ", "dim")]
        return _strip(parts, "surface", look.palette, width)


def _title(model: TableModel, look: Look) -> str:
    """Title and direction of the sort column."""
    descends = model.column.descending is not model.reverse
    return model.column.title + (look.marks.descending if descends else look.marks.ascending)


def _cells(text: str) -> int:
    return len(text) if text.isascii() else cell_len(text)


def _lead(model: TableModel, row: Row, marks: Marks) -> str:
    """The signs before the first column."""
    if row.is_part:
        return " " * LEAD
    fold = " "
    if row.unfolds:
        fold = marks.unfolded if model.is_unfolded(row) else marks.folded
    return (marks.tag if model.is_tagged(row) else " ") + (marks.mine if row.mine else " ") + fold


def _role(row: Row, key: str, text: str) -> str:
    if text == NO_VALUE or row.is_part:
        return "dim"
    if key == "user" and row.mine:
        return "accent"
    return "text"


def to_ascii(text: str) -> str:
    """The same for a terminal that shows nothing else."""
    return (
        text if text.isascii() else text.replace(NO_VALUE, "-").encode("ascii", "replace").decode()
    )


def _scroll(text: str, cells: int, cut: str) -> str:
    """The text from `cells` on, with a sign where something is left of it."""
    if not cells or not text or text == NO_VALUE:
        return text
    hidden = cells + cell_len(cut)
    return cut + (split_text(text, hidden)[1] if cell_len(text) > hidden else "")


def _size(text: str, slot: Slot, cut: str) -> str:
    """Exactly the slot's cells."""
    right = slot.column.align == "right"
    if text.isascii() and len(text) <= slot.width:
        return text.rjust(slot.width) if right else text.ljust(slot.width)
    text = fit(text, slot.width, cut)
    if right:
        text = " " * (slot.width - cell_len(text)) + text
    return set_cell_size(text, slot.width)


def _with_notes(title: Part, notes: Sequence[Note], width: int, cut: str) -> list[Part]:
    """A title at the left, whole, and as much of the notes as fits at the right of it."""
    words = fit(title[0], width, cut)
    fitting = fit_notes(notes, width - cell_len(words) - 1, cut) if notes else []
    taken = sum(cell_len(text) for text, _ in fitting)
    return [(set_cell_size(words, width - taken), title[1]), *fitting]


def _strip(parts: Sequence[Part], background: str, palette: Palette, width: int) -> Strip:
    """Neighbours in one role become one segment; a blank is in whatever role is before it."""
    segments: list[Segment] = []
    text, role = "", parts[0][1]
    for part, wanted in parts:
        if wanted != role and part != " ":
            segments.append(Segment(text, palette.style(role, background)))
            text, role = "", wanted
        text += part
    segments.append(Segment(text, palette.style(role, background)))
    return Strip(segments, width)


def message(text: str, width: int, height: int, palette: Palette, cut: str) -> list[Strip]:
    """What stands below the header where there is no row."""
    lines = wrap(text, max(width - 2 * LEAD, 1))
    strips = [blank(width, palette) for _ in range(height)]
    for y, line in enumerate(lines[: max(height - 1, 1)], 1 if height > 1 else 0):
        if y < height:
            padded = set_cell_size(" " * LEAD + fit(line, max(width - LEAD, 0), cut), width)
            strips[y] = Strip([Segment(padded, palette.style("dim"))], width)
    return strips


def wrap(text: str, width: int) -> list[str]:
    """Lines of at most `width` cells, but for a word that is longer by itself."""
    lines = [""]
    for word in text.split():
        joined = f"{lines[-1]} {word}".lstrip()
        if cell_len(joined) <= width or not lines[-1]:
            lines[-1] = joined
        else:
            lines.append(word)
    return lines

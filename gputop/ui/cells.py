"""The screen as cells: what it should show, what was sent, and the shortest way between.

Textual redraws whole lines and spells every style out; here the terminal is told only
about the cells that changed. A cell is a grapheme and a `Look`; the right half of a
double-width grapheme is a cell holding the empty string.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import compress, pairwise
from operator import ne, or_
from typing import NamedTuple

from rich.cells import split_graphemes
from rich.color import ColorSystem
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

MAX_CACHED = 4096
"""Entries a cache here may hold before it starts afresh."""

JUMP_BYTES = 6
"""What moving the cursor takes, about."""

MAX_JOINED_BYTES = 4
"""Unchanged cells up to this many bytes are sent again rather than jumped over."""


def _characters(*ranges: tuple[int, int]) -> frozenset[str]:
    """The characters of inclusive ranges of code points."""
    return frozenset(chr(code) for first, last in ranges for code in range(first, last + 1))


_ASCII_AND_DRAWING = ((0x20, 0x7E), (0x2500, 0x259F), (0x2800, 0x28FF))

# Every terminal draws these in one cell. Box and block elements count as ambiguous in
# Unicode, but where they are double no chart and no frame can be right anyway.
_certain = _characters(*_ASCII_AND_DRAWING).issuperset

# Rich gives these one cell; a terminal set up for East Asian text may give some two.
_is_single = _characters(
    *_ASCII_AND_DRAWING, (0xA0, 0xAC), (0xAE, 0x2FF), (0x370, 0x482), (0x25A0, 0x25FC)
).issuperset

_CONTROLS = dict.fromkeys([*range(0x20), *range(0x7F, 0xA0)])


@lru_cache(maxsize=1024)
def _graphemes(text: str) -> tuple[str, ...]:
    """The cells of a text with wide, joined or control characters in it.

    Args:
        text: Any text. Control characters, which have no width, are left out.

    Returns:
        One string per cell, the second cell of a wide grapheme being empty.
    """
    text = text.translate(_CONTROLS)
    cells: list[str] = []
    for start, end, width in split_graphemes(text)[0]:
        if width:
            cells.append(text[start:end])
            cells.extend([""] * (width - 1))
    return tuple(cells)


class Look(NamedTuple):
    """How a cell is drawn, in the terms of SGR."""

    attributes: int
    """Bit n stands for the n-th attribute of `_ATTRIBUTES`."""
    foreground: str | None
    """SGR parameters, empty for the default; None where it cannot be seen (a blank)."""
    background: str
    """SGR parameters, empty for the default."""
    link: str
    """What follows `OSC 8 ;`, empty where there is no link."""


PLAIN = Look(0, "", "", "")
"""The terminal's own colours."""

EMPTY = Look(0, None, "", "")
"""A blank on the terminal's own background."""

_UNKNOWN = Look(-1, "unknown", "unknown", "")

# SGR parameters in the order of Rich's attribute bits.
_ATTRIBUTES = ("1", "2", "3", "4", "5", "6", "7", "8", "9", "21", "51", "52", "53")
_BIT_OF = {parameter: 1 << bit for bit, parameter in enumerate(_ATTRIBUTES)}
# What turns them off again: (bits, parameter).
_OFF = (
    (_BIT_OF["1"] | _BIT_OF["2"], "22"),
    (_BIT_OF["3"], "23"),
    (_BIT_OF["4"] | _BIT_OF["21"], "24"),
    (_BIT_OF["5"] | _BIT_OF["6"], "25"),
    (_BIT_OF["7"], "27"),
    (_BIT_OF["8"], "28"),
    (_BIT_OF["9"], "29"),
    (_BIT_OF["51"] | _BIT_OF["52"], "54"),
    (_BIT_OF["53"], "55"),
)
_UNSEEN_ON_BLANKS = _BIT_OF["1"] | _BIT_OF["2"] | _BIT_OF["3"]


def parse_sgr(sgr: str, link: str = "") -> Look:
    """Read the parameters of an SGR sequence that starts from the default look.

    Args:
        sgr: Parameters separated by semicolons, as Textual and Rich write them.
        link: What follows `OSC 8 ;`, or nothing.
    """
    attributes, foreground, background = 0, "", ""
    parameters = iter(sgr.split(";") if sgr else ())
    for parameter in parameters:
        if parameter in _BIT_OF:
            attributes |= _BIT_OF[parameter]
            continue
        colour = [parameter]
        if parameter in ("38", "48"):
            kind = next(parameters)
            colour += [kind, *(next(parameters) for _ in range(1 if kind == "5" else 3))]
        text = "" if parameter in ("39", "49") else ";".join(colour)
        if parameter[0] == "4" or parameter.startswith("10"):
            background = text
        else:
            foreground = text
    return Look(attributes, foreground, background, link)


def _parameters(attributes: int) -> list[str]:
    """The SGR parameters that turn these attributes on."""
    return [name for bit, name in enumerate(_ATTRIBUTES) if attributes >> bit & 1]


def _from_default(look: Look) -> str:
    """The SGR sequence for a look, whatever was before."""
    parameters = [*_parameters(look.attributes), look.foreground or "", look.background]
    text = ";".join(filter(None, parameters))
    return f"\x1b[0;{text}m" if text else "\x1b[m"


def _from_other(old: Look, new: Look) -> str:
    """The SGR sequence that changes only what differs."""
    parameters: list[str] = []
    kept = old.attributes
    for bits, off in _OFF:
        if kept & bits & ~new.attributes:
            parameters.append(off)
            kept &= ~bits
    parameters += _parameters(new.attributes & ~kept)
    if new.foreground != old.foreground:
        parameters.append(new.foreground or "39")
    if new.background != old.background:
        parameters.append(new.background or "49")
    return f"\x1b[{';'.join(parameters)}m" if parameters else ""


@lru_cache(maxsize=MAX_CACHED)
def change_look(old: Look, new: Look) -> tuple[str, Look]:
    """The shortest sequence from one look to another.

    Args:
        old: What the terminal draws with now.
        new: What the next cells need.

    Returns:
        The sequence, and what the terminal draws with after it: not `new` itself where
        `new` leaves something open, as blanks do.
    """
    if new.foreground is None:
        if old is _UNKNOWN:
            new = new._replace(foreground="")
        else:
            seen = old.attributes & _UNSEEN_ON_BLANKS
            new = Look(seen | new.attributes, old.foreground, new.background, new.link)
    if old is _UNKNOWN:
        text = _from_default(new)
    else:
        text = min(_from_other(old, new), _from_default(new), key=len) if old != new else ""
        if old.link != new.link:
            text += f"\x1b]8;{new.link or ';'}\x1b\\"
    return text, new


class Looks:
    """Turns Rich styles into looks, in one colour system."""

    def __init__(self, color_system: ColorSystem) -> None:
        self._color_system = color_system
        self._known: dict[Style, Look] = {}
        self._same: dict[Look, Look] = {PLAIN: PLAIN, EMPTY: EMPTY}
        self._blanks: dict[Look, Look] = {}

    def of(self, style: Style | None) -> Look:
        """The look of a style; equal looks are mostly the same object."""
        if style is None:
            return PLAIN
        look = self._known.get(style)
        if look is None:
            look = self._shared(self._parse(style))
            if len(self._known) >= MAX_CACHED:
                self._known.clear()
            self._known[style] = look
        return look

    def blank(self, look: Look) -> Look:
        """The look of spaces in this look: what cannot be seen on them is left open."""
        blank = self._blanks.get(look)
        if blank is None:
            blank = look
            if not look.attributes & ~_UNSEEN_ON_BLANKS and not look.link:
                blank = self._shared(Look(0, None, look.background, ""))
            self._blanks[look] = blank
        return blank

    def _parse(self, style: Style) -> Look:
        link = f"id={style._link_id};{style._link}" if style._link else ""
        return parse_sgr(Strip.render_ansi(style, self._color_system), link)

    def _shared(self, look: Look) -> Look:
        if len(self._same) >= MAX_CACHED:
            self._same.clear()
            self._blanks.clear()
        return self._same.setdefault(look, look)


class Pen:
    """The terminal's cursor and look, and the bytes that move them."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Assume nothing about the terminal."""
        self.x: int | None = None
        self.y: int | None = None
        self.look = _UNKNOWN

    def change(self, look: Look) -> str:
        """The sequence that makes the terminal draw with a look."""
        if look is self.look:
            return ""
        text, self.look = change_look(self.look, look)
        return text

    def move(self, x: int, y: int) -> str:
        """The shortest sequence that brings the cursor to a cell (from 0, 0)."""
        if self.x == x and self.y == y:
            return ""
        text = self._absolute(x, y)
        if self.y is not None:
            nearby = self._vertical(y - self.y) + self._horizontal(x)
            text = min(nearby, text, key=len)
        self.x, self.y = x, y
        return text

    @staticmethod
    def _absolute(x: int, y: int) -> str:
        if x == 0:
            return f"\x1b[{y + 1}H" if y else "\x1b[H"
        return f"\x1b[{y + 1};{x + 1}H"

    @staticmethod
    def _vertical(rows: int) -> str:
        if rows == 0:
            return ""
        count = "" if abs(rows) == 1 else str(abs(rows))
        return f"\x1b[{count}{'B' if rows > 0 else 'A'}"

    def _horizontal(self, x: int) -> str:
        """From the pen's column, which may be unknown, to another of the same row."""
        if self.x == x:
            return ""
        if x == 0:
            return "\r"
        column = f"\x1b[{x + 1}G"
        if self.x is None:
            return column
        columns = x - self.x
        count = "" if abs(columns) == 1 else str(abs(columns))
        relative = f"\x1b[{count}C" if columns > 0 else f"\x1b[{count}D"
        if -len(relative) < columns < 0:
            relative = "\b" * -columns
        return min(relative, column, key=len)


class Grid:
    """Two screens of cells: the one wanted, and the one sent to the terminal.

    `put` changes the first; `paint` returns the bytes that make the second like it.
    Updates that are put between two paints merge by themselves.
    """

    def __init__(self, width: int, height: int, looks: Looks) -> None:
        """Start with a blank screen wanted and nothing known of the terminal's.

        Args:
            width: Columns, in cells.
            height: Rows, in cells.
            looks: Translates the styles of what will be put.
        """
        self.width = width
        self.height = height
        self._looks = looks
        self._wanted = [[" "] * width for _ in range(height)]
        self._wanted_looks = [[EMPTY] * width for _ in range(height)]
        self._pen = Pen()
        self._touched: set[int] = set()
        # The strips that made each row, to skip those put again unchanged.
        self._strips: list[dict[int, Strip]] = [{} for _ in range(height)]
        self.invalidate()

    def invalidate(self) -> None:
        """Forget what the terminal shows: the next paint sends everything."""
        self._sent: list[list[str | None]] = [[None] * self.width for _ in range(self.height)]
        self._sent_looks = [[_UNKNOWN] * self.width for _ in range(self.height)]
        # Rows that may differ, with the columns where; in the order they are painted.
        self._dirty = dict.fromkeys(range(self.height), (0, self.width))
        self._hurries = False  # Does a small update wait, at the head of `_dirty`?
        self._pen.forget()

    @property
    def is_dirty(self) -> bool:
        """Has anything been put that may differ from what was sent?"""
        return bool(self._dirty)

    def put(self, x: int, y: int, strip: Strip) -> int:
        """Want a strip at a cell.

        Args:
            x: Column of its left end; what is right of the screen is left out.
            y: Row; nothing happens outside the screen.
            strip: A rendered line or part of one.

        Returns:
            The column after its right end.
        """
        if not 0 <= y < self.height:
            return x
        known = self._strips[y]
        before = known.get(x)
        end = x + strip.cell_length
        if before is strip:
            return end
        if before is None or before.cell_length != strip.cell_length:
            known.clear()  # The row is divided anew: nothing is known of its parts.
            before = None
        known[x] = strip
        if before is None or not self._put_changes(x, y, before._segments, strip._segments):
            self._put_all(x, y, strip)
        return end

    def _put_all(self, x: int, y: int, strip: Strip) -> None:
        """Want every cell of a strip."""
        characters: list[str] = []
        looks: list[Look] = []
        for segment in strip._segments:
            cells, look = self._cells(segment)
            characters += cells
            looks += [look] * len(cells)
        missing = strip.cell_length - len(characters)
        if missing > 0:
            characters += " " * missing
            looks += [EMPTY] * missing
        self._put_cells(x, y, characters, looks)

    def _put_changes(self, x: int, y: int, before: list[Segment], segments: list[Segment]) -> bool:
        """Want the cells of those segments that are not as before; False, and nothing done, where
        they do not stand in the same places.
        """
        if len(before) != len(segments):
            return False
        changes: list[tuple[int, Sequence[str], Look]] = []
        for old, new in zip(before, segments, strict=True):
            if old is new or old == new:
                x += _width(new)
                continue
            cells, look = self._cells(new)
            if len(cells) != _width(old):
                return False
            changes.append((x, cells, look))
            x += len(cells)
        for at, cells, look in changes:
            self._put_cells(at, y, list(cells), [look] * len(cells))
        return True

    def _cells(self, segment: Segment) -> tuple[Sequence[str], Look]:
        """The cells of a segment, and how they are drawn."""
        text, style, control = segment
        if control or not text:
            return "", PLAIN
        look = self._looks.of(style)
        if _is_simple(text):
            return text, look if text.strip(" ") else self._looks.blank(look)
        return text if _is_single(text) else _graphemes(text), look

    def _put_cells(self, x: int, y: int, characters: list[str], looks: list[Look]) -> None:
        row, row_looks = self._wanted[y], self._wanted_looks[y]
        room = max(0, self.width - x)
        if len(characters) > room:
            del characters[room:], looks[room:]
        end = x + len(characters)
        if end == x or (row[x:end] == characters and row_looks[x:end] == looks):
            return
        row[x:end], row_looks[x:end] = characters, looks
        first, last = x, end
        # A wide grapheme that lost one half is a blank in the other.
        if x and row[x] and _is_wide(row[x - 1]):
            row[x - 1], first = " ", x - 1
        if end < self.width:
            if not row[end] and not _is_wide(row[end - 1]):
                row[end], last = " ", end + 1
        elif _is_wide(row[end - 1]):
            row[end - 1] = " "
        self._touched.add(y)
        known = self._dirty.get(y)
        if known is not None:
            first, last = min(first, known[0]), max(last, known[1])
        self._dirty[y] = (first, last)

    def end_update(self) -> None:
        """Let a small update go first: what answers a key does not wait for a big one."""
        if 0 < len(self._touched) <= self.height // 4:
            first = {y: self._dirty.pop(y) for y in sorted(self._touched)}
            self._dirty = first | self._dirty
            self._hurries = True
        self._touched.clear()

    def paint(self, cursor: tuple[int, int] | None = None, limit: int | None = None) -> str:
        """Bring what was sent to what is wanted.

        Args:
            cursor: The cell (column, row) to leave the cursor on, None for anywhere.
            limit: Bytes after which the rest is left for the next time; a quarter of it where a
                small update goes first, for it is seen once the whole frame has arrived.

        Returns:
            What to write to the terminal; empty where it shows it all already.
        """
        parts: list[str] = []
        room = max(1, limit // 4) if limit is not None and self._hurries else limit
        self._hurries = False
        while self._dirty and (room is None or room > 0):
            part = self._paint_rows(room)
            parts.append(part)
            if room is not None:
                room -= len(part.encode())
        if cursor is not None:
            parts.append(self._pen.move(*cursor))
        if self._pen.look != PLAIN and any(parts):
            parts.append(self._pen.change(PLAIN))
        return "".join(parts)

    def paint_corner(self, query: str) -> str:
        """Send a query in such a way that its echo is painted over.

        Terminals that do not know a query may print its last letter. Sent from the top
        left corner and followed by that cell, it leaves no trace.
        """
        home = "\x1b[H"
        self._sent[0][:2] = [None] * len(self._sent[0][:2])
        waiting, self._dirty = self._dirty, {0: (0, min(2, self.width))}
        self._pen.x, self._pen.y = None, None
        text = f"{home}{query}{self.paint()}"
        self._dirty = waiting
        return text

    def _paint_rows(self, room: int | None) -> str:
        """Paint the next rows, of about `room` bytes.

        A colour takes up to 11 bytes and a jump about 5. So what is scattered over the screen is
        written colour by colour, and a row that is written from end to end as it stands.
        """
        parts: list[str] = []
        by_look: dict[Look, list[tuple[int, int, int]]] = {self._pen.look: []}
        size = 0
        for y in list(self._dirty):
            pieces = self._take_changes(y, *self._dirty.pop(y))
            looks = self._wanted_looks[y]
            if _is_scattered(pieces, looks):
                for start, stop in pieces:
                    by_look.setdefault(looks[start], []).append((y, start, stop))
            else:
                parts += [self._paint_piece(y, *piece) for piece in pieces]
            size += sum(JUMP_BYTES + stop - start for start, stop in pieces)
            if room is not None and size >= room:
                break
        parts += [self._paint_piece(*piece) for same in by_look.values() for piece in same]
        return "".join(parts)

    def _take_changes(self, y: int, first: int, last: int) -> list[tuple[int, int]]:
        """Take what differs in a row for sent; returns the pieces of it, each of one look."""
        wanted, looks = self._wanted[y], self._wanted_looks[y]
        sent, sent_looks = self._sent[y], self._sent_looks[y]
        new, new_looks = wanted[first:last], looks[first:last]
        differs = map(
            or_, map(ne, new, sent[first:last]), map(ne, new_looks, sent_looks[first:last])
        )
        changed = list(compress(range(first, last), differs))
        if not changed:
            return []
        sent[first:last], sent_looks[first:last] = new, new_looks
        return [
            piece
            for start, end in self._runs(changed, wanted, looks)
            for piece in self._pieces(start, end, looks)
        ]

    @staticmethod
    def _pieces(start: int, end: int, looks: list[Look]) -> Iterable[tuple[int, int]]:
        """Divide a run into pieces of one look."""
        while start < end:
            stop, look = start + 1, looks[start]
            while stop < end and looks[stop] is look:
                stop += 1
            yield start, stop
            start = stop

    def _runs(
        self, changed: list[int], wanted: list[str], looks: list[Look]
    ) -> Iterable[tuple[int, int]]:
        """Group changed columns into runs, joined where jumping would cost more."""
        start, end = changed[0], changed[0] + 1
        for column in changed:
            if column > end and not _is_cheap_gap(wanted, looks, end, column):
                yield start, end
                start = column
            end = column + 1
        yield start, end

    def _paint_piece(self, y: int, start: int, stop: int) -> str:
        """Write neighbouring cells of one look."""
        pen, look = self._pen, self._wanted_looks[y][start]
        text = "".join(self._wanted[y][start:stop])
        way = pen.move(start, y) + pen.change(look)
        if look == EMPTY and stop == self.width and stop - start > 3 and not text.strip(" "):
            return way + "\x1b[K"  # Erases to the default background on every terminal.
        if not _certain(text):
            return way + self._paint_uncertain(y, start, stop)
        pen.x = stop if stop < self.width else None
        return way + text

    def _paint_uncertain(self, y: int, start: int, stop: int) -> str:
        """Write cells whose width the terminal may see differently.

        After such graphemes the column is unknown, and the next sure cell is moved to.
        """
        pen, wanted = self._pen, self._wanted[y]
        parts: list[str] = []
        for column in range(start, stop):
            text = wanted[column]
            if not text:
                continue
            if _certain(text):
                parts.append(pen.move(column, y))
                pen.x = column + 1 if column + 1 < self.width else None
            else:
                pen.x = None
            parts.append(text)
        return "".join(parts)


def _is_scattered(pieces: list[tuple[int, int]], looks: list[Look]) -> bool:
    """Do the pieces of a row cost less one look after the other than from left to right?"""
    colours = joints = 0
    for before, piece in pairwise(pieces):
        colours += looks[before[0]] is not looks[piece[0]]
        joints += before[1] == piece[0]
    others = len({looks[start] for start, _ in pieces}) - 1
    return not joints or 2 * (colours - others) > joints


def _is_simple(text: str) -> bool:
    """Is this a cell a character, whatever the terminal?"""
    return text.isascii() and text.isprintable()


def _width(segment: Segment) -> int:
    """The cells a segment takes."""
    if segment.control:
        return 0
    text = segment.text
    return len(text if _is_simple(text) or _is_single(text) else _graphemes(text))


def _is_wide(text: str) -> bool:
    """Is this a grapheme of two cells?"""
    return bool(text) and not _is_single(text) and len(_graphemes(text)) > 1


def _is_cheap_gap(wanted: list[str], looks: list[Look], start: int, end: int) -> bool:
    """Is sending the unchanged cells between two runs cheaper than a jump?"""
    if end - start > MAX_JOINED_BYTES:
        return False
    gap = "".join(wanted[start:end])
    if not _certain(gap) or len(gap.encode()) > MAX_JOINED_BYTES:
        return False
    before = looks[start - 1]
    return all(change_look(before, look)[0] == "" for look in looks[start:end])

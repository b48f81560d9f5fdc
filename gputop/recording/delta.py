"""Frames as what changed since the one before, without loss.

A delta line says which parts of the frame are gone, which are new or of another kind (`put`), and
by how much each number changed. The numbers that have changed since the block's first frame are
*followed*: every line holds one entry for each of them, in an order both sides know, so that no
name has to be repeated:

- an integer: the difference. A float counts in units of its last decimal so far, so 71.5 to 71.25
  is -25 once it has been seen with two decimals;
- ``null``: it is not there any more;
- ``[value]``: this very value, where a difference would not restore it exactly.

A device is known by its UUID in here and a process by its pid and start, so that a list which
loses its first entry does not change all others.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

Key = str | int
Path = tuple[Key, ...]

MOST_DECIMALS = 12
"""A float with more is written as it is: a difference of its digits would be no shorter."""
LARGEST_STEP = 1 << 53
"""What any reader of JSON takes as a whole number."""
MOST_UNITS = 1 << 50
"""Up to here a float counted in units of its last decimal gives the same count when asked again,
so that it need not be asked.
"""
_POWERS = tuple(10**n for n in range(MOST_DECIMALS + 1))
_LISTS = ("devices", "processes")


class Misfit(ValueError):
    """A delta that does not fit the frame before it."""


class Delta(msgspec.Struct, tag="delta", omit_defaults=True):
    """One frame, as seen from the one before."""

    gone: list[Path] = []
    put: list[tuple[Path, Any]] = []
    order: dict[str, list[str]] = {}
    """Identities of devices or processes, where their order is not the old with the new behind."""
    follow: list[Path] = []
    """Numbers that are followed from this line on."""
    by: list[Any] = []
    """One entry for each number followed."""


class _Number:
    """One number that is followed: where it stands, and its decimals so far."""

    __slots__ = ("_units", "decimals", "holder", "key", "name", "path")

    def __init__(self, path: Path, holder: Any) -> None:
        self.path = path
        self.holder = holder
        self.key = path[-1]
        self.name = _name(path)
        value = self.value
        self.decimals = (_decimals(value) or 0) if type(value) is float else 0
        self._units: int | None = None
        """The float in units of its last decimal; None where that was not worked out yet."""

    @property
    def value(self) -> Any:
        """The number, None where there is none now."""
        return self.holder.get(self.key) if type(self.holder) is dict else self.holder[self.key]

    def entry(self, value: Any) -> Any:
        """What a line says for the number to become `value`."""
        before = self.value
        if _same(before, value):
            return 0
        if value is None:
            return None
        if type(before) is not type(value):
            return [value]
        by = value - before if type(value) is int else self._by(before, value)
        return by if by and abs(by) < LARGEST_STEP else [value]

    def _by(self, before: float, value: float) -> int:
        """The difference in units of the last decimal; 0 where that would not restore it."""
        decimals = _decimals(value)
        if decimals is None or decimals > self.decimals or _decimals(before) is None:
            return 0
        scale = _POWERS[self.decimals]
        by = round(value * scale) - round(before * scale)
        return by if _moved(before, by, self.decimals) == value else 0

    def take(self, entry: Any) -> None:
        """Do what an entry says."""
        if type(entry) is int:
            if entry:
                self.move(entry)
            return
        self._units = None
        if entry is None:
            if type(self.holder) is not dict:
                raise Misfit("takes a number out of a list")
            self.holder.pop(self.key, None)
        elif type(entry) is list and len(entry) == 1 and type(entry[0]) in (int, float):
            self.holder[self.key] = entry[0]
            if type(entry[0]) is float:
                self.decimals = max(self.decimals, _decimals(entry[0]) or 0)
        else:
            raise Misfit("holds what is no number")

    def move(self, by: int) -> None:
        """Change it by a difference that is not 0: what nearly every entry says."""
        holder, key = self.holder, self.key
        before = holder[key]
        if type(before) is int:
            holder[key] = before + by
        elif type(before) is float:
            units = self._units
            if units is None:
                units = round(before * _POWERS[self.decimals])
            units += by
            holder[key] = units / _POWERS[self.decimals]
            self._units = units if -MOST_UNITS < units < MOST_UNITS else None
        else:
            raise Misfit("changes a number that is not there")


class _Tree:
    """A frame as plain data that deltas are applied to, and the numbers that are followed."""

    def __init__(self, frame: dict[str, Any]) -> None:
        self.frame = frame
        self.numbers: list[_Number] = []

    def shape(self, gone: Iterable[Path], put: Iterable[tuple[Path, Any]]) -> None:
        """Take parts away and put others in."""
        touched = set()
        for path in gone:
            holder = self._holder(path)
            if type(holder) is not dict or path[-1] not in holder:
                raise Misfit("takes away what is not there")
            del holder[path[-1]]
            touched.add(path)
        for path, value in put:
            holder = self._holder(path)
            holder[path[-1]] = value
            touched.add(path)
        if touched:
            ends = {len(path) for path in touched}
            self.numbers = [n for n in self.numbers if not _within(n.path, touched, ends)]

    def arrange(self, order: dict[str, list[str]]) -> None:
        """Put devices or processes into another order."""
        for name, keys in order.items():
            entries = self.frame.get(name)
            if type(entries) is not dict or sorted(entries) != sorted(keys):
                raise Misfit("orders what is not there")
            self.frame[name] = {key: entries[key] for key in keys}

    def follow(self, paths: Iterable[Path]) -> None:
        """Follow more numbers. Those of one name stand together, whatever they belong to: they
        look alike, and what looks alike packs well.
        """
        more = [_Number(path, self._holder(path)) for path in paths]
        if more:
            self.numbers += more
            self.numbers.sort(key=_by_name)

    def _holder(self, path: Path) -> Any:
        if not path:
            raise Misfit("names nothing")
        place: Any = self.frame
        try:
            for key in path[:-1]:
                place = place[key]
        except (LookupError, TypeError):
            raise Misfit("names what is not there") from None
        if type(place) is list and not (type(path[-1]) is int and 0 <= path[-1] < len(place)):
            raise Misfit("names what is beyond the end of a list")
        if type(place) not in (dict, list) or (type(place) is dict and type(path[-1]) is not str):
            raise Misfit("names what is not there")
        return place


class DeltaEncoder:
    """Turns frames into deltas; `start` makes the next one whole."""

    def __init__(self) -> None:
        self._tree: _Tree | None = None

    def start(self, frame: dict[str, Any]) -> None:
        """Begin with a whole frame, as decoded JSON; it is kept and changed."""
        keyed = _keyed(frame)
        self._tree = _Tree(keyed) if keyed is not None else None

    def encode(self, frame: dict[str, Any]) -> Delta | None:
        """The frame as a delta; None where it has to be written whole."""
        after = _keyed(frame)
        tree = self._tree
        if tree is None or after is None:
            return None
        delta = Delta()
        followed = {number.path for number in tree.numbers}
        for path, kind, value in _changes(tree.frame, after, ()):
            if kind == "gone":
                if path not in followed:
                    delta.gone.append(path)
            elif kind == "put":
                if path not in followed or type(value) not in (int, float):
                    delta.put.append((path, value))
            elif path not in followed:
                delta.follow.append(path)
        tree.shape(delta.gone, delta.put)
        for name in _LISTS:
            wanted = list(after.get(name, ()))
            if list(tree.frame.get(name, ())) != wanted:
                delta.order[name] = wanted
        tree.arrange(delta.order)
        tree.follow(delta.follow)
        for number in tree.numbers:
            entry = number.entry(_find(after, number.path))
            delta.by.append(entry)
            number.take(entry)
        return delta


class DeltaDecoder:
    """Turns deltas back into frames."""

    def __init__(self) -> None:
        self._tree: _Tree | None = None

    def start(self, frame: dict[str, Any]) -> None:
        """Begin with a whole frame, as decoded JSON; it is kept and changed."""
        keyed = _keyed(frame)
        self._tree = _Tree(keyed) if keyed is not None else None

    def decode(self, delta: Delta) -> dict[str, Any]:
        """The next frame as plain data; the lists in it belong to the decoder.

        Raises:
            Misfit: the delta does not fit; the message completes "line N ...".
        """
        tree = self._tree
        if tree is None:
            raise Misfit("follows no frame that it could be a change of")
        # What the line puts in is kept and changed later on: nobody else holds it.
        tree.shape(delta.gone, delta.put)
        tree.arrange(delta.order)
        tree.follow(delta.follow)
        if len(delta.by) != len(tree.numbers):
            raise Misfit(f"has {len(delta.by)} numbers for {len(tree.numbers)}")
        try:
            for number, entry in zip(tree.numbers, delta.by, strict=True):
                if type(entry) is not int:
                    number.take(entry)
                elif entry:
                    number.move(entry)
        except (LookupError, TypeError, OverflowError):
            raise Misfit("changes a number that is not there") from None
        return _listed(tree.frame)


def _changes(before: Any, after: Any, path: Path) -> Iterator[tuple[Path, str, Any]]:
    """Where two trees differ: (path, gone | put | number, the new value)."""
    if type(before) is dict:
        for key, old in before.items():
            if key not in after:
                yield (*path, key), "gone", None
            else:
                new = after[key]
                if old is not new:
                    yield from _change(old, new, (*path, key))
        for key, new in after.items():
            if key not in before:
                yield (*path, key), "put", new
        return
    for place, (old, new) in enumerate(zip(before, after, strict=True)):
        yield from _change(old, new, (*path, place))


def _change(old: Any, new: Any, path: Path) -> Iterator[tuple[Path, str, Any]]:
    kind = type(old)
    if kind is not type(new):
        yield path, "put", new
    elif kind is dict or (kind is list and len(old) == len(new)):
        if old != new:
            yield from _changes(old, new, path)
    elif kind is int or kind is float:
        if not _same(old, new):
            yield path, "number", new
    elif old != new:
        yield path, "put", new


def _same(old: Any, new: Any) -> bool:
    return type(old) is type(new) and bool(old == new)


def _decimals(value: float) -> int | None:
    """How many decimals a float has as it is written; None for what is not written so."""
    whole, _, behind = repr(value).partition(".")
    if "e" in behind or "e" in whole or len(behind) > MOST_DECIMALS:
        return None
    return 0 if behind == "0" else len(behind)


def _moved(value: float, by: int, decimals: int) -> float:
    scale: int = _POWERS[decimals]
    return (round(value * scale) + by) / scale


_by_name = operator.attrgetter("name")


def _name(path: Path) -> str:
    return next((key for key in reversed(path) if type(key) is str), "")


def _within(path: Path, touched: set[Path], ends: set[int]) -> bool:
    """Whether a path leads into what was touched; `ends` are the lengths of the paths there."""
    for end in ends:  # noqa: SIM110 - a generator takes twice the time, and there are hundreds
        if path[:end] in touched:
            return True
    return False


def _find(tree: Any, path: Path) -> Any:
    """What stands at a path; None where nothing does."""
    for key in path:
        if type(tree) is dict:
            tree = tree.get(key)
        elif type(tree) is list and type(key) is int and key < len(tree):
            tree = tree[key]
        else:
            return None
    return tree


def _keyed(frame: dict[str, Any]) -> dict[str, Any] | None:
    """The frame with devices and processes by their identity; None where two are the same."""
    result = dict(frame)
    for name in _LISTS:
        entries = frame.get(name)
        if entries is None:
            continue
        keyed = {_identity(entry): entry for entry in entries}
        if len(keyed) != len(entries):
            return None
        result[name] = keyed
    return result


def _identity(entry: dict[str, Any]) -> str:
    uuid = entry.get("uuid")
    return uuid if type(uuid) is str else f"{entry.get('pid')}:{entry.get('start_ticks')}"


def _listed(frame: dict[str, Any]) -> dict[str, Any]:
    result = dict(frame)
    for name in _LISTS:
        if type(result.get(name)) is dict:
            result[name] = list(result[name].values())
    return result

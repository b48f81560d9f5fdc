"""The values a term may compare with: sizes, per cents, durations, numbers and lists of them."""

from __future__ import annotations

import re
from typing import NamedTuple

from gputop import spans


class BadValue(ValueError):
    """A value that is not accepted; the message completes "`field` wants ...", or says it all."""


class Literal(NamedTuple):
    """A number as it was written."""

    value: float
    """In the model's unit."""
    slack: float
    """Half a unit of its last digit: what `=` lets pass, so that ``10G`` equals 10.2 GiB."""


_NUMBER = re.compile(r"(\d+)(?:\.(\d*))?\s*([A-Za-z%]*)")

_LETTERS = "kmgtp"
_SIZES = {"b": 1.0}
for _power, _letter in enumerate(_LETTERS, 1):
    _SIZES[_letter] = _SIZES[f"{_letter}i"] = _SIZES[f"{_letter}ib"] = 1024.0**_power
    _SIZES[f"{_letter}b"] = 1000.0**_power
_PERCENT = {"": 0.01, "%": 0.01}
_PLAIN = {"": 1.0}


def _literal(text: str, units: dict[str, float], wanted: str) -> Literal:
    match = _NUMBER.fullmatch(text)
    scale = units.get(match[3].lower()) if match else None
    if match is None or scale is None:
        raise BadValue(wanted)
    decimals = match[2] or ""
    return Literal(
        float(f"{match[1]}.{decimals or 0}") * scale, 0.5 * 10.0 ** -len(decimals) * scale
    )


def size(text: str) -> Literal:
    """Bytes: ``10G`` and ``10GiB`` are binary, ``10GB`` is decimal. Only 0 goes without a unit."""
    if text == "0":
        return Literal(0.0, 0.5)
    return _literal(text, _SIZES, "a size with its unit, such as 10G, 512MiB or 80GB")


def percent(text: str) -> Literal:
    """A ratio, from per cent with or without its sign."""
    return _literal(text, _PERCENT, "a percentage, such as 50 or 50%")


def number(text: str) -> Literal:
    """A count."""
    return _literal(text, _PLAIN, "a number, such as 16")


def duration(text: str) -> Literal:
    """Seconds, from numbers with units, or from one without."""
    span = spans.parse(text)
    if span is None:
        raise BadValue("a time, such as 90s, 5m, 1h30m or 1d")
    return Literal(span.seconds, 0.5 * span.step_s)


_RANGE = re.compile(r"(\d{1,10})(?:-(\d{1,10}))?")


def integer_ranges(text: str, wanted: str) -> list[tuple[int, int]]:
    """``0,2-3`` as pairs of first and last."""
    ranges = []
    for part in text.split(","):
        match = _RANGE.fullmatch(part.strip())
        if match is None:
            raise BadValue(wanted)
        first = int(match[1])
        last = int(match[2]) if match[2] else first
        if last < first:
            raise BadValue(f"a range from low to high, not {part.strip()}")
        ranges.append((first, last))
    return ranges


def words(text: str) -> list[str]:
    """A comma list in small letters; empty places (while it is being typed) are left out."""
    return [word for part in text.split(",") if (word := part.strip().casefold())]

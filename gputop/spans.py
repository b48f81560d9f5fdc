"""Spans of time as people write them: ``90s``, ``1h30m``, ``500ms``, ``2.5`` (seconds)."""

from __future__ import annotations

import math
import re
from typing import NamedTuple

UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_PART = r"(\d+)(?:\.(\d*))?\s*(ms|s|min|m|h|d)"
_PARTS = re.compile(_PART, re.IGNORECASE)
_SPAN = re.compile(rf"(?:{_PART}\s*)+", re.IGNORECASE)
_NUMBER = re.compile(r"\d+(?:\.\d*)?")


class Span(NamedTuple):
    """A span that was written."""

    seconds: float
    step_s: float
    """What one more in its last digit would add."""


def parse(text: str) -> Span | None:
    """The span that a text means: a number of seconds, or numbers with units; None for others,
    and for what no float can hold.
    """
    text = text.strip()
    if _NUMBER.fullmatch(text):
        text += "s"
    if not _SPAN.fullmatch(text):
        return None
    seconds = step = 0.0
    for whole, decimals, unit in _PARTS.findall(text):
        scale = UNITS[unit.lower()]
        seconds += float(f"{whole}.{decimals or 0}") * scale
        step = scale * 10.0 ** -len(decimals)
    return Span(seconds, step) if math.isfinite(seconds) else None

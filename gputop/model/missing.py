"""Why a value is not there: the words that stand in a record's ``missing`` maps."""

from __future__ import annotations

import errno
import os

UNSUPPORTED = "unsupported"
DENIED = "denied"
PENDING = "pending"
NEEDS_TWO_READINGS = "needs_two_readings"
LOST = "lost"
TIMED_OUT = "timed_out"
ERROR = "error"
"""A read that failed without a code."""


def error(code: int | str) -> str:
    """A read that failed with an NVML return code, or with the name of an exception."""
    return f"error({code})"


def implausible(raw: object) -> str:
    """A value outside the range its metric can have; `raw` is what was answered."""
    return f"implausible({raw})"


_WORDS = {
    UNSUPPORTED: "not supported",
    DENIED: "no permission",
    PENDING: "not read yet",
    NEEDS_TWO_READINGS: "needs a second reading",
    LOST: "device lost",
    TIMED_OUT: "no answer from the driver",
    ERROR: "reading failed",
}


def explain(reason: str) -> str:
    """The reason in words for a person."""
    head, _, argument = reason.rstrip(")").partition("(")
    if head == "error" and hasattr(errno, argument):
        return os.strerror(getattr(errno, argument)).lower()
    if head == "error" and argument:
        return f"the driver answered error {argument}"
    if head == "implausible":
        return f"the driver answered {_short(argument)}, which cannot be"
    return _WORDS.get(head, reason)


def _short(number: str) -> str:
    """A number without the digits that a calculation leaves behind; any other text as it is."""
    try:
        return f"{float(number):.10g}" if "." in number else number
    except ValueError:
        return number

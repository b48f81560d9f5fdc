"""Moments of a recording, as people write them."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from gputop.errors import UsageError
from gputop.query.literals import BadValue, duration

WANTED = "a clock time such as 14:25 or 2026-11-21 14:25:30, or a time from its start such as 90s"
_CLOCK = re.compile(r"(?:(\d{4})-(\d\d?)-(\d\d?)[ T])?(\d\d?):(\d\d)(?::(\d\d(?:\.\d+)?))?")


def moment(words: str, first_utc_s: float, now_utc_s: float | None = None) -> float:
    """The UTC seconds that `words` mean in a recording that begins at `first_utc_s`.

    A clock time is local, and without a date the first such time from the beginning on. A
    duration counts from the beginning; with a sign from `now_utc_s`, where that is given.

    Raises:
        UsageError: they mean no moment.
    """
    words = words.strip()
    if match := _CLOCK.fullmatch(words):
        return _clock(match, words, first_utc_s)
    sign = words[:1] if words[:1] in ("+", "-") else ""
    try:
        seconds = duration(words.removeprefix(sign).strip()).value
    except BadValue:
        raise UsageError(f"{words!r} is not {WANTED}.") from None
    if sign and now_utc_s is not None:
        return now_utc_s + (seconds if sign == "+" else -seconds)
    if sign == "-":
        raise UsageError(f"{words!r} lies before the beginning; give {WANTED}.")
    return first_utc_s + seconds


def _clock(match: re.Match[str], words: str, first_utc_s: float) -> float:
    year, month, day, hour, minute, second = match.groups()
    try:
        begin = datetime.fromtimestamp(first_utc_s)
        date = datetime(int(year), int(month), int(day)) if year else begin
        at = date.replace(hour=int(hour), minute=int(minute), second=0, microsecond=0)
        at += timedelta(seconds=float(second or 0))
        if not year and at < begin.replace(microsecond=0):
            at += timedelta(days=1)
        return at.timestamp()
    except (ValueError, OverflowError, OSError):
        raise UsageError(f"{words!r} is no time there is; give {WANTED}.") from None

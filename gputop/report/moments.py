"""Moments of a run as a user names them: a time of day, a date, or so long after the begin."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from gputop import spans
from gputop.errors import GputopError
from gputop.model.frame import Frame

_CLOCK = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2}))?")
ACCEPTED = "a time such as 14:05, 2026-11-21T14:05:30, or 90s or 1h30m after the begin"


@dataclass(frozen=True)
class Moment:
    """One moment: after the begin, by the calendar, or the next time a clock shows something."""

    after_s: float | None = None
    utc_s: float | None = None
    clock_s: int | None = None
    """Seconds since midnight, in the machine's time zone."""

    @classmethod
    def parse(cls, text: str) -> Moment:
        """The moment that a text means.

        Raises:
            ValueError: it means none.
        """
        text = text.strip()
        if match := _CLOCK.fullmatch(text):
            hours, minutes, seconds = (int(part or 0) for part in match.groups())
            if hours < 24 and minutes < 60 and seconds < 60:
                return cls(clock_s=hours * 3600 + minutes * 60 + seconds)
        elif span := spans.parse(text.removeprefix("+")):
            return cls(after_s=span.seconds)
        else:
            try:
                return cls(utc_s=datetime.fromisoformat(text).astimezone().timestamp())
            except (ValueError, OverflowError, OSError):
                pass
        raise ValueError(f"{text!r} is not {ACCEPTED}")

    def boottime(self, first: Frame) -> float:
        """Its CLOCK_BOOTTIME in a recording that begins with the frame `first`.

        Raises:
            GputopError: no clock ever showed what the recording says of its begin.
        """
        if self.after_s is not None:
            return first.boottime_s + self.after_s
        utc = self.utc_s if self.utc_s is not None else self._next(first.utc_s)
        return first.boottime_s + utc - first.utc_s

    def _next(self, begin_utc_s: float) -> float:
        try:
            begin = datetime.fromtimestamp(begin_utc_s).astimezone()
            return self._next_after(begin)
        except (ValueError, OverflowError, OSError):
            raise GputopError(
                "The recording does not begin at any date there is, so no time of day lies in it; "
                "give times after its begin, such as 90s."
            ) from None

    def _next_after(self, begin: datetime) -> float:
        midnight = begin.replace(hour=0, minute=0, second=0, microsecond=0)
        found = midnight + timedelta(seconds=self.clock_s or 0)
        # A minute's grace: who names the minute in which it began means its begin.
        if found < begin - timedelta(seconds=60):
            found += timedelta(days=1)
        return found.timestamp()

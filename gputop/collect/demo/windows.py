"""Spans of time in which something is going on: when the stories of the demo happen."""

from __future__ import annotations

import math

from msgspec import Struct


class Windows(Struct, frozen=True):
    """The same span again and again, in seconds of the story."""

    first_s: float
    length_s: float
    period_s: float = math.inf
    """From one beginning to the next; infinite for a thing that happens once."""
    eternal: bool = False
    """True when it also went on, in the same rhythm, before `first_s`."""

    def into(self, t: float) -> float | None:
        """Seconds since the span that `t` lies in began, or None between spans."""
        since = t - self.first_s
        if since < 0.0 and not self.eternal:
            return None
        if self.period_s != math.inf:
            since %= self.period_s
        return since if since < self.length_s else None

    def begun(self, t: float) -> int:
        """How many spans have begun at `t`, counted from `first_s`."""
        if t < self.first_s:
            return 0
        return 1 if self.period_s == math.inf else int((t - self.first_s) // self.period_s) + 1

    def begin_of(self, number: int) -> float:
        """When span `number` (from 1) begins."""
        return self.first_s if number == 1 else self.first_s + (number - 1) * self.period_s

    def begins(self, after: float, until: float) -> list[float]:
        """The beginnings in (after, until]."""
        return [self.begin_of(n) for n in range(self.begun(after) + 1, self.begun(until) + 1)]

    def longer(self, seconds: float) -> Windows:
        """The same spans, each ending `seconds` later."""
        return Windows(self.first_s, self.length_s + seconds, self.period_s, self.eternal)

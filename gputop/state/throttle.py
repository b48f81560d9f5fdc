"""How long a device was held back, reason by reason.

The driver's cumulative violation counters see what happens between two readings and are used
where it has them; elsewhere the sampled event reason bits stand in, and it is said which.
"""

from __future__ import annotations

import math
from typing import Literal

from msgspec import Struct

from gputop.model.frame import DeviceReading
from gputop.model.nvml_tables import HARMFUL, EventReason, without_roll_up
from gputop.state.tally import DayTally

Basis = Literal["counter", "sampled"]


_COUNTED = tuple((r.key, r.violation) for r in HARMFUL if r.violation)
"""The reasons for which there is a counter, and its name."""
LONGEST_GAP_S = 120
"""A sampled bit speaks for the time since the reading before, up to so many seconds."""


class Share(Struct, frozen=True):
    """The part of a window in which one reason held the device back."""

    reason: EventReason
    share: float
    """0 to 1, of the seconds that were read."""
    covered_s: int
    """Seconds of the window that were read."""
    basis: Basis


class Throttling(Struct, frozen=True):
    """The shares of three windows, worst first."""

    minute: tuple[Share, ...] = ()
    ten_minutes: tuple[Share, ...] = ()
    session: tuple[Share, ...] = ()
    """Since the first reading."""


class _Account:
    """One reason: what it took, and of how long."""

    __slots__ = ("basis", "counter", "held", "session_held_s", "session_read_s")

    def __init__(self) -> None:
        self.basis: Basis = "sampled"
        self.counter: tuple[float, float] | None = None
        """When the driver's counter was read last (CLOCK_BOOTTIME), and what it said."""
        self.held: DayTally | None = None
        """Made when the reason first occurs: most never do."""
        self.session_held_s = self.session_read_s = 0.0

    def add(self, start: float, end: float, share: float) -> None:
        """Count `share` of [start, end) as held back."""
        if share and self.held is None:
            self.held = DayTally()
        if share and self.held is not None:
            self.held.add(start, end, share)

    def add_to_session(self, read_s: float, held_s: float) -> None:
        """Count `held_s` of `read_s` seconds in the sums since the first reading."""
        self.session_read_s += read_s
        self.session_held_s += held_s


class ThrottleAccount:
    """Adds up one device's throttling from its readings.

    A reading speaks for the time since the one before: a counter's growth is exact over it, a
    sampled bit is taken to have held all through it. The first reading speaks for no time.
    """

    def __init__(self) -> None:
        self._read: dict[Basis, DayTally] = {"counter": DayTally(), "sampled": DayTally()}
        self._accounts = {reason.key: _Account() for reason in HARMFUL}
        self._last: dict[Basis, float] = {}
        """CLOCK_BOOTTIME of the newest reading with a counter, and with the bits."""

    @property
    def _now(self) -> float:
        return max(self._last.values(), default=0.0)

    def update(self, reading: DeviceReading) -> None:
        """Take a reading; one that repeats older groups adds nothing."""
        counted = self._take_counters(reading, reading.read_at.medium)
        at, mask = reading.read_at.fast, reading.event_reasons
        before = self._last.get("sampled")
        if at is None or mask is None or at == before:
            return
        self._last["sampled"] = at
        if before is None or not 0 < at - before <= LONGEST_GAP_S:
            return
        self._read["sampled"].add(before, at)
        if not counted:
            self._read["counter"].add(before, at)  # the bits stand in for the counters
        mask = without_roll_up(mask)
        for reason in HARMFUL:
            if reason.key not in counted:
                self._by_bit(self._accounts[reason.key], bool(mask & reason.bit), before, at)

    def _take_counters(self, reading: DeviceReading, at: float | None) -> set[str]:
        """Take the driver's counters; the keys of the reasons that these speak for."""
        counted = set()
        newest = None
        for key, violation in _COUNTED:
            account = self._accounts[key]
            counter: float | None = getattr(reading, violation)
            if counter is None or at is None:
                account.counter = None
                continue
            if account.counter is not None:
                counted.add(key)
                account.basis = "counter"
                newest = account.counter[0]
                if at > newest:
                    self._by_counter(account, at, counter)
            account.counter = (at, counter)
        if counted and newest is not None and at is not None and at > newest:
            self._last["counter"] = at
            self._read["counter"].add(max(newest, at - LONGEST_GAP_S), at)
        return counted

    def _by_counter(self, account: _Account, at: float, counter: float) -> None:
        assert account.counter is not None
        before, count = account.counter
        if counter < count:
            return  # it began anew: its growth is unknown
        held = min(counter - count, at - before)
        account.add_to_session(at - before, held)
        # Of a long gap it is known how much was lost, but not when.
        account.add(max(before, at - LONGEST_GAP_S), at, held / (at - before))

    def _by_bit(self, account: _Account, held: bool, before: float, at: float) -> None:
        account.basis = "sampled"
        account.add_to_session(at - before, at - before if held else 0.0)
        account.add(before, at, 1.0 if held else 0.0)

    def shares(self, now: float, window_s: float) -> list[Share]:
        """The reasons that held the device back in the window before `now`, worst share first.
        A window that reaches back more than an hour is rounded to minutes.
        """
        return self._between(math.ceil(now - window_s), now)

    def session(self) -> list[Share]:
        """The same since the first reading, however long ago that was."""
        found = [
            Share(reason, min(account.session_held_s / account.session_read_s, 1.0),
                  round(account.session_read_s), account.basis)
            for reason in HARMFUL
            if (account := self._accounts[reason.key]).session_held_s
        ]  # fmt: skip
        return sorted(found, key=lambda share: -share.share)

    @property
    def session_read_s(self) -> float:
        """Seconds since the first reading in which it was read whether anything held it back."""
        return max(account.session_read_s for account in self._accounts.values())

    def windows(self, now: float) -> Throttling:
        """The shares of the last minute, the last ten and the session."""
        minute, ten = (tuple(self.shares(now, window_s)) for window_s in (60.0, 600.0))
        return Throttling(minute, ten, tuple(self.session()))

    def worst(self, start_s: float, end_s: float) -> tuple[EventReason, float] | None:
        """The reason with the largest share (0 to 1) of the time between two moments
        (CLOCK_BOOTTIME) of the last 24 hours; None when nothing held the device back or nothing
        was read. Beyond the last hour the moments are rounded to minutes.
        """
        shares = self._between(start_s, end_s)
        return (shares[0].reason, shares[0].share) if shares else None

    def _between(self, start: float, end: float) -> list[Share]:
        found = []
        for reason in HARMFUL:
            account = self._accounts[reason.key]
            if account.held is None:
                continue
            held = account.held.sum(start, end, self._now)
            covered = self._read[account.basis].sum(start, end, self._now) if held else 0.0
            if covered:
                share = min(held / covered, 1.0)
                found.append(Share(reason, share, round(covered), account.basis))
        return sorted(found, key=lambda share: -share.share)

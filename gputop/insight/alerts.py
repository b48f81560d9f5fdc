"""A warning begins, lasts and ends."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from gputop.model.nvml_tables import SEVERITIES, Severity


class Alert(Struct):
    """Something wrong with a device (or the host), while it lasts and after."""

    rule: str
    device: str | None
    """UUID; None for the host and the driver."""
    where: str
    """The device's index and name at the time, for a person."""
    severity: Severity
    word: str
    """The title in at most six letters."""
    title: str
    meaning: str
    advice: str
    since_s: float
    """CLOCK_BOOTTIME."""
    since_utc_s: float
    detail: str = ""
    """The value now, with its unit."""
    worst: float | None = None
    worst_detail: str = ""
    until_s: float | None = None
    """CLOCK_BOOTTIME at which it ended; None while it lasts."""
    since_known: bool = True
    """False where it lasted already when what is known begins: then that is its `since_s`."""
    before_start: bool = False
    """True for what happened before this program began to look."""

    @property
    def active(self) -> bool:
        """True while it lasts."""
        return self.until_s is None

    def lasted_s(self, now: float) -> float:
        """Seconds from its begin to its end, or to `now`."""
        return (self.until_s if self.until_s is not None else now) - self.since_s


class Change(Struct, frozen=True):
    """What became of an alert."""

    what: Literal["begin", "end", "moment"]
    """`moment` for what has no end, such as an Xid or a device that is back."""
    alert: Alert


def severity_rank(severity: Severity) -> int:
    """0 for the worst."""
    return SEVERITIES.index(severity)

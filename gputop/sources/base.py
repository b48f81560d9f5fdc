"""What every source of records is to those who read it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, Protocol

from msgspec import Struct

from gputop.model.commands import Command
from gputop.model.frame import AnyRecord, DriverInfo

EXIT_START_AFRESH = 75
"""How a collector with `--control` ends when the driver was replaced under it: a new process will
do (EX_TEMPFAIL of sysexits.h).
"""

SourceState = Literal["starting", "live", "silent", "restarting", "stuck", "stopped"]


class SourceStatus(Struct, frozen=True):
    """How a source is doing."""

    state: SourceState
    message: str = ""
    """One sentence on a state other than live, or on what could not be read."""
    since_s: float = 0.0
    """`time.monotonic()` at which it came into this state."""
    attempts: int = 0
    """How often it was started again since it last worked for a minute."""
    stderr: str = ""
    """The last line the collector wrote to stderr."""


def no_driver(driver: DriverInfo, not_found: Sequence[str] = ()) -> str:
    """What to tell a user without a device: what happened, and what to do. `not_found` is what was
    asked for in vain.
    """
    if driver.status == "ok" and not_found:
        return f"None of the devices that were asked for was found: {', '.join(not_found)}."
    if driver.status == "ok":
        return "The NVIDIA driver works, but there is no device behind it."
    said = " ".join(part for part in (driver.message, driver.remedy) if part)
    return said or f"The NVIDIA driver cannot be used (status: {driver.status})."


OnRecord = Callable[[AnyRecord], None]
OnStatus = Callable[[SourceStatus], None]


class Source(Protocol):
    """Yields records: hellos, frames and events of one host."""

    live: bool
    """True when the records are made now, False when they are played back."""
    can_seek: bool
    can_set_interval: bool
    can_signal: bool
    """True when its pids are processes of this machine, so that signals may be sent to them."""
    late_s: float
    """How old the last frame was when it came: what waited in the pipe while we were stopped is not
    of now. 0 for what is played back.
    """

    @property
    def period_s(self) -> float:
        """Seconds from one frame to the next, on which staleness rests."""

    def start(self, on_record: OnRecord, on_status: OnStatus) -> None:
        """Begin to deliver. Both are called from a thread of the source and must return soon."""

    def send(self, command: Command) -> None:
        """Tell the collector behind it; a source without one ignores it."""

    def stop(self) -> None:
        """End it without waiting. Nothing is delivered afterwards, save a call under way."""

"""What the collector's loop asks of a machine: the real one through NVML, or a simulated one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from msgspec import Struct, field

from gputop.model.frame import (
    DeviceInfo,
    DeviceReading,
    DeviceUse,
    DriverInfo,
    Event,
    HostInfo,
    HostReading,
    Process,
)


class Tick(Struct, frozen=True):
    """One round of reading."""

    number: int
    boottime_s: float
    """CLOCK_BOOTTIME at which it began, in seconds."""
    utc_s: float
    interval_s: float
    slow: bool = False
    """True when the slow tier is asked for, whatever its own rhythm says."""


class Answers(Struct):
    """What the devices have said so far: everything a frame or hello takes from the driver."""

    driver: DriverInfo
    inventory: Sequence[DeviceInfo] = ()
    """In the driver's index order, MIG instances behind their device; a lost device stays."""
    readings: Sequence[DeviceReading] = ()
    """One for each of `inventory`, in its order."""
    uses: Mapping[int, Sequence[DeviceUse]] = field(default_factory=dict)
    """What each pid holds on the devices, from the newest process lists."""
    events: Sequence[Event] = ()
    """New since the last call; `session` and `seq` are filled in by the loop."""
    unheard: tuple[float, float] | None = None
    """From when to when (CLOCK_BOOTTIME) no event could be heard, told once it is over."""
    nvml_calls: int = 0
    """Driver calls since start."""
    unlisted: bool = False
    """True while a device is being opened that `inventory` does not name yet."""


class Devices(Protocol):
    """The GPUs of a machine. No method blocks on the driver except `wait`, up to its deadline."""

    def open(self) -> None:
        """Begin to open the driver in the background (and keep trying when it is absent)."""

    def request(self, tick: Tick) -> None:
        """Ask every device to read what is due at this tick."""

    def wait(self, seconds: float) -> None:
        """Return when every device asked has answered, or after `seconds`."""

    def answers(self) -> Answers:
        """Everything answered so far. Values past their deadline are gone, with their reason."""

    def release(self) -> None:
        """Let go of the driver: no handle, no open client."""

    def retake(self) -> None:
        """Open the driver again after `release`."""

    def close(self) -> None:
        """The collector is leaving: stop asking. Must not wait for a call that hangs."""


class Host(Protocol):
    """The machine around the GPUs."""

    def info(self) -> HostInfo:
        """What does not change while it is up."""

    def read(self, tick: Tick) -> HostReading:
        """Its load now. Rates need two readings; the first says `needs_two_readings`."""

    def processes(
        self, tick: Tick, uses: Mapping[int, Sequence[DeviceUse]], with_args: bool
    ) -> list[Process]:
        """The processes behind the driver's pids, with what the host knows of each."""


class Past(Protocol):
    """What is still known of the time in which nobody listened."""

    def start(self) -> None:
        """Begin to read what was before the collector, without blocking."""

    def look_back(self, since_s: float, until_s: float) -> None:
        """Begin to read what happened between two moments (CLOCK_BOOTTIME), without blocking."""

    def events(self, inventory: Iterable[DeviceInfo], all_named: bool) -> list[Event]:
        """What was read, once: what a device of `inventory` was through, and the rest when
        `all_named` says that it is of none.
        """


class Machine(Struct):
    """Where one collector's readings come from."""

    devices: Devices
    host: Host
    simulated: bool = False
    past: Past | None = None

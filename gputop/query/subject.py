"""What a filter asks of a process: the values, whoever holds them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from msgspec import Struct


class Amount(NamedTuple):
    """A number that may be unknown, or known only in part."""

    value: float | None = None
    at_least: bool = False
    """True for a sum with a part that was not read: the whole is `value` or more."""


UNKNOWN = Amount()

STATES = {
    "R": "running", "S": "sleeping", "D": "disk-sleep", "Z": "zombie", "T": "stopped",
    "t": "traced", "I": "idle", "X": "dead", "P": "parked",
}  # fmt: skip
"""Words for the letters of proc(5); D is any wait that no signal ends, the driver's included."""


class Place(Struct, frozen=True):
    """A device, or an instance of one, that a process is on."""

    index: int | None
    """The device's index, None when the driver gave it none."""
    uuid: str
    instance: int | None = None
    """The MIG instance's index on its device."""
    instance_uuid: str | None = None


class Subject(Protocol):
    """A process as a filter sees it. None and :data:`UNKNOWN` mean that it was not read."""

    @property
    def pid(self) -> int:
        """Process id."""

    @property
    def name(self) -> str | None:
        """The kernel's name for it."""

    @property
    def command_line(self) -> str | None:
        """The command line with its arguments, None where they were not asked for."""

    @property
    def user(self) -> str | None:
        """Its owner's name."""

    @property
    def places(self) -> Sequence[Place]:
        """Where it runs."""

    @property
    def kinds(self) -> str:
        """Letters of the driver's lists it stands in: C, G, M."""

    @property
    def state(self) -> str | None:
        """What the kernel says it does, as its letter (see :data:`STATES`)."""

    @property
    def mine(self) -> bool | None:
        """Whether it belongs to the user who looks."""

    @property
    def memory(self) -> Amount:
        """Device memory, in bytes, over all its devices."""

    @property
    def sm(self) -> Amount:
        """SM utilisation over all its devices; 1 is one device."""

    @property
    def cpu(self) -> Amount:
        """CPU time over wall-clock time; 1 is one core."""

    @property
    def host_memory(self) -> Amount:
        """Resident host memory, in bytes."""

    @property
    def threads(self) -> Amount:
        """How many threads it has."""

    @property
    def running_s(self) -> Amount:
        """Seconds since its start."""

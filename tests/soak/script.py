"""What happens on the soak's machine, hour by hour, and which warnings have to come of it.

Every hour is the same, so that every hour can be held against the first: faults and Xids from a
table, a driver that goes away, a MIG layout that changes, and processes that come and go. The last
minutes of an hour are calm: then figures are taken, and nothing is under way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from gputop.collect.demo.people import FIRST_PID
from gputop.insight.alert_log import GONE_WORTH_BYTES
from gputop.insight.rules import RULES
from gputop.model.xids import xid

START_S = 360_000.0
"""CLOCK_BOOTTIME of the beginning: a whole number of hours."""
UTC_S = 1_795_000_000.0
HOUR_S = 3600.0
MINUTE_S = 60.0
SAMPLE_MINUTE = 58
"""Of every hour: when its figures are taken."""

DEVICES = 8
MIG_DEVICE = 3
PROCESSES = 200
MIB = 2**20
GIB = 2**30
TOTAL_BYTES = 80 * GIB
INSTANCE_BYTES = 20 * GIB


@dataclass(frozen=True)
class Fault:
    """Something that befalls a device every hour."""

    minute: float
    minutes: float
    device: int
    rules: tuple[str, ...] = ()
    """The warnings that come of it, once each."""
    status: str = "ok"
    changes: Mapping[str, Any] = field(default_factory=dict)
    """Values of its readings meanwhile."""
    unlisted: bool = False
    """True when the driver does not list it meanwhile."""


FAULTS = (
    Fault(2, 3, 1, ("hot", "reason:sw_thermal"),
          changes={"temperature_c": 86.0, "event_reasons": 0x20, "sm_clock_mhz": 1200}),
    Fault(6, 4, 2, ("lost",), status="lost"),
    Fault(12, 1, 4, ("timed_out",), status="timed_out"),
    Fault(15, 1, 5, ("reason:power_brake",), changes={"event_reasons": 0x80}),
    Fault(22, 2, 7, ("link",), changes={"pcie_width": 8}),
    Fault(26, 2, 6, ("memory_full",), changes={"memory_used_bytes": int(0.97 * TOTAL_BYTES)}),
    Fault(36, 4, 0, ("lost",), unlisted=True),
    Fault(42, 1, 5, ("ecc_uncorrected",), changes={"ecc_uncorrected_volatile": 2}),
    Fault(44, 1, 7, ("remap_pending",), changes={"remap_pending": True}),
    Fault(46, 6, 6, ("idle_holding",), changes={"gpu_utilization": 0.0}),
    Fault(55, 1, 4, ("error",), status="error"),
)  # fmt: skip
DRIVER_AWAY = (53, 54)
"""The minutes between which the driver does not answer at all."""
XIDS = ((6, 2, 79), (18, 6, 31), (20, 6, 31), (42, 5, 95))
"""Minute, device, code; the second 31 comes while the first is still shown."""
LAYOUT_MINUTES = 30
LAYOUTS = (2, 3)
"""How many MIG instances there are in the first and the second half of an hour."""
FULL_INSTANCE_MINUTE = 34
"""From then on the last instance's memory is full, until the layout takes it away."""
LASTING = ["memory_full mig"]
"""What still lasts at the sample."""


def hour_minute(at: float) -> tuple[int, float]:
    """The hour since the start, and the minute in it."""
    hour, rest = divmod(at - START_S, HOUR_S)
    return int(hour), rest / MINUTE_S


def driver_is_away(minute: float) -> bool:
    """Whether there is no driver now."""
    return DRIVER_AWAY[0] <= minute < DRIVER_AWAY[1]


def fault_of(device: int, minute: float) -> Fault | None:
    """What ails a device now."""
    for fault in FAULTS:
        if fault.device == device and fault.minute <= minute < fault.minute + fault.minutes:
            return fault
    return None


def answers(device: int, minute: float) -> bool:
    """Whether a device can be read now."""
    fault = fault_of(device, minute)
    return fault is None or (fault.status == "ok" and not fault.unlisted)


def uuid_of(device: int) -> str:
    """A device's UUID."""
    return f"GPU-{device:08x}-50a4-4000-8000-000000000000"


def layout_of(at: float) -> tuple[int, int]:
    """The MIG layout's number since the start, and how many instances it has."""
    number = int((at - START_S) // (LAYOUT_MINUTES * MINUTE_S))
    return number, LAYOUTS[number % len(LAYOUTS)]


def instance_uuid(layout: int, slot: int) -> str:
    """Each layout's instances are new ones."""
    return f"MIG-{layout:08x}-50a4-4000-8000-{slot:012x}"


def instance_is_full(minute: float, slot: int) -> bool:
    """Whether an instance's memory is full now."""
    return slot == LAYOUTS[1] - 1 and minute >= FULL_INSTANCE_MINUTE


@dataclass(frozen=True)
class Slot:
    """A place among the processes: when one ends, the next begins."""

    number: int

    @property
    def devices(self) -> tuple[int, ...]:
        """The devices it holds memory on."""
        first = self.number % DEVICES
        return (first, (first + 4) % DEVICES) if self.number % 25 == 5 else (first,)

    @property
    def life_s(self) -> float:
        """How long a process of it lives."""
        if MIG_DEVICE in self.devices:
            return LAYOUT_MINUTES * MINUTE_S  # it ends with its instance
        return (7 + self.number * 13 % 50) * MINUTE_S

    @property
    def memory_bytes(self) -> int:
        """What it holds on each device."""
        big = len(self.devices) == 1 and self.number % 3 == 0
        return (1200 if big else 300) * MIB + self.number * MIB

    def generation(self, at: float) -> int:
        """How many have ended there before."""
        phase = 0.0 if MIG_DEVICE in self.devices else self.number * 97 * MINUTE_S % self.life_s
        return int((at - START_S + phase) // self.life_s)

    def pid(self, generation: int) -> int:
        """None that Linux would give out."""
        return FIRST_PID + self.number * 10_000 + generation % 10_000


SLOTS = tuple(Slot(number) for number in range(PROCESSES))


def expected(at: float) -> Counter[str]:
    """Every warning that has begun until the sample minute of an hour, by rule and device."""
    hour, minute = hour_minute(at)
    assert minute >= SAMPLE_MINUTE
    return Counter({name: count * (hour + 1) for name, count in _of_an_hour().items()}) + ended(at)


def _of_an_hour() -> Counter[str]:
    return Counter(_begun())


def _begun() -> Iterator[str]:
    for fault in FAULTS:
        yield from (f"{rule} {fault.device}" for rule in fault.rules)
    for _, device, code in XIDS:
        yield f"xid:{code} {device}"
    yield "memory_full mig"


def ended(at: float) -> Counter[str]:
    """The notices of processes that held much and ended."""
    made: Counter[str] = Counter()
    for slot in SLOTS:
        if slot.memory_bytes * len(slot.devices) >= GONE_WORTH_BYTES:
            count = slot.generation(at) - slot.generation(START_S)
            device = "mig" if MIG_DEVICE in slot.devices else str(slot.devices[0])
            made[f"process_gone {device}"] += count
    return made


def severity(rule: str) -> str:
    """How bad a kind of warning is."""
    if rule.startswith("xid:"):
        return xid(int(rule.partition(":")[2])).severity
    return {known.key: known.severity for known in RULES}.get(rule, "notice")

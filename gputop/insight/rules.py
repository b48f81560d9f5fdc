"""What is worth a warning: one table of rules, each a small test of a device's state.

A test answers None when all is well. While a warning is active the test may be asked for more
calm before it ends (`active`), so that a value at the edge does not flap.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct
from msgspec.structs import fields

from gputop.model.nvml_tables import (
    FABRIC_COMPLETED,
    FABRIC_HEALTH,
    FABRIC_STATES,
    HARMFUL,
    RECOVERY_ACTIONS,
    EventReason,
    Severity,
)
from gputop.state.store import DeviceState


class Thresholds(Struct, frozen=True):
    """The edges; settings of the same names change them."""

    memory_full: float = 0.95
    """Share of device memory from which it counts as full."""
    power_full: float = 0.97
    """Share of the power limit from which a device is at it."""
    temperature_margin_c: float = 3.0
    """°C below slowdown from which it counts as hot."""
    busy: float = 0.5
    """GPU utilisation from which a device is under load."""
    idle: float = 0.05
    """GPU utilisation below which a device is idle."""
    idle_s: float = 300.0
    """Seconds after which an idle device that holds memory is worth a notice."""
    held_back: float = 0.1
    """Share of the time held back from which heat or power counts as what limits a device."""
    starved_gaps: float = 0.2
    """Share of the seconds with an idle gap from which a device counts as starved."""
    link_full: float = 0.7
    """Share of what the PCIe link carries from which it counts as full."""
    straggler: float = 0.1
    """Share by which a device's clock is below its peers' when it counts as a straggler."""

    @classmethod
    def of(cls, settings: object) -> Thresholds:
        """The edges as the settings have them."""
        return cls(**{f.name: getattr(settings, f"thresholds_{f.name}") for f in fields(cls)})


class Measured(Struct, frozen=True):
    """Why a rule speaks: a number to find the worst by, and the same for a person."""

    number: float = 0.0
    detail: str = ""
    severity: Severity | None = None
    title: str | None = None
    meaning: str | None = None
    advice: str | None = None


Test = Callable[[DeviceState, Thresholds, bool], Measured | None]


class Rule(Struct, frozen=True):
    """One kind of warning."""

    key: str
    severity: Severity
    title: str
    meaning: str
    advice: str
    test: Test
    word: str
    """At most six letters, for a row that has room for no more."""
    hold_s: float | Callable[[Thresholds], float] = 0.0
    """How long the test must speak before the warning begins."""
    of_instances: bool = False
    """True when MIG instances are looked at too."""
    gap_s: float = 0.0
    """How long the test may be silent in between and the holding goes on."""
    linger_s: float = 5.0
    """How long it must be silent before the warning ends."""
    of_moment: bool = True
    """False when it rests on what is read seldom, or on states that are rare: it need not be asked
    while the device is ok, has no harmful event reason and no newer reading of the slow tier.
    """

    def holds_for(self, thresholds: Thresholds) -> float:
        """`hold_s` as a number."""
        return self.hold_s(thresholds) if callable(self.hold_s) else self.hold_s


def _reason(reason: EventReason) -> Rule:
    assert reason.severity is not None

    def test(device: DeviceState, _: Thresholds, __: bool) -> Measured | None:
        mask = device.reading.event_reasons
        if mask is None or not mask & reason.bit:
            return None
        if reason.bit == 0x8 and mask & 0xC0:
            return None  # a roll-up: the thermal or brake bit says it better
        return Measured(1.0)

    return Rule(
        f"reason:{reason.key}",
        reason.severity,
        reason.label,
        reason.meaning,
        reason.advice,
        test,
        reason.word,
        of_moment=False,
    )


def _status(*statuses: str) -> Test:
    def test(device: DeviceState, _: Thresholds, __: bool) -> Measured | None:
        return Measured(1.0, device.reading.detail) if device.reading.status in statuses else None

    return test


def _hot(device: DeviceState, thresholds: Thresholds, active: bool) -> Measured | None:
    now, margin = device.reading.temperature_c, device.reading.temperature_margin_c
    limit = device.info.temperature_slowdown_c
    if now is not None and limit is not None:
        margin = limit - now
    if margin is None:
        return None
    edge = thresholds.temperature_margin_c + (2 if active else 0)
    return Measured(-margin, f"{margin:.0f} °C below slowdown") if margin <= edge else None


def _memory_full(device: DeviceState, thresholds: Thresholds, active: bool) -> Measured | None:
    used, total = device.reading.memory_used_bytes, device.reading.memory_total_bytes
    if used is None or not total:
        return None
    ratio = used / total
    edge = thresholds.memory_full - (0.02 if active else 0)
    return Measured(ratio, f"{ratio:.0%} full") if ratio >= edge else None


POWER_CAP = 0x4


def _power_full(device: DeviceState, thresholds: Thresholds, active: bool) -> Measured | None:
    reading = device.reading
    power, limit = reading.power_w, reading.power_limit_w
    if power is None or not limit or (reading.event_reasons or 0) & POWER_CAP:
        return None  # or the driver's own reason says it better
    ratio = power / limit
    edge = thresholds.power_full - (0.03 if active else 0)
    return Measured(power, f"{power:.0f} of {limit:.0f} W") if ratio >= edge else None


def _stale(device: DeviceState, _: Thresholds, __: bool) -> Measured | None:
    late = device.late_s
    if late is None or device.reading.status != "ok":
        return None
    return Measured(late, f"{late:.0f} s old")


def _fabric(device: DeviceState, _: Thresholds, __: bool) -> Measured | None:
    state = device.number("fabric_state")
    if state is None:
        return None
    if state < FABRIC_COMPLETED:
        return Measured(1.0, f"registration {FABRIC_STATES.get(int(state), state)}")
    if code := device.number("fabric_status"):
        return Measured(2.0, f"registration failed with NVML code {code:.0f}")
    health = int(device.number("fabric_health") or 0)
    return Measured(1.0, FABRIC_HEALTH.get(health, str(health))) if health > 1 else None


def _link_narrow(device: DeviceState, thresholds: Thresholds, active: bool) -> Measured | None:
    # Idle links step down to save power: only under load does a slower link mean anything.
    busy, state = device.reading.gpu_utilization, device.reading.performance_state
    if busy is None or busy < thresholds.busy / (2 if active else 1) or (state or 0) > 2:
        return None
    reading, info = device.reading, device.info
    lacks = [
        f"{unit}{now:.0f} of {unit}{most:.0f}"
        for now, most, unit in (
            (reading.pcie_generation, info.pcie_generation_max, "gen "),
            (reading.pcie_width, info.pcie_width_max, "x"),
        )
        if now is not None and most is not None and now < most
    ]
    return Measured(1.0, ", ".join(lacks)) if lacks else None


def _counter(name: str, word: str) -> Test:
    def test(device: DeviceState, _: Thresholds, __: bool) -> Measured | None:
        count = device.number(name)
        if not count:
            return None
        return Measured(count, f"{count:.0f} {word if count != 1 else word.removesuffix('s')}")

    return test


def _flag(name: str) -> Test:
    def test(device: DeviceState, _: Thresholds, __: bool) -> Measured | None:
        return Measured(1.0) if device.number(name) else None

    return test


def _repair_pending(device: DeviceState, _: Thresholds, __: bool) -> Measured | None:
    if device.number("remap_pending"):
        return Measured(1.0)
    if not device.number("retirement_pending"):
        return None
    # Before Ampere faulty memory was not replaced but left out.
    return Measured(
        1.0, title="page retirement pending",
        meaning="Faulty memory pages will be retired at the next reset.",
    )  # fmt: skip


def _recovery(device: DeviceState, _: Thresholds, __: bool) -> Measured | None:
    action = device.number("recovery_action")
    if not action:
        return None
    asked = RECOVERY_ACTIONS.get(int(action), f"action {action:.0f}")
    return Measured(action, asked)


def _idle_holding(device: DeviceState, thresholds: Thresholds, _: bool) -> Measured | None:
    used, total = device.reading.memory_used_bytes, device.reading.memory_total_bytes
    busy = device.reading.gpu_utilization
    if used is None or not total or busy is None or busy >= thresholds.idle:
        return None
    # A driver alone holds a few hundred MiB; 2 % of the card is more than that on every card.
    return Measured(used, f"{used / 2**30:.1f} GiB held") if used / total > 0.02 else None


RULES: tuple[Rule, ...] = (
    Rule("lost", "critical", "device lost", "The driver can no longer reach the device.",
         "Reset the device or reboot; check power and seating if it happens again.",
         _status("lost"), "LOST", linger_s=0, of_moment=False),
    Rule("error", "critical", "device not readable", "The driver answers this device with errors.",
         "See `gputop doctor` and the kernel log.", _status("error"), "ERROR", linger_s=0,
         of_moment=False),
    Rule("timed_out", "warning", "driver does not answer",
         "A call into the driver has not come back; the values shown are old.",
         "Wait; look for Xid messages in the kernel log if it stays.", _status("timed_out"),
         "STUCK", linger_s=0, of_moment=False),
    Rule("stale", "warning", "stale readings",
         "The driver answers for this device more slowly than it is asked; the values are old.",
         "Ask less often (+), and look at what else uses the driver.", _stale, "STALE"),
    *(_reason(reason) for reason in HARMFUL),
    Rule("hot", "warning", "close to thermal slowdown",
         "The temperature is within a few degrees of where the clocks are cut.",
         "Improve the airflow, or lower the power limit.", _hot, "HOT"),
    Rule("memory_full", "notice", "memory nearly full",
         "Little device memory is left; the next allocation may fail.",
         "Usual where a framework reserves it all; else lower the batch size.", _memory_full,
         "FULL", of_instances=True),
    Rule("power_full", "notice", "power at its limit",
         "The board draws all the power that it may; more work can lower the clocks.",
         "Usual in training; raise the limit (nvidia-smi -pl) if the supply allows it.",
         _power_full, "LIMIT", hold_s=10),
    Rule("fabric", "warning", "NVSwitch fabric not ready",
         "The device has not joined its NVSwitch fabric, so CUDA or traffic between devices fails.",
         "Look at the fabric manager (nvidia-fabricmanager) and at the NVSwitches.", _fabric,
         "FABRIC", of_moment=False),
    Rule("link", "warning", "PCIe link below its maximum",
         "Under load the link runs slower than device and slot could.",
         "Reseat the card or cable and check the slot's lanes in the BIOS.", _link_narrow, "LINK",
         hold_s=10, gap_s=10, linger_s=30),
    Rule("ecc_uncorrected", "critical", "uncorrectable ECC errors",
         "Memory returned wrong data since the driver was loaded.",
         "Drain the device, reset it, and run diagnostics.",
         _counter("ecc_uncorrected_volatile", "errors"), "ECC", of_moment=False),
    Rule("ecc_corrected", "notice", "corrected ECC errors",
         "Memory errors were corrected since the driver was loaded; no data was lost.",
         "Watch the rate.", _counter("ecc_corrected_volatile", "errors"), "ecc", of_moment=False),
    Rule("remap_pending", "warning", "row remap pending",
         "A faulty memory row will be replaced at the next reset.",
         "Reset the device at the next chance.", _repair_pending, "REMAP", of_moment=False),
    Rule("remap_failed", "critical", "row remap failed",
         "A faulty memory row could not be replaced.", "Have the device replaced.",
         _flag("remap_failed"), "REMAP!", of_moment=False),
    Rule("recovery", "warning", "recovery asked for",
         "The driver asks for a recovery action.", "Do what it asks for.", _recovery, "RESET",
         of_moment=False),
    Rule("idle_holding", "notice", "idle, holding memory",
         "Nothing has run for minutes while memory is held, so nobody else can use the device.",
         "Ask its owner to end the process.", _idle_holding, "IDLE", hold_s=lambda t: t.idle_s),
)  # fmt: skip

OF_MOMENT = tuple(rule for rule in RULES if rule.of_moment)
"""The rules that have to be asked at every reading."""
_BY_KEY = {rule.key: rule for rule in RULES}


def rule_of(key: str) -> Rule:
    """The rule of that key."""
    return _BY_KEY[key]

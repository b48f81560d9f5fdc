"""What NVML's numbers mean: event reasons, modes, as tables.

Source: the public ``nvml.h`` (clock event reasons, recovery actions, modes, architectures);
severities are gputop's own (see the design).
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

Severity = Literal["critical", "warning", "notice"]
SEVERITIES: tuple[Severity, ...] = ("critical", "warning", "notice")


class EventReason(Struct, frozen=True):
    """A bit of the clock event (throttle) reasons."""

    bit: int
    key: str
    word: str
    """At most five capitals, for a row that has room for no more."""
    label: str
    severity: Severity | None
    """None: benign, says nothing about lost speed."""
    meaning: str
    advice: str
    violation: str | None = None
    """The metric that counts how long it held the device back."""


EVENT_REASONS: tuple[EventReason, ...] = (
    EventReason(0x1, "idle", "IDLE", "idle", None, "Nothing runs, so the clocks are low.", ""),
    EventReason(
        0x2, "application_clocks", "APPCL", "application clocks", None,
        "The clocks are held where an administrator or application set them.", ""),
    EventReason(
        0x4, "sw_power_cap", "POWER", "power cap", "notice",
        "The clocks are lowered to stay under the power limit.",
        "Usual in training; raise the limit (nvidia-smi -pl) if the supply allows it.",
        "power_violation_s"),
    EventReason(
        0x8, "hw_slowdown", "HW", "hardware slowdown", "critical",
        "The hardware cut the clocks by half or more.",
        "Check cooling, the power cables and the supply."),
    EventReason(
        0x10, "sync_boost", "SYNC", "sync boost", "notice",
        "The clocks follow the slowest device of a sync boost group.",
        "Look for the device in the group that is held back.",
        "sync_boost_violation_s"),
    EventReason(
        0x20, "sw_thermal", "HEAT", "thermal slowdown", "warning",
        "GPU or memory is above its highest operating temperature; the driver lowers the clocks.",
        "Improve the airflow, or lower the power limit.",
        "sw_thermal_violation_s"),
    EventReason(
        0x40, "hw_thermal", "HEAT!", "hardware thermal slowdown", "critical",
        "The temperature is at its slowdown limit, so the hardware halves the clocks or worse.",
        "Check fans, airflow and heat sink now.",
        "hw_thermal_violation_s"),
    EventReason(
        0x80, "power_brake", "BRAKE", "power brake", "critical",
        "The system asserted the power brake, so the hardware halves the clocks or worse.",
        "Check the power supplies and the rack's power budget.",
        "power_brake_violation_s"),
    EventReason(
        0x100, "display", "DISP", "display clocks", None,
        "The clocks are held for a display.", ""),
    EventReason(
        0x200, "board_limit", "BOARD", "board limit", "warning",
        "The board's own power or current limit lowers the clocks.",
        "Check the power cables and the supply."),
    EventReason(
        0x400, "reliability", "RELI", "reliability limit", "warning",
        "The clocks are limited to protect the device's life.",
        "Ask the vendor if it lasts."),
)  # fmt: skip

HARMFUL: tuple[EventReason, ...] = tuple(r for r in EVENT_REASONS if r.severity is not None)
KNOWN_BITS = sum(reason.bit for reason in EVENT_REASONS)


def without_roll_up(mask: int) -> int:
    """The mask without the hardware slowdown bit where that only sums up heat or power brake."""
    return mask & ~0x8 if mask & 0xC0 else mask


def active_reasons(mask: int | None) -> list[EventReason]:
    """The reasons in a mask, worst first. A roll-up bit (hardware slowdown) gives way to the
    bits it rolls up.
    """
    if not mask:
        return []
    said = without_roll_up(mask)
    found = [r for r in EVENT_REASONS if said & r.bit]
    rank = {"critical": 0, "warning": 1, "notice": 2, None: 3}
    return sorted(found, key=lambda r: rank[r.severity])


def unknown_bits(mask: int) -> int:
    """The bits of a mask that no table of ours names."""
    return mask & ~KNOWN_BITS


RECOVERY_ACTIONS = {
    0: "none", 1: "reset the GPU", 2: "reboot the machine",
    3: "drain its peer-to-peer traffic", 4: "drain the jobs and reset the GPU",
    5: "recover the IMEX domain", 6: "reset its PCIe bus", 7: "reboot the system",
}  # fmt: skip
FABRIC_STATES = {1: "not started", 2: "in progress", 3: "completed"}
FABRIC_COMPLETED = 3
FABRIC_HEALTH = {0: "not told", 1: "healthy", 2: "unhealthy", 3: "limited capacity"}
COMPUTE_MODES = {0: "default", 1: "exclusive thread", 2: "prohibited", 3: "exclusive process"}
ARCHITECTURES = {
    2: "Kepler", 3: "Maxwell", 4: "Pascal", 5: "Volta", 6: "Turing", 7: "Ampere", 8: "Ada Lovelace",
    9: "Hopper", 10: "Blackwell",
}  # fmt: skip

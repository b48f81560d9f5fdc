"""The sections of a device's text, in their order. To add one: write its function, list it here."""

from __future__ import annotations

from gputop import text
from gputop.model.metrics import BY_NAME, METRICS, Unit
from gputop.model.nvml_tables import active_reasons, unknown_bits
from gputop.ui.device import links
from gputop.ui.device.rows import Desk, Fact, Row, Section, Words, age_and_reason
from gputop.ui.device.throttling import VIOLATIONS, throttling
from gputop.ui.device.verdict import verdict
from gputop.ui.view import DeviceView


def warnings(device: DeviceView, desk: Desk) -> list[Row]:
    """What is wrong, and what to do about it."""
    rows: list[Row] = []
    for alert in device.alerts:
        detail = f": {alert.detail}" if alert.detail else ""
        mark = desk.glyphs.severity(alert.severity)
        rows.append(Words(f"{mark} {alert.title}{detail}", alert.severity))
        rows.append(Words(alert.advice, "dim", indent=4))
    return rows


def instances(device: DeviceView, desk: Desk) -> list[Row]:
    """The MIG instances, with what they hold and who uses them."""
    rows: list[Row] = []
    for instance in device.instances:
        used, total = instance.value("memory_used_bytes"), instance.value("memory_total_bytes")
        said = text.bytes_pair(used.value, total.value, desk.units)
        if instance.reading.read_at.processes is not None:  # else nobody knows
            count = instance.processes
            said += f", {count} process{'es' * (count != 1)}"
        said += age_and_reason(used, desk)
        role = "text" if used.reason is None else "faint"
        rows.append(Fact(instance.info.mig_profile or instance.info.name, said, role))
    return rows


def identity(device: DeviceView, desk: Desk) -> list[Row]:
    """What it is known by."""
    info = device.info
    facts = {
        "UUID": info.uuid, "Bus id": info.bus_id, "Architecture": info.architecture,
        "Compute capability": info.compute_capability, "NUMA node": info.numa_node,
        "Serial": info.serial,
    }  # fmt: skip
    return [Fact(word, str(value)) for word, value in facts.items() if value is not None]


def values(device: DeviceView, desk: Desk, names: tuple[str, ...]) -> list[Row]:
    """The metrics that have a value; an old one says how old, and why."""
    rows: list[Row] = []
    for name in names:
        metric, value = BY_NAME[name], device.value(name)
        if value.value is None:
            continue
        said = text.value(metric, value.value, desk.units)
        said += age_and_reason(value, desk)
        rows.append(Fact(metric.label, said, "text" if value.reason is None else "faint"))
    return rows


def _of(title: str, *names: str) -> Section:
    """A section that is a list of metrics."""
    return Section(title, lambda device, desk: values(device, desk, names), names)


_CLOCKS = (
    "sm_clock_mhz", "sm_clock_max_mhz", "memory_clock_mhz", "memory_clock_max_mhz",
    "graphics_clock_mhz", "graphics_clock_max_mhz", "video_clock_mhz", "video_clock_max_mhz",
    "performance_state", "sm_clock_state_max_mhz",
)  # fmt: skip


def clocks(device: DeviceView, desk: Desk) -> list[Row]:
    """The clocks, and what holds them."""
    rows = values(device, desk, _CLOCKS)
    mask = int(device.number("event_reasons") or 0)
    rows += [Fact("Held by", reason.label) for reason in active_reasons(mask)]
    if unknown_bits(mask):
        rows.append(Fact("Held by", f"unknown reason {unknown_bits(mask):#x}"))
    return rows


def more(device: DeviceView, desk: Desk) -> list[Row]:
    """The metrics of no section."""
    listed = {name for section in SECTIONS for name in section.metrics}
    names = (m.name for m in METRICS if m.name not in listed and m.unit is not Unit.BITS)
    return values(device, desk, tuple(names))


def not_there(device: DeviceView, desk: Desk) -> list[Row]:
    """What the device does not say, and why."""
    by_reason: dict[str, list[str]] = {}
    for metric in METRICS:
        value = device.value(metric.name)
        if value.value is None and value.reason:
            by_reason.setdefault(value.reason, []).append(metric.label)
    said = [f"{text.why(reason)}: {', '.join(labels)}" for reason, labels in by_reason.items()]
    return [Words(words[0].upper() + words[1:], "dim") for words in said]


# fmt: off
SECTIONS: tuple[Section, ...] = (
    Section("", verdict, always=True),
    Section("Warnings", warnings),
    Section("Throttling", throttling, VIOLATIONS),
    Section("MIG instances", instances),
    _of("Utilisation", "gpu_utilization", "memory_utilization", "encoder_utilization",
        "decoder_utilization", "jpeg_utilization", "ofa_utilization"),
    _of("Activity (GPM)", "sm_activity", "sm_occupancy", "tensor_activity", "dram_activity",
        "fp64_activity", "fp32_activity", "fp16_activity"),
    _of("Memory", "memory_used_bytes", "memory_free_bytes", "memory_reserved_bytes",
        "memory_total_bytes", "bar1_used_bytes", "bar1_total_bytes"),
    _of("Power", "power_w", "power_instant_w", "power_limit_w", "power_limit_default_w",
        "power_limit_min_w", "power_limit_max_w", "energy_j"),
    _of("Temperature", "temperature_c", "memory_temperature_c", "temperature_margin_c",
        "temperature_slowdown_c", "temperature_shutdown_c", "temperature_max_operating_c",
        "memory_temperature_max_c", "fan_speed", "fan_count"),
    Section("Clocks", clocks, _CLOCKS),
    Section("PCIe", links.pcie, links.PCIE),
    Section("NVLink", links.nvlink, links.NVLINK),
    Section("Health", links.health, links.HEALTH),
    Section("Identity", identity),
    _of("Modes", "compute_mode", "persistence_mode", "mig_mode"),
    Section("More", more),
    Section("Not there", not_there),
)
# fmt: on
"""Top to bottom: first what the screen is opened for. An empty title is the device's name."""

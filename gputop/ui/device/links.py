"""The sections of a device's links and of its health: several metrics to a row."""

from __future__ import annotations

from gputop import text
from gputop.model.metrics import BY_NAME
from gputop.model.nvml_tables import SEVERITIES
from gputop.ui.device.rows import Desk, Fact, Row, age_and_reason
from gputop.ui.view import DeviceView

PCIE = ("pcie_generation", "pcie_width", "pcie_generation_max", "pcie_width_max",
        "pcie_rx_bytes_per_s", "pcie_tx_bytes_per_s", "pcie_replays")  # fmt: skip
NVLINK = ("nvlink_active", "nvlink_count", "nvlink_rx_bytes_per_s", "nvlink_tx_bytes_per_s")
HEALTH = (
    "ecc_mode", "ecc_corrected_volatile", "ecc_corrected_aggregate", "ecc_uncorrected_volatile",
    "ecc_uncorrected_aggregate", "remapped_rows_corrected", "remapped_rows_uncorrected",
    "remap_pending", "remap_failed", "retired_pages_sbe", "retired_pages_dbe",
    "retirement_pending", "recovery_action", "fabric_state", "fabric_status", "fabric_health",
)  # fmt: skip
Part = tuple[str, str]
"""A metric and the form it takes in a row, its value in braces."""


def pcie(device: DeviceView, desk: Desk) -> list[Row]:
    """Generation and width, now and at most; what goes over it; what was sent again."""
    now = _link(device, "pcie_generation", "pcie_width")
    most = _link(device, "pcie_generation_max", "pcie_width_max")
    rows: list[Row] = []
    if now:
        said = now if not most else f"{now}, at most {most}" if now != most else f"{now}, its most"
        rows.append(Fact("Link", said + age_and_reason(device.value("pcie_generation"), desk),
                         _role(device, "link")))  # fmt: skip
    return [
        *rows,
        *_row(device, desk, "Throughput", ("pcie_rx_bytes_per_s", "{} received"),
              ("pcie_tx_bytes_per_s", "{} sent")),
        *_row(device, desk, "Replays", ("pcie_replays", "{} since the driver was loaded")),
    ]  # fmt: skip


def _link(device: DeviceView, generation: str, width: str) -> str:
    """``gen 5 x16``; empty where either was never read."""
    numbers = device.value(generation).value, device.value(width).value
    return "" if None in numbers else f"gen {numbers[0]:.0f} x{numbers[1]:.0f}"


def nvlink(device: DeviceView, desk: Desk) -> list[Row]:
    """Links that are up, and what goes over them."""
    return [
        *_row(device, desk, "Links up", ("nvlink_active", "{}"), ("nvlink_count", "of {}"),
              between=" "),
        *_row(device, desk, "Throughput", ("nvlink_rx_bytes_per_s", "{} received"),
              ("nvlink_tx_bytes_per_s", "{} sent")),
    ]  # fmt: skip


def health(device: DeviceView, desk: Desk) -> list[Row]:
    """Memory errors, what was done about them, and what the driver asks for."""
    return [
        *_row(device, desk, "ECC", ("ecc_mode", "{}")),
        *_row(device, desk, "Corrected errors", ("ecc_corrected_volatile", "{} since load"),
              ("ecc_corrected_aggregate", "{} in its life"), alarm="ecc_corrected"),
        *_row(device, desk, "Uncorrectable errors", ("ecc_uncorrected_volatile", "{} since load"),
              ("ecc_uncorrected_aggregate", "{} in its life"), alarm="ecc_uncorrected"),
        *_row(device, desk, "Rows remapped, by corrected", ("remapped_rows_corrected", "{}")),
        *_row(device, desk, "Rows remapped, by uncorrectable", ("remapped_rows_uncorrected", "{}")),
        *_row(device, desk, "Row remap", ("remap_pending", "pending: {}"),
              ("remap_failed", "failed: {}"), alarm="remap_failed remap_pending"),
        *_row(device, desk, "Pages retired", ("retired_pages_sbe", "{} single-bit"),
              ("retired_pages_dbe", "{} double-bit"), ("retirement_pending", "pending: {}"),
              alarm="remap_pending"),
        *_row(device, desk, "Recovery action", ("recovery_action", "{}"), alarm="recovery"),
        *_row(device, desk, "Fabric", ("fabric_state", "{}"), ("fabric_status", "{}"),
              ("fabric_health", "health {}"), alarm="fabric"),
    ]  # fmt: skip


def _row(
    device: DeviceView, desk: Desk, word: str, *parts: Part, between: str = ", ", alarm: str = ""
) -> list[Row]:
    """The parts that were ever read, in one row; none where there is none."""
    said, role = [], _role(device, *alarm.split())
    for name, form in parts:
        value = device.value(name)
        if value.value is None:
            continue
        words = text.value(BY_NAME[name], value.value, desk.units)
        said.append(form.format(words) + age_and_reason(value, desk))
        role = role if value.reason is None else "faint"
    return [Fact(word, between.join(said), role)] if said else []


def _role(device: DeviceView, *rules: str) -> str:
    """The colour of a row that these rules warn of: the worst one's severity."""
    found = {alert.severity for alert in device.alerts if alert.rule in rules}
    return next((severity for severity in SEVERITIES if severity in found), "text")

"""The verdict with what it rests on, and what utilisation alone does not say."""

from __future__ import annotations

from gputop import text
from gputop.ui.device.rows import Desk, Fact, Row, Words
from gputop.ui.view import DeviceView


def verdict(device: DeviceView, desk: Desk) -> list[Row]:
    """What limits the device, why, one thing to try; then its efficiency."""
    rows: list[Row] = []
    found = device.verdict
    if found is not None:
        rows.append(Words(f"{found.title} ({found.basis})", "strong"))
        rows.append(Words(found.sentence, indent=4))
        rows.append(Words(f"Try: {found.advice}", "dim", indent=4))
        rows += [Fact(e.label, f"{e.value} ({e.window})") for e in found.evidence]
    elif device.ok:
        rows.append(Words(f"No verdict. {device.no_verdict}", "dim"))
    return rows + _efficiency(device)


def _efficiency(device: DeviceView) -> list[Row]:
    found = device.efficiency
    rows: list[Row] = []
    if found.power_share is not None:
        busy = device.number("gpu_utilization")
        beside = "" if busy is None else f" at {text.percent(busy)} utilisation"
        rows.append(Fact("Power of its limit", f"{text.percent(found.power_share)}{beside}"))
    if found.activity_per_w is not None:
        what = "SM activity" if found.basis == "measured" else "utilisation"
        said = f"{text.percent(100 * found.activity_per_w)} {what} per 100 W"
        rows.append(Fact("Activity per watt", said))
    return rows

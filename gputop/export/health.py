"""What one reading says about a device's health: the warnings that need no time to be sure."""

from __future__ import annotations

from msgspec import Struct

from gputop.export.devices import Device
from gputop.insight.alerts import severity_rank
from gputop.insight.rules import RULES, Thresholds
from gputop.model.nvml_tables import Severity
from gputop.state.store import DeviceState


class Complaint(Struct, frozen=True):
    """A warning in words."""

    severity: Severity
    title: str
    detail: str
    advice: str


def complaints(device: Device) -> list[Complaint]:
    """What is wrong with a device now, worst first; empty when all is well."""
    state = DeviceState(device.info)
    state.reading = device.reading
    thresholds = Thresholds()
    found = []
    for rule in RULES:
        measured = None if rule.holds_for(thresholds) else rule.test(state, thresholds, False)
        if measured is not None:
            found.append(
                Complaint(
                    measured.severity or rule.severity,
                    measured.title or rule.title,
                    measured.detail,
                    measured.advice or rule.advice,
                )
            )
    return sorted(found, key=lambda complaint: severity_rank(complaint.severity))

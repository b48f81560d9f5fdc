"""The two or three changes most likely to shorten a run, from what its devices lost time to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from gputop.report.shape import Change, DeviceReport

MOST = 3
WORTH = 0.03
"""A cause that took less of the devices' time than this is not worth a change."""
QUIET = frozenset({"compute_bound", "healthy", "idle_holding"})
"""Verdicts that ask for nothing in a run: the device does its work, or waits as told below."""
_IDLE = (
    "Look at what the host does in these times: start, loading, checkpoints, evaluation on the CPU."
)
_SAME = {"sw_thermal": "thermal", "hw_thermal": "thermal", "sw_power_cap": "power_capped"}
"""Throttle reasons, and the verdict that says the same."""


class _Loss(NamedTuple):
    key: str
    title: str
    advice: str
    seconds: float


def changes(devices: Iterable[DeviceReport]) -> list[Change]:
    """What to change, the largest loss first; `devices` are those that count."""
    told: dict[str, _Loss] = {}
    lost: dict[str, dict[str, float]] = {}
    covered = 0.0
    for device in devices:
        covered += device.covered_s
        for loss in _losses(device):
            if loss.key not in told or loss.seconds > told[loss.key].seconds:
                told[loss.key] = loss  # of the device that lost most: causes differ
            per_device = lost.setdefault(loss.key, {})
            per_device[device.uuid] = per_device.get(device.uuid, 0.0) + loss.seconds
    if not covered:
        return []
    found = [
        Change(told[key].title, told[key].advice, min(sum(seconds.values()) / covered, 1.0),
               sorted(seconds))
        for key, seconds in lost.items()
    ]  # fmt: skip
    worth = [change for change in found if change.share >= WORTH and change.advice]
    return sorted(worth, key=lambda change: -change.share)[:MOST]


def _losses(device: DeviceReport) -> Iterator[_Loss]:
    """What a device's time went to; a verdict and a throttle reason of the same are one."""
    seconds = {verdict.key: verdict.seconds for verdict in device.verdicts}
    for verdict in device.verdicts:
        if verdict.key not in QUIET:
            yield _Loss(verdict.key, verdict.title, verdict.advice, verdict.seconds)
    for reason in device.held_back:
        if reason.severity != "notice" and _SAME.get(reason.key) not in seconds:
            yield _Loss(reason.key, reason.title, reason.advice, reason.share * reason.covered_s)
    if device.idle_share is not None:
        # While it was starved it idled too: that is told already.
        idle = device.idle_share * device.covered_s - seconds.get("starved", 0.0)
        if idle > 0:
            yield _Loss("idle", "idle", _IDLE, idle)

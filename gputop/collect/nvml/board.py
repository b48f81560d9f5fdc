"""What is known of one device or MIG instance, put together from its groups of reads."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct

from gputop.collect.nvml.reader import METRICS_OF
from gputop.collect.nvml.values import Result
from gputop.model import missing
from gputop.model.frame import DeviceInfo, DeviceReading, DeviceStatus, ReadTimes

Group = Literal["fast", "medium", "slow"]
GROUPS: tuple[Group, ...] = ("fast", "medium", "slow")


class Contents(Struct, frozen=True):
    """The newest answers of one group."""

    values: dict[str, Any]
    missing: dict[str, str]
    read_at: float | None


ALL_METRICS = tuple(metric for group in GROUPS for metric in METRICS_OF[group])
NOTHING: dict[Group, Contents] = {
    group: Contents({}, dict.fromkeys(METRICS_OF[group], missing.PENDING), None) for group in GROUPS
}


class Board:
    """One device's line in the answers. Not thread-safe: its worker's lock guards it."""

    def __init__(self, info: DeviceInfo) -> None:
        self.info = info
        self.read_s: float | None = None
        self.processes_at: float | None = None
        self.processes_refusal: str | None = None
        self._groups = dict(NOTHING)

    def put(self, group: Group, result: Result, at: float) -> None:
        """Replace a group by what was read at `at` (CLOCK_BOOTTIME)."""
        self._groups[group] = Contents(result.values, result.missing, at)

    def amend(self, group: Group, result: Result) -> None:
        """Put newer answers of a few metrics into a group that was read."""
        old = self._groups[group]
        if old.read_at is None:
            return
        names = result.values.keys() | result.missing.keys()
        self._groups[group] = Contents(
            {k: v for k, v in old.values.items() if k not in names} | result.values,
            {k: v for k, v in old.missing.items() if k not in names} | result.missing,
            old.read_at,
        )

    def clear(self) -> None:
        """Forget every value: nothing of it holds any more."""
        self._groups = dict(NOTHING)
        self.read_s = self.processes_at = self.processes_refusal = None

    def reading(self) -> DeviceReading:
        """All groups together, with a status of ok."""
        fast, medium, slow = (self._groups[group] for group in GROUPS)
        unlisted = {"processes": self.processes_refusal} if self.processes_refusal else {}
        return DeviceReading(
            uuid=self.info.uuid,
            read_at=ReadTimes(fast.read_at, medium.read_at, slow.read_at, self.processes_at),
            read_s=self.read_s,
            missing={**fast.missing, **medium.missing, **slow.missing, **unlisted},
            **fast.values,
            **medium.values,
            **slow.values,
        )

    def empty_reading(
        self, status: DeviceStatus, since_s: float | None, detail: str, reason: str | None = None
    ) -> DeviceReading:
        """No value at all. Each metric's reason is `reason`, or with None the status itself."""
        return DeviceReading(
            uuid=self.info.uuid,
            status=status,
            since_s=since_s,
            detail=detail,
            missing=dict.fromkeys(ALL_METRICS, reason) if reason is not None else {},
        )

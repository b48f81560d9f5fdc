"""A machine of our own making for the verdicts: frames go through the real store."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gputop.insight.rules import Thresholds
from gputop.insight.verdict_book import EVERY_S, VerdictBook
from gputop.insight.verdicts import Verdict
from gputop.model.frame import (
    SCHEMA_VERSION,
    DeviceInfo,
    DeviceReading,
    DeviceUse,
    DriverInfo,
    Frame,
    Hello,
    HostInfo,
    HostReading,
    Process,
    ReadTimes,
)
from gputop.model.missing import UNSUPPORTED
from gputop.state.store import Store

GIB = 2**30
LINK_BYTES_PER_S = 16 * 3.938e9
"""What PCIe gen 5 x16 carries each way."""
ACTIVITIES = ("sm_activity", "tensor_activity", "dram_activity")
LATER = ("pcie_rx_bytes_per_s", "pcie_tx_bytes_per_s", "pcie_generation", "pcie_width",
         "power_limit_w")  # fmt: skip

GPM: dict[str, Any] = {
    "gpu_utilization": 0.95, "memory_utilization": 0.3, "memory_used_bytes": 40 * GIB,
    "memory_total_bytes": 80 * GIB, "power_w": 336.0, "power_limit_w": 700.0,
    "sm_clock_mhz": 1980, "temperature_c": 60.0, "event_reasons": 0, "pcie_generation": 5,
    "pcie_width": 16, "pcie_rx_bytes_per_s": 1e9, "pcie_tx_bytes_per_s": 1e9,
    "sm_activity": 0.7, "tensor_activity": 0.3, "dram_activity": 0.3,
}  # fmt: skip
"""Readings of a device with GPM that no rule speaks about."""
PLAIN: dict[str, Any] = {**GPM, **dict.fromkeys(ACTIVITIES)}
"""The same of a device without."""

Values = dict[str, Any] | Callable[[int], dict[str, Any]]


def use(uuid: str = "G0", gib: float | None = 30.0) -> DeviceUse:
    return DeviceUse(uuid, "C", memory_bytes=None if gib is None else int(gib * GIB))


def process(pid: int = 100, *uses: DeviceUse, **changes: Any) -> Process:
    fields: dict[str, Any] = {
        "name": "python", "user": "ann", "start_ticks": pid, "started_utc_s": 1e9, "threads": 40,
        "cpu_utilization": 0.4,
    }  # fmt: skip
    return Process(pid, uses=list(uses or [use()]), **(fields | changes))


class Machine:
    """Devices G0, G1, ... (or those given), a second a frame."""

    def __init__(
        self, count: int = 1, period_s: float = 1.0, infos: list[DeviceInfo] | None = None,
        boot: str = "b", **thresholds: float,
    ) -> None:  # fmt: skip
        self.store, self.book = Store(), VerdictBook(Thresholds(**thresholds))
        self.now, self.period_s, self.boot = 5000.0, period_s, boot
        self.infos = infos or [
            DeviceInfo(uuid=f"G{n}", name="NVIDIA X", index=n, sm_clock_max_mhz=1980)
            for n in range(count)
        ]
        self._counters: dict[tuple[str, str], float] = {}
        self.hello()

    def hello(self) -> None:
        self.store.apply(
            Hello(schema=SCHEMA_VERSION, program="t", session="s",
                  host=HostInfo("h", self.boot, cpu_count=32), driver=DriverInfo("ok"),
                  devices=self.infos, interval_s=self.period_s, utc_s=0, boottime_s=0)
        )  # fmt: skip

    def run(
        self, seconds: int, *each: Values, processes: list[Process] | None = None,
        host: HostReading | None = None, lists: bool = True, reason: str = UNSUPPORTED,
    ) -> Machine:  # fmt: skip
        """Frames for `seconds`, with the values of each device; a counter's value is its growth
        in seconds a second. What is None was not read, for `reason`.
        """
        for n in range(int(seconds / self.period_s)):
            self.now += self.period_s
            readings = [
                self._reading(info.uuid, values(n) if callable(values) else values, lists, reason)
                for info, values in zip(self.infos, each, strict=True)
            ]
            reading = host or HostReading()
            reading.read_at = self.now
            self.store.apply(
                Frame(session="s", seq=int(self.now), utc_s=self.now, boottime_s=self.now,
                      interval_s=self.period_s, host=reading, devices=readings,
                      processes=[process()] if processes is None else processes)
            )  # fmt: skip
            self.book.update(self.store)
        return self

    def _reading(
        self, uuid: str, values: dict[str, Any], lists: bool, reason: str
    ) -> DeviceReading:
        if "status" in values:
            return DeviceReading(uuid, **values)
        fields = dict(values)
        for name in [name for name in fields if name.endswith("_violation_s")]:
            total = self._counters.get((uuid, name), 0.0) + fields[name] * self.period_s
            self._counters[uuid, name] = fields[name] = total
        at = self.now
        times = ReadTimes(fast=at, medium=at, slow=at, processes=at if lists else None)
        missing = {name: reason for name, value in fields.items() if value is None}
        return DeviceReading(uuid, read_at=times, missing=missing, **fields)

    def verdict(self, uuid: str = "G0") -> Verdict | None:
        return self.book.of(uuid)

    def key(self, uuid: str = "G0") -> str | None:
        verdict = self.verdict(uuid)
        return verdict.key if verdict else None


def judged(*each: Values, seconds: int = 75, count: int | None = None, **options: Any) -> Machine:
    """A machine after so many seconds of these values: longer than the window, so that every
    device was judged with the window full of them.
    """
    assert seconds == 0 or seconds >= EVERY_S
    return Machine(count or len(each)).run(seconds, *each, **options)

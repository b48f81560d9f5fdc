"""The machine around the GPUs through psutil, where there is no /proc (FreeBSD, macOS)."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import psutil

from gputop.collect.backend import Tick
from gputop.collect.processes import GONE
from gputop.model import missing
from gputop.model.frame import DeviceUse, HostInfo, HostReading, Process

_TICKS_PER_S = 100
"""Start times are told in hundredths of a second since boot, as on Linux."""
_OF_PROCESSES = ("name", "username", "uids", "status", "create_time", "cpu_times", "memory_info",
                 "num_threads")  # fmt: skip


class PsutilHost:
    """This machine, with what psutil finds on every system. There is no pressure and no
    container here.
    """

    def __init__(self) -> None:
        self._booted_utc_s: float = psutil.boot_time()
        self._cores: list[Any] | None = None
        self._cpu: dict[tuple[int, int], tuple[float, float]] = {}

    def info(self) -> HostInfo:
        """What does not change while it is up. The moment of the boot stands for the boot id."""
        system = os.uname()
        return HostInfo(
            hostname=system.nodename,
            boot_id=f"boot-{self._booted_utc_s:.0f}",
            kernel=f"{system.sysname} {system.release}",
            cpu_model=system.machine,
            cpu_count=psutil.cpu_count(),
            memory_total_bytes=psutil.virtual_memory().total,
        )

    def read(self, tick: Tick) -> HostReading:
        """The load now. Rates need two readings; the first says `needs_two_readings`."""
        reading = HostReading(read_at=tick.boottime_s)
        reading.uptime_s = tick.utc_s - self._booted_utc_s
        reading.load_1, reading.load_5, reading.load_15 = os.getloadavg()
        memory, swap = psutil.virtual_memory(), psutil.swap_memory()
        reading.memory_total_bytes, reading.memory_available_bytes = memory.total, memory.available
        reading.memory_used_bytes = max(0, memory.total - memory.available)
        reading.swap_total_bytes, reading.swap_used_bytes = swap.total, swap.used
        reading.missing["iowait"] = reading.missing["pressure"] = missing.UNSUPPORTED
        self._fill_cpu(reading)
        return reading

    def processes(
        self, tick: Tick, uses: Mapping[int, Sequence[DeviceUse]], with_args: bool
    ) -> list[Process]:
        """The processes behind the driver's pids, in its order."""
        before, self._cpu = self._cpu, {}
        return [self._process(tick, pid, its, with_args, before) for pid, its in uses.items()]

    def _fill_cpu(self, reading: HostReading) -> None:
        cores, before = psutil.cpu_times(percpu=True), self._cores
        self._cores = cores
        if before is None or len(before) != len(cores):
            reading.missing["cpu_utilization"] = missing.NEEDS_TWO_READINGS
            reading.missing["cores"] = missing.NEEDS_TWO_READINGS
            return
        spans = [_span(old, new) for old, new in zip(before, cores, strict=True)]
        reading.cores = [_share(busy, total) for busy, total in spans]
        reading.cpu_utilization = _share(sum(b for b, _ in spans), sum(t for _, t in spans))

    def _process(
        self, tick: Tick, pid: int, uses: Sequence[DeviceUse], with_args: bool,
        before: Mapping[tuple[int, int], tuple[float, float]],
    ) -> Process:  # fmt: skip
        process = Process(pid, uses=list(uses))
        try:
            found = psutil.Process(pid)
            said = found.as_dict([*_OF_PROCESSES, *(["cmdline"] if with_args else [])])
        except (psutil.Error, ValueError, OverflowError):
            process.missing = dict.fromkeys(("name", "user", "cpu_utilization"), GONE)
            return process
        process.name, process.user = said["name"], said["username"]
        process.uid = said["uids"].effective if said["uids"] else None
        process.state = (said["status"] or "?")[:1].upper()
        process.threads = said["num_threads"]
        process.memory_bytes = said["memory_info"].rss if said["memory_info"] else None
        process.started_utc_s = said["create_time"]
        process.start_ticks = round((said["create_time"] - self._booted_utc_s) * _TICKS_PER_S)
        process.command = said.get("cmdline")
        self._fill_process_cpu(process, tick, said["cpu_times"], before)
        return process

    def _fill_process_cpu(
        self, process: Process, tick: Tick, times: Any,
        before: Mapping[tuple[int, int], tuple[float, float]],
    ) -> None:  # fmt: skip
        if times is None:
            process.missing["cpu_utilization"] = missing.DENIED
            return
        key, used_s = (process.pid, process.start_ticks or 0), times.user + times.system
        self._cpu[key] = tick.boottime_s, used_s
        if key not in before or before[key][0] >= tick.boottime_s:
            process.missing["cpu_utilization"] = missing.NEEDS_TWO_READINGS
            return
        last_at, last_used_s = before[key]
        process.cpu_utilization = max(0.0, used_s - last_used_s) / (tick.boottime_s - last_at)


def _span(old: Any, new: Any) -> tuple[float, float]:
    """(busy, total) seconds of a core between two readings; guests are part of user time."""
    names = [name for name in new._fields if not name.startswith("guest")]
    spent = {name: max(0.0, getattr(new, name) - getattr(old, name)) for name in names}
    total = sum(spent.values())
    return total - spent["idle"] - spent.get("iowait", 0.0), total


def _share(part: float, whole: float) -> float:
    return min(1.0, max(0.0, part / whole)) if whole > 0 else 0.0

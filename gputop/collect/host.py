"""The machine around the GPUs, through /proc."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeVar, runtime_checkable

from gputop import procfs
from gputop.collect.backend import Host, Tick
from gputop.collect.container import ControlGroups, container_kind, own_pid_namespace
from gputop.collect.processes import ProcessTable
from gputop.model import missing
from gputop.model.frame import DeviceUse, DriverInfo, HostInfo, HostReading, Pressure, Process
from gputop.procfs import CpuTicks

_T = TypeVar("_T")

TRANSLATES_PIDS = (535, 113)
"""First driver that reports pids of the caller's namespace; older ones give the host's."""

SHORTEST_TICKS = 4
"""Clock ticks of a core (10 ms each on Linux) that utilisation is computed over at the least."""


@runtime_checkable
class KnowsDriver(Protocol):
    """A host that reads the driver's pids according to its version."""

    def driver_is(self, driver: DriverInfo) -> None:
        """The driver as it answered last."""


class LinuxHost:
    """This machine. `proc` may stand elsewhere for tests."""

    def __init__(self, proc: str = procfs.PROC) -> None:
        self._proc = proc
        self._cpu = CpuLoad()
        self._groups = ControlGroups(proc)
        self._processes = ProcessTable(proc)
        self._pid_namespace = own_pid_namespace(proc)
        self._foreign_pids = self._pid_namespace

    def info(self) -> HostInfo:
        """What does not change while it is up. Takes about a millisecond."""
        system = os.uname()
        memory = procfs.parse_meminfo(procfs.read_text(f"{self._proc}/meminfo") or "")
        boot_id = procfs.read_text(f"{self._proc}/sys/kernel/random/boot_id") or ""
        # The first core's lines are enough; a machine with 512 takes long to write them all.
        processor = procfs.read_text(f"{self._proc}/cpuinfo", 4096) or ""
        return HostInfo(
            hostname=system.nodename,
            boot_id=boot_id.strip(),
            kernel=f"{system.sysname} {system.release}",
            cpu_model=procfs.parse_cpu_model(processor) or system.machine,
            cpu_count=os.cpu_count(),
            memory_total_bytes=memory.get("MemTotal"),
            container=container_kind(os.environ),
            pid_namespace=self._pid_namespace,
        )

    def driver_is(self, driver: DriverInfo) -> None:
        """Whether the driver's pids mean our processes depends on its version."""
        self._foreign_pids = self._pid_namespace and not translates_pids(driver.driver_version)

    def read(self, tick: Tick) -> HostReading:
        """The load now. Rates need two readings; the first says `needs_two_readings`."""
        reading = HostReading(read_at=tick.boottime_s, uptime_s=tick.boottime_s)
        for fill in (self._fill_cpu, self._fill_memory, self._fill_load, self._fill_pressure):
            fill(reading)
        reading.container = self._groups.read(tick, reading.memory_total_bytes)
        return reading

    def processes(
        self, tick: Tick, uses: Mapping[int, Sequence[DeviceUse]], with_args: bool
    ) -> list[Process]:
        """The processes behind the driver's pids, in its order."""
        return self._processes.read(tick, uses, with_args, self._foreign_pids)

    def _fill_cpu(self, reading: HostReading) -> None:
        fields = ("cpu_utilization", "cores", "iowait")
        try:
            ticks = procfs.parse_cpu_ticks(procfs.read(f"{self._proc}/stat"))
        except OSError as problem:
            reading.missing.update(dict.fromkeys(fields, _reason(problem)))
            return
        self._cpu.add(ticks)
        reading.cpu_utilization, reading.iowait = self._cpu.total, self._cpu.iowait
        reading.cores = self._cpu.cores
        for field in fields:
            if getattr(reading, field) is None:
                reading.missing[field] = missing.NEEDS_TWO_READINGS

    def _fill_memory(self, reading: HostReading) -> None:
        fields = (
            "memory_total_bytes", "memory_available_bytes", "memory_used_bytes",
            "swap_total_bytes", "swap_used_bytes",
        )  # fmt: skip
        memory = self._parsed("meminfo", procfs.parse_meminfo, reading, fields)
        if memory is None:
            return
        total, available = memory.get("MemTotal"), procfs.available_memory(memory)
        swap, swap_free = memory.get("SwapTotal"), memory.get("SwapFree")
        reading.memory_total_bytes, reading.memory_available_bytes = total, available
        if total is not None and available is not None:
            reading.memory_used_bytes = max(0, total - available)
        reading.swap_total_bytes = swap
        if swap is not None and swap_free is not None:
            reading.swap_used_bytes = max(0, swap - swap_free)
        for field in fields:
            if getattr(reading, field) is None:
                reading.missing[field] = missing.UNSUPPORTED

    def _fill_load(self, reading: HostReading) -> None:
        fields = ("load_1", "load_5", "load_15")
        load = self._parsed("loadavg", procfs.parse_load, reading, fields)
        if load is not None:
            reading.load_1, reading.load_5, reading.load_15 = load

    def _fill_pressure(self, reading: HostReading) -> None:
        found: dict[str, float] = {}
        for resource in ("cpu", "memory", "io"):
            path = f"pressure/{resource}"
            shares = self._parsed(path, procfs.parse_pressure, reading, (f"pressure.{resource}",))
            found.update({f"{resource}_{kind}": share for kind, share in (shares or {}).items()})
        # For the CPU the kernel writes "full" too, but system-wide it means nothing (psi.rst).
        found.pop("cpu_full", None)
        reading.pressure = Pressure(**found)

    def _parsed(
        self, path: str, parse: Callable[[str], _T | None], reading: HostReading,
        fields: Sequence[str],
    ) -> _T | None:  # fmt: skip
        """What `parse` makes of a file under /proc; without it `fields` get the reason."""
        try:
            content = procfs.read(f"{self._proc}/{path}").decode("utf-8", "replace")
        except OSError as problem:
            reading.missing.update(dict.fromkeys(fields, _reason(problem)))
            return None
        if (parsed := parse(content)) is None:
            reading.missing.update(dict.fromkeys(fields, missing.UNSUPPORTED))
        return parsed


class CpuLoad:
    """Utilisation out of the kernel's tick counters, each over the span since its last value. A
    span of fewer than `SHORTEST_TICKS` a core is left to grow: 1 tick of 2 says nothing.
    """

    def __init__(self) -> None:
        self._last: dict[int | None, CpuTicks] = {}
        self._busy: dict[int | None, float] = {}
        self._cores: list[float] = []
        self.iowait: float | None = None

    @property
    def total(self) -> float | None:
        """All cores together, 0 to 1."""
        return self._busy.get(None)

    @property
    def cores(self) -> list[float] | None:
        """Each online core in the kernel's order; one that has just come online is left out."""
        return self._cores or None

    def add(self, ticks: Mapping[int | None, CpuTicks]) -> None:
        """Take the counters as they stand now."""
        for core, now in ticks.items():
            before = self._last.get(core)
            if before is None or now.total < before.total:  # new, or the counter started again
                self._last[core] = now
                continue
            passed = now.total - before.total
            if passed < SHORTEST_TICKS * (max(1, len(ticks) - 1) if core is None else 1):
                continue
            self._last[core] = now
            # Idle and I/O wait may go back a little (proc(5)), so the shares are held in bounds.
            self._busy[core] = _share(passed - (now.idle - before.idle), passed)
            if core is None:
                self.iowait = _share(now.iowait - before.iowait, passed)
        for gone in self._last.keys() - ticks.keys():
            self._last.pop(gone)
            self._busy.pop(gone, None)
        self._cores = [self._busy[c] for c in ticks if c is not None and c in self._busy]


def translates_pids(version: str | None) -> bool:
    """True when a driver of this version names processes by the caller's own pids."""
    parts = (version or "").split(".")
    try:
        return (int(parts[0]), int(parts[1])) >= TRANSLATES_PIDS
    except (IndexError, ValueError):
        return False


def this_host() -> Host:
    """The host we run on: through /proc on Linux, where psutil does not go without it either;
    elsewhere through psutil, whose import takes as long as the rest of the start.
    """
    if sys.platform == "linux":
        return LinuxHost()
    from gputop.collect.portable import PsutilHost

    return PsutilHost()


def _share(part: int, whole: int) -> float:
    return min(1.0, max(0.0, part / whole))


def _reason(problem: OSError) -> str:
    if isinstance(problem, PermissionError):
        return missing.DENIED
    if isinstance(problem, FileNotFoundError):
        return missing.UNSUPPORTED
    return missing.error(type(problem).__name__)

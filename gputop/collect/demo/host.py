"""The simulated host: cores kept busy by the cast, a loader that waits for the disk, memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from gputop.collect.backend import Tick
from gputop.collect.demo import workloads
from gputop.collect.demo.clock import DemoClock
from gputop.collect.demo.gpu import UPTIME_S
from gputop.collect.demo.noise import Noise
from gputop.collect.demo.people import GIB, Crowd, Member
from gputop.model.frame import (
    ContainerLimits,
    DeviceUse,
    HostInfo,
    HostReading,
    Pressure,
    Process,
)
from gputop.model.missing import NEEDS_TWO_READINGS

HOSTNAME = "demo"
BOOT_ID = "00000000-0000-4000-8000-64656d6f0000"
"""Not a boot id that Linux would make up: its last bytes spell the host's name."""
CORES_PER_NODE = 96
MEMORY_PER_NODE_BYTES = 2048 * GIB
SYSTEM_BYTES = 58 * GIB
"""Kernel, page tables and what else runs, beside the processes of the cast."""
SWAP_TOTAL_BYTES, SWAP_USED_BYTES = 32 * GIB, int(1.2 * GIB)
CLOCK_TICKS_PER_S = 100
"""USER_HZ, in which /proc counts start times."""
PRESSURE_S = 10
"""The span of the PSI averages that a reading carries."""
IOWAIT_S = 2
"""The span over which the disk's waiting shows in iowait."""
LOAD_STEP_S = 5.0
LOAD_SPANS_S = (60.0, 300.0, 900.0)
"""Linux counts the runnable every five seconds and damps the counts over these times."""
CONTAINER_CORES, CONTAINER_BYTES = 24.0, 256 * GIB


class DemoHost:
    """The machine around the simulated devices."""

    def __init__(
        self, seed: int, nodes: int, crowd: Crowd, clock: DemoClock, container: str | None = None
    ) -> None:
        """`container` names the kind of container the collector appears to run in."""
        self._noise = Noise(f"{seed}/host/noise")
        self._nodes, self._crowd, self._clock = nodes, crowd, clock
        self._container = container
        self._loaders = [
            member.shift_s for member in crowd.members if member.person.follows == "waits"
        ]
        self._load = _LoadAverage(self._runnable)
        self._was_read = False
        self._met: set[int] = set()

    def info(self) -> HostInfo:
        """Plainly a simulated machine."""
        return HostInfo(
            hostname=HOSTNAME,
            boot_id=BOOT_ID,
            kernel="6.8.0-demo",
            cpu_model="Simulated 48-core processor" + (" ×2" if self._nodes > 1 else ""),
            cpu_count=self._cores,
            memory_total_bytes=self._memory_total,
            container=self._container,
            pid_namespace=False,
        )

    @property
    def _cores(self) -> int:
        return CORES_PER_NODE * self._nodes

    @property
    def _memory_total(self) -> int:
        return MEMORY_PER_NODE_BYTES * self._nodes

    def read(self, tick: Tick) -> HostReading:
        """The load at the tick."""
        t = self._clock.seconds(tick)
        busy, held = self._cores_at(t)
        used = SYSTEM_BYTES * self._nodes + held
        mean = sum(busy) / len(busy)
        hunger = self._hunger(t, PRESSURE_S)
        load_1, load_5, load_15 = self._load.at(t)
        reading = HostReading(
            read_at=tick.boottime_s,
            cpu_utilization=round(mean, 4),
            cores=busy,
            iowait=round(min(1.0 - mean, 0.003 + 0.05 * self._hunger(t, IOWAIT_S)), 4),
            load_1=round(load_1, 2),
            load_5=round(load_5, 2),
            load_15=round(load_15, 2),
            memory_total_bytes=self._memory_total,
            memory_used_bytes=used,
            memory_available_bytes=self._memory_total - used,
            swap_total_bytes=SWAP_TOTAL_BYTES,
            swap_used_bytes=SWAP_USED_BYTES,
            uptime_s=round(UPTIME_S + t, 2),
            pressure=Pressure(
                cpu_some=round(0.012 + 0.004 * self._noise.smooth(t / 7.0), 4),
                memory_some=0.0,
                memory_full=0.0,
                io_some=round(0.01 + 0.42 * hunger, 4),
                io_full=round(0.18 * hunger, 4),
            ),
            container=self._limits(t, used) if self._container else None,
        )
        if not self._was_read:
            self._was_read = True
            rates = ("cpu_utilization", "cores", "iowait")
            for name in rates:
                setattr(reading, name, None)
            reading.missing = dict.fromkeys(rates, NEEDS_TWO_READINGS)
        return reading

    def processes(
        self, tick: Tick, uses: Mapping[int, Sequence[DeviceUse]], with_args: bool
    ) -> list[Process]:
        """The processes of the cast behind these pids."""
        t = self._clock.seconds(tick)
        found = []
        for pid, held in uses.items():
            known = self._crowd.find(pid)
            if known is not None:
                found.append(self._process(pid, *known, list(held), t, with_args))
        self._met = set(uses)
        return found

    def _process(
        self, pid: int, member: Member, life: int, held: list[DeviceUse], t: float, with_args: bool
    ) -> Process:
        person, began = member.person, member.began(life)
        cpu = self._cpu(member, t)
        process = Process(
            pid=pid,
            start_ticks=round((UPTIME_S + began) * CLOCK_TICKS_PER_S),
            name=person.name,
            user=member.user,
            uid=member.uid,
            command=list(member.command) if with_args else None,
            state="R" if cpu > 0.5 else "S",
            started_utc_s=round(self._clock.utc(began), 2),
            cpu_utilization=round(cpu, 3),
            memory_bytes=self._memory(member, t),
            threads=person.threads,
            uses=held,
        )
        if pid not in self._met:
            process.cpu_utilization = None
            process.missing = {"cpu_utilization": NEEDS_TWO_READINGS}
        return process

    def _memory(self, member: Member, t: float) -> int:
        """Resident host memory, in whole MiB."""
        wave = 1.0 + 0.015 * math.sin(t / 23.0 + member.phase)
        return int(member.person.host_gib * wave * 1024) * 1024**2

    def _cpu(self, member: Member, t: float) -> float:
        """Cores that a process keeps busy at the story's second `t`."""
        level = _LEVELS[member.person.follows](t - member.shift_s)
        wobble = 1.0 + 0.04 * self._noise.white(t + 3.1 * member.number)
        return max(0.0, member.person.cpu * level * wobble)

    def _cores_at(self, t: float) -> tuple[list[float], int]:
        """Utilisation of every core, and the bytes of host memory that the cast holds."""
        white, step = self._noise.white, 0.7
        cores = [0.012 + 0.012 * white(t + n * step) for n in range(self._cores)]
        held = 0
        for member in self._crowd.members:
            if member.life(t) is None:
                continue
            held += self._memory(member, t)
            cpu = self._cpu(member, t)
            first = member.person.core + CORES_PER_NODE * member.node
            count = max(1, math.ceil(member.person.cpu))
            for core in range(first, first + count):
                cores[core % len(cores)] += cpu / count
        return [round(min(1.0, max(0.0, core)), 3) for core in cores], held

    def _hunger(self, t: float, seconds: int) -> float:
        """How much the loaders waited for data over the last `seconds`, 0 to 1."""
        if not self._loaders:
            return 0.0
        waits = [
            1.0 - workloads.fed(t - shift - back)
            for shift in self._loaders
            for back in range(seconds)
        ]
        return sum(waits) / len(waits)

    def _runnable(self, t: float) -> float:
        """Tasks that run or wait for the disk."""
        running = sum(self._cpu(m, t) for m in self._crowd.members if m.life(t) is not None)
        return 0.6 + running + 6.0 * self._hunger(t, IOWAIT_S)

    def _limits(self, t: float, used: int) -> ContainerLimits:
        level = 0.9 + 0.1 * self._noise.smooth(t / 4.0)
        return ContainerLimits(
            cpu_quota_cores=CONTAINER_CORES,
            cpu_used_cores=round(CONTAINER_CORES * level, 2),
            cpu_throttled=round(max(0.0, level - 0.93), 3),
            memory_limit_bytes=CONTAINER_BYTES,
            memory_used_bytes=min(used, int(CONTAINER_BYTES * 0.71)),
        )


class _LoadAverage:
    """The three load averages, stepped as the kernel does."""

    def __init__(self, runnable: Callable[[float], float]) -> None:
        self._runnable = runnable
        self._step: int | None = None
        self._values = [0.0, 0.0, 0.0]

    def at(self, t: float) -> list[float]:
        """The averages at the story's second `t`, which never goes back."""
        last, longest = int(t // LOAD_STEP_S), int(LOAD_SPANS_S[-1] / LOAD_STEP_S)
        if self._step is None or last - self._step > longest:
            self._step = last - longest
            self._values = [self._runnable(self._step * LOAD_STEP_S)] * len(LOAD_SPANS_S)
        while self._step < last:
            self._step += 1
            count = self._runnable(self._step * LOAD_STEP_S)
            for n, span_s in enumerate(LOAD_SPANS_S):
                self._values[n] += (count - self._values[n]) * -math.expm1(-LOAD_STEP_S / span_s)
        return self._values


def _loader_level(t: float) -> float:
    """The loader's workers burn a core each, but for the moments they wait for the disk."""
    return 0.97 if workloads.fed(t) > 0.0 else 0.90


_LEVELS = {
    "steady": lambda t: 1.0,
    "idle": lambda t: 0.0,
    "loader": _loader_level,
    "waits": lambda t: 0.25 + 0.75 * workloads.fed(t),
    "requests": workloads.requests,
}

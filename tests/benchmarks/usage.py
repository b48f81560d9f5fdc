"""What processes use, as the kernel counts it."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Usage:
    """What some processes have used since each was started."""

    cpu_s: dict[int, float]
    """User and system time of all threads, ended ones included, by process."""
    wakeups: dict[int, int]
    """How often their threads went from waiting to running, by process."""

    def cpu_since(self, before: Usage) -> float:
        """Seconds of CPU used since an earlier look."""
        return sum(used - before.cpu_s.get(pid, 0.0) for pid, used in self.cpu_s.items())

    def wakeups_since(self, before: Usage) -> int:
        """Wake-ups since an earlier look."""
        return sum(count - before.wakeups.get(pid, 0) for pid, count in self.wakeups.items())


def usage(pids: Iterable[int]) -> Usage:
    """Look at processes; those that are gone are left out."""
    cpu_s, wakeups = {}, {}
    for pid in pids:
        try:
            cpu_s[pid] = time.clock_gettime(_cpu_clock(pid))
            wakeups[pid] = sum(map(_wakeups, Path(f"/proc/{pid}/task").iterdir()))
        except OSError:
            continue
    return Usage(cpu_s, wakeups)


def memory_mb(pids: Iterable[int]) -> tuple[float, float]:
    """Resident megabytes (1e6 bytes) of processes: added up (RSS), and with what several share
    divided among them (PSS).
    """
    resident = proportional = 0.0
    for pid in pids:
        try:
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        except OSError:
            continue
        sizes = {line.split(":")[0]: line.split() for line in text.splitlines()[1:]}
        resident += int(sizes["Rss"][1]) * 1024 / 1e6
        proportional += int(sizes["Pss"][1]) * 1024 / 1e6
    return resident, proportional


def _cpu_clock(pid: int) -> int:
    """The clock of a process's CPU time (CPUCLOCK_SCHED of linux/posix-timers.h): the sum that
    /proc/PID/stat shows in hundredths of a second, in nanoseconds.
    """
    return (~pid << 3) | 2


def _wakeups(task: Path) -> int:
    for line in (task / "status").read_text().splitlines():
        if line.startswith("voluntary_ctxt_switches:"):
            return int(line.split()[1])
    return 0

"""What the host knows of the processes the driver names."""

from __future__ import annotations

import os
import pwd
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from gputop import procfs
from gputop.collect.backend import Tick
from gputop.collect.clock import LONGEST_SPAN_S, WALL_STEP_S
from gputop.collect.lookups import Lookups
from gputop.model import missing
from gputop.model.frame import DeviceUse, Process
from gputop.procfs import ProcessStat

GONE = missing.error("ESRCH")
"""There is no such process here: it ended, or /proc hides other users' processes."""
FOREIGN = missing.DENIED
"""The pid belongs to a namespace we cannot look into."""

_OF_THE_HOST = (
    "start_ticks", "name", "user", "uid", "state", "started_utc_s", "cpu_utilization",
    "memory_bytes", "threads",
)  # fmt: skip

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class _CommandKey(NamedTuple):
    """A program in a process: a new one (exec) has a new name."""

    pid: int
    start_ticks: int
    name: str


class _Known(NamedTuple):
    """What is remembered of a process between two ticks."""

    cpu_ticks: int
    read_at: float
    started_utc_s: float


class ProcessTable:
    """Joins the driver's pids with /proc. One instance serves one stream of ticks, since CPU
    utilisation stands on two of them.
    """

    def __init__(self, proc: str = procfs.PROC) -> None:
        self._proc = proc
        self._known: dict[tuple[int, int], _Known] = {}
        self._users: Lookups[int, str] = Lookups(user_name)
        self._commands: Lookups[_CommandKey, list[str] | None] = Lookups(self._read_command)

    def read(
        self, tick: Tick, uses: Mapping[int, Sequence[DeviceUse]], with_args: bool, foreign: bool
    ) -> list[Process]:
        """One process for each pid of `uses`, in its order. Where the pids are `foreign` nothing
        is joined, since the same number means another process here.
        """
        before, self._known = self._known, {}
        processes = []
        for pid, its_uses in uses.items():
            stat = None if foreign or pid <= 0 else procfs.process_stat(pid, self._proc)
            process = Process(pid, uses=list(its_uses))
            if stat is None:
                reason = FOREIGN if foreign else GONE
                process.missing = dict.fromkeys(_OF_THE_HOST, reason)
            else:
                self._fill(process, stat, tick, before)
                if with_args:
                    self._fill_command(process, stat)
            processes.append(process)
        if with_args:
            self._commands.keep([_command_key(p) for p in processes])
        return processes

    def _fill(
        self, process: Process, stat: ProcessStat, tick: Tick,
        before: Mapping[tuple[int, int], _Known],
    ) -> None:  # fmt: skip
        process.start_ticks = stat.start_ticks
        process.name = stat.name
        process.state = stat.state
        process.threads = stat.threads
        process.memory_bytes = stat.resident_pages * _PAGE_BYTES
        identity = process.pid, stat.start_ticks
        ticks = stat.user_ticks + stat.system_ticks
        last = before.get(identity)
        started = _started(stat.start_ticks, tick)
        if last is not None and abs(last.started_utc_s - started) <= WALL_STEP_S:
            started = last.started_utc_s  # the same moment, told to a hundredth differently
        process.started_utc_s = started
        self._known[identity] = _Known(ticks, tick.boottime_s, started)
        elapsed = tick.boottime_s - last.read_at if last else 0.0
        if last is None or not 0 < elapsed <= LONGEST_SPAN_S:
            process.missing["cpu_utilization"] = missing.NEEDS_TWO_READINGS
        else:
            process.cpu_utilization = max(0, ticks - last.cpu_ticks) / _TICKS_PER_S / elapsed
        self._fill_user(process)

    def _fill_user(self, process: Process) -> None:
        try:
            process.uid = os.stat(f"{self._proc}/{process.pid}").st_uid
        except OSError:
            process.missing["uid"] = process.missing["user"] = GONE
            return
        process.user = self._users.get(process.uid)
        if process.user is None:
            process.missing["user"] = missing.PENDING

    def _fill_command(self, process: Process, stat: ProcessStat) -> None:
        key = _CommandKey(process.pid, stat.start_ticks, stat.name)
        process.command = self._commands.get(key)
        if process.command is None:
            process.missing["command"] = missing.PENDING

    def _read_command(self, key: _CommandKey) -> list[str] | None:
        try:
            return procfs.command_line(f"{self._proc}/{key.pid}/cmdline")
        except OSError:
            return None


def _command_key(process: Process) -> _CommandKey:
    return _CommandKey(process.pid, process.start_ticks or 0, process.name or "")


def _started(start_ticks: int, tick: Tick) -> float:
    """UTC of a start, to the hundredth the kernel counts in."""
    return round(tick.utc_s - tick.boottime_s + start_ticks / _TICKS_PER_S, 2)


def user_name(uid: int) -> str:
    """A user's name, or the number where the system has none for it, as ps prints it."""
    try:
        return pwd.getpwuid(uid).pw_name
    except (KeyError, OSError, UnicodeDecodeError):
        return str(uid)

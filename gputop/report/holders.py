"""Who held a device and used it: the job's processes, others, and what nobody accounts for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import get_args

from gputop.model.frame import DeviceReading, DeviceUse, Frame, Process
from gputop.report.series import Window
from gputop.report.shape import Holder, ProcessReport, Who
from gputop.text import clean

MOST_PROCESSES = 5_000
"""Beyond these newcomers are counted, not followed."""
LISTED = 12
"""Processes in a report."""

WHO: tuple[Who, ...] = get_args(Who)


class _Sum:
    """What one of them had on a device."""

    __slots__ = ("held_s", "memory_s", "peak", "seen", "sm", "sm_s", "weighed_s")

    def __init__(self) -> None:
        self.seen = False
        self.held_s = 0.0
        self.peak: float | None = None
        self.memory_s = self.weighed_s = 0.0
        """Bytes times seconds, and the seconds for which they are known."""
        self.sm = self.sm_s = 0.0

    def add(self, there: bool, memory: float | None, sm: float | None, seconds: float) -> None:
        self.seen = self.seen or there
        self.held_s += seconds if there else 0.0
        if memory is not None:
            self.peak = memory if self.peak is None else max(self.peak, memory)
            self.memory_s += memory * seconds
            self.weighed_s += seconds
        if sm is not None:
            self.sm += sm * seconds
            self.sm_s += seconds

    def report(self, who: Who, covered_s: float, total: float | None) -> Holder:
        return Holder(
            who, covered_s,
            held_s=None if who == "unattributed" else self.held_s,
            memory_peak_bytes=self.peak,
            memory_peak_share=self.peak / total if total and self.peak is not None else None,
            memory_mean_bytes=self.memory_s / self.weighed_s if self.weighed_s else None,
            sm_mean=self.sm / self.sm_s if self.sm_s else None,
        )  # fmt: skip


class _Uses:
    """What some processes hold and do on a device together; None where that of one is not known: a
    part of a sum would pass for the whole.
    """

    __slots__ = ("memory", "sm", "there")

    def __init__(self) -> None:
        self.there = False
        self.memory: float | None = 0
        self.sm: float | None = 0

    def add(self, memory: float | None, sm: float | None) -> None:
        self.there = True
        self.memory = None if memory is None or self.memory is None else self.memory + memory
        self.sm = None if sm is None or self.sm is None else self.sm + sm


class Holders:
    """Who held one device or MIG instance."""

    def __init__(self) -> None:
        self._sums: dict[Who, _Sum] = {who: _Sum() for who in WHO}
        self._last_at: float | None = None
        self.covered_s = 0.0
        self.read = False
        """True once its process list was read."""

    def update(
        self, reading: DeviceReading, found: Iterable[tuple[Process, DeviceUse]],
        longest_s: float, window: Window, with_job: bool,
    ) -> float:  # fmt: skip
        """Take its list of processes. Returns the seconds that it speaks for. `with_job`: whose
        each process is was told, where it could be.
        """
        at, before = reading.read_at.processes, self._last_at
        if at is None or reading.status != "ok":
            self._last_at = None
            return 0.0
        if before is not None and at <= before:
            return 0.0
        self._last_at, self.read = at, True
        seconds = 0.0
        if before is not None and at - before <= longest_s:
            start, end = window.clip(before, at)
            seconds = max(end - start, 0.0)
        if window.begin <= at <= window.end or seconds:
            self._add(reading, found, seconds, with_job)
        return seconds

    def _add(
        self, reading: DeviceReading, found: Iterable[tuple[Process, DeviceUse]],
        seconds: float, with_job: bool,
    ) -> None:  # fmt: skip
        self.covered_s += seconds
        job, others, every = _Uses(), _Uses(), _Uses()
        for process, use in found:
            if process.job is None and with_job:
                continue  # it ended before it was looked at: it may be anybody's
            memory, sm = use.memory_bytes, use.sm_utilization
            (job if process.job else others).add(memory, sm)
            every.add(memory, sm)
        self._sums["job"].add(job.there, job.memory, job.sm, seconds)
        self._sums["others"].add(others.there, others.memory, others.sm, seconds)
        self._sums["unattributed"].add(
            False, _rest(reading.memory_used_bytes, every.memory),
            _rest(reading.gpu_utilization, every.sm), seconds,
        )  # fmt: skip

    def held_by(self, who: Who) -> bool:
        """Whether it ever had a process there."""
        return self._sums[who].seen

    def report(self, total: float | None, with_job: bool) -> list[Holder]:
        """Its holders; `total` is the device's memory in bytes."""
        if not self.read:
            return []
        chosen = [who for who in WHO if with_job or who != "job"]
        return [self._sums[who].report(who, self.covered_s, total) for who in chosen]


def _rest(whole: float | None, part: float | None) -> float | None:
    """What the parts leave of the whole. They are read one after the other and may exceed it."""
    return None if whole is None or part is None else max(whole - part, 0)


class _Past:
    """One process over the time."""

    __slots__ = ("devices", "held_s", "job", "name", "peak", "raw_name", "raw_user",
                 "sm_s", "user")  # fmt: skip

    def __init__(self, process: Process) -> None:
        self.name = self.user = ""
        self.raw_name: str | None = None
        self.raw_user: str | None = None
        self.job = process.job
        self.devices: dict[str, None] = {}
        self.held_s = 0.0
        self.peak: int | None = None
        self.sm_s: float | None = None


class Processes:
    """Every process that was on a device."""

    def __init__(self) -> None:
        self._pasts: dict[tuple[int, int | None], _Past] = {}
        self.unfollowed = 0
        """Processes beyond the most that are followed, counted at each frame."""

    def update(self, frame: Frame, seconds: dict[str, float]) -> None:
        """Take a frame's processes; `seconds` is the time that each device's list speaks for."""
        for process in frame.processes:
            key = process.pid, process.start_ticks
            past = self._pasts.get(key)
            if past is None:
                if len(self._pasts) >= MOST_PROCESSES:
                    self.unfollowed += 1
                    continue
                past = self._pasts[key] = _Past(process)
            _follow(past, process, seconds)

    def report(self, devices: set[str]) -> list[ProcessReport]:
        """Those on some devices that worked most, then those that held most: the job's first."""
        rows = [
            ProcessReport(
                pid, past.name, past.user, past.job, [clean(uuid) for uuid in past.devices],
                past.held_s,
                past.peak, past.sm_s,
            )
            for (pid, _), past in self._pasts.items()
            if not devices.isdisjoint(past.devices)
        ]  # fmt: skip
        rows.sort(key=lambda row: (row.job is not True, -(row.sm_s or 0),
                                   -(row.memory_peak_bytes or 0)))  # fmt: skip
        return rows[:LISTED]

    def __len__(self) -> int:
        return len(self._pasts)


def _follow(past: _Past, process: Process, seconds: dict[str, float]) -> None:
    if process.name != past.raw_name and process.name:
        past.raw_name, past.name = process.name, clean(process.name, 40)
    if process.user != past.raw_user and process.user:
        past.raw_user, past.user = process.user, clean(process.user, 32)
    past.job = past.job or process.job
    memory: int | None = 0
    held = 0.0
    for use in process.uses:
        uuid = use.mig or use.device
        past.devices[uuid] = None
        lasted = seconds.get(uuid, 0.0)
        if lasted > held:
            held = lasted
        if use.sm_utilization is not None and lasted:
            past.sm_s = (past.sm_s or 0.0) + use.sm_utilization * lasted
        mine = use.memory_bytes
        memory = None if mine is None or memory is None else memory + mine
    if memory is not None and (past.peak is None or memory > past.peak):
        past.peak = memory
    past.held_s += held

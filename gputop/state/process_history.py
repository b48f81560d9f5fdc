"""What each process held and did over the last minutes, on each of its devices.

Only what was read enters, once; a second without a reading is a gap. A process that leaves the
lists is kept for a while, so that its screen can still be looked at.
"""

from __future__ import annotations

from typing import NamedTuple

from gputop.model.frame import DeviceUse, Frame, Process
from gputop.state.history import Ring, Span

REACH_S = 600
"""Seconds of history."""
KEPT_S = 300.0
"""Seconds for which a process that has left is kept."""
MOST_PROCESSES = 512
"""Beyond these, those that left first make room; with none of them, newcomers are not kept."""


class ProcessKey(NamedTuple):
    """What makes a process the same one from frame to frame, on one boot."""

    pid: int
    start_ticks: int | None


def key_of(process: Process) -> ProcessKey:
    """A process's identity."""
    return ProcessKey(process.pid, process.start_ticks)


class UseHistory:
    """A process on one device or MIG instance."""

    __slots__ = ("_read_at", "device", "memory", "sm")

    def __init__(self, device: str) -> None:
        self.device = device
        """UUID of the device or MIG instance."""
        self.memory = Ring(1, REACH_S)
        """Bytes."""
        self.sm = Ring(1, REACH_S)
        """Ratio."""
        self._read_at: float | None = None

    def add(self, at: float, use: DeviceUse) -> None:
        """Take what was read at CLOCK_BOOTTIME `at`. The same reading repeated counts once."""
        if at == self._read_at:
            return
        self._read_at = at
        for ring, value in ((self.memory, use.memory_bytes), (self.sm, use.sm_utilization)):
            if value is not None:
                ring.add(at, value, value, value, 1)


class ProcessPast:
    """One process: who it was when last seen, and its uses over time."""

    __slots__ = ("left_s", "process", "seen_s", "uses")

    def __init__(self, process: Process, at: float) -> None:
        self.process = process
        """As it was last seen."""
        self.seen_s = at
        """CLOCK_BOOTTIME of the newest frame with it."""
        self.left_s: float | None = None
        """CLOCK_BOOTTIME of the first frame in which all its devices answered without it."""
        self.uses: dict[str, UseHistory] = {}

    def columns(self, device: str, metric: str, numbers: range, width_s: int) -> list[Span | None]:
        """A span a column of ``memory`` or ``sm``; column `n` is [n, n + 1) * `width_s` seconds.

        All gaps where the process never was on the device.
        """
        use = self.uses.get(device)
        if use is None:
            return [None] * len(numbers)
        ring = use.memory if metric == "memory" else use.sm
        return [ring.span(n * width_s, (n + 1) * width_s) for n in numbers]


class ProcessHistory:
    """The processes of one host."""

    def __init__(self) -> None:
        self._pasts: dict[ProcessKey, ProcessPast] = {}

    def get(self, key: ProcessKey) -> ProcessPast | None:
        """A process's past; None when it is not known, or was dropped."""
        return self._pasts.get(key)

    def __len__(self) -> int:
        return len(self._pasts)

    def update(self, frame: Frame) -> None:
        """Take the next frame."""
        now = frame.boottime_s
        lists_at = {reading.uuid: reading.read_at.processes for reading in frame.devices}
        for process in frame.processes:
            past = self._seen(process, now)
            if past is not None:
                _add_uses(past, process, lists_at)
        for past in self._pasts.values():
            if past.seen_s != now and past.left_s is None and may_have_left(past.process, frame):
                past.left_s = now
        self._drop(now)

    def _seen(self, process: Process, now: float) -> ProcessPast | None:
        key = key_of(process)
        past = self._pasts.get(key)
        if past is None:
            if len(self._pasts) >= MOST_PROCESSES and not self._make_room():
                return None
            past = self._pasts[key] = ProcessPast(process, now)
        past.process, past.seen_s, past.left_s = process, now, None
        return past

    def _make_room(self) -> bool:
        left = [(past.left_s, key) for key, past in self._pasts.items() if past.left_s is not None]
        if left:
            del self._pasts[min(left, key=lambda item: item[0])[1]]
        return bool(left)

    def _drop(self, now: float) -> None:
        old = [key for key, past in self._pasts.items() if now - past.seen_s > KEPT_S]
        for key in old:
            del self._pasts[key]


def _add_uses(past: ProcessPast, process: Process, lists_at: dict[str, float | None]) -> None:
    for use in process.uses:
        at = lists_at.get(use.device)
        if at is None:
            continue
        uuid = use.mig or use.device
        history = past.uses.get(uuid)
        if history is None:
            history = past.uses[uuid] = UseHistory(uuid)
        history.add(at, use)


def may_have_left(process: Process, frame: Frame) -> bool:
    """Whether a process that `frame` does not list is gone. A list that was not read says
    nothing: only when all its devices answered is it.
    """
    read = {d.uuid for d in frame.devices if d.read_at.processes is not None}
    return bool(process.uses) and all(use.device in read for use in process.uses)

"""What a worker shows to the loop's thread: the last answers about its device, under a lock."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from gputop.collect.backend import Tick
from gputop.collect.nvml.board import Board
from gputop.collect.nvml.deadlines import Deadlines
from gputop.collect.nvml.device import bare_info, instance_info
from gputop.collect.nvml.driver_time import boottime
from gputop.collect.nvml.identity import Identity
from gputop.collect.nvml.mig import Instance
from gputop.collect.nvml.reader import settle
from gputop.collect.nvml.troubles import DOES_NOT_ANSWER, OPENING
from gputop.collect.nvml.values import Result
from gputop.collect.nvml.visibility import Visibility
from gputop.model.frame import (
    NAMELESS,
    DeviceInfo,
    DeviceReading,
    DeviceStatus,
    DeviceUse,
    SampleSpan,
)

MOST_SPANS = 600
"""Spans kept for a frame that never comes; older ones go."""


class Report(Struct, frozen=True):
    """What a worker has to say now: its device, and behind it the MIG instances on it."""

    infos: Sequence[DeviceInfo]
    readings: Sequence[DeviceReading]
    uses: dict[int, list[DeviceUse]]


class Away(Struct, frozen=True):
    """How every device is while the driver itself is not open."""

    status: DeviceStatus
    detail: str
    since_s: float | None
    """CLOCK_BOOTTIME at which that began."""


class Panel:
    """One device as the answers show it. A record once shown is never changed, but replaced."""

    def __init__(self, index: int, deadlines: Deadlines, visibility: Visibility) -> None:
        """`index` names the device until its UUID is known."""
        self._lock = threading.Lock()
        self._deadlines = deadlines
        self._visibility = visibility
        self._index = index
        self._known = False
        self._board = Board(DeviceInfo(uuid=f"{NAMELESS}{index}", name=f"GPU {index}", index=index))
        self._instances: tuple[Instance, ...] = ()
        self._boards: list[Board] = []
        self._status: DeviceStatus = "pending"
        self._detail = OPENING
        self._reason: str | None = None
        self._since: float | None = None
        self._asked: Tick | None = None
        self._asked_at = 0.0
        self._waiting_since = 0.0
        """`time.monotonic()`: a suspend is no time in which the driver could have answered."""
        self._uses: dict[int, list[DeviceUse]] = {}
        self._spans: deque[SampleSpan] = deque(maxlen=MOST_SPANS)

    @property
    def index(self) -> int:
        """Where the device stands in the driver's order, or stood when it was last there."""
        return self._index

    @property
    def away(self) -> bool:
        """True while the device cannot be read for a reason of its own."""
        return self._status in ("lost", "error") or not self._known

    @property
    def is_asked(self) -> bool:
        """True while a request is unanswered: its worker may hang in a call."""
        return self._asked is not None

    # -- requests --------------------------------------------------------------------------

    def ask(self, tick: Tick) -> bool:
        """Note a request; False while the last one is unanswered."""
        with self._lock:
            if self._asked is not None:
                return False
            self._asked, self._asked_at = tick, boottime()
            self._waiting_since = time.monotonic()
            return True

    def answered(self, tick: Tick) -> None:
        """The request is answered: its fast group was read, or cannot be."""
        with self._lock:
            if self._asked is tick:
                self._asked = None

    # -- what the worker found ---------------------------------------------------------------

    def opened(self, identity: Identity) -> None:
        """The device was found. What was known of it for ever stays."""
        with self._lock:
            info = bare_info(identity)
            if self._board.info.uuid == identity.uuid:
                info = replace(self._board.info, index=info.index, bus_id=info.bus_id)
            if identity.index is not None:
                self._index = identity.index
            self._known = True
            self._instances, self._boards = (), []
            self._board = Board(self._with_mine(info))

    def moved(self, index: int) -> None:
        """The device stands elsewhere in the driver's order."""
        with self._lock:
            self._index = index
            self._board.info = self._with_mine(replace(self._board.info, index=index))

    def described(self, info: DeviceInfo) -> None:
        """Who it is, with the metrics that do not change."""
        with self._lock:
            self._board.info = self._with_mine(info)

    def cut(self, instances: tuple[Instance, ...], identity: Identity) -> None:
        """The device's MIG instances are others now."""
        with self._lock:
            self._instances = instances
            infos = [instance_info(instance, identity) for instance in instances]
            self._boards = [Board(self._with_mine(info)) for info in infos]
            self._board.info = self._with_mine(self._board.info)

    def fast(self, result: Result, at: float, read_s: float) -> None:
        """The fast group, read at `at` (CLOCK_BOOTTIME) in `read_s`: the device is well."""
        with self._lock:
            self._board.put("fast", result, at)
            self._board.read_s = read_s
            self._status, self._detail, self._reason, self._since = "ok", "", None, None

    def medium(self, result: Result, for_slow: Result, at: float, spans: list[SampleSpan]) -> None:
        """The medium group, what it brought for the slow group, and buffered samples."""
        with self._lock:
            self._board.put("medium", result, at)
            self._board.amend("slow", for_slow)
            self._spans.extend(spans)

    def slow(self, result: Result) -> None:
        """The slow group, read until now. MIG instances have nothing in it."""
        with self._lock:
            at = boottime()
            self._board.put("slow", settle("slow", result), at)
            for board in self._boards:
                board.put("slow", settle("slow", Result()), at)

    def instances_fast(self, results: Sequence[Result]) -> None:
        """The fast group of each MIG instance, read until now."""
        with self._lock:
            for board, result in zip(self._boards, results, strict=True):
                board.put("fast", result, boottime())

    def instances_medium(self, results: Sequence[Result]) -> None:
        """The medium group of each MIG instance, read until now."""
        with self._lock:
            for board, result in zip(self._boards, results, strict=True):
                board.put("medium", settle("medium", result), boottime())

    def processes(self, uses: dict[int, list[DeviceUse]] | None, refusal: str) -> None:
        """Who is on the device, read until now; None when the driver does not say, and why."""
        with self._lock:
            self._uses = uses or {}
            for board in (self._board, *self._boards):
                board.processes_at = None if uses is None else boottime()
                board.processes_refusal = refusal if uses is None else None

    def fail(self, status: DeviceStatus, detail: str, reason: str | None) -> None:
        """The device is lost or broken; the time of that is when it was first seen."""
        with self._lock:
            if self._since is None:
                self._since = boottime()
            self._clear(status, detail, reason)

    def forget(self) -> None:
        """The device is about to be opened anew."""
        with self._lock:
            self._clear("pending", OPENING, None)

    def _clear(self, status: DeviceStatus, detail: str, reason: str | None) -> None:
        self._status, self._detail, self._reason = status, detail, reason
        self._uses = {}
        for board in (self._board, *self._boards):
            board.clear()

    def _with_mine(self, info: DeviceInfo) -> DeviceInfo:
        """The same with its `mine`: whether the environment gave it to this user."""
        if info.parent is None:
            places = [(i.uuid, i.gpu_instance, i.compute_instance) for i in self._instances]
            return replace(info, mine=self._visibility.mine(info.uuid, info.index, places))
        place = (info.uuid, info.gpu_instance_id, info.compute_instance_id)
        mine = self._visibility.mine_instance(info.parent, self._index, *place)
        return replace(info, mine=mine)

    # -- what the loop sees ------------------------------------------------------------------

    def report(self, away: Away | None, with_spans: bool) -> Report | None:
        """What is known now; None while there is nothing to list. `away` is given while the driver
        itself is not open; `with_spans` hands out the buffered samples, once.
        """
        with self._lock:
            status, since, detail = self._status, self._since, self._detail
            waited = time.monotonic() - self._waiting_since if self._asked is not None else 0.0
            if away is not None:
                status, detail, since = away.status, away.detail, away.since_s
            elif waited > self._patience():
                status, since, detail = "timed_out", self._asked_at, DOES_NOT_ANSWER
            if not self._known and status == "pending" and waited <= self._deadlines.listed_s:
                return None
            boards = (self._board, *self._boards)
            infos = [board.info for board in boards]
            if status != "ok":
                reason = self._reason if status == self._status else None
                empty = [b.empty_reading(status, since, detail, reason) for b in boards]
                return Report(infos, empty, {})
            readings = [board.reading() for board in boards]
            if with_spans:
                readings[0].samples = list(self._spans)
                self._spans.clear()
            return Report(infos, readings, self._uses)

    def _patience(self) -> float:
        """How long a request may take. Opening a device may load the driver's firmware first."""
        return self._deadlines.init_s if self._status == "pending" else self._deadlines.reading_s

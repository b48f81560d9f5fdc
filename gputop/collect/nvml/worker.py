"""The thread of one device: it alone calls the driver about it, so it alone hangs with it."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from msgspec.structs import replace

from gputop.collect.backend import Tick
from gputop.collect.nvml import abi, identity
from gputop.collect.nvml.board import Board
from gputop.collect.nvml.deadlines import Deadlines
from gputop.collect.nvml.device import OpenDevice, bare_info, instance_info
from gputop.collect.nvml.driver_time import boottime
from gputop.collect.nvml.library import Library, Meter, NvmlError
from gputop.collect.nvml.reader import settle
from gputop.collect.nvml.troubles import DOES_NOT_ANSWER, OPENING, device_trouble
from gputop.collect.nvml.values import Result, Trouble
from gputop.collect.nvml.visibility import Visibility
from gputop.model import missing
from gputop.model.frame import DeviceInfo, DeviceReading, DeviceStatus, DeviceUse, SampleSpan

MEDIUM_S = 1.0
"""The medium group is read at most so often."""
SLOW_S = 5.0
"""The slow group is read so often."""
MOST_SPANS = 600
"""Spans kept for a frame that never comes; older ones go."""


class Office(Protocol):
    """What a worker needs of whoever employs it. All of it may be called from any thread."""

    library: Library
    deadlines: Deadlines
    visibility: Visibility
    driver_version: str | None

    def claim(self, worker: Worker, uuid: str) -> bool:
        """Take a device as one's own; False when another worker has it already."""

    def settled(self, worker: Worker, tick: Tick) -> None:
        """The request of that tick has been answered as far as a frame waits for it."""

    def library_gone(self, generation: int) -> None:
        """The library of that generation has to be initialised again."""

    def watch_events(self, handle: object, uuid: str) -> None:
        """Have the device's events collected."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a worker has to say now."""

    infos: Sequence[DeviceInfo]
    readings: Sequence[DeviceReading]
    uses: dict[int, list[DeviceUse]]


class Worker:
    """Reads one device for as long as the process lives, also while the device is away."""

    def __init__(self, office: Office, index: int) -> None:
        """`index` is where the device is looked for until its UUID is known."""
        self._office = office
        self._library = office.library
        self._meter = Meter()
        self._inbox: queue.SimpleQueue[Tick | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        # The thread's own:
        self._device: OpenDevice | None = None
        self._generation = -1
        self._retry_at = 0.0
        self._first = True
        self._medium_at = self._slow_at = 0.0
        self._backlog: deque[Callable[[], None]] = deque()
        # Shared, under the lock:
        self._index = index
        self._uuid: str | None = None
        self._board = Board(DeviceInfo(uuid=f"index:{index}", name=f"GPU {index}", index=index))
        self._instances: list[Board] = []
        self._status: DeviceStatus = "pending"
        self._detail = OPENING
        self._reason: str | None = None
        self._trouble_since: float | None = None
        self._asked: Tick | None = None
        self._asked_at = 0.0
        self._uses: dict[int, list[DeviceUse]] = {}
        self._spans: deque[SampleSpan] = deque(maxlen=MOST_SPANS)
        threading.Thread(target=self._run, name=f"gpu-{index}", daemon=True).start()

    # -- for the loop's thread -------------------------------------------------------------

    @property
    def uuid(self) -> str | None:
        """The device's UUID, once it is known."""
        return self._uuid

    @property
    def index(self) -> int:
        """Where the device stands in the driver's order, or stood when it was last there."""
        return self._index

    @property
    def calls(self) -> int:
        """Driver calls since start."""
        return self._meter.calls

    @property
    def away(self) -> bool:
        """True while the device cannot be read for a reason of its own."""
        return self._status in ("lost", "error") or self._uuid is None

    def own(self, uuid: str) -> None:
        """Called by the office with its lock held: this worker's device has that UUID."""
        self._uuid = uuid

    def ask(self, tick: Tick) -> bool:
        """Hand over a request; False while the last one has not been begun or hangs."""
        with self._lock:
            if self._asked is not None:
                return False
            self._asked, self._asked_at = tick, boottime()
        self._inbox.put(tick)
        return True

    def stop(self) -> None:
        """End the thread once no call holds it."""
        self._inbox.put(None)

    def report(
        self, now: float, driver: tuple[DeviceStatus, str] | None, with_spans: bool
    ) -> Report | None:
        """What is known at `now` (CLOCK_BOOTTIME); None while there is nothing to list.
        `driver` is the status and detail of every device while the driver itself is not open;
        `with_spans` hands out the buffered samples, once.
        """
        with self._lock:
            asked_at = None if self._asked is None else self._asked_at
            status, since, detail = self._status, self._trouble_since, self._detail
            if driver is not None:
                (status, detail), since = driver, None
            elif asked_at is not None and now - asked_at > self._patience():
                status, since, detail = "timed_out", asked_at, DOES_NOT_ANSWER
            boards = [self._board, *self._instances]
            if self._uuid is None and status == "pending":
                return None
            if status != "ok":
                reason = self._reason if status == self._status else None
                empty = [b.empty_reading(status, since, detail, reason) for b in boards]
                return Report([b.info for b in boards], empty, {})
            readings = [board.reading() for board in boards]
            if with_spans:
                readings[0].samples = list(self._spans)
                self._spans.clear()
            return Report([b.info for b in boards], readings, self._uses)

    def _patience(self) -> float:
        """How long a request may take. Opening a device may load the driver's firmware first."""
        deadlines = self._office.deadlines
        return deadlines.init_s if self._status == "pending" else deadlines.reading_s

    # -- for the keeper's thread, while nobody is inside the library --------------------------

    def forget(self) -> None:
        """The library is about to be shut down: give back what it holds, drop the handle."""
        if self._device is not None:
            self._device.free()
        self._device = None
        self._backlog.clear()
        self._retry_at = 0.0
        with self._lock:
            self._clear("pending", OPENING, None)

    # -- the thread ------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            try:
                tick = self._inbox.get(block=not self._backlog)
            except queue.Empty:
                self._inside(self._backlog.popleft())
                continue
            if tick is None:
                return
            self._inside(partial(self._serve, tick))
            self._answered(tick)
            self._office.settled(self, tick)

    def _inside(self, work: Callable[[], None]) -> None:
        """Do one piece of work; whatever goes wrong becomes the device's status."""
        if not self._library.enter():
            self._backlog.clear()
            return
        try:
            work()
        except (Trouble, NvmlError) as e:
            self._fail(e.code)
        except Exception as e:
            name = type(e).__name__
            self._fail_with("error", f"Reading this GPU failed ({name}).", missing.error(name))
        finally:
            self._library.leave()

    def _serve(self, tick: Tick) -> None:
        try:
            if self._is_open():
                self._read(tick)
        except Trouble as e:
            # A handle that was good and is not: reset, or cut into MIG. Worth one new look.
            if e.code != abi.INVALID_ARGUMENT or not self._open():
                raise
            self._read(tick)

    # -- opening ---------------------------------------------------------------------------

    def _is_open(self) -> bool:
        if self._device is not None and self._generation == self._library.generation:
            return True
        self._device = None
        return boottime() >= self._retry_at and self._open()

    def _open(self) -> bool:
        """Find the device and learn who it is. Raises NvmlError. False when it is another
        worker's.
        """
        self._retry_at = boottime() + self._office.deadlines.find_again_s
        self._close_device()
        library, meter = self._library, self._meter
        if self._uuid is None:
            handle = identity.handle_at(library, meter, self._index)
        else:
            handle = identity.handle_of(library, meter, self._uuid)
        who = identity.identify(library, meter, handle)
        if not self._office.claim(self, who.uuid):
            return False
        version = self._office.driver_version
        self._device = OpenDevice(library, meter, handle, who, version)
        self._generation = library.generation
        self._first = True
        with self._lock:
            if who.index is not None:
                self._index = who.index
            if self._board.info.uuid == who.uuid:
                info = replace(self._board.info, index=who.index, bus_id=who.bus_id)
            else:
                info = bare_info(who)
            self._board, self._instances = Board(self._with_mine(info)), []
        self._office.watch_events(handle, who.uuid)
        return True

    def _close_device(self) -> None:
        device, self._device = self._device, None
        self._backlog.clear()
        if device is not None:
            device.free()

    # -- reading ---------------------------------------------------------------------------

    def _read(self, tick: Tick) -> None:
        device = self._device
        assert device is not None
        first, self._first = self._first, False
        self._read_fast(device)
        self._answered(tick)
        if first:
            self._office.settled(self, tick)
            self._look_for_instances(device)
        self._read_instances(device)
        if first or tick.slow or due(tick, self._medium_at, MEDIUM_S):
            self._medium_at = tick.boottime_s
            self._read_medium(device)
            self._read_processes(device)
        self._office.settled(self, tick)
        if first or ((tick.slow or due(tick, self._slow_at, SLOW_S)) and not self._backlog):
            self._slow_at = tick.boottime_s
            self._plan_slow(device, describe=first)

    def _read_fast(self, device: OpenDevice) -> None:
        began = boottime()
        result = device.fast()
        at = boottime()
        if abi.INVALID_ARGUMENT in result.codes:
            self._check_handle(device)
        if not result.values and result.codes - abi.NEVER:
            raise NvmlError(max(result.codes - abi.NEVER))
        with self._lock:
            self._board.put("fast", result, at)
            self._board.read_s = at - began
            self._status, self._detail, self._reason = "ok", "", None
            self._trouble_since = None

    def _check_handle(self, device: OpenDevice) -> None:
        """Tell a question the driver does not understand from a handle that is no more."""
        try:
            identity.uuid_of(self._library, self._meter, device.handle)
        except NvmlError as e:
            raise Trouble(e.code) from e

    def _look_for_index(self, device: OpenDevice) -> None:
        """Indices move when another device comes or goes."""
        index = identity.index_of(self._library, self._meter, device.handle)
        if index is None or index == self._index:
            return
        with self._lock:
            self._index = index
            self._board.info = self._with_mine(replace(self._board.info, index=index))

    def _look_for_instances(self, device: OpenDevice) -> None:
        if not device.look_for_instances():
            return
        boards = [
            Board(self._with_mine(instance_info(instance, device.identity)))
            for instance in device.instances
        ]
        with self._lock:
            self._instances = boards
            self._board.info = self._with_mine(self._board.info)

    def _read_instances(self, device: OpenDevice) -> None:
        results = [device.part(instance).fast() for instance in device.instances]
        if any(abi.INVALID_ARGUMENT in result.codes for result in results):
            self._look_for_instances(device)
            results = [device.part(instance).fast() for instance in device.instances]
        at = boottime()
        with self._lock:
            for board, result in zip(self._instances, results, strict=True):
                board.put("fast", result, at)

    def _read_medium(self, device: OpenDevice) -> None:
        result, for_slow, at = device.medium()
        spans = device.spans()
        with self._lock:
            self._board.put("medium", result, at)
            self._board.amend("slow", for_slow)
            self._spans.extend(spans)
        for board, instance in zip(self._instances, device.instances, strict=True):
            part = Result()
            device.part(instance).activity(part)
            at = boottime()
            with self._lock:
                board.put("medium", settle("medium", part), at)

    def _read_processes(self, device: OpenDevice) -> None:
        uses = device.processes()
        at = None if uses is None else boottime()
        with self._lock:
            self._uses = uses or {}
            for board in (self._board, *self._instances):
                board.processes_at = at

    def _plan_slow(self, device: OpenDevice, describe: bool) -> None:
        result = Result()
        if describe:
            self._backlog.append(partial(self._describe, device))
        else:
            self._backlog.append(partial(self._look_for_index, device))
            self._backlog.append(partial(self._look_for_instances, device))
        self._backlog.extend(device.slow_steps(result))
        self._backlog.append(partial(self._publish_slow, result))

    def _describe(self, device: OpenDevice) -> None:
        info = device.describe()
        with self._lock:
            self._board.info = self._with_mine(info)

    def _publish_slow(self, result: Result) -> None:
        at = boottime()
        with self._lock:
            self._board.put("slow", settle("slow", result), at)
            for board in self._instances:
                board.put("slow", settle("slow", Result()), at)

    def _with_mine(self, info: DeviceInfo) -> DeviceInfo:
        """The same with its `mine`; a new object, since the old one may be in a frame."""
        visibility, instances = self._office.visibility, self._device_instances()
        if info.parent is None:
            mine = visibility.mine(info.uuid, info.index, instances)
        else:
            mine = visibility.mine_instance(
                info.parent, self._index, info.uuid, info.gpu_instance_id,
                info.compute_instance_id,
            )  # fmt: skip
        return replace(info, mine=mine)

    def _device_instances(self) -> list[tuple[str, int | None, int | None]]:
        found = self._device.instances if self._device is not None else ()
        return [(i.uuid, i.gpu_instance, i.compute_instance) for i in found]

    # -- what went wrong -------------------------------------------------------------------

    def _fail(self, code: int) -> None:
        if code in abi.LIBRARY_GONE:
            self._close_device()
            with self._lock:
                self._clear("pending", OPENING, None)
            self._office.library_gone(self._library.generation)
            return
        trouble = device_trouble(code)
        reason = missing.error(code) if trouble.status == "error" else None
        self._fail_with(trouble.status, trouble.detail, reason)

    def _fail_with(self, status: DeviceStatus, detail: str, reason: str | None) -> None:
        self._close_device()
        self._retry_at = boottime() + self._office.deadlines.find_again_s
        with self._lock:
            if self._trouble_since is None:
                self._trouble_since = boottime()
            self._clear(status, detail, reason)

    def _clear(self, status: DeviceStatus, detail: str, reason: str | None) -> None:
        """Forget every value; with the lock held."""
        self._status, self._detail, self._reason = status, detail, reason
        self._uses = {}
        for board in (self._board, *self._instances):
            board.clear()

    def _answered(self, tick: Tick) -> None:
        with self._lock:
            if self._asked is tick:
                self._asked = None


def due(tick: Tick, last_s: float, period_s: float) -> bool:
    """Whether a group is due: at this tick rather than at the next, whichever is nearer to the
    end of its period.
    """
    return tick.boottime_s - last_s >= period_s - tick.interval_s / 2

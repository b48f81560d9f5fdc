"""The thread of one device: it alone calls the driver about it, so it alone hangs with it."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Protocol

from gputop.collect.backend import Tick
from gputop.collect.nvml import abi, identity
from gputop.collect.nvml.deadlines import Deadlines
from gputop.collect.nvml.device import OpenDevice
from gputop.collect.nvml.driver_time import boottime
from gputop.collect.nvml.identity import Identity
from gputop.collect.nvml.library import Library, Meter, NvmlError
from gputop.collect.nvml.panel import Panel
from gputop.collect.nvml.samples import Told
from gputop.collect.nvml.troubles import device_trouble
from gputop.collect.nvml.turn import Turn
from gputop.collect.nvml.values import Result, Trouble
from gputop.collect.nvml.visibility import Visibility
from gputop.model import missing

MEDIUM_S = 1.0
"""The medium group is read at most so often."""
SLOW_S = 5.0
"""The slow group is read so often."""


class Office(Protocol):
    """What a worker needs of whoever employs it. All of it may be called from any thread."""

    library: Library
    turn: Turn
    deadlines: Deadlines
    visibility: Visibility
    driver_version: str | None

    def claim(self, worker: Worker, who: Identity) -> bool:
        """Take a device as one's own; False when another worker has it already. Raises Impostor
        when that one reads another device of the same UUID.
        """

    def settled(self, worker: Worker, tick: Tick) -> None:
        """The request of that tick has been answered as far as a frame waits for it."""

    def library_gone(self, generation: int) -> None:
        """The library of that generation has to be initialised again."""

    def watch_events(self, handle: object, uuid: str) -> None:
        """Have the device's events collected."""


class Impostor(Exception):
    """A device says that it is another one, which is there as well."""


class Worker:
    """Reads one device for as long as the process lives, also while the device is away.

    A request is served group by group, each shown as soon as it was read; the slow group is a
    backlog of single reads, and a new request is served between any two of them.
    """

    def __init__(self, office: Office, index: int) -> None:
        """`index` is where the device is looked for until its UUID is known."""
        self._office = office
        self._library = office.library
        self._meter = Meter()
        self.panel = Panel(index, office.deadlines, office.visibility)
        self._uuid: str | None = None
        self._inbox: queue.SimpleQueue[Tick | None] = queue.SimpleQueue()
        self._backlog: deque[Callable[[], None]] = deque()
        self._device: OpenDevice | None = None
        self._told: Told = {}
        self._generation = -1
        self._retry_at = 0.0
        self._first = True
        self._medium_at = self._slow_at = 0.0
        threading.Thread(target=self._run, name=f"gpu-{index}", daemon=True).start()

    @property
    def uuid(self) -> str | None:
        """The device's UUID, once it is known."""
        return self._uuid

    @property
    def bus_id(self) -> str | None:
        """Where the device sits that is open now; None while none is."""
        device = self._device
        return device.identity.bus_id if device is not None else None

    @property
    def calls(self) -> int:
        """Driver calls since start."""
        return self._meter.calls

    def own(self, uuid: str) -> None:
        """This worker's device has that UUID; called by the office with its lock held."""
        self._uuid = uuid

    def ask(self, tick: Tick) -> bool:
        """Hand over a request; False while the last one is unanswered."""
        if not self.panel.ask(tick):
            return False
        self._inbox.put(tick)
        return True

    def stop(self) -> None:
        """End the thread once no call holds it."""
        self._inbox.put(None)

    def forget(self) -> None:
        """Give back what the library holds and drop the handle. Called by the keeper's thread
        while nobody is inside the library.
        """
        self._close()
        self._retry_at = 0.0
        self.panel.forget()

    # -- the thread ------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            try:
                tick = self._inbox.get(block=not self._backlog)
            except queue.Empty:
                self._inside(self._next_step)
                continue
            if tick is None:
                return
            self._inside(partial(self._serve, tick))
            self.panel.answered(tick)
            self._office.settled(self, tick)

    def _inside(self, work: Callable[[], None]) -> None:
        """Do one piece of work; whatever goes wrong becomes the device's status."""
        if not self._library.enter():
            self._backlog.clear()
            return
        try:
            with self._office.turn.taken():
                work()
        except (Trouble, NvmlError) as e:
            self._fail(e.code)
        except Impostor as e:
            self._retry_at = boottime() + self._office.deadlines.find_again_s
            self.panel.fail("error", str(e), missing.ERROR)
        except Exception as e:
            self._close()
            self._retry_at = boottime() + self._office.deadlines.find_again_s
            name = type(e).__name__
            self.panel.fail("error", f"Reading this GPU failed ({name}).", missing.error(name))
        finally:
            self._library.leave()

    def _next_step(self) -> None:
        if self._backlog:
            self._backlog.popleft()()

    def _serve(self, tick: Tick) -> None:
        try:
            if self._is_open() or self._try_to_open():
                self._read(tick)
        except Trouble as e:
            # A handle that was good and is not: reset, or cut into MIG. Worth one new look.
            if e.code != abi.INVALID_ARGUMENT or not self._open():
                raise
            self._read(tick)

    def _fail(self, code: int) -> None:
        self._close()
        if code in abi.LIBRARY_GONE:
            self.panel.forget()
            self._office.library_gone(self._library.generation)
            return
        self._retry_at = boottime() + self._office.deadlines.find_again_s
        trouble = device_trouble(code)
        reason = missing.error(code) if trouble.status == "error" else None
        self.panel.fail(trouble.status, trouble.detail, reason)

    # -- opening ---------------------------------------------------------------------------

    def _is_open(self) -> bool:
        return self._device is not None and self._generation == self._library.generation

    def _try_to_open(self) -> bool:
        """Open the device unless that was tried just now."""
        return boottime() >= self._retry_at and self._open()

    def _open(self) -> bool:
        """Find the device and learn who it is; False when it is another worker's. Raises
        NvmlError.
        """
        self._close()
        library, meter = self._library, self._meter
        if self._uuid is None:
            handle = identity.handle_at(library, meter, self.panel.index)
        else:
            handle = identity.handle_of(library, meter, self._uuid)
        who = identity.identify(library, meter, handle)
        if not self._office.claim(self, who):
            return False
        version = self._office.driver_version
        self._device = OpenDevice(library, meter, handle, who, version, self._told)
        self._generation = library.generation
        self._first = True
        self.panel.opened(who)
        self._office.watch_events(handle, who.uuid)
        return True

    def _close(self) -> None:
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
        self.panel.answered(tick)
        if first:
            self._office.settled(self, tick)
            self._look_for_instances(device)
        self._read_instances(device)
        if first or tick.slow or due(tick, self._medium_at, MEDIUM_S):
            self._medium_at = tick.boottime_s
            self._read_medium(device)
            self.panel.processes(device.processes(), device.process_refusal)
        self._office.settled(self, tick)
        slow_due = tick.slow or due(tick, self._slow_at, SLOW_S)
        if first or (slow_due and not self._backlog):
            self._slow_at = tick.boottime_s
            self._plan_slow(device, first)

    def _read_fast(self, device: OpenDevice) -> None:
        began = boottime()
        result = device.fast()
        at = boottime()
        if abi.INVALID_ARGUMENT in result.codes:
            self._check_handle(device)
        failed = result.codes - abi.NEVER
        if failed and not result.values:
            raise NvmlError(max(failed))
        self.panel.fast(result, at, at - began)

    def _check_handle(self, device: OpenDevice) -> None:
        """Tell a question the driver does not understand from a handle that is no more."""
        try:
            identity.uuid_of(self._library, self._meter, device.handle)
        except NvmlError as e:
            raise Trouble(e.code) from e

    def _look_for_index(self, device: OpenDevice) -> None:
        """Indices move when another device comes or goes."""
        index = identity.index_of(self._library, self._meter, device.handle)
        if index is not None and index != self.panel.index:
            self.panel.moved(index)

    def _look_for_instances(self, device: OpenDevice) -> None:
        if device.look_for_instances():
            self.panel.cut(device.instances, device.identity)

    def _read_instances(self, device: OpenDevice) -> None:
        results = device.instances_fast()
        if any(abi.INVALID_ARGUMENT in result.codes for result in results):
            self._look_for_instances(device)
            results = device.instances_fast()
        self.panel.instances_fast(results)

    def _read_medium(self, device: OpenDevice) -> None:
        result, for_slow, at = device.medium()
        self.panel.medium(result, for_slow, at, device.spans())
        self.panel.instances_medium(device.instances_medium())

    def _plan_slow(self, device: OpenDevice, first: bool) -> None:
        looks = (self._describe,) if first else (self._look_for_index, self._look_for_instances)
        result = Result()
        self._backlog.extend(partial(look, device) for look in looks)
        self._backlog.extend(device.slow_steps(result))
        self._backlog.append(partial(self.panel.slow, result))

    def _describe(self, device: OpenDevice) -> None:
        self.panel.described(device.describe())


def due(tick: Tick, last_s: float, period_s: float) -> bool:
    """Whether a group is due: at this tick rather than at the next, whichever is nearer to the
    end of its period.
    """
    return tick.boottime_s - last_s >= period_s - tick.interval_s / 2

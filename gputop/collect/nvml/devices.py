"""The GPUs of this machine, read through NVML."""

from __future__ import annotations

import threading
import time

from gputop.collect.backend import Answers, Tick
from gputop.collect.nvml import identity
from gputop.collect.nvml.deadlines import Deadlines
from gputop.collect.nvml.driver_time import boottime, utc_now
from gputop.collect.nvml.events import EventWatcher
from gputop.collect.nvml.identity import Identity
from gputop.collect.nvml.keeper import Keeper
from gputop.collect.nvml.library import Library, Meter, NvmlError
from gputop.collect.nvml.panel import Away
from gputop.collect.nvml.troubles import DRIVER_RELEASED, OPENING, same_uuid
from gputop.collect.nvml.turn import Turn
from gputop.collect.nvml.visibility import Visibility
from gputop.collect.nvml.worker import Impostor, Worker
from gputop.model.frame import DeviceInfo, DeviceReading, DeviceUse, DriverInfo

FIRST_INTERVAL_S = 1.0


class NvmlDevices:
    """The `Devices` of a real machine: a keeper for the library and a worker for each GPU."""

    def __init__(
        self, deadlines: Deadlines | None = None, visibility: Visibility | None = None
    ) -> None:
        """Both come from the environment where they are not given."""
        self.deadlines = deadlines or Deadlines.from_environment()
        self.visibility = visibility or Visibility.from_environment()
        self.library = Library()
        self.turn = Turn()
        self.driver_version: str | None = None
        self._events = EventWatcher(self.library, self.deadlines.event_wait_s)
        self._keeper = Keeper(self.library, self.deadlines, self)
        self._meter = Meter()
        self._changed = threading.Condition()
        self._workers: list[Worker] = []
        self._outstanding: dict[Worker, Tick] = {}
        self._inventory: list[DeviceInfo] = []
        self._spans_due = False

    # -- Devices ---------------------------------------------------------------------------

    @property
    def needs_restart(self) -> bool:
        """True when the driver was replaced and only a new process can load its library."""
        return self._keeper.needs_restart

    def open(self) -> None:
        """Begin to open the driver in the background, and keep trying when it is absent."""
        self._keeper.want(True)

    def retake(self) -> None:
        """Open the driver again after `release`."""
        self._keeper.want(True)

    def request(self, tick: Tick) -> None:
        """Ask every device that has answered its last request."""
        self._spans_due = True
        if not self.library.open:
            return
        with self._changed:
            workers = list(self._workers)
        for worker in workers:
            self._ask(worker, tick)

    def wait(self, seconds: float) -> None:
        """Return when the devices asked last have answered, and the driver is not just being
        opened, or after `seconds`.
        """
        until = time.monotonic() + seconds
        with self._changed:
            while self._outstanding or self._keeper.opening:
                left = until - time.monotonic()
                if left <= 0 or not self._changed.wait(left):
                    break
            self._outstanding.clear()

    def answers(self) -> Answers:
        """Everything answered so far. Buffered samples are handed out once, by the first call
        after a `request`: that is the one whose answers become a frame.
        """
        with_spans, self._spans_due = self._spans_due, False
        driver = self._keeper.driver()
        away = _away(driver, self.library.open)
        with self._changed:
            workers = sorted(self._workers, key=lambda worker: worker.panel.index)
        infos: list[DeviceInfo] = []
        readings: list[DeviceReading] = []
        uses: dict[int, list[DeviceUse]] = {}
        unlisted = False
        for worker in workers:
            report = worker.panel.report(away, with_spans)
            if report is None:
                unlisted = True
                continue
            infos.extend(report.infos)
            readings.extend(report.readings)
            for pid, on_device in report.uses.items():
                uses.setdefault(pid, []).extend(on_device)
        if infos != self._inventory:
            self._inventory = infos
        events, unheard, calls = self._events.take(), self._events.take_missed(), self._calls()
        return Answers(driver, self._inventory, readings, uses, events, unheard, calls, unlisted)

    def release(self) -> None:
        """Let go of the driver as soon as no call is inside it."""
        self._keeper.want(False)

    def close(self) -> None:
        """Stop asking, and wait for nothing."""
        self._keeper.leave()

    def _calls(self) -> int:
        own = self._meter.calls + self._keeper.calls + self._events.calls
        return own + sum(worker.calls for worker in self._workers)

    def _ask(self, worker: Worker, tick: Tick) -> None:
        with self._changed:
            self._outstanding[worker] = tick
        if not worker.ask(tick):
            self.settled(worker, tick)

    # -- the workers' office ---------------------------------------------------------------

    def claim(self, worker: Worker, who: Identity) -> bool:
        """Give a device to a worker unless another one has it; then that worker is not needed."""
        with self._changed:
            for other in self._workers:
                if other is worker or other.uuid != who.uuid:
                    continue
                if other.bus_id is not None and other.bus_id != who.bus_id:
                    raise Impostor(same_uuid(other.panel.index))
                self._workers.remove(worker)
                worker.stop()
                return False
            worker.own(who.uuid)
            return True

    def settled(self, worker: Worker, tick: Tick) -> None:
        """A worker has answered as far as a frame waits for it."""
        with self._changed:
            if self._outstanding.get(worker) is tick:
                del self._outstanding[worker]
            if not self._outstanding:
                self._changed.notify_all()

    def library_gone(self, generation: int) -> None:
        """A call says that the library must be initialised again."""
        self._keeper.start_again(generation)

    def watch_events(self, handle: object, uuid: str) -> None:
        """Have a device's events collected."""
        self._events.watch(handle, uuid)

    # -- the keeper's owner ----------------------------------------------------------------

    def attempted(self) -> None:
        """An attempt to open the driver is over: nobody need wait for it any more."""
        with self._changed:
            self._changed.notify_all()

    def opened(self, device_count: int) -> None:
        """Give each device a worker, and ask for first readings at once."""
        self.driver_version = self._keeper.driver().driver_version
        self._events.start()
        with self._changed:
            if not self._workers:
                self._workers = [Worker(self, index) for index in range(device_count)]
            workers = list(self._workers)
        tick = Tick(0, boottime(), utc_now(), FIRST_INTERVAL_S)
        for worker in workers:
            self._ask(worker, tick)

    def resumed(self) -> None:
        """A release was called off: the event thread has ended, the workers go on."""
        self._events.start()

    def shutting_down(self) -> None:
        """Nobody is inside the library: have everybody give back what it holds."""
        self._events.free()
        for worker in list(self._workers):
            worker.forget()

    def look_around(self, device_count: int) -> None:
        """Find devices that no worker reads yet."""
        workers = list(self._workers)
        if device_count == len(workers) and not any(worker.panel.away for worker in workers):
            return
        known = {worker.uuid for worker in workers}
        taken = {worker.panel.index for worker in workers if worker.uuid is None}
        for index in range(device_count):
            if index in taken:
                continue
            try:
                handle = identity.handle_at(self.library, self._meter, index)
                new = identity.uuid_of(self.library, self._meter, handle) not in known
            except NvmlError:
                continue  # a known device that is lost, or one that appears when it works
            if new:
                with self._changed:
                    self._workers.append(Worker(self, index))

    def all_away(self) -> bool:
        """True when no device can be read, and none is being read: under a call that hangs nothing
        can be started afresh.
        """
        panels = [worker.panel for worker in self._workers]
        return bool(panels) and all(panel.away and not panel.is_asked for panel in panels)


def _away(driver: DriverInfo, is_open: bool) -> Away | None:
    """What to say of every device while the library is not open; None while it is."""
    if is_open:
        return None
    if driver.status == "released":
        return Away("pending", DRIVER_RELEASED, driver.since_s)
    if driver.status in ("absent", "failed", "stuck"):
        return Away("error", driver.message, driver.since_s)
    return Away("pending", OPENING, driver.since_s)

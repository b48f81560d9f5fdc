"""Machines for tests of the loop: devices whose every answer the test decides."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gputop.collect.backend import Answers, Tick
from gputop.model.frame import (
    DeviceInfo,
    DeviceReading,
    DeviceUse,
    DriverInfo,
    Event,
    HostInfo,
    HostReading,
    Process,
)


def device(index: int, **more: object) -> DeviceInfo:
    return DeviceInfo(uuid=f"GPU-{index:08x}", name="Test GPU", index=index, **more)  # type: ignore[arg-type]


@dataclass
class FakeDevices:
    """Says what its fields say. `answering` is set when a request is answered."""

    inventory: list[DeviceInfo] = field(default_factory=lambda: [device(0), device(1)])
    status: str = "ok"
    opens_after_s: float = 0.0
    opens_in_wait: bool = False
    """The driver answers while a tick waits for it, not before."""
    pending: set[str] = field(default_factory=set)
    uses: Mapping[int, Sequence[DeviceUse]] = field(default_factory=dict)
    needs_restart: bool = False
    restart_at: int | None = None
    """The request at which `needs_restart` becomes true."""
    event_at: int | None = None
    """The request at which an Xid happens."""
    hang_at: int | None = None
    """The request in which `wait` never returns."""
    never_ready: bool = False
    """`wait` always takes as long as it may: somebody asked has not answered."""
    noise: str = ""
    """Printed to stdout and stderr at every request, as a careless library would."""
    fails: str = ""
    """Raised in a thread of its own when the driver is opened."""
    trace: str = ""
    """A file that grows by a byte at every request."""
    padding: int = 0
    """Bytes that make every frame longer."""
    requests: list[Tick] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    pending_for: int = 0
    """Answers are pending until so many looks at them."""

    def __post_init__(self) -> None:
        self._opened_at: float | None = None
        self._lock = threading.Lock()

    def open(self) -> None:
        self.calls.append("open")
        self._opened_at = time.monotonic()
        if self.fails:
            threading.Thread(target=self._fail).start()

    def _fail(self) -> None:
        raise RuntimeError(self.fails)

    def request(self, tick: Tick) -> None:
        self.requests.append(tick)
        if self.trace:
            with open(self.trace, "ab") as file:
                file.write(b".")
        if self.noise:
            for descriptor in (1, 2):
                os.write(descriptor, self.noise.encode())
        count = len(self.requests)
        self.needs_restart = self.needs_restart or count == self.restart_at
        if count == self.event_at:
            uuid = self.inventory[0].uuid
            self.add_event(Event("", 0, tick.utc_s, tick.boottime_s, "xid", uuid, 79))

    def wait(self, seconds: float) -> None:
        self.calls.append("wait")
        self.opens_in_wait = False
        if len(self.requests) == self.hang_at:
            threading.Event().wait()
        if self.never_ready:
            threading.Event().wait(seconds)

    def answers(self) -> Answers:
        with self._lock:
            events, self.events = self.events, []
        opened = self._opened_at
        if self.status == "released":
            return Answers(DriverInfo("released"), events=events)
        if opened is None or self.opens_in_wait or time.monotonic() < opened + self.opens_after_s:
            return Answers(DriverInfo("starting"), events=events)
        driver = DriverInfo(self.status, driver_version="550.1")  # type: ignore[arg-type]
        if self.status != "ok":
            return Answers(driver, events=events)
        if self.requests and self.pending_for:
            self.pending_for -= 1
        return Answers(
            driver, self.inventory, [self._reading(d) for d in self.inventory], self.uses, events,
            nvml_calls=7 * len(self.requests),
        )  # fmt: skip

    def _reading(self, info: DeviceInfo) -> DeviceReading:
        if self.pending_for or info.uuid in self.pending or not self.requests:
            return DeviceReading(info.uuid, "pending")
        return DeviceReading(
            info.uuid, power_w=100.0 + len(self.requests), detail="x" * self.padding
        )

    def add_event(self, event: Event) -> None:
        with self._lock:
            self.events.append(event)

    def release(self) -> None:
        self.calls.append("release")
        self.status = "released"

    def retake(self) -> None:
        self.calls.append("retake")
        self.status = "ok"
        self._opened_at = self._opened_at or time.monotonic()

    def close(self) -> None:
        self.calls.append("close")


@dataclass
class FakeHost:
    """A host at rest."""

    def info(self) -> HostInfo:
        return HostInfo("testhost", "boot-1")

    def read(self, tick: Tick) -> HostReading:
        return HostReading(read_at=tick.boottime_s, load_1=0.5)

    def processes(
        self, tick: Tick, uses: Mapping[int, Sequence[DeviceUse]], with_args: bool
    ) -> list[Process]:
        return [Process(pid, uses=list(its)) for pid, its in uses.items()]

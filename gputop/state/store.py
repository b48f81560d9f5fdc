"""What the records so far add up to. Screens, warnings and reports read from here."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any

from msgspec.structs import replace

from gputop.model.frame import (
    AnyRecord,
    DeviceInfo,
    DeviceReading,
    DriverInfo,
    Event,
    Frame,
    Hello,
    HostReading,
    Job,
    Process,
    is_nameless,
)
from gputop.model.metrics import CHARTED, OF_INFO, Tier
from gputop.state.history import History
from gputop.state.last_good import LastGood, Value
from gputop.state.throttle import ThrottleAccount

EVENTS_KEPT = 500
DEPARTED_KEPT = 8
"""MIG instances that were taken away and are still known, should their layout come back (a layout
has seven at most): each holds up to half a megabyte of history.
"""
UNLISTED_S = 15.0
"""A device that the driver has not listed for so long is lost."""
CHARTED_NAMES = frozenset(m.name for m in CHARTED)


TIERS: tuple[Tier, ...] = ("fast", "medium", "slow")


class Keeping:
    """What is kept of the past: of which metrics, and how.

    Args:
        names: Of the metrics.
        make: Makes the history of a device or host.
    """

    def __init__(
        self, names: frozenset[str] = CHARTED_NAMES, make: Callable[[], History] = History
    ) -> None:
        self.names, self.make = names, make
        self.by_tier = tuple(self._of_tier(tier) for tier in TIERS)

    def _of_tier(self, tier: Tier) -> tuple[Tier, tuple[str, ...], Callable[[DeviceReading], Any]]:
        """A tier, the names of its metrics, and what gives all their values at once."""
        names = tuple(m.name for m in CHARTED if m.tier == tier and m.name in self.names)
        if len(names) > 1:
            return tier, names, attrgetter(*names)
        return tier, names, lambda reading: [getattr(reading, name) for name in names]


FOR_CHARTS = Keeping()


class DeviceState:
    """One device or MIG instance: who it is, what it said last, and what it said before."""

    def __init__(self, info: DeviceInfo, keeping: Keeping | None = FOR_CHARTS) -> None:
        self.info = info
        self._keeping = keeping
        self.reading = DeviceReading(uuid=info.uuid, status="pending")
        self.history = keeping.make() if keeping else History()
        self.throttle = ThrottleAccount()
        self.late_s: float | None = None
        """Age of its newest fast reading, where that is older than it should be."""
        self._last_good = LastGood()
        self._group_at: dict[str, float] = {}

    @property
    def uuid(self) -> str:
        """The device's UUID: what it is known by."""
        return self.info.uuid

    def update(self, reading: DeviceReading) -> None:
        """Take its newest reading. A group that was seen before enters the history once only."""
        self.reading = reading
        if self._keeping is not None:
            self._last_good.update(reading)
            self._remember(reading, self._keeping)
            self.throttle.update(reading)

    def _remember(self, reading: DeviceReading, keeping: Keeping) -> None:
        times = reading.read_at
        for tier, names, values_of in keeping.by_tier:
            at = getattr(times, tier)
            if at is None or self._group_at.get(tier) == at:
                continue
            self._group_at[tier] = at
            self.history.add_row(names, at, values_of(reading))
        for span in reading.samples:
            if span.metric in keeping.names:
                self.history.add_span(span)

    def value(self, name: str) -> Value:
        """A metric's value now, or its last good one and why it is not current."""
        return self._last_good.get(name, self.info)

    def number(self, name: str) -> float | None:
        """A metric's current value, None when it is not current."""
        number: float | None = getattr(self.info if name in OF_INFO else self.reading, name)
        return number


class Store:
    """The state of one host.

    Args:
        keeping: None for who asks only what is now: charts, throttle shares and last good values
            stay empty, at a fraction of the cost.
    """

    def __init__(self, keeping: Keeping | None = FOR_CHARTS) -> None:
        self._keeping = keeping
        self.hello: Hello | None = None
        self.frame: Frame | None = None
        self.job: Job | None = None
        """The command that `gputop run` follows or followed."""
        self.host_history = keeping.make() if keeping else History()
        self.events: deque[Event] = deque(maxlen=EVENTS_KEPT)
        self._devices: dict[str, DeviceState] = {}
        self._order: list[str] = []
        self._named: dict[str, str] = {}
        """Who a device is that cannot say so: its UUID by the one it is told under."""
        self.turned_out: dict[str, str] = {}
        """Who a device was that could not say so, and has since, in the same way."""
        self._event_seen: dict[str, int] = {}

    def apply(self, record: AnyRecord) -> None:
        """Take the next record of the stream."""
        if isinstance(record, Frame):
            self._apply_frame(record)
        elif isinstance(record, Hello):
            self._apply_hello(record)
        elif isinstance(record, Job):
            self.job = record
        elif record.seq > self._event_seen.get(record.session, -1):
            self._event_seen[record.session] = record.seq
            self.events.append(record)

    def _apply_hello(self, hello: Hello) -> None:
        if self.hello is not None and self.hello.host.boot_id != hello.host.boot_id:
            # Another boot: its clock says nothing of ours.
            self.__init__(self._keeping)  # type: ignore[misc]
        self.hello = hello
        if not hello.devices and hello.driver.status != "ok":
            return  # the driver is away: what was known stays, greyed
        self._named = self._recognise(hello)
        infos = [info for info in hello.devices if info.uuid not in self._named]
        for info in infos:
            self.turned_out.pop(info.uuid, None)
            known = self._devices.pop(info.uuid, None)
            state = known or DeviceState(info, self._keeping)
            state.info = info
            self._devices[info.uuid] = state  # behind those that are no longer listed
        self._keep_places(infos)
        self._forget_departed()

    def _recognise(self, hello: Hello) -> dict[str, str]:
        """A device that is lost, or hangs, when a collector starts cannot say who it is. Where one
        that is known is missing at its index, it is that one.
        """
        listed = {info.uuid for info in hello.devices}
        missing = {
            state.info.index: state.uuid
            for state in self.devices
            if not is_nameless(state.uuid) and state.uuid not in listed
        }
        return {
            info.uuid: missing[info.index]
            for info in hello.devices
            if is_nameless(info.uuid) and info.index in missing
        }

    def _keep_places(self, infos: Sequence[DeviceInfo]) -> None:
        """A device that is no longer listed stays in its place: `_unlisted` says what of it."""
        listed = [info.uuid for info in infos]
        taken = {info.index: info.uuid for info in infos if info.parent is None}
        for place, uuid in enumerate(self._order):
            info = self._devices[uuid].info
            if uuid in listed or info.parent is not None:
                continue
            if is_nameless(uuid) and info.index in taken:
                self.turned_out[uuid] = taken[info.index]
            else:
                listed.insert(min(place, len(listed)), uuid)
        self._order = listed

    def _forget_departed(self) -> None:
        """Keep the latest of those that have no place any more."""
        departed = [uuid for uuid in self._devices if uuid not in self._order]
        for uuid in departed[:-DEPARTED_KEPT]:
            del self._devices[uuid]

    def _apply_frame(self, frame: Frame) -> None:
        self.frame = frame
        host = frame.host
        if host.read_at is not None and self._keeping is not None:
            for name, of_host in HOST_SERIES.items():
                value = of_host(host)
                if value is not None:
                    self.host_history.ensure(name).add(host.read_at, value)
        read = set()
        due = 2 * frame.interval_s + 1
        for reading in frame.devices:
            uuid = self.known_as(reading.uuid)
            state = self._devices.get(uuid)
            if state is not None:
                state.update(reading if uuid == reading.uuid else _as(state, reading))
                read.add(uuid)
        for uuid in self._order:
            state = self._devices[uuid]
            if uuid not in read:
                state.update(self._unlisted(uuid, frame))
            read_at = state.reading.read_at.fast
            age = frame.boottime_s - read_at if read_at is not None else 0.0
            state.late_s = age if age > due else None

    def _unlisted(self, uuid: str, frame: Frame) -> DeviceReading:
        """What can be said of a device that a frame has nothing of."""
        before = self._devices[uuid].reading
        since = before.since_s if before.status != "ok" else None
        since = frame.boottime_s if since is None else since
        if self.driver.status != "ok" or frame.boottime_s - since < UNLISTED_S:
            return DeviceReading(uuid, "pending", since, self.driver.message)
        return DeviceReading(uuid, "lost", since, "The driver no longer lists this device.")

    @property
    def now(self) -> float:
        """CLOCK_BOOTTIME of the newest frame; 0 before the first."""
        return self.frame.boottime_s if self.frame else 0.0

    @property
    def period_s(self) -> float:
        """Seconds between frames, as the collector says."""
        # After a change the hello is the first to know, and the next frame may be far.
        told = [record.interval_s for record in (self.frame, self.hello) if record is not None]
        return max(told, default=1.0)

    @property
    def driver(self) -> DriverInfo:
        """What is known of the driver."""
        return self.hello.driver if self.hello else DriverInfo()

    @property
    def host(self) -> HostReading:
        """The host's newest reading."""
        return self.frame.host if self.frame else HostReading()

    @property
    def simulated(self) -> bool:
        """True when the readings come from the simulated machine."""
        return bool(self.hello and self.hello.simulated)

    @property
    def devices(self) -> list[DeviceState]:
        """The devices in the driver's order, without MIG instances."""
        return [d for d in self._all() if d.info.parent is None]

    def instances(self, uuid: str) -> list[DeviceState]:
        """The MIG instances of a device."""
        return [d for d in self._all() if d.info.parent == uuid]

    def device(self, uuid: str) -> DeviceState | None:
        """A device or MIG instance by its UUID."""
        return self._devices.get(uuid)

    def known_as(self, uuid: str) -> str:
        """The UUID of a device that the newest hello knows by its index only, where it is known."""
        return self._named.get(uuid, uuid)

    def has(self, uuid: str) -> bool:
        """Whether a device or MIG instance has a place here now, be it lost."""
        return uuid in self._order

    def _all(self) -> list[DeviceState]:
        return [self._devices[uuid] for uuid in self._order]

    @property
    def processes(self) -> Sequence[Process]:
        """The newest frame's processes."""
        return self.frame.processes if self.frame else ()


def _as(known: DeviceState, nameless: DeviceReading) -> DeviceReading:
    """The reading of a device that cannot say who it is as one of the device that is known; it has
    been so for as long as that one was.
    """
    before = known.reading
    since = before.since_s if before.status != "ok" else None
    since = nameless.since_s if since is None else since
    return replace(nameless, uuid=known.uuid, since_s=since)


def _throttled(host: HostReading) -> float | None:
    return host.container.cpu_throttled if host.container else None


def cpu_load(host: HostReading) -> float | None:
    """CPU utilisation, 0 to 1: of the container's quota where there is one, for that binds."""
    limits = host.container
    if limits and limits.cpu_quota_cores:
        used = limits.cpu_used_cores
        return None if used is None else used / limits.cpu_quota_cores
    return host.cpu_utilization


def host_memory(host: HostReading) -> tuple[int | None, int | None]:
    """Used and total bytes: the container's limit where there is one."""
    limits = host.container
    if limits and limits.memory_limit_bytes is not None:
        return limits.memory_used_bytes, limits.memory_limit_bytes
    return host.memory_used_bytes, host.memory_total_bytes


HOST_SERIES: dict[str, Callable[[HostReading], float | None]] = {
    "cpu_utilization": cpu_load,
    "memory_used_bytes": lambda host: host_memory(host)[0],
    "iowait": lambda host: host.iowait,
    "pressure_cpu_some": lambda host: host.pressure.cpu_some,
    "pressure_memory_some": lambda host: host.pressure.memory_some,
    "pressure_io_some": lambda host: host.pressure.io_some,
    "cpu_throttled": _throttled,
}
"""What is kept of the host over time, by name."""

"""One opened device: its groups of reads, and those of the MIG instances on it.

Everything here runs in the device's own thread, and everything may raise Trouble.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from gputop.collect.nvml import abi
from gputop.collect.nvml.driver_time import boottime
from gputop.collect.nvml.fans import Fans
from gputop.collect.nvml.gpm import Gpm
from gputop.collect.nvml.identity import Identity, architecture, numa_node, text_or_none
from gputop.collect.nvml.library import Library, Meter
from gputop.collect.nvml.links import RX, TX, Links
from gputop.collect.nvml.mig import Instance, instances_of
from gputop.collect.nvml.processes import ProcessLists, Row, uses_of
from gputop.collect.nvml.reader import Reader, guarded, settle, shielded
from gputop.collect.nvml.samples import Samples, Told
from gputop.collect.nvml.shares import ProcessShares
from gputop.collect.nvml.state_clock import METRIC as STATE_CLOCK
from gputop.collect.nvml.state_clock import StateClock
from gputop.collect.nvml.values import Result
from gputop.model import missing
from gputop.model.frame import DeviceInfo, DeviceUse, SampleSpan
from gputop.model.metrics import OF_INFO

GA100 = (8, 0)
"""Compute capability of the last chip whose power.draw is that of the moment (nvidia-smi's
manual)."""


class Part:
    """A device or a MIG instance: what both of them answer."""

    def __init__(self, reader: Reader, gpm: Gpm) -> None:
        self.reader = reader
        self.gpm = gpm

    def fast(self) -> Result:
        """The fast group."""
        result = Result()
        self.reader.read("fast", result)
        self.with_state(result)
        return settle("fast", result)

    def with_state(self, result: Result) -> None:
        """Fill in what follows from the P-state, which only a whole device has."""

    def activity(self, result: Result) -> None:
        """What GPM says for the medium group."""
        self.gpm.sample(boottime())
        self.gpm.pour("medium", result)


class OpenDevice(Part):
    """A device behind a handle, from its opening until it is lost or let go."""

    def __init__(
        self, library: Library, meter: Meter, handle: Any, identity: Identity,
        driver_version: str | None, told: Told,
    ) -> None:  # fmt: skip
        """`told` holds which samples were handed out before it was opened, and is kept on."""
        super().__init__(
            Reader(library, meter, handle, driver_version), Gpm(library, meter, handle)
        )
        self._library = library
        self._meter = meter
        self._handle = handle
        self.identity = identity
        self._links: Links | None = None
        self._fans: Fans | None = None
        self._samples: Samples | None = None
        self._told = told
        self._lists = ProcessLists(library, meter)
        self._shares = ProcessShares(library, meter, handle)
        self._state_clock = guarded(StateClock(library, meter, handle).read, (STATE_CLOCK,))
        self._busy = True
        self._instances: tuple[Instance, ...] = ()
        self._parts: dict[str, Part] = {}

    @property
    def handle(self) -> Any:
        """The driver's handle of the physical device."""
        return self._handle

    def fast(self) -> Result:
        """The fast group."""
        result = super().fast()
        self._busy = result.values.get("gpu_utilization") != 0
        return result

    def with_state(self, result: Result) -> None:
        """The highest clock of the P-state."""
        self._state_clock(result)

    def medium(self) -> tuple[Result, Result, float]:
        """The medium group, what it brought for the slow group, and when its counters were read
        (CLOCK_BOOTTIME).
        """
        result, for_slow = Result(), Result()
        fields, *reads = self.reader.steps("medium")
        fields(result)
        at = boottime()
        for read in reads:
            read(result)
        self.gpm.with_nvlink = self._links is not None and self._links.count > 0
        guarded(self.activity, ())(result)
        self.gpm.pour("slow", for_slow)
        if self._links is None:
            result.refuse(TX, missing.PENDING)
            result.refuse(RX, missing.PENDING)
        elif result.open(TX):
            guarded(self._rates, (TX, RX))(result)
        return settle("medium", result), for_slow, at

    def _rates(self, result: Result) -> None:
        if self._links is not None:
            self._links.rates(boottime(), result)

    def spans(self) -> list[SampleSpan]:
        """What the driver buffered since the last call."""
        return shielded(self._new_spans) or []

    def _new_spans(self) -> list[SampleSpan]:
        if self._samples is None:
            capability = self.identity.capability
            averaged = self.reader.averages_power or (capability or GA100) > GA100
            self._samples = Samples(self._library, self._meter, self._handle, averaged, self._told)
        return list(self._samples.spans(boottime()))

    def slow_steps(self, result: Result) -> list[Callable[[], None]]:
        """The slow group as steps that fill `result`, so that a worker can look up in between."""
        self.gpm.pour("slow", result)
        links = guarded(self._active_links, ("nvlink_active",))
        fans = guarded(self._fan_speeds, ("fan_speed",))
        fields, *reads = self.reader.steps("slow")
        steps = [fields, links, fans, *reads]
        return [partial(step, result) for step in steps]

    def _active_links(self, result: Result) -> None:
        if self._links is not None:
            self._links.active(result)

    def _fan_speeds(self, result: Result) -> None:
        if self._fans is not None:
            self._fans.read(result)

    def describe(self) -> DeviceInfo:
        """Who it is, with the metrics that do not change."""
        result = Result()
        self.reader.read("once", result)
        values = settle("once", result).values
        links, fans = values.get("nvlink_count"), values.get("fan_count")
        source = (self._library, self._meter, self._handle)
        self._links = Links(*source, links if isinstance(links, int) else 0)
        self._fans = Fans(*source, fans if isinstance(fans, int) else None)
        info = bare_info(self.identity)
        info.architecture = architecture(*source)
        info.numa_node = numa_node(*source)
        info.serial = text_or_none(*source[:2], "nvmlDeviceGetSerial", self._handle)
        info.missing = result.missing
        for metric, value in values.items():
            setattr(info, metric, value)
        return info

    # -- MIG -------------------------------------------------------------------------------

    @property
    def instances(self) -> tuple[Instance, ...]:
        """The MIG instances at the last look."""
        return self._instances

    def look_for_instances(self) -> bool:
        """Ask for the MIG layout; True when it changed."""
        found = instances_of(self._library, self._meter, self._handle, self._instances)
        if found == self._instances:
            return False
        kept = {i.uuid for i in found if i in self._instances}
        for uuid, part in self._parts.items():
            if uuid not in kept:
                part.gpm.free()
        self._parts = {i.uuid: self._parts.get(i.uuid) or self._part(i) for i in found}
        self._instances = found
        return True

    def _part(self, instance: Instance) -> Part:
        reader = Reader(self._library, self._meter, instance.handle, instance=True)
        number = abi.U32_ABSENT if instance.gpu_instance is None else instance.gpu_instance
        gpm = Gpm(self._library, self._meter, self._handle, number)
        return Part(reader, gpm)

    def instances_fast(self) -> list[Result]:
        """The fast group of each MIG instance."""
        return [part.fast() for part in self._parts.values()]

    def instances_medium(self) -> list[Result]:
        """The medium group of each MIG instance: what GPM says of it."""
        results = [Result() for _ in self._parts]
        for part, result in zip(self._parts.values(), results, strict=True):
            guarded(part.activity, ())(result)
        return results

    # -- processes -------------------------------------------------------------------------

    @property
    def process_refusal(self) -> str:
        """Why nobody knows who is on the device, where `processes` answered None."""
        return self._lists.refusal

    def processes(self) -> dict[int, list[DeviceUse]] | None:
        """Who is on the device, by pid; None when the driver does not say."""
        return shielded(self._uses)

    def _uses(self) -> dict[int, list[DeviceUse]] | None:
        rows = self._process_rows()
        if rows is None:
            return None
        shares = self._shares.read(boottime(), self._busy)
        uuids = {
            (i.gpu_instance, i.compute_instance): i.uuid
            for i in self._instances
            if i.gpu_instance is not None and i.compute_instance is not None
        }
        return uses_of(self.identity.uuid, rows, shares, uuids)

    def _process_rows(self) -> list[Row] | None:
        """From the device, which knows all of them where permissions allow; else from each MIG
        instance.
        """
        rows = self._lists.read(self._handle)
        if rows is not None or not self._instances:
            return rows
        found: list[Row] | None = None
        for instance in self._instances:
            part = self._lists.read(instance.handle, instance.uuid)
            if part is not None:
                found = (found or []) + [_placed(row, instance) for row in part]
        return found

    def free(self) -> None:
        """Give back what the library holds for this device."""
        for part in (self, *self._parts.values()):
            part.gpm.free()


def _placed(row: Row, instance: Instance) -> Row:
    """A row from an instance's own list, which need not say where it runs."""
    place = (instance.gpu_instance, instance.compute_instance)
    if row.instance is not None or place[0] is None or place[1] is None:
        return row
    return Row(row.pid, row.kind, row.memory_bytes, (place[0], place[1]))


def bare_info(identity: Identity) -> DeviceInfo:
    """What is known of a device before its first slow reads."""
    capability = identity.capability
    return DeviceInfo(
        uuid=identity.uuid,
        name=identity.name,
        index=identity.index,
        bus_id=identity.bus_id,
        compute_capability=f"{capability[0]}.{capability[1]}" if capability else None,
        missing=dict.fromkeys(sorted(OF_INFO), missing.PENDING),
    )


def instance_info(instance: Instance, parent: Identity) -> DeviceInfo:
    """Who a MIG instance is."""
    return DeviceInfo(
        uuid=instance.uuid,
        name=instance.name,
        index=instance.index,
        bus_id=parent.bus_id,
        parent=parent.uuid,
        mig_profile=instance.profile,
        gpu_instance_id=instance.gpu_instance,
        compute_instance_id=instance.compute_instance,
        missing=dict.fromkeys(sorted(OF_INFO), missing.UNSUPPORTED),
    )

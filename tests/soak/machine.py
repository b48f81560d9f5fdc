"""The soak's machine: devices and a host that live through the script, at whatever speed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from gputop.collect.backend import Answers, Machine, Tick
from gputop.model.frame import (
    DeviceInfo,
    DeviceReading,
    DeviceUse,
    DriverInfo,
    Event,
    HostInfo,
    HostReading,
    Process,
    ReadTimes,
    SampleSpan,
)
from tests.samples import sample_info, sample_reading
from tests.soak import script
from tests.soak.script import GIB, MIG_DEVICE, SLOTS, Slot

_NO_MEMORY = ("memory_used_bytes", "memory_free_bytes", "memory_total_bytes")
_INSTANCE_LACKS = dict.fromkeys(("gpu_utilization", "power_w", "temperature_c"), "unsupported")
_NAMES = ("python", "vllm", "tritonserver", "gmx", "whisper")
_USERS = ("ann", "bob", "chen", "dora")


class SoakDevices:
    """Answers at once."""

    def __init__(self) -> None:
        self._at = script.START_S
        self._xids_until = script.START_S
        self._opened = False

    def open(self) -> None:
        self._opened = True

    def request(self, tick: Tick) -> None:
        self._at = tick.boottime_s

    def wait(self, seconds: float) -> None:
        pass

    def release(self) -> None:
        pass

    def retake(self) -> None:
        pass

    def close(self) -> None:
        pass

    def answers(self) -> Answers:
        """Everything at the newest tick; each Xid once."""
        at = self._at
        _, minute = script.hour_minute(at)
        if not self._opened:
            return Answers(DriverInfo())
        if script.driver_is_away(minute):
            since = round(at - (minute - script.DRIVER_AWAY[0]) * script.MINUTE_S)
            return Answers(DriverInfo("failed", float(since), 999, "Unknown error."))
        inventory = list(_inventory(at, minute))
        return Answers(
            DriverInfo("ok", driver_version="580.82.07", nvml_version="13.580.82.07"),
            inventory,
            [_reading(info, at, minute) for info in inventory],
            dict(_uses(at, minute)),
            list(self._new_xids(at)),
        )

    def _new_xids(self, at: float) -> list[Event]:
        since, self._xids_until = self._xids_until, at
        made = []
        hour, _ = script.hour_minute(at)
        for minute, device, code in script.XIDS:
            moment = script.START_S + hour * script.HOUR_S + minute * script.MINUTE_S
            if since < moment <= at:
                utc = script.UTC_S + moment - script.START_S
                uuid = script.uuid_of(device)
                made.append(Event("", 0, utc, moment, "xid", uuid, code, f"Xid {code}"))
        return made


def _inventory(at: float, minute: float) -> list[DeviceInfo]:
    infos = []
    layout, instances = script.layout_of(at)
    for device in range(script.DEVICES):
        fault = script.fault_of(device, minute)
        if fault is not None and fault.unlisted:
            continue
        infos.append(sample_info(device, uuid=script.uuid_of(device)))
        if device == MIG_DEVICE:
            infos += [
                DeviceInfo(
                    script.instance_uuid(layout, slot), "NVIDIA H100 80GB HBM3 MIG 2g.20gb", slot,
                    parent=script.uuid_of(MIG_DEVICE), mig_profile="2g.20gb",
                    gpu_instance_id=slot + 3, compute_instance_id=0,
                )
                for slot in range(instances)
            ]  # fmt: skip
    return infos


def _reading(info: DeviceInfo, at: float, minute: float) -> DeviceReading:
    times = ReadTimes(fast=at, medium=at, slow=at - at % 5, processes=at)
    if info.parent is not None:
        assert info.index is not None
        share = 0.98 if script.instance_is_full(minute, info.index) else 0.5
        return DeviceReading(
            info.uuid, read_at=times, memory_used_bytes=int(share * script.INSTANCE_BYTES),
            memory_total_bytes=script.INSTANCE_BYTES, sm_activity=_wave(at, 60, 0.2, 0.9),
            missing=_INSTANCE_LACKS,
        )  # fmt: skip
    device = info.index
    assert device is not None
    fault = script.fault_of(device, minute)
    if fault is not None and fault.status != "ok":
        since = round(at - (minute - fault.minute) * script.MINUTE_S)
        return DeviceReading(info.uuid, fault.status, since, "As the script has it.")  # type: ignore[arg-type]
    return _working(device, at, times, dict(fault.changes) if fault else {})


def _working(device: int, at: float, times: ReadTimes, changes: dict[str, object]) -> DeviceReading:
    shift = at + 11 * device
    power = _wave(shift, 90, 250, 650)
    busy = _wave(shift, 47, 0.6, 0.99)
    values: dict[str, object] = {
        "uuid": script.uuid_of(device),
        "read_at": times,
        "gpu_utilization": busy,
        "memory_used_bytes": int(_wave(shift, 600, 50, 70) * GIB),
        "power_w": power,
        "temperature_c": _wave(shift, 300, 55, 75),
        "sm_clock_mhz": int(_wave(shift, 30, 1500, 1980)),
        "energy_j": 400.0 * at,
        "pcie_rx_bytes_per_s": _wave(shift, 70, 1e8, 2e9),
        "sw_thermal_violation_s": None,
        "samples": [
            SampleSpan("power_w", at - 1, at, power - 20, power, power + 30, 50),
            SampleSpan("gpu_utilization", at - 1, at, busy - 0.1, busy, 1.0, 6),
        ],
    }
    if device == MIG_DEVICE:
        denied = dict.fromkeys(_NO_MEMORY, "denied") | {"gpu_utilization": "unsupported"}
        values |= dict.fromkeys(denied) | {"mig_mode": True, "missing": denied}
    return sample_reading(device, **(values | changes))


def _uses(at: float, minute: float) -> list[tuple[int, list[DeviceUse]]]:
    found = []
    layout, instances = script.layout_of(at)
    for slot in SLOTS:
        memory = slot.memory_bytes + int(_wave(at + slot.number, 40, 0, 20)) * script.MIB
        uses = [
            DeviceUse(
                script.uuid_of(device), "C", memory_bytes=memory,
                mig=_instance(layout, instances, slot) if device == MIG_DEVICE else None,
                sm_utilization=_wave(at + slot.number, 33, 0.0, 0.2),
            )
            for device in slot.devices if script.answers(device, minute)
        ]  # fmt: skip
        if uses:
            found.append((slot.pid(slot.generation(at)), uses))
    return found


def _instance(layout: int, instances: int, slot: Slot) -> str:
    return script.instance_uuid(layout, slot.number % instances)


class SoakHost:
    """A host whose load moves."""

    def info(self) -> HostInfo:
        return HostInfo("soak", "soak-boot", cpu_count=64, memory_total_bytes=1024 * GIB)

    def read(self, tick: Tick) -> HostReading:
        at = tick.boottime_s
        return HostReading(
            read_at=at, cpu_utilization=_wave(at, 60, 0.1, 0.6),
            cores=[_wave(at + 5 * core, 45, 0.0, 1.0) for core in range(64)],
            iowait=0.01, load_1=_wave(at, 60, 8, 40), load_5=20.0, load_15=20.0,
            memory_total_bytes=1024 * GIB, memory_used_bytes=int(_wave(at, 200, 300, 500) * GIB),
            memory_available_bytes=500 * GIB, swap_total_bytes=0, swap_used_bytes=0, uptime_s=at,
        )  # fmt: skip

    def processes(
        self, tick: Tick, uses: Mapping[int, Sequence[DeviceUse]], with_args: bool
    ) -> list[Process]:
        made = []
        for pid, held in uses.items():
            slot = SLOTS[(pid - script.FIRST_PID) // 10_000]
            name = _NAMES[slot.number % len(_NAMES)]
            made.append(Process(
                pid=pid, start_ticks=pid, name=name, user=_USERS[slot.number % len(_USERS)],
                uid=1000 + slot.number % len(_USERS),
                command=[name, "--generation", str(pid)] if with_args else None, state="running",
                cpu_utilization=_wave(tick.boottime_s + slot.number, 20, 0.0, 2.0),
                memory_bytes=slot.memory_bytes, threads=12, uses=list(held),
            ))  # fmt: skip
        return made


def _wave(at: float, period_s: float, low: float, high: float) -> float:
    return low + (high - low) * (0.5 + 0.5 * math.sin(2 * math.pi * at / period_s))


def soak_machine() -> Machine:
    """The machine; it says of itself that it is simulated."""
    return Machine(SoakDevices(), SoakHost(), simulated=True)

"""Records by hand: frames at chosen moments, with chosen readings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gputop.model.frame import (
    SCHEMA_VERSION,
    AnyRecord,
    DeviceInfo,
    DeviceReading,
    DeviceUse,
    DriverInfo,
    Frame,
    Hello,
    HostInfo,
    HostReading,
    Job,
    Process,
    ReadTimes,
)
from gputop.report.account import Account, Options
from gputop.report.shape import DeviceReport, Report

BOOT_S = 1000.0
UTC_S = 1_795_000_000.0
GPU = "GPU-0"
GIB = 2**30


def hello(*uuids: str, boot_id: str = "boot", **driver: Any) -> Hello:
    infos = [
        DeviceInfo(uuid, "NVIDIA H100 80GB HBM3", index=n) for n, uuid in enumerate(uuids or (GPU,))
    ]
    host = HostInfo("node", boot_id, cpu_count=8)
    status = {"status": "ok", **driver}
    return Hello(SCHEMA_VERSION, "gputop test", "s", host, DriverInfo(**status), infos, 1.0, UTC_S,
                 BOOT_S)  # fmt: skip


def reading(at: float, uuid: str = GPU, read_at: float | None = None, **values: Any) -> Any:
    """A device's reading at second `at`; its groups were read at `read_at`, else at `at`."""
    moment = BOOT_S + (at if read_at is None else read_at)
    status = values.pop("status", "ok")
    times = ReadTimes(moment, moment, moment, moment) if status == "ok" else ReadTimes()
    return DeviceReading(uuid, status, read_at=times, **values)


def frame(
    at: float, *readings: DeviceReading, processes: Sequence[Process] = (),
    interval_s: float = 1.0, utc_s: float | None = None, host: HostReading | None = None,
) -> Frame:  # fmt: skip
    return Frame(
        "s", int(at * 1000), UTC_S + at if utc_s is None else utc_s, BOOT_S + at, interval_s,
        host or HostReading(), list(readings), list(processes),
    )  # fmt: skip


def uses(pid: int, gib: float | None, sm: float | None = None, job: bool | None = None,
         uuid: str = GPU) -> Process:  # fmt: skip
    memory = None if gib is None else int(gib * GIB)
    use = DeviceUse(uuid, "C", memory_bytes=memory, sm_utilization=sm)
    return Process(pid, 1, f"p{pid}", "ann", job=job, uses=[use])


def job(at: float = 0.0, until: float | None = None, **more: Any) -> Job:
    ended = None if until is None else BOOT_S + until
    return Job("train", UTC_S + at, BOOT_S + at, ended_s=ended, exit_code=0, **more)


def report_of(*records: AnyRecord, options: Options | None = None) -> Report:
    return Account(options).add_all(records).report()


def device_of(*records: AnyRecord, options: Options | None = None) -> DeviceReport:
    """The only device's report."""
    (device,) = report_of(*records, options=options).devices
    return device


def utilised(*points: tuple[float, float | None], **more: Any) -> list[AnyRecord]:
    """A hello, and a frame for each moment with its utilisation."""
    frames = [frame(at, reading(at, gpu_utilization=value), **more) for at, value in points]
    return [hello(), *frames]

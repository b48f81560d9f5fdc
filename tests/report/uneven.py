"""Recordings that nothing is even about: gaps, clocks that jump, devices that come and go."""

from __future__ import annotations

import random
from collections.abc import Iterator

from msgspec.structs import replace

from gputop.model.frame import AnyRecord, DeviceReading, Frame, Hello, Job, ReadTimes
from tests.demo_records import START_S, demo_records

SECONDS = 240
_BLANKED = ("gpu_utilization", "power_w", "memory_used_bytes", "sm_activity", "energy_j",
            "sm_clock_mhz", "temperature_c", "event_reasons")  # fmt: skip


def uneven(seed: int, job: bool) -> list[AnyRecord]:
    """The simulated machine's records, as a bad day would have left them."""
    dice = random.Random(seed)
    gap, lost, unlisted, slow = (dice.uniform(20, SECONDS - 60) for _ in range(4))
    records: list[AnyRecord] = []
    for record in demo_records(8, SECONDS):
        at = record.boottime_s - START_S
        if isinstance(record, Frame):
            if gap < at < gap + 45 or dice.random() < 0.02:
                continue
            if slow < at < slow + 30 and round(at) % 5:
                continue
            record = _frame(record, dice, lost < at < lost + 20, unlisted < at < unlisted + 25)
            if slow < at < slow + 30:
                record.interval_s = 5.0
            if job:
                _tell_jobs(record, dice)
        elif isinstance(record, Hello) and records and dice.random() < 0.5:
            record = replace(record, devices=record.devices[:-1])
        records.append(record)
        if job and len(records) == 1:
            records.append(_job(15.0, 190.0))
        if dice.random() < 0.02:
            records.append(record)  # twice
    return [_at_uneven_times(record, seed) for record in records]


def _frame(frame: Frame, dice: random.Random, lost: bool, unlisted: bool) -> Frame:
    devices = [replace(reading) for reading in frame.devices]
    for place, reading in enumerate(devices):
        if dice.random() < 0.03:
            setattr(reading, dice.choice(_BLANKED), None)
        if dice.random() < 0.02:
            reading.read_at = replace(reading.read_at, medium=None)
        if dice.random() < 0.3:
            reading.samples = []
        if (lost and place == 1) or dice.random() < 0.005:
            devices[place] = DeviceReading(reading.uuid, "lost", frame.boottime_s)
    if unlisted:
        del devices[2]
    jump = dice.choice([0.0, 0.0, 0.0, 7200.0, -86_400.0])
    return replace(
        frame, devices=devices, utc_s=frame.utc_s + jump,
        processes=[replace(process) for process in frame.processes],
    )  # fmt: skip


def _tell_jobs(frame: Frame, dice: random.Random) -> None:
    for process in frame.processes:
        process.job = None if dice.random() < 0.01 else process.user == "ann"


def _job(start: float, end: float) -> Job:
    first = demo_records(8, SECONDS)[0]
    return Job("train", first.utc_s + start, first.boottime_s + start,
               ended_s=first.boottime_s + end, exit_code=0)  # fmt: skip


def _at_uneven_times(record: AnyRecord, seed: int) -> AnyRecord:
    """The same at another time; time still passes, now faster and now slower."""

    def moved(at: float) -> float:
        shift = random.Random(int(at * 8) * 31 + seed).random() * 0.1
        return round(START_S + (at - START_S) * 1.07 + shift, 3)

    later = moved(record.boottime_s)
    if not isinstance(record, Frame):
        return replace(record, boottime_s=later)
    devices = []
    for reading in record.devices:
        times = {name: moved(at) for name, at in _times(reading.read_at)}
        samples = [replace(span, start_s=moved(span.start_s), end_s=moved(span.end_s))
                   for span in reading.samples]  # fmt: skip
        devices.append(replace(reading, read_at=replace(reading.read_at, **times),
                               samples=samples))  # fmt: skip
    host = record.host
    if host.read_at is not None:
        host = replace(host, read_at=moved(host.read_at))
    return replace(record, boottime_s=later, devices=devices, host=host)


def _times(times: ReadTimes) -> Iterator[tuple[str, float]]:
    for name in times.__struct_fields__:
        at = getattr(times, name)
        if at is not None:
            yield name, at

"""A report in words and cells, the same for every page that shows it.

Everything from a machine was made safe when it was added up; a page adds its own escapes.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from gputop import text
from gputop.model.metrics import BY_NAME
from gputop.report.shape import (
    Change,
    DeviceReport,
    Energy,
    EventReport,
    Holder,
    ProcessReport,
    Report,
    Statistic,
)
from gputop.text import DEFAULT_UNITS, NO_VALUE, Units, percent

SIMULATED = "SIMULATED: these devices do not exist."
TENTHS = ("<10", *(f"{n}0-" for n in range(1, 9)), "90+")
BASES = {
    "counter": "by the energy counter", "power": "by power over time",
    "both": "by the energy counter, and by power where it was not read",
}  # fmt: skip
_WHO = {"job": "this job", "others": "others", "unattributed": "unattributed"}


class Row(NamedTuple):
    """A label and what stands behind it."""

    label: str
    value: str


class StatisticRow(NamedTuple):
    """A line of a device's table."""

    metric: str
    label: str
    cells: tuple[str, str, str, str]
    """Mean, median, p95, highest."""


STATISTIC_HEADS = ("mean", "median", "p95", "max")


def heading(report: Report) -> list[str]:
    """File, host, begin, and who made it."""
    when = report.begin_utc_s
    moment = text.local_time(when, "%Y-%m-%d %H:%M:%S %z") if when is not None else ""
    return [part for part in (report.file, report.hostname, moment, report.program) if part]


def title(report: Report) -> str:
    """What was looked at."""
    if report.job is None:
        return "recording"
    return text.join_command(report.job.command) if report.job.command else report.job.name


def outcome(report: Report) -> str:
    """How the command ended; empty without one."""
    job = report.job
    if job is None:
        return ""
    if job.signal is not None:
        try:
            name = signal.Signals(job.signal).name
        except ValueError:
            name = str(job.signal)
        return f"killed by {name}"
    return "still running" if job.exit_code is None else f"exit code {job.exit_code}"


def summary(report: Report, units: Units = DEFAULT_UNITS) -> list[Row]:
    """The run in a few lines."""
    return [row for part in _SUMMARY if (row := part(report, units)) is not None]


def _time(report: Report, _: Units) -> Row | None:
    label = "Time to solution" if report.job else "Time recorded"
    return Row(label, text.elapsed(report.duration_s))


def _devices(report: Report, _: Units) -> Row | None:
    if not report.devices:
        return Row("GPUs", report.driver or "There were no readings.")
    whole = [device for device in report.devices if device.parent is None]
    used = [device for device in whole if device.used]
    names = ", ".join(place(device) for device in used)
    by = "this job" if report.job else "anybody"
    if not used:
        return Row("GPUs", f"none of {len(whole)} was used by {by}")
    return Row("GPUs", f"{len(used)} of {len(whole)} used by {by}: {names}")


def _hours(report: Report, _: Units) -> Row | None:
    allocated, active, read = (
        report.gpu_hours_allocated, report.gpu_hours_active, report.gpu_hours_read,
    )  # fmt: skip
    if not report.devices or allocated is None:
        return None
    said = f"{hours(allocated)} allocated, {hours(active)} active"
    if active is not None and read:
        part = "" if read >= 0.99 * allocated else f" of the {hours(read)} that were read"
        said += f" ({percent(active / read)}{part})"
    return Row("GPU-hours", said)


def hours(number: float | None) -> str:
    """GPU-hours: two decimals, four where there is little."""
    if number is None:
        return NO_VALUE
    return f"{number:.4f}" if number < 0.1 else f"{number:.2f}"


def energy(found: Energy | None, duration_s: float | None = None) -> str:
    """Energy, average power, what they rest on, and of how much of `duration_s` they are."""
    if found is None:
        return NO_VALUE
    power = text.watts(found.average_w)
    said = f"{text.watt_hours(found.joules)}, {power} on average, {BASES[found.basis]}"
    if duration_s and found.covered_s < 0.99 * duration_s:
        said += f", in {percent(found.covered_s / duration_s)} of the time"
    return said


def _energy(report: Report, _: Units) -> Row | None:
    return Row("Energy", energy(report.energy, report.duration_s)) if report.energy else None


def _cost(report: Report, _: Units) -> Row | None:
    cost = report.cost
    if cost is None:
        return None
    unit = f" {cost.currency}".rstrip()
    parts = []
    if cost.gpu_hours is not None:
        parts.append(f"{cost.gpu_hours:.2f}{unit} for the GPU-hours")
    if cost.energy is not None:
        parts.append(f"{cost.energy:.2f}{unit} for the GPUs' energy")
    if cost.co2_g is not None:
        heavy = cost.co2_g >= 1000
        parts.append(f"{cost.co2_g / 1000:.2f} kg CO2" if heavy else f"{cost.co2_g:.0f} g CO2")
    return Row("Cost", ", ".join(parts)) if parts else None


def _cpu_time(report: Report, units: Units) -> Row | None:
    job = report.job
    if job is None or job.user_s is None or job.system_s is None:
        return None
    parts = [f"user {text.elapsed(job.user_s)}", f"system {text.elapsed(job.system_s)}"]
    if report.duration_s:
        parts.append(f"{(job.user_s + job.system_s) / report.duration_s:.2f} cores on average")
    if job.memory_peak_bytes is not None:
        parts.append(f"{text.size(job.memory_peak_bytes, units)} at most in one process")
    return Row("CPU time", ", ".join(parts))


def _host(report: Report, units: Units) -> Row | None:
    host = report.host
    if host.cpu is None:
        return None
    cpu = f"CPU {percent(host.cpu.mean)} mean, {percent(host.cpu.maximum)} max"
    parts = [f"{cpu}, of {host.cpu_count} cores" if host.cpu_count else cpu]
    if host.memory_used_bytes is not None:
        pair = text.bytes_pair(host.memory_used_bytes.maximum, host.memory_total_bytes, units)
        parts.append(f"memory {pair} at most")
    if host.iowait is not None and host.iowait.mean is not None:
        parts.append(f"iowait {percent(host.iowait.mean)}")
    return Row("Host", "; ".join(parts))


def _left(report: Report, _: Units) -> Row | None:
    left = report.job.left_running if report.job else None
    return Row("Left running", f"{left} of its processes") if left else None


_SUMMARY: tuple[Callable[[Report, Units], Row | None], ...] = (
    _time, _devices, _hours, _energy, _cost, _cpu_time, _host, _left,
)  # fmt: skip


# --- One device ---------------------------------------------------------------------------------


def place(device: DeviceReport) -> str:
    """Its index, as a person calls it; of a MIG instance behind that of its device."""
    own = "?" if device.index is None else str(device.index)
    if device.parent is None:
        return own
    return f"{'?' if device.parent_index is None else device.parent_index}:{own}"


def device_title(device: DeviceReport) -> str:
    """``GPU 0  H100 80GB HBM3``."""
    return f"{'MIG' if device.parent else 'GPU'} {place(device)}  {text.short_name(device.name)}"


def coverage(device: DeviceReport) -> str:
    """How much of the time its numbers are of; empty where that is all of it."""
    if device.coverage is None or device.coverage >= 0.995:
        return ""
    return f"readings cover {percent(device.coverage)} of the time"


def statistics(device: DeviceReport, units: Units = DEFAULT_UNITS) -> list[StatisticRow]:
    """A line for each metric that was read over time."""
    return [
        StatisticRow(name, BY_NAME[name].label, cells(name, found, units))
        for name, found in device.statistics.items()
        if found.mean is not None
    ]


def cells(name: str, found: Statistic, units: Units = DEFAULT_UNITS) -> tuple[str, str, str, str]:
    """Mean, median, p95 and highest of a metric."""
    metric = BY_NAME[name]
    mean, median, p95, highest = (
        text.value(metric, number, units)
        for number in (found.mean, found.median, found.p95, found.maximum)
    )
    return mean, median, p95, highest


def facts(device: DeviceReport, units: Units = DEFAULT_UNITS) -> list[Row]:
    """What is said of a device beside its table."""
    rows = [
        Row("time", ", ".join(_time_parts(device))),
        *(Row("held back", line) for line in _held_back(device)),
        Row("energy", energy(device.energy, _duration(device))),
        *(Row("verdict", line) for line in _verdicts(device)),
        *_holders(device, units),
    ]
    return [row for row in rows if row.value not in ("", NO_VALUE)]


def _duration(device: DeviceReport) -> float | None:
    return device.covered_s / device.coverage if device.coverage else None


def _time_parts(device: DeviceReport) -> Iterator[str]:
    if device.idle_share is not None:
        yield f"idle {percent(device.idle_share)}"
    if device.starved_share is not None:
        yield f"input-starved {percent(device.starved_share)}"
    if device.active_s:
        yield f"{text.duration(device.active_s)} of work"


def _held_back(device: DeviceReport) -> Iterator[str]:
    if device.covered_s and not device.held_back_read_s and device.parent is None:
        yield "the driver did not say"
    for reason in device.held_back:
        sampled = ", sampled" if reason.basis == "sampled" else ""
        yield f"{reason.title} {percent(reason.share)} of the time{sampled}"


def _verdicts(device: DeviceReport) -> Iterator[str]:
    for verdict in device.verdicts[:3]:
        estimated = ", estimated" if verdict.basis == "estimated" else ""
        evidence = "; ".join(f"{e.label} {e.value}" for e in verdict.evidence)
        rest = f" (last: {evidence})" if evidence else ""
        yield f"{percent(verdict.share)} of the time {verdict.title}{estimated}{rest}"


LITTLE = 0.01
"""A share of the device that is not worth a line."""


def _holders(device: DeviceReport, units: Units) -> Iterator[Row]:
    with_job = any(holder.who == "job" for holder in device.holders)
    for holder in device.holders:
        rest = holder.who == "unattributed"
        if rest and not max(holder.memory_peak_share or 0, holder.sm_mean or 0) >= LITTLE:
            continue
        if not rest and not holder.held_s and not holder.memory_peak_bytes:
            continue
        label = "processes" if holder.who == "others" and not with_job else _WHO[holder.who]
        yield Row(label, _holder(holder, units))


def _holder(holder: Holder, units: Units) -> str:
    parts = []
    if holder.memory_peak_bytes is None:
        parts.append("memory not told")
    else:
        share = holder.memory_peak_share
        of = f" ({percent(share)} of the memory)" if share is not None else ""
        parts.append(f"{text.size(holder.memory_peak_bytes, units)} at most{of}")
    if holder.sm_mean is not None:
        parts.append(f"{percent(holder.sm_mean)} of the SMs on average")
    return ", ".join(parts)


def tenths(device: DeviceReport) -> list[tuple[str, float]] | None:
    """Share of the time in which utilisation was in each tenth; None where it was not read."""
    seconds = device.utilization_tenths_s
    if not seconds or not (total := sum(seconds)):
        return None
    return [(name, part / total) for name, part in zip(TENTHS, seconds, strict=True)]


# --- The rest -----------------------------------------------------------------------------------


def change(found: Change, devices: Sequence[DeviceReport]) -> str:
    """A change in a sentence or two."""
    whose = ", ".join(place(device) for device in devices if device.uuid in found.devices)
    return f"{found.title}: {percent(found.share)} of the GPUs' time (GPU {whose}). {found.advice}"


def event(found: EventReport) -> Row:
    """An event: when, and what."""
    times = f" {found.count} times," if found.count > 1 else ""
    lasted = "" if not found.lasted_s else f" for {text.duration(found.lasted_s)}"
    still = ", until the end" if found.lasts and found.lasted_s else ""
    detail = f": {found.detail.rstrip('.')}" if found.detail else ""
    return Row(
        f"+{text.duration(found.offset_s)}",
        f"GPU {found.where}  {found.title}{detail},{times}{lasted}{still}".rstrip(",")
        if found.device
        else f"{found.title}{detail},{times}{lasted}{still}".rstrip(","),
    )


PROCESS_HEADS = ("PID", "USER", "GPU", "MOST MEM", "SM TIME", "THERE", "NAME")


def process(
    found: ProcessReport, report: Report, units: Units = DEFAULT_UNITS
) -> tuple[str, str, str, str, str, str, str]:
    """A process as a line of a table; a star marks the job's."""
    names = {device.uuid: place(device) for device in report.devices}
    return (
        f"{found.pid}{'*' if found.job else ''}", text.fit(found.user, 16) or NO_VALUE,
        ",".join(names.get(uuid, "?") for uuid in found.devices),
        text.size(found.memory_peak_bytes, units), text.duration(found.sm_s),
        text.duration(found.held_s), found.name or NO_VALUE,
    )  # fmt: skip


def tenth(share: float) -> str:
    """A part of the time in per cent, under a heading that says so."""
    return text.percent(share, tight=True).removesuffix("%")

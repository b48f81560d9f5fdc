"""What a report says, as typed structs: the JSON document, and what every page is made from.

Units stand in the names; ratios are 0 to 1. A number that is not known is null and never 0.
Statistics are weighted by time: `covered_s` are the seconds that readings speak for, and what
lies outside of them is in no other number.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from gputop.model.nvml_tables import Severity
from gputop.report.energy import Basis as EnergyBasis

VERSION = 1
"""Of the shape; it grows when a field goes away or changes its meaning."""

Who = Literal["job", "others", "unattributed"]


class Statistic(msgspec.Struct):
    """One quantity over the time that readings speak for."""

    covered_s: float
    mean: float | None = None
    median: float | None = None
    p95: float | None = None
    minimum: float | None = None
    maximum: float | None = None
    """Of every reading, what the driver buffered between two of them included."""


class Chart(msgspec.Struct):
    """One quantity in columns of equal width from the begin on; null where nothing was read."""

    width_s: float
    aggregate: Literal["mean", "peak"]
    """How a column sums up its span."""
    values: list[float | None]
    full: float | None = None
    """What fills the chart: the device's limit, where it has one."""


class Energy(msgspec.Struct):
    """Energy, and what it rests on."""

    joules: float
    covered_s: float
    average_w: float
    basis: EnergyBasis
    """`counter`: the driver's energy counter. `power`: power over time. `both`: the counter, and
    power where it failed."""
    counter_j: float | None
    counter_s: float
    power_j: float | None
    """All power over time, for comparison."""
    power_s: float


class HeldBack(msgspec.Struct):
    """A reason for which the clocks were lowered."""

    key: str
    title: str
    severity: Severity | None
    share: float
    """Of the seconds that were read."""
    covered_s: float
    basis: Literal["counter", "sampled"]
    advice: str


class Evidence(msgspec.Struct):
    """A reading that a verdict rested on when it was last given."""

    label: str
    value: str
    window: str


class VerdictShare(msgspec.Struct):
    """A verdict, and for how much of the time it stood."""

    key: str
    title: str
    share: float
    seconds: float
    basis: str
    sentence: str
    advice: str
    evidence: list[Evidence]


class Holder(msgspec.Struct):
    """Who held and used a device. `others` are processes outside the job, or all of them where
    there is no job; `unattributed` is what no process in the driver's list accounts for, or one
    that ended before it could be told whose it was.
    """

    who: Who
    covered_s: float
    """Seconds that readings of the process list speak for."""
    held_s: float | None = None
    """Seconds in which it had a process there."""
    memory_peak_bytes: float | None = None
    memory_peak_share: float | None = None
    """Of the device's memory."""
    memory_mean_bytes: float | None = None
    sm_mean: float | None = None


class ProcessReport(msgspec.Struct):
    """A process on the devices."""

    pid: int
    name: str
    user: str
    job: bool | None
    devices: list[str]
    """UUIDs."""
    held_s: float
    memory_peak_bytes: int | None = None
    """On all its devices together."""
    sm_s: float | None = None
    """SM utilisation times seconds, on all its devices together."""


class DeviceReport(msgspec.Struct):
    """One device."""

    uuid: str
    index: int | None
    name: str
    parent: str | None
    """UUID of the device a MIG instance is cut from."""
    parent_index: int | None
    used: bool
    """By the job; where there is no job, by anybody."""
    covered_s: float
    coverage: float | None
    """Share of the time to solution."""
    memory_total_bytes: int | None
    power_limit_w: float | None
    statistics: dict[str, Statistic]
    """By metric: `gputop.model.metrics` says what each is."""
    charts: dict[str, Chart]
    utilization_tenths_s: list[float] | None
    """Seconds in which utilisation was below 10 %, below 20 %, ..., from 90 %."""
    active_s: float | None
    """Utilisation times seconds."""
    idle_share: float | None
    starved_share: float | None
    """Of the time with a verdict: that which said the input cannot keep up."""
    energy: Energy | None
    held_back: list[HeldBack]
    held_back_read_s: float
    """Seconds in which it was read whether anything held it back."""
    verdicts: list[VerdictShare]
    """Longest first."""
    holders: list[Holder]


class HostReport(msgspec.Struct):
    """The host's load; inside a container, of what the container may use."""

    cpu: Statistic | None
    memory_used_bytes: Statistic | None
    memory_total_bytes: int | None
    cpu_count: int | None
    iowait: Statistic | None
    charts: dict[str, Chart]


class JobReport(msgspec.Struct):
    """The command that `gputop run` ran."""

    name: str
    command: list[str] | None
    exit_code: int | None
    signal: int | None
    user_s: float | None
    system_s: float | None
    memory_peak_bytes: int | None
    left_running: int | None
    unfollowed: str
    """One sentence where its processes could not be told from others."""


class EventReport(msgspec.Struct):
    """A warning that began within the time, or several of the same kind on the same device."""

    offset_s: float
    """From the begin, of the first."""
    utc_s: float
    severity: Severity
    where: str
    device: str | None
    title: str
    detail: str
    count: int
    lasted_s: float
    """All together."""
    lasts: bool
    """True when it had not ended at the end."""


class Cost(msgspec.Struct):
    """What it cost, by the prices in the settings."""

    currency: str
    gpu_hours: float | None = None
    """Allocated hours times their price."""
    energy: float | None = None
    co2_g: float | None = None


class Change(msgspec.Struct):
    """Something that would most likely shorten the run."""

    title: str
    advice: str
    share: float
    """Of the devices' time that it costs: an upper bound of what it could give back."""
    devices: list[str]
    """UUIDs."""


class Report(msgspec.Struct, tag="report"):
    """Everything about a run or a recording."""

    version: int
    program: str
    simulated: bool
    file: str
    """Name of the recording it was made from; empty where there was none."""
    hostname: str
    begin_utc_s: float | None
    duration_s: float | None
    """Time to solution: of the command by the wall clock, else from the first frame to the last."""
    frames: int
    interval_s: float | None
    driver: str
    """Why there are no devices, in words; empty where the driver works."""
    job: JobReport | None
    gpu_hours_allocated: float | None
    """Devices used times the time to solution."""
    gpu_hours_active: float | None
    """Their utilisation over the time in which it was read."""
    gpu_hours_read: float | None
    """That time: what the active hours are of."""
    energy: Energy | None
    """Of all devices used; its seconds are those of one of them on average."""
    cost: Cost | None
    devices: list[DeviceReport]
    host: HostReport
    changes: list[Change]
    events: list[EventReport]
    processes: list[ProcessReport]
    notes: list[str]
    """What the reader must know to read the numbers right, a sentence each."""


def encode(report: msgspec.Struct) -> str:
    """The report as JSON, indented, with a newline at its end."""
    return msgspec.json.format(msgspec.json.encode(report), indent=2).decode() + "\n"

"""The records every source yields and every view and file consumes.

A line of the stream is one record: :class:`Hello` (what does not change), :class:`Frame` (one
timestamped reading of one host), :class:`Event` (something that happened at a moment) or
:class:`Job` (a command that is followed). Units stand in the field names; ratios are 0 to 1. A
value that is not there is ``None`` and its reason stands in the ``missing`` map of the same
struct. Nothing else defines the shape of a reading.
"""

from __future__ import annotations

from typing import Literal

import msgspec

SCHEMA_VERSION = 1

DriverStatus = Literal["starting", "ok", "absent", "failed", "stuck", "released"]
DeviceStatus = Literal["ok", "pending", "timed_out", "lost", "error"]

NAMELESS = "index:"
"""What the UUID of a device begins with that has not said who it is; its index follows."""


def is_nameless(uuid: str) -> bool:
    """Whether it stands for a device that has not said who it is."""
    return uuid.startswith(NAMELESS)


class Record(msgspec.Struct, omit_defaults=True):
    """Base of every struct in a record: fields at their default are left out of the line."""


class HostInfo(Record):
    """The machine: what does not change while it is up."""

    hostname: str
    boot_id: str
    kernel: str = ""
    cpu_model: str = ""
    cpu_count: int | None = None
    memory_total_bytes: int | None = None
    container: str | None = None
    """What kind of container the collector runs in (``docker``, ``kubernetes``, ...), if any."""
    pid_namespace: bool = False
    """True when the collector sits in a PID namespace of its own: pids may not be the driver's."""


class DriverInfo(Record):
    """The driver: its versions, or why there is none."""

    status: DriverStatus = "starting"
    since_s: float | None = None
    """CLOCK_BOOTTIME at which this status began."""
    code: int | None = None
    """The NVML return code behind a failed status."""
    message: str = ""
    """One sentence: what happened."""
    remedy: str = ""
    """One sentence: what to do about it."""
    driver_version: str | None = None
    nvml_version: str | None = None
    cuda_version: str | None = None


class DeviceInfo(Record):
    """A device or a MIG instance: identity, and the metrics of tier ``once``."""

    uuid: str
    name: str
    index: int | None = None
    bus_id: str | None = None
    architecture: str | None = None
    compute_capability: str | None = None
    numa_node: int | None = None
    serial: str | None = None
    mine: bool | None = None
    """True when CUDA_VISIBLE_DEVICES names it, False when it names others, None when unset."""
    parent: str | None = None
    """UUID of the device a MIG instance is cut from."""
    mig_profile: str | None = None
    gpu_instance_id: int | None = None
    compute_instance_id: int | None = None

    power_limit_default_w: float | None = None
    power_limit_min_w: float | None = None
    power_limit_max_w: float | None = None
    sm_clock_max_mhz: int | None = None
    memory_clock_max_mhz: int | None = None
    graphics_clock_max_mhz: int | None = None
    video_clock_max_mhz: int | None = None
    temperature_slowdown_c: float | None = None
    temperature_shutdown_c: float | None = None
    temperature_max_operating_c: float | None = None
    memory_temperature_max_c: float | None = None
    pcie_generation_max: int | None = None
    pcie_width_max: int | None = None
    nvlink_count: int | None = None
    fan_count: int | None = None

    missing: dict[str, str] = {}


class ReadTimes(Record):
    """CLOCK_BOOTTIME, in seconds, at which each group of a device's values was read."""

    fast: float | None = None
    medium: float | None = None
    slow: float | None = None
    processes: float | None = None


class SampleSpan(Record):
    """What the driver buffered of one metric between two moments (CLOCK_BOOTTIME, seconds)."""

    metric: str
    start_s: float
    end_s: float
    minimum: float
    mean: float
    maximum: float
    count: int


class DeviceReading(Record):
    """What one device said at this tick. Every metric of `metrics.METRICS` is a field here or in
    :class:`DeviceInfo`.
    """

    uuid: str
    status: DeviceStatus = "ok"
    since_s: float | None = None
    """CLOCK_BOOTTIME at which a status other than ok began."""
    detail: str = ""
    """One sentence on a status other than ok: what happened, what to do."""
    read_at: ReadTimes = msgspec.field(default_factory=ReadTimes)
    read_s: float | None = None
    """How long the fast reads took together, in seconds."""

    # fast
    gpu_utilization: float | None = None
    memory_utilization: float | None = None
    memory_used_bytes: int | None = None
    memory_free_bytes: int | None = None
    memory_reserved_bytes: int | None = None
    memory_total_bytes: int | None = None
    power_w: float | None = None
    power_instant_w: float | None = None
    temperature_c: float | None = None
    sm_clock_mhz: int | None = None
    memory_clock_mhz: int | None = None
    performance_state: int | None = None
    sm_clock_state_max_mhz: int | None = None
    event_reasons: int | None = None

    # medium
    graphics_clock_mhz: int | None = None
    video_clock_mhz: int | None = None
    memory_temperature_c: float | None = None
    encoder_utilization: float | None = None
    decoder_utilization: float | None = None
    jpeg_utilization: float | None = None
    ofa_utilization: float | None = None
    energy_j: float | None = None
    power_violation_s: float | None = None
    sync_boost_violation_s: float | None = None
    sw_thermal_violation_s: float | None = None
    hw_thermal_violation_s: float | None = None
    power_brake_violation_s: float | None = None
    nvlink_rx_bytes_per_s: float | None = None
    nvlink_tx_bytes_per_s: float | None = None
    sm_activity: float | None = None
    sm_occupancy: float | None = None
    tensor_activity: float | None = None
    dram_activity: float | None = None
    fp64_activity: float | None = None
    fp32_activity: float | None = None
    fp16_activity: float | None = None

    # slow
    power_limit_w: float | None = None
    bar1_used_bytes: int | None = None
    bar1_total_bytes: int | None = None
    temperature_margin_c: float | None = None
    fan_speed: float | None = None
    """The fastest fan's intended speed as a ratio; it may exceed 1."""
    fan_speeds: list[float] | None = None
    pcie_generation: int | None = None
    pcie_width: int | None = None
    pcie_rx_bytes_per_s: float | None = None
    pcie_tx_bytes_per_s: float | None = None
    pcie_replays: int | None = None
    nvlink_active: int | None = None
    ecc_mode: bool | None = None
    ecc_corrected_volatile: int | None = None
    ecc_uncorrected_volatile: int | None = None
    ecc_corrected_aggregate: int | None = None
    ecc_uncorrected_aggregate: int | None = None
    remapped_rows_corrected: int | None = None
    remapped_rows_uncorrected: int | None = None
    remap_pending: bool | None = None
    remap_failed: bool | None = None
    retired_pages_sbe: int | None = None
    retired_pages_dbe: int | None = None
    retirement_pending: bool | None = None
    recovery_action: int | None = None
    fabric_state: int | None = None
    fabric_status: int | None = None
    fabric_health: int | None = None
    compute_mode: int | None = None
    persistence_mode: bool | None = None
    mig_mode: bool | None = None

    samples: list[SampleSpan] = []
    missing: dict[str, str] = {}

    def reason(self, field: str) -> str | None:
        """Why `field` has no value: its own reason, else that of the whole device."""
        return self.missing.get(field) or (self.status if self.status != "ok" else None)


class DeviceUse(Record):
    """What one process holds and does on one device or MIG instance."""

    device: str
    """UUID of the physical device."""
    kinds: str = ""
    """Letters of the lists it stands in: C compute, G graphics, M MPS client."""
    mig: str | None = None
    """UUID of the MIG instance, where the process runs on one."""
    memory_bytes: int | None = None
    sm_utilization: float | None = None
    memory_utilization: float | None = None
    encoder_utilization: float | None = None
    decoder_utilization: float | None = None
    missing: dict[str, str] = {}


class Process(Record):
    """A process on at least one device. (boot id, pid, start ticks) is its identity."""

    pid: int
    start_ticks: int | None = None
    """Field 22 of /proc/PID/stat: clock ticks from boot to its start."""
    name: str | None = None
    user: str | None = None
    uid: int | None = None
    command: list[str] | None = None
    """The command line; only where arguments were asked for, since they can hold secrets."""
    state: str | None = None
    started_utc_s: float | None = None
    cpu_utilization: float | None = None
    """CPU time over wall-clock time: 1 is one core, and more than 1 is usual."""
    memory_bytes: int | None = None
    """Resident host memory."""
    threads: int | None = None
    job: bool | None = None
    """Whether it belongs to the job that `gputop run` follows; None where nobody told."""
    uses: list[DeviceUse] = []
    missing: dict[str, str] = {}


class Pressure(Record):
    """PSI: share of the last ten seconds in which some (or all) tasks waited."""

    cpu_some: float | None = None
    memory_some: float | None = None
    memory_full: float | None = None
    io_some: float | None = None
    io_full: float | None = None


class ContainerLimits(Record):
    """What the collector's cgroup allows: in a container these bind, not the host's."""

    cpu_quota_cores: float | None = None
    cpu_used_cores: float | None = None
    cpu_throttled: float | None = None
    """Share of the time since the last reading in which the quota held the group back."""
    memory_limit_bytes: int | None = None
    memory_used_bytes: int | None = None


class HostReading(Record):
    """The host's load."""

    read_at: float | None = None
    cpu_utilization: float | None = None
    cores: list[float] | None = None
    """Utilisation per logical core, in the kernel's order."""
    iowait: float | None = None
    load_1: float | None = None
    load_5: float | None = None
    load_15: float | None = None
    memory_total_bytes: int | None = None
    memory_used_bytes: int | None = None
    memory_available_bytes: int | None = None
    swap_total_bytes: int | None = None
    swap_used_bytes: int | None = None
    uptime_s: float | None = None
    pressure: Pressure = msgspec.field(default_factory=Pressure)
    container: ContainerLimits | None = None
    missing: dict[str, str] = {}


class Cost(Record):
    """What collecting cost, since the collector started."""

    collect_s: float = 0.0
    """From this frame's tick to its leaving, in seconds."""
    cpu_s: float = 0.0
    nvml_calls: int = 0
    dropped_frames: int = 0


class Hello(Record, tag="hello"):
    """First record of a stream, and sent again whenever anything in it changes."""

    schema: int
    program: str
    session: str
    host: HostInfo
    driver: DriverInfo
    devices: list[DeviceInfo]
    interval_s: float
    utc_s: float
    boottime_s: float
    simulated: bool = False
    with_args: bool = False
    not_found: list[str] = []
    """What was asked for with ``--devices`` and is no device of the machine, or none yet; told
    while the driver works.
    """


class Frame(Record, tag="frame"):
    """One timestamped reading of one host."""

    session: str
    seq: int
    utc_s: float
    boottime_s: float
    interval_s: float
    host: HostReading
    devices: list[DeviceReading] = []
    processes: list[Process] = []
    cost: Cost = msgspec.field(default_factory=Cost)
    simulated: bool = False


class Event(Record, tag="event"):
    """Something that happened at a moment; kept until delivered, and never twice (`seq`)."""

    session: str
    seq: int
    utc_s: float
    boottime_s: float
    kind: Literal["xid", "log"]
    device: str | None = None
    code: int | None = None
    text: str = ""
    simulated: bool = False


class Job(Record, tag="job"):
    """A command under `gputop run`: told when it begins, and again with its end."""

    name: str
    """The program's name, without its path."""
    utc_s: float
    """When it began."""
    boottime_s: float
    """CLOCK_BOOTTIME at which it began."""
    command: list[str] | None = None
    """The command line; only where arguments were asked for, since they can hold secrets."""
    devices: list[str] | None = None
    """UUIDs of the devices it was given by `--devices`; None for all."""
    ended_s: float | None = None
    """CLOCK_BOOTTIME of its end; None while it runs."""
    exit_code: int | None = None
    signal: int | None = None
    """The signal it died by."""
    user_s: float | None = None
    """CPU time of it and of its descendants that were waited for, in seconds."""
    system_s: float | None = None
    memory_peak_bytes: int | None = None
    """The largest resident host memory that one of these processes had."""
    left_running: int | None = None
    """How many of its processes were still there after its end."""
    unfollowed: str = ""
    """One sentence where its processes could not be told from others on the devices."""


AnyRecord = Hello | Frame | Event | Job

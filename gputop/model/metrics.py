"""Every metric of a device, declared once.

Panes, charts, columns, exports, help and docs are made from this table. A metric's `name` is its
field in :class:`~gputop.model.frame.DeviceReading` (or `DeviceInfo` for tier ``once``).
"""

from __future__ import annotations

from enum import Enum
from typing import Literal

from msgspec import Struct


class Unit(Enum):
    """What a number counts. The value is the word a person reads behind it."""

    RATIO = "%"
    BYTES = "B"
    BYTES_PER_S = "B/s"
    WATT = "W"
    JOULE = "J"
    CELSIUS = "°C"
    MHZ = "MHz"
    SECOND = "s"
    COUNT = ""
    STATE = "state"
    FLAG = "flag"
    BITS = "bits"


Tier = Literal["fast", "medium", "slow", "once"]
Aggregate = Literal["mean", "peak", "low", "last"]
"""How a span of readings becomes one number: `last` for states and counters."""


class OpenMetric(Struct, frozen=True):
    """A metric's name in OpenMetrics: OpenTelemetry's ``hw.*`` in Prometheus spelling."""

    name: str
    labels: tuple[tuple[str, str], ...] = ()
    scale: float = 1.0
    """Factor from the metric's unit to the base unit in the name."""
    counter: bool = False


class Metric(Struct, frozen=True):
    """One thing read from a device."""

    name: str
    label: str
    unit: Unit
    tier: Tier
    aggregate: Aggregate
    help: str
    short: str = ""
    """At most five letters, for panes and columns."""
    low: float = 0.0
    high: float | None = None
    """Plausible range of the value in the metric's own unit; outside it a reading is refused."""
    full: float | str | None = None
    """What a full bar stands for: a number, or the name of the metric that holds it."""
    fallback_full: float | None = None
    """Full scale where the metric named by `full` has no value."""
    openmetric: OpenMetric | None = None
    charted: bool = False
    """True when its history is kept."""


# fmt: off
def _om(name: str, scale: float = 1.0, counter: bool = False, **labels: str) -> OpenMetric:
    return OpenMetric(name, tuple(sorted(labels.items())), scale, counter)


def _ratio(
    name: str, label: str, tier: Tier, meaning: str, short: str = "", charted: bool = False,
    openmetric: OpenMetric | None = None, aggregate: Aggregate = "mean",
) -> Metric:
    return Metric(
        name, label, Unit.RATIO, tier, aggregate, meaning, short,
        high=1.0, full=1.0, openmetric=openmetric, charted=charted,
    )


def _util(name: str, label: str, task: str, tier: Tier, meaning: str, short: str = "",
          charted: bool = True) -> Metric:
    return _ratio(
        name, label, tier, meaning, short, charted, _om("hw_gpu_utilization_ratio", task=task)
    )


def _activity(name: str, label: str, meaning: str, unit: str) -> Metric:
    return _ratio(name, label, "medium", meaning, charted=True,
                  openmetric=_om("hw_gpu_activity_ratio", unit=unit))


def _clock(name: str, label: str, domain: str, tier: Tier, full: str | None, short: str = "",
           charted: bool = False) -> Metric:
    limit = full is None
    return Metric(
        name, label, Unit.MHZ, tier, "last" if limit else "mean",
        f"{label}, in MHz.", short, high=10_000, full=full, charted=charted,
        openmetric=_om(
            "hw_gpu_clock_limit_hertz" if limit else "hw_gpu_clock_hertz", 1e6, domain=domain
        ),
    )


def _count(name: str, label: str, meaning: str, openmetric: OpenMetric | None = None,
           tier: Tier = "slow", high: float | None = None) -> Metric:
    return Metric(name, label, Unit.COUNT, tier, "last", meaning, high=high, openmetric=openmetric)


def _errors(name: str, label: str, meaning: str, kind: str, lifetime: str) -> Metric:
    return _count(name, label, meaning,
                  _om("hw_errors_total", counter=True, error_type=kind, lifetime=lifetime))


def _flag(name: str, label: str, meaning: str, openmetric: str | None = None) -> Metric:
    return Metric(name, label, Unit.FLAG, "slow", "last", meaning,
                  openmetric=_om(openmetric) if openmetric else None)


def _watts(name: str, label: str, tier: Tier, meaning: str, limit: str,
           charted: bool = False) -> Metric:
    return Metric(name, label, Unit.WATT, tier, "last", meaning, high=20_000, charted=charted,
                  openmetric=_om("hw_power_limit_watts", limit_type=limit))


def _limit_c(name: str, label: str, meaning: str, limit: str, location: str = "gpu") -> Metric:
    return Metric(name, label, Unit.CELSIUS, "once", "last", meaning, low=1, high=200,
                  openmetric=_om("hw_temperature_limit_celsius", limit_type=limit,
                                 location=location))


def _violation(name: str, label: str, reason: str) -> Metric:
    return Metric(name, label, Unit.SECOND, "medium", "last",
                  f"Time held back by {reason} since the driver was loaded, in seconds.",
                  openmetric=_om("hw_gpu_throttle_seconds_total", counter=True,
                                 reason=reason.replace(" ", "_")))


def _rate(name: str, label: str, tier: Tier, link: str, direction: str, short: str) -> Metric:
    return Metric(name, label, Unit.BYTES_PER_S, tier, "peak", f"{label}, in bytes per second.",
                  short, high=2e12, charted=True,
                  openmetric=_om("hw_gpu_io_rate_bytes_per_second", link=link,
                                 direction=direction))


METRICS: tuple[Metric, ...] = (
    _util("gpu_utilization", "GPU utilisation", "general", "fast",
          "Share of time in which at least one kernel ran. It does not say how much of the GPU "
          "the kernel used.", "util"),
    _util("memory_utilization", "Memory controller utilisation", "memory", "fast",
          "Share of time in which device memory was read or written: neither its fill nor its "
          "bandwidth.", "mctl"),
    Metric("memory_used_bytes", "Memory used", Unit.BYTES, "fast", "peak",
           "Device memory that processes hold, in bytes.", "mem", full="memory_total_bytes",
           openmetric=_om("hw_gpu_memory_usage_bytes", state="used"), charted=True),
    Metric("memory_free_bytes", "Memory free", Unit.BYTES, "fast", "low",
           "Device memory free, in bytes.",
           openmetric=_om("hw_gpu_memory_usage_bytes", state="free")),
    Metric("memory_reserved_bytes", "Memory reserved", Unit.BYTES, "fast", "peak",
           "Device memory that driver and firmware hold, in bytes.",
           openmetric=_om("hw_gpu_memory_usage_bytes", state="reserved")),
    Metric("memory_total_bytes", "Memory total", Unit.BYTES, "fast", "last",
           "Device memory in all, in bytes.", low=1, openmetric=_om("hw_gpu_memory_limit_bytes")),
    Metric("power_w", "Power", Unit.WATT, "fast", "peak",
           "Board power as nvidia-smi's power.draw gives it, in watts: on Ampere and later the "
           "mean of about a second.", "power", high=20_000, full="power_limit_w",
           openmetric=_om("hw_power_watts"), charted=True),
    Metric("power_instant_w", "Power, instant", Unit.WATT, "fast", "peak",
           "Board power at the moment of reading, in watts.", "inst", high=20_000,
           full="power_limit_w", openmetric=_om("hw_power_instant_watts"), charted=True),
    Metric("temperature_c", "Temperature", Unit.CELSIUS, "fast", "peak",
           "GPU temperature, in °C.", "temp", low=1, high=200, full="temperature_slowdown_c",
           fallback_full=100.0, openmetric=_om("hw_temperature_celsius", location="gpu"),
           charted=True),
    _clock("sm_clock_mhz", "SM clock", "sm", "fast", "sm_clock_max_mhz", "sm", charted=True),
    _clock("memory_clock_mhz", "Memory clock", "memory", "fast", "memory_clock_max_mhz", "mclk",
           charted=True),
    Metric("performance_state", "P-state", Unit.STATE, "fast", "last",
           "Performance state: P0 is the fastest, P15 the slowest.", "P", high=15,
           openmetric=_om("hw_gpu_performance_state")),
    Metric("sm_clock_state_max_mhz", "SM clock, highest in this P-state", Unit.MHZ, "fast", "last",
           "The highest SM clock of the P-state that the device is in, in MHz.", high=10_000,
           openmetric=_om("hw_gpu_state_clock_limit_hertz", 1e6, domain="sm")),
    Metric("event_reasons", "Clock event reasons", Unit.BITS, "fast", "last",
           "Why the clocks are not higher: a mask of the driver's event (throttle) reasons.",
           "why"),

    _clock("graphics_clock_mhz", "Graphics clock", "graphics", "medium", "graphics_clock_max_mhz"),
    _clock("video_clock_mhz", "Video clock", "video", "medium", "video_clock_max_mhz"),
    Metric("memory_temperature_c", "Memory temperature", Unit.CELSIUS, "medium", "peak",
           "Memory (HBM) temperature, in °C.", "mtemp", low=1, high=200,
           full="memory_temperature_max_c", fallback_full=105.0,
           openmetric=_om("hw_temperature_celsius", location="memory"), charted=True),
    _util("encoder_utilization", "Encoder utilisation", "encoder", "medium",
          "Share of time in which the video encoder worked.", "enc"),
    _util("decoder_utilization", "Decoder utilisation", "decoder", "medium",
          "Share of time in which the video decoder worked.", "dec"),
    _util("jpeg_utilization", "JPEG utilisation", "jpeg", "medium",
          "Share of time in which the JPEG engine worked.", "jpeg", charted=False),
    _util("ofa_utilization", "Optical flow utilisation", "ofa", "medium",
          "Share of time in which the optical flow accelerator worked.", "ofa", charted=False),
    Metric("energy_j", "Energy", Unit.JOULE, "medium", "last",
           "Energy used since the driver was loaded, in joules.",
           openmetric=_om("hw_energy_joules_total", counter=True)),
    _violation("power_violation_s", "Time power-capped", "power cap"),
    _violation("sync_boost_violation_s", "Time held by sync boost", "sync boost"),
    _violation("sw_thermal_violation_s", "Time in software thermal slowdown", "software thermal"),
    _violation("hw_thermal_violation_s", "Time in hardware thermal slowdown", "hardware thermal"),
    _violation("power_brake_violation_s", "Time in hardware power brake", "power brake"),
    _rate("nvlink_rx_bytes_per_s", "NVLink received", "medium", "nvlink", "receive", "nv rx"),
    _rate("nvlink_tx_bytes_per_s", "NVLink sent", "medium", "nvlink", "transmit", "nv tx"),
    _activity("sm_activity", "SM active", "Share of SM time with a warp resident.", "sm"),
    _activity("sm_occupancy", "SM occupancy", "Resident warps over the most that fit.",
              "occupancy"),
    _activity("tensor_activity", "Tensor active", "Share of cycles the tensor pipe was busy.",
              "tensor"),
    _activity("dram_activity", "DRAM active", "Share of cycles device memory was transferring.",
              "dram"),
    _activity("fp64_activity", "FP64 active", "Share of cycles the FP64 pipe was busy.", "fp64"),
    _activity("fp32_activity", "FP32 active", "Share of cycles the FP32 pipe was busy.", "fp32"),
    _activity("fp16_activity", "FP16 active", "Share of cycles the FP16 pipe was busy.", "fp16"),

    _watts("power_limit_w", "Power limit", "slow", "The power limit in force, in watts.",
           "enforced", charted=True),
    Metric("bar1_used_bytes", "BAR1 used", Unit.BYTES, "slow", "peak",
           "BAR1 aperture (peer and host access) in use, in bytes.", full="bar1_total_bytes",
           openmetric=_om("hw_gpu_bar1_usage_bytes")),
    Metric("bar1_total_bytes", "BAR1 total", Unit.BYTES, "slow", "last",
           "BAR1 aperture in all, in bytes.", low=1, openmetric=_om("hw_gpu_bar1_limit_bytes")),
    Metric("temperature_margin_c", "Margin to slowdown", Unit.CELSIUS, "slow", "low",
           "How far the hottest sensor is from its slowdown, in °C.", low=-100, high=200,
           openmetric=_om("hw_temperature_margin_celsius")),
    Metric("fan_speed", "Fan", Unit.RATIO, "slow", "peak",
           "Intended speed of the fastest fan; it may exceed 100 %.", "fan", high=2.0, full=1.0,
           openmetric=_om("hw_fan_speed_ratio"), charted=True),
    _count("pcie_generation", "PCIe generation", "Current PCIe generation; idle links step down.",
           _om("hw_gpu_pcie_generation"), high=16),
    _count("pcie_width", "PCIe width", "Current PCIe lanes; idle links step down.",
           _om("hw_gpu_pcie_width_lanes"), high=64),
    _rate("pcie_rx_bytes_per_s", "PCIe received", "slow", "pcie", "receive", "rx"),
    _rate("pcie_tx_bytes_per_s", "PCIe sent", "slow", "pcie", "transmit", "tx"),
    _count("pcie_replays", "PCIe replays", "PCIe packets sent again since the driver was loaded.",
           _om("hw_gpu_pcie_replays_total", counter=True)),
    _count("nvlink_active", "NVLinks active", "NVLinks that are up.", _om("hw_gpu_nvlinks_active"),
           high=64),
    _flag("ecc_mode", "ECC", "Whether error correction is on.", "hw_gpu_ecc_enabled"),
    _errors("ecc_corrected_volatile", "ECC corrected (since load)",
            "Corrected memory errors since the driver was loaded.", "corrected", "volatile"),
    _errors("ecc_uncorrected_volatile", "ECC uncorrected (since load)",
            "Uncorrectable memory errors since the driver was loaded.", "uncorrected", "volatile"),
    _errors("ecc_corrected_aggregate", "ECC corrected (lifetime)",
            "Corrected memory errors in the device's life.", "corrected", "aggregate"),
    _errors("ecc_uncorrected_aggregate", "ECC uncorrected (lifetime)",
            "Uncorrectable memory errors in the device's life.", "uncorrected", "aggregate"),
    _count("remapped_rows_corrected", "Rows remapped (corrected)",
           "Memory rows replaced after corrected errors.",
           _om("hw_gpu_remapped_rows", cause="corrected")),
    _count("remapped_rows_uncorrected", "Rows remapped (uncorrected)",
           "Memory rows replaced after uncorrectable errors.",
           _om("hw_gpu_remapped_rows", cause="uncorrected")),
    _flag("remap_pending", "Row remap pending", "A row will be replaced at the next reset.",
          "hw_gpu_remap_pending"),
    _flag("remap_failed", "Row remap failed", "A row could not be replaced.",
          "hw_gpu_remap_failed"),
    _count("retired_pages_sbe", "Pages retired (single bit)",
           "Memory pages retired after repeated single-bit errors.",
           _om("hw_gpu_retired_pages", cause="single_bit")),
    _count("retired_pages_dbe", "Pages retired (double bit)",
           "Memory pages retired after double-bit errors.",
           _om("hw_gpu_retired_pages", cause="double_bit")),
    _flag("retirement_pending", "Page retirement pending",
          "Pages will be retired at the next reset.", "hw_gpu_retirement_pending"),
    Metric("recovery_action", "Recovery action", Unit.STATE, "slow", "last",
           "What the driver asks for: 0 none, 1 reset, 2 reboot, 3 drain, 4 drain and reset.",
           high=16, openmetric=_om("hw_gpu_recovery_action")),
    Metric("fabric_state", "Fabric (NVSwitch)", Unit.STATE, "slow", "last",
           "How far the device has come in joining the NVSwitch fabric: 1 not started, 2 in "
           "progress, 3 completed.", low=1, high=3, openmetric=_om("hw_gpu_fabric_state")),
    Metric("fabric_status", "Fabric registration", Unit.STATE, "slow", "last",
           "The NVML code with which joining the fabric was completed; 0 is success.",
           openmetric=_om("hw_gpu_fabric_status")),
    Metric("fabric_health", "Fabric health", Unit.STATE, "slow", "last",
           "The fabric's own summary: 1 healthy, 2 unhealthy, 3 limited capacity.", high=3,
           openmetric=_om("hw_gpu_fabric_health")),
    Metric("compute_mode", "Compute mode", Unit.STATE, "slow", "last",
           "Who may run compute work: default, prohibited, exclusive process.", high=3),
    _flag("persistence_mode", "Persistence mode",
          "Whether the driver stays loaded while nobody uses the device.",
          "hw_gpu_persistence_enabled"),
    _flag("mig_mode", "MIG mode", "Whether the device may be cut into MIG instances.",
          "hw_gpu_mig_enabled"),

    _watts("power_limit_default_w", "Power limit, default", "once", "Default limit, in watts.",
           "default"),
    _watts("power_limit_min_w", "Power limit, lowest", "once", "Lowest settable, in watts.", "min"),
    _watts("power_limit_max_w", "Power limit, highest", "once", "Highest settable, in watts.",
           "max"),
    _clock("sm_clock_max_mhz", "SM clock, highest", "sm", "once", None),
    _clock("memory_clock_max_mhz", "Memory clock, highest", "memory", "once", None),
    _clock("graphics_clock_max_mhz", "Graphics clock, highest", "graphics", "once", None),
    _clock("video_clock_max_mhz", "Video clock, highest", "video", "once", None),
    _limit_c("temperature_slowdown_c", "Slowdown temperature",
             "Where the hardware cuts the clocks, in °C.", "slowdown"),
    _limit_c("temperature_shutdown_c", "Shutdown temperature",
             "Where the hardware switches itself off, in °C.", "shutdown"),
    _limit_c("temperature_max_operating_c", "Highest operating temperature",
             "Above it the driver lowers the clocks, in °C.", "max_operating"),
    _limit_c("memory_temperature_max_c", "Highest memory temperature",
             "Above it the driver lowers the clocks, in °C.", "max_operating", "memory"),
    _count("pcie_generation_max", "PCIe generation, highest", "What slot and device can do.",
           _om("hw_gpu_pcie_generation_max"), "once", 16),
    _count("pcie_width_max", "PCIe width, highest", "What slot and device can do.",
           _om("hw_gpu_pcie_width_max_lanes"), "once", 64),
    _count("nvlink_count", "NVLinks", "NVLinks the device has.", _om("hw_gpu_nvlinks"), "once", 64),
    _count("fan_count", "Fans", "Fans the device reports.", _om("hw_gpu_fans"), "once", 64),
)
# fmt: on

BY_NAME: dict[str, Metric] = {metric.name: metric for metric in METRICS}
CHARTED: tuple[Metric, ...] = tuple(metric for metric in METRICS if metric.charted)
OF_INFO: frozenset[str] = frozenset(m.name for m in METRICS if m.tier == "once")
"""Names of the metrics that live in `DeviceInfo`."""


def plausible(name: str, value: float) -> bool:
    """Whether `value`, in the metric's own unit, can be: a reading outside is refused."""
    metric = BY_NAME[name]
    return value >= metric.low and (metric.high is None or value <= metric.high)

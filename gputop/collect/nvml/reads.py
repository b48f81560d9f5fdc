"""What is read from a device: one row for each call, in the order in which they are made.

A later row that names a metric again is an older way to ask for it: it is made only while nothing
but "not supported" was answered before.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

from msgspec import Struct

from gputop.collect.nvml import abi
from gputop.collect.nvml.fields import Field
from gputop.collect.nvml.values import (
    Convert,
    degrees,
    flag,
    kilobytes,
    mask,
    milli,
    nanoseconds,
    per_cent,
    whole,
)
from gputop.model.metrics import Tier

U32, U64 = ctypes.c_uint, ctypes.c_ulonglong


class Value(Struct, frozen=True):
    """One metric in a call's answer."""

    metric: str
    convert: Convert
    output: int = 0
    """Which of the call's outputs holds it."""
    attribute: str = ""
    """Its member, where the output is a structure."""


class Read(Struct, frozen=True):
    """One call: ``function(device, *arguments, *outputs)``."""

    tier: Tier
    function: str
    values: tuple[Value, ...]
    outputs: tuple[Callable[[], Any], ...] = (U32,)
    arguments: tuple[int, ...] = ()
    there: str = ""
    """Member of the first output that is 0 where the device has nothing of the kind."""
    of_instances: bool = False
    """True when a MIG instance answers it too."""


def _one(
    tier: Tier,
    function: str,
    metric: str,
    convert: Convert,
    *arguments: int,
    output: Callable[[], Any] = U32,
) -> Read:
    return Read(tier, function, (Value(metric, convert),), (output,), arguments)


def _memory(function: str, output: Callable[[], Any], *members: str) -> Read:
    values = tuple(Value(f"memory_{member}_bytes", whole, 0, member) for member in members)
    return Read("fast", function, values, (output,), there="total", of_instances=True)


def _engine(engine: str, metric: str) -> Read:
    """A utilisation, and behind it the window it was measured over."""
    return Read(
        "medium", f"nvmlDeviceGet{engine}Utilization", (Value(metric, per_cent),), (U32, U32)
    )


def _ecc(metric: str, error: int, counter: int) -> Read:
    return _one("slow", "nvmlDeviceGetTotalEccErrors", metric, whole, error, counter, output=U64)


def _fabric(function: str, output: Callable[[], Any], *members: str) -> Read:
    values = tuple(Value(f"fabric_{member}", whole, 0, member) for member in members)
    return Read("slow", function, values, (output,), there="state")


# fmt: off
READS: tuple[Read, ...] = (
    Read("fast", "nvmlDeviceGetUtilizationRates",
         (Value("gpu_utilization", per_cent, 0, "gpu"),
          Value("memory_utilization", per_cent, 0, "memory")), (abi.Utilization,)),
    _memory("nvmlDeviceGetMemoryInfo_v2", abi.memory_v2, "total", "used", "free", "reserved"),
    _memory("nvmlDeviceGetMemoryInfo", abi.Memory, "total", "used", "free"),
    _one("fast", "nvmlDeviceGetPowerUsage", "power_w", milli),
    Read("fast", "nvmlDeviceGetTemperatureV",
         (Value("temperature_c", degrees, 0, "temperature"),), (abi.temperature_of_gpu,)),
    _one("fast", "nvmlDeviceGetTemperature", "temperature_c", degrees, 0),
    _one("fast", "nvmlDeviceGetClockInfo", "sm_clock_mhz", whole, 1),
    _one("fast", "nvmlDeviceGetClockInfo", "memory_clock_mhz", whole, 2),
    _one("fast", "nvmlDeviceGetPerformanceState", "performance_state", whole),
    _one("fast", "nvmlDeviceGetCurrentClocksEventReasons", "event_reasons", mask, output=U64),
    _one("fast", "nvmlDeviceGetCurrentClocksThrottleReasons", "event_reasons", mask, output=U64),

    _one("medium", "nvmlDeviceGetTotalEnergyConsumption", "energy_j", milli, output=U64),
    _one("medium", "nvmlDeviceGetClockInfo", "graphics_clock_mhz", whole, 0),
    _one("medium", "nvmlDeviceGetClockInfo", "video_clock_mhz", whole, 3),
    _engine("Encoder", "encoder_utilization"),
    _engine("Decoder", "decoder_utilization"),
    _engine("Jpg", "jpeg_utilization"),
    _engine("Ofa", "ofa_utilization"),

    _one("slow", "nvmlDeviceGetEnforcedPowerLimit", "power_limit_w", milli),
    Read("slow", "nvmlDeviceGetBAR1MemoryInfo",
         (Value("bar1_total_bytes", whole, 0, "total"), Value("bar1_used_bytes", whole, 0, "used")),
         (abi.Memory,), there="total"),
    Read("slow", "nvmlDeviceGetMarginTemperature",
         (Value("temperature_margin_c", degrees, 0, "margin"),), (abi.margin,)),
    _one("slow", "nvmlDeviceGetCurrPcieLinkGeneration", "pcie_generation", whole),
    _one("slow", "nvmlDeviceGetCurrPcieLinkWidth", "pcie_width", whole),
    _one("slow", "nvmlDeviceGetPcieReplayCounter", "pcie_replays", whole),
    Read("slow", "nvmlDeviceGetEccMode", (Value("ecc_mode", flag),), (U32, U32)),
    _ecc("ecc_corrected_volatile", 0, 0),
    _ecc("ecc_uncorrected_volatile", 1, 0),
    _ecc("ecc_corrected_aggregate", 0, 1),
    _ecc("ecc_uncorrected_aggregate", 1, 1),
    Read("slow", "nvmlDeviceGetRemappedRows",
         (Value("remapped_rows_corrected", whole, 0), Value("remapped_rows_uncorrected", whole, 1),
          Value("remap_pending", flag, 2), Value("remap_failed", flag, 3)), (U32, U32, U32, U32)),
    _one("slow", "nvmlDeviceGetRetiredPagesPendingStatus", "retirement_pending", flag),
    _fabric("nvmlDeviceGetGpuFabricInfoV", abi.fabric_v3, "state", "status", "health"),
    _fabric("nvmlDeviceGetGpuFabricInfoV", abi.fabric_v2, "state", "status"),
    _fabric("nvmlDeviceGetGpuFabricInfo", abi.Fabric, "state", "status"),
    _one("slow", "nvmlDeviceGetComputeMode", "compute_mode", whole),
    _one("slow", "nvmlDeviceGetPersistenceMode", "persistence_mode", flag),
    Read("slow", "nvmlDeviceGetMigMode", (Value("mig_mode", flag),), (U32, U32)),
    # Each of these two blocks for 20 ms, so they come last; GPM answers them where it can. The
    # byte counters (fields 197 and 198) hold 32 bits and wrap too often to be told apart.
    _one("slow", "nvmlDeviceGetPcieThroughput", "pcie_tx_bytes_per_s", kilobytes, 0),
    _one("slow", "nvmlDeviceGetPcieThroughput", "pcie_rx_bytes_per_s", kilobytes, 1),

    _one("once", "nvmlDeviceGetPowerManagementDefaultLimit", "power_limit_default_w", milli),
    Read("once", "nvmlDeviceGetPowerManagementLimitConstraints",
         (Value("power_limit_min_w", milli, 0), Value("power_limit_max_w", milli, 1)), (U32, U32)),
    _one("once", "nvmlDeviceGetMaxClockInfo", "graphics_clock_max_mhz", whole, 0),
    _one("once", "nvmlDeviceGetMaxClockInfo", "sm_clock_max_mhz", whole, 1),
    _one("once", "nvmlDeviceGetMaxClockInfo", "memory_clock_max_mhz", whole, 2),
    _one("once", "nvmlDeviceGetMaxClockInfo", "video_clock_max_mhz", whole, 3),
    # Fields 193 to 196 are margins to these, in another scale, and so cannot stand in for them.
    _one("once", "nvmlDeviceGetTemperatureThreshold", "temperature_shutdown_c", degrees, 0),
    _one("once", "nvmlDeviceGetTemperatureThreshold", "temperature_slowdown_c", degrees, 1),
    _one("once", "nvmlDeviceGetTemperatureThreshold", "memory_temperature_max_c", degrees, 2),
    _one("once", "nvmlDeviceGetTemperatureThreshold", "temperature_max_operating_c", degrees, 3),
    _one("once", "nvmlDeviceGetMaxPcieLinkGeneration", "pcie_generation_max", whole),
    _one("once", "nvmlDeviceGetMaxPcieLinkWidth", "pcie_width_max", whole),
    _one("once", "nvmlDeviceGetNumFans", "fan_count", whole),
)

FIELDS: dict[Tier, tuple[Field, ...]] = {
    "fast": (
        Field("power_w", 185, milli),
        Field("power_instant_w", 186, milli),
    ),
    "medium": (
        Field("energy_j", 83, milli),
        Field("memory_temperature_c", 82, degrees),
        Field("power_violation_s", 74, nanoseconds),
        Field("sync_boost_violation_s", 76, nanoseconds),
        Field("sw_thermal_violation_s", 269, nanoseconds),
        Field("hw_thermal_violation_s", 270, nanoseconds),
        Field("power_brake_violation_s", 271, nanoseconds),
    ),
    "slow": (
        Field("ecc_mode", 1, flag),
        Field("ecc_corrected_volatile", 3, whole),
        Field("ecc_uncorrected_volatile", 4, whole),
        Field("ecc_corrected_aggregate", 5, whole),
        Field("ecc_uncorrected_aggregate", 6, whole),
        Field("retired_pages_sbe", 29, whole),
        Field("retired_pages_dbe", 30, whole),
        Field("retirement_pending", 31, flag),
        Field("pcie_replays", 94, whole),
        Field("remapped_rows_corrected", 142, whole),
        Field("remapped_rows_uncorrected", 143, whole),
        Field("remap_pending", 144, flag),
        Field("remap_failed", 145, flag),
        Field("recovery_action", 230, whole),
    ),
    "once": (
        Field("nvlink_count", 91, whole),
    ),
}
# fmt: on

RENUMBERED = frozenset({269, 270, 271})
"""R575 gave these fields other numbers than R580 and later: there they must not be asked."""


def fields_of(tier: Tier, driver_version: str | None) -> tuple[Field, ...]:
    """The numbered fields of a tier that mean the same in this driver."""
    fields = FIELDS[tier]
    if driver_version is not None and driver_version.startswith("575."):
        return tuple(field for field in fields if field.id not in RENUMBERED)
    return fields

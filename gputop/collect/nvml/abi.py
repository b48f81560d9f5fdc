"""The C structures of the NVML calls gputop makes, with layouts and names as in ``nvml.h``.

They are declared here, and not taken from the binding, so that each thread keeps buffers of its
own and so that nothing is imported before the worker that opens the driver runs.
"""

from __future__ import annotations

import ctypes as c
from typing import Any

U32_ABSENT = 0xFFFFFFFF
U64_ABSENT = 0xFFFFFFFFFFFFFFFF
"""``NVML_VALUE_NOT_AVAILABLE``: what a call answers for a number that it does not have."""

SUCCESS = 0
UNINITIALIZED = 1
INVALID_ARGUMENT = 2
NOT_SUPPORTED = 3
NO_PERMISSION = 4
NOT_FOUND = 6
INSUFFICIENT_SIZE = 7
DRIVER_NOT_LOADED = 9
TIMEOUT = 10
LIBRARY_NOT_FOUND = 12
FUNCTION_NOT_FOUND = 13
GPU_IS_LOST = 15
RESET_REQUIRED = 16
VERSION_MISMATCH = 18
VGPU_ECC_NOT_SUPPORTED = 22
ARGUMENT_VERSION_MISMATCH = 25
DEPRECATED = 26
GPU_NOT_FOUND = 28
UNKNOWN = 999

NEVER = frozenset(
    {NOT_SUPPORTED, FUNCTION_NOT_FOUND, VGPU_ECC_NOT_SUPPORTED, ARGUMENT_VERSION_MISMATCH,
     DEPRECATED}
)  # fmt: skip
"""Codes that the same question would get again: it is not asked a second time."""
LOST = frozenset({GPU_IS_LOST, RESET_REQUIRED})
"""Codes that say the whole device is gone until somebody does something."""
LIBRARY_GONE = frozenset({UNINITIALIZED, DRIVER_NOT_LOADED, VERSION_MISMATCH})
"""Codes that say the library has to be initialised again."""


def _version(struct: type[c.Structure], number: int) -> int:
    """The version word NVML wants: the number above, the size below."""
    return c.sizeof(struct) | number << 24


class Utilization(c.Structure):
    """nvmlUtilization_t: per cent."""

    _fields_ = (("gpu", c.c_uint), ("memory", c.c_uint))


class Memory(c.Structure):
    """nvmlMemory_t and nvmlBAR1Memory_t: bytes. `used` holds the driver's own share as well."""

    _fields_ = (("total", c.c_ulonglong), ("free", c.c_ulonglong), ("used", c.c_ulonglong))


class MemoryV2(c.Structure):
    """nvmlMemory_v2_t: bytes."""

    _fields_ = (
        ("version", c.c_uint), ("total", c.c_ulonglong), ("reserved", c.c_ulonglong),
        ("free", c.c_ulonglong), ("used", c.c_ulonglong),
    )  # fmt: skip


class Temperature(c.Structure):
    """nvmlTemperature_v1_t: degrees Celsius of one sensor (0: the GPU)."""

    _fields_ = (("version", c.c_uint), ("sensor", c.c_uint), ("temperature", c.c_int))


class Margin(c.Structure):
    """nvmlMarginTemperature_v1_t: degrees Celsius to the nearest slowdown."""

    _fields_ = (("version", c.c_uint), ("margin", c.c_int))


class PciInfo(c.Structure):
    """nvmlPciInfo_t."""

    _fields_ = (
        ("bus_id_legacy", c.c_char * 16), ("domain", c.c_uint), ("bus", c.c_uint),
        ("device", c.c_uint), ("device_id", c.c_uint), ("subsystem_id", c.c_uint),
        ("bus_id", c.c_char * 32),
    )  # fmt: skip


class Number(c.Union):
    """nvmlValue_t."""

    _fields_ = (
        ("d", c.c_double), ("ui", c.c_uint), ("ul", c.c_ulong), ("ull", c.c_ulonglong),
        ("sll", c.c_longlong), ("si", c.c_int), ("us", c.c_ushort),
    )  # fmt: skip


NUMBER_TYPES: dict[int, tuple[str, int | None]] = {
    0: ("d", None), 1: ("ui", U32_ABSENT), 2: ("ul", U64_ABSENT), 3: ("ull", U64_ABSENT),
    4: ("sll", None), 5: ("si", None), 6: ("us", None),
}  # fmt: skip
"""nvmlValueType_t: the member of :class:`Number` it names, and that member's "not available"."""


class FieldValue(c.Structure):
    """nvmlFieldValue_t."""

    _fields_ = (
        ("field", c.c_uint32), ("scope", c.c_uint32), ("timestamp_us", c.c_int64),
        ("latency_us", c.c_int64), ("value_type", c.c_uint), ("answer", c.c_uint),
        ("value", Number),
    )  # fmt: skip


class ProcessInfo(c.Structure):
    """nvmlProcessInfo_v2_t, which is also version 3."""

    _fields_ = (
        ("pid", c.c_uint), ("memory", c.c_ulonglong), ("gpu_instance", c.c_uint),
        ("compute_instance", c.c_uint),
    )  # fmt: skip


class ProcessInfoLong(c.Structure):
    """The row that a few releases of R535 answered under the name of version 3."""

    _fields_ = (*ProcessInfo._fields_, ("protected_memory", c.c_ulonglong))


class ProcessSample(c.Structure):
    """nvmlProcessUtilizationSample_t: per cent."""

    _fields_ = (
        ("pid", c.c_uint), ("timestamp_us", c.c_ulonglong), ("sm", c.c_uint),
        ("memory", c.c_uint), ("encoder", c.c_uint), ("decoder", c.c_uint),
    )  # fmt: skip


class ProcessSampleV1(c.Structure):
    """nvmlProcessUtilizationInfo_v1_t: per cent."""

    _fields_ = (
        ("timestamp_us", c.c_ulonglong), ("pid", c.c_uint), ("sm", c.c_uint),
        ("memory", c.c_uint), ("encoder", c.c_uint), ("decoder", c.c_uint), ("jpeg", c.c_uint),
        ("ofa", c.c_uint),
    )  # fmt: skip


class ProcessSamples(c.Structure):
    """nvmlProcessesUtilizationInfo_v1_t."""

    _fields_ = (
        ("version", c.c_uint), ("count", c.c_uint), ("since_us", c.c_ulonglong),
        ("rows", c.POINTER(ProcessSampleV1)),
    )  # fmt: skip


class GpmMetric(c.Structure):
    """nvmlGpmMetric_t."""

    _fields_ = (
        ("metric", c.c_uint), ("answer", c.c_uint), ("value", c.c_double),
        ("short_name", c.c_char_p), ("long_name", c.c_char_p), ("unit", c.c_char_p),
    )  # fmt: skip


class GpmMetrics(c.Structure):
    """nvmlGpmMetricsGet_t, with room for more metrics than any driver knows (477 in R615)."""

    _fields_ = (
        ("version", c.c_uint), ("count", c.c_uint), ("older", c.c_void_p), ("newer", c.c_void_p),
        ("metrics", GpmMetric * 512),
    )  # fmt: skip


class GpmSupport(c.Structure):
    """nvmlGpmSupport_t."""

    _fields_ = (("version", c.c_uint), ("supported", c.c_uint))


class EventData(c.Structure):
    """nvmlEventData_t; of an Xid event `data` is the Xid."""

    _fields_ = (
        ("device", c.c_void_p), ("type", c.c_ulonglong), ("data", c.c_ulonglong),
        ("gpu_instance", c.c_uint), ("compute_instance", c.c_uint),
    )  # fmt: skip


class MigAttributes(c.Structure):
    """nvmlDeviceAttributes_t of a MIG instance."""

    _fields_ = (
        ("sms", c.c_uint), ("copy_engines", c.c_uint), ("decoders", c.c_uint),
        ("encoders", c.c_uint), ("jpegs", c.c_uint), ("ofas", c.c_uint),
        ("gpu_slices", c.c_uint), ("compute_slices", c.c_uint), ("memory_mib", c.c_ulonglong),
    )  # fmt: skip


class Fabric(c.Structure):
    """nvmlGpuFabricInfo_t: how far a device has come in joining its NVSwitch fabric."""

    _fields_ = (
        ("cluster_uuid", c.c_ubyte * 16), ("status", c.c_uint), ("clique", c.c_uint),
        ("state", c.c_uint),
    )  # fmt: skip


class FabricV2(c.Structure):
    """nvmlGpuFabricInfo_v2_t."""

    _fields_ = (("version", c.c_uint), *Fabric._fields_, ("health_mask", c.c_uint))


class FabricV3(c.Structure):
    """nvmlGpuFabricInfo_v3_t."""

    _fields_ = (*FabricV2._fields_, ("health", c.c_ubyte))


def memory_v2() -> Any:
    """A MemoryV2 that says which version it is."""
    return MemoryV2(version=_version(MemoryV2, 2))


def temperature_of_gpu() -> Any:
    """A Temperature that asks for the GPU's sensor."""
    return Temperature(version=_version(Temperature, 1), sensor=0)


def margin() -> Any:
    """A Margin that says which version it is."""
    return Margin(version=_version(Margin, 1))


def fabric_v2() -> Any:
    """A FabricV2 that says which version it is."""
    return FabricV2(version=_version(FabricV2, 2))


def fabric_v3() -> Any:
    """A FabricV3 that says which version it is."""
    return FabricV3(version=_version(FabricV3, 3))


def process_samples() -> Any:
    """A ProcessSamples that says which version it is."""
    return ProcessSamples(version=_version(ProcessSamples, 1))

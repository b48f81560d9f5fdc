"""Finding a device and learning who it is."""

from __future__ import annotations

import ctypes
from typing import Any

from msgspec import Struct

from gputop.collect.nvml import abi
from gputop.collect.nvml.library import Library, Meter, NvmlError
from gputop.collect.nvml.values import Raw
from gputop.model.nvml_tables import ARCHITECTURES

MOST_DEVICES = 256
"""A machine has at most 64 or so, and each gets a thread: a number that cannot be is not counted
up to.
"""


class Identity(Struct, frozen=True):
    """What tells a device from all others."""

    uuid: str
    name: str
    index: int | None
    bus_id: str | None
    capability: tuple[int, int] | None
    """CUDA compute capability: major, minor."""


def handle_at(library: Library, meter: Meter, index: int) -> Any:
    """The device at an index. Raises NvmlError."""
    handle = ctypes.c_void_p()
    code = library.call(meter, "nvmlDeviceGetHandleByIndex_v2", index, ctypes.byref(handle))
    if code != abi.SUCCESS:
        raise NvmlError(code)
    return handle


def handle_of(library: Library, meter: Meter, uuid: str) -> Any:
    """The device of a UUID, wherever it stands now: by its UUID or, where the driver does not
    find it so, among all indices. Raises NvmlError.
    """
    handle = ctypes.c_void_p()
    code = library.call(
        meter, "nvmlDeviceGetHandleByUUID", ctypes.c_char_p(uuid.encode()), ctypes.byref(handle)
    )
    if code == abi.SUCCESS:
        return handle
    for index in range(min(device_count(library, meter), MOST_DEVICES)):
        try:
            candidate = handle_at(library, meter, index)
            if uuid_of(library, meter, candidate) == uuid:
                return candidate
        except NvmlError:
            continue
    raise NvmlError(abi.NOT_FOUND if code in abi.NEVER else code)


def device_count(library: Library, meter: Meter) -> int:
    """How many devices the driver lists; more than MOST_DEVICES cannot be. Raises NvmlError."""
    return library.number(meter, "nvmlDeviceGetCount_v2")


def uuid_of(library: Library, meter: Meter, handle: Any) -> str:
    """The UUID of a device or MIG instance. Raises NvmlError."""
    return library.text(meter, "nvmlDeviceGetUUID", handle)


def index_of(library: Library, meter: Meter, handle: Any) -> int | None:
    """Where a device stands in the driver's order."""
    return number_or_none(library, meter, "nvmlDeviceGetIndex", handle)


def identify(library: Library, meter: Meter, handle: Any) -> Identity:
    """Who a device is. Raises NvmlError where it cannot say its UUID; all else may be missing."""
    return Identity(
        uuid=uuid_of(library, meter, handle),
        name=text_or_none(library, meter, "nvmlDeviceGetName", handle) or "NVIDIA GPU",
        index=index_of(library, meter, handle),
        bus_id=_bus_id(library, meter, handle),
        capability=_capability(library, meter, handle),
    )


def text_or_none(library: Library, meter: Meter, function: str, handle: Any) -> str | None:
    """The text a call fills in, or None."""
    try:
        return library.text(meter, function, handle) or None
    except NvmlError:
        return None


def number_or_none(library: Library, meter: Meter, function: str, handle: Any) -> int | None:
    """The number a call fills in, or None."""
    try:
        number = library.number(meter, function, handle)
    except NvmlError:
        return None
    return None if number == abi.U32_ABSENT else number


def architecture(library: Library, meter: Meter, handle: Any) -> str | None:
    """The architecture's name, or None where it has none yet."""
    number = number_or_none(library, meter, "nvmlDeviceGetArchitecture", handle)
    return None if number is None else ARCHITECTURES.get(number)


def numa_node(library: Library, meter: Meter, handle: Any) -> int | None:
    """The NUMA node nearest to the device, where there is exactly one."""
    nodes = (ctypes.c_ulong * 16)()
    code = library.call(
        meter, "nvmlDeviceGetMemoryAffinity", handle, len(nodes), nodes, _SCOPE_NODE
    )
    if code != abi.SUCCESS:
        return number_or_none(library, meter, "nvmlDeviceGetNumaNodeId", handle)
    width = 8 * ctypes.sizeof(ctypes.c_ulong)
    near = [i * width + bit for i, word in enumerate(nodes) for bit in _bits(word)]
    return near[0] if len(near) == 1 else None


_SCOPE_NODE = 0
"""NVML_AFFINITY_SCOPE_NODE."""


def _bits(word: Raw) -> list[int]:
    return [bit for bit in range(64) if int(word) >> bit & 1]


def _bus_id(library: Library, meter: Meter, handle: Any) -> str | None:
    info = abi.PciInfo()
    if library.call(meter, "nvmlDeviceGetPciInfo_v3", handle, ctypes.byref(info)) != abi.SUCCESS:
        return None
    return info.bus_id.decode("ascii", "replace") or None


def _capability(library: Library, meter: Meter, handle: Any) -> tuple[int, int] | None:
    major, minor = ctypes.c_int(), ctypes.c_int()
    code = library.call(
        meter, "nvmlDeviceGetCudaComputeCapability", handle, ctypes.byref(major),
        ctypes.byref(minor),
    )  # fmt: skip
    return (major.value, minor.value) if code == abi.SUCCESS else None

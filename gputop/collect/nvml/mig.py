"""The MIG instances a device is cut into."""

from __future__ import annotations

import ctypes
from typing import Any

from msgspec import Struct

from gputop.collect.nvml import abi
from gputop.collect.nvml.identity import number_or_none, text_or_none, uuid_of
from gputop.collect.nvml.library import Library, Meter, NvmlError
from gputop.collect.nvml.values import Trouble

ENABLED = 1
MOST_INSTANCES = 64
"""More than any device is cut into: a number that cannot be is not counted up to."""


class Instance(Struct, frozen=True):
    """One MIG instance."""

    handle: Any
    uuid: str
    name: str
    index: int
    """Its place among the device's instances; there may be holes."""
    gpu_instance: int | None
    compute_instance: int | None
    profile: str | None


def mig_enabled(library: Library, meter: Meter, handle: Any) -> bool:
    """Whether the device is cut into instances now. Raises Trouble for a lost device."""
    current, pending = ctypes.c_uint(), ctypes.c_uint()
    code = library.call(
        meter, "nvmlDeviceGetMigMode", handle, ctypes.byref(current), ctypes.byref(pending)
    )
    Trouble.check(code)
    return code == abi.SUCCESS and current.value == ENABLED


def instances_of(
    library: Library, meter: Meter, handle: Any, known: tuple[Instance, ...] = ()
) -> tuple[Instance, ...]:
    """The device's instances in the driver's order. Of those `known`, told by their UUID, nothing
    is asked again. Raises Trouble for a lost device.
    """
    if not mig_enabled(library, meter, handle):
        return ()
    by_uuid = {instance.uuid: instance for instance in known}
    found: list[Instance] = []
    most = number_or_none(library, meter, "nvmlDeviceGetMaxMigDeviceCount", handle) or 0
    for index in range(min(most, MOST_INSTANCES)):
        child = ctypes.c_void_p()
        code = library.call(
            meter, "nvmlDeviceGetMigDeviceHandleByIndex", handle, index, ctypes.byref(child)
        )
        Trouble.check(code)
        if code != abi.SUCCESS:
            continue  # a hole
        try:
            uuid = uuid_of(library, meter, child)
        except NvmlError:
            continue
        same = by_uuid.get(uuid)
        if same is None or same.index != index or same.handle.value != child.value:
            same = _describe(library, meter, child, uuid, index)
        found.append(same)
    return tuple(found)


def _describe(library: Library, meter: Meter, handle: Any, uuid: str, index: int) -> Instance:
    name = text_or_none(library, meter, "nvmlDeviceGetName", handle) or "MIG instance"
    _, has_profile, profile = name.partition(" MIG ")
    return Instance(
        handle=handle,
        uuid=uuid,
        name=name,
        index=index,
        gpu_instance=number_or_none(library, meter, "nvmlDeviceGetGpuInstanceId", handle),
        compute_instance=number_or_none(library, meter, "nvmlDeviceGetComputeInstanceId", handle),
        profile=profile if has_profile else _profile(library, meter, handle),
    )


def _profile(library: Library, meter: Meter, handle: Any) -> str | None:
    """The profile's name put together from slices and memory, as nvidia-smi writes it."""
    attributes = abi.MigAttributes()
    code = library.call(meter, "nvmlDeviceGetAttributes_v2", handle, ctypes.byref(attributes))
    if code != abi.SUCCESS:
        return None
    slices = f"{attributes.gpu_slices}g.{round(attributes.memory_mib / 1024)}gb"
    if attributes.compute_slices < attributes.gpu_slices:
        return f"{attributes.compute_slices}c.{slices}"
    return slices

"""What does not change about the simulated devices: identities, limits, what an H100 lacks.

The identities are plainly simulated (host `demo`, serial numbers that begin with DEMO); the
figures are those of an NVIDIA H100 80GB HBM3 SXM5 as its data sheet and nvidia-smi give them.
"""

from __future__ import annotations

import random
import uuid

from gputop.collect.demo import physics
from gputop.collect.demo.stories import Place
from gputop.model.frame import DeviceInfo, DeviceReading
from gputop.model.metrics import METRICS, OF_INFO
from gputop.model.missing import DENIED, UNSUPPORTED

NAME = "NVIDIA H100 80GB HBM3"
DRIVER_VERSION = "580.82.07"
NVML_VERSION = "13.580.82.07"
CUDA_VERSION = "13.0"
MIB = 1024**2
MEMORY_TOTAL_BYTES = 81_559 * MIB
MEMORY_RESERVED_BYTES = 551 * MIB
BAR1_TOTAL_BYTES = 131_072 * MIB
MEMORY_CLOCK_MHZ = 2_619
VIDEO_CLOCK_MAX_MHZ = 1_545
VIDEO_CLOCK_MHZ = 1_545
NVLINKS = 18
PCIE_GENERATION = 5
PCIE_WIDTH = 16

_BUSES = (0x18, 0x2A, 0x3A, 0x5D, 0x9A, 0xAB, 0xBA, 0xDB)
"""Where the eight devices of a common HGX board sit."""

_NO_FANS = ("fan_speed", "fan_speeds")
_NO_PAGE_RETIREMENT = ("retired_pages_sbe", "retired_pages_dbe", "retirement_pending")
DEVICE_LACKS = dict.fromkeys((*_NO_FANS, *_NO_PAGE_RETIREMENT), UNSUPPORTED)
"""An SXM module is cooled by the server's fans, and remaps rows instead of retiring pages."""

MIG_PARENT_LACKS = DEVICE_LACKS | dict.fromkeys(
    ("gpu_utilization", "memory_utilization", "encoder_utilization", "decoder_utilization",
     "jpeg_utilization", "ofa_utilization", "remapped_rows_corrected", "remapped_rows_uncorrected",
     "remap_pending", "remap_failed"), UNSUPPORTED,
) | dict.fromkeys(
    ("memory_used_bytes", "memory_free_bytes", "memory_reserved_bytes", "memory_total_bytes"),
    DENIED,
)  # fmt: skip
"""What a device that is cut into MIG instances no longer answers."""

INSTANCE_ANSWERS = frozenset((
    "memory_used_bytes", "memory_free_bytes", "memory_reserved_bytes", "memory_total_bytes",
    "sm_activity", "sm_occupancy", "tensor_activity", "dram_activity", "fp64_activity",
    "fp32_activity", "fp16_activity", "bar1_used_bytes", "bar1_total_bytes",
))  # fmt: skip
READING_METRICS = tuple(m.name for m in METRICS if m.name not in OF_INFO)
INSTANCE_LACKS = dict.fromkeys(
    (*(n for n in READING_METRICS if n not in INSTANCE_ANSWERS), "fan_speeds"), UNSUPPORTED
)
"""A MIG instance answers for its memory and its GPM activities, and for little else."""
assert all(hasattr(DeviceReading, name) for name in INSTANCE_LACKS)


def device_info(seed: int, part: Place, count: int) -> DeviceInfo:
    """The identity of one device of a machine of `count`."""
    draw = random.Random(f"{seed}/{part.index}/identity")
    return DeviceInfo(
        uuid=f"GPU-{uuid.UUID(int=draw.getrandbits(128), version=4)}",
        name=NAME,
        index=part.index,
        bus_id=f"{part.index // 8:08X}:{_BUSES[part.index % 8]:02X}:00.0",
        architecture="Hopper",
        compute_capability="9.0",
        numa_node=0 if part.index * 2 < count else 1,
        serial=f"DEMO{draw.randrange(10**9):09d}",
        power_limit_default_w=700.0,
        power_limit_min_w=200.0,
        power_limit_max_w=700.0,
        sm_clock_max_mhz=physics.SM_CLOCK_MAX_MHZ,
        memory_clock_max_mhz=MEMORY_CLOCK_MHZ,
        graphics_clock_max_mhz=physics.SM_CLOCK_MAX_MHZ,
        video_clock_max_mhz=VIDEO_CLOCK_MAX_MHZ,
        temperature_slowdown_c=physics.SLOWDOWN_C,
        temperature_shutdown_c=physics.SHUTDOWN_C,
        temperature_max_operating_c=physics.MAX_OPERATING_C,
        memory_temperature_max_c=physics.MEMORY_MAX_C,
        pcie_generation_max=PCIE_GENERATION,
        pcie_width_max=PCIE_WIDTH,
        nvlink_count=NVLINKS,
        fan_count=0,
    )


def instance_info(seed: int, part: Place, parent: DeviceInfo, number: int) -> DeviceInfo:
    """The identity of one MIG instance of a device, `number` from 0."""
    instance = part.story.instances[number]
    draw = random.Random(f"{seed}/{part.index}/mig/{instance.gpu_instance_id}")
    return DeviceInfo(
        uuid=f"MIG-{uuid.UUID(int=draw.getrandbits(128), version=4)}",
        name=f"{NAME} MIG {instance.profile}",
        index=number,
        bus_id=parent.bus_id,
        architecture=parent.architecture,
        compute_capability=parent.compute_capability,
        numa_node=parent.numa_node,
        parent=parent.uuid,
        mig_profile=instance.profile,
        gpu_instance_id=instance.gpu_instance_id,
        compute_instance_id=0,
        missing=dict.fromkeys(OF_INFO, UNSUPPORTED),
    )

"""From the state of a simulated device to the fields of a reading, tier by tier.

Each function answers the fields of its tier as NVML would round them: utilisation in whole per
cent, temperature in whole degrees, power in milliwatts, clocks in steps of 15 MHz.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from gputop.collect.demo import inventory, physics
from gputop.collect.demo.clock import STEP_S
from gputop.collect.demo.noise import Noise
from gputop.collect.demo.physics import Card
from gputop.collect.demo.stories import Instance, Place
from gputop.model.missing import NEEDS_TWO_READINGS

Fields = dict[str, Any]
"""Names of a reading's fields and their values."""

ACTIVITIES = (
    "sm_activity", "sm_occupancy", "tensor_activity", "dram_activity", "fp64_activity",
    "fp32_activity", "fp16_activity",
)  # fmt: skip
MEDIUM_RATES = (*ACTIVITIES, "nvlink_rx_bytes_per_s", "nvlink_tx_bytes_per_s")
SLOW_RATES = ("pcie_rx_bytes_per_s", "pcie_tx_bytes_per_s")
AWAITED = dict.fromkeys((*MEDIUM_RATES, *SLOW_RATES), NEEDS_TWO_READINGS)
OCCUPANCY = 0.55
"""Resident warps over the most that fit, where an SM is active: chosen."""
LINK_DOWN_S = 20.0
"""An idle link steps down to generation 1 after this long: chosen."""
INSTANCE_LOOKS = 5
"""How many moments of the last second stand for a MIG instance's activity."""


class Sums(Struct):
    """A card's integrals at one moment."""

    step: int
    sm: float
    tensor: float
    dram: float
    nvlink: float
    rx: float
    tx: float


def sums(card: Card) -> Sums:
    """The integrals now, to be compared with those of a later moment."""
    return Sums(card.step, card.sm_sum, card.tensor_sum, card.dram_sum, card.nvlink_sum,
                card.rx_sum, card.tx_sum)  # fmt: skip


def percent(ratio: float) -> float:
    """A ratio as a driver rounds it: to whole per cent."""
    return round(min(1.0, max(0.0, ratio)), 2)


def memory(total: int, reserved: int, used: int) -> Fields:
    """The memory fields, in bytes."""
    return {
        "memory_used_bytes": used,
        "memory_free_bytes": total - reserved - used,
        "memory_reserved_bytes": reserved,
        "memory_total_bytes": total,
    }


def fast(card: Card) -> Fields:
    """Utilisation, power, temperature, clocks and event reasons."""
    return {
        "gpu_utilization": percent(card.utilization),
        "memory_utilization": percent(card.memory_busy),
        "power_w": round(card.power_w, 3),
        "power_instant_w": round(card.instant_w, 3),
        "temperature_c": float(int(card.temperature_c)),
        "sm_clock_mhz": _clock(card.clock_mhz),
        "memory_clock_mhz": inventory.MEMORY_CLOCK_MHZ,
        "performance_state": 0,
        "sm_clock_state_max_mhz": physics.SM_CLOCK_MAX_MHZ,
        "event_reasons": card.reasons,
    }


def medium(card: Card, part: Place, before: Sums | None) -> Fields:
    """Engines, counters, and the rates since `before`."""
    decoding = percent(card.utilization * part.story.decoding)
    fields: Fields = {
        "graphics_clock_mhz": _clock(card.clock_mhz),
        "video_clock_mhz": _clock(card.clock_mhz * inventory.VIDEO_CLOCK_MAX_MHZ
                                  / physics.SM_CLOCK_MAX_MHZ),
        "memory_temperature_c": float(int(card.memory_c)),
        "encoder_utilization": 0.0,
        "decoder_utilization": decoding,
        "jpeg_utilization": decoding,
        "ofa_utilization": 0.0,
        "energy_j": round(card.energy_j, 3),
        "power_violation_s": round(card.power_s, 3),
        "sync_boost_violation_s": round(card.sync_s, 3),
        "sw_thermal_violation_s": round(card.sw_thermal_s, 3),
        "hw_thermal_violation_s": round(card.hw_thermal_s, 3),
        "power_brake_violation_s": round(card.brake_s, 3),
    }  # fmt: skip
    if before is not None and card.step > before.step:
        seconds = (card.step - before.step) * STEP_S
        fields |= activities(
            (card.sm_sum - before.sm) / seconds,
            (card.tensor_sum - before.tensor) / seconds,
            (card.dram_sum - before.dram) / seconds,
            part.story.fp32_share,
        )
        nvlink = _bytes_per_s((card.nvlink_sum - before.nvlink) / seconds)
        fields |= {"nvlink_rx_bytes_per_s": nvlink, "nvlink_tx_bytes_per_s": nvlink}
    return fields


def activities(sm: float, tensor: float, dram: float, fp32_share: float) -> Fields:
    """The GPM fields."""
    return {
        "sm_activity": _ratio(sm),
        "sm_occupancy": _ratio(OCCUPANCY * sm),
        "tensor_activity": _ratio(tensor),
        "dram_activity": _ratio(dram),
        "fp64_activity": 0.0,
        "fp32_activity": _ratio(fp32_share * sm),
        "fp16_activity": _ratio(0.05 * sm + 0.03 * tensor),
    }


def slow(card: Card, part: Place, t: float, holders: int, before: Sums | None) -> Fields:
    """Limits, links, ECC and modes at the story's second `t`, with `holders` processes there."""
    story = part.story
    failed = story.remap_failed is not None and story.remap_failed.into(t) is not None
    joining = story.joins is not None and story.joins.into(t) is not None
    uncorrected = story.uncorrected.begun(t) if story.uncorrected else 0
    corrected = int(story.corrected_per_s * max(0.0, t + 600.0))
    fields: Fields = {
        "power_limit_w": story.limit_w,
        "bar1_used_bytes": (4 + 2 * holders) * inventory.MIB,
        "bar1_total_bytes": inventory.BAR1_TOTAL_BYTES,
        "temperature_margin_c": float(int(min(
            physics.MAX_OPERATING_C - card.temperature_c, physics.MEMORY_MAX_C - card.memory_c
        ))),
        "pcie_generation": (
            1 if card.quiet_s(t) > LINK_DOWN_S else inventory.PCIE_GENERATION
        ),
        "pcie_width": story.pcie_width,
        "pcie_replays": int(story.replays_per_s * max(0.0, t + 1_200.0)),
        "nvlink_active": inventory.NVLINKS,
        "ecc_mode": True,
        "ecc_corrected_volatile": corrected,
        "ecc_uncorrected_volatile": uncorrected,
        "ecc_corrected_aggregate": corrected + 7 * (part.index + 1),
        "ecc_uncorrected_aggregate": uncorrected,
        "remapped_rows_corrected": 2 if story.remap_pending else 0,
        "remapped_rows_uncorrected": uncorrected,
        "remap_pending": story.remap_pending,
        "remap_failed": failed,
        "recovery_action": DRAIN_AND_RESET if uncorrected else 0,
        "fabric_state": FABRIC_JOINING if joining else FABRIC_COMPLETED,
        "fabric_status": 0,
        "fabric_health": FABRIC_UNTOLD if joining else FABRIC_HEALTHY,
        "compute_mode": 0,
        "persistence_mode": True,
        "mig_mode": bool(story.instances),
    }  # fmt: skip
    if before is not None and card.step > before.step:
        seconds = (card.step - before.step) * STEP_S
        fields["pcie_rx_bytes_per_s"] = _bytes_per_s((card.rx_sum - before.rx) / seconds)
        fields["pcie_tx_bytes_per_s"] = _bytes_per_s((card.tx_sum - before.tx) / seconds)
    return fields


FABRIC_JOINING, FABRIC_COMPLETED = 2, 3
"""nvmlGpuFabricState_t."""
FABRIC_UNTOLD, FABRIC_HEALTHY = 0, 1
"""The fabric's health summary (nvmlGpuFabricInfo_v3_t)."""
DRAIN_AND_RESET = 4
"""`nvmlDeviceGetFieldValues` 230: drain the jobs, then reset."""


def instance_activities(instance: Instance, t: float, noise: Noise) -> Fields:
    """The GPM fields of a MIG instance over the second up to `t`."""
    loads = [instance.load(t - n / INSTANCE_LOOKS, noise) for n in range(INSTANCE_LOOKS)]
    sm, tensor, dram = (sum(load[n] for load in loads) / INSTANCE_LOOKS for n in (1, 2, 3))
    return activities(sm, tensor, dram, 0.1)


def _clock(mhz: float) -> int:
    return int(mhz / physics.CLOCK_STEP_MHZ) * physics.CLOCK_STEP_MHZ


def _ratio(value: float) -> float:
    return round(min(1.0, max(0.0, value)), 4)


def _bytes_per_s(gigabytes: float) -> float:
    return float(round(gigabytes * 1e6) * 1_000)

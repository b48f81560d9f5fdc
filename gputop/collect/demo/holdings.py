"""What the processes hold and do on one simulated device."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec import Struct

from gputop.collect.demo.people import Crowd, Member, Use
from gputop.model.frame import DeviceUse
from gputop.model.missing import UNSUPPORTED

NO_UTILIZATION = dict.fromkeys(
    ("sm_utilization", "memory_utilization", "encoder_utilization", "decoder_utilization"),
    UNSUPPORTED,
)
"""NVML has no utilisation per process on a device that is cut into MIG instances."""


class Holding(Struct):
    """One process on the device, and its memory there in bytes."""

    member: Member
    use: Use
    life: int
    memory_bytes: int


def holdings(holders: Sequence[tuple[Member, Use]], t: float) -> list[Holding]:
    """Who is there at the story's second `t`."""
    found = []
    for member, use in holders:
        life = member.life(t)
        if life is not None:
            found.append(Holding(member, use, life, member.memory_bytes(use, t, life)))
    return found


def shares(percent: int, weights: Sequence[float]) -> list[int]:
    """`percent` in whole parts that go with the weights and add up to it exactly (largest
    remainders first); all 0 where nobody has a weight.
    """
    total = sum(weights)
    if total <= 0.0:
        return [0] * len(weights)
    exact = [percent * weight / total for weight in weights]
    parts = [int(part) for part in exact]
    by_rest = sorted(range(len(exact)), key=lambda n: parts[n] - exact[n])
    for n in by_rest[: percent - sum(parts)]:
        parts[n] += 1
    return parts


def uses(
    crowd: Crowd, held: Sequence[Holding], device: str, totals: Sequence[float]
) -> Iterator[tuple[int, DeviceUse]]:
    """Pid and use of each holding on `device`, the device's SM, memory and decoder utilisation
    (`totals`, ratios) shared out among them.
    """
    weights = [holding.use.weight for holding in held]
    sm, memory, decoder = (shares(round(total * 100), weights) for total in totals)
    for n, holding in enumerate(held):
        yield crowd.pid(holding.member, holding.life), DeviceUse(
            device, holding.use.kinds, None, holding.memory_bytes,
            sm[n] / 100, memory[n] / 100, 0.0, decoder[n] / 100,
        )  # fmt: skip


def instance_uses(
    crowd: Crowd, held: Sequence[Holding], device: str, instances: Sequence[str]
) -> Iterator[tuple[int, DeviceUse]]:
    """The same on a device whose MIG instances have these UUIDs."""
    for holding in held:
        assert holding.use.instance is not None
        yield crowd.pid(holding.member, holding.life), DeviceUse(
            device, holding.use.kinds, instances[holding.use.instance], holding.memory_bytes,
            missing=NO_UTILIZATION,
        )  # fmt: skip

"""The cast of the demo: one story for each slot of an eight-device machine, as a table.

What limits each device (its verdict) follows from its story; these begin later than the warnings:

    0  compute-bound (training); a straggler from 210 s on, while its clocks are locked
    1  input-starved
    2  memory-bandwidth-bound at high tide (to 70 s, from 250 s on); PCIe-bound from 118 s on
    3  idle, holding memory; 100 % without a process from 310 s on
    4  power-capped
    5  thermally limited, compute-bound where it is cool
    6  launch-bound, in the moments before it is lost
    7  its MIG instances: memory-bandwidth-bound, none, healthy
"""

from __future__ import annotations

import math

from msgspec import Struct

from gputop.collect.demo import workloads
from gputop.collect.demo.noise import Noise
from gputop.collect.demo.windows import Windows
from gputop.collect.demo.workloads import Load, Workload

SLOTS = 8
NODE_SHIFT_S = 41.0
"""How much later the second eight devices live the same stories."""

RESTART_S = 4.0
FALLS = Windows(first_s=40.0, length_s=35.0, period_s=90.0)
AFTER_FALLS = FALLS.longer(RESTART_S)
"""Until the jobs of the device that fell are running again."""
JOINS = Windows(first_s=75.0, length_s=22.0, period_s=90.0)
"""While the device that fell joins the NVSwitch fabric again."""
CRASHES = Windows(first_s=70.0, length_s=RESTART_S, period_s=120.0)
HANGS = Windows(first_s=95.0, length_s=9.0, period_s=150.0)
SLOW_CALLS = Windows(first_s=90.0, length_s=5.0, period_s=150.0)
AIRFLOW = Windows(first_s=12.0, length_s=52.0, period_s=95.0, eternal=True)
BRAKES = Windows(first_s=125.0, length_s=6.0, period_s=170.0)
LOCKED = Windows(first_s=210.0, length_s=75.0, period_s=400.0)
"""Application clocks that somebody set and forgot."""
KILLED = Windows(first_s=310.0, length_s=80.0, period_s=450.0)
"""The notebook was killed in mid-kernel: utilisation stays at 100 % until it is started again."""
UNCORRECTED = Windows(first_s=112.0, length_s=1.0)
BOARD = Windows(first_s=205.0, length_s=8.0, period_s=300.0)
AGES = Windows(first_s=215.0, length_s=8.0, period_s=300.0)
TRIPS = Windows(first_s=230.0, length_s=5.0, period_s=300.0)
SPARES_GONE = Windows(first_s=250.0, length_s=math.inf)
ERRORS = Windows(first_s=270.0, length_s=6.0, period_s=300.0)
LAGS = Windows(first_s=285.0, length_s=8.0, period_s=300.0)


class Instance(Struct, frozen=True):
    """A MIG instance: the names and sizes `nvidia-smi mig -lgip` gives for an H100 80GB."""

    profile: str
    gpu_instance_id: int
    slices: int
    memory_mib: int
    load: Workload


class Hold(Struct, frozen=True):
    """Spans in which something holds the clocks of a busy device."""

    reason: int
    """The event reason's bit."""
    clock: float
    """How much of the highest clock is left."""
    windows: Windows


class Story(Struct, frozen=True):
    """What one device lives through."""

    key: str
    load: Workload
    limit_w: float = 700.0
    pcie_width: int = 16
    lost: Windows | None = None
    hangs: Windows | None = None
    errors: Windows | None = None
    """Spans in which the driver answers it with errors."""
    lags: Windows | None = None
    """Spans in which nothing new is heard of it."""
    slow_calls: Windows | None = None
    airflow: Windows | None = None
    """Spans in which its heat sink gets too little air."""
    brake: Windows | None = None
    sync: Windows | None = None
    """Spans in which sync boost holds it to a slower device."""
    holds: tuple[Hold, ...] = ()
    xids: tuple[tuple[int, Windows], ...] = ()
    corrected_per_s: float = 0.0
    uncorrected: Windows | None = None
    replays_per_s: float = 0.0
    remap_pending: bool = False
    remap_failed: Windows | None = None
    joins: Windows | None = None
    """Spans in which it has not joined the NVSwitch fabric."""
    decoding: float = 0.0
    """Video decoder and JPEG engine over GPU utilisation."""
    fp32_share: float = 0.10
    """FP32 pipe activity over SM activity."""
    instances: tuple[Instance, ...] = ()


MIG = (
    Instance("3g.40gb", 2, 3, 40_448, workloads.serve),
    Instance("2g.20gb", 3, 2, 20_096, workloads.notebook),
    Instance("2g.20gb", 5, 2, 20_096, workloads.small),
)


def _shared(t: float, noise: Noise) -> Load:
    """The loads of the MIG instances, each by its share of the device's seven slices."""
    parts = [(i.slices / 7, i.load(t, noise)) for i in MIG]
    duty, sm, tensor, dram, rx, tx, _ = (
        sum(share * load[n] for share, load in parts) for n in range(7)
    )
    return (duty, sm, tensor, dram, rx, tx, 0.0)


def _forgotten(t: float, noise: Noise) -> Load:
    """A notebook that nobody comes back to, and what its end leaves behind."""
    return (workloads.idle if KILLED.into(t) is None else workloads.left_over)(t, noise)


CAST: tuple[Story, ...] = (
    Story("training", workloads.train, sync=BRAKES, holds=(Hold(0x2, 0.6, LOCKED),)),
    Story("starved", workloads.starved, pcie_width=8, replays_per_s=0.11, decoding=0.35,
          holds=(Hold(0x200, 0.8, BOARD),), errors=ERRORS),
    Story("serving", workloads.serve_many, xids=((31, CRASHES),), lags=LAGS,
          holds=(Hold(0x400, 0.9, AGES),)),
    Story("idle", _forgotten, hangs=HANGS, slow_calls=SLOW_CALLS, remap_pending=True,
          remap_failed=SPARES_GONE, uncorrected=UNCORRECTED, xids=((94, UNCORRECTED),)),
    Story("capped", workloads.train, limit_w=400.0, brake=BRAKES, corrected_per_s=0.043),
    Story("hot", workloads.batch, airflow=AIRFLOW, holds=(Hold(0x8, 0.5, TRIPS),)),
    Story("lost", workloads.reinforce, lost=FALLS, xids=((79, FALLS),), joins=JOINS,
          fp32_share=0.55),
    Story("mig", _shared, instances=MIG),
)  # fmt: skip


class Place(Struct, frozen=True):
    """Which part a device of the machine plays."""

    index: int
    slot: int
    node: int

    @property
    def story(self) -> Story:
        """The story of its slot."""
        return CAST[self.slot]

    @property
    def shift_s(self) -> float:
        """How much later than the table says its story happens."""
        return self.node * NODE_SHIFT_S


def places(count: int) -> list[Place]:
    """The parts of a machine with `count` devices. A single device is the starved one; from the
    ninth on the cast repeats, later.
    """
    if count == 1:
        return [Place(0, 1, 0)]
    return [Place(i, i % SLOTS, i // SLOTS) for i in range(count)]

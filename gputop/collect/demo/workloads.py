"""What the simulated jobs ask of a device at a moment.

Each function takes the story's second and the device's noise, and answers a :data:`Load`. The
shapes follow what such jobs look like in NVML: a training step with its all-reduce, a loader that
falls behind, requests in bursts. The numbers are chosen, not measured.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from gputop.collect.demo.noise import Noise
from gputop.collect.demo.windows import Windows

Load = tuple[float, float, float, float, float, float, float]
"""Share of time a kernel runs, SM, tensor and DRAM activity (0 to 1), PCIe received and sent,
NVLink each way (GB/s)."""
Workload = Callable[[float, Noise], Load]

NOTHING: Load = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
TRAIN_STEP_S = 1.13
"""One optimiser step. Not a whole number of ticks, so that a poller meets every phase."""
SWAPS = Windows(first_s=118.0, length_s=80.0, period_s=210.0)
"""At low tide the server trades models between host and device."""
CHECKPOINTS = Windows(first_s=28.0, length_s=7.0, period_s=135.0, eternal=True)
LOADER_CYCLE_S = 6.2
LOADER_BUSY_S = (4.6, 3.9, 4.4, 4.1, 4.8, 3.6, 0.0)
"""Seconds the prefetched batches of each cycle last; 0 is a long stall (a slow shard)."""


def idle(t: float, noise: Noise) -> Load:
    """Nothing runs."""
    return NOTHING


def train(t: float, noise: Noise) -> Load:
    """Data-parallel training: forward and backward, all-reduce, optimiser; checkpoint pauses."""
    if (into := CHECKPOINTS.into(t)) is not None:
        return (0.02, 0.0, 0.0, 0.02, 0.1, 14.0 if into < 4.0 else 0.2, 0.0)
    phase = (t % TRAIN_STEP_S) / TRAIN_STEP_S
    wobble = 1.0 + 0.04 * noise.white(t)
    if phase < 0.78:
        return (1.0, 0.90 * wobble, 0.68 * wobble, 0.48, 1.1, 0.3, 22.0)
    if phase < 0.92:
        return (0.97, 0.42 * wobble, 0.12, 0.30, 0.2, 0.2, 210.0 * wobble)
    return (0.96, 0.74 * wobble, 0.05, 0.82 * wobble, 0.4, 0.5, 8.0)


def fed(t: float) -> float:
    """How well the loader keeps its device fed: 1 is well, 0 is a device that waits."""
    cycle, into = divmod(t, LOADER_CYCLE_S)
    busy = LOADER_BUSY_S[int(cycle) % len(LOADER_BUSY_S)]
    return 1.0 - 0.5 * into / busy if into < busy else 0.0


def starved(t: float, noise: Noise) -> Load:
    """Training behind a slow loader: a sawtooth with gaps."""
    level = fed(t)
    if level == 0.0:
        return (0.0, 0.0, 0.0, 0.0, 0.3, 0.05, 0.0)
    wobble = 1.0 + 0.08 * noise.white(t)
    return (level, 0.80 * level * wobble, 0.50 * level * wobble, 0.42 * level, 5.5 * wobble, 0.4,
            0.0)  # fmt: skip


def requests(t: float) -> float:
    """The tide of requests at the servers, 0 to 1: a day's wave in a few minutes."""
    return 0.56 + 0.30 * math.sin(2 * math.pi * t / 210.0) + 0.06 * math.sin(t / 5.3)


def serve(t: float, noise: Noise) -> Load:
    """A language model server: prefill in bursts (tensor), decode in between (DRAM)."""
    level = min(1.0, max(0.04, requests(t) + 0.38 * noise.smooth(t / 1.6)))
    busy = min(1.0, level * 1.15)
    if noise.smooth(t / 0.5) > 0.35:
        return (busy, 0.76 * level, 0.58 * level, 0.50 * level, 2.6 * level, 0.9, 46.0 * level)
    return (busy, 0.46 * level, 0.12 * level, 0.94 * level, 0.7, 1.2 * level, 31.0 * level)


def serve_many(t: float, noise: Noise) -> Load:
    """The same, with more models than fit: at low tide they come and go over PCIe."""
    if SWAPS.into(t) is None:
        return serve(t, noise)
    wobble = 1.0 + 0.03 * noise.white(t)
    return (0.31, 0.12 * wobble, 0.03, 0.20, 49.0 * wobble, 6.0, 0.0)


def batch(t: float, noise: Noise) -> Load:
    """A server kept full by a batch job: steady and hot."""
    wobble = 1.0 + 0.05 * noise.white(t)
    return (0.99, 0.93 * wobble, 0.62 * wobble, 0.58 * wobble, 3.4, 2.2, 38.0 * wobble)


def small(t: float, noise: Noise) -> Load:
    """A model that fits its MIG instance, trained as it should be."""
    wobble = 1.0 + 0.04 * noise.white(t)
    return (0.99, 0.88 * wobble, 0.39 * wobble, 0.41, 0.6, 0.2, 0.0)


def left_over(t: float, noise: Noise) -> Load:
    """What utilisation says after a kill in mid-kernel: a kernel that nobody runs."""
    return (1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


def reinforce(t: float, noise: Noise) -> Load:
    """Reinforcement learning: eleven seconds of simulation (FP32) in thousands of small kernels,
    then five of learning.
    """
    wobble = 1.0 + 0.06 * noise.white(t)
    if t % 16.0 < 11.0:
        level = 0.80 + 0.12 * noise.smooth(t / 1.3)
        return (1.0, 0.34 * level, 0.02, 0.26 * level, 4.1 * wobble, 3.6 * wobble, 0.0)
    return (0.99, 0.82 * wobble, 0.44 * wobble, 0.52, 1.0, 0.4, 0.0)


def notebook(t: float, noise: Noise) -> Load:
    """Somebody tries things out: a cell now and then."""
    if noise.smooth(t / 9.0) < 0.1:
        return NOTHING
    level = 0.45 + 0.35 * noise.smooth(t / 1.1)
    return (level, 0.6 * level, 0.3 * level, 0.4 * level, 0.8, 0.3, 0.0)

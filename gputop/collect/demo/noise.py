"""Noise that is a function of seed, device and time, so that every run of a seed is the same."""

from __future__ import annotations

import random

from gputop.collect.demo.clock import STEP_S

_SIZE = 2048
_MASK = _SIZE - 1


class Noise:
    """A fixed table of values between -1 and 1, read by time."""

    __slots__ = ("_table",)

    def __init__(self, seed: str) -> None:
        """The same `seed` gives the same table on every machine and Python."""
        uniform = random.Random(seed).uniform
        self._table = [uniform(-1.0, 1.0) for _ in range(_SIZE)]

    def white(self, t: float) -> float:
        """An independent value for each step of the model."""
        return self._table[int(t / STEP_S + 0.5) & _MASK]

    def smooth(self, x: float) -> float:
        """A continuous walk with one independent value at each whole `x`."""
        low = int(x // 1)
        part = x - low
        table = self._table
        return table[low & _MASK] * (1.0 - part) + table[(low + 1) & _MASK] * part

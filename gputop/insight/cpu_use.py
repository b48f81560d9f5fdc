"""What processes did on the CPU lately: one running mean each."""

from __future__ import annotations

import math

from gputop.model.frame import Process
from gputop.state.store import Store

SPAN_S = 20.0
"""Seconds over which a mean forgets: by two thirds."""


class CpuUse:
    """The running means of one host's processes."""

    def __init__(self) -> None:
        # By pid and start ticks: `key_of` makes a record of them, which costs more than the mean.
        self._means: dict[tuple[int, int | None], float] = {}
        self._at = -math.inf

    def update(self, store: Store) -> None:
        """Take the newest frame. A process without a reading keeps its mean."""
        fresh = -math.expm1(-max(store.now - self._at, 0.0) / SPAN_S)
        self._at = store.now
        means: dict[tuple[int, int | None], float] = {}
        known = self._means
        for process in store.processes:
            key, use = (process.pid, process.start_ticks), process.cpu_utilization
            before = known.get(key)
            if use is not None:
                means[key] = use if before is None else before + (use - before) * fresh
            elif before is not None:
                means[key] = before
        self._means = means

    def of(self, process: Process) -> float | None:
        """Cores that a process kept busy; None where that was never read."""
        return self._means.get((process.pid, process.start_ticks))

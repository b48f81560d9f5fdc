"""Simulated time: how many seconds into its story the machine is."""

from __future__ import annotations

from gputop.collect.backend import Tick

STEP_S = 0.1
"""Length of one fixed step of the model, in seconds. Results depend on the number of steps since
the start only, so a late or early tick changes nothing but which step is shown."""


class DemoClock:
    """Turns ticks into simulated time. The first tick it sees is the start."""

    def __init__(self, start_at: float = 0.0) -> None:
        """`start_at` is the story's second that the first tick shows."""
        self.start_step = round(start_at / STEP_S)
        self._boottime_0: float | None = None
        self._utc_0 = 0.0

    def step(self, tick: Tick) -> int:
        """The model's step at a tick; time never runs backwards past the start."""
        if self._boottime_0 is None:
            self._boottime_0 = tick.boottime_s
            self._utc_0 = tick.utc_s
        passed = max(0.0, tick.boottime_s - self._boottime_0)
        return self.start_step + int(passed / STEP_S + 1e-6)

    def seconds(self, tick: Tick) -> float:
        """The story's second at a tick."""
        return self.step(tick) * STEP_S

    def boottime(self, story_s: float) -> float:
        """CLOCK_BOOTTIME, in seconds, of a second of the story; known after the first tick."""
        assert self._boottime_0 is not None
        return self._boottime_0 + story_s - self.start_step * STEP_S

    def utc(self, story_s: float) -> float:
        """UTC, in seconds, of a second of the story; known after the first tick."""
        return self._utc_0 + story_s - self.start_step * STEP_S

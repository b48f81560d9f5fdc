"""Energy of a device: by the driver's counter, and by power over time where the counter fails."""

from __future__ import annotations

from typing import Literal

from gputop.model.metrics import BY_NAME
from gputop.report.series import Window

Basis = Literal["counter", "power", "both"]

_MOST_W = BY_NAME["power_w"].high or 20_000.0
_SMALL = 0.05
"""A part of the time below this is not worth naming."""


class EnergyMeter:
    """Adds up one device's energy.

    The counter's growth is exact, also over a gap in the frames. Where it began anew, is not
    there, or has not been read yet, power over time stands in for it.
    """

    def __init__(self) -> None:
        self.counter_j = self.counter_s = 0.0
        """What the counter says, and of how long."""
        self.power_j = self.power_s = 0.0
        """All power over time, whether or not the counter covers it too."""
        self._filled_j = self._filled_s = 0.0
        self._last: tuple[float, float] | None = None
        self._power_then = (0.0, 0.0)

    def add_power(self, joules: float, seconds: float) -> None:
        """Power over a stretch of time."""
        self.power_j += joules
        self.power_s += seconds

    def read_counter(self, at: float, joules: float, window: Window) -> None:
        """The counter at a moment; the same reading again adds nothing."""
        last, self._last = self._last, (at, joules)
        if last is not None and at <= last[0]:
            self._last = last
            return
        then, self._power_then = self._power_then, (self.power_j, self.power_s)
        grown = joules - last[1] if last else -1.0
        if last is None or not 0 <= grown <= _MOST_W * (at - last[0]):
            self._fill(then)
            return
        start, end = window.clip(last[0], at)
        if end > start:
            self.counter_j += grown * (end - start) / (at - last[0])
            self.counter_s += end - start

    def lapse(self) -> None:
        """The counter has no value now."""
        if self._last is not None:
            self._last = None
            self._fill(self._power_then)
            self._power_then = (self.power_j, self.power_s)

    def _fill(self, then: tuple[float, float]) -> None:
        self._filled_j += self.power_j - then[0]
        self._filled_s += self.power_s - then[1]

    def total(self) -> tuple[float, float, Basis] | None:
        """Joules, the seconds they are of, and what they rest on; None where nothing is known."""
        joules = self.counter_j + self._filled_j + self.power_j - self._power_then[0]
        filled_s = self._filled_s + self.power_s - self._power_then[1]
        seconds = self.counter_s + filled_s
        if seconds <= 0:
            return None
        if not self.counter_s:
            return joules, seconds, "power"
        return joules, seconds, "both" if filled_s > _SMALL * seconds else "counter"

"""What throttling costs now: an estimate from the clocks."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from gputop.insight.rules import Thresholds
from gputop.model.nvml_tables import HARMFUL

FASTEST_STATE = 0
"""A driver that does not tell a P-state's highest clock tells that of the fastest."""
_HARMFUL_BITS = sum(reason.bit for reason in HARMFUL)


class ClockLoss(Struct, frozen=True):
    """The SM clock now and the highest of its P-state, in MHz."""

    now_mhz: float
    highest_mhz: float

    @property
    def share(self) -> float:
        """How much of the speed is gone, 0 to 1, for work that goes with the clock."""
        return 1.0 - self.now_mhz / self.highest_mhz


def clock_loss(
    number: Callable[[str], float | None], thresholds: Thresholds | None = None
) -> ClockLoss | None:
    """The loss of a device whose current values `number` gives; None where nothing holds it back,
    it is not under load, or what is needed was not read.
    """
    busy, mask = number("gpu_utilization"), number("event_reasons")
    clock, highest = number("sm_clock_mhz"), number("sm_clock_state_max_mhz")
    if highest is None and number("performance_state") == FASTEST_STATE:
        highest = number("sm_clock_max_mhz")
    if busy is None or busy < (thresholds or Thresholds()).busy:
        return None
    if not int(mask or 0) & _HARMFUL_BITS:
        return None
    if clock is None or not highest or clock >= highest:
        return None
    return ClockLoss(clock, highest)

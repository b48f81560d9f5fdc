"""What a user says energy and devices cost."""

from __future__ import annotations

from typing import NamedTuple

from gputop.report.shape import Cost, Energy

J_PER_KWH = 3.6e6


class Prices(NamedTuple):
    """From the settings; None for what the user did not say."""

    per_gpu_hour: float | None = None
    per_kwh: float | None = None
    co2_g_per_kwh: float | None = None
    currency: str = ""

    def cost(self, gpu_hours: float | None, energy: Energy | None) -> Cost | None:
        """What that many hours and that much energy cost; None where no price was said."""
        if self[:3] == (None, None, None):
            return None
        kwh = energy.joules / J_PER_KWH if energy else None
        return Cost(
            self.currency, _times(gpu_hours, self.per_gpu_hour), _times(kwh, self.per_kwh),
            _times(kwh, self.co2_g_per_kwh),
        )  # fmt: skip


def _times(amount: float | None, price: float | None) -> float | None:
    return None if amount is None or price is None else amount * price

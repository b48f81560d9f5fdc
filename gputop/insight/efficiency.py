"""What utilisation hides: power as a share of its limit, and activity per watt."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from gputop.insight.verdicts import Basis


class Efficiency(Struct, frozen=True):
    """Derived from one device's current values; None where one of them is missing."""

    power_share: float | None
    """Board power over its limit. A device at 100 % utilisation and a third of its limit has a
    kernel all the time, and little to do in it.
    """
    activity: float | None
    """SM activity where the device counts it, else utilisation; 0 to 1."""
    basis: Basis
    """`measured` for SM activity, `estimated` for utilisation."""
    activity_per_w: float | None
    """Activity over board power, 1/W."""


def efficiency(number: Callable[[str], float | None]) -> Efficiency:
    """The efficiency of a device whose current values `number` answers by their names."""
    power, limit = number("power_w"), number("power_limit_w")
    sm = number("sm_activity")
    activity = number("gpu_utilization") if sm is None else sm
    return Efficiency(
        power_share=power / limit if power is not None and limit else None,
        activity=activity,
        basis="estimated" if sm is None else "measured",
        activity_per_w=activity / power if activity is not None and power else None,
    )

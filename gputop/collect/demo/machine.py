"""The simulated machine, put together."""

from __future__ import annotations

from gputop.collect.backend import Machine
from gputop.collect.demo.clock import DemoClock
from gputop.collect.demo.devices import DemoDevices
from gputop.collect.demo.host import DemoHost
from gputop.collect.demo.people import Crowd
from gputop.collect.demo.stories import places
from gputop.errors import UsageError

MOST_DEVICES = 64


def demo_machine(
    devices: int = 8, seed: int = 0, start_at: float = 0.0, container: str | None = None
) -> Machine:
    """A machine with `devices` simulated H100s, each living through a story of its own.

    Everything it answers is a function of `seed` and of the seconds since its first tick plus
    `start_at`: two machines with the same seed say the same after the same time. It reads no
    clock. `container` names a kind of container for the collector to appear in.

    Raises:
        UsageError: `devices` is not between 1 and 64, or `start_at` is negative.
    """
    if not 1 <= devices <= MOST_DEVICES:
        raise UsageError(
            f"The simulated machine can have 1 to {MOST_DEVICES} devices, not {devices}."
        )
    if not 0.0 <= start_at < 1e7:
        raise UsageError(f"The demo can start at second 0 or later, not at {start_at}.")
    parts = places(devices)
    clock = DemoClock(start_at)
    crowd = Crowd(seed, parts)
    nodes = 1 + max(part.node for part in parts)
    return Machine(
        DemoDevices(seed, parts, crowd, clock),
        DemoHost(seed, nodes, crowd, clock, container),
        simulated=True,
    )

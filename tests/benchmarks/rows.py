"""The rows of the table: which machine, which terminal, which link."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tests.fake_driver import Lines

PROCESS_MEMORY_MB = 61_440
"""What the processes of all devices hold together; it gives each a place of its own when sorted."""


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    name: str
    title: str
    devices: int = 8
    interval_s: float = 1.0
    processes: int = 30
    lines: Mapping[str, str | int | float] = field(default_factory=dict)
    """What the scenario has besides."""
    later: Mapping[str, str | int | float] = field(default_factory=dict)
    """What happens to the machine once the first readings are on the screen."""
    truecolor: bool = False
    tools: tuple[str, ...] = ("gputop", "nvitop")
    warm_up_s: float | None = None
    """Seconds before anything is measured, where the plan's are not enough."""
    runs: int | None = None
    """How often it is measured at most."""
    link_bytes_per_s: float | None = None
    """Set: through SSH, over a link of this speed."""

    def scenario(self, pids: Sequence[int]) -> Lines:
        """The machine, with these processes on it.

        The driver's defaults move with every reading. The processes' memory moves too, and never
        so far that two change places: a key's effect must not be mistaken for a sort's.
        """
        made: Lines = {"count": self.devices, **self.lines}
        share = PROCESS_MEMORY_MB // max(1, self.processes)
        for number, pid in enumerate(pids[: self.processes]):
            low = PROCESS_MEMORY_MB - (number + 1) * share + 10
            device, slot = number % self.devices, number // self.devices
            made[f"device.{device}.process.{slot}"] = (
                f"pid={pid} type=C memory=wave:{low}M:{low + share // 2}M:{20 + number % 17} "
                f"sm=wave:5:60:{10 + number % 13} mem=3"
            )
        return made


ALL = ("gputop", "nvitop", "gpustat")

# fmt: off
ROWS = {row.name: row for row in (
    Row("1", "1 device, 1 s", devices=1, tools=ALL),
    Row("8", "8 devices, 1 s", tools=ALL),
    Row("16", "16 devices, 1 s", devices=16, tools=ALL),
    Row("fast", "8 devices, 0.25 s", interval_s=0.25),
    Row("crowd", "8 devices, 500 processes", processes=500),
    Row("slow", "8 devices, 20 ms per call", lines={"device.*.call.nvml*.delay_ms": 20}),
    Row("hang", "8 devices, one hangs", later={"device.7.call.nvml*.hang": "forever"}),
    Row("truecolor", "8 devices, truecolor", truecolor=True),
    Row("full", "8 devices, charts full", warm_up_s=330.0, runs=1),
    Row("ssh", "8 devices, ssh at 20 kB/s", warm_up_s=60.0, link_bytes_per_s=20_000.0),
)}
# fmt: on
SHORT = ("8",)
"""The rows of the short form."""

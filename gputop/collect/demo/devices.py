"""The simulated GPUs behind the interface of the real ones."""

from __future__ import annotations

from collections.abc import Sequence

from gputop.collect.backend import Answers, Tick
from gputop.collect.demo import inventory
from gputop.collect.demo.clock import DemoClock
from gputop.collect.demo.gpu import Gpu
from gputop.collect.demo.people import Crowd
from gputop.collect.demo.stories import Place
from gputop.model.frame import DeviceReading, DeviceUse, DriverInfo, DriverStatus, Event

MESSAGES: dict[DriverStatus, tuple[str, str]] = {
    "released": ("The driver is released.", "Press x to take it back."),
}
OPENING = "The GPU is being opened."
RELEASED = "The driver is released; take it back to read this GPU."


class DemoDevices:
    """Answers at once, and never touches a driver."""

    def __init__(self, seed: int, parts: Sequence[Place], crowd: Crowd, clock: DemoClock) -> None:
        self._gpus = [Gpu(seed, part, len(parts), crowd, clock) for part in parts]
        self._inventory = [info for gpu in self._gpus for info in gpu.infos]
        self._status: DriverStatus = "starting"
        self._since_s: float | None = None
        self._readings: list[DeviceReading] = []
        self._events: list[Event] = []
        self._silence(OPENING)

    def open(self) -> None:
        """The simulated driver opens at once."""
        self._change("ok")

    def request(self, tick: Tick) -> None:
        """Advance every device to the tick and read what is due."""
        if self._since_s is None:
            self._since_s = tick.boottime_s
        if self._status != "ok":
            return
        self._readings = []
        for gpu in self._gpus:
            self._readings += gpu.read(tick)
            self._events += gpu.events(tick)

    def wait(self, seconds: float) -> None:
        """Every device has answered already."""

    def answers(self) -> Answers:
        """The newest reading of each device; events are handed out once."""
        message, remedy = MESSAGES.get(self._status, ("", ""))
        events, self._events = self._events, []
        uses: dict[int, list[DeviceUse]] = {}
        for gpu in self._gpus:
            for pid, use in gpu.uses:
                uses.setdefault(pid, []).append(use)
        return Answers(
            DriverInfo(
                self._status, self._since_s, None, message, remedy, inventory.DRIVER_VERSION,
                inventory.NVML_VERSION, inventory.CUDA_VERSION,
            ),
            [] if self._status == "starting" else self._inventory,
            [] if self._status == "starting" else self._readings,
            uses,
            events,
            nvml_calls=sum(gpu.calls for gpu in self._gpus),
        )  # fmt: skip

    def release(self) -> None:
        """Readings become pending until `retake`; simulated time goes on."""
        self._change("released")
        self._silence(RELEASED)

    def retake(self) -> None:
        """Read again from the next tick on."""
        self._change("ok")
        self._silence(OPENING)

    def close(self) -> None:
        """There is nothing to let go of."""

    def _change(self, status: DriverStatus) -> None:
        if status != self._status:
            self._status, self._since_s = status, None

    def _silence(self, detail: str) -> None:
        self._readings = []
        for gpu in self._gpus:
            gpu.forget()
            self._readings += gpu.silent("pending", None, detail)

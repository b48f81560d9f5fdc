"""What a device did over the last minute, as the rules of the verdicts ask for it.

Every answer is None where too little was read to say: a gap is never taken for a zero.
"""

from __future__ import annotations

from itertools import compress
from statistics import median

from gputop import text
from gputop.insight.cached import cached_property
from gputop.insight.cpu_use import CpuUse
from gputop.insight.rules import Thresholds
from gputop.insight.verdicts import Evidence
from gputop.model.frame import DeviceUse, Process
from gputop.model.metrics import BY_NAME
from gputop.model.missing import NEEDS_TWO_READINGS, PENDING
from gputop.state.history import NO_CELLS, Cells, Series, Span, Stretch
from gputop.state.store import DeviceState, Store
from gputop.state.throttle import Share

WINDOW_S = 60.0
LEAST_PERIODS = 12
"""The window holds at least so many readings, however rarely they come."""
LEAST_READ = 0.4
"""Share of the expected readings that must be there: a driver that hangs now and then is borne."""
LEAST_SLOW_READINGS = 3
"""The same for the slow tier, which has a rhythm of its own."""
PART, WHOLE = 0.5, 0.95
"""Share of a window that must lie between its first and its last reading: for a mean, and for
what is said of all of it.
"""
LEAST_BUSY_S = 6
"""Busy seconds that a clock under load is taken from."""
SLACK = 0.1
"""A verdict that stands keeps standing until a value is this share of the edge beyond it."""
ROUNDING = 1e-6
"""The history keeps 32-bit numbers: 90 % comes back as a little less, and is at an edge of 90 %."""
LANE_BYTES_PER_S = {1: 0.25e9, 2: 0.5e9, 3: 0.985e9, 4: 1.969e9, 5: 3.938e9, 6: 7.563e9}
"""What a lane carries each way by PCIe generation, after line coding (PCI-SIG's rates)."""
SATURATED = 0.9
"""Utilisation from which there is always a kernel: proposed in the project's NVML notes."""
RANKS_START_S = 120.0
"""The ranks of one job start within so many seconds of each other: chosen."""

FOLLOWED = frozenset({
    "gpu_utilization", "memory_utilization", "power_w", "temperature_c", "sm_clock_mhz",
    "pcie_rx_bytes_per_s", "pcie_tx_bytes_per_s", "sm_activity", "tensor_activity",
    "dram_activity", "fp16_activity", "fp32_activity", "fp64_activity",
})  # fmt: skip
"""The metrics whose past a look may be asked for."""

Holder = tuple[Process, DeviceUse]


def window_s(store: Store) -> float:
    """Seconds that a verdict rests on."""
    return max(WINDOW_S, LEAST_PERIODS * store.period_s)


class Scene:
    """One moment of the store, seen by the rules."""

    def __init__(self, store: Store, thresholds: Thresholds, cpu: CpuUse) -> None:
        self.store, self.thresholds, self.cpu = store, thresholds, cpu
        self.now = store.now
        self.window_s = window_s(store)
        self._looks: dict[str, Look] = {}

    @cached_property
    def holders(self) -> dict[str, list[Holder]]:
        """The processes on each device or MIG instance, by its UUID."""
        found: dict[str, list[Holder]] = {}
        for process in self.store.processes:
            for use in process.uses:
                for uuid in {use.device, use.mig} - {None}:
                    found.setdefault(str(uuid), []).append((process, use))
        return found

    @property
    def sparse(self) -> bool:
        """Whether readings come so rarely that not every second has one."""
        return self.store.period_s > 1.0

    @property
    def window(self) -> str:
        """The length of the window, for a person."""
        return span_text(self.window_s)

    def look(self, device: DeviceState) -> Look:
        """What there is to know of a device."""
        found = self._looks.get(device.uuid)
        if found is None:
            found = self._looks[device.uuid] = Look(self, device)
        return found

    def host_mean(self, name: str) -> float | None:
        """The mean of one of the host's series over the window."""
        found = self.stretch(self.store.host_history.series(name), self.window_s)
        return found.span.mean if found and found.reach_s >= PART * self.window_s else None

    def stretch(self, series: Series | None, seconds: float, slow: bool = False) -> Stretch | None:
        """A series over the last `seconds`; None unless enough of them was read."""
        if series is None:
            return None
        found = series.stretch(self.now - seconds, int(self.now) + 1)
        expected = seconds / max(self.store.period_s, 1.0)
        least = LEAST_SLOW_READINGS if slow else LEAST_READ * expected
        return found if found is not None and found.read >= least else None


class Look:
    """One device over the window."""

    def __init__(self, scene: Scene, device: DeviceState) -> None:
        self.scene, self.device = scene, device
        self.lenient = False
        """True while the rule of the verdict that stands is asked: its edges are wider."""
        self._stretches: dict[tuple[str, float], Stretch | None] = {}

    # --- numbers ---------------------------------------------------------------------------------

    def mean(self, name: str) -> float | None:
        """The mean of a metric over the window."""
        span = self._span(name, self.scene.window_s, PART)
        return span.mean if span else None

    def peak(self, name: str) -> float | None:
        """The highest reading that the window has."""
        span = self._span(name, self.scene.window_s, PART)
        return span.high if span else None

    def high(self, name: str, seconds: float) -> float | None:
        """The highest reading in the last `seconds`, if they were all read."""
        span = self._span(name, seconds, WHOLE)
        return span.high if span else None

    def low(self, name: str) -> float | None:
        """The lowest reading in the window, if it was all read."""
        span = self._span(name, self.scene.window_s, WHOLE)
        return span.low if span else None

    def _span(self, name: str, seconds: float, reach: float) -> Span | None:
        """What the last `seconds` held, if readings reach over so much of them."""
        key = (name, seconds)
        if key not in self._stretches:
            series, slow = self._series(name), BY_NAME[name].tier == "slow"
            self._stretches[key] = self.scene.stretch(series, seconds, slow)
        found = self._stretches[key]
        return found.span if found and found.reach_s >= reach * seconds else None

    def now(self, name: str) -> float | None:
        """A metric's current value."""
        return self.device.number(name)

    @cached_property
    def limit_share(self) -> float | None:
        """Mean power over the power limit."""
        return _ratio(self.mean("power_w"), self.now("power_limit_w"))

    @cached_property
    def memory_share(self) -> float | None:
        """Memory in use over all memory, now."""
        return _ratio(self.now("memory_used_bytes"), self.now("memory_total_bytes"))

    @cached_property
    def link_bytes_per_s(self) -> float | None:
        """What the PCIe link carries each way as it was negotiated."""
        lane = LANE_BYTES_PER_S.get(int(self.now("pcie_generation") or 0))
        lanes = self.now("pcie_width")
        return lane * lanes if lane and lanes else None

    @cached_property
    def link_share(self) -> float | None:
        """The busier direction's mean PCIe throughput over what the link carries."""
        rates = [self.mean(f"pcie_{way}_bytes_per_s") for way in ("rx", "tx")]
        share = _ratio(
            max((r for r in rates if r is not None), default=None), self.link_bytes_per_s
        )
        # More than all: the link was read while it slept, at a lower generation.
        return share if share is not None and share <= 1.0 else None

    def _series(self, name: str) -> Series | None:
        if name not in FOLLOWED:
            raise KeyError(f"{name} is not followed")
        return self.device.history.series(name)

    def seconds(self, name: str) -> Cells:
        """A metric second by second, by seconds since boot; those that were not read lack."""
        series, now = self._series(name), self.scene.now
        if series is None:
            return NO_CELLS
        return series.fine.cells(now - self.scene.window_s, int(now) + 1)

    @cached_property
    def gaps(self) -> tuple[float, int] | None:
        """Share of the window's seconds with an idle moment in them, and how often the device
        went from busy to idle; None where utilisation was hardly read.
        """
        if self.mean("gpu_utilization") is None:
            return None
        edges = self.scene.thresholds
        seconds = self.seconds("gpu_utilization")
        if min(seconds.lows) >= edges.idle:
            return 0.0, 0  # the common case
        falls = idle = 0
        was_busy, before, sparse = False, None, self.scene.sparse
        for number, low, high in zip(seconds.numbers, seconds.lows, seconds.highs, strict=True):
            if number - 1 != before and not sparse:
                was_busy = False  # what happened in between is not known
            before = number
            is_idle, is_busy = low < edges.idle, high >= edges.busy
            idle += is_idle
            falls += is_idle and (was_busy or is_busy)
            was_busy = not is_idle and (is_busy or was_busy)
        return idle / len(seconds.numbers), falls

    @cached_property
    def busy_clock(self) -> float | None:
        """Mean SM clock of the seconds in which the device was busy, in MHz."""
        edge = self.scene.thresholds.busy
        clocks, use = self.seconds("sm_clock_mhz"), self.seconds("gpu_utilization")
        is_busy = [mean >= edge for mean in use.means]
        if clocks.numbers == use.numbers:
            busy = list(compress(clocks.means, is_busy))
        else:
            of = dict(zip(clocks.numbers, clocks.means, strict=True))
            busy = [of[number] for number in compress(use.numbers, is_busy) if number in of]
        return sum(busy) / len(busy) if len(busy) >= LEAST_BUSY_S else None

    @cached_property
    def shares(self) -> dict[str, Share]:
        """How long each harmful reason held the device back, in as much of the window as was
        read.
        """
        found = self.device.throttle.shares(self.scene.now, self.scene.window_s)
        return {share.reason.key: share for share in found}

    # --- who is there ----------------------------------------------------------------------------

    @cached_property
    def holders(self) -> list[Holder] | None:
        """The processes on it; None where the list was not read."""
        if self.device.reading.read_at.processes is None:
            return None
        return self.scene.holders.get(self.device.uuid, [])

    @cached_property
    def main(self) -> Process | None:
        """The process that holds most memory on it; None where that is not known."""
        most = max(self.holders or (), key=lambda one: one[1].memory_bytes or 0, default=None)
        return most[0] if most and most[1].memory_bytes else None

    @cached_property
    def peers(self) -> list[Look]:
        """The other devices of the same model that run its job and are busy: those on which the
        process that holds most here runs too, or one of its name and user that began with it.
        """
        main = self.main
        if main is None:
            return []
        found = []
        for device in self.scene.store.devices:
            if device is self.device or device.info.name != self.device.info.name:
                continue
            other = self.scene.look(device)
            its = other.main if device.reading.status == "ok" else None
            if its is not None and _same_job(main, its) and other.busy:
                found.append(other)
        return found

    @cached_property
    def peer_clock(self) -> float | None:
        """The peers' median SM clock under load, in MHz."""
        clocks = [peer.busy_clock for peer in self.peers if peer.busy_clock is not None]
        return median(clocks) if clocks else None

    @property
    def busy(self) -> bool:
        """Whether it was under load on the whole."""
        mean = self.mean("gpu_utilization")
        return mean is not None and mean >= self.scene.thresholds.busy

    @property
    def counts_activity(self) -> bool:
        """Whether the device has GPM: then nothing is estimated of its kernels."""
        if self.device.history.series("sm_activity") is not None:
            return True
        return self.device.value("sm_activity").reason in (PENDING, NEEDS_TWO_READINGS)

    @property
    def saturated(self) -> bool:
        """Whether there was always a kernel (P)."""
        return self.above(self.mean("gpu_utilization"), SATURATED)

    @property
    def idle(self) -> float:
        """Utilisation below which a device is idle."""
        return self.scene.thresholds.idle

    # --- edges and words -------------------------------------------------------------------------

    def above(self, number: float | None, edge: float) -> bool:
        """Whether a number is known and at or above an edge."""
        return number is not None and number >= edge * (1 - self._slack) - ROUNDING

    def below(self, number: float | None, edge: float) -> bool:
        """Whether a number is known and below an edge."""
        return number is not None and number < edge * (1 + self._slack) - ROUNDING

    @property
    def _slack(self) -> float:
        return SLACK if self.lenient else 0.0

    def readings(self, *names: str) -> tuple[Evidence, ...]:
        """The means of metrics over the window, those that are known."""
        means = ((BY_NAME[name], self.mean(name)) for name in names)
        return tuple(
            Evidence(metric.label, text.value(metric, mean), self.scene.window)
            for metric, mean in means
            if mean is not None
        )

    def power(self) -> tuple[Evidence, ...]:
        """Mean power with the limit, where it is known."""
        mean, limit = self.mean("power_w"), self.now("power_limit_w")
        if mean is None:
            return ()
        return (Evidence("Power", text.watts_pair(mean, limit), self.scene.window),)

    def said(self, label: str, value: str, window: str | None = None) -> Evidence:
        """One reading over the window."""
        return Evidence(label, value, window or self.scene.window)


def span_text(seconds: float) -> str:
    """A window's length for a person: ``60 s``, ``5 min``."""
    return f"{seconds:.0f} s" if seconds < 120 or seconds % 60 else f"{seconds / 60:.0f} min"


def _ratio(part: float | None, whole: float | None) -> float | None:
    return part / whole if part is not None and whole else None


def _same_job(one: Process, other: Process) -> bool:
    if one.pid == other.pid and one.start_ticks == other.start_ticks:
        return True
    if None in (one.name, one.user) or (one.name, one.user) != (other.name, other.user):
        return False
    began, its = one.started_utc_s, other.started_utc_s
    return began is not None and its is not None and abs(began - its) <= RANKS_START_S

"""Everything that is added up of one device."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import attrgetter

from gputop.insight.verdicts import Verdict
from gputop.model.frame import DeviceInfo, DeviceReading, SampleSpan
from gputop.model.metrics import BY_NAME, Metric, Tier
from gputop.report.energy import EnergyMeter
from gputop.report.holders import Holders
from gputop.report.series import Series, Window, patience
from gputop.report.shape import (
    Chart,
    DeviceReport,
    Energy,
    Evidence,
    HeldBack,
    Statistic,
    VerdictShare,
)
from gputop.report.stretches import Stretches
from gputop.report.weights import RESOLUTIONS
from gputop.state.store import DeviceState
from gputop.text import clean

REPORTED: tuple[Metric, ...] = tuple(
    BY_NAME[name]
    for name in (
        "gpu_utilization", "memory_used_bytes", "power_w", "temperature_c", "sm_clock_mhz",
        "memory_clock_mhz", "memory_temperature_c", "memory_utilization", "sm_activity",
        "tensor_activity", "dram_activity",
    )
)  # fmt: skip
"""What a report has statistics of."""
CHARTED = ("gpu_utilization", "memory_used_bytes", "power_w", "temperature_c", "sm_clock_mhz")

_POWER = "power_w"
_MOST_WAITING = 128
_VALUES = attrgetter(*(metric.name for metric in REPORTED))
_SPANS_OF = {"power_instant_w": "power_w"}
"""The driver buffers power of the moment, which is what the averaged reading averages."""
STARVED = "starved"
"""Key of the verdict that says the input cannot keep up."""


def _of_span(span: SampleSpan) -> str:
    return _SPANS_OF.get(span.metric, span.metric)


class _Batch:
    """Readings of one device that answered, in their order and of one rhythm."""

    def __init__(self, readings: list[DeviceReading], interval_s: float, window: Window) -> None:
        self._readings, self._interval_s, self._window = readings, interval_s, window
        self._times: dict[Tier, list[float | None]] = {}
        self._stretches: dict[tuple[Tier, float | None], Stretches] = {}

    def columns(self) -> Iterable[tuple[float | None, ...]]:
        """The values of each metric in a report."""
        return zip(*map(_VALUES, self._readings), strict=True)

    def add_to(self, series: Series, tier: Tier, values: Sequence[float | None]) -> None:
        """Add the values of one quantity, one of each reading."""
        times = self._times.get(tier)
        if times is None:
            times = self._times[tier] = [getattr(r.read_at, tier) for r in self._readings]
        whole = [value for value in values if value is not None]
        if len(whole) == len(values) and None not in times:
            self._stretches_of(series, tier).add_to(series, whole)
        elif not whole:
            series.lapse()
        else:
            self._one_by_one(series, tier, zip(times, values, strict=True))

    def _stretches_of(self, series: Series, tier: Tier) -> Stretches:
        key = tier, series.until
        found = self._stretches.get(key)
        if found is None:
            times = [at for at in self._times[tier] if at is not None]
            longest = patience(tier, self._interval_s)
            found = self._stretches[key] = Stretches(times, series.until, longest, self._window)
        return found

    def _one_by_one(
        self, series: Series, tier: Tier, read: Iterable[tuple[float | None, float | None]]
    ) -> None:
        longest = patience(tier, self._interval_s)
        for at, value in read:
            if at is None or value is None:
                series.lapse()
            else:
                series.read(at, value, longest, self._window)


class DeviceAccount:
    """One device or MIG instance."""

    def __init__(self, info: DeviceInfo, begin: float) -> None:
        self.info = info
        self._series = {
            m.name: Series(RESOLUTIONS[m.unit], begin, m.name in CHARTED) for m in REPORTED
        }
        self._energy = EnergyMeter()
        self.holders = Holders()
        self._answered = Series(1.0, begin, charted=False)
        """Whether it answered: its covered time is the device's."""
        self.memory_total: int | None = None
        self.power_limit: float | None = None
        self._verdicts: dict[str, dict[str, tuple[Verdict, float]]] = {}
        """By key and by advice: what is advised depends on the cause, and that may change."""
        self._judged_s = 0.0
        self._waiting: list[DeviceReading] = []
        self._rhythm: tuple[float, Window] = 0.0, Window(begin)
        """Interval and window of the readings that wait."""

    @property
    def series(self) -> dict[str, Series]:
        """What was read so far, by the metric's name."""
        self._settle()
        return self._series

    @property
    def energy(self) -> EnergyMeter:
        """The energy so far."""
        self._settle()
        return self._energy

    def update(self, reading: DeviceReading, interval_s: float, window: Window) -> None:
        """Take a reading. It waits: many are added up together in less time than one by one."""
        if reading.status != "ok" or reading.read_at.fast is None:
            self.lapse()
            return
        if self._rhythm != (interval_s, window):
            self._settle()
            self._rhythm = interval_s, window
        self.memory_total = reading.memory_total_bytes or self.memory_total
        self.power_limit = reading.power_limit_w or self.power_limit
        self._waiting.append(reading)
        if len(self._waiting) >= _MOST_WAITING:
            self._settle()

    def _settle(self) -> None:
        """Add up the readings that wait."""
        if not self._waiting:
            return
        readings, self._waiting = self._waiting, []
        # Power goes with the energy counter, and what has buffered samples with those: in order.
        ordered = {_POWER, *(_of_span(span) for r in readings for span in r.samples)}
        followed = [metric for metric in REPORTED if metric.name in ordered]
        for reading in readings:
            self._add_in_order(reading, followed)
        batch = _Batch(readings, *self._rhythm)
        for metric, values in zip(REPORTED, batch.columns(), strict=True):
            if metric.name not in ordered:
                batch.add_to(self._series[metric.name], metric.tier, values)
        batch.add_to(self._answered, "fast", [1.0] * len(readings))

    def _add_in_order(self, reading: DeviceReading, followed: list[Metric]) -> None:
        interval_s, window = self._rhythm
        for span in reading.samples:
            name = _of_span(span)
            if name in self._series:
                power = self._series[name].read_span(span, window)
                if name == _POWER:
                    self._add_power(power)
        for metric in followed:
            name, tier = metric.name, metric.tier
            at: float | None = getattr(reading.read_at, tier)
            value: float | None = getattr(reading, name)
            if at is None or value is None:
                self._series[name].lapse()
                continue
            power = self._series[name].read(at, value, patience(tier, interval_s), window)
            if name == _POWER:
                self._add_power(power)
        at = reading.read_at.medium
        if reading.energy_j is None or at is None:
            self._energy.lapse()
        else:
            self._energy.read_counter(at, reading.energy_j, window)

    def _add_power(self, joules: float) -> None:
        covered = self._series[_POWER].weighted.covered_s
        self._energy.add_power(joules, covered - self._energy.power_s)

    def lapse(self) -> None:
        """Nothing is known of it now."""
        self._settle()
        for series in (*self._series.values(), self._answered):
            series.lapse()
        self._energy.lapse()

    def judge(self, verdict: Verdict | None, seconds: float) -> None:
        """A verdict stood for so long; None is time in which nothing could be said."""
        if verdict is None:
            return
        self._judged_s += seconds
        of_key = self._verdicts.setdefault(verdict.key, {})
        _, before = of_key.get(verdict.advice, (verdict, 0.0))
        of_key[verdict.advice] = (verdict, before + seconds)

    # -- what it adds up to -------------------------------------------------------------------

    def report(
        self, state: DeviceState | None, parent: DeviceInfo | None, used: bool,
        duration_s: float | None, idle: float, with_job: bool,
    ) -> DeviceReport:  # fmt: skip
        """The device in a report; below `idle` utilisation it counts as idle."""
        self._settle()
        utilization = self.series["gpu_utilization"].weighted
        known = utilization.covered_s > 0
        covered = self._answered.weighted.covered_s
        return DeviceReport(
            uuid=clean(self.info.uuid), index=self.info.index, name=clean(self.info.name, 60),
            parent=self.info.parent and clean(self.info.parent),
            parent_index=parent.index if parent else None, used=used, covered_s=covered,
            coverage=min(covered / duration_s, 1.0) if duration_s else None,
            memory_total_bytes=self.memory_total, power_limit_w=self.power_limit,
            statistics={
                name: statistic(series)
                for name, series in self.series.items()
                if series.weighted.maximum is not None
            },
            charts={
                name: chart(self.series[name], BY_NAME[name], self._full(BY_NAME[name]))
                for name in CHARTED
                if self.series[name].weighted.covered_s
            },
            utilization_tenths_s=utilization.tenths() if known else None,
            active_s=utilization.integral if known else None,
            idle_share=utilization.seconds_below(idle) / utilization.covered_s if known else None,
            starved_share=self._starved(),
            energy=self._energy_report(),
            held_back=held_back(state) if state else [],
            held_back_read_s=state.throttle.session_read_s if state else 0.0,
            verdicts=self._shares(),
            holders=self.holders.report(self.memory_total, with_job),
        )  # fmt: skip

    def _full(self, metric: Metric) -> float | None:
        if isinstance(metric.full, float | int):
            return float(metric.full)
        limits = {
            "memory_total_bytes": self.memory_total, "power_limit_w": self.power_limit,
            "temperature_slowdown_c": self.info.temperature_slowdown_c,
            "sm_clock_max_mhz": self.info.sm_clock_max_mhz,
        }  # fmt: skip
        return limits.get(metric.full or "") or metric.fallback_full

    def _starved(self) -> float | None:
        if not self._judged_s:
            return None
        return sum(s for _, s in self._verdicts.get(STARVED, {}).values()) / self._judged_s

    def _shares(self) -> list[VerdictShare]:
        found = []
        for of_key in self._verdicts.values():
            seconds = sum(seconds for _, seconds in of_key.values())
            verdict, _ = max(of_key.values(), key=lambda told: told[1])
            if seconds:
                found.append(VerdictShare(
                    verdict.key, verdict.title, seconds / self._judged_s, seconds, verdict.basis,
                    verdict.sentence, verdict.advice,
                    [Evidence(e.label, e.value, e.window) for e in verdict.evidence],
                ))  # fmt: skip
        return sorted(found, key=lambda share: -share.seconds)

    def _energy_report(self) -> Energy | None:
        total, meter = self.energy.total(), self.energy
        if total is None:
            return None
        joules, seconds, basis = total
        return Energy(
            joules, seconds, joules / seconds, basis,
            meter.counter_j if meter.counter_s else None, meter.counter_s,
            meter.power_j if meter.power_s else None, meter.power_s,
        )  # fmt: skip


def statistic(series: Series) -> Statistic:
    """A series in numbers."""
    weighted = series.weighted
    return Statistic(
        weighted.covered_s, weighted.mean, weighted.quantile(0.5), weighted.quantile(0.95),
        weighted.minimum, weighted.maximum,
    )  # fmt: skip


def chart(series: Series, metric: Metric | None, full: float | None) -> Chart:
    """A series in columns, summed up as its metric is."""
    peak = metric is not None and metric.aggregate == "peak"
    columns = series.columns
    assert columns is not None
    values = columns.highs() if peak else columns.means()
    return Chart(columns.width_s, "peak" if peak else "mean", values, full)


_ROLLED_UP = {"hw_thermal", "power_brake"}
"""What the bit of the hardware slowdown rolls up: they say it better."""


def held_back(state: DeviceState) -> list[HeldBack]:
    """Why the clocks were lowered, since the first reading."""
    shares = state.throttle.session()
    if any(share.reason.key in _ROLLED_UP for share in shares):
        shares = [share for share in shares if share.reason.key != "hw_slowdown"]
    return [
        HeldBack(
            share.reason.key, share.reason.label, share.reason.severity, share.share,
            share.covered_s, share.basis, share.reason.advice,
        )
        for share in shares
    ]  # fmt: skip

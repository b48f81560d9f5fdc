"""Everything that is added up of one device."""

from __future__ import annotations

from gputop.insight.verdicts import Verdict
from gputop.model.frame import DeviceInfo, DeviceReading
from gputop.model.metrics import BY_NAME, Metric
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

_SPANS_OF = {"power_instant_w": "power_w"}
"""The driver buffers power of the moment, which is what the averaged reading averages."""
STARVED = "starved"
"""Key of the verdict that says the input cannot keep up."""


class DeviceAccount:
    """One device or MIG instance."""

    def __init__(self, info: DeviceInfo, begin: float) -> None:
        self.info = info
        self.series = {m.name: Series(RESOLUTIONS[m.unit], begin) for m in REPORTED}
        self._followed = [(m.name, m.tier, self.series[m.name]) for m in REPORTED]
        self.energy = EnergyMeter()
        self.holders = Holders()
        self.answered = Series(1.0, begin)
        """Whether it answered: its covered time is the device's."""
        self.memory_total: int | None = None
        self.power_limit: float | None = None
        self._verdicts: dict[str, dict[str, tuple[Verdict, float]]] = {}
        """By key and by advice: what is advised depends on the cause, and that may change."""
        self._judged_s = 0.0

    def update(self, reading: DeviceReading, interval_s: float, window: Window) -> None:
        """Take a reading."""
        times = reading.read_at
        if reading.status != "ok" or times.fast is None:
            self.lapse()
            return
        self.memory_total = reading.memory_total_bytes or self.memory_total
        self.power_limit = reading.power_limit_w or self.power_limit
        for span in reading.samples:
            name = _SPANS_OF.get(span.metric, span.metric)
            if name in self.series:
                power = self.series[name].read_span(span, window)
                if name == "power_w":
                    self._add_power(power)
        for name, tier, series in self._followed:
            at: float | None = getattr(times, tier)
            value: float | None = getattr(reading, name)
            if at is None or value is None:
                series.lapse()
                continue
            power = series.read(at, value, patience(tier, interval_s), window)
            if name == "power_w":
                self._add_power(power)
        self.answered.read(times.fast, 1.0, patience("fast", interval_s), window)
        if reading.energy_j is None or times.medium is None:
            self.energy.lapse()
        else:
            self.energy.read_counter(times.medium, reading.energy_j, window)

    def _add_power(self, joules: float) -> None:
        covered = self.series["power_w"].weighted.covered_s
        self.energy.add_power(joules, covered - self.energy.power_s)

    def lapse(self) -> None:
        """Nothing is known of it now."""
        for series in (*self.series.values(), self.answered):
            series.lapse()
        self.energy.lapse()

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
        utilization = self.series["gpu_utilization"].weighted
        known = utilization.covered_s > 0
        covered = self.answered.weighted.covered_s
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
            energy=self._energy(),
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

    def _energy(self) -> Energy | None:
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

"""What the screen shows of the state at one moment: taken once a tick, and held while paused."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec import Struct, field, structs
from msgspec.structs import replace

from gputop.insight.alert_log import AlertLog
from gputop.insight.alerts import Alert, severity_rank
from gputop.insight.efficiency import Efficiency, efficiency
from gputop.insight.verdict_book import VerdictBook
from gputop.insight.verdicts import Verdict, Verdicts
from gputop.model.frame import (
    DeviceInfo,
    DeviceReading,
    DriverInfo,
    Frame,
    Hello,
    HostInfo,
    HostReading,
    Process,
)
from gputop.model.metrics import BY_NAME, METRICS, Metric
from gputop.model.nvml_tables import EventReason, Severity
from gputop.state.history import History
from gputop.state.last_good import Value
from gputop.state.store import DeviceState, Store
from gputop.state.throttle import Share, Throttling

MINUTE_S = 60.0

CHARTS: tuple[Metric, ...] = tuple(
    BY_NAME[name] for name in ("gpu_utilization", "memory_used_bytes", "power_w", "temperature_c")
)
"""What a pane draws, top to bottom."""

_SHOWN = (
    *(metric.name for metric in CHARTS), "memory_total_bytes", "memory_utilization",
    "power_limit_w", "power_instant_w", "temperature_slowdown_c", "temperature_max_operating_c",
    "memory_temperature_c", "sm_clock_mhz", "sm_clock_max_mhz", "performance_state",
    "event_reasons", "fan_speed", "sm_activity", "tensor_activity", "dram_activity",
    "pcie_rx_bytes_per_s", "pcie_tx_bytes_per_s", "mig_mode",
)  # fmt: skip


_EVERY = tuple(metric.name for metric in METRICS)


class DeviceView(Struct, frozen=True):
    """One device, as it is drawn."""

    info: DeviceInfo
    reading: DeviceReading
    values: dict[str, Value]
    history: History
    alerts: tuple[Alert, ...]
    shares: tuple[Share, ...]
    """Throttling over the last minute, worst first."""
    users: tuple[str, ...]
    processes: int
    verdict: Verdict | None = None
    """What limits it; None where too little is known, or nothing clear."""
    no_verdict: str = ""
    """Why there is no verdict, in one sentence."""
    instances: tuple[DeviceView, ...] = ()
    stale_s: float | None = None
    """Age of its newest fast reading, where that is older than it should be."""

    worst: Callable[[float, float], tuple[EventReason, float] | None] = field(
        default=lambda start_s, end_s: None
    )
    """What held it back most between two moments (CLOCK_BOOTTIME), and for what share of them."""
    throttling: Callable[[], Throttling] = Throttling
    """What held it back, by windows: as it is now, or as it was in a frozen view."""
    live: Callable[[str], Value] = field(default=lambda name: Value(reason="pending"))
    """Any other value, as it is now: a frozen view has them all."""

    def value(self, name: str) -> Value:
        """A metric's value."""
        return self.values[name] if name in self.values else self.live(name)

    def number(self, name: str) -> float | None:
        """A value if it is current."""
        value = self.value(name)
        return value.value if value.reason is None else None

    @property
    def efficiency(self) -> Efficiency:
        """What its utilisation hides."""
        return efficiency(self.number)

    @property
    def severity(self) -> Severity | None:
        """The worst severity of its warnings."""
        return self.alerts[0].severity if self.alerts else None

    @property
    def ok(self) -> bool:
        """True when its newest reading is current."""
        return self.reading.status == "ok" and self.stale_s is None

    def full(self, metric: Metric) -> float | None:
        """What a full chart of the metric stands for on this device."""
        if isinstance(metric.full, str):
            value = self.values[metric.full].value if metric.full in self.values else None
            return value or metric.fallback_full
        return metric.full


class View(Struct, frozen=True):
    """The whole screen's data at one moment."""

    now: float = 0.0
    utc_s: float = 0.0
    period_s: float = 1.0
    hello: Hello | None = None
    """The hello in force; None before the first."""
    host: HostReading = field(default_factory=HostReading)
    host_history: History = field(default_factory=History)
    driver: DriverInfo = field(default_factory=DriverInfo)
    devices: tuple[DeviceView, ...] = ()
    processes: Sequence[Process] = ()
    alerts: tuple[Alert, ...] = ()
    """Every warning: those that last, worst first, then those that have been, newest first."""
    criticals: int = 0
    warnings: int = 0
    simulated: bool = False
    frame: Frame | None = None
    """The frame it was taken from; None before the first."""

    @property
    def host_info(self) -> HostInfo | None:
        """What does not change of the host."""
        return self.hello.host if self.hello else None

    @property
    def verdicts(self) -> Verdicts:
        """The verdicts there are, by UUID, those on MIG instances among them."""
        return {d.info.uuid: d.verdict for d in self._every if d.verdict is not None}

    @property
    def shown(self) -> tuple[Hello, Frame] | None:
        """The hello and the frame with every device that is shown, so that a file leaves out none:
        while the driver is away, or no longer lists a device, the records do not name it. None
        before the first frame.
        """
        if self.hello is None or self.frame is None:
            return None
        return (
            structs.replace(self.hello, devices=[part.info for part in self._every]),
            structs.replace(self.frame, devices=[part.reading for part in self._every]),
        )

    @property
    def _every(self) -> list[DeviceView]:
        """The devices, and behind each the MIG instances on it."""
        return [part for device in self.devices for part in (device, *device.instances)]

    @property
    def ready(self) -> bool:
        """False until the first frame."""
        return self.frame is not None


def take(store: Store, log: AlertLog, verdicts: VerdictBook, frozen: bool = False) -> View:
    """The view of the store as it is now; `frozen` when it must stay so while time goes on."""
    alerts = (*log.active, *log.history)
    if frozen:
        alerts = tuple(replace(alert) for alert in alerts)
    by_device: dict[str, list[Alert]] = {}
    for alert in alerts:
        if not alert.active:
            break
        if alert.device is not None:
            by_device.setdefault(alert.device, []).append(alert)
    users = _users(store.processes)
    frame = store.frame
    return View(
        now=store.now,
        utc_s=frame.utc_s if frame else 0.0,
        period_s=store.period_s,
        hello=store.hello,
        alerts=alerts,
        host=store.host,
        host_history=store.host_history,
        driver=store.driver,
        devices=tuple(
            _device(device, store, by_device, verdicts, users, _EVERY if frozen else _SHOWN)
            for device in store.devices
        ),
        processes=store.processes,
        criticals=log.count("critical"),
        warnings=log.count("warning"),
        simulated=store.simulated,
        frame=frame,
    )


def _users(processes: Sequence[Process]) -> dict[str, list[Process]]:
    """The processes on each device, by its UUID."""
    found: dict[str, list[Process]] = {}
    for process in processes:
        for uuid in {u for use in process.uses for u in (use.device, use.mig) if u}:
            found.setdefault(uuid, []).append(process)
    return found


def _device(
    state: DeviceState,
    store: Store,
    alerts: dict[str, list[Alert]],
    verdicts: VerdictBook,
    users: dict[str, list[Process]],
    names: tuple[str, ...],
) -> DeviceView:
    processes = users.get(state.uuid, [])
    instances = tuple(
        _device(i, store, alerts, verdicts, users, names) for i in store.instances(state.uuid)
    )
    own = [*alerts.get(state.uuid, ()), *(alert for i in instances for alert in i.alerts)]
    return DeviceView(
        info=state.info,
        reading=state.reading,
        values={name: state.value(name) for name in names},
        history=state.history,
        alerts=tuple(sorted(own, key=lambda alert: severity_rank(alert.severity))),
        shares=tuple(state.throttle.shares(store.now, MINUTE_S)),
        users=tuple(dict.fromkeys(p.user for p in processes if p.user)),
        processes=len(processes),
        verdict=verdicts.of(state.uuid),
        no_verdict=verdicts.silence(state.uuid),
        instances=instances,
        throttling=_throttling(state, store.now, frozen=names is _EVERY),
        live=state.value,
        worst=state.throttle.worst,
        stale_s=state.late_s,
    )


def _throttling(state: DeviceState, now: float, frozen: bool) -> Callable[[], Throttling]:
    """Sums up when it is asked, save for a view that must stay as it is."""
    if not frozen:
        return lambda: state.throttle.windows(now)
    kept = state.throttle.windows(now)
    return lambda: kept

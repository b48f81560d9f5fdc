"""What the screen shows of the state at one moment: taken once a tick, and held while paused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from gputop.insight.alert_log import AlertLog
from gputop.insight.alerts import Alert
from gputop.model.frame import (
    DeviceInfo,
    DeviceReading,
    DriverInfo,
    Frame,
    HostInfo,
    HostReading,
    Process,
)
from gputop.model.metrics import BY_NAME, Metric
from gputop.model.nvml_tables import Severity
from gputop.state.history import History
from gputop.state.last_good import Value
from gputop.state.store import DeviceState, Store
from gputop.state.throttle import Share

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


@dataclass(frozen=True, slots=True)
class DeviceView:
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
    instances: tuple[DeviceView, ...] = ()
    stale_s: float | None = None
    """Age of its newest fast reading, where that is older than it should be."""

    def value(self, name: str) -> Value:
        """One of the values a pane shows."""
        return self.values[name]

    def number(self, name: str) -> float | None:
        """A value if it is current."""
        value = self.values[name]
        return value.value if value.reason is None else None

    @property
    def severity(self) -> Severity | None:
        """The worst severity of its warnings."""
        return self.alerts[0].severity if self.alerts else None

    @property
    def ok(self) -> bool:
        """True when its newest reading is current."""
        return self.reading.status == "ok"

    def full(self, metric: Metric) -> float | None:
        """What a full chart of the metric stands for on this device."""
        if isinstance(metric.full, str):
            value = self.values[metric.full].value if metric.full in self.values else None
            return value or metric.fallback_full
        return metric.full


@dataclass(frozen=True, slots=True)
class View:
    """The whole screen's data at one moment."""

    now: float = 0.0
    utc_s: float = 0.0
    period_s: float = 1.0
    host_info: HostInfo | None = None
    host: HostReading = field(default_factory=HostReading)
    host_history: History = field(default_factory=History)
    driver: DriverInfo = field(default_factory=DriverInfo)
    devices: tuple[DeviceView, ...] = ()
    processes: Sequence[Process] = ()
    criticals: int = 0
    warnings: int = 0
    simulated: bool = False
    frame: Frame | None = None
    """The frame it was taken from; None before the first."""

    @property
    def ready(self) -> bool:
        """False until the first frame."""
        return self.frame is not None


def take(store: Store, alerts: AlertLog) -> View:
    """The view of the store as it is now."""
    by_device: dict[str, list[Alert]] = {}
    for alert in alerts.active:
        if alert.device is not None:
            by_device.setdefault(alert.device, []).append(alert)
    users = _users(store.processes)
    frame = store.frame
    return View(
        now=store.now,
        utc_s=frame.utc_s if frame else 0.0,
        period_s=store.period_s,
        host_info=store.hello.host if store.hello else None,
        host=store.host,
        host_history=store.host_history,
        driver=store.driver,
        devices=tuple(
            _device(device, store, by_device.get(device.uuid, []), users)
            for device in store.devices
        ),
        processes=store.processes,
        criticals=alerts.count("critical"),
        warnings=alerts.count("warning"),
        simulated=store.simulated,
        frame=frame,
    )


def _users(processes: Sequence[Process]) -> dict[str, list[Process]]:
    """The processes on each device, by its UUID."""
    found: dict[str, list[Process]] = {}
    for process in processes:
        for uuid in {use.device for use in process.uses}:
            found.setdefault(uuid, []).append(process)
    return found


def _device(
    state: DeviceState, store: Store, alerts: list[Alert], users: dict[str, list[Process]]
) -> DeviceView:
    processes = users.get(state.uuid, [])
    read_at = state.reading.read_at.fast
    age = store.now - read_at if read_at is not None else None
    return DeviceView(
        info=state.info,
        reading=state.reading,
        values={name: state.value(name) for name in _SHOWN},
        history=state.history,
        alerts=tuple(alerts),
        shares=tuple(state.throttle.shares(store.now, MINUTE_S)),
        users=tuple(dict.fromkeys(p.user for p in processes if p.user)),
        processes=len(processes),
        instances=tuple(_device(i, store, [], users) for i in store.instances(state.uuid)),
        stale_s=age if age is not None and age > 2 * store.period_s + 1 else None,
    )

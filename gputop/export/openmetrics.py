"""A snapshot as OpenMetrics 1.0 text, which Prometheus and its textfile collector read.

Names follow OpenTelemetry's ``hw.*`` and ``system.*`` conventions in Prometheus spelling; those
of device metrics come from the metric table. A value that is not there has no sample: it is never
0. What only describes (``hw_gpu_info``) is a gauge of 1, since the textfile collector knows no
type ``info``. Samples carry no timestamps, since that collector refuses them and the
specification advises against them; ``gputop_reading_timestamp_seconds`` and
``hw_gpu_read_timestamp_seconds`` say when the values were read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal, get_args

import msgspec
from msgspec import Struct, field

from gputop.export.devices import Device, devices
from gputop.model.frame import DeviceStatus, DriverStatus, Frame, Hello, HostReading, Process
from gputop.model.metrics import METRICS, Metric
from gputop.model.nvml_tables import EVENT_REASONS
from gputop.text import clean

_UNITS = (
    "bytes_per_second", "bytes", "ratio", "watts", "celsius", "hertz", "joules", "seconds",
    "lanes", "cores",
)  # fmt: skip
"""Endings of a family's name that are its unit, longest first where one ends in another."""

Labels = Mapping[str, str | int | None]


class _Family(Struct):
    kind: Literal["gauge", "counter"]
    help: str
    """Without quotes and backslashes: OpenMetrics and the older format escape them differently."""
    samples: dict[str, float] = field(default_factory=dict)
    """From a sample's name and labels to its value: a label set stands once, as it must."""


class _Page:
    """Families in the order of their first sample, each written once."""

    def __init__(self) -> None:
        self._families: dict[str, _Family] = {}

    def add(
        self,
        name: str,
        meaning: str,
        number: float | None,
        labels: Labels,
        kind: Literal["gauge", "counter"] = "gauge",
    ) -> None:
        """Add a sample unless its value is not there. `name` is the sample's, with its suffix.

        One negative counter, out of a broken recording, would make readers refuse the whole page.
        """
        if number is None or (kind == "counter" and number < 0):
            return
        family = name.removesuffix("_total") if kind == "counter" else name
        entry = self._families.setdefault(family, _Family(kind, meaning))
        entry.samples.setdefault(name + _labels(labels), number)

    def render(self) -> str:
        """The page, with ``# EOF`` at its end."""
        lines = [line for name in self._families for line in self._lines(name)]
        return "\n".join([*lines, "# EOF", ""])

    def _lines(self, name: str) -> Iterator[str]:
        family = self._families[name]
        yield f"# TYPE {name} {family.kind}"
        unit = next((unit for unit in _UNITS if name.endswith(f"_{unit}")), None)
        if unit:
            yield f"# UNIT {name} {unit}"
        yield f"# HELP {name} {family.help}"
        for sample, number in family.samples.items():
            yield f"{sample} {_number(number)}"


def _escape(text: str) -> str:
    """Text made safe, with backslash and quote escaped; `clean` leaves no line feed to escape."""
    return clean(text, drawn=False).replace("\\", "\\\\").replace('"', '\\"')


def _labels(labels: Labels) -> str:
    """Labels as written; one without a value is left out, which means the same."""
    pairs = [
        f'{name}="{_escape(str(value))}"'
        for name, value in labels.items()
        if value is not None and value != ""
    ]
    return "{" + ",".join(pairs) + "}" if pairs else ""


def _number(number: float) -> str:
    return str(int(number)) if isinstance(number, int) else repr(number)


# --- Devices ------------------------------------------------------------------------------------


def _device_labels(device: Device) -> Labels:
    info = device.info
    return {
        "hw_id": info.uuid,
        "hw_name": info.name,
        "hw_index": info.index,
        "hw_parent": info.parent,
        "hw_bus_id": info.bus_id,
    }


_FAMILY_HELP = {
    "hw_gpu_utilization_ratio": "Share of time in which the engine named by task worked.",
    "hw_gpu_activity_ratio": "Share of cycles in which the unit was busy.",
    "hw_gpu_memory_usage_bytes": "Device memory by what holds it.",
    "hw_gpu_clock_hertz": "Current clock of each domain.",
    "hw_gpu_clock_limit_hertz": "Highest clock of each domain.",
    "hw_temperature_celsius": "Temperature of each location.",
    "hw_temperature_limit_celsius": "Temperature limits of each location.",
    "hw_power_limit_watts": "Power limits by kind.",
    "hw_gpu_throttle_seconds_total": "Time the clocks were held back, since the driver's load.",
    "hw_gpu_io_rate_bytes_per_second": "Traffic of each link and direction.",
    "hw_errors_total": "Memory errors by kind, since the driver's load or in the device's life.",
    "hw_gpu_remapped_rows": "Memory rows replaced, by cause.",
    "hw_gpu_retired_pages": "Memory pages retired, by cause.",
}
"""Families that several metrics share say what they hold together."""


def _add_metric(page: _Page, metric: Metric, device: Device) -> None:
    target = metric.openmetric
    number = device.number(metric)
    if target is None or number is None:
        return
    page.add(
        target.name,
        _FAMILY_HELP.get(target.name, metric.help),
        number * target.scale if target.scale != 1 else number,
        {**_device_labels(device), **dict(target.labels)},
        "counter" if target.counter else "gauge",
    )


def _add_device(page: _Page, hello: Hello, frame: Frame, device: Device) -> None:
    labels = _device_labels(device)
    info = device.info
    about = {
        "mig_profile": info.mig_profile,
        "architecture": info.architecture,
        "compute_capability": info.compute_capability,
        "serial": info.serial,
        "driver_version": hello.driver.driver_version,
    }
    page.add("hw_gpu_info", "What the device is.", 1, {**labels, **about})
    for status in get_args(DeviceStatus):
        page.add(
            "hw_status",
            "1 for the state the device is in, 0 for the others.",
            int(device.reading.status == status),
            {**labels, "hw_type": "gpu", "hw_state": status},
        )
    for group, moment in msgspec.structs.asdict(device.reading.read_at).items():
        page.add(
            "hw_gpu_read_timestamp_seconds",
            "When each group of values was read.",
            None if moment is None else frame.utc_s - (frame.boottime_s - moment),
            {**labels, "group": group},
        )
    mask = device.reading.event_reasons
    for reason in EVENT_REASONS:
        page.add(
            "hw_gpu_throttle_reason",
            "1 where the driver names the reason for the clocks not being higher.",
            None if mask is None else int(bool(mask & reason.bit)),
            {**labels, "reason": reason.key},
        )
    for metric in METRICS:
        _add_metric(page, metric, device)


# --- Processes ----------------------------------------------------------------------------------

_TASKS = {
    "sm": "sm_utilization",
    "memory": "memory_utilization",
    "encoder": "encoder_utilization",
    "decoder": "decoder_utilization",
}


def _add_process(page: _Page, process: Process, known: Mapping[str, Device]) -> None:
    for use in process.uses:
        device = known.get(use.device)
        labels: Labels = {
            **(_device_labels(device) if device else {"hw_id": use.device}),
            "mig_id": use.mig,
            "pid": process.pid,
            "process": process.name,
            "user": process.user,
        }
        page.add(
            "hw_gpu_process_memory_bytes",
            "Device memory that a process holds.",
            use.memory_bytes,
            labels,
        )
        for task, name in _TASKS.items():
            page.add(
                "hw_gpu_process_utilization_ratio",
                "Share of time in which a process kept the engine busy.",
                getattr(use, name),
                {**labels, "task": task},
            )


# --- The host -----------------------------------------------------------------------------------

# fmt: off
_HOST: tuple[tuple[str, str, dict[str, str], str], ...] = (
    ("cpu_utilization", "system_cpu_utilization_ratio", {}, "CPU utilisation over all cores."),
    ("iowait", "system_cpu_iowait_ratio", {}, "Share of CPU time spent waiting for I/O."),
    ("load_1", "system_cpu_load_average_1m", {}, "Load average over one minute."),
    ("load_5", "system_cpu_load_average_5m", {}, "Load average over five minutes."),
    ("load_15", "system_cpu_load_average_15m", {}, "Load average over fifteen minutes."),
    ("memory_total_bytes", "system_memory_limit_bytes", {}, "Memory in all."),
    ("memory_used_bytes", "system_memory_usage_bytes", {"state": "used"}, "Memory by state."),
    ("memory_available_bytes", "system_memory_usage_bytes", {"state": "available"},
     "Memory by state."),
    ("swap_total_bytes", "system_paging_limit_bytes", {}, "Swap in all."),
    ("swap_used_bytes", "system_paging_usage_bytes", {}, "Swap in use."),
    ("uptime_s", "system_uptime_seconds", {}, "Time since the machine started."),
)
_PRESSURE = "Share of the last ten seconds in which some or all tasks waited for the resource."
_CONTAINER: tuple[tuple[str, str, str], ...] = (
    ("cpu_quota_cores", "container_cpu_limit_cores", "CPU the container may use."),
    ("cpu_used_cores", "container_cpu_usage_cores", "CPU the container uses."),
    ("cpu_throttled", "container_cpu_throttled_ratio",
     "Share of time in which the quota held the container back."),
    ("memory_limit_bytes", "container_memory_limit_bytes", "Memory the container may use."),
    ("memory_used_bytes", "container_memory_usage_bytes", "Memory the container uses."),
)
# fmt: on


def _add_host(page: _Page, host: HostReading) -> None:
    for name, sample, labels, meaning in _HOST:
        page.add(sample, meaning, getattr(host, name), labels)
    for core, ratio in enumerate(host.cores or ()):
        page.add("system_cpu_core_utilization_ratio", "Utilisation of each logical core.", ratio,
                 {"cpu": core})  # fmt: skip
    for name, ratio in msgspec.structs.asdict(host.pressure).items():
        resource, _, tasks = name.partition("_")
        page.add("system_pressure_ratio", _PRESSURE, ratio, {"resource": resource, "tasks": tasks})
    if host.container is not None:
        for name, sample, meaning in _CONTAINER:
            page.add(sample, meaning, getattr(host.container, name), {})


def _add_self(page: _Page, hello: Hello, frame: Frame) -> None:
    driver = hello.driver
    page.add(
        "gputop_info",
        "The program that wrote this page, and the machine and driver it read.",
        1,
        {
            "program": hello.program,
            "host_name": hello.host.hostname,
            "driver_version": driver.driver_version,
            "nvml_version": driver.nvml_version,
            "cuda_version": driver.cuda_version,
        },
    )
    page.add("gputop_simulated", "1 where the machine is simulated.",
             int(hello.simulated or frame.simulated), {})  # fmt: skip
    page.add("gputop_reading_timestamp_seconds", "When this reading was taken.", frame.utc_s, {})
    page.add("gputop_window_seconds", "Time between the two readings that rates come from.",
             frame.interval_s, {})  # fmt: skip
    for status in get_args(DriverStatus):
        page.add(
            "gputop_driver_status",
            "1 for the state the driver is in, 0 for the others.",
            int(driver.status == status),
            {"status": status},
        )


def render(hello: Hello, frame: Frame) -> str:
    """The whole page. Command lines are never in it."""
    page = _Page()
    _add_self(page, hello, frame)
    known = {device.info.uuid: device for device in devices(hello, frame)}
    for device in known.values():
        _add_device(page, hello, frame, device)
    for process in frame.processes:
        _add_process(page, process, known)
    _add_host(page, frame.host)
    return page.render()

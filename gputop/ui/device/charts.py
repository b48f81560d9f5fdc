"""The charts of the device screen, as a table: to add one, list it here."""

from __future__ import annotations

from msgspec import Struct

from gputop.model.metrics import BY_NAME, Metric
from gputop.ui.view import DeviceView


class Trace(Struct, frozen=True):
    """One metric in a chart."""

    name: str
    word: str
    """What the legend calls it."""

    @property
    def metric(self) -> Metric:
        """Its entry in the table of metrics."""
        return BY_NAME[self.name]


class Limit(Trace, Struct, frozen=True):
    """A threshold, drawn across the chart."""

    role: str = "border"
    """The palette's role of its colour: an alarming one only for what alarms."""


class Chart(Struct, frozen=True):
    """Metrics of one unit against time. The first is the one that other devices and other
    metrics are laid over.
    """

    title: str
    short: str
    """At most five letters, for the row that has every chart's value."""
    traces: tuple[Trace, ...]
    limits: tuple[Limit, ...] = ()
    """Thresholds: drawn as lines, where the device has them."""
    from_zero: bool = True
    """False where the zero says nothing, as for a temperature."""

    @property
    def main(self) -> Trace:
        """The trace it is about."""
        return self.traces[0]

    def is_there(self, device: DeviceView) -> bool:
        """Whether the device ever had a reading of it."""
        return any(device.history.series(trace.name) for trace in self.traces)


CHARTS: tuple[Chart, ...] = (
    Chart("Utilisation", "util", (
        Trace("gpu_utilization", "GPU"), Trace("memory_utilization", "memory controller"))),
    Chart("Memory", "mem", (Trace("memory_used_bytes", "used"),),
          (Limit("memory_total_bytes", "total"),)),
    Chart("Power", "power", (
        Trace("power_w", "average"), Trace("power_instant_w", "instant"),
        Trace("power_limit_w", "limit"))),
    Chart("Temperature", "temp", (
        Trace("temperature_c", "GPU"), Trace("memory_temperature_c", "memory")),
        (Limit("temperature_max_operating_c", "driver slows", "warning"),
         Limit("temperature_slowdown_c", "hardware slows", "critical")), from_zero=False),
    Chart("Clocks", "clock", (Trace("sm_clock_mhz", "SM"), Trace("memory_clock_mhz", "memory")),
          (Limit("sm_clock_max_mhz", "SM at most"),)),
    Chart("Activity (GPM)", "act", (
        Trace("sm_activity", "SM"), Trace("tensor_activity", "tensor"),
        Trace("dram_activity", "DRAM"))),
    Chart("PCIe", "pcie", (
        Trace("pcie_rx_bytes_per_s", "received"), Trace("pcie_tx_bytes_per_s", "sent"))),
    Chart("NVLink", "nvl", (
        Trace("nvlink_rx_bytes_per_s", "received"), Trace("nvlink_tx_bytes_per_s", "sent"))),
    Chart("Video", "video", (
        Trace("encoder_utilization", "encoder"), Trace("decoder_utilization", "decoder"),
        Trace("jpeg_utilization", "JPEG"), Trace("ofa_utilization", "OFA"))),
)  # fmt: skip
"""In the order in which they stand; a device has those of which it ever had a reading."""


def charts_of(device: DeviceView) -> tuple[Chart, ...]:
    """The charts a device has; the first, empty, where it has none yet."""
    return tuple(chart for chart in CHARTS if chart.is_there(device)) or CHARTS[:1]

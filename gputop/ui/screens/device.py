"""One device: tall charts, and everything it says of itself."""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING, ClassVar

from rich.style import Style
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal
from textual.strip import Strip

from gputop import text
from gputop.model.metrics import BY_NAME, METRICS, Unit
from gputop.model.missing import explain
from gputop.model.nvml_tables import active_reasons, unknown_bits
from gputop.state.windows import Window
from gputop.ui.charts.layout import TALLEST_CHART, pane_height
from gputop.ui.keys import HERE_TOO, Key, bindings
from gputop.ui.screens.base import ViewScreen
from gputop.ui.view import DeviceView, View
from gputop.ui.widgets.base import LineWidget, blank
from gputop.ui.widgets.footer import Footer, window_text
from gputop.ui.widgets.header import Header
from gputop.ui.widgets.line import Line
from gputop.ui.widgets.notice import Notice
from gputop.ui.widgets.page import Page
from gputop.ui.widgets.panes import ChartBook, chart_width, pane

if TYPE_CHECKING:
    pass

DEVICE_SCREEN_KEYS: tuple[Key, ...] = (
    Key("back", "escape", "Esc", "back", "Back to the screen before.", "Device screen", footer=1,
        palette=False),
    Key("other(-1)", "left,h", "←, h", "previous", "The device before.", "Device screen",
        footer=2, palette=False),
    Key("other(1)", "right,l", "→, l", "next", "The device after.", "Device screen", footer=3,
        palette=False),
)  # fmt: skip

SECTIONS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("Utilisation", ("gpu_utilization", "memory_utilization", "encoder_utilization",
                     "decoder_utilization", "jpeg_utilization", "ofa_utilization")),
    ("Activity (GPM)", ("sm_activity", "sm_occupancy", "tensor_activity", "dram_activity",
                        "fp64_activity", "fp32_activity", "fp16_activity")),
    ("Memory", ("memory_used_bytes", "memory_free_bytes", "memory_reserved_bytes",
                "memory_total_bytes", "bar1_used_bytes", "bar1_total_bytes")),
    ("Power", ("power_w", "power_instant_w", "power_limit_w", "power_limit_default_w",
               "power_limit_min_w", "power_limit_max_w", "energy_j")),
    ("Temperature", ("temperature_c", "memory_temperature_c", "temperature_margin_c",
                     "temperature_slowdown_c", "temperature_shutdown_c",
                     "temperature_max_operating_c", "memory_temperature_max_c", "fan_speed",
                     "fan_count")),
    ("Clocks", ("sm_clock_mhz", "sm_clock_max_mhz", "memory_clock_mhz", "memory_clock_max_mhz",
                "graphics_clock_mhz", "graphics_clock_max_mhz", "video_clock_mhz",
                "video_clock_max_mhz", "performance_state")),
    ("Held back, since the driver was loaded",
     ("power_violation_s", "sync_boost_violation_s", "sw_thermal_violation_s",
      "hw_thermal_violation_s", "power_brake_violation_s")),
    ("PCIe and NVLink", ("pcie_generation", "pcie_generation_max", "pcie_width", "pcie_width_max",
                         "pcie_rx_bytes_per_s", "pcie_tx_bytes_per_s", "pcie_replays",
                         "nvlink_active", "nvlink_count", "nvlink_rx_bytes_per_s",
                         "nvlink_tx_bytes_per_s")),
    ("Health", ("ecc_mode", "ecc_corrected_volatile", "ecc_uncorrected_volatile",
                "ecc_corrected_aggregate", "ecc_uncorrected_aggregate", "remapped_rows_corrected",
                "remapped_rows_uncorrected", "remap_pending", "remap_failed", "retired_pages_sbe",
                "retired_pages_dbe", "retirement_pending", "recovery_action")),
    ("Modes", ("compute_mode", "persistence_mode", "mig_mode")),
)  # fmt: skip
"""What stands under which heading. A metric in none of them stands under "More"."""


class Facts(Page):
    """Everything the device says, by section; what it does not say stands at the end, and why."""

    def __init__(self) -> None:
        super().__init__(id="facts")
        self.device: DeviceView | None = None
        self.now = 0.0

    def rows(self, width: int) -> list[Strip]:
        """Sections that have a value."""
        device = self.device
        if device is None:
            return []
        rows = self._identity(device, width) + self._warnings(device, width)
        rows += self._held_back(device, width) + self._instances(device, width)
        listed = {name for _, names in SECTIONS for name in names}
        more = tuple(m.name for m in METRICS if m.name not in listed and m.unit is not Unit.BITS)
        for title, names in (*SECTIONS, ("More", more)):
            rows += self._section(device, title, names, width)
        return rows + self._missing(device, width)

    def _identity(self, device: DeviceView, width: int) -> list[Strip]:
        info = device.info
        facts = {
            "UUID": info.uuid, "Bus id": info.bus_id, "Architecture": info.architecture,
            "Compute capability": info.compute_capability, "NUMA node": info.numa_node,
            "Serial": info.serial,
        }  # fmt: skip
        rows = [self._heading(text.clean(info.name), width)]
        return rows + [
            self._fact(word, text.clean(str(value)), width)
            for word, value in facts.items()
            if value is not None
        ]

    def _held_back(self, device: DeviceView, width: int) -> list[Strip]:
        """Throttling, and how it is known."""
        if not device.shares:
            return []
        basis = {"counter": "counted by the driver", "sampled": "sampled"}
        rows = [self._heading("Held back, last minute", width)]
        for share in device.shares:
            words = f"{text.percent(share.share)} of {share.covered_s} s, {basis[share.basis]}"
            rows.append(self._fact(share.reason.label, words, width))
        return rows

    def _warnings(self, device: DeviceView, width: int) -> list[Strip]:
        glyphs = self.gputop.glyphs
        if not device.alerts:
            return []
        rows = [self._heading("Warnings", width)]
        for alert in device.alerts:
            style = self.palette.style(alert.severity)
            detail = f": {alert.detail}" if alert.detail else ""
            words = f"  {glyphs.severity(alert.severity)} {alert.title}{detail}"
            rows += self._wrapped(words, width, style, "    ")
            rows += self._wrapped(f"    {alert.advice}", width, self.palette.style("dim"), "    ")
        return rows

    def _wrapped(self, words: str, width: int, style: Style, hanging: str) -> list[Strip]:
        parts = wrap(text.clean(words), max(width - 1, 20), subsequent_indent=hanging,
                     drop_whitespace=True, initial_indent="")  # fmt: skip
        indent = words[: len(words) - len(words.lstrip())]
        parts[:1] = [indent + parts[0].lstrip()] if parts else []
        return [Line(width).add(part, style).strip(style) for part in parts]

    def _instances(self, device: DeviceView, width: int) -> list[Strip]:
        if not device.instances:
            return []
        rows = [self._heading("MIG instances", width)]
        for instance in device.instances:
            pair = text.bytes_pair(
                instance.value("memory_used_bytes").value,
                instance.value("memory_total_bytes").value, self.gputop.units,
            )  # fmt: skip
            name = instance.info.mig_profile or instance.info.name
            count = instance.processes
            words = f"{pair}, {count} process{'es' * (count != 1)}"
            rows.append(self._fact(text.clean(name), words, width))
        return rows

    def _section(
        self, device: DeviceView, title: str, names: tuple[str, ...], width: int
    ) -> list[Strip]:
        rows = []
        for name in names:
            metric, value = BY_NAME[name], device.value(name)
            if value.value is None:
                continue
            words = text.value(metric, value.value, self.gputop.units)
            if value.reason is not None:
                age = f", {text.age(self.now - value.read_at)}" if value.read_at else ""
                words += f" ({explain(value.reason)}{age})"
            rows.append(self._fact(metric.label, words, width, old=value.reason is not None))
        if title == "Clocks":
            mask = int(device.number("event_reasons") or 0)
            for reason in active_reasons(mask):
                rows.append(self._fact("Held by", reason.label, width))
            if unknown_bits(mask):
                words = f"unknown reason {unknown_bits(mask):#x}"
                rows.append(self._fact("Held by", words, width))
        return [self._heading(title, width), *rows] if rows else []

    def _missing(self, device: DeviceView, width: int) -> list[Strip]:
        by_reason: dict[str, list[str]] = {}
        for metric in METRICS:
            value = device.value(metric.name)
            if value.value is None and value.reason:
                by_reason.setdefault(value.reason, []).append(metric.label)
        if not by_reason:
            return []
        rows = [self._heading("Not there", width)]
        dim = self.palette.style("dim")
        for reason, labels in by_reason.items():
            said = f"{explain(reason)}: {', '.join(labels)}"
            rows += self._wrapped("  " + said[0].upper() + said[1:], width, dim, "    ")
        return rows

    def _heading(self, words: str, width: int) -> Strip:
        style = self.palette.style("accent", bold=True)
        return Line(width).add(f" {words}", style).strip(style)

    def _fact(self, word: str, value: str, width: int, old: bool = False) -> Strip:
        palette = self.palette
        # A long value takes what it needs of the blanks behind its name.
        column = max(min(31, width - 4 - text.display_width(value)), len(word))
        line = Line(width).add(f"  {text.fit(word, 31):<{min(column, 31)}} ", palette.style("dim"))
        return line.add(value, palette.style("faint" if old else "text")).strip(
            palette.style("text")
        )


class Charts(LineWidget):
    """The device's pane, as tall as there is room."""

    def __init__(self) -> None:
        super().__init__(id="charts")
        self.device: DeviceView | None = None
        self.view = View()
        self._book = ChartBook()

    def draw(self, width: int, height: int) -> list[Strip]:
        """The pane."""
        if self.device is None:
            return [blank(width, self.palette)] * height
        app, view = self.gputop, self.view
        window = Window.over(app.window_s, chart_width(width), view.now, view.period_s)
        pen = self._book.pen(app, view)
        tallest = max(TALLEST_CHART, height // 4)
        rows = next((r for r in range(tallest, 0, -1) if pane_height(r) <= height), 1)
        drawn = [Strip(s, width) for s in pane(self.device, pen, window, width, rows, False)]
        return (drawn + [blank(width, self.palette)] * height)[:height]


class DeviceScreen(ViewScreen):
    """Charts beside facts; one above the other where it is narrow."""

    DEFAULT_CSS = """
    DeviceScreen > #body { height: 1fr; width: 1fr; }
    DeviceScreen #charts { width: 3fr; height: 1fr; }
    DeviceScreen #facts { width: 2fr; height: 1fr; min-width: 56; }
    DeviceScreen.narrow > #body { layout: vertical; }
    DeviceScreen.narrow #charts { width: 1fr; height: 6; }
    DeviceScreen.narrow #facts { width: 1fr; min-width: 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = bindings(DEVICE_SCREEN_KEYS)

    def __init__(self, uuid: str) -> None:
        super().__init__()
        self.uuid = uuid

    @property
    def copyable(self) -> tuple[str, str] | None:
        """The device's UUID."""
        return self.uuid, "UUID"

    def compose(self) -> ComposeResult:
        """Header, charts and facts, footer."""
        yield Header(id="header")
        yield Notice(id="notice")
        with Horizontal(id="body"):
            yield Charts()
            yield Facts()
        yield Footer((*DEVICE_SCREEN_KEYS, *HERE_TOO), id="footer")

    def on_mount(self) -> None:
        """Show what there is."""
        self.query_one(Facts).focus()
        self.show(self.gputop.view)

    def on_resize(self) -> None:
        """Side by side only where both have room."""
        self.set_class(self.size.width < 120, "narrow")

    def draw_view(self, view: View) -> None:
        """Charts, facts, and the charts' window."""
        device = next((d for d in view.devices if d.info.uuid == self.uuid), None)
        charts, facts = self.query_one(Charts), self.query_one(Facts)
        charts.device, charts.view = device, view
        facts.device, facts.now = device, view.now
        charts.repaint()
        facts.reload()
        self.query_one(Footer).show(window_text(self.gputop.window_s))

    def action_other(self, step: int) -> None:
        """The device before or after this one."""
        uuids = [d.info.uuid for d in self.gputop.view.devices]
        if self.uuid in uuids:
            self.uuid = uuids[(uuids.index(self.uuid) + step) % len(uuids)]
            self.show(self.gputop.view)

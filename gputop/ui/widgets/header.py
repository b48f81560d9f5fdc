"""The first row: which machine, how many warnings, how old the readings are."""

from __future__ import annotations

from rich.style import Style
from textual import events
from textual.strip import Strip

from gputop import text
from gputop.model.nvml_tables import Severity
from gputop.ui.view import View
from gputop.ui.widgets.base import LineWidget, blank
from gputop.ui.widgets.line import Line
from gputop.ui.widgets.timeline import layout, timeline


class Header(LineWidget):
    """One row, and in a replay a second one with its timeline."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._view = View()
        self._behind_s: float | None = None

    @property
    def rows(self) -> int:
        """Rows it takes."""
        return 2 if self.gputop.replay else 1

    def on_mount(self) -> None:
        """Take its rows."""
        self.styles.height = self.rows

    def on_click(self, event: events.Click) -> None:
        """A click on a replay's timeline goes there."""
        replay = self.gputop.replay
        if replay is None or event.y != 1:
            return
        moment = layout(self.gputop, replay, self.size.width).moment(event.x, replay.playback)
        if moment is not None:
            replay.source.seek(moment)

    def show(self, view: View, behind_s: float | None) -> None:
        """Take the newest view; `behind_s` is set when frames have stopped coming."""
        self._view, self._behind_s = view, behind_s
        self.repaint()

    def draw(self, width: int, height: int) -> list[Strip]:
        """The row."""
        palette = self.palette
        plain, dim = palette.style("text", "surface"), palette.style("dim", "surface")
        right = self._right(width)
        room = width - sum(text.display_width(words) for words, _ in right) - 1
        line = Line(width)
        line.add(" gputop ", palette.style("accent", "surface", bold=True))
        replay = self.gputop.replay
        if replay is not None:
            line.add(" REPLAY ", palette.alert("notice")).add(" ", plain)
        if self._view.simulated:
            line.add("SIMULATED", palette.alert("warning")).add(" ", plain)
        for words, role in self._left(room - 1 - (width - line.room)):  # a cell between the two
            line.add(words, plain if role == "text" else dim)
        line.until(max(room, 0), plain)
        for words, style in right:
            line.add(words, style)
        strips = [line.strip(plain)]
        if replay is not None:
            strips.append(timeline(self.gputop, replay, width))
        return (strips + [blank(width, palette)] * height)[:height]

    def _left(self, room: int) -> list[tuple[str, str]]:
        info, driver = self._view.host_info, self._view.driver
        dot = f" {self.gputop.glyphs.dot} "
        parts = []
        if info is not None:
            parts.append((text.clean(info.hostname), "text"))
        count = len(self._view.devices)
        if count:
            parts.append((f"{dot}{count} GPU{'s' if count > 1 else ''}", "dim"))
        if driver.driver_version:
            parts.append((f"{dot}driver {text.clean(driver.driver_version)}", "dim"))
        if driver.cuda_version:
            parts.append((f"{dot}CUDA {text.clean(driver.cuda_version)}", "dim"))
        shown: list[tuple[str, str]] = []
        for words, role in parts:
            wide = text.display_width(words)
            if wide > room and shown:
                break
            shown.append((text.fit(words, max(room, 1)), role))
            room -= wide
        return shown

    def _right(self, width: int) -> list[tuple[str, Style]]:
        """Pieces with their styles, from left to right."""
        palette, view, app = self.palette, self._view, self.gputop
        plain, dim = palette.style("text", "surface"), palette.style("dim", "surface")
        pieces: list[tuple[str, Style]] = []
        if app.recorder is not None:
            words = f"{app.glyphs.record} REC {text.size(app.recorder.size, tight=True)}"
            pieces += [(words, palette.style("critical", "surface", bold=True)), ("  ", plain)]
        if app.paused:
            pieces += [(" PAUSED ", palette.alert("notice")), (" ", plain)]
        wordy = width >= 100
        counts: tuple[tuple[Severity, int], ...] = (
            ("critical", view.criticals), ("warning", view.warnings),
        )  # fmt: skip
        for severity, count in counts:
            if count:
                noun = f" {severity}{'s' * (severity == 'warning' and count > 1)}" if wordy else ""
                badge = f" {app.glyphs.severity(severity)} {count}{noun} "
                pieces += [(badge, palette.alert(severity)), (" ", plain)]
        read = any(device.ok for device in view.devices)
        if not view.criticals and not view.warnings and read and wordy:
            pieces.append(("no warnings  ", palette.style("good", "surface")))
        if self._behind_s is not None:
            pieces.append((f" {text.duration(self._behind_s)} old ", palette.alert("warning")))
            pieces.append((" ", plain))
        period = text.duration(view.period_s) if view.period_s >= 1 else f"{view.period_s:g} s"
        pieces.append((f"every {period} ", dim))
        if view.utc_s:
            form = "%Y-%m-%d %H:%M:%S " if app.replay and wordy else "%H:%M:%S "
            pieces.append((text.local_time(view.utc_s, form), plain))
        return pieces

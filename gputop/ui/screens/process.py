"""One process: its command line, what the host knows of it, and its use of each device over time.

A process that is gone keeps its screen, with how long ago it left.
"""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from rich.cells import chop_cells
from rich.segment import Segment
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.strip import Strip

from gputop import procfs, text
from gputop.model.frame import DeviceUse, Process
from gputop.model.metrics import Aggregate
from gputop.query.subject import STATES
from gputop.state.process_history import REACH_S, ProcessKey, ProcessPast
from gputop.state.windows import Window
from gputop.ui.charts.blocks import area, time_axis
from gputop.ui.keys import HERE_TOO, Key, bindings
from gputop.ui.processes.picture import to_ascii, wrap
from gputop.ui.processes.rows import Card, Row, RowOptions, build_rows, cards_of, target_of
from gputop.ui.processes.table import ProcessTable
from gputop.ui.screens.base import ViewScreen
from gputop.ui.view import View
from gputop.ui.widgets.footer import Footer, window_text
from gputop.ui.widgets.header import Header
from gputop.ui.widgets.line import Line
from gputop.ui.widgets.notice import Notice
from gputop.ui.widgets.page import Page

PROCESS_KEYS: tuple[Key, ...] = (
    Key("back", "escape", "Esc", "back", "Back to the table.", "Process screen", 1, False),
    Key(
        "signal",
        "K",
        "K",
        "signal",
        "Send a signal to the process.",
        "Process screen",
        2,
        False,
        live=True,
    ),
)

SIDE_BY_SIDE = 100
"""Cells from which both charts of a device stand on one row."""
LABEL_WIDTH = 12
DEVICE_ROWS = 2
"""Rows of a device besides its charts: a blank and its name."""
LEAST_CHART = 2
"""Rows of a chart at the least; beyond what fits, the page scrolls."""
TALLEST_CHART = 12


class ProcessPage(Page):
    """Everything there is to say of one process."""

    def __init__(self) -> None:
        super().__init__(id="process-page")
        self.past: ProcessPast | None = None
        self.view = View()
        self.status = ("", "text")
        """What became of it, and the role of those words."""

    def rows(self, width: int) -> list[Strip]:
        """From who it is to its charts."""
        past = self.past
        if past is None:
            return [self._line(width, "  Nothing was read of this process.", "dim")]
        process = past.process
        cards = cards_of(self.view.devices)
        options = RowOptions(utc_s=self.view.utc_s, hide_args=self.gputop.settings.hide_args)
        strips = [self._heading(past, width), self._line(width, "")]
        for row in build_rows([process], cards, options):
            strips += self._hidden(process, width)
            strips += self._command(row, width)
            strips += self._facts(row, width, current=past.seen_s >= self.view.now)
        return strips + self._charts(past, cards, width, self.size.height - len(strips))

    def _safe(self, words: str) -> str:
        return to_ascii(words) if self.gputop.ascii else words

    # -- words ---------------------------------------------------------------------------------

    def _line(self, width: int, words: str, role: str = "text") -> Strip:
        style = self.palette.style(role)
        return Line(width).add(words, style).strip(style)

    def _heading(self, past: ProcessPast, width: int) -> Strip:
        palette, (words, role) = self.palette, self.status
        plain = palette.style("text")
        name = self._safe(text.clean(past.process.name or ""))
        line = Line(width).add(f" {past.process.pid} ", palette.style("accent", bold=True))
        line.add(text.fit(name, max(width // 2, 8)), palette.style("strong", bold=True))
        line.add("  ", plain).add(words, palette.style(role))
        return line.strip(plain)

    def _hidden(self, process: Process, width: int) -> list[Strip]:
        """Why the host knows nothing of it, where that is so."""
        reason = process.missing.get("start_ticks") or process.missing.get("name")
        if process.start_ticks is not None or reason is None:
            return []
        said = _HIDDEN.get(reason, f"Only the driver knows this process: {text.why(reason)}.")
        lines = [self._line(width, f"  {part}", "notice") for part in wrap(said, max(width - 4, 1))]
        return [*lines, self._line(width, "")]

    def _command(self, row: Row, width: int) -> list[Strip]:
        """The whole command line, on as many rows as it takes."""
        lines = chop_cells(self._safe(row.command_line or row.command), max(width - 4, 1))
        return [*(self._line(width, f"  {part}") for part in lines), self._line(width, "")]

    def _facts(self, row: Row, width: int, *, current: bool) -> list[Strip]:
        """What is known of it; dim where it is only what was last seen."""
        units = self.gputop.units
        memory, sm = row.memory, row.sm
        mark = ">" if self.gputop.ascii else "≥"
        state = STATES.get(row.state or "", row.state or text.NO_VALUE)
        count = row.threads.value
        threads = "" if count is None else f", {count:.0f} thread{'' if count == 1 else 's'}"
        facts = (
            ("User", _user(row)),
            ("Started", _started(row)),
            ("State", state + threads),
            ("CPU", f"{text.percent(row.cpu.value)} of one core"
             if row.cpu.value is not None else text.NO_VALUE),
            ("Host memory", text.size(row.host_memory.value, units)),
            ("GPU memory", (mark if memory.at_least else "") + text.size(memory.value, units)),
            ("SM use", (mark if sm.at_least else "") + text.percent(sm.value)
             + (f" over {len(row.places)} devices" if len(row.places) > 1 else "")),
        )  # fmt: skip
        strips = []
        for word, said in facts:
            known = current and not said.startswith(text.NO_VALUE)
            line = Line(width).add(f"  {word:<14}", self.palette.style("dim"))
            line.add(self._safe(said), self.palette.style("text" if known else "dim"))
            strips.append(line.strip(self.palette.style("text")))
        return strips

    # -- charts --------------------------------------------------------------------------------

    def _charts(
        self, past: ProcessPast, cards: dict[str, Card], width: int, room: int
    ) -> list[Strip]:
        """The charts of every device, in `room` rows if they can."""
        uses = {use.mig or use.device: use for use in past.process.uses}
        devices = sorted(
            {*past.uses, *uses}, key=lambda uuid: _order(cards.get(uuid), uuid)
        )  # fmt: skip
        beside = width >= SIDE_BY_SIDE
        stacked = 1 if beside else 2
        spare = room // max(len(devices), 1) - DEVICE_ROWS
        rows = min(max(spare // stacked - 1, LEAST_CHART), TALLEST_CHART)
        half = width // 2 if beside else width
        window = self._window(max(half - LABEL_WIDTH - 4, 1))
        strips = []
        for uuid in devices:
            card = cards.get(uuid)
            strips += [self._line(width, ""), self._device(uuid, card, width)]
            use = uses.get(uuid)
            pair = [
                self._chart(past, uuid, use, metric, card, window, rows, half)
                for metric in ("sm", "memory")
            ]
            if beside:
                gap = Segment(" " * (width - 2 * half), self.palette.style("text"))
                strips += [
                    Strip([*left, *right, gap], width) for left, right in zip(*pair, strict=True)
                ]
            else:
                strips += [Strip(line, width) for chart in pair for line in chart]
        return strips

    def _window(self, cells: int) -> Window:
        seconds = min(self.gputop.window_s, REACH_S)
        return Window.over(seconds, cells, self.view.now, self.view.period_s)

    def _device(self, uuid: str, card: Card | None, width: int) -> Strip:
        palette = self.palette
        line = Line(width)
        if card is None:
            line.add(f"  {text.clean(uuid)}", palette.style("strong"))
        else:
            place = card.place
            index = "?" if place.index is None else str(place.index)
            if place.instance is not None:
                index += f":{place.instance}"
            line.add(f"  GPU {index} ", palette.style("strong"))
            line.add(self._safe(card.name), palette.style("text"))
        return line.strip(palette.style("text"))

    def _chart(
        self, past: ProcessPast, uuid: str, use: DeviceUse | None, metric: str,
        card: Card | None, window: Window, rows: int, width: int,
    ) -> list[list[Segment]]:  # fmt: skip
        """A label with the newest value, the chart, and the time below it."""
        app, palette = self.gputop, self.palette
        columns = past.columns(uuid, metric, window.numbers, window.width)
        name, aggregate, full = _SCALES[metric]
        if full is None:
            full = card.memory_total_bytes if card else None
        scale = f"of {'100 %' if metric == 'sm' else text.size(full, app.units)}" if full else ""
        full = full or max((span.high for span in columns if span), default=1.0) or 1.0
        drawn = area(columns, full, name, aggregate, rows, palette, app.ascii)
        if not any(columns):
            drawn[0] = self._no_chart(use, metric, window.count)
        now = self._now(use, metric)
        plain = palette.style("text")
        lines = []
        for number, chart in enumerate([*drawn, time_axis(window.width, window.count, palette)]):
            line = Line(width).add("  ", plain)
            if number == 0:
                line.add(_TITLES[metric], palette.style("dim"))
            elif number == 1:
                line.add(self._safe(now), plain)
            elif number == 2:
                line.add(text.fit(scale, LABEL_WIDTH - 1), palette.style("dim"))
            line.until(LABEL_WIDTH + 2, plain).extend(chart, window.count)
            lines.append(line.segments(plain))
        return lines

    def _no_chart(self, use: DeviceUse | None, metric: str, room: int) -> list[Segment]:
        reason = use.missing.get(_FIELDS[metric]) if use else None
        style = self.palette.style("dim")
        said = text.why(reason) if reason else "nothing was read of it yet"
        return Line(room).add(said, style).segments(style)

    def _now(self, use: DeviceUse | None, metric: str) -> str:
        past = self.past
        if use is None or past is None or past.seen_s < self.view.now:
            return ""
        if metric == "sm":
            return text.percent(use.sm_utilization)
        return text.size(use.memory_bytes, self.gputop.units)


_SCALES: dict[str, tuple[str, Aggregate, float | None]] = {
    "sm": ("gpu_utilization", "mean", 1.0),
    "memory": ("memory_used_bytes", "peak", None),
}
"""The metric whose colours it has, how a column sums up, and the full scale (None: the card's)."""
_HIDDEN = {
    "denied": "Nothing more of it is visible from here: it runs in another container or machine, "
              "whose pids differ.",
    "error(ESRCH)": "Nothing more of it is visible from here: it has just ended, it runs in "
                    "another container, or /proc hides it from this user.",
}  # fmt: skip
"""By the reason why the host's part of a process is missing."""
_TITLES = {"sm": "SM", "memory": "memory"}
_FIELDS = {"sm": "sm_utilization", "memory": "memory_bytes"}


def _order(card: Card | None, uuid: str) -> tuple[float, float, str]:
    if card is None or card.place.index is None:
        return float("inf"), 0, uuid
    return card.place.index, card.place.instance or 0, uuid


def _user(row: Row) -> str:
    if row.user is None:
        return text.NO_VALUE
    return row.user if row.process.uid is None else f"{row.user} (uid {row.process.uid})"


def _started(row: Row) -> str:
    started = row.process.started_utc_s
    if started is None:
        return text.NO_VALUE
    moment = datetime.fromtimestamp(started).strftime("%Y-%m-%d %H:%M:%S")
    return f"{moment}, {text.age(row.running_s.value)}"


class ProcessScreen(ViewScreen):
    """Header, page, footer."""

    DEFAULT_CSS = """
    ProcessScreen > #process-page { height: 1fr; }
    """
    BINDINGS: ClassVar[list[BindingType]] = bindings(PROCESS_KEYS)

    def __init__(self, key: ProcessKey) -> None:
        super().__init__()
        self.key = key
        self._past: ProcessPast | None = None
        self._ran_on = False
        """True once it was seen running after it had left the devices."""
        self._ended_s: float | None = None

    @property
    def copyable(self) -> tuple[str, str] | None:
        """The PID."""
        return str(self.key.pid), "PID"

    def compose(self) -> ComposeResult:
        """From top to bottom."""
        yield Header(id="header")
        yield Notice(id="notice")
        yield ProcessPage()
        yield Footer((*PROCESS_KEYS, *HERE_TOO), id="footer")

    def on_mount(self) -> None:
        """Show what there is."""
        self.query_one(ProcessPage).focus()
        self.show(self.gputop.view)

    def draw_view(self, view: View) -> None:
        """Draw the page."""
        # The past is held here too, for a screen that stays open longer than it is kept.
        self._past = self.gputop.process_history.get(self.key) or self._past
        page = self.query_one(ProcessPage)
        page.past, page.view = self._past, view
        page.status = self._status(view)
        page.reload()
        self.query_one(Footer).show(window_text(min(self.gputop.window_s, REACH_S)))

    def _status(self, view: View) -> tuple[str, str]:
        """Whether it is there, and if not since when; with the role of the words."""
        past = self._past
        if past is None:
            return "", "text"
        if past.left_s is None or past.left_s > view.now:
            self._ran_on, self._ended_s = False, None
            if past.seen_s >= view.now:
                return "", "text"
            return f"not seen for {text.duration(view.now - past.seen_s)}", "notice"
        if self.gputop.can_signal is None and self._ended_s is None:
            if procfs.start_ticks(self.key.pid) == self.key.start_ticks:
                self._ran_on = True
            else:
                self._ended_s = view.now if self._ran_on else past.left_s
        if self._ended_s is not None:
            return f"ended {text.age(view.now - self._ended_s)}", "notice"
        left = f"left the GPUs {text.age(view.now - past.left_s)}"
        return (f"{left}, still running" if self._ran_on else left), "notice"

    def action_signal(self) -> None:
        """Ask for the signal dialog, or say why there is none."""
        refusal = self.gputop.can_signal
        if refusal is not None:
            self.notify(refusal, severity="warning")
        elif self._past is not None:
            target = target_of(self._past.process)
            self.post_message(ProcessTable.SignalRequested([target]))

"""Every warning, those that last first, then those that have been."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.strip import Strip

from gputop import text
from gputop.insight.alerts import Alert
from gputop.ui.keys import HERE_TOO, Key, bindings
from gputop.ui.screens.base import ViewScreen
from gputop.ui.view import View
from gputop.ui.widgets.base import LineWidget, blank
from gputop.ui.widgets.footer import Footer
from gputop.ui.widgets.header import Header
from gputop.ui.widgets.line import Line
from gputop.ui.widgets.notice import Notice
from gputop.ui.widgets.page import Page

DAY_S = 86_400

WARNING_KEYS: tuple[Key, ...] = (
    Key("back", "escape,w", "Esc", "back", "Back to the screen before.", "Warnings", footer=1,
        palette=False),
    Key("open", "enter", "Enter", "open", "Open the device of the warning.", "Warnings", footer=2,
        palette=False),
)  # fmt: skip


class WarningList(Page):
    """One row a warning."""

    picks = True

    def __init__(self) -> None:
        super().__init__(id="warning-list")
        self.alerts: Sequence[Alert] = ()
        self._view = View()

    def show(self, view: View) -> None:
        """Take the warnings of a view. An alert begun anew is another one."""
        picked = self.current
        self.alerts, self._view = view.alerts, view
        if picked is not None:
            same = (n for n, a in enumerate(self.alerts) if _same(a, picked))
            self.cursor = next(same, self.cursor)
        self.repaint()

    @property
    def current(self) -> Alert | None:
        """The warning under the cursor."""
        return self.alerts[self.cursor] if self.cursor < len(self.alerts) else None

    def rows(self, width: int) -> list[Strip]:
        """Lasting ones first."""
        if not self.alerts:
            style = self.palette.style("good")
            return [Line(width).add("  Nothing to warn of so far.", style).strip(style)]
        return [self._row(alert, width, n == self.cursor) for n, alert in enumerate(self.alerts)]

    def _row(self, alert: Alert, width: int, picked: bool) -> Strip:
        palette, glyphs = self.palette, self.gputop.glyphs
        ground = "selection" if picked else "background"
        role = alert.severity if alert.active else "dim"
        plain = palette.style("text" if alert.active else "dim", ground)
        line = Line(width)
        line.add(glyphs.cursor if picked else " ", palette.style("accent", ground, bold=True))
        mark = f"{glyphs.severity(alert.severity)} {alert.severity:<8} "
        line.add(mark, palette.style(role, ground, bold=alert.active))
        line.add(f"{when(alert.since_utc_s, self._view.utc_s):>11} ", plain)
        lasted = alert.lasted_s(self._view.now)
        lasted_text = text.duration(lasted) if lasted or alert.active else ""
        line.add(f"{lasted_text:>10}  ", plain)
        line.add(f"{text.fit(text.clean(alert.where), 18):<18} ", plain)
        line.add(alert.title, palette.style("strong" if alert.active else "dim", ground))
        worst = alert.worst_detail or alert.detail
        if worst:
            line.add(f" {glyphs.dot} {text.clean(worst)}", palette.style("dim", ground))
        return line.strip(plain)

    def moved(self) -> None:
        """Say what the warning under the cursor means."""
        self.screen.query_one(Meaning).repaint()


class Meaning(LineWidget):
    """What the warning under the cursor means, and what to do."""

    def draw(self, width: int, height: int) -> list[Strip]:
        """What, where, since when; then what it means and what to do, in full."""
        palette = self.palette
        alert = self.screen.query_one(WarningList).current
        strips = []
        if alert is not None:
            detail = alert.worst_detail or alert.detail
            state = "lasting" if alert.active else "over"
            head = f"{alert.where}: {alert.title} ({state})" + (f" · {detail}" if detail else "")
            said = [(head, "strong"), (alert.meaning, "text"), (alert.advice, "accent")]
            for words, role in said:
                style = palette.style(role, "surface")
                for part in wrap(text.clean(words), max(width - 2, 20)):
                    strips.append(Line(width).add(f" {part}", style).strip(style))
        filler = blank(width, palette, "surface")
        return (strips + [filler] * height)[:height]


def _same(one: Alert, other: Alert) -> bool:
    return (one.device, one.rule, one.since_s) == (other.device, other.rule, other.since_s)


def when(utc_s: float, now_utc_s: float) -> str:
    """A moment for a person: the time, with the date where it is not of the last day."""
    form = "%H:%M:%S" if abs(now_utc_s - utc_s) < DAY_S else "%m-%d %H:%M"
    return text.local_time(utc_s, form)


class WarningsScreen(ViewScreen):
    """The list, and the meaning of the one under the cursor."""

    DEFAULT_CSS = """
    WarningsScreen > WarningList { height: 1fr; }
    WarningsScreen > Meaning { height: 5; }
    """
    BINDINGS: ClassVar[list[BindingType]] = bindings(WARNING_KEYS)

    def compose(self) -> ComposeResult:
        """Header, list, meaning, footer."""
        yield Header(id="header")
        yield Notice(id="notice")
        yield WarningList()
        yield Meaning()
        yield Footer((*WARNING_KEYS, *HERE_TOO), id="footer")

    def on_mount(self) -> None:
        """Show what there is."""
        self.query_one(WarningList).focus()
        self.show(self.gputop.view)

    def draw_view(self, view: View) -> None:
        """The list, with the cursor on its warning while others come and go above it."""
        page = self.query_one(WarningList)
        page.show(view)
        self.query_one(Meaning).repaint()

    def action_open(self) -> None:
        """Open the device of the warning under the cursor."""
        alert = self.query_one(WarningList).current
        if alert is not None and alert.device is not None:
            self.gputop.open_device(alert.device)

"""Every warning, those that last first, then those that have been."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, ClassVar, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.strip import Strip

from gputop import text
from gputop.insight.alerts import Alert
from gputop.ui.keys import Key
from gputop.ui.view import View
from gputop.ui.widgets.base import LineWidget, blank
from gputop.ui.widgets.footer import Footer
from gputop.ui.widgets.header import Header
from gputop.ui.widgets.line import Line
from gputop.ui.widgets.page import Page

if TYPE_CHECKING:
    from gputop.ui.app import GputopApp

WARNING_KEYS: tuple[Key, ...] = (
    Key("back", "escape,w,q", "Esc", "back", "Back to the overview.", "Everywhere", footer=1,
        palette=False),
    Key("help", "question_mark,f1", "?", "help", "Show every key.", "Everywhere", footer=2,
        palette=False),
)  # fmt: skip


class WarningList(Page):
    """One row a warning."""

    picks = True

    def __init__(self) -> None:
        super().__init__(id="warning-list")
        self.alerts: list[Alert] = []
        self.now = 0.0

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
        line.add(datetime.fromtimestamp(alert.since_utc_s).strftime("%H:%M:%S "), plain)
        lasted = text.duration(alert.lasted_s(self.now)) if alert.rule != "process_gone" else ""
        line.add(f"{lasted:>10}  ", plain)
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
        """A title line and two sentences."""
        palette = self.palette
        alert = self.screen.query_one(WarningList).current
        strips = []
        if alert is not None:
            state = "lasting" if alert.active else "over"
            said = [(f" {alert.title} ({state})", "strong"), (f" {alert.meaning}", "text"),
                    (f" {alert.advice}", "accent")]  # fmt: skip
            for words, role in said:
                style = palette.style(role, "surface")
                strips.append(Line(width).add(text.clean(words), style).strip(style))
        filler = blank(width, palette, "surface")
        return (strips + [filler] * height)[:height]


class WarningsScreen(Screen[None]):
    """The list, and the meaning of the one under the cursor."""

    DEFAULT_CSS = """
    WarningsScreen { layout: vertical; overflow: hidden; }
    WarningsScreen > LineWidget { width: 1fr; height: 1; }
    WarningsScreen > WarningList { height: 1fr; }
    WarningsScreen > Meaning { height: 3; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,w,q", "back", "back", show=False),
    ]

    @property
    def gputop(self) -> GputopApp:
        """The app, as the type it has."""
        return cast("GputopApp", self.app)

    def compose(self) -> ComposeResult:
        """Header, list, meaning, footer."""
        yield Header(id="header")
        yield WarningList()
        yield Meaning()
        yield Footer(WARNING_KEYS, id="footer")

    def on_mount(self) -> None:
        """Show what there is."""
        self.query_one(WarningList).focus()
        self.show(self.gputop.view)

    def show(self, view: View) -> None:
        """Draw a view."""
        self.query_one(Header).show(view, self.gputop.behind_s)
        page = self.query_one(WarningList)
        log = self.gputop.alerts
        picked = page.current
        page.alerts = [*log.active, *reversed(log.past)]
        page.now = view.now
        # The cursor stays on its warning while others come and go above it.
        page.cursor = next((n for n, a in enumerate(page.alerts) if a is picked), page.cursor)
        page.repaint()
        self.query_one(Meaning).repaint()

    def action_back(self) -> None:
        """Back to where it was opened."""
        self.dismiss()

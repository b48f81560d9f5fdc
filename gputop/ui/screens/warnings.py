"""Every warning, those that last first, then those that have been, then those of before."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap
from typing import ClassVar

from msgspec import Struct
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.strip import Strip

from gputop import text
from gputop.insight.alerts import Alert
from gputop.query import Filter
from gputop.query.warnings import WARNINGS, Warned
from gputop.ui.keys import HERE_TOO, Key, bindings
from gputop.ui.screens.base import ViewScreen
from gputop.ui.view import View
from gputop.ui.widgets.base import LineWidget, blank
from gputop.ui.widgets.filter_bar import FilterBar
from gputop.ui.widgets.footer import Footer
from gputop.ui.widgets.header import Header
from gputop.ui.widgets.line import Line
from gputop.ui.widgets.notice import Notice
from gputop.ui.widgets.page import LazyRows, Page

DAY_S = 86_400
WIDE_FROM = 100
"""Columns from which device names have a place."""

NARROW_BELOW = 80
"""Columns below which a sentence may need two lines."""

WARNING_KEYS: tuple[Key, ...] = (
    Key("back", "escape,w", "Esc", "back", "Back to the screen before.", "Warnings", footer=1,
        palette=False),
    Key("open", "enter", "Enter", "open", "Open the device of the warning.", "Warnings", footer=2,
        palette=False),
    Key("filter", "slash", "/", "filter",
        "Filter warnings: text, or terms such as severity:critical gpu:0 is:past.", "Warnings",
        footer=3, palette=False, typing=True),
)  # fmt: skip


class Columns(Struct, frozen=True):
    """Cells of the columns before what happened."""

    since: int
    lasted: int
    where: int


WIDE = Columns(since=12, lasted=12, where=18)
NARROW = Columns(since=9, lasted=11, where=3)
"""Where it is narrow a device is its index."""


class WarningList(Page):
    """One row a warning."""

    picks = True

    def __init__(self) -> None:
        super().__init__(id="warning-list")
        self.alerts: Sequence[Alert] = ()
        self.filter = Filter()
        self._view = View()

    def show(self, view: View) -> None:
        """Take the warnings of a view. An alert begun anew is another one."""
        picked = self.current
        self._view = view
        self.alerts = [alert for alert in view.alerts if self.filter(Warned(alert))]
        if picked is not None:
            same = (n for n, a in enumerate(self.alerts) if _same(a, picked))
            self.cursor = next(same, self.cursor)
        self.repaint()

    @property
    def current(self) -> Alert | None:
        """The warning under the cursor."""
        return self.alerts[self.cursor] if self.cursor < len(self.alerts) else None

    @property
    def place(self) -> str:
        """Where the cursor stands, and what the filter leaves."""
        every, passing = len(self._view.alerts), len(self.alerts)
        if not passing:
            return f"0 of {every}" if every else ""
        of = f"{self.cursor + 1} of {passing}"
        return of if passing == every else f"{of} ({every} in all)"

    def rows(self, width: int) -> Sequence[Strip]:
        """Lasting ones first."""
        if not self.alerts:
            filtered = bool(self._view.alerts)
            words = "No warning passes the filter." if filtered else "Nothing to warn of so far."
            style = self.palette.style("dim" if filtered else "good")
            return [Line(width).add(f"  {words}", style).strip(style)]
        return LazyRows(len(self.alerts), lambda number: self._row(number, width))

    def _row(self, number: int, width: int) -> Strip:
        palette, glyphs, columns = self.palette, self.gputop.glyphs, columns_of(width)
        alert, picked = self.alerts[number], number == self.cursor
        ground = "selection" if picked else "background"
        role = alert.severity if alert.active else "dim"
        plain = palette.style("text" if alert.active else "dim", ground)
        line = Line(width)
        line.add(glyphs.cursor if picked else " ", palette.style("accent", ground, bold=True))
        mark = f"{glyphs.severity(alert.severity)} {alert.severity:<8} "
        line.add(mark, palette.style(role, ground, bold=alert.active))
        since = since_text(alert, self._view.utc_s)[: columns.since - 1].strip()
        line.add(f"{since:>{columns.since - 1}} ", plain)
        lasted = lasted_text(alert, self._view.now, columns.lasted - 2)
        line.add(f"{lasted:>{columns.lasted - 2}}  ", plain)
        where = text.clean(alert.where)
        if columns is NARROW:
            where = where.partition(" ")[0]
        line.add(f"{text.fit(where, columns.where):<{columns.where}} ", plain)
        line.add(alert.title, palette.style("strong" if alert.active else "dim", ground))
        worst = alert.worst_detail or alert.detail
        if worst:
            line.add(f" {glyphs.dot} {text.clean(worst)}", palette.style("dim", ground))
        return line.strip(plain)

    def moved(self) -> None:
        """Say what the warning under the cursor means."""
        self.screen.query_one(Meaning).repaint()
        self.screen.query_one(Titles).repaint()


class Titles(LineWidget):
    """What the columns are, the filter, and where the cursor stands."""

    def draw(self, width: int, height: int) -> list[Strip]:
        """One row."""
        palette, columns = self.palette, columns_of(width)
        page = self.screen.query_one(WarningList)
        style = palette.style("dim", "surface")
        line = Line(width).add(f"   {'severity':<8} ", style)
        line.add(f"{'since':>{columns.since - 1}} ", style)
        line.add(f"{'lasted':>{columns.lasted - 2}}  ", style)
        where = "device" if columns is WIDE else "GPU"
        line.add(f"{where:<{columns.where}} what", style)
        if page.filter.text.strip():
            line = Line(width).add(f" /{text.clean(page.filter.text.strip())}",
                                   palette.style("accent", "surface"))  # fmt: skip
            line.add("  (/ Esc clears)", style)
        place = f" {page.place} "
        room = width - text.display_width(place)
        strip = line.strip(style).crop(0, room)
        return [Strip.join([strip, Line(width - room).add(place, style).strip(style)])]


class Meaning(LineWidget):
    """What the warning under the cursor means, and what to do."""

    def draw(self, width: int, height: int) -> list[Strip]:
        """What, where, since when; then what it means and what to do, in full."""
        palette = self.palette
        alert = self.screen.query_one(WarningList).current
        strips = []
        if alert is not None:
            detail = alert.worst_detail or alert.detail
            head = f"{alert.where}: {alert.title} ({state(alert)})"
            head += f" · {detail}" if detail else ""
            said = [(head, "strong"), (alert.meaning, "text"), (alert.advice, "accent")]
            for words, role in said:
                style = palette.style(role, "surface")
                for part in wrap(text.clean(words), max(width - 2, 20)):
                    strips.append(Line(width).add(f" {part}", style).strip(style))
        filler = blank(width, palette, "surface")
        return (strips + [filler] * height)[:height]


def columns_of(width: int) -> Columns:
    """The columns that a width has room for."""
    return WIDE if width >= WIDE_FROM else NARROW


def state(alert: Alert) -> str:
    """Whether it lasts, in a word or two."""
    if alert.before_start:
        return "before start"
    words = "lasting" if alert.active else "over"
    if alert.since_known:
        return words
    return f"{words}, begun before {text.local_time(alert.since_utc_s, '%H:%M:%S')}"


def since_text(alert: Alert, now_utc_s: float) -> str:
    """When it began, as far as that is known."""
    return when(alert.since_utc_s, now_utc_s) if alert.since_known else "earlier"


def lasted_text(alert: Alert, now: float, room: int) -> str:
    """How long it lasts or lasted; of a moment nothing, or that it was before the start."""
    lasted = alert.lasted_s(now)
    if lasted or alert.active:
        return text.fit(("" if alert.since_known else ">") + text.duration(lasted), room)
    return "before" if alert.before_start else ""


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
    WarningsScreen.narrow > Meaning { height: 6; }
    """
    BINDINGS: ClassVar[list[BindingType]] = bindings(WARNING_KEYS)

    def compose(self) -> ComposeResult:
        """Header, list, meaning, footer."""
        yield Header(id="header")
        yield Notice(id="notice")
        bar = FilterBar(WARNINGS, "severity:critical gpu:0 is:past", id="filter")
        bar.display = False
        yield bar
        yield Titles()
        yield WarningList()
        yield Meaning()
        yield Footer((*WARNING_KEYS, *HERE_TOO), id="footer")

    def on_mount(self) -> None:
        """Show what there is."""
        self.query_one(WarningList).focus()
        self.show(self.gputop.view)

    def on_resize(self) -> None:
        """Narrow lines are more lines."""
        self.set_class(self.size.width < NARROW_BELOW, "narrow")

    def draw_view(self, view: View) -> None:
        """The list, with the cursor on its warning while others come and go above it."""
        page = self.query_one(WarningList)
        page.show(view)
        self.query_one(Titles).repaint()
        self.query_one(Meaning).repaint()

    def action_open(self) -> None:
        """Open the device of the warning under the cursor."""
        alert = self.query_one(WarningList).current
        if alert is not None and alert.device is not None:
            self.gputop.open_device(alert.device)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """While a filter is typed its key is text."""
        return not (action == "filter" and self.query_one(FilterBar).typing)

    def action_filter(self) -> None:
        """Open the filter bar."""
        self.query_one(FilterBar).open(self.query_one(WarningList).filter.text)

    def on_filter_bar_changed(self, message: FilterBar.Changed) -> None:
        """Filter while typing."""
        page = self.query_one(WarningList)
        page.filter, page.cursor = message.filter, 0
        self.draw_view(self.gputop.view)

    def on_filter_bar_kept(self, message: FilterBar.Kept) -> None:
        """Back to the list, with the filter."""
        self._close_filter()

    def on_filter_bar_cleared(self, message: FilterBar.Cleared) -> None:
        """Back to the list, without the filter."""
        self._close_filter()

    def _close_filter(self) -> None:
        self.query_one(FilterBar).display = False
        self.query_one(WarningList).focus()

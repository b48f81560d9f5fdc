"""The row of a replay: what it does, where it is, and where the events are."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from rich.style import Style
from textual.strip import Strip

from gputop import text
from gputop.model.nvml_tables import Severity
from gputop.ui.widgets.line import Line

if TYPE_CHECKING:
    from gputop.sources.recording import Playback
    from gputop.ui.app import GputopApp
    from gputop.ui.replay import Replay

LEAST_BAR = 10
STATE_CELLS = 12


class Layout(NamedTuple):
    """What stands in the row."""

    state: str
    right: str
    bar: int
    """Cells of the bar behind the state; too few where there is no room for one."""

    def moment(self, x: int, play: Playback) -> float | None:
        """The moment that a cell of the row stands for; None beside the bar."""
        place = x - STATE_CELLS - 1
        if self.bar < LEAST_BAR or not 0 <= place < self.bar:
            return None
        return play.first_utc_s + place / (self.bar - 1) * (play.last_utc_s - play.first_utc_s)


def layout(app: GputopApp, replay: Replay, width: int) -> Layout:
    """What there is room for."""
    play = replay.playback
    if not play.playing:
        state = "end" if play.at_end and not play.growing else "stopped"
    elif play.at_end and play.growing:
        state = "following"
    else:
        state = f"playing {play.speed}x"
    here, whole = shown_utc_s(app, replay) - play.first_utc_s, play.last_utc_s - play.first_utc_s
    right = f" {_clock(here)} of {_clock(whole)} "
    bar = width - STATE_CELLS - 1 - len(right)
    wordy, brief = _more(replay)
    for words, cells, least in ((wordy, 21, 2 * LEAST_BAR), (brief, 13, LEAST_BAR)):
        more = f" {words:>{cells}} {app.glyphs.dot}"  # the bar stays as long while they change
        if words and bar - len(more) >= least:
            return Layout(state, more + right, bar - len(more))
    return Layout(state, right, bar)


def shown_utc_s(app: GputopApp, replay: Replay) -> float:
    """The moment of the frame that is drawn: the source may be at the next one already."""
    return app.view.utc_s if app.view.ready else replay.playback.utc_s


def timeline(app: GputopApp, replay: Replay, width: int) -> Strip:
    """The row, `width` cells."""
    palette = app.palette
    plain, dim = palette.style("text", "surface"), palette.style("dim", "surface")
    row = layout(app, replay, width)
    line = Line(width)
    line.add(f" {row.state:<{STATE_CELLS}}", palette.style("accent", "surface", bold=True))
    if row.bar >= LEAST_BAR:
        for mark, style in _bar(app, replay, row.bar):
            line.add(mark, style)
    line.add(row.right, dim if row.bar >= LEAST_BAR else plain)
    return line.strip(plain)


def _more(replay: Replay) -> tuple[str, str]:
    """What is going on behind the picture, or is not known; the same where there is less room."""
    play = replay.playback
    if play.indexed < 1:
        return f"indexing {play.indexed:.0%}", f"index {play.indexed:.0%}"
    if play.rebuilding:
        return f"reading history {play.rebuilt:.0%}", f"history {play.rebuilt:.0%}"
    span = play.last_utc_s - play.first_utc_s
    done = (replay.searched_utc_s - play.first_utc_s) / span if span > 0 else 1.0
    if done < 0.995 and not play.growing:
        return f"events searched {max(done, 0.0):.0%}", f"events {max(done, 0.0):.0%}"
    if play.known_utc_s > play.first_utc_s:
        begin = text.local_time(play.known_utc_s, "%H:%M:%S")
        return f"history from {begin}", f"from {begin}"
    return ("still being written", "growing") if play.growing else ("", "")


def _bar(app: GputopApp, replay: Replay, width: int) -> list[tuple[str, Style]]:
    """A cell a stretch of time: what was played, where it is, the worst event of the stretch."""
    palette, glyphs, play = app.palette, app.glyphs, replay.playback
    span = max(play.last_utc_s - play.first_utc_s, 1e-9)

    def column(utc_s: float) -> int:
        place = (utc_s - play.first_utc_s) / span * (width - 1)
        return max(0, min(round(place), width - 1))

    here, searched = column(shown_utc_s(app, replay)), replay.searched_utc_s
    events: dict[int, Severity] = {}
    for mark in replay.marks:
        place = column(mark.utc_s)
        if events.get(place) != "critical":
            events[place] = mark.severity
    known = column(searched) if searched > play.first_utc_s else -1
    if play.indexed < 1:
        known = round(play.indexed * (width - 1))  # what is looked for first: where blocks begin
    cells = []
    for place in range(width):
        if place == here:
            cells.append((glyphs.bar, palette.style("strong", "surface", bold=True)))
        elif severity := events.get(place):
            cells.append((glyphs.severity(severity), palette.style(severity, "surface")))
        else:
            stroke = glyphs.dash if place <= known else glyphs.dot
            role = "accent" if place < here else "dim"
            cells.append((stroke, palette.style(role, "surface")))
    return cells


def _clock(seconds: float) -> str:
    """A span as a player shows it: 1:02:03."""
    whole = max(int(seconds), 0)
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}" if hours else f"{rest // 60}:{rest % 60:02}"

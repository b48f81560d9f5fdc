"""The row of a replay: what it does, where it is, and where the events are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.style import Style
from textual.strip import Strip

from gputop import text
from gputop.model.nvml_tables import Severity
from gputop.ui.widgets.line import Line

if TYPE_CHECKING:
    from gputop.ui.app import GputopApp
    from gputop.ui.replay import Replay

LEAST_BAR = 10
DAY_S = 86_400


def timeline(app: GputopApp, replay: Replay, width: int) -> Strip:
    """The row, `width` cells."""
    palette, play = app.palette, replay.playback
    plain, dim = palette.style("text", "surface"), palette.style("dim", "surface")
    if not play.playing:
        state = "end" if play.at_end and not play.growing else "stopped"
    elif play.at_end and play.growing:
        state = "following"
    else:
        state = f"playing {play.speed}x"
    right = (
        f" {_clock(play.utc_s - play.first_utc_s)} of {_clock(play.last_utc_s - play.first_utc_s)} "
    )
    more = _more(replay)
    line = Line(width)
    line.add(f" {state:<11}", palette.style("accent", "surface", bold=True))
    bar = line.room - len(right)
    if more and bar - len(more) >= 2 * LEAST_BAR:
        right = f" {more} {app.glyphs.dot}{right}"
        bar = line.room - len(right)
    if bar >= LEAST_BAR:
        for mark, style in _bar(app, replay, bar):
            line.add(mark, style)
    line.add(right, dim if bar >= LEAST_BAR else plain)
    return line.strip(plain)


def _more(replay: Replay) -> str:
    """What is going on behind the picture, or is not known."""
    play = replay.playback
    if play.indexed < 1:
        return f"indexing {play.indexed:.0%}"
    if play.rebuilding:
        return f"reading history {play.rebuilt:.0%}"
    span = play.last_utc_s - play.first_utc_s
    done = (replay.searched_utc_s - play.first_utc_s) / span if span > 0 else 1.0
    if done < 0.995 and not play.growing:
        return f"events searched {max(done, 0.0):.0%}"
    if play.known_utc_s > play.first_utc_s:
        return f"history from {text.local_time(play.known_utc_s, '%H:%M:%S')}"
    return "still being written" if play.growing else ""


def _bar(app: GputopApp, replay: Replay, width: int) -> list[tuple[str, Style]]:
    """A cell a stretch of time: what was played, where it is, the worst event of the stretch."""
    palette, glyphs, play = app.palette, app.glyphs, replay.playback
    span = max(play.last_utc_s - play.first_utc_s, 1e-9)

    def column(utc_s: float) -> int:
        place = (utc_s - play.first_utc_s) / span * (width - 1)
        return max(0, min(round(place), width - 1))

    here, searched = column(play.utc_s), replay.searched_utc_s
    events: dict[int, Severity] = {}
    for mark in replay.marks:
        place = column(mark.utc_s)
        if events.get(place) != "critical":
            events[place] = mark.severity
    known = column(searched) if searched > play.first_utc_s else -1
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

"""What a replay adds to the screens: its keys' actions, and the events on its timeline."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gputop.errors import UsageError
from gputop.insight.host_state import HostState
from gputop.insight.marks import Mark, Searched
from gputop.insight.rules import Thresholds
from gputop.model.frame import AnyRecord
from gputop.settings import Settings
from gputop.sources.base import Source
from gputop.sources.marks import MarkSearch
from gputop.sources.rebuild import NewState
from gputop.sources.recording import Playback, RecordingSource
from gputop.text import local_time

if TYPE_CHECKING:
    from gputop.ui.app import GputopApp

NEAR_S = 0.5
"""A mark this close to the frame on screen is the one that was jumped to."""


class Replay:
    """A recording that plays."""

    def __init__(self, source: RecordingSource, settings: Settings, app: GputopApp) -> None:
        self.source = source
        self.marks: list[Mark] = []
        """The events found so far, in the order of time."""
        self.searched_utc_s = float("-inf")
        """Up to here they all are."""
        self._app = app
        self._thresholds = Thresholds.of(settings)
        self._searching = False
        self._search = MarkSearch(source.path, self._thresholds, self._found)
        source.reach_s = settings.window

    @classmethod
    def of(cls, source: Source, settings: Settings, app: GputopApp) -> Replay | None:
        """The replay of a source that is one."""
        return cls(source, settings, app) if isinstance(source, RecordingSource) else None

    @property
    def playback(self) -> Playback:
        """Where it is."""
        return self.source.playback

    def start(self) -> None:
        """Take the state after each jump."""
        self.source.on_jump(self._new_state)

    def picture_stands(self) -> None:
        """What was jumped to is drawn: now for what can wait."""
        self.source.picture_stands()
        if not self._searching:
            self._searching = True
            self._search.start()

    def stop(self) -> None:
        """Leave no search behind."""
        self._search.stop()

    def reach(self, seconds: float) -> None:
        """The charts show another time: history has to reach as far."""
        self.source.reach(seconds)

    def act(self, what: str, amount: int) -> None:
        """Do what a key says."""
        if what == "skip":
            self.source.skip(amount)
        elif what == "step":
            self.source.step(amount)
        elif what == "event":
            self._go_to_event(amount)
        elif what == "ask":
            self._ask()

    def go_to(self, words: str) -> str:
        """Go to a moment as it is written; what is wrong with it, or nothing."""
        from gputop.query.moment import moment

        try:
            self.source.seek(moment(words, self.playback.first_utc_s, self.playback.utc_s))
        except UsageError as problem:
            return str(problem)
        return ""

    def _ask(self) -> None:
        from gputop.ui.screens.go_to import GoToScreen

        self._app.push_screen(GoToScreen(self))

    def _go_to_event(self, direction: int) -> None:
        now = self.playback.utc_s
        if direction > 0:
            found = next((m for m in self.marks if m.utc_s > now + NEAR_S), None)
        elif self._searched(now):
            found = next((m for m in reversed(self.marks) if m.utc_s < now - NEAR_S), None)
        else:
            found = None  # the last one that is known need not be the one before
        if found is None:
            self._app.notify(self._nothing(direction), timeout=4)
            return
        self.source.seek(found.utc_s + NEAR_S)
        self._app.notify(f"{found.where}: {found.title}", timeout=4)

    def _searched(self, utc_s: float) -> bool:
        """Whether all events up to a moment are known."""
        return self.searched_utc_s >= utc_s - 1

    def _nothing(self, direction: int) -> str:
        upto = local_time(max(self.searched_utc_s, self.playback.first_utc_s), "%H:%M:%S")
        if not self._searched(self.playback.utc_s):
            return f"Events are searched up to {upto} so far, not yet up to here."
        if direction < 0:
            return "There is no event before this."
        if self._searched(self.playback.last_utc_s):
            return "There is no event after this."
        return f"No event after this up to {upto}; the rest is still being searched."

    def _new_state(self, to_s: float, whole: bool) -> NewState:
        """Called in the source's thread."""
        return _NewState(self._app, HostState(self._thresholds, whole), to_s)

    def _found(self, news: Mark | Searched) -> None:
        """Called in the search's thread."""
        if isinstance(news, Searched):
            self.searched_utc_s = news.utc_s
        else:
            place = len(self.marks)
            while place and self.marks[place - 1].utc_s > news.utc_s:
                place -= 1
            self.marks.insert(place, news)


class _NewState:
    """A state in the making, in the source's thread."""

    def __init__(self, app: GputopApp, state: HostState, to_s: float) -> None:
        self._app, self._state, self._to_s = app, state, to_s

    def apply(self, record: AnyRecord) -> None:
        """Take the next record."""
        self._state.apply(record, self._to_s - record.boottime_s)

    def show(self) -> None:
        """Take the place of the app's state; what it went through happened when it was recorded."""
        self._state.alerts.take_changes()
        self._app.take_state(self._state)

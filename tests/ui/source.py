"""A source that plays records from a list, and the app on it."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from textual.pilot import Pilot

from gputop.model.commands import Command
from gputop.model.frame import AnyRecord
from gputop.settings import Settings
from gputop.sources.base import OnRecord, OnStatus, SourceStatus
from gputop.ui.app import GputopApp

POLL_S = 0.02


class ListSource:
    live = True
    can_seek = False
    can_set_interval = True
    late_s = 0.0
    can_signal = False
    period_s = 1.0

    def __init__(self, records: Sequence[AnyRecord]) -> None:
        self.records = list(records)
        self.sent: list[Command] = []
        self.stopped = False
        self._on_record: OnRecord | None = None
        self._on_status: OnStatus | None = None

    def start(self, on_record: OnRecord, on_status: OnStatus) -> None:
        self._on_record, self._on_status = on_record, on_status
        for record in self.records:
            on_record(record)

    def feed(self, *records: AnyRecord) -> None:
        assert self._on_record is not None
        for record in records:
            self._on_record(record)

    def say(self, status: SourceStatus) -> None:
        assert self._on_status is not None
        self._on_status(status)

    def send(self, command: Command) -> None:
        self.sent.append(command)

    def stop(self) -> None:
        self.stopped = True


def app_on(records: Sequence[AnyRecord], **settings: Any) -> GputopApp:
    """The real app on a list of records; settings by their names with underscores."""
    values = {"theme": "dark", **{name.replace("_", "-"): v for name, v in settings.items()}}
    return GputopApp(ListSource(records), Settings(values))


async def wait_until(pilot: Pilot[Any], condition: Callable[[], object]) -> None:
    """Let the app go on until something holds, such as what a thread brings."""
    patience_s = 30.0
    for _ in range(round(patience_s / POLL_S)):
        await pilot.pause()
        if condition():
            return
        await asyncio.sleep(POLL_S)
    raise AssertionError("it never came")


async def charts_drawn(pilot: Pilot[Any]) -> None:
    """Wait for the charts of the device screen, where it is on top: a thread draws them."""
    for _ in range(3):  # what is drawn may change the layout, and so what is to be drawn
        screen = pilot.app.screen
        await wait_until(
            pilot, lambda screen=screen: all(c.settled for c in screen.query("#charts"))
        )


def screen_lines(app: GputopApp) -> list[str]:
    """What is on screen, row by row, without styles."""
    height = app.size.height
    lines = app.screen._compositor.render_strips()
    assert len(lines) == height
    return [strip.text for strip in lines]

"""The app on a recording, and waiting for what its threads do."""

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from gputop.insight.host_state import HostState
from gputop.model.frame import AnyRecord
from gputop.recording import RecordingWriter
from gputop.recording import writer as writing
from gputop.settings import Settings
from gputop.sources.recording import RecordingSource
from gputop.ui.app import GputopApp
from tests.demo_records import START_S, demo_records

SECONDS = 200
"""How long the recorded demo is."""
PATIENCE_S = 120.0
"""A net for what never comes; nothing is measured by it."""


def recorded(folder: Path, records: Sequence[AnyRecord], name: str = "a.ndjson.zst") -> Path:
    with RecordingWriter(folder / name, with_args=True, sync=False) as writer:
        for record in records:
            writer.write(record)
    return folder / name


def recording_source(folder: Path, records: Sequence[AnyRecord], at: str = "") -> RecordingSource:
    return RecordingSource(recorded(folder, records), at)


def replay_app(source: RecordingSource, **settings: Any) -> GputopApp:
    values = {"theme": "dark", **{name.replace("_", "-"): v for name, v in settings.items()}}
    return GputopApp(source, Settings(values))


async def wait_until(pilot: Pilot[Any], condition: Callable[[], object]) -> None:
    until = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < until, f"never came true: {condition}"
        await asyncio.sleep(0.01)
        await pilot.pause()


async def replay_is_ready(app: GputopApp, pilot: Pilot[Any]) -> None:
    """Everything that goes on behind the picture is done."""
    replay = app.replay
    assert replay is not None
    await wait_until(pilot, lambda: app.view.ready and replay.playback.indexed == 1)
    await wait_until(pilot, lambda: replay.searched_utc_s >= replay.playback.last_utc_s)
    await wait_until(pilot, lambda: not replay.playback.rebuilding)


def recorded_demo(folder: Path) -> Path:
    """Eight devices in blocks of 25 frames."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writing, "BLOCK_FRAMES", 25)
        return recorded(folder, demo_records(8, SECONDS))


def played_to(seconds: float) -> HostState:
    """The state that playing from the start would have made."""
    state = HostState()
    for record in demo_records(8, SECONDS):
        if record.boottime_s <= START_S + seconds:
            state.apply(record)
    return state


async def stopped_at(
    app: GputopApp, pilot: Pilot[Any], source: RecordingSource, seconds: float
) -> None:
    """Stand still at a moment, with everything that led up to it."""
    await replay_is_ready(app, pilot)
    if source.playback.playing:
        source.toggle()
    source.seek(source.playback.first_utc_s + seconds)
    await wait_until(pilot, lambda: app.view.now == START_S + seconds)
    await wait_until(pilot, lambda: not source.playback.rebuilding)
    await pilot.pause()


def charts(state: HostState, metric: str, end: float, seconds: float = 60) -> list[Any]:
    """What the charts of all devices show of a metric, second by second."""
    return [
        series.span(second, second + 1)
        for device in state.store.devices
        if (series := device.history.series(metric))
        for second in range(int(end - seconds), int(end) + 1)
    ]

"""The app on a recording, and waiting for what its threads do."""

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from textual.pilot import Pilot

from gputop.model.frame import AnyRecord
from gputop.recording import RecordingWriter
from gputop.settings import Settings
from gputop.sources.recording import RecordingSource
from gputop.ui.app import GputopApp

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

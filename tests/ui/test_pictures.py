"""Pictures of the screens (SVG), for what only an eye can judge.

A picture that was meant to change is drawn anew with GPUTOP_NEW_PICTURES=1; look at it then.
"""

import os
import re
from pathlib import Path

import pytest

from gputop.ui.app import GputopApp
from tests.demo_records import MY_UID, START_S, demo_records
from tests.samples import no_driver_frame, no_driver_hello
from tests.ui.replay import recording_source, replay_app, replay_is_ready, wait_until
from tests.ui.source import app_on, charts_drawn

PICTURES = Path(__file__).parent / "pictures"
SIZES = {"80x24": (80, 24), "120x40": (120, 40), "200x50": (200, 50)}

CASES = {
    "large-1": (1, ()),
    "devices-2": (2, ()),
    "devices-8": (8, ()),
    "devices-16": (16, ()),
    "device": (8, ("tab", "enter")),
    "device-cursor": (8, ("tab", "enter", "n", "n", "n", "n", "n", *["left"] * 9)),
    "device-peers": (8, ("tab", "enter", "down", "down", "m")),
    "device-pair": (8, ("tab", "enter", "n", "v", "v")),
    "process": (8, ("enter",)),
    "warnings": (8, ("w",)),
    "help": (8, ("question_mark",)),
    "filter": (8, ("slash", *"user:ann", "enter")),
    "light": (8, ("t",)),
    "mono": (8, ("t", "t", "t", "t")),
}


def normal(svg: str) -> str:
    """The picture without what differs from run to run: generated ids and fonts' addresses."""
    svg = re.sub(r"terminal-\d+", "terminal", svg)
    svg = re.sub(r"@font-face\s*\{.*?\}\s*", "", svg, flags=re.S)
    return "\n".join(line.rstrip() for line in svg.splitlines()) + "\n"


def compare(name: str, svg: str) -> None:
    path = PICTURES / f"{name}.svg"
    if os.environ.get("GPUTOP_NEW_PICTURES"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(normal(svg))
    assert path.exists(), f"{path.name} is missing; draw it with GPUTOP_NEW_PICTURES=1"
    assert normal(svg) == path.read_text(), f"{path.name} looks different now"


@pytest.fixture(autouse=True)
def one_time_zone(monkeypatch):
    """Clock times are shown in local time."""
    import time

    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture(autouse=True)
def no_time_passes(monkeypatch):
    """On a busy machine seconds go by before the picture is drawn, and its readings get old."""
    monkeypatch.setattr(GputopApp, "behind_s", None)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("case", CASES)
async def test_picture(case, size):
    devices, keys = CASES[case]
    app = app_on(demo_records(devices, 60))
    app.overview.table.uid = MY_UID
    async with app.run_test(size=SIZES[size]) as pilot:
        for _ in range(3):  # the table is as wide as what it showed before the keys
            await pilot.pause()
        await pilot.press(*keys)
        await pilot.pause()
        await charts_drawn(pilot)
        app.clear_notifications()
        await pilot.pause()
        compare(f"{case}-{size}", app.export_screenshot(title="gputop"))


@pytest.mark.parametrize("size", SIZES)
async def test_picture_of_a_replay(size, tmp_path):
    """Stopped two minutes and twenty seconds into it, every event found."""
    source = recording_source(tmp_path, demo_records(8, 200))
    app = replay_app(source)
    app.overview.table.uid = MY_UID
    async with app.run_test(size=SIZES[size]) as pilot:
        await replay_is_ready(app, pilot)
        source.toggle()
        source.seek(source.playback.first_utc_s + 140)
        await wait_until(pilot, lambda: app.view.now >= START_S + 140)
        await wait_until(pilot, lambda: not source.playback.rebuilding)
        await pilot.pause()
        compare(f"replay-{size}", app.export_screenshot(title="gputop"))


async def test_picture_without_a_driver():
    app = app_on([no_driver_hello(), no_driver_frame()])
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        compare("no-driver-80x24", app.export_screenshot(title="gputop"))

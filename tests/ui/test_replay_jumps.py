"""What a replay does first and what it does later: the picture, then the index, then history."""

from __future__ import annotations

import time

import pytest

from gputop.model.frame import Frame
from gputop.recording import RecordingIndex
from gputop.recording import reader as reading
from gputop.sources import recording as playing
from gputop.sources.marks import MarkSearch
from gputop.sources.rebuild import Rebuild
from gputop.sources.recording import RecordingSource
from tests.demo_records import START_S
from tests.ui.replay import (
    charts,
    played_to,
    recorded_demo,
    replay_app,
    replay_is_ready,
    stopped_at,
    wait_until,
)
from tests.ui.source import screen_lines


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return recorded_demo(tmp_path_factory.mktemp("jumps"))


@pytest.fixture
def source(path):
    return RecordingSource(path)


def hold(monkeypatch, release):
    """Have no history read before `release` says so; the rebuilds that were begun."""
    begun = []
    make, work = Rebuild.__init__, Rebuild.work

    def begin(self, *arguments):
        begun.append(self)
        make(self, *arguments)

    monkeypatch.setattr(Rebuild, "__init__", begin)

    def go_on(*arguments):
        if release():
            return work(*arguments)
        time.sleep(0.01)  # the thread asks again at once
        return False

    monkeypatch.setattr(Rebuild, "work", go_on)
    return begun


def lasting(state):
    """The warnings that are no moments, by their rule and device."""
    return {
        (alert.rule, alert.device): alert
        for alert in state.alerts.active
        if not alert.rule.startswith("xid:")
    }


async def test_the_first_picture_waits_for_neither_index_nor_events(path, monkeypatch):
    """Nothing of the file is looked through until it stands, and no search is begun."""
    stood = []

    def noting(call):
        return lambda *arguments: (stood.append(app.view.ready), call(*arguments))[1]

    monkeypatch.setattr(playing, "PICTURE_S", 1e6)
    source = RecordingSource(path)
    monkeypatch.setattr(source, "_look_further", noting(source._look_further))
    monkeypatch.setattr(MarkSearch, "start", noting(MarkSearch.start))
    app = replay_app(source)
    async with app.run_test(size=(120, 40)) as pilot:
        await replay_is_ready(app, pilot)
    assert len(stood) >= 2
    assert all(stood)


def test_what_can_wait_is_read_without_a_picture_too(source, monkeypatch):
    """Where the terminal stands still."""
    monkeypatch.setattr(playing, "PICTURE_S", 0.0)
    source._seek(source.playback.first_utc_s + 100)
    source._turn()
    assert source.playback.indexed == 0, "the picture comes first"
    source._turn()
    assert source.playback.indexed > 0


def test_a_jump_reads_its_block_and_shows_one_frame(source, monkeypatch):
    """Not what lies between, nor what is behind; and the state gets the target only."""
    while source.playback.indexed < 1:
        source._look_further()
    decoded, shown = [], []
    decode = reading.LineDecoder.decode
    monkeypatch.setattr(
        reading.LineDecoder, "decode", lambda *a: (decoded.append(1), decode(*a))[1]
    )

    class State:
        def apply(self, record):
            shown.append(record)

        def show(self):
            shown.append(len(decoded))

    source.on_jump(lambda to_s, whole: State())
    target = source.playback.first_utc_s + 149
    source._seek(target)
    assert [record.utc_s for record in shown if isinstance(record, Frame)] == [target]
    assert shown[-1] <= 25 + 5, "a block's frames, its header, the hello, and one frame more"


async def test_playing_goes_on_while_history_is_read(source, monkeypatch):
    app = replay_app(source)
    async with app.run_test(size=(120, 40)) as pilot:
        await stopped_at(app, pilot, source, 20)
        target = source.playback.first_utc_s + 60
        hold(monkeypatch, lambda: source.playback.utc_s >= target + 3)
        source.toggle()
        source.faster(2)
        await wait_until(pilot, lambda: source.playback.playing)
        source.seek(target)
        await wait_until(pilot, lambda: source.playback.rebuilding)
        await wait_until(pilot, lambda: not source.playback.rebuilding)
        assert source.playback.playing
        source.toggle()
        await wait_until(pilot, lambda: not source.playback.playing)
        await wait_until(pilot, lambda: app.view.utc_s == source.playback.utc_s)
        seconds = source.playback.utc_s - source.playback.first_utc_s
        assert seconds >= 63
        wanted = played_to(seconds)
        assert app.store.frame == wanted.store.frame
        assert charts(app.state, "power_w", app.view.now) == charts(wanted, "power_w", app.view.now)
        assert [(a.rule, a.device, a.since_s) for a in app.alerts.active] == [
            (a.rule, a.device, a.since_s) for a in wanted.alerts.active
        ]


async def test_a_key_that_does_not_move_in_time_lets_history_be_read(source, monkeypatch):
    app = replay_app(source)
    async with app.run_test(size=(120, 40)) as pilot:
        await stopped_at(app, pilot, source, 20)
        released = []
        begun = hold(monkeypatch, lambda: bool(released))
        source.seek(source.playback.first_utc_s + 150)
        await wait_until(pilot, lambda: begun)
        await wait_until(pilot, lambda: "reading history 0%" in screen_lines(app)[1])
        await pilot.press("plus", "plus", "p")
        await wait_until(pilot, lambda: source.playback.speed == 4 and source.playback.playing)
        await pilot.press("p", "full_stop", "minus")
        await wait_until(pilot, lambda: source.playback.speed == 2 and not source.playback.playing)
        released.append(True)
        await wait_until(pilot, lambda: not source.playback.rebuilding)
        assert len(begun) == 1
        await wait_until(pilot, lambda: "reading history" not in screen_lines(app)[1])


async def test_a_beginning_that_was_jumped_over_is_not_known(source, monkeypatch):
    """First only the target is there, then what led up to it, and when all is read it is known."""
    monkeypatch.setattr(playing, "FIRST_S", 10.0)
    app = replay_app(source)
    app.replay.reach(100.0)
    async with app.run_test(size=(120, 40)) as pilot:
        await stopped_at(app, pilot, source, 20)
        released = []
        hold(monkeypatch, lambda: bool(released))
        source.seek(source.playback.first_utc_s + 190)
        await wait_until(pilot, lambda: app.view.now == START_S + 190)
        assert lasting(app.state)
        assert not any(alert.since_known for alert in lasting(app.state).values())
        await pilot.press("w")
        await pilot.pause()
        assert "earlier" in "\n".join(screen_lines(app))
        assert "begun before" in "\n".join(screen_lines(app))
        released.append(True)
        await wait_until(pilot, lambda: not source.playback.rebuilding)
        await pilot.pause()
        wanted, found = lasting(played_to(190)), lasting(app.state)
        assert wanted.keys() == found.keys()
        known = source.playback.known_utc_s - source.playback.first_utc_s + START_S
        assert 0 < known - START_S < 190
        assert {alert.since_known for alert in found.values()} == {False, True}
        for key, alert in found.items():
            assert alert.since_known == (wanted[key].since_s > known), key
            assert alert.since_s == max(wanted[key].since_s, known)
        app.replay.reach(300.0)
        await wait_until(pilot, lambda: source.playback.known_utc_s == source.playback.first_utc_s)
        await wait_until(pilot, lambda: lasting(app.state) == wanted)


async def test_what_stands_on_the_screen_stays_until_a_longer_history_is_read(source, monkeypatch):
    monkeypatch.setattr(playing, "FIRST_S", 10.0)
    app = replay_app(source)
    app.replay.reach(60.0)
    async with app.run_test(size=(120, 40)) as pilot:
        await stopped_at(app, pilot, source, 190)
        taken = []
        take = app.take_state
        monkeypatch.setattr(app, "take_state", lambda state: (taken.append(state), take(state))[1])
        app.replay.reach(300.0)
        await wait_until(pilot, lambda: source.playback.known_utc_s == source.playback.first_utc_s)
        await wait_until(pilot, lambda: taken and app.state is taken[-1])
        assert len(taken) == 1
        end = app.view.now
        assert charts(app.state, "power_w", end, 180) == charts(played_to(190), "power_w", end, 180)


def test_opening_looks_through_nothing(path, monkeypatch):
    scanned = []
    monkeypatch.setattr(RecordingIndex, "scan", lambda self: scanned.append(1))
    assert RecordingSource(path).playback.first_utc_s
    assert not scanned


def test_it_tells_how_far_history_is_read(source, monkeypatch):
    monkeypatch.setattr(playing, "WORK_S", 0.0)
    monkeypatch.setattr(playing, "PICTURE_S", 0.0)
    while source.playback.indexed < 1:
        source._look_further()
    source._seek(source.playback.first_utc_s + 150)
    told = []
    source._on_status = lambda status: told.append(source.playback.rebuilt)
    while source.playback.rebuilding:
        source._turn()
    assert told == sorted(told)
    assert len(set(told)) > 10
    assert told[-1] == 1.0

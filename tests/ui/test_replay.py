"""A recording in the screens: keys, jumps, and a state that is what playing would have made."""

from dataclasses import replace

import pytest
from textual.widgets import Input

from gputop.model.frame import Frame
from gputop.recording import RecordingWriter
from gputop.recording import writer as writing
from gputop.sources.recording import RecordingSource
from gputop.ui.widgets.timeline import STATE_CELLS, layout
from tests.demo_records import START_S, demo_records
from tests.ui.replay import (
    SECONDS,
    charts,
    played_to,
    recorded,
    recorded_demo,
    replay_app,
    stopped_at,
    wait_until,
)
from tests.ui.source import screen_lines


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """Writing it is a third of a test here, and nobody changes it."""
    return recorded_demo(tmp_path_factory.mktemp("replay"))


@pytest.fixture
def source(path):
    return RecordingSource(path)


def verdict_key(state, device):
    verdict = state.verdicts.of(device.uuid)
    return verdict.key if verdict else None


async def test_it_says_that_it_is_a_replay_and_when_that_was(source):
    app = replay_app(source)
    async with app.run_test(size=(120, 40)) as pilot:
        await stopped_at(app, pilot, source, 100)
        first, second, *_ = screen_lines(app)
        assert "REPLAY" in first
        assert "2026-11-18" in first
        assert second.startswith(" stopped")
        assert "1:40 of 3:20" in second
        assert "▲" in second
        assert "✗" in second
        assert app.behind_s is None
        assert "recording" in app.can_signal


@pytest.mark.parametrize("seconds", [70, 163])
async def test_after_a_jump_all_is_as_if_it_had_been_played(source, seconds):
    """Readings, charts, warnings with their beginnings, throttle shares, processes."""
    app = replay_app(source)
    async with app.run_test(size=(120, 40)) as pilot:
        await stopped_at(app, pilot, source, 190)
        await stopped_at(app, pilot, source, seconds)
        wanted, end = played_to(seconds), START_S + seconds
        assert app.store.frame == wanted.store.frame
        for metric in ("gpu_utilization", "power_w", "temperature_c"):
            assert charts(app.state, metric, end) == charts(wanted, metric, end)
        assert [(a.rule, a.device, a.since_s) for a in app.alerts.active] == [
            (a.rule, a.device, a.since_s) for a in wanted.alerts.active
        ]
        for mine, theirs in zip(app.store.devices, wanted.store.devices, strict=True):
            assert mine.throttle.shares(end, 60) == theirs.throttle.shares(end, 60)
            assert verdict_key(app.state, mine) == verdict_key(wanted, theirs)
        assert len(app.process_history) == len(wanted.process_history)


async def test_it_plays_on_from_where_it_jumped_to(source):
    app = replay_app(source)
    async with app.run_test(size=(120, 40)) as pilot:
        await stopped_at(app, pilot, source, 100)
        await pilot.press("plus", "plus", "plus", "plus", "plus", "plus", "p")
        await wait_until(pilot, lambda: source.playback.at_end)
        await wait_until(pilot, lambda: app.view.now == START_S + SECONDS)
        assert app.store.frame == played_to(SECONDS).store.frame
        assert charts(app.state, "power_w", app.view.now) == charts(
            played_to(SECONDS), "power_w", app.view.now
        )
        await wait_until(pilot, lambda: " end " in screen_lines(app)[1])


async def test_the_keys(source):
    app = replay_app(source)
    async with app.run_test(size=(120, 40)) as pilot:
        await stopped_at(app, pilot, source, 100)
        at = START_S + 100
        for key, moves in (
            ("right_parenthesis", 10), ("left_parenthesis", -10), ("full_stop", 1), ("comma", -1),
            ("left_curly_bracket", -100), ("right_curly_bracket", SECONDS),
            ("left_curly_bracket", -SECONDS),
        ):  # fmt: skip
            at += moves
            await pilot.press(key)
            await wait_until(pilot, lambda at=at: app.view.now == at)
        await pilot.press("plus")
        await wait_until(pilot, lambda: source.playback.speed == 2)
        await pilot.press("minus", "minus")
        await wait_until(pilot, lambda: source.playback.speed == 1)


async def test_the_next_event_and_the_one_before(source):
    app = replay_app(source)
    async with app.run_test(size=(120, 40)) as pilot:
        await stopped_at(app, pilot, source, 5)
        marks = [mark.utc_s for mark in app.replay.marks]
        assert marks == sorted(marks)
        assert len(marks) > 5
        wanted = next(at for at in marks if at > source.playback.utc_s + 0.5)
        await pilot.press("f")
        await wait_until(pilot, lambda: abs(source.playback.utc_s - wanted) <= 1)
        alerts = [alert for alert in app.alerts.active if abs(alert.since_utc_s - wanted) <= 1]
        assert alerts
        wanted = [at for at in marks if at < source.playback.utc_s - 0.5][-1]
        await pilot.press("F")
        await wait_until(pilot, lambda: abs(source.playback.utc_s - wanted) <= 1)


async def test_going_to_a_time(source):
    app = replay_app(source)
    async with app.run_test(size=(120, 40)) as pilot:
        await stopped_at(app, pilot, source, 5)
        await pilot.press("a", *"nonsense", "enter")
        await pilot.pause()
        assert any("is not a clock time" in line for line in screen_lines(app))
        await pilot.press(*["backspace"] * 8, *"90s", "enter")
        await wait_until(pilot, lambda: app.view.now == START_S + 90)
        await pilot.press("a", *"+30s", "enter")
        await wait_until(pilot, lambda: app.view.now == START_S + 120)


async def test_a_file_cut_off_plays_up_to_the_cut_and_says_so(tmp_path):
    whole = recorded(tmp_path, demo_records(2, 30), "whole.ndjson").read_bytes()
    path = tmp_path / "cut.ndjson"
    path.write_bytes(whole[: len(whole) - 3000])
    source = RecordingSource(path)
    app = replay_app(source)
    async with app.run_test(size=(120, 40)) as pilot:
        await wait_until(pilot, lambda: "cut off after line" in "\n".join(screen_lines(app)))
        assert source.playback.last_utc_s > START_S
        last = source.playback.last_utc_s - source.playback.first_utc_s
        await stopped_at(app, pilot, source, last)
        assert 0 < last < 30


async def test_a_recording_is_followed_while_it_grows(tmp_path):
    records = demo_records(2, 40)
    path = tmp_path / "a.ndjson.zst"
    writer = RecordingWriter(path, with_args=True)
    for record in records[:20]:
        writer.write(record)
    source = RecordingSource(path)
    app = replay_app(source)
    async with app.run_test(size=(120, 40)) as pilot:
        await wait_until(pilot, lambda: source.playback.growing)
        source.seek(source.playback.last_utc_s)
        source.faster(6)
        await wait_until(pilot, lambda: screen_lines(app)[1].startswith(" following"))
        before = source.playback.last_utc_s
        for record in records[20:]:
            writer.write(record)
        await wait_until(pilot, lambda: source.playback.last_utc_s > before + 10)
        writer.close()
        last = [record for record in records if isinstance(record, Frame)][-1]
        await wait_until(pilot, lambda: app.store.frame == last)
        await wait_until(pilot, lambda: not source.playback.growing)


async def test_bells_and_commands_are_not_for_what_is_played_back(source):
    told = []
    app = replay_app(source)
    app.announcer.take = lambda *news: told.append(news)
    async with app.run_test(size=(120, 40)) as pilot:
        await stopped_at(app, pilot, source, 1)
        await pilot.press("plus", "plus", "plus", "plus", "plus", "plus", "p")
        await wait_until(pilot, lambda: source.playback.at_end)
        assert app.alerts.active
        assert not told


async def test_beginning_late_reads_nothing_in_between(tmp_path, monkeypatch):
    """Also while the blocks are still being looked for."""
    from gputop.recording import RecordingIndex, reader

    monkeypatch.setattr(writing, "BLOCK_FRAMES", 10)
    path = recorded(tmp_path, demo_records(8, SECONDS))
    scan = RecordingIndex.scan
    monkeypatch.setattr(RecordingIndex, "scan", lambda self: scan(self, 20_000))
    decoded = []
    decode = reader.LineDecoder.decode
    monkeypatch.setattr(reader.LineDecoder, "decode", lambda *a: (decoded.append(1), decode(*a))[1])
    source = RecordingSource(path, "190s")
    assert len(source._index.blocks) < 10
    source._seek(source._start_utc_s)
    assert source.playback.utc_s - source.playback.first_utc_s == 190
    assert len(decoded) < 40


async def test_a_second_enter_goes_nowhere_and_closes_nothing(source):
    app = replay_app(source)
    async with app.run_test(size=(120, 40)) as pilot:
        await stopped_at(app, pilot, source, 100)
        await pilot.press("a", *"20s")
        field = app.screen.query_one(Input)
        for _ in range(2):
            field.post_message(Input.Submitted(field, "20s"))
        await pilot.pause()
        await pilot.pause()
        assert app.screen is app.overview


async def test_keys_to_go_back_that_come_at_once_go_back_once(source):
    app = replay_app(source)
    async with app.run_test(size=(120, 40)) as pilot:
        await stopped_at(app, pilot, source, 100)
        await pilot.press("w")
        screen = app.screen
        screen.action_back()
        screen.action_back()
        await pilot.pause()
        assert app.screen is app.overview


async def test_a_click_on_the_timeline_goes_there(source):
    app = replay_app(source)
    async with app.run_test(size=(120, 40)) as pilot:
        await stopped_at(app, pilot, source, 20)
        begin = end = 0
        for share in (0.0, 1.0, 0.5):
            await wait_until(pilot, lambda: not source.playback.rebuilding)
            row = layout(app, app.replay, 120)
            begin, end = STATE_CELLS + 1, STATE_CELLS + row.bar
            await pilot.click("#header", offset=(round(begin + share * (end - begin)), 1))
            wanted = START_S + share * SECONDS
            await wait_until(pilot, lambda wanted=wanted: abs(app.view.now - wanted) <= 2)
            assert share or screen_lines(app)[1][begin] == app.glyphs.bar
        at = source.playback.utc_s
        await pilot.click("#header", offset=(begin - 1, 1))
        await pilot.click("#header", offset=(begin, 0))
        await pilot.pause()
        assert source.playback.utc_s == at


async def test_the_timeline_is_of_the_moment_that_is_drawn(source):
    """The source may be at another one already: what stands together belongs together."""
    app = replay_app(source)
    async with app.run_test(size=(120, 40)) as pilot:
        await stopped_at(app, pilot, source, 100)
        source.playback = replace(source.playback, utc_s=source.playback.first_utc_s + 50)
        app._redraw_age()
        await pilot.pause()
        assert "1:40 of 3:20" in screen_lines(app)[1]


@pytest.mark.parametrize(("width", "words"), [(60, "history 40%"), (120, "reading history 40%")])
async def test_it_says_what_it_does_however_narrow(source, width, words):
    app = replay_app(source)
    async with app.run_test(size=(width, 20)) as pilot:
        await stopped_at(app, pilot, source, 100)
        source.faster(6)
        await wait_until(pilot, lambda: source.playback.speed == 64)
        source.playback = replace(source.playback, rebuilt=0.4, playing=True)
        app._redraw_age()
        await pilot.pause()
        row = screen_lines(app)[1]
        assert row.startswith(" playing 64x ")
        assert f" {words} " in row
        assert "1:40 of 3:20" in row


@pytest.mark.parametrize("part", [0.0, 0.5, 0.9])
async def test_a_bar_shows_how_much_of_the_index_is_found(source, part):
    app = replay_app(source)
    async with app.run_test(size=(120, 20)) as pilot:
        await stopped_at(app, pilot, source, 0)
        source.playback = replace(source.playback, indexed=part)
        app._redraw_age()
        await pilot.pause()
        row = screen_lines(app)[1]
        assert f"indexing {part:.0%}" in row
        bar = row[13:].split(" ")[0]
        assert len(bar) > 50
        found = part * (len(bar) - 1)
        assert all(place <= found + 1 for place, mark in enumerate(bar) if mark == "─")
        assert all(place >= found - 1 for place, mark in enumerate(bar) if mark == "·")
        assert "·" in bar


async def test_no_key_is_offered_that_does_nothing_here(source):
    app = replay_app(source)
    async with app.run_test(size=(200, 50)) as pilot:
        await stopped_at(app, pilot, source, 5)
        footer = screen_lines(app)[-1]
        assert "+ - speed" in footer
        for words in ("R record", "- slower", "x release", "K signal"):
            assert words not in footer
        titles = [command.title for command in app.get_system_commands(app.screen)]
        assert "Next event (f)" in titles
        assert not {"Record (R)", "Release (x)", "Read the slow values now"} & set(titles)


async def test_what_is_said_where_events_are_not_searched_yet(source):
    app = replay_app(source)
    async with app.run_test(size=(120, 40)) as pilot:
        await stopped_at(app, pilot, source, 100)
        app.replay.searched_utc_s = source.playback.first_utc_s + 50
        app.replay.marks.clear()
        assert "not yet up to here" in app.replay._nothing(1)
        assert "not yet up to here" in app.replay._nothing(-1)
        app.replay.searched_utc_s = source.playback.first_utc_s + 150
        assert "the rest is still being searched" in app.replay._nothing(1)
        app.replay.searched_utc_s = source.playback.last_utc_s
        assert app.replay._nothing(1) == "There is no event after this."


async def test_the_event_before_is_not_taken_for_one_much_earlier(source, monkeypatch):
    """Between the last one that is known and here others may be found yet."""
    app, said = replay_app(source), []
    monkeypatch.setattr(app, "notify", lambda words, **_: said.append(words))
    async with app.run_test(size=(120, 40)) as pilot:
        await stopped_at(app, pilot, source, 190)
        first, searched = source.playback.first_utc_s, app.replay.searched_utc_s
        app.replay.searched_utc_s = first + 100
        await pilot.press("F")
        await wait_until(pilot, lambda: said)
        assert "not yet up to here" in said[0]
        app.replay.searched_utc_s = searched
        await pilot.press("F")
        await wait_until(pilot, lambda: app.view.now < START_S + 190)
        assert source.playback.utc_s > first + 100


async def test_the_moment_is_seen_while_a_time_is_typed(source):
    app = replay_app(source)
    async with app.run_test(size=(60, 15)) as pilot:
        await stopped_at(app, pilot, source, 100)
        await pilot.press("a")
        await pilot.pause()
        lines = screen_lines(app)
        assert "1:40 of 3:20" in lines[1]
        assert any("a time" in line for line in lines)

"""What stretch of time the charts show, and where the cursor goes."""

import pytest

from gputop.model.metrics import BY_NAME
from gputop.text import Units
from gputop.ui.device.axes import time_ticks, value_axis
from gputop.ui.device.timeline import REACH_S, Timeline

NOW = 100_000.4
CELLS = 100


def stretch(timeline, now=NOW, window_s=300.0):
    return timeline.stretch(window_s, CELLS, now, 1.0)


def test_it_moves_by_whole_columns_only():
    timeline = Timeline()
    starts = {stretch(timeline, NOW + n / 10).start for n in range(60)}
    assert len(starts) in {2, 3}  # six seconds, three to a column
    assert stretch(timeline, NOW) == stretch(timeline, NOW + 0.1)


def test_the_newest_reading_is_always_in_it():
    timeline = Timeline()
    for window_s in (60.0, 300.0, 3600.0, 86_400.0):
        for n in range(50):
            now = NOW + n * 7.7
            shown = stretch(timeline, now, window_s)
            assert shown.start < now < shown.end
            assert shown.end - shown.start == pytest.approx(window_s)


def test_the_cursor_starts_at_the_newest_reading_and_stops_the_chart():
    timeline = Timeline()
    timeline.move(-1, stretch(timeline))
    assert timeline.cursor == NOW
    held = stretch(timeline)
    assert not timeline.following
    timeline.move(-1, held)
    assert timeline.cursor == pytest.approx(NOW - 3)
    assert stretch(timeline, NOW + 60) == held
    timeline.follow()
    assert stretch(timeline, NOW + 60).end > NOW + 60


def test_at_the_edge_time_scrolls_under_the_cursor():
    timeline = Timeline()
    for _ in range(120):
        timeline.move(-1, stretch(timeline))
    shown = stretch(timeline)
    assert timeline.cursor == pytest.approx(NOW - 119 * 3)
    assert shown.start == pytest.approx(timeline.cursor)
    for _ in range(130):
        timeline.move(1, stretch(timeline))
    assert timeline.cursor == NOW
    assert shown.end < NOW <= stretch(timeline).end + 3


def test_the_cursor_never_leaves_the_history():
    timeline = Timeline()
    timeline.go(-5, stretch(timeline))
    assert timeline.cursor == pytest.approx(NOW - REACH_S)
    assert stretch(timeline).start <= timeline.cursor
    timeline.go(NOW + 1000, stretch(timeline))
    assert timeline.cursor == NOW


def test_pages_go_back_and_on_until_they_follow_again():
    timeline = Timeline()
    timeline.page(-0.5, stretch(timeline))
    back = stretch(timeline)
    assert not timeline.following
    assert back.end == pytest.approx(stretch(Timeline()).end - 150)
    timeline.page(0.5, back)
    assert timeline.following
    for _ in range(2000):
        timeline.page(-0.5, stretch(timeline))
    assert stretch(timeline).start == pytest.approx(NOW - REACH_S)


def test_another_window_keeps_the_cursor_in_view():
    timeline = Timeline()
    for _ in range(90):
        timeline.move(-1, stretch(timeline))
    for window_s in (60.0, 3600.0, 60.0):
        shown = stretch(timeline, window_s=window_s)
        assert shown.start <= timeline.cursor <= shown.end


def test_labels_stand_at_round_clock_times(monkeypatch):
    import time

    monkeypatch.setenv("TZ", "Asia/Kolkata")  # half an hour off the hour
    time.tzset()
    try:
        shown = stretch(Timeline(), window_s=3600.0)
        ticks = time_ticks(shown, 1_795_000_000.0 - NOW)
        assert len(ticks) >= 3
        for x, label in ticks:
            assert int(label[3:]) % 5 == 0
            moment = shown.start + x * shown.cell_s + 1_795_000_000.0 - NOW
            assert time.strftime("%H:%M", time.localtime(moment + 0.01)) == label
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize("rows", range(1, 30))
def test_an_axis_holds_what_it_must_and_writes_round_numbers(rows):
    axis = value_axis(BY_NAME["power_w"], 0.0, 731.0, rows, Units())
    assert axis.low == 0.0
    assert axis.high >= 731.0
    assert len(axis.ticks) <= rows + 1
    assert all(float(label.strip().rstrip("W")) % 50 == 0 for _, label in axis.ticks)


def test_an_axis_in_fahrenheit_is_round_in_fahrenheit():
    axis = value_axis(BY_NAME["temperature_c"], 20.0, 90.0, 20, Units(temperature="f"))
    assert all(int(label.strip().rstrip("°")) % 5 == 0 for _, label in axis.ticks)

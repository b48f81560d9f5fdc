"""Both drawers: any history draws, and nothing that was not read is ever drawn."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gputop import text
from gputop.model.frame import DeviceInfo, DeviceReading
from gputop.state.history import History
from gputop.ui.device import dots, plot
from gputop.ui.device.charts import CHARTS
from gputop.ui.device.figure import AXIS, AXIS_ROWS
from gputop.ui.device.plan import Book, of_device, of_pair, of_peers
from gputop.ui.device.timeline import Timeline
from gputop.ui.view import DeviceView, View

DRAWERS = pytest.mark.parametrize("draw", [plot.draw, dots.draw], ids=["plotext", "ours"])
NOW = 5000.0
WIDTH, HEIGHT = 70, 14
CHART = {chart.short: chart for chart in CHARTS}


def device(history: History, uuid: str = "GPU-1", index: int = 0) -> DeviceView:
    info = DeviceInfo(uuid, "H100", index=index, temperature_slowdown_c=90.0)
    return DeviceView(info, DeviceReading(uuid), {}, history, (), (), (), 0)


def history_of(name: str, readings: dict[float, float]) -> History:
    history = History()
    for at, value in readings.items():
        history.ensure(name).add(at, value)
    return history


def pictured(draw, chart, history, window_s=300.0, now=NOW, marks=False, timeline=None):
    """The plan, and the picture of a chart of one device."""
    one = device(history)
    view = View(now=now, utc_s=1_795_000_000.0, devices=(one,))
    stretch = (timeline or Timeline()).stretch(window_s, WIDTH - 8, now, 1.0)
    plan = of_device(chart, one, stretch, view, Book(), marks)
    return plan, draw(plan.figure(view, text.Units(), WIDTH, HEIGHT))


def canvas(picture) -> list[str]:
    figure = picture.figure
    rows = ["".join(words for words, _ in pieces) for pieces in picture.rows]
    return [row[figure.canvas_x : figure.canvas_x + figure.canvas_width]
            for row in rows[: figure.canvas_height]]  # fmt: skip


def drawn_columns(picture) -> set[int]:
    """The columns of the canvas that a curve touches; thresholds are not curves."""
    return {x for row in canvas(picture) for x, mark in enumerate(row) if mark not in " ─\u2800"}


@DRAWERS
def test_a_gap_is_a_gap(draw):
    readings = {NOW - at: 0.5 for at in range(300) if not 100 <= at < 200}
    plan, picture = pictured(draw, CHART["util"], history_of("gpu_utilization", readings))
    stretch = plan.lines[0].trail.stretch
    gap = range(math.ceil(stretch.x(NOW - 199)) + 1, math.floor(stretch.x(NOW - 100)))
    drawn = drawn_columns(picture)
    assert drawn
    assert not drawn & set(gap)
    assert gap.start - 2 in drawn
    assert gap.stop + 1 in drawn


@DRAWERS
def test_a_lone_reading_is_a_dot_and_none_is_an_empty_chart(draw):
    _, picture = pictured(draw, CHART["power"], history_of("power_w", {NOW - 50: 200.0}))
    assert sum(mark not in " ─\u2800" for row in canvas(picture) for mark in row) == 1
    _, empty = pictured(draw, CHART["power"], History())
    assert not drawn_columns(empty)


@DRAWERS
def test_a_value_stands_at_its_height_and_moment(draw):
    readings = {NOW - 150: 1.0, NOW - 30: 0.0}
    _, picture = pictured(draw, CHART["util"], history_of("gpu_utilization", readings))
    rows = canvas(picture)
    top = [x for x, mark in enumerate(rows[0]) if mark not in " \u2800"]
    bottom = [x for x, mark in enumerate(rows[-1]) if mark not in " \u2800"]
    cell = 300 / picture.figure.canvas_width
    assert top == [pytest.approx((300 - 150) / cell, abs=1.5)]
    assert bottom == [pytest.approx((300 - 30) / cell, abs=1.5)]


moments = st.integers(0, 90_000)
numbers = st.one_of(
    st.just(0.0), st.just(1.0), st.floats(0, 1), st.floats(0, 1e30), st.floats(-100, 1e5)
)


@settings(max_examples=40, deadline=None)
@given(
    readings=st.dictionaries(moments, numbers, max_size=40),
    chart=st.sampled_from(CHARTS), window_s=st.sampled_from([60.0, 300.0, 10_800.0, 86_400.0]),
    marks=st.booleans(), back=st.integers(0, 80_000),
)  # fmt: skip
def test_any_history_draws_and_only_where_something_was_read(
    readings, chart, window_s, marks, back
):
    now = 90_000.0
    history = history_of(chart.main.name, dict(sorted(readings.items())))
    timeline = Timeline()
    timeline.end = now - back if back > 1000 else None
    for draw in (plot.draw, dots.draw):
        plan, picture = pictured(draw, chart, history, window_s, now, marks, timeline)
        assert len(picture.rows) == HEIGHT
        assert all(len("".join(w for w, _ in pieces)) == WIDTH for pieces in picture.rows)
        trail = plan.lines[0].trail
        xs = sorted(trail.stretch.x(moment) for moment, _ in trail.moments())
        reach = trail.reach_s / trail.stretch.cell_s
        for column in drawn_columns(picture):
            assert any(x - reach - 2 <= column <= x + reach + 2 for x in xs)


def test_plotext_is_what_draws():
    _, picture = pictured(plot.draw, CHART["util"], history_of("gpu_utilization", {NOW - 9: 0.5}))
    assert not picture.plain
    roles = {role for pieces in picture.rows for _, role in pieces}
    assert {AXIS, "main:gpu_utilization"} <= roles


@DRAWERS
def test_two_metrics_have_an_axis_each(draw):
    history = history_of("gpu_utilization", {NOW - n: 0.5 for n in range(100)})
    for n in range(100):
        history.ensure("power_w").add(NOW - n, 350.0)
    one = device(history)
    view = View(now=NOW, utc_s=1_795_000_000.0, devices=(one,))
    stretch = Timeline().stretch(300.0, WIDTH - 16, NOW, 1.0)
    plan = of_pair(CHART["util"], CHART["power"].main, one, stretch, view, Book(), False)
    picture = draw(plan.figure(view, text.Units(), WIDTH, HEIGHT))
    rows = ["".join(words for words, _ in pieces) for pieces in picture.rows]
    assert any("100%" in row[:8] for row in rows)
    assert any("W" in row[-8:] for row in rows)
    assert {role for pieces in picture.rows for _, role in pieces} >= {
        "main:gpu_utilization", "over"}  # fmt: skip


def peers(levels: list[float | None], own: int = 0):
    devices = tuple(
        device(
            history_of("gpu_utilization", {NOW - n: level for n in range(200)}
                       if level is not None else {}), f"GPU-{n}", n,
        )
        for n, level in enumerate(levels)
    )  # fmt: skip
    view = View(now=NOW, utc_s=1_795_000_000.0, devices=devices)
    stretch = Timeline().stretch(300.0, WIDTH - 8, NOW, 1.0)
    return of_peers(CHART["util"], devices[own], stretch, view, Book(), False)


def test_a_straggler_stands_out_and_its_peers_do_not():
    roles = {line.word: line.role for line in peers([0.9, 0.91, 0.92, 0.4, 0.9, None]).lines}
    assert roles["0"] == "own"
    assert roles["3"] == "apart0"
    assert {roles["1"], roles["2"], roles["4"], roles["5"]} == {"peer"}


def test_devices_nearly_alike_have_no_straggler():
    roles = {line.role for line in peers([0.9, 0.85, 0.8, 0.75, 0.9]).lines}
    assert roles == {"own", "peer"}


def test_the_limit_of_a_power_chart_is_what_was_read_then():
    history = history_of("power_w", {NOW - n: 300.0 for n in range(0, 300, 1)})
    for n in range(300, 150, -5):
        history.ensure("power_limit_w").add(NOW - n, 400.0)
    for n in range(150, 0, -5):
        history.ensure("power_limit_w").add(NOW - n, 700.0)
    plan, _ = pictured(plot.draw, CHART["power"], history)
    limit = next(line.trail for line in plan.lines if line.word == "limit")
    assert limit.at(NOW - 250).high == 400.0
    assert limit.at(NOW - 20).high == 700.0


def test_beyond_an_hour_a_bucket_is_whole_minutes():
    """The history has no seconds there: shorter buckets would show a minute's value many times."""
    timeline = Timeline()
    timeline.end = NOW
    stretch = timeline.stretch(60.0, 60, NOW + 4000, 1.0)
    assert stretch.bucket_s == 60
    assert stretch.window.width == 60


@pytest.mark.parametrize("rows", [AXIS_ROWS + 1, 4, 7])
@DRAWERS
def test_a_small_chart_draws(draw, rows):
    history = history_of("gpu_utilization", {NOW - n: 0.5 for n in range(100)})
    one = device(history)
    view = View(now=NOW, utc_s=1_795_000_000.0, devices=(one,))
    stretch = Timeline().stretch(300.0, 12, NOW, 1.0)
    plan = of_device(CHART["util"], one, stretch, view, Book(), False)
    picture = draw(plan.figure(view, text.Units(), 20, rows))
    assert len(picture.rows) == rows

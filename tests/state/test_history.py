"""History: no value is invented, peaks are kept, gaps stay gaps."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gputop.state.history import History, Ring, Series
from gputop.state.windows import Columns, Window

readings = st.lists(
    st.tuples(st.floats(0, 5000, allow_nan=False), st.floats(0, 1000, allow_nan=False, width=32)),
    min_size=1,
    max_size=60,
    unique_by=lambda pair: pair[0],
)


def in_bucket(pairs: list[tuple[float, float]], number: int, width: int) -> list[float]:
    return [value for at, value in pairs if int(at // width) == number]


@given(readings)
def test_a_bucket_holds_what_was_read_in_it_and_nothing_else(pairs):
    pairs.sort()
    ring = Ring(1, 10_000)
    for at, value in pairs:
        ring.add(at, value, value, value, 1)
    for number in range(0, 5001, 1):
        held = in_bucket(pairs, number, 1)
        span = ring.span(number, number + 1)
        if not held:
            assert span is None
        else:
            assert span is not None
            assert span.low == min(held)
            assert span.high == max(held)
            assert span.mean == pytest.approx(sum(held) / len(held), rel=1e-4, abs=1e-3)


@given(readings, st.integers(1, 500))
def test_a_column_never_exceeds_what_was_read(pairs, width):
    pairs.sort()
    series = Series()
    for at, value in pairs:
        series.add(at, value)
    newest = int(pairs[-1][0] // width)
    for number, span in zip(
        range(newest - 5, newest + 1),
        series.columns(range(newest - 5, newest + 1), width),
        strict=True,
    ):
        held = in_bucket(pairs, number, width)
        assert (span is None) == (not held)
        if span is not None:
            assert span.low == min(held)
            assert span.high == max(held)
            assert span.low <= span.mean * (1 + 1e-6) + 1e-6
            assert span.mean <= span.high * (1 + 1e-6) + 1e-6


def test_the_same_reading_repeated_counts_once():
    series = Series()
    series.add(10.2, 1.0)
    for _ in range(50):
        series.add(10.2, 1.0)
    series.add(10.7, 0.0)
    assert series.span(10, 11).mean == pytest.approx(0.5)


def test_what_is_older_than_the_ring_is_forgotten_and_does_not_come_back():
    ring = Ring(1, 10)
    ring.add(0, 7, 7, 7, 1)
    ring.add(10, 1, 1, 1, 1)
    assert ring.span(0, 1) is None
    ring.add(0, 7, 7, 7, 1)
    assert ring.span(0, 11) == (1, 1, 1)


def test_a_jump_of_hours_is_a_gap():
    series = Series()
    series.add(100, 5)
    series.add(100 + 7200, 6)
    assert series.span(7299, 7301).mean == 6
    assert series.span(200, 7200) is None


def test_a_span_beyond_the_fine_ring_comes_from_the_minutes():
    series = Series()
    for second in range(0, 8000, 10):
        series.add(second, second % 60)
    span = series.span(60, 120)
    assert span is not None
    assert (span.low, span.high) == (0, 50)


def test_late_samples_enter_the_second_they_belong_to():
    series = Series()
    series.add(20.0, 0.5)
    series.add_span(18.5, 0.1, 0.4, 0.9, 6)
    assert series.span(18, 19) == pytest.approx((0.1, 0.4, 0.9))


@given(st.floats(1, 86_400), st.integers(1, 300), st.floats(0, 1e6), st.floats(0.1, 60))
def test_a_window_reaches_as_far_as_asked_and_no_column_is_narrower_than_the_period(
    seconds, count, end, period
):
    window = Window.over(seconds, count, end, period)
    assert window.seconds >= seconds or math.isclose(window.seconds, seconds)
    assert window.width >= period
    assert len(window.numbers) == count
    assert window.numbers[-1] * window.width <= end < (window.numbers[-1] + 1) * window.width


@given(
    st.lists(st.tuples(st.floats(0, 4), st.floats(0, 1, width=32)), min_size=1, max_size=80),
    st.sampled_from([1, 2, 5, 12]),
)
def test_kept_columns_are_the_columns_made_anew(steps, width):
    history, kept, now = History(), Columns(), 1000.0
    for step, value in steps:
        now += step
        history.ensure("x").add(now, value)
        if value < 0.2:  # buffered samples of the seconds before arrive late
            history.ensure("x").add_span(now - 10 * value, value, value, value, 3)
        window = Window(width, 20, int(now // width))
        assert kept.get(history, "x", window) == history.ensure("x").columns(
            window.numbers, width, window.end
        )


def test_after_half_an_hour_a_series_takes_no_more_memory():
    series = Series()
    for at in (5.0, 900.0, 1804.0):
        series.add(at, 1.0)
    rings = (series.fine, series.coarse)
    assert not any(ring.reserved for ring in rings), "a short session pays for what it fills"
    series.add(1805.0, 2.0)
    assert all(ring.reserved for ring in rings)
    assert series.coarse.span(0, 1860) == pytest.approx((1.0, (1 + 1 + 1.5) / 3, 2.0)), "not lost"
    assert series.fine.span(5, 6) == pytest.approx((1.0, 1.0, 1.0)), "not lost"


def test_a_moment_before_the_boot_is_in_no_bucket():
    ring = Ring(1, 10)
    ring.add(-0.5, 1.0, 1.0, 99.0, 1)
    ring.add(9.5, 5.0, 5.0, 5.0, 1)
    assert ring.span(9, 10) == (5.0, 5.0, 5.0)

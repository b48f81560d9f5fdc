"""The last hour by the second holds the same as the rings that charts are drawn from."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from gputop.model.frame import SampleSpan
from gputop.state.history import History, Ring
from gputop.state.recent import Recent, RecentHistory

SIZE = 40
steps = st.one_of(st.floats(-60, 3), st.floats(0, 1.5), st.just(1.0), st.floats(0, 200))
values = st.floats(0, 1, width=32) | st.floats(0, 1e11)
readings = st.lists(st.tuples(steps, values, values, st.integers(1, 50)), max_size=150)


def seen(ring, start, end):
    cells = ring.cells(start, end)
    parts = [list(part) for part in cells]
    return ring.newest, ring.span(start, end), ring.stretch(start, end), parts


@given(readings, st.floats(0, 80), st.floats(-3, 3))
@example([(1.0, 0.5, 0.5, 1)] * 90, 80.0, 0.0)
def test_it_holds_what_a_ring_holds(readings, reach, beyond):
    ring, recent = Ring(1, SIZE), Recent(SIZE)
    at = 100.0
    for step, one, other, count in readings:
        at = max(at + step, -5.0)
        low, high = sorted((one, other))
        for kept in (ring, recent):
            kept.add(at, low, (low + high) / 2, high, count)
        window = (at - reach, at + beyond)
        assert seen(recent, *window) == seen(ring, *window)
    assert len(recent._numbers) <= SIZE * 1.125 + 1


row = st.tuples(
    st.floats(0, 2.5) | st.just(1.0), st.lists(st.none() | values, min_size=2, max_size=2)
)
span = st.tuples(st.floats(-3, 0), values)
NAMES = ("gpu_utilization", "power_w")


@given(st.lists(st.tuples(row, st.none() | span, st.booleans()), max_size=60))
@example([((1.0, [0.5, 0.25]), None, n % 5 == 0) for n in range(40)])
@example([((1.0, [0.5, 0.25]), (-0.5, 0.9), n % 5 == 0) for n in range(40)])
def test_readings_that_wait_are_the_same_when_they_are_asked_for(entries):
    histories = History(), RecentHistory()
    at = 100.0
    for (step, row), buffered, asked in entries:
        at += step
        for history in histories:
            history.add_row(NAMES, at, row)
            if buffered is not None:
                before, mean = buffered
                history.add_span(
                    SampleSpan("power_w", at + before, at, mean / 2, mean, mean * 2, 5)
                )
        for name in NAMES if asked else ():
            plain, recent = (history.series(name) for history in histories)
            assert (plain is None) == (recent is None)
            if plain is not None and recent is not None:
                assert seen(recent.fine, at - 60, at + 1) == seen(plain.fine, at - 60, at + 1)

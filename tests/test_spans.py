"""Spans of time: written in one way everywhere."""

import argparse
import contextlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gputop import settings, spans
from gputop.commands import record
from gputop.commands.base import Parser
from gputop.errors import GputopError, UsageError
from gputop.model.frame import Frame, HostReading
from gputop.query.literals import duration
from gputop.query.moment import moment
from gputop.recording.rotation import Rotation
from gputop.report.moments import Moment


@pytest.mark.parametrize(
    ("text", "seconds", "step_s"),
    [("90s", 90, 1), ("2", 2, 1), ("2.5", 2.5, 0.1), ("500ms", 0.5, 0.001), ("1h30m", 5400, 60),
     ("1 h 30 min", 5400, 60), ("1.50h", 5400, 36), (" 1D2H3M4S ", 93784, 1), ("0", 0, 1)],
)  # fmt: skip
def test_what_is_a_span(text: str, seconds: float, step_s: float) -> None:
    assert spans.parse(text) == pytest.approx((seconds, step_s))


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "s",
        "-1s",
        "+1s",
        "1h30",
        "1 2",
        "1.h.",
        "1x",
        "nan",
        "inf",
        "1e3",
        "1hs",
        "9" * 400,
    ],
)
def test_what_is_none(text: str) -> None:
    assert spans.parse(text) is None


@given(st.text("0123456789. msminhd", max_size=12))
def test_any_text_is_a_span_or_none(text: str) -> None:
    span = spans.parse(text)
    assert span is None or (span.seconds >= 0 and span.step_s > 0)


def test_it_is_read_in_the_same_way_everywhere() -> None:
    parser = argparse.ArgumentParser()
    record.prepare_parser(parser)
    given_ = parser.parse_args(
        ["-o", "a", "--duration", "1h30m", "--rotate", "1h30m", "--interval", "500ms"]
    )
    assert (given_.duration, given_.rotate.seconds, given_.interval) == (5400, 5400, 0.5)
    assert settings.parse(b'window = "1h30m"', "f") == {"window": 5400}
    assert duration("1h30m").value == 5400
    assert moment("1h30m", 1000.0) == 6400
    assert Moment.parse("1h30m").after_s == 5400


# -- decoders of what is typed that rest on spans ----------------------------------------------

TYPED = st.one_of(
    st.text("0123456789:-+T .mshdKMGiB", max_size=20),
    st.times().map(str),
    st.datetimes().map(str),
    st.text(max_size=20),
)
"""Times, sizes, and nearly so."""
ANY_TIME = st.floats(allow_nan=False, allow_infinity=False) | st.floats(-1e12, 1e12)


@given(TYPED, ANY_TIME)
@example("14:05", 1e300)
@example("0:00", -62135596799.0)
def test_any_text_is_a_moment_of_a_report_or_none(text: str, utc_s: float) -> None:
    """Whatever a recording says of its begin."""
    try:
        found = Moment.parse(text)
    except ValueError as error:
        assert str(error).startswith(repr(text.strip()))
        return
    first = Frame("s", 0, utc_s, 1000.0, 1.0, HostReading())
    with contextlib.suppress(GputopError):
        assert isinstance(found.boottime(first), float)


@given(TYPED, ANY_TIME, st.none() | ANY_TIME)
def test_any_text_is_a_moment_of_a_replay_or_none(
    text: str, first_s: float, now_s: float | None
) -> None:
    with contextlib.suppress(UsageError):
        assert isinstance(moment(text, first_s, now_s), float)


@given(st.sampled_from(["--duration", "--max-size", "--rotate", "--interval"]), TYPED)
def test_any_text_is_a_limit_of_a_recording_or_none(flag: str, text: str) -> None:
    parser = Parser(prog="gputop record")
    record.prepare_parser(parser)
    try:
        given_ = parser.parse_args(["-o", "a", f"{flag}={text}"])
    except UsageError:
        return
    found = getattr(given_, flag.removeprefix("--").replace("-", "_"))
    amount = max(found) if isinstance(found, Rotation) else found
    assert 0 < amount < float("inf")

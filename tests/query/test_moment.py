"""Times of a recording, as people write them."""

import time

import pytest

from gputop.errors import UsageError
from gputop.query.moment import moment

FIRST = 1_795_000_000.5
"""2026-11-18 11:06:40.5 UTC."""


@pytest.fixture(autouse=True)
def one_time_zone(monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("90s", FIRST + 90), ("2h", FIRST + 7200), ("0", FIRST), ("11:07", FIRST + 19.5),
        ("11:06:40", FIRST - 0.5), ("11:06", FIRST - 40.5 + 86400), ("+5m", FIRST + 400),
        ("-30s", FIRST + 70), ("2026-11-18 11:06:50", FIRST + 9.5), (" 12:00 ", FIRST + 3199.5),
    ],
)  # fmt: skip
def test_moments(words, wanted):
    assert moment(words, FIRST, FIRST + 100) == wanted


@pytest.mark.parametrize("words", ["", "soon", "25:00", "2026-13-01 10:00", "11", "5q", "-"])
def test_no_moments(words):
    if words == "11":
        assert moment(words, FIRST) == FIRST + 11
        return
    with pytest.raises(UsageError, match=r"give|is not"):
        moment(words, FIRST)


def test_before_the_beginning():
    with pytest.raises(UsageError, match="before the beginning"):
        moment("-30s", FIRST)

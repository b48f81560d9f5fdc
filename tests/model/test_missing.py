"""Reasons in words."""

from __future__ import annotations

from typing import get_args

from gputop.model.frame import DeviceStatus
from gputop.model.missing import error, explain, implausible


def test_a_device_s_status_is_a_reason_too() -> None:
    """It stands for fields without one of their own, and has no code."""
    words = {status: explain(status) for status in get_args(DeviceStatus) if status != "ok"}
    assert words == {
        "pending": "not read yet",
        "timed_out": "no answer from the driver",
        "lost": "device lost",
        "error": "reading failed",
    }


def test_codes_and_answers_are_told() -> None:
    assert explain(error(999)) == "the driver answered error 999"
    assert explain(implausible(101)) == "the driver answered 101, which cannot be"


def test_an_answer_that_was_calculated_is_told_without_its_last_digits() -> None:
    assert explain(implausible(3999.9999999998)) == "the driver answered 4000, which cannot be"
    assert explain(implausible(100.001)) == "the driver answered 100.001, which cannot be"


def test_any_other_answer_is_told_as_it_is() -> None:
    """It may come out of a file."""
    for answer in ("nan", "4294967295", "1.2.3", "."):
        assert explain(implausible(answer)) == f"the driver answered {answer}, which cannot be"

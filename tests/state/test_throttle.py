"""Throttle time: from the driver's counters where there are any, else from the sampled bits."""

import pytest

from gputop.model.frame import DeviceReading, ReadTimes
from gputop.state.throttle import ThrottleAccount

SW_THERMAL, POWER, BOARD = 0x20, 0x4, 0x200


def reading(at: float, mask: int | None = 0, **counters: float) -> DeviceReading:
    times = ReadTimes(fast=at, medium=at)
    return DeviceReading(uuid="G", read_at=times, event_reasons=mask, **counters)


def test_counters_see_what_happens_between_two_readings():
    account = ThrottleAccount()
    for second in range(101):
        account.update(reading(second, 0, sw_thermal_violation_s=0.25 * second))
    (share,) = account.shares(100, 60)
    assert share.reason.key == "sw_thermal"
    assert share.basis == "counter"
    assert share.share == pytest.approx(0.25, abs=0.01)


def test_bits_stand_in_where_there_is_no_counter_and_it_is_said():
    account = ThrottleAccount()
    for second in range(101):
        account.update(reading(second, BOARD if second % 2 else 0))
    (share,) = account.shares(100, 60)
    assert (share.reason.key, share.basis) == ("board_limit", "sampled")
    assert share.share == pytest.approx(0.5, abs=0.02)


def test_a_counter_that_was_reset_adds_nothing():
    account = ThrottleAccount()
    for second, counter in enumerate([50.0, 50.0, 0.0, 0.0, 0.0]):
        account.update(reading(second, 0, power_violation_s=counter))
    assert account.shares(4, 60) == []


def test_a_reading_that_is_repeated_counts_once():
    account = ThrottleAccount()
    account.update(reading(0, 0))
    for _ in range(10):
        account.update(reading(1, BOARD))
    account.update(reading(2, 0))
    (share,) = account.shares(2, 60)
    assert share.share == pytest.approx(1 / 3)
    assert share.covered_s == 3


@pytest.mark.parametrize("interval", [0.1, 0.25, 1, 2, 5, 10, 60])
@pytest.mark.parametrize("counted", [False, True])
def test_the_share_does_not_depend_on_the_interval(interval, counted):
    account = ThrottleAccount()
    for number in range(int(300 / interval) + 1):
        at = number * interval
        fields = {"power_violation_s": at} if counted else {}
        account.update(reading(at, POWER, **fields))
    (share,) = account.shares(300, 60)
    assert share.share == pytest.approx(1.0)
    assert share.basis == ("counter" if counted else "sampled")


def test_time_that_was_not_read_is_not_counted_as_fast():
    account = ThrottleAccount()
    for second in (*range(30), *range(1030, 1050)):
        account.update(reading(second, BOARD))
    (share,) = account.shares(1049, 600)
    assert share.share == pytest.approx(1.0)
    assert share.covered_s == 20


def test_what_stopped_long_ago_is_not_of_the_last_minute():
    account = ThrottleAccount()
    for second in range(200):
        account.update(reading(second, BOARD if second < 50 else 0))
    assert account.shares(199, 60) == []


def test_an_unknown_mask_is_no_throttling():
    account = ThrottleAccount()
    for second in range(5):
        account.update(reading(second, None))
    assert account.shares(4, 60) == []

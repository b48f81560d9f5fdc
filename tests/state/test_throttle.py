"""Throttle time: from the driver's counters where there are any, else from the sampled bits."""

import pytest

from gputop.model.frame import DeviceReading, ReadTimes
from gputop.model.nvml_tables import EVENT_REASONS, EventReason
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
    assert share.share == pytest.approx(1 / 2)
    assert share.covered_s == 2


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
    assert share.covered_s == 19


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


def test_the_worst_of_a_span_is_known_to_the_second_for_an_hour():
    account = ThrottleAccount()
    for second in range(1001):
        mask = BOARD if 100 < second <= 110 else SW_THERMAL if 110 < second <= 120 else 0
        account.update(reading(second, mask))
    assert account.worst(100, 110) == (reason("board_limit"), pytest.approx(1.0))
    assert account.worst(100, 114) == (reason("board_limit"), pytest.approx(10 / 14))
    assert account.worst(104, 120) == (reason("sw_thermal"), pytest.approx(10 / 16))
    assert account.worst(120, 1000) is None
    assert account.worst(2000, 3000) is None


def test_the_worst_of_a_span_is_known_to_the_minute_for_a_day():
    account = ThrottleAccount()
    for second in range(0, 86_400, 5):
        account.update(reading(second, SW_THERMAL if 3600 < second <= 3630 else 0))
    assert account.worst(3600, 3660) == (reason("sw_thermal"), pytest.approx(0.5))
    assert account.worst(3540, 3660) == (reason("sw_thermal"), pytest.approx(0.25))
    assert account.worst(3660, 7200) is None
    for second in range(86_400, 86_400 + 3600 + 120, 5):
        account.update(reading(second))
    assert account.worst(3600, 3660) is None, "more than a day ago"


def test_a_session_reaches_back_beyond_the_rings_and_over_a_gap():
    account = ThrottleAccount()
    account.update(reading(1000, 0, power_violation_s=500.0))
    account.update(reading(1001, BOARD, power_violation_s=500.5))
    account.update(reading(100_000, 0, power_violation_s=10_400.0))  # it was suspended
    by_key = {share.reason.key: share for share in account.session()}
    assert by_key["sw_power_cap"].basis == "counter"
    assert by_key["sw_power_cap"].share == pytest.approx(9900 / 99_000)
    assert by_key["sw_power_cap"].covered_s == 99_000
    assert by_key["board_limit"].share == 1.0, "of the second in which the bits were known"
    assert by_key["board_limit"].covered_s == 1


def test_counters_that_are_read_less_often_than_the_bits_are_shares_of_their_own_time():
    account = ThrottleAccount()
    for tenth in range(1001):
        at, medium = tenth / 10, tenth // 20 * 2.0
        times = ReadTimes(fast=at, medium=medium)
        account.update(
            DeviceReading(uuid="G", read_at=times, event_reasons=BOARD, power_violation_s=medium)
        )
    shares = {share.reason.key: share.share for share in account.shares(100.9, 60)}
    assert shares == {"sw_power_cap": pytest.approx(1.0), "board_limit": pytest.approx(1.0)}


def test_bits_stand_in_while_the_counters_are_silent():
    account = ThrottleAccount()
    for second in range(31):
        account.update(reading(second, POWER, power_violation_s=float(second)))
    for second in range(31, 61):
        account.update(reading(second, 0))
    (share,) = account.shares(60, 60)
    assert share.share == pytest.approx(0.5)
    assert share.basis == "sampled"


def test_the_roll_up_bit_counts_only_where_it_stands_alone():
    account = ThrottleAccount()
    for second in range(61):
        account.update(reading(second, 0x8 | 0x40 if second <= 45 else 0x8))
    shares = {share.reason.key: share.share for share in account.shares(60, 60)}
    assert shares == {"hw_thermal": pytest.approx(0.75), "hw_slowdown": pytest.approx(0.25)}


def reason(key: str) -> EventReason:
    return next(r for r in EVENT_REASONS if r.key == key)

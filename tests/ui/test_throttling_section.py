"""The device screen's section on throttling."""

import pytest

from gputop.insight.throttle_cost import clock_loss
from gputop.text import DEFAULT_UNITS
from gputop.ui.device.rows import Desk, Fact
from gputop.ui.device.throttling import throttling
from gputop.ui.glyphs import UNICODE
from tests.demo_records import demo_records
from tests.ui.source import app_on

LOADED = {"gpu_utilization": 0.9, "event_reasons": 0x20, "performance_state": 0,
          "sm_clock_mhz": 1485, "sm_clock_max_mhz": 1980}  # fmt: skip


async def facts(index, seconds):
    app = app_on(demo_records(8, seconds))
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        device = app.view.devices[index]
        rows = throttling(device, Desk(app.view, DEFAULT_UNITS, UNICODE))
    return {row.word: row.said for row in rows if isinstance(row, Fact)}, [
        row.said for row in rows if not isinstance(row, Fact)
    ]


async def test_each_reason_has_now_and_three_windows_and_says_how_it_is_known():
    said, words = await facts(4, 20)
    now, *shares = said["power cap"].replace(" %", "%").split()
    assert now == "yes"
    assert len(shares) == 3
    assert all(share.endswith("%") for share in shares)
    assert "d" in said["  power cap"], "days since the driver was loaded"
    first = said[""].split()
    assert first == ["now", "1", "min", "10", "min", "session"]
    assert any("Counted by the driver: power cap" in word for word in words)
    assert "Since the driver was loaded:" in words
    assert said["Estimated cost"].endswith("of 1980 MHz)")


async def test_a_benign_reason_stands_apart():
    said, _ = await facts(3, 20)
    assert said["Benign"] == "idle"
    assert "" not in said, "nothing held it back, so there is no table"


async def test_what_was_sampled_is_told_as_such():
    said, words = await facts(1, 214)
    assert any("From the reasons at each reading: board limit" in word for word in words)
    assert said["board limit"].split()[0] != "yes"


def test_the_cost_is_the_clock_s_share():
    loss = clock_loss(LOADED.get)
    assert loss is not None
    assert loss.share == pytest.approx(0.25)


def test_the_cost_is_measured_by_the_p_state_s_own_clock():
    loss = clock_loss({**LOADED, "performance_state": 2, "sm_clock_state_max_mhz": 1755}.get)
    assert loss is not None
    assert loss.highest_mhz == 1755


@pytest.mark.parametrize(
    "change",
    [
        {"gpu_utilization": 0.49}, {"gpu_utilization": None}, {"event_reasons": 0x1},
        {"event_reasons": None}, {"performance_state": 2}, {"performance_state": None},
        {"sm_clock_mhz": 1980}, {"sm_clock_mhz": None}, {"sm_clock_max_mhz": None},
        {"sm_clock_state_max_mhz": 1485},
    ],
)  # fmt: skip
def test_there_is_no_estimate_where_nothing_is_lost_or_known(change):
    assert clock_loss({**LOADED, **change}.get) is None

"""What a report says would shorten the run."""

from __future__ import annotations

import pytest

from gputop.report.changes import MOST, changes
from gputop.report.shape import DeviceReport, HeldBack, VerdictShare
from tests.report.runs import device_of, utilised


def device(idle=0.0, **verdicts: float) -> DeviceReport:
    """A device read for 100 s; verdicts by key, with the seconds for which they stood."""
    found = device_of(*utilised((0, 1.0), (50, 1.0), (100, 1.0), interval_s=50.0))
    found.idle_share = idle
    found.verdicts = [
        VerdictShare(key, key, seconds / 100, seconds, "measured", "", f"mend {key}", [])
        for key, seconds in verdicts.items()
    ]
    return found


def told(*devices: DeviceReport) -> list[tuple[str, float]]:
    return [(change.title, pytest.approx(change.share)) for change in changes(devices)]


def test_the_largest_loss_stands_first_and_few_are_told():
    found = told(device(pcie=10, launch_bound=20, memory_bound=30, straggler=5))
    assert found == [("memory_bound", 0.3), ("launch_bound", 0.2), ("pcie", 0.1)]
    assert len(found) == MOST


def test_idle_time_while_it_was_starved_is_told_once():
    assert told(device(idle=0.5, starved=40)) == [("starved", 0.4), ("idle", 0.1)]
    assert told(device(idle=0.3, starved=40)) == [("starved", 0.4)]


def test_a_verdict_and_a_throttle_reason_of_the_same_are_one():
    hot = device(thermal=30)
    hot.held_back = [
        HeldBack("sw_thermal", "thermal slowdown", "warning", 0.3, 100, "counter", "x")
    ]
    assert told(hot) == [("thermal", 0.3)]
    hot.verdicts = []
    assert told(hot) == [("thermal slowdown", 0.3)]


def test_the_advice_is_that_of_the_device_that_lost_most():
    little, much = device(starved=10), device(starved=40)
    little.verdicts[0].advice, much.verdicts[0].advice = "more memory", "a faster disk"
    (change,) = changes([little, much])
    assert change.advice == "a faster disk"


def test_shares_are_of_all_devices_together():
    assert told(device(starved=40), device()) == [("starved", 0.2)]


def test_a_run_that_is_well_is_told_to_change_nothing():
    assert told(device(compute_bound=95, healthy=5)) == []
    assert told(device(pcie=2)) == []
    assert changes([]) == []

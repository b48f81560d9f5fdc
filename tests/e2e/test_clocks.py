"""Clocks that jump while the program runs: a laptop that was suspended, a wall clock that is set.

The program and its collector run with the clocks of `tests.clocks`; the fake driver stamps its
samples with the same, as a real one does.
"""

from __future__ import annotations

import itertools
import re
import time
from datetime import datetime
from pathlib import Path

import pytest

from tests.clocks import Clocks
from tests.e2e.conftest import Driver, Spawn
from tests.e2e.faults import SHORT, SIZE
from tests.e2e.program import CLOCK, Gputop, Records, Run, Start
from tests.fake_driver import Lines

HOURS_S = 3 * 3600
RATE_KIB = 1 << 20
WORKING: Lines = {
    "count": 2,
    "device.*.gpu_utilization": "ramp 40 60 9",
    "device.*.memory_used": "40G",
    "device.*.power_mw": 400_000,
    "device.*.temperature": 60,
    "device.*.nvlink_rx_kib_per_s": RATE_KIB,
    "device.*.gpm.supported": 0,
}
"""Steady devices: whatever moves in a chart or a rate is a lie. Their links are read by counters,
the only rates that stand on two readings of ours."""


@pytest.fixture
def clocks(tmp_path: Path) -> Clocks:
    return Clocks(tmp_path / "clocks")


def busy(spawn: Spawn) -> int:
    return spawn("sh", "-c", "while :; do :; done").pid


WORDS = ("util", "mem", "power", "temp")


def chart(terminal: Gputop, word: str) -> str:
    """The lowest line of a chart in the pane of device 0: a column with a reading is a block."""
    lines = [line.strip("│ ") for line in terminal.device(0).splitlines()]
    starts = [y for y, line in enumerate(lines) if line.split(" ")[0] in WORDS]
    if len(starts) < len(WORDS):
        return ""
    ends = [*starts[1:], next(y for y, line in enumerate(lines) if line.endswith(" now"))]
    return lines[ends[WORDS.index(word)] - 1]


def wait_utc(terminal: Gputop, ahead_s: float) -> None:
    """Wait until the header's clock is so far from ours."""

    def near(t: Gputop) -> bool:
        found = t.find(CLOCK)
        if found is None:
            return False
        shown = datetime.strptime(found[0], "%H:%M:%S")
        now = datetime.fromtimestamp(time.time() + ahead_s)
        apart = abs((shown.hour - now.hour) * 3600 + (shown.minute - now.minute) * 60
                    + shown.second - now.second)  # fmt: skip
        return min(apart, 86400 - apart) < 60

    terminal.wait_for(near)


def check_present(terminal: Gputop) -> None:
    """Nothing is old, late, lost or warned of, and it goes on."""
    terminal.wait_alive(0, 2)
    assert not terminal.find(r" old\b|no answer|[✗▲]")
    assert re.search(r"mem +40\.0/", terminal.device(0))
    assert re.search(r"power +400/", terminal.device(0))
    assert len(terminal.collectors) == 1


def test_a_suspend_is_a_gap_in_the_charts(driver: Driver, gputop: Start, clocks: Clocks) -> None:
    """Two minutes of sleep: a hole of two minutes, with what was before still on its left."""
    terminal = gputop(driver(WORKING), size=SIZE, scale=SHORT, env=clocks.env())
    terminal.wait_alive(0, 2)
    (collector,) = terminal.collectors
    bars = chart(terminal, "mem")
    assert re.fullmatch(r"█+", bars), "one block, without a hole"
    clocks.suspend(120)
    hole = re.compile(r"█+ {8,14}█+")  # 10 s to a column; samples reach back
    terminal.wait_for(lambda t: hole.fullmatch(chart(t, "mem")))
    for word in ("util", "power", "temp"):
        assert hole.fullmatch(chart(terminal, word)), terminal.device(0)
    check_present(terminal)
    assert terminal.collectors == [collector], "nobody was killed for having slept"


def test_a_suspend_of_hours_is_no_spike_and_no_false_rate(
    driver: Driver, gputop: Start, run: Run, clocks: Clocks, spawn: Spawn, folder: Path
) -> None:
    pid = busy(spawn)
    lines = {**WORKING, "device.0.process.0": f"pid={pid} memory=9G sm=50"}
    scenario = driver(lines)
    calls = folder / "stream.calls"
    env = clocks.env() | {"FAKE_NVML_CALLS": str(calls)}
    stream = run(scenario, "stream", "--interval", "0.25", "--count", "40", env=env)
    terminal = gputop(scenario, size=SIZE, scale=SHORT, env=clocks.env())
    terminal.wait_alive(0, 2)
    terminal.wait_for(rf"{pid} ")
    listed = "nvmlDeviceGetComputeRunningProcesses"
    terminal.wait_for(lambda _: calls.exists() and calls.read_text().count(listed) >= 3)
    clocks.suspend(HOURS_S)
    wait_utc(terminal, HOURS_S)
    check_present(terminal)
    document = terminal.saved_snapshot()
    assert document["processes"][0]["uses"][0]["sm_utilization"] in (0.5, None)
    frames = Records(stream.check()).frames
    jumps = [
        later for sooner, later in itertools.pairwise(frames)
        if later.boottime_s - sooner.boottime_s > HOURS_S - 60
    ]  # fmt: skip
    assert len(jumps) == 1, "the stream slept too"
    (process,) = jumps[0].processes
    assert process.cpu_utilization is None, "a busy process, and three hours of nothing"
    assert process.missing["cpu_utilization"] == "needs_two_readings"
    for frame in frames:
        for reading in frame.devices:
            assert reading.status in ("ok", "pending"), reading.detail
            assert reading.power_w in (400.0, None)
            rate = reading.nvlink_rx_bytes_per_s
            assert rate is None or rate == pytest.approx(RATE_KIB * 1024, rel=0.5)
            for span in reading.samples:
                assert span.end_s - span.start_s <= 1
                # A frame that began before the sleep and ended behind it took that long.
                assert span.end_s <= frame.boottime_s + frame.cost.collect_s + 1
    terminal.check_leaves()


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_wall_clock_that_is_set_changes_the_time_and_nothing_else(
    driver: Driver, gputop: Start, clocks: Clocks, spawn: Spawn, hours: int
) -> None:
    child = spawn()
    lines = {**WORKING, "device.0.process.0": f"pid={child.pid} memory=9G sm=50"}
    scenario = driver(lines)
    terminal = gputop(scenario, size=SIZE, scale=SHORT, env=clocks.env())
    terminal.wait_alive(0, 2)
    terminal.wait_for(rf"{child.pid} .* 50 ")
    (collector,) = terminal.collectors
    clocks.set_wall(hours * 3600)
    scenario.set("device.0.process.0", f"pid={child.pid} memory=9G sm=70")
    wait_utc(terminal, hours * 3600)
    terminal.wait_for(rf"{child.pid} .* 70 ")
    check_present(terminal)
    assert re.fullmatch(r"█+", chart(terminal, "mem")), "history knows no hole"
    (process,) = terminal.saved_snapshot()["processes"]
    age_s = time.time() + hours * 3600 - process["started_utc_s"]
    assert 0 <= age_s < 1800, "its age is what it was"
    terminal.press("down", "enter", shows=r"Started +\d{4}-\d\d-\d\d \d\d:\d\d:\d\d, \d+ (s|min)")
    assert terminal.collectors == [collector]
    terminal.check_leaves()

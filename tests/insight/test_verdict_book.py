"""Verdicts over time: too little data, gaps, holds, MIG, and whatever a stream may bring."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gputop.insight.efficiency import efficiency
from gputop.insight.verdict_book import EVERY_S, VerdictBook
from gputop.model.frame import DeviceInfo, Frame, Hello, ReadTimes
from gputop.state.store import Store
from tests.insight.verdict_machine import ACTIVITIES, GPM, LINK_BYTES_PER_S, Machine, judged
from tests.records import few, machines

BOUND = {**GPM, "dram_activity": 0.7, "sm_activity": 0.4}
HEALTHY = {**GPM, "sm_activity": 0.9}
UNREAD = {"status": "timed_out", "since_s": 0.0}


def test_half_a_minute_is_the_least():
    machine = Machine().run(25, BOUND)
    assert machine.key() is None
    assert machine.book.silence("G0") == "Too little was read in the last 60 s."
    machine.run(10, BOUND)
    assert machine.key() == "memory_bound"
    assert machine.book.silence("G0") == ""
    assert machine.book.silence("nobody") == "Nothing has been read yet."


@pytest.mark.parametrize("period_s", [0.25, 2.0, 5.0, 20.0])
def test_the_window_holds_twelve_readings_however_rarely_they_come(period_s):
    window_s = max(60.0, 12 * period_s)
    machine = Machine(period_s=period_s).run(int(window_s / 3), BOUND)
    assert machine.key() is None
    machine.run(int(window_s), BOUND)
    assert machine.key() == "memory_bound"
    assert {e.window for e in machine.verdict().evidence} == {"4 min" if period_s == 20 else "60 s"}


def test_readings_with_gaps_are_judged_by_what_was_read():
    # Three seconds of four are lost to a driver that answers late: too few; two of four are not.
    def every(n_th: int):
        return lambda n: BOUND if n % n_th == 0 else dict.fromkeys(GPM)

    assert judged(every(2)).key() == "memory_bound"
    assert judged(every(4)).key() is None


@pytest.mark.parametrize("status", ["lost", "timed_out", "error", "pending"])
def test_a_device_without_readings_has_no_verdict_at_once(status):
    machine = judged(BOUND)
    assert machine.key() == "memory_bound"
    machine.run(1, {"status": status})
    assert machine.key() is None
    assert machine.book.silence("G0") == "It has no current readings."


def test_a_device_that_is_back_is_judged_anew():
    machine = judged(BOUND).run(90, {"status": "lost"})
    machine.run(20, BOUND)
    assert machine.key() is None
    machine.run(20, BOUND)
    assert machine.key() == "memory_bound"


def test_stale_readings_have_no_verdict():
    machine = judged(BOUND)
    frame = machine.store.frame
    assert frame is not None
    for late in range(1, 6):
        machine.store.apply(Frame(
            session="s", seq=late, utc_s=0, boottime_s=frame.boottime_s + late, interval_s=1,
            host=frame.host, devices=frame.devices,
        ))  # fmt: skip
        machine.book.update(machine.store)
        assert (machine.key() is None) == (late > 3), late


def test_a_verdict_stays_until_another_was_found_twice():
    machine = judged(BOUND)
    seen = []
    for _ in range(120):
        machine.run(1, HEALTHY)
        seen.append(machine.key())
    assert seen[0] == "memory_bound"
    assert seen[-1] == "healthy"
    changes = [n for n in range(1, 120) if seen[n] != seen[n - 1]]
    assert len(changes) <= 2, "through no verdict at most"
    assert all(late - early >= 2 * EVERY_S for early, late in pairwise(changes))


def test_one_odd_judgement_changes_nothing_and_a_second_does():
    copying = {**GPM, "pcie_rx_bytes_per_s": 0.8 * LINK_BYTES_PER_S}
    machine = judged(copying)
    seen = []
    for seconds, values in ((5, {**copying, "pcie_width": None}), (20, copying)):
        for _ in range(seconds):
            machine.run(1, values)
            seen.append(machine.key())
    assert set(seen) == {"pcie"}
    machine.run(12, {**copying, "pcie_width": None})
    assert machine.key() is None


def test_a_value_that_swings_about_an_edge_does_not_flap():
    def swings(n: int):
        return {**GPM, "sm_activity": 0.83 if n // 60 % 2 else 0.77}

    machine = Machine()
    seen = []
    for n in range(600):
        machine.run(1, lambda _, n=n: swings(n))
        seen.append(machine.key())
    first = seen.index("healthy")
    assert set(seen[first:]) == {"healthy"}


def test_another_boot_forgets_everything():
    machine = judged(BOUND)
    machine.boot, machine.now = "other", 50.0
    machine.hello()
    machine.run(5, BOUND)
    assert machine.key() is None


def test_mig_instances_are_judged_by_what_they_say_and_their_device_is_not_guessed_at():
    parent = DeviceInfo(uuid="G0", name="NVIDIA X", index=0)
    infos = [parent, DeviceInfo(uuid="M0", name="MIG", index=0, parent="G0"),
             DeviceInfo(uuid="M1", name="MIG", index=1, parent="G0")]  # fmt: skip
    board = {"power_w": 600.0, "power_limit_w": 700.0, "sm_clock_mhz": 1980}
    activity = dict(zip(ACTIVITIES, (0.4, 0.1, 0.7), strict=True))
    machine = Machine(infos=infos).run(75, board, activity, {"memory_used_bytes": 1 << 30})
    assert [machine.key(uuid) for uuid in ("G0", "M0", "M1")] == [None, "memory_bound", None]
    assert machine.book.silence("G0") == "Too little was read in the last 60 s."


def test_the_settings_move_the_edges():
    hot = {**GPM, "sw_thermal_violation_s": 0.2}
    assert Machine(held_back=0.3).run(75, hot).key() is None
    assert Machine(held_back=0.1).run(75, hot).key() == "thermal"


def test_efficiency_takes_sm_activity_where_it_is_and_says_so():
    found = efficiency({**GPM}.get)
    assert found.power_share == pytest.approx(0.48)
    assert (found.activity, found.basis) == (0.7, "measured")
    assert found.activity_per_w == pytest.approx(0.7 / 336)
    plain = efficiency({"gpu_utilization": 0.9, "power_w": 300.0}.get)
    assert (plain.activity, plain.basis, plain.power_share) == (0.9, "estimated", None)
    for lacking in ("power_w", "gpu_utilization"):
        less = efficiency({"gpu_utilization": 0.9, "power_w": 300.0, lacking: None}.get)
        assert less.activity_per_w is None
    assert efficiency({"gpu_utilization": 0.0, "power_w": 0.0}.get).activity_per_w is None


@settings(few, max_examples=20)
@given(st.lists(machines(), min_size=2, max_size=2), st.sampled_from([0.5, 1.0, 7.0]))
def test_any_stream_of_records_is_borne(drawn: list[tuple[Hello, Frame]], period_s: float):
    store, book = Store(), VerdictBook()
    at = 1000.0
    for hello, frame in (*drawn, drawn[0]):
        hello.interval_s = period_s
        store.apply(hello)
        for _ in range(30):
            at += period_s
            for reading in frame.devices:
                reading.read_at = ReadTimes(at, at, at, at)
            frame.boottime_s = frame.host.read_at = at
            frame.interval_s = period_s
            store.apply(frame)
            book.update(store)
            for device in store.devices:
                verdict = book.of(device.uuid)
                said = [book.silence(device.uuid)] if verdict is None else [
                    verdict.sentence, *(e.value for e in verdict.evidence)
                ]  # fmt: skip
                assert all(said)
                assert not any(word in text for text in said for word in ("nan", "inf ", "None"))
    assert math.isfinite(store.now)

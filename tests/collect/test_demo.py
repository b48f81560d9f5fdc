"""The simulated machine keeps its promises: the same for a seed, and as truthful as a real one."""

from __future__ import annotations

import functools
import math
import os
import random
import statistics
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gputop.collect.backend import Answers, Machine, Tick
from gputop.collect.demo import demo_machine, gpu, physics
from gputop.collect.demo.holdings import shares
from gputop.collect.demo.people import Crowd, own_name
from gputop.collect.demo.stories import places
from gputop.collect.demo.windows import Windows
from gputop.errors import UsageError
from gputop.model import codec
from gputop.model.frame import (
    DeviceInfo,
    DeviceReading,
    Event,
    Frame,
    Hello,
    HostReading,
    Process,
)
from gputop.model.metrics import METRICS, OF_INFO, Unit, plausible

BOOTTIME, UTC = 5_000.0, 1_700_000_000.0
PID_MAX_LIMIT = 4 * 1024 * 1024
"""include/linux/threads.h: no 64-bit Linux gives out a pid above this."""


@dataclass(frozen=True)
class Round:
    """What the machine said at one tick."""

    at: float
    """Seconds since the first tick."""
    host: HostReading
    devices: list[DeviceReading]
    processes: list[Process]
    events: list[Event]
    answers: Answers

    def frame(self) -> bytes:
        return codec.encode(
            Frame("s", 1, UTC, BOOTTIME + self.at, 1.0, self.host, self.devices, self.processes)
        )


def ask(machine: Machine, number: int, at: float, boottime: float = BOOTTIME, utc: float = UTC,
        slow: bool = False, with_args: bool = True) -> Round:  # fmt: skip
    tick = Tick(number, boottime + at, utc + at, 1.0, slow)
    machine.devices.request(tick)
    machine.devices.wait(1.0)
    host = machine.host.read(tick)
    answers = machine.devices.answers()
    processes = machine.host.processes(tick, answers.uses, with_args)
    return Round(at, host, list(answers.readings), processes, list(answers.events), answers)


def opened(devices: int = 8, seed: int = 0, start_at: float = 0.0) -> Machine:
    machine = demo_machine(devices, seed, start_at)
    machine.devices.open()
    return machine


@functools.cache
def watch(devices: int = 8, seconds: int = 200, interval: float = 1.0, seed: int = 0,
          start_at: float = 0.0) -> tuple[Round, ...]:  # fmt: skip
    """A run from its first tick on. Shared by the tests: nobody may change what is in it."""
    machine = opened(devices, seed, start_at)
    return tuple(
        ask(machine, n, n * interval) for n in range(1 + round(seconds / interval))
    )  # fmt: skip


def series(rounds: Sequence[Round], device: int) -> list[DeviceReading]:
    return [r.devices[device] for r in rounds]


def fast_values(reading: DeviceReading) -> tuple[object, ...]:
    return (
        reading.status,
        *(getattr(reading, metric.name) for metric in METRICS if metric.tier == "fast"),
    )


# -- the same for a seed -----------------------------------------------------------------------


def test_the_same_seed_says_the_same_at_every_tick() -> None:
    again = opened()
    for number, seen in enumerate(watch(seconds=60)):
        assert ask(again, number, float(number)).frame() == seen.frame()


def test_other_seeds_live_other_lives() -> None:
    others = watch(seconds=20, seed=1)
    for seen, other in zip(watch(seconds=20)[1:], others[1:], strict=True):
        assert seen.devices[2].uuid != other.devices[2].uuid
        assert seen.devices[0].power_w != other.devices[0].power_w
        assert {p.pid for p in seen.processes} != {p.pid for p in other.processes}


def test_what_is_seen_depends_on_the_second_and_not_on_how_often_one_looks() -> None:
    slowly, often, unevenly = watch(seconds=90), watch(seconds=90, interval=0.25), opened()
    jitter = random.Random(5)
    for second in range(91):
        for part in sorted(jitter.uniform(0.0, 0.9) for _ in range(jitter.randrange(3))):
            if second:
                ask(unevenly, 0, second - 1.0 + part)
        other = ask(unevenly, 0, float(second))
        for device, reading in enumerate(slowly[second].devices):
            assert fast_values(reading) == fast_values(often[4 * second].devices[device])
            assert fast_values(reading) == fast_values(other.devices[device])


def test_only_the_time_since_the_first_tick_counts() -> None:
    early, late = opened(), opened()
    for second in range(10):
        here = ask(early, 0, float(second))
        there = ask(late, 0, float(second), boottime=9e6, utc=2e9)
        for one, other in zip(here.devices, there.devices, strict=True):
            assert fast_values(one) == fast_values(other)
            assert one.energy_j == other.energy_j


def test_it_reads_no_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> float:
        raise AssertionError("the demo looked at a clock")

    for name in ("time", "monotonic", "clock_gettime", "perf_counter", "time_ns", "localtime"):
        monkeypatch.setattr(time, name, refuse)
    machine = opened()
    rounds = [ask(machine, n, float(n)) for n in range(3)]
    monkeypatch.undo()
    assert rounds[2].devices[0].power_w


def test_the_start_can_be_put_later_in_the_story() -> None:
    first = watch(seconds=1, start_at=50.0)[0].devices[6]
    assert first.status == "lost"
    assert first.since_s == pytest.approx(BOOTTIME - 10.0), "it fell at second 40"
    second_50 = watch(seconds=60)[50].devices[0]
    assert watch(seconds=1, start_at=50.0)[0].devices[0].gpu_utilization == pytest.approx(
        second_50.gpu_utilization, abs=0.02
    )


@pytest.mark.parametrize("devices", [0, -1, 65])
def test_an_odd_number_of_devices_is_a_usage_error(devices: int) -> None:
    with pytest.raises(UsageError, match=str(devices)):
        demo_machine(devices)


def test_a_start_before_the_story_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="second 0"):
        demo_machine(start_at=-1.0)


# -- truth -------------------------------------------------------------------------------------


def _why(info: DeviceInfo, reading: DeviceReading, name: str) -> str | None:
    return info.missing.get(name) if name in OF_INFO else reading.reason(name)


@pytest.mark.parametrize("devices", [1, 8, 16])
def test_every_metric_has_a_value_or_a_reason_and_never_both(devices: int) -> None:
    for seen in watch(devices, 140):
        for info, reading in zip(seen.answers.inventory, seen.devices, strict=True):
            assert info.uuid == reading.uuid
            for metric in METRICS:
                value = getattr(info if metric.name in OF_INFO else reading, metric.name)
                why = _why(info, reading, metric.name)
                assert (value is None) == (why is not None), (seen.at, reading.uuid, metric.name)
            assert (reading.fan_speeds is None) == (reading.reason("fan_speeds") is not None)


def test_before_the_first_tick_everything_is_pending() -> None:
    machine = demo_machine()
    assert machine.devices.answers().driver.status == "starting"
    assert not machine.devices.answers().inventory
    machine.devices.open()
    answers = machine.devices.answers()
    assert answers.driver.status == "ok"
    assert len(answers.inventory) == len(answers.readings) == 11, "8 devices, 3 instances"
    for reading in answers.readings:
        assert reading.status == "pending"
        assert reading.power_w is None
        assert reading.reason("memory_clock_mhz") in ("pending", "unsupported")


@pytest.mark.parametrize("devices", [1, 8, 16])
def test_every_value_is_plausible_and_finite(devices: int) -> None:
    for seen in watch(devices, 140):
        for info, reading in zip(seen.answers.inventory, seen.devices, strict=True):
            for metric in METRICS:
                value = getattr(info if metric.name in OF_INFO else reading, metric.name)
                if value is None or isinstance(value, bool):
                    continue
                assert math.isfinite(value)
                assert plausible(metric.name, value), (seen.at, metric.name, value)
                if metric.unit is Unit.COUNT:
                    assert isinstance(value, int)
            for span in reading.samples:
                assert span.minimum <= span.mean <= span.maximum
                assert span.start_s < span.end_s
                assert span.count > 0
                assert plausible(span.metric, span.minimum)
                assert plausible(span.metric, span.maximum)


def test_its_records_survive_the_pipe() -> None:
    for seen in watch(seconds=20):
        back = codec.decode(seen.frame(), 1)
        assert isinstance(back, Frame)
        assert back.devices == seen.devices
        assert back.processes == seen.processes
    machine = opened()
    inventory = list(machine.devices.answers().inventory)
    hello = Hello(1, "gputop", "s", machine.host.info(), machine.devices.answers().driver,
                  inventory, 1.0, UTC, BOOTTIME, simulated=True)  # fmt: skip
    assert codec.decode(codec.encode(hello), 1) == hello
    assert machine.simulated
    assert machine.host.info().hostname == "demo"


def test_memory_adds_up() -> None:
    for seen in watch():
        held: dict[str, int] = defaultdict(int)
        for process in seen.processes:
            for use in process.uses:
                assert use.memory_bytes
                held[use.mig or use.device] += use.memory_bytes
        for reading in seen.devices:
            if reading.memory_used_bytes is None:
                continue
            assert reading.memory_free_bytes is not None
            assert reading.memory_free_bytes > 0
            assert reading.memory_reserved_bytes is not None
            assert reading.memory_total_bytes == (
                reading.memory_used_bytes + reading.memory_free_bytes
                + reading.memory_reserved_bytes
            )  # fmt: skip
            assert held[reading.uuid] == reading.memory_used_bytes


def test_the_processes_share_out_the_utilisation_of_their_device() -> None:
    checked = 0
    for seen in watch():
        shared: dict[str, float] = defaultdict(float)
        traffic: dict[str, float] = defaultdict(float)
        for process in seen.processes:
            for use in process.uses:
                if use.mig is None:
                    assert use.sm_utilization is not None
                    assert use.memory_utilization is not None
                    shared[use.device] += use.sm_utilization
                    traffic[use.device] += use.memory_utilization
                else:
                    assert use.sm_utilization is None
                    assert use.missing["sm_utilization"] == "unsupported"
        for reading in seen.devices:
            if reading.gpu_utilization is not None and shared[reading.uuid]:
                assert shared[reading.uuid] == pytest.approx(reading.gpu_utilization)
                assert traffic[reading.uuid] == pytest.approx(reading.memory_utilization)
                checked += 1
    assert checked > 1_000


@given(st.integers(0, 100), st.lists(st.floats(0.0, 10.0), max_size=8))
def test_shares_add_up_and_go_with_the_weights(percent: int, weights: list[float]) -> None:
    parts = shares(percent, weights)
    assert len(parts) == len(weights)
    assert all(part >= 0 for part in parts)
    assert sum(parts) == (percent if sum(weights) > 0 else 0)
    for part, weight in zip(parts, weights, strict=True):
        if sum(weights) > 0:
            assert abs(part - percent * weight / sum(weights)) <= 1.0


# -- physics -----------------------------------------------------------------------------------


@pytest.mark.parametrize("device", range(8))
def test_energy_is_the_integral_of_power(device: int) -> None:
    readings = series(watch(), device)
    pieces, watts_s = 0.0, 0.0
    for before, after in pairwise(readings):
        if before.energy_j is None or after.energy_j is None or after.energy_j < before.energy_j:
            continue
        assert after.power_w is not None
        pieces += after.energy_j - before.energy_j
        watts_s += after.power_w
    assert watts_s > 10_000
    assert pieces == pytest.approx(watts_s, rel=0.01)


def test_power_keeps_to_the_limit_and_heat_below_shutdown() -> None:
    for seen in watch():
        for reading in seen.devices:
            if reading.power_limit_w is not None:
                assert reading.power_w is not None
                assert reading.power_w <= reading.power_limit_w * 1.001
            if reading.temperature_c is not None:
                assert 25 <= reading.temperature_c < physics.SHUTDOWN_C


@pytest.mark.parametrize("device", range(8))
def test_counters_only_grow_but_for_a_reset(device: int) -> None:
    names = ("energy_j", "power_violation_s", "sw_thermal_violation_s", "hw_thermal_violation_s",
             "power_brake_violation_s", "pcie_replays", "ecc_corrected_volatile",
             "ecc_uncorrected_volatile")  # fmt: skip
    readings = series(watch(), device)
    falls = sum(a.status == "ok" and b.status == "lost" for a, b in pairwise(readings))
    for name in names:
        values = [v for r in readings if (v := getattr(r, name)) is not None]
        drops = sum(b < a for a, b in pairwise(values))
        assert drops <= falls, name


def test_violation_counters_grow_just_while_their_reason_stands() -> None:
    pairs = {"power_violation_s": 0x4, "sw_thermal_violation_s": 0x20,
             "hw_thermal_violation_s": 0x40, "power_brake_violation_s": 0x80,
             "sync_boost_violation_s": 0x10}  # fmt: skip
    for name, bit in pairs.items():
        grown = with_reason = 0.0
        for device in range(6):
            readings = series(watch(), device)
            for before, after in pairwise(readings):
                if (a := getattr(before, name)) is None or (b := getattr(after, name)) is None:
                    continue
                grown += b - a
                with_reason += bool((after.event_reasons or 0) & bit)
        assert with_reason > 3, name
        assert grown == pytest.approx(with_reason, rel=0.25, abs=3.0), name


def test_a_busy_device_draws_power_and_an_idle_one_does_not() -> None:
    busy, idle = series(watch(), 0), series(watch(), 3)
    watts = [r.power_w or 0.0 for r in busy if (r.gpu_utilization or 0) > 0.95]
    assert len(watts) > 150
    assert statistics.median(watts) > 500
    assert all((r.power_w or 0) < 90 for r in idle)


# -- tiers, history, gaps ----------------------------------------------------------------------


def test_tiers_are_read_in_their_own_rhythm() -> None:
    rounds = watch(seconds=40, interval=0.25)
    for device in (0, 1, 4):
        times = [r.read_at for r in series(rounds, device)]
        assert [t.fast for t in times] == [BOOTTIME + r.at for r in rounds]
        medium = sorted({t.medium for t in times if t.medium})
        slow = sorted({t.slow for t in times if t.slow})
        assert medium[1] - medium[0] == slow[1] - slow[0] == 0.25, "rates want a second reading"
        assert {b - a for a, b in pairwise(medium[1:])} == {1.0}
        assert {b - a for a, b in pairwise(slow[1:])} == {5.0}


def test_a_tier_says_nothing_new_before_its_time() -> None:
    readings = series(watch(seconds=40, interval=0.25), 0)
    for metric in METRICS:
        if metric.tier not in ("medium", "slow"):
            continue
        for before, after in pairwise(readings):
            if getattr(before.read_at, metric.tier) == getattr(after.read_at, metric.tier):
                assert getattr(before, metric.name) == getattr(after, metric.name), metric.name


def test_the_first_rates_wait_for_a_second_reading() -> None:
    first, second = watch(seconds=1, interval=0.25)[:2]
    for name in ("sm_activity", "nvlink_rx_bytes_per_s", "pcie_rx_bytes_per_s"):
        assert first.devices[0].reason(name) == "needs_two_readings"
        assert getattr(second.devices[0], name) is not None
    assert first.host.missing["cpu_utilization"] == "needs_two_readings"
    assert second.host.cpu_utilization is not None
    assert all(p.missing == {"cpu_utilization": "needs_two_readings"} for p in first.processes)
    assert all(p.cpu_utilization is not None for p in second.processes)


def test_the_slow_tier_can_be_asked_for() -> None:
    machine = opened()
    for second in range(3):
        ask(machine, second, float(second))
    assert ask(machine, 3, 2.4).devices[0].read_at.slow == BOOTTIME + 1.0
    assert ask(machine, 4, 2.5, slow=True).devices[0].read_at.slow == BOOTTIME + 2.5


def test_the_first_reading_brings_the_minutes_before_the_start() -> None:
    first, second = watch(seconds=1)[:2]
    wanted = {"gpu_utilization", "memory_used_bytes", "power_w", "temperature_c"}
    for device in range(7):
        spans = first.devices[device].samples
        assert {span.metric for span in spans} == wanted
        for metric in wanted:
            own = [span for span in spans if span.metric == metric]
            assert len(own) == gpu.PRE_ROLL_S
            assert own[-1].end_s == pytest.approx(BOOTTIME)
            assert all(a.end_s == pytest.approx(b.start_s)
                       for a, b in pairwise(own))  # fmt: skip
        assert len(second.devices[device].samples) < 5, "the history comes once"
    instance = first.devices[8].samples
    assert {span.metric for span in instance} == {"memory_used_bytes"}
    assert {span.metric for span in first.devices[7].samples} == {"power_w", "temperature_c"}


def test_the_history_joins_the_present() -> None:
    for device in (0, 3, 4):
        first = watch(seconds=1)[0].devices[device]
        for metric in ("memory_used_bytes", "temperature_c"):
            last = [span for span in first.samples if span.metric == metric][-1]
            assert last.mean == pytest.approx(getattr(first, metric), rel=0.05)


def test_there_is_no_history_from_before_the_machine_was_up_or_of_a_lost_device() -> None:
    machine = opened()
    young = ask(machine, 0, 0.0, boottime=100.0).devices[0]
    assert min(span.start_s for span in young.samples) >= 0.0
    assert len(young.samples) == 4 * 100
    gone = watch(seconds=1, start_at=60.0)[0].devices[6]
    assert gone.samples
    assert max(span.end_s for span in gone.samples) <= BOOTTIME - 20.0 + 0.001


def test_buffered_samples_cover_the_time_between_two_readings() -> None:
    readings = series(watch(seconds=30), 0)
    for before, after in pairwise(readings):
        spans = {span.metric: span for span in after.samples}
        assert spans["power_w"].start_s == before.read_at.medium
        assert spans["power_w"].end_s == after.read_at.medium
        assert spans["power_w"].mean == pytest.approx(after.power_w, rel=0.001)
    deepest = min(span.minimum for r in readings[1:] for span in r.samples
                  if span.metric == "power_w")  # fmt: skip
    assert deepest < min(r.power_w or 0 for r in readings), "a dip between two ticks is kept"


def test_a_long_gap_costs_a_bounded_number_of_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = opened(devices=1)
    ask(machine, 0, 0.0)
    steps: list[int] = []
    real = physics.Card._step

    def counted(card: physics.Card, stride: int) -> None:
        steps.append(stride)
        real(card, stride)

    monkeypatch.setattr(physics.Card, "_step", counted)
    after = ask(machine, 1, 86_400.0)
    assert len(steps) < 3 * gpu.FINE_STEPS
    assert sum(steps) == 864_000
    assert after.devices[0].status == "ok"
    assert 25 < (after.devices[0].temperature_c or 0) < 90


def test_after_a_long_gap_only_the_newest_events_are_told() -> None:
    machine = opened()
    ask(machine, 0, 0.0)
    events = ask(machine, 1, 86_400.0 + 45.0).events
    assert events
    assert min(event.boottime_s for event in events) > BOOTTIME + 86_300.0


def test_a_tick_that_comes_twice_or_back_in_time_is_harmless() -> None:
    machine = opened()
    ask(machine, 0, 0.0)
    ask(machine, 1, 5.0)
    twice = ask(machine, 2, 5.0, slow=True)
    assert twice.devices[0].sm_activity is not None
    assert ask(machine, 3, 4.0).devices[0].power_w == twice.devices[0].power_w


# -- driver ------------------------------------------------------------------------------------


def test_release_and_retake() -> None:
    machine = opened()
    for second in range(3):
        ask(machine, second, float(second))
    machine.devices.release()
    away = ask(machine, 3, 3.0)
    assert away.answers.driver.status == "released"
    assert away.answers.driver.since_s == BOOTTIME + 3.0
    assert away.answers.driver.message
    assert len(away.answers.inventory) == 11
    assert {r.status for r in away.devices} == {"pending"}
    assert away.devices[0].power_w is None
    assert "released" in away.devices[0].detail
    assert not away.processes
    machine.devices.retake()
    back = ask(machine, 20, 20.0)
    assert back.answers.driver.status == "ok"
    assert back.devices[0].status == "ok"
    assert back.devices[0].reason("sm_activity") == "needs_two_readings"
    machine.devices.close()


def test_events_are_handed_out_once_and_with_their_time() -> None:
    found = [(event, r.at) for r in watch() for event in r.events]
    seen = [(event.device, event.code, event.boottime_s) for event, _ in found]
    assert len(seen) == len(set(seen)) > 3
    for event, at in found:
        assert event.kind == "xid"
        assert event.text
        assert BOOTTIME + at - 1.0 <= event.boottime_s <= BOOTTIME + at
        assert event.utc_s - UTC == pytest.approx(event.boottime_s - BOOTTIME)


def test_driver_calls_are_counted() -> None:
    calls = [r.answers.nvml_calls for r in watch(seconds=20)]
    assert calls[0] > 0
    assert all(a < b for a, b in pairwise(calls))


# -- host and people ---------------------------------------------------------------------------


def test_no_pid_can_be_a_real_one() -> None:
    for seen in watch(16, 140):
        pids = [process.pid for process in seen.processes]
        assert min(pids) > PID_MAX_LIMIT
        assert len(pids) == len(set(pids))


@pytest.mark.parametrize("seed", range(25))
def test_no_two_processes_ever_share_a_pid(seed: int) -> None:
    members = Crowd(seed, places(64)).members
    pids = [member.pid_of(life) for member in members for life in range(0, 500, 7)]
    assert len(pids) == len(set(pids)) > 10_000


def test_the_cast_is_a_crowd() -> None:
    processes = watch()[30].processes
    assert 25 <= len(processes) <= 40
    own = {p.name for p in processes if p.user == own_name() and p.uid == os.getuid()}
    assert own >= {"ipython", "kit", "python"}
    others = {p.uid for p in processes if p.user in ("ann", "bob", "chen")}
    assert len(others) == 3
    assert os.getuid() not in others
    assert {"ann", "bob", "chen", "svc-vllm"} <= {p.user for p in processes}
    kinds = [use.kinds for p in processes for use in p.uses]
    assert kinds.count("M") == 2
    assert {"C", "G", "M", "CG"} <= set(kinds)
    spread = [
        p for p in processes if len({u.device for u in p.uses if (u.sm_utilization or 0) > 0}) > 1
    ]
    assert any(p.name == "vllm" for p in spread), "a tensor-parallel server spans devices"
    ranks = [p for p in processes if p.command and "--local-rank" in p.command]
    assert len({p.uses[0].device for p in ranks}) == len(ranks) == 2
    for process in processes:
        assert process.command
        assert len(process.command) >= 1
        assert process.start_ticks
        assert process.started_utc_s
        assert process.threads
        assert process.memory_bytes


def test_a_process_keeps_its_identity_until_it_dies() -> None:
    starts: dict[int, set[tuple[int | None, float | None]]] = defaultdict(set)
    for seen in watch():
        for process in seen.processes:
            starts[process.pid].add((process.start_ticks, process.started_utc_s))
    assert all(len(times) == 1 for times in starts.values())


def test_arguments_are_left_out_unless_asked_for() -> None:
    machine = opened()
    assert all(p.command is None for p in ask(machine, 0, 0.0, with_args=False).processes)


def test_an_unknown_pid_is_nobody() -> None:
    machine = opened()
    ask(machine, 0, 0.0)
    assert machine.host.processes(Tick(1, BOOTTIME, UTC, 1.0), {77: []}, True) == []


def test_the_cores_agree_with_the_total_and_with_the_processes() -> None:
    for seen in watch()[1:]:
        host = seen.host
        assert host.cores is not None
        assert len(host.cores) == 96
        assert all(0.0 <= core <= 1.0 for core in host.cores)
        assert host.cpu_utilization == pytest.approx(sum(host.cores) / 96, abs=0.001)
        if not any(process.missing for process in seen.processes):
            theirs = sum(p.cpu_utilization or 0.0 for p in seen.processes)
            assert theirs * 0.9 <= sum(host.cores) <= theirs + 96 * 0.03
        assert host.memory_total_bytes == 2048 * 1024**3
        assert host.memory_used_bytes is not None
        assert host.memory_available_bytes is not None
        assert host.memory_used_bytes + host.memory_available_bytes == host.memory_total_bytes
        theirs_bytes = sum(p.memory_bytes or 0 for p in seen.processes)
        assert theirs_bytes < host.memory_used_bytes < theirs_bytes + 100 * 1024**3
        assert theirs_bytes < 512 * 1024**3
        assert host.container is None


def test_load_averages_lag_behind() -> None:
    rounds = {round(r.at): r.host for r in watch()}
    fell = rounds[39].load_1 or 0.0
    for second in (45, 70):
        host = rounds[second]
        assert (host.load_1 or 0) < fell
        assert (host.load_1 or 0) < (host.load_5 or 0) < (host.load_15 or 0)
    assert (rounds[45].load_1 or 0) > (rounds[70].load_1 or 0)


def test_it_can_appear_to_run_in_a_container() -> None:
    machine = demo_machine(container="docker")
    machine.devices.open()
    ask(machine, 0, 0.0)
    host = ask(machine, 1, 1.0).host
    assert machine.host.info().container == "docker"
    assert host.container is not None
    assert host.container.cpu_quota_cores == 24.0
    assert (host.container.cpu_used_cores or 99) <= 24.0
    assert host.container.memory_used_bytes is not None
    assert host.container.memory_limit_bytes is not None
    assert host.container.memory_used_bytes <= host.container.memory_limit_bytes


# -- windows -----------------------------------------------------------------------------------


@given(st.floats(-500, 2_000), st.floats(0, 300), st.booleans())
def test_windows_agree_with_themselves(t: float, step: float, eternal: bool) -> None:
    windows = Windows(40.0, 35.0, 90.0, eternal)
    into = windows.into(t)
    if not eternal:
        assert (into is None) == (t < 40.0 or (t - 40.0) % 90.0 >= 35.0)
    if into is not None and t >= 40.0:
        assert t - into == pytest.approx(windows.begin_of(windows.begun(t)), abs=1e-6)
    for begin in windows.begins(t, t + step):
        assert t < begin <= t + step
        assert windows.into(begin) == 0.0

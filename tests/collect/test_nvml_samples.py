"""Samples that the driver buffers between two readings: each is summed up once."""

from __future__ import annotations

import itertools
import time
from pathlib import Path

import pytest

from gputop.collect.nvml.driver_time import offset_us, utc_ahead_s
from gputop.collect.nvml.samples import SILENCE_S
from gputop.model.frame import SampleSpan
from tests.clocks import Clocks
from tests.collect.nvml_probe import Probe, Told, machine
from tests.fake_driver import Lines, geforce

STEADY: Lines = {"device.0.gpu_utilization": 50, "device.0.power_mw": 400_000}


def now() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def opened(probe: Probe) -> Told:
    """Wait, without asking, until the device has read all its groups."""
    return probe.watch(lambda told: told.answers.readings and told.reading().read_at.slow)


def gather(probe: Probe, ticks: int, metric: str) -> list[SampleSpan]:
    """All spans of one metric from the start on, over so many medium readings."""
    spans: list[SampleSpan] = []
    for _ in range(ticks):
        told = probe.tick(slow=True)
        spans += [s for r in told.answers.readings for s in r.samples if s.metric == metric]
        time.sleep(0.3)
    return spans


def test_the_first_reading_brings_the_seconds_before_the_start(tmp_path: Path) -> None:
    with machine(tmp_path, STEADY) as (_, probe):
        opened(probe)
        spans = gather(probe, 1, "gpu_utilization")
    assert 12 <= len(spans) <= 20, "100 samples at 6 Hz are about 16 s"
    assert all(span.end_s - span.start_s <= 1 for span in spans)
    assert all(3 <= span.count <= 8 for span in spans[1:-1]), (
        "the newest second may be read in two parts"
    )
    assert {span.mean for span in spans} == {0.5}
    assert [span.start_s for span in spans] == sorted(span.start_s for span in spans)
    assert now() - 1.5 < spans[-1].end_s <= now()
    assert now() - 25 < spans[0].start_s < now() - 10


def test_no_sample_is_told_twice(tmp_path: Path) -> None:
    with machine(tmp_path, STEADY) as (_, probe):
        opened(probe)
        spans = gather(probe, 6, "power_instant_w")
    for sooner, later in itertools.pairwise(spans):
        assert later.start_s > sooner.end_s
    steps = (spans[-1].end_s - spans[0].start_s) * 50
    assert steps > 150, "the 2.4 s before the start and the time since"
    assert sum(span.count for span in spans) == pytest.approx(steps + 1, abs=1), "nor left out"


def test_no_sample_is_told_twice_by_a_device_that_was_away(tmp_path: Path) -> None:
    with machine(tmp_path, STEADY, scale=0.1) as (scenario, probe):
        opened(probe)
        spans = gather(probe, 3, "power_instant_w")
        for _ in range(2):
            scenario.set("device.0.lost", 1)
            probe.until(lambda told: told.statuses == ["lost"])
            scenario.remove("device.0.lost")
            spans += gather(probe, 3, "power_instant_w")
    for sooner, later in itertools.pairwise(spans):
        assert later.start_s > sooner.end_s


def test_a_spike_between_two_ticks_is_seen(tmp_path: Path) -> None:
    lines = {**STEADY, "device.0.samples.power": "100000 100000 650000 100000"}
    with machine(tmp_path, lines) as (_, probe):
        opened(probe)
        spans = gather(probe, 1, "power_instant_w")
    assert max(span.maximum for span in spans) == 650
    assert min(span.minimum for span in spans) == 100
    assert all(span.minimum <= span.mean <= span.maximum for span in spans)


def test_answers_without_a_request_keep_the_spans(tmp_path: Path) -> None:
    """The loop looks at the answers between frames: a span must reach a frame."""
    with machine(tmp_path, STEADY) as (_, probe):
        assert opened(probe).reading().samples == []
        assert probe.tick().reading().samples != []
        assert probe.answers().reading().samples == []


@pytest.mark.parametrize("offset_s", [0, 7200, 86400])
@pytest.mark.parametrize("clock", ["realtime", "boottime"])
def test_either_clock_and_one_that_is_wrong(tmp_path: Path, clock: str, offset_s: int) -> None:
    lines = {**STEADY, "samples.clock": clock, "samples.offset_us": offset_s * 1_000_000}
    with machine(tmp_path, lines) as (_, probe):
        opened(probe)
        spans = gather(probe, 1, "power_instant_w")
    assert spans
    assert now() - 5 < spans[-1].end_s <= now()
    assert now() - 10 < spans[0].start_s


def test_samples_go_on_after_the_drivers_own_clock_went_back(tmp_path: Path) -> None:
    """Each seems older than the newest that was seen, until none has come for long."""
    clocks = Clocks(tmp_path / "clocks")
    with machine(tmp_path, STEADY, environment=clocks.env()) as (scenario, probe):
        opened(probe)
        assert gather(probe, 3, "power_instant_w")
        scenario.set("samples.offset_us", -3_600_000_000)
        clocks.suspend(2 * SILENCE_S)
        assert gather(probe, 6, "power_instant_w")


@pytest.mark.parametrize(
    ("move", "seconds"), [("set_wall", -3600), ("set_wall", 3600), ("suspend", 3600)]
)
def test_samples_go_on_after_a_clock_moved(tmp_path: Path, move: str, seconds: int) -> None:
    """None is handed out twice, and none is moved by the hour that the clock was."""
    clocks = Clocks(tmp_path / "clocks")
    with machine(tmp_path, STEADY, environment=clocks.env()) as (_, probe):
        opened(probe)
        before = gather(probe, 3, "power_instant_w")
        getattr(clocks, move)(seconds)
        slept = seconds if move == "suspend" else 0
        after = gather(probe, 6, "power_instant_w")
    assert after
    assert after[0].start_s > before[-1].end_s
    assert now() + slept - 10 < after[0].start_s
    assert after[-1].end_s <= now() + slept
    assert {span.mean for span in after} == {400.0}


def test_values_that_cannot_be_are_left_out(tmp_path: Path) -> None:
    lines = {**STEADY, "device.0.samples.gpu": "40 101 4294967295 60"}
    with machine(tmp_path, lines) as (_, probe):
        opened(probe)
        spans = gather(probe, 1, "gpu_utilization")
    assert max(span.maximum for span in spans) == 0.6
    assert min(span.minimum for span in spans) == 0.4


@pytest.mark.parametrize("answer", ["none", "error 3", "error 999"])
def test_a_buffer_without_samples(tmp_path: Path, answer: str) -> None:
    lines = {**STEADY, "device.0.samples.power": answer}
    with machine(tmp_path, lines) as (_, probe):
        reading = opened(probe).reading()
        spans = gather(probe, 2, "power_instant_w")
    assert reading.status == "ok"
    assert spans == []


def test_power_samples_of_an_old_device_are_its_power(tmp_path: Path) -> None:
    """Up to GA100 `power_w` is the power of the moment, and so are the samples."""
    lines = {
        **geforce(),
        "device.0.architecture": 6,
        "device.0.compute_capability": "7.5",
        "device.0.field.185": "0 return=3",
        "device.0.field.186": "0 return=3",
    }
    with machine(tmp_path, lines) as (_, probe):
        opened(probe)
        told = probe.tick(slow=True)
    assert {span.metric for span in told.reading().samples} <= {"power_w", "gpu_utilization"}


def test_a_buffer_that_is_larger_than_its_room(tmp_path: Path) -> None:
    lines = {**STEADY, "device.0.samples.power.count": 900, "device.0.samples.power.hz": 300}
    with machine(tmp_path, lines) as (_, probe):
        opened(probe)
        spans = gather(probe, 4, "power_instant_w")
    assert sum(span.count for span in spans) >= 900


def test_which_clock_a_timestamp_is_of() -> None:
    boot, epoch = 5_000.0, 1_800_000_000.0
    ahead = epoch - boot
    assert offset_us(round(5_000.0e6) - 10, boot, lambda: ahead) == 0
    assert offset_us(round(epoch * 1e6) - 10, boot, lambda: ahead) == (boot - epoch) * 1e6
    assert offset_us(round(4_000.0e6), boot, lambda: ahead) is None
    assert offset_us(round((epoch + 3600) * 1e6), boot, lambda: ahead) is None


def test_being_held_up_between_two_clocks_is_no_time_between_them() -> None:
    boot, wall = iter([10.0, 12.0, 12.0, 12.001, 13.0, 15.0]), iter([110.0, 112.0005, 115.0])
    ahead = utc_ahead_s(lambda: next(boot), lambda: next(wall))
    assert ahead == pytest.approx(100, abs=1e-6)


def test_a_buffer_that_is_never_large_enough_takes_no_memory(tmp_path: Path) -> None:
    """Twice the room at every reading would be 4 GB after 20 of them."""
    with machine(tmp_path, STEADY) as (scenario, probe):
        opened(probe)
        before = peak_kib(probe)
        scenario.set("device.0.call.nvmlDeviceGetSamples.error", 7)
        for _ in range(16):
            assert probe.tick(slow=True).statuses == ["ok"]
        assert peak_kib(probe) - before < 32 << 10


def peak_kib(probe: Probe) -> int:
    status = Path(f"/proc/{probe.process.pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0])

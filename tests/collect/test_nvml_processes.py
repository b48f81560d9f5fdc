"""Who is on a device, with how much memory, and how much of it they use."""

from __future__ import annotations

from pathlib import Path

import pytest

from gputop.model.frame import DeviceUse
from tests.clocks import Clocks
from tests.collect.nvml_probe import Probe, machine
from tests.fake_driver import many_processes

BUSY = {"device.*.gpu_utilization": 80}


def uses_of(probe: Probe, count: int = 1) -> dict[int, list[DeviceUse]]:
    told = probe.until(lambda told: len(told.answers.uses) == count)
    return {pid: list(uses) for pid, uses in told.answers.uses.items()}


def test_memory_and_shares(tmp_path: Path) -> None:
    lines = {**BUSY, "device.0.process.0": "pid=77 type=C memory=3G sm=64 mem=20 enc=1 dec=2"}
    with machine(tmp_path, lines) as (_, probe):
        (use,) = uses_of(probe)[77]
        told = probe.ready()
    assert use.device == told.answers.inventory[0].uuid
    assert use.kinds == "C"
    assert use.mig is None
    assert use.memory_bytes == 3 << 30
    assert use.sm_utilization == 0.64
    assert use.memory_utilization == 0.2
    assert use.encoder_utilization == 0.01
    assert use.decoder_utilization == 0.02
    assert use.missing == {}
    assert told.reading().read_at.processes is not None


def test_a_process_in_several_lists_and_on_several_devices(tmp_path: Path) -> None:
    lines = {
        "count": 2,
        "device.0.process.0": "pid=77 type=C+G memory=3G",
        "device.1.process.0": "pid=77 type=M memory=1G",
    }
    with machine(tmp_path, lines) as (_, probe):
        told = probe.until(lambda told: len(told.answers.uses.get(77, ())) == 2)
    first, second = told.answers.uses[77]
    assert (first.kinds, first.memory_bytes) == ("CG", 3 << 30)
    assert (second.kinds, second.memory_bytes) == ("M", 1 << 30)
    assert first.device != second.device


def test_memory_that_is_not_told(tmp_path: Path) -> None:
    with machine(tmp_path, {"device.0.process.0": "pid=77 type=C memory=na"}) as (_, probe):
        (use,) = uses_of(probe)[77]
    assert use.memory_bytes is None
    assert use.missing["memory_bytes"] == "unsupported"


def test_pids_that_are_none(tmp_path: Path) -> None:
    lines = {
        "device.0.process.0": "pid=0 type=C memory=1G",
        "device.0.process.1": "pid=4294967295 type=C memory=1G",
        "device.0.process.2": "pid=77 type=C memory=1G",
    }
    with machine(tmp_path, lines) as (_, probe):
        assert list(uses_of(probe)) == [77]


def test_a_driver_with_longer_rows(tmp_path: Path) -> None:
    """R535.43 to .98: read as usual, such rows would be pids made of memory sizes."""
    lines = {**many_processes(5), "device.0.processes.struct_bytes": 32}
    with machine(tmp_path, lines) as (_, probe):
        uses = uses_of(probe, 5)
    assert sorted(uses) == list(range(100_000, 100_005))
    assert uses[100_003][0].memory_bytes == 16 << 20


def test_five_hundred_processes(tmp_path: Path) -> None:
    lines = {**BUSY, **many_processes(500)}
    with machine(tmp_path, lines) as (scenario, probe):
        uses = uses_of(probe, 500)
        before = len(scenario.calls())
        probe.tick(slow=True)
        symbols = [call.symbol for call in scenario.calls()[before:]]
    assert all(use.sm_utilization is not None for (use,) in uses.values())
    assert uses[100_499][0].memory_bytes == 8 << 20
    assert symbols.count("nvmlDeviceGetComputeRunningProcesses_v3") == 1, "the size is not asked"


def test_a_size_query_that_succeeds(tmp_path: Path) -> None:
    lines = {**many_processes(3), "device.0.processes.size_query": 0}
    with machine(tmp_path, lines) as (_, probe):
        assert len(uses_of(probe, 3)) == 3


@pytest.mark.parametrize("idle_answer", [0, 6])
def test_a_process_that_does_nothing(tmp_path: Path, idle_answer: int) -> None:
    """The driver lists the busy ones only: on a device that does nothing the others use 0."""
    lines = {
        "device.0.gpu_utilization": 0,
        "device.0.process.0": "pid=77 type=C memory=1G",
        "device.0.process_utilization.idle": idle_answer,
    }
    with machine(tmp_path, lines) as (_, probe):
        (use,) = uses_of(probe)[77]
    assert use.sm_utilization == 0.0


def test_a_busy_device_whose_processes_have_no_rows(tmp_path: Path) -> None:
    """Some drivers bring no rows at all: nobody knows who it is, and 0 would be wrong."""
    lines = {**BUSY, "device.0.process.0": "pid=77 type=C memory=1G"}
    with machine(tmp_path, lines) as (_, probe):
        probe.ready()
        probe.tick(slow=True)
        (use,) = uses_of(probe)[77]
    assert use.sm_utilization is None
    assert use.missing["sm_utilization"] == "pending"


def test_stale_rows_are_no_news(tmp_path: Path) -> None:
    lines = {**BUSY, "device.0.process.0": "pid=77 type=C memory=1G sm=90 stamp=1000000"}
    with machine(tmp_path, lines) as (_, probe):
        (first,) = uses_of(probe)[77]
        probe.tick(slow=True)
        (later,) = probe.tick(slow=True).answers.uses[77]
    assert first.missing["sm_utilization"] == "needs_two_readings"
    assert later.sm_utilization is None
    assert later.missing["sm_utilization"] == "pending"


def test_a_stale_row_among_new_ones(tmp_path: Path) -> None:
    lines = {
        **BUSY,
        "device.0.process.0": "pid=77 type=C memory=1G sm=90 stamp=1000000",
        "device.0.process.1": "pid=78 type=C memory=1G sm=40",
    }
    with machine(tmp_path, lines) as (_, probe):
        uses = uses_of(probe, 2)
    assert uses[78][0].sm_utilization == 0.4
    assert uses[77][0].sm_utilization != 0.9


@pytest.mark.parametrize("seconds", [-3600, 3600])
def test_shares_go_on_after_the_wall_clock_was_set(tmp_path: Path, seconds: int) -> None:
    """The driver stamps rows with the wall clock: set back, all new ones look old."""
    clocks = Clocks(tmp_path / "clocks")
    lines = {**BUSY, "device.0.process.0": "pid=77 type=C memory=1G sm=40"}
    with machine(tmp_path, lines, environment=clocks.env()) as (scenario, probe):
        assert uses_of(probe)[77][0].sm_utilization == 0.4
        clocks.set_wall(seconds)
        scenario.set("device.0.process.0", "pid=77 type=C memory=1G sm=70")
        probe.until(lambda told: told.answers.uses[77][0].sm_utilization == 0.7, slow=True)


def test_shares_above_the_whole(tmp_path: Path) -> None:
    line = "pid=77 type=C memory=1G sm=4294967295 mem=130 enc=5"
    with machine(tmp_path, {**BUSY, "device.0.process.0": line}) as (_, probe):
        (use,) = uses_of(probe)[77]
    assert use.sm_utilization is None
    assert use.missing["sm_utilization"] == "implausible(4294967295)"
    assert use.missing["memory_utilization"] == "implausible(130)"
    assert use.encoder_utilization == 0.05


def test_shares_that_are_refused(tmp_path: Path) -> None:
    lines = {
        "device.0.process.0": "pid=77 type=C memory=1G sm=5",
        "device.0.call.nvmlDeviceGetProcessesUtilizationInfo.error": 4,
    }
    with machine(tmp_path, lines) as (_, probe):
        (use,) = uses_of(probe)[77]
    assert use.memory_bytes == 1 << 30
    assert use.missing["sm_utilization"] == "denied"


def test_the_older_call_for_shares(tmp_path: Path) -> None:
    lines = {
        **BUSY,
        "device.0.process.0": "pid=77 type=C memory=1G sm=55",
        "device.0.call.nvmlDeviceGetProcessesUtilizationInfo.error": 3,
    }
    with machine(tmp_path, lines) as (_, probe):
        (use,) = uses_of(probe)[77]
    assert use.sm_utilization == 0.55


def test_lists_that_are_denied(tmp_path: Path) -> None:
    lines = {
        "device.0.process.0": "pid=77 type=C memory=1G",
        **{f"device.0.call.nvmlDeviceGet{kind}RunningProcesses_v3.error": 4
           for kind in ("Compute", "Graphics", "MPSCompute")},
    }  # fmt: skip
    with machine(tmp_path, lines) as (_, probe):
        told = probe.ready()
    assert told.answers.uses == {}
    assert told.reading().read_at.processes is None, "an empty list and no list are two things"
    assert told.reading().reason("processes") == "denied"
    assert told.reading().status == "ok"


def test_a_lost_device_has_no_processes(tmp_path: Path) -> None:
    lines = {"device.0.process.0": "pid=77 type=C memory=1G"}
    with machine(tmp_path, lines, scale=0.1) as (scenario, probe):
        uses_of(probe)
        scenario.set("device.0.lost", 1)
        told = probe.until(lambda told: told.statuses == ["lost"])
    assert told.answers.uses == {}

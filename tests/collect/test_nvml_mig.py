"""MIG instances are devices of their own, behind the device they are cut from."""

from __future__ import annotations

from pathlib import Path

from tests.collect.nvml_probe import Told, machine
from tests.fake_driver import mig_instances

GI_OF_SLOT = {0: 7, 1: 8, 3: 10}


def instances(told: Told) -> list[int | None]:
    return [info.index for info in told.answers.inventory if info.parent]


def test_instances_follow_their_device(tmp_path: Path) -> None:
    with machine(tmp_path, {"count": 2, **mig_instances(0)}) as (_, probe):
        told = probe.ready(5)
    parent, first, second, third, other = told.answers.inventory
    assert [info.parent for info in told.answers.inventory] == [
        None, parent.uuid, parent.uuid, parent.uuid, None,
    ]  # fmt: skip
    assert [first.index, second.index, third.index] == [0, 1, 3], "a hole is stepped over"
    assert third.uuid == "MIG-5c2e0000-0000-4000-8000-000000000003"
    assert third.mig_profile == "1g.10gb"
    assert (third.gpu_instance_id, third.compute_instance_id) == (10, 0)
    assert other.index == 1

    of_parent, of_third = told.reading(0), told.reading(3)
    assert of_parent.gpu_utilization is None
    assert of_parent.missing["gpu_utilization"] == "unsupported"
    assert of_parent.memory_used_bytes is None
    assert of_parent.missing["memory_used_bytes"] == "denied"
    assert of_parent.temperature_c is not None
    assert of_parent.mig_mode is True
    assert of_third.memory_total_bytes == 10200547328
    assert of_third.memory_used_bytes == 4 << 30
    assert of_third.missing["temperature_c"] == "unsupported"
    assert of_third.status == "ok"


def test_more_instances_than_can_be_are_not_counted_up_to(tmp_path: Path) -> None:
    with machine(tmp_path, {**mig_instances(0), "device.0.mig_max": 4_000_000_000}) as (_, probe):
        told = probe.ready(4)
    assert instances(told) == [0, 1, 3]


def test_gpm_of_an_instance(tmp_path: Path) -> None:
    with machine(tmp_path, mig_instances(0, [2])) as (_, probe):
        probe.ready(2)
        told = probe.until(lambda told: told.reading(1).sm_activity is not None)
    assert told.reading(1).dram_activity is not None


def test_the_layout_changes(tmp_path: Path) -> None:
    with machine(tmp_path, mig_instances(0)) as (scenario, probe):
        probe.ready(4)
        scenario.remove("device.0.mig.1")
        probe.until(lambda told: instances(told) == [0, 3], slow=True)
        scenario.update(mig_instances(0, [5]))
        told = probe.until(lambda told: instances(told) == [0, 3, 5], slow=True)
        assert [info.uuid for info in told.answers.inventory][1:] == [
            reading.uuid for reading in told.answers.readings
        ][1:]
        scenario.remove("device.0.mig.0", "device.0.mig.3", "device.0.mig.5")
        probe.until(
            lambda told: told.statuses == ["ok"] and told.reading().memory_used_bytes, slow=True
        )


def test_an_instance_whose_handle_went_is_dropped_at_once(tmp_path: Path) -> None:
    with machine(tmp_path, mig_instances(0)) as (scenario, probe):
        before = probe.ready(4)
        scenario.remove("device.0.mig.3")
        seen = probe.until(lambda told: instances(told) == [0, 1])
        assert seen.reading().read_at.slow == before.reading().read_at.slow
        assert seen.reading(1).memory_used_bytes == 1 << 30


def test_instances_are_lost_with_their_device(tmp_path: Path) -> None:
    with machine(tmp_path, mig_instances(0), scale=0.1) as (scenario, probe):
        probe.ready(4)
        scenario.set("device.0.lost", 1)
        told = probe.until(lambda told: told.statuses == ["lost"] * 4)
        assert told.reading(2).memory_used_bytes is None
        scenario.remove("device.0.lost")
        probe.until(lambda told: told.statuses == ["ok"] * 4)


def test_processes_on_instances(tmp_path: Path) -> None:
    lines = {
        **mig_instances(0),
        "device.0.process.0": "pid=11 type=C memory=1G gi=7 ci=0",
        "device.0.process.1": "pid=12 type=C memory=2G gi=10 ci=0",
    }
    with machine(tmp_path, lines) as (scenario, probe):
        probe.ready(4)
        uses = probe.until(lambda told: len(told.answers.uses) == 2).answers.uses
        assert [use.mig for use in uses[11]] == ["MIG-5c2e0000-0000-4000-8000-000000000000"]
        assert [use.mig for use in uses[12]] == ["MIG-5c2e0000-0000-4000-8000-000000000003"]
        assert uses[11][0].device.startswith("GPU-")
        assert uses[11][0].memory_bytes == 1 << 30
        assert uses[11][0].sm_utilization is None
        assert uses[11][0].missing["sm_utilization"] == "unsupported"
        assert scenario.calls()


def test_mine(tmp_path: Path) -> None:
    environment = {"CUDA_VISIBLE_DEVICES": "MIG-5c2e0000-0000-4000-8000-000000000001"}
    lines = {"count": 2, **mig_instances(0)}
    with machine(tmp_path, lines, environment=environment) as (_, probe):
        told = probe.ready(5)
    assert [info.mine for info in told.answers.inventory] == [True, False, True, False, False]

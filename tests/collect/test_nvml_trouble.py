"""One device hangs, is lost, comes back or cannot be opened; the others go on."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.collect.nvml_probe import FOREVER_S, Told, machine
from tests.fake_driver import Scenario

FAST = 0.1
HANG = "device.1.call.nvmlDeviceGetTemperatureV.hang"


def uuids(told: Told) -> list[str]:
    return [info.uuid for info in told.answers.inventory]


def test_a_call_that_hangs(tmp_path: Path) -> None:
    with machine(tmp_path, {"count": 3}, scale=FAST) as (scenario, probe):
        probe.ready(3)
        scenario.set(HANG, "forever")
        told = probe.until(lambda told: told.statuses == ["ok", "timed_out", "ok"])
        hung = told.reading(1)
        assert hung.gpu_utilization is None
        assert hung.power_limit_w is None
        assert hung.reason("power_limit_w") == "timed_out"
        assert hung.since_s is not None
        assert "does not answer" in hung.detail
        assert not any(letter.isdigit() for letter in hung.detail)
        before = told.reading(0).read_at.fast
        inside = len(calls_on(scenario, 1))
        later = probe.tick(wait_s=FOREVER_S)  # which returns: it is not waited for
        assert later.reading(0).read_at.fast != before, "siblings go on"
        assert later.reading(1).since_s == hung.since_s
        assert len(calls_on(scenario, 1)) == inside, "it is not asked again"
        scenario.remove(HANG)
        told = probe.until(lambda told: told.statuses == ["ok", "ok", "ok"])
    assert told.reading(1).since_s is None
    assert told.reading(1).temperature_c is not None


def searches(scenario: Scenario) -> int:
    return sum(call.symbol == "nvmlDeviceGetHandleByUUID" for call in scenario.calls())


def calls_on(scenario: Scenario, device: int) -> list[str]:
    return [call.symbol for call in scenario.calls() if call.device == device]


def test_the_value_stays_until_the_deadline(tmp_path: Path) -> None:
    """A frame that repeats a reading repeats the time it was read at."""
    with machine(tmp_path, scale=20) as (scenario, probe):
        probe.ready()
        scenario.set("device.0.call.nvmlDeviceGetTemperatureV.hang", "forever")
        told = probe.until(lambda _: calls_on(scenario, 0)[-1] == "nvmlDeviceGetTemperatureV")
        again = probe.tick(wait_s=0.2)
    assert again.statuses == ["ok"]
    assert again.reading().temperature_c is not None
    assert again.reading().read_at.fast == told.reading().read_at.fast


def test_a_medium_read_that_hangs(tmp_path: Path) -> None:
    with machine(tmp_path, {"count": 2}, scale=FAST) as (scenario, probe):
        probe.ready(2)
        scenario.set("device.0.call.nvmlDeviceGetSamples.hang", "forever")
        probe.until(lambda told: told.statuses == ["timed_out", "ok"])
        scenario.remove("device.0.call.nvmlDeviceGetSamples.hang")
        probe.until(lambda told: told.statuses == ["ok", "ok"])


@pytest.mark.parametrize("code", [15, 16])
def test_a_device_is_lost(tmp_path: Path, code: int) -> None:
    with machine(tmp_path, {"count": 3}, scale=FAST) as (scenario, probe):
        before = uuids(probe.ready(3))
        scenario.set("device.1.call.*.error", code)
        told = probe.until(lambda told: told.statuses == ["ok", "lost", "ok"])
        lost = told.reading(1)
        assert uuids(told) == before, "it stays in its place"
        assert lost.temperature_c is None
        assert lost.reason("temperature_c") == "lost"
        assert lost.since_s is not None
        assert ("bus" if code == 15 else "reset") in lost.detail
        tries = searches(scenario)
        later = probe.until(lambda _: searches(scenario) > tries + 1)
        assert later.reading(1).since_s == lost.since_s
        scenario.remove("device.1.call.*.error")
        told = probe.ready(3)
    assert told.statuses == ["ok", "ok", "ok"]
    assert told.answers.inventory[1].sm_clock_max_mhz == 1980


def test_a_lost_device_comes_back_elsewhere(tmp_path: Path) -> None:
    with machine(tmp_path, {"count": 3}, scale=FAST) as (scenario, probe):
        first, second, third = uuids(probe.ready(3))
        scenario.update({"order": "0 2", "count": 2})
        told = probe.until(lambda told: told.statuses.count("lost") == 1)
        assert second in uuids(told)
        scenario.update({"order": "1 0 2", "count": 3, "device.1.generation": 2})
        told = probe.until(
            lambda told: told.statuses == ["ok"] * 3 and told.answers.inventory[0].uuid == second,
            slow=True,
        )
    info = next(info for info in told.answers.inventory if info.uuid == second)
    assert info.index == 0
    assert set(uuids(told)) == {first, second, third}


def test_a_handle_that_a_reset_made_invalid(tmp_path: Path) -> None:
    """The device is found again within the same tick: nobody need see it go."""
    with machine(tmp_path, {"count": 2}) as (scenario, probe):
        probe.ready(2)
        scenario.set("device.0.generation", 2)
        seen: list[list[str]] = []

        def found_again(told: Told) -> bool:
            seen.append(told.statuses)
            return "nvmlDeviceGetHandleByUUID" in calls_on(scenario, -1) + calls_on(scenario, 0)

        told = probe.until(found_again, wait_s=5)
    assert told.reading().gpu_utilization is not None
    assert all(statuses == ["ok", "ok"] for statuses in seen)


@pytest.mark.parametrize(
    ("code", "status", "says"),
    [
        (4, "error", "no permission"), (8, "error", "power cables"), (11, "error", "interrupts"),
        (15, "lost", "fallen off the bus"), (16, "lost", "needs a reset"),
    ],
)  # fmt: skip
def test_a_device_that_cannot_be_opened(tmp_path: Path, code: int, status: str, says: str) -> None:
    key = "device.1.call.nvmlDeviceGetHandleByIndex_v2.error"
    with machine(tmp_path, {"count": 3, key: code}, scale=FAST) as (scenario, probe):
        told = probe.until(lambda told: len(told.statuses) == 3 and "pending" not in told.statuses)
        assert told.statuses == ["ok", status, "ok"]
        assert uuids(told)[1] == "index:1"
        assert told.answers.inventory[1].index == 1
        assert says in told.reading(1).detail
        assert told.reading(1).reason("temperature_c") in ("lost", f"error({code})")
        scenario.remove(key)
        told = probe.ready(3)
    assert told.statuses == ["ok", "ok", "ok"]
    assert "index:1" not in uuids(told)


def test_a_place_that_turns_out_to_be_taken(tmp_path: Path) -> None:
    """While one device cannot be opened the order changes: each device is listed once."""
    key = "device.1.call.nvmlDeviceGetHandleByIndex_v2.error"
    with machine(tmp_path, {"count": 2, key: 11}, scale=FAST) as (scenario, probe):
        probe.until(lambda told: told.statuses == ["ok", "error"])
        scenario.update({"order": "1 0", key: 0})
        told = probe.until(
            lambda told: told.statuses == ["ok", "ok"] and "index:1" not in uuids(told), slow=True
        )
        assert len(set(uuids(told))) == 2
        told = probe.until(lambda told: uuids(told)[0].endswith("1"), slow=True)
    assert [info.index for info in told.answers.inventory] == [0, 1]


def test_two_devices_of_one_uuid(tmp_path: Path) -> None:
    """One is read, and of the other it is said why it is not."""
    same = {f"device.{n}.uuid": "GPU-5" for n in (0, 2)}
    with machine(tmp_path, {"count": 3, **same}, scale=FAST) as (_, probe):
        told = probe.until(lambda told: sorted(told.statuses) == ["error", "ok", "ok"])
        (ill,) = [reading for reading in told.answers.readings if reading.status == "error"]
        index = int(ill.uuid.removeprefix("index:"))
        assert f"the UUID of GPU {2 - index}" in ill.detail
        assert ill.gpu_utilization is None
        assert told.answers.inventory[index].index == index


def test_a_device_that_hangs_at_the_start(tmp_path: Path) -> None:
    key = "device.0.call.nvmlDeviceGetUUID.hang"
    with machine(tmp_path, {"count": 2, key: "forever"}, scale=0.05) as (scenario, probe):
        told = probe.until(lambda told: told.statuses == ["timed_out", "ok"])
        assert uuids(told)[0] == "index:0"
        scenario.remove(key)
        probe.until(lambda told: told.statuses == ["ok", "ok"])


def test_every_read_fails(tmp_path: Path) -> None:
    """`systemctl daemon-reload` in a container: every call answers 999."""
    with machine(tmp_path, {"count": 2}, scale=FAST) as (scenario, probe):
        probe.ready(2)
        scenario.set("device.0.call.*.error", 999)
        told = probe.until(lambda told: told.statuses == ["error", "ok"])
        assert "restart the container" in told.reading().detail
        assert told.reading().reason("temperature_c") == "error(999)"
        scenario.remove("device.0.call.*.error")
        probe.until(lambda told: told.statuses == ["ok", "ok"])


def test_all_devices_are_lost(tmp_path: Path) -> None:
    """Then a fresh start of the library harms none."""
    with machine(tmp_path, {"device.0.lost": 1}, scale=FAST) as (scenario, probe):
        probe.until(lambda told: told.statuses == ["lost"])
        probe.until(lambda _: sum(c.symbol == "nvmlShutdown" for c in scenario.calls()) >= 2)
        scenario.remove("device.0.lost")
        told = probe.ready()
    assert told.statuses == ["ok"]
    assert told.answers.driver.status == "ok"


def test_lost_in_the_middle_of_a_group(tmp_path: Path) -> None:
    with machine(tmp_path, scale=FAST) as (scenario, probe):
        probe.ready()
        scenario.set("device.0.call.nvmlDeviceGetEncoderUtilization.error", 15)
        told = probe.until(lambda told: told.statuses == ["lost"])
        assert told.reading().gpu_utilization is None
        freed = [call.symbol for call in scenario.calls()].count("nvmlGpmSampleFree")
        assert freed >= 2
        scenario.remove("device.0.call.nvmlDeviceGetEncoderUtilization.error")
        probe.until(lambda told: told.statuses == ["ok"])

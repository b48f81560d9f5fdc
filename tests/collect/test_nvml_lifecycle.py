"""The driver that is not there, comes, hangs, is replaced, released and taken back."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.clocks import Clocks
from tests.collect.nvml_probe import FOREVER_S, ROOT, machine
from tests.fake_driver import Call, Scenario, build, corrupt

FAST = 0.1


def inits(scenario: Scenario) -> list[Call]:
    return [call for call in scenario.calls() if call.symbol == "nvmlInitWithFlags"]


@pytest.mark.parametrize(
    ("code", "status", "words"),
    [
        (9, "absent", "kernel driver is not loaded"),
        (28, "absent", "found no GPU"),
        (4, "failed", "permission"),
        (999, "failed", "unknown error"),
        (18, "failed", "different versions"),
        (77, "failed", "error 77"),
    ],
)
def test_a_driver_that_cannot_be_opened_is_tried_again(
    tmp_path: Path, code: int, status: str, words: str
) -> None:
    with machine(tmp_path, {"init.error": code}, scale=FAST) as (scenario, probe):
        driver = probe.until(lambda told: told.answers.driver.status != "starting").answers.driver
        assert (driver.status, driver.code) == (status, code)
        assert words in driver.message
        assert driver.remedy
        assert driver.since_s is not None
        scenario.remove("init.error")
        told = probe.ready()
    assert told.answers.driver.status == "ok"
    assert told.answers.driver.code is None
    assert told.reading().status == "ok"


def test_the_pauses_between_attempts_grow(tmp_path: Path) -> None:
    with machine(tmp_path, {"init.error": 9}, scale=FAST) as (scenario, probe):
        probe.until(lambda _: len(inits(scenario)) >= 4)
        times = [call.monotonic_ns / 1e9 for call in inits(scenario)]
    pauses = [later - sooner for sooner, later in itertools.pairwise(times)]
    assert pauses[0] >= 0.09
    assert pauses[1] >= 0.19
    assert pauses[2] >= 0.39


def test_without_a_library(tmp_path: Path) -> None:
    with machine(tmp_path, scale=FAST, library=corrupt(tmp_path / "broken")) as (_, probe):
        driver = probe.until(lambda told: told.answers.driver.status != "starting").answers.driver
    assert (driver.status, driver.code) == ("absent", 12)
    assert "libnvidia-ml.so.1" in driver.message


def test_a_library_that_appears(tmp_path: Path) -> None:
    folder = tmp_path / "driver"
    folder.mkdir()
    with machine(tmp_path, scale=FAST, library=folder) as (_, probe):
        probe.until(lambda told: told.answers.driver.code == 12)
        (folder / "libnvidia-ml.so.1").symlink_to(build() / "libnvidia-ml.so.1")
        assert probe.ready().answers.driver.status == "ok"


def test_a_driver_without_a_device(tmp_path: Path) -> None:
    with machine(tmp_path, {"count": 0}, scale=FAST) as (scenario, probe):
        told = probe.until(lambda told: told.answers.driver.status != "starting")
        assert told.answers.driver.status == "absent"
        assert "lists no GPU" in told.answers.driver.message
        scenario.set("count", 1)
        assert probe.ready().answers.driver.status == "ok"


def test_a_device_that_is_added(tmp_path: Path) -> None:
    with machine(tmp_path, {"count": 1}, scale=FAST) as (scenario, probe):
        probe.ready(1)
        scenario.set("count", 2)
        told = probe.ready(2)
    assert [info.index for info in told.answers.inventory] == [0, 1]
    assert told.statuses == ["ok", "ok"]


def test_an_init_that_hangs(tmp_path: Path) -> None:
    with machine(tmp_path, {"init.hang": "forever"}, scale=0.05) as (scenario, probe):
        assert probe.answers().answers.driver.status == "starting"
        told = probe.until(lambda told: told.answers.driver.status == "stuck")
        assert told.answers.driver.message
        probe.tick(wait_s=FOREVER_S)  # which returns: nobody waits for what is stuck
        time.sleep(0.3)
        assert len(inits(scenario)) == 1, "never a second one beside it"
        scenario.remove("init.hang")
        assert probe.ready().answers.driver.status == "ok"


def test_a_release_while_the_init_hangs(tmp_path: Path) -> None:
    with machine(tmp_path, {"init.hang": "forever"}, scale=0.05) as (scenario, probe):
        probe.until(lambda told: told.answers.driver.status == "stuck")
        assert probe.release().answers.driver.status == "stuck"
        scenario.remove("init.hang")
        probe.watch(lambda told: told.answers.driver.status == "released")
        assert scenario.calls()[-1].symbol == "nvmlShutdown"


def test_a_driver_that_was_upgraded(tmp_path: Path) -> None:
    with machine(tmp_path, scale=FAST) as (scenario, probe):
        assert not probe.ready().needs_restart
        scenario.update({"init.error": 18, "uninitialized": 1})
        told = probe.until(lambda told: told.needs_restart)
    assert told.answers.driver.status == "failed"
    assert told.answers.driver.code == 18
    assert "start afresh" in told.answers.driver.remedy
    assert told.statuses == ["error"], "the device stays in its place"
    assert told.reading().gpu_utilization is None


def test_a_fresh_process_need_not_be_restarted_until_the_library_changes(tmp_path: Path) -> None:
    folder = tmp_path / "driver"
    folder.mkdir()
    library = folder / "libnvidia-ml.so.1"
    library.write_bytes((build() / library.name).read_bytes())
    with machine(tmp_path, {"init.error": 18}, scale=FAST, library=folder) as (_, probe):
        told = probe.until(lambda told: told.answers.driver.code == 18)
        assert not told.needs_restart
        newer = folder / "newer"
        newer.write_bytes(library.read_bytes())
        newer.replace(library)
        probe.until(lambda told: told.needs_restart)


def test_somebody_else_shuts_the_library_down(tmp_path: Path) -> None:
    with machine(tmp_path, {"count": 2}, scale=FAST) as (scenario, probe):
        probe.ready(2)
        scenario.set("uninitialized", 1)
        probe.until(lambda told: told.statuses != ["ok", "ok"])
        scenario.set("uninitialized", 0)
        told = probe.ready(2)
    assert told.statuses == ["ok", "ok"]
    assert told.answers.driver.status == "ok"


@pytest.mark.parametrize("call", ["nvmlInit*", "nvmlDeviceGetCount*"])
def test_somebody_else_shuts_the_library_down_while_it_is_opened(tmp_path: Path, call: str) -> None:
    """Nobody who reads once and leaves is told of it."""
    with machine(tmp_path, {f"call.{call}.error": "1 times=1"}, scale=20) as (_, probe):
        told = probe.watch(lambda told: told.answers.driver.status != "starting")
        assert told.answers.driver.status == "ok"
        probe.ready()


def test_what_must_be_opened_again_under_a_call_that_hangs_says_so(tmp_path: Path) -> None:
    """Nobody asked for a release, so none is spoken of."""
    hang = "device.1.call.nvmlDeviceGetUtilizationRates.hang"
    with machine(tmp_path, {"count": 2}, scale=FAST) as (scenario, probe):
        probe.ready(2)
        scenario.set(hang, "forever")
        probe.until(lambda told: told.statuses[1] == "timed_out")
        scenario.set("device.0.call.nvmlDeviceGet*.error", "1 times=1")
        told = probe.until(lambda told: told.answers.driver.status == "stuck")
        assert "has to be opened again" in told.answers.driver.message
        assert "release" not in told.answers.driver.remedy
        scenario.remove(hang)
        probe.until(lambda told: told.statuses == ["ok", "ok"])


def test_release_and_retake(tmp_path: Path) -> None:
    with machine(tmp_path, {"count": 2}, scale=FAST) as (scenario, probe):
        before = probe.ready(2)
        scenario.set("call.nvmlShutdown.hang", "forever")
        probe.release()  # which returns: it does not wait for the library
        probe.until(lambda _: scenario.calls()[-1].symbol == "nvmlShutdown")
        scenario.remove("call.nvmlShutdown.hang")
        told = probe.watch(lambda told: told.answers.driver.status == "released")
        symbols = [call.symbol for call in scenario.calls()]
        assert symbols[-1] == "nvmlShutdown"
        assert "nvmlEventSetFree" in symbols
        assert symbols.count("nvmlGpmSampleFree") == symbols.count("nvmlGpmSampleAlloc") > 0
        assert told.statuses == ["pending", "pending"]
        assert told.reading().gpu_utilization is None
        assert not told.answers.uses
        assert [i.uuid for i in told.answers.inventory] == [
            i.uuid for i in before.answers.inventory
        ]
        calls = len(scenario.calls())
        probe.tick()
        assert len(scenario.calls()) == calls, "a released driver is not called"
        probe.retake()
        assert probe.ready(2).statuses == ["ok", "ok"]


def test_a_release_without_a_driver(tmp_path: Path) -> None:
    with machine(tmp_path, {"init.error": 9}, scale=FAST) as (scenario, probe):
        probe.until(lambda told: told.answers.driver.status == "absent")
        probe.release()
        told = probe.watch(lambda told: told.answers.driver.status == "released")
        assert told.answers.driver.code is None
        assert told.answers.driver.message == "The driver is released."
        tried = len(inits(scenario))
        probe.retake()
        told = probe.watch(lambda told: told.answers.driver.status == "absent")
        assert told.answers.driver.code == 9
        assert len(inits(scenario)) > tried


def test_no_shutdown_under_a_call(tmp_path: Path) -> None:
    with machine(tmp_path, {"count": 2}, scale=FAST) as (scenario, probe):
        probe.ready(2)
        scenario.set("device.1.call.nvmlDeviceGetUtilizationRates.hang", "forever")
        probe.until(lambda told: told.statuses[1] == "timed_out")
        probe.release()
        told = probe.watch(lambda told: told.answers.driver.status == "stuck")
        assert "does not return" in told.answers.driver.message
        assert "nvmlShutdown" not in [call.symbol for call in scenario.calls()]
        scenario.remove("device.1.call.nvmlDeviceGetUtilizationRates.hang")
        probe.watch(lambda told: told.answers.driver.status == "released")
        assert scenario.calls()[-1].symbol == "nvmlShutdown"


def test_a_release_that_is_called_off(tmp_path: Path) -> None:
    with machine(tmp_path, {"count": 2}, scale=FAST) as (scenario, probe):
        probe.ready(2)
        scenario.set("device.1.call.nvmlDeviceGetUtilizationRates.hang", "forever")
        probe.until(lambda told: told.statuses[1] == "timed_out")
        probe.release()
        probe.watch(lambda told: told.answers.driver.status == "stuck")
        probe.retake()
        probe.until(
            lambda told: told.answers.driver.status == "ok" and told.statuses == ["ok", "timed_out"]
        )
        scenario.remove("device.1.call.nvmlDeviceGetUtilizationRates.hang")
        probe.until(lambda told: told.statuses == ["ok", "ok"])
        scenario.set("device.0.xid.0", "79 seq=1")
        probe.until(lambda told: told.answers.events)


def test_close_waits_for_nothing(tmp_path: Path) -> None:
    with machine(tmp_path, scale=FAST) as (scenario, probe):
        probe.ready()
        scenario.set("device.0.call.nvmlDeviceGetUtilizationRates.hang", "forever")
        probe.until(lambda told: told.statuses == ["timed_out"])
        probe.close()  # which returns, though the call never does
        assert "nvmlShutdown" not in [call.symbol for call in scenario.calls()]


def test_close_lets_go_of_what_it_can(tmp_path: Path) -> None:
    with machine(tmp_path, scale=FAST) as (scenario, probe):
        probe.ready()
        probe.close()
        probe.watch(lambda _: scenario.calls()[-1].symbol == "nvmlShutdown")


FOREIGN = "def nvmlInit(): pass\n"
"""Another package of the binding's name, as pynvml 11 was."""


def test_another_package_of_that_name(tmp_path: Path) -> None:
    (tmp_path / "pynvml.py").write_text(FOREIGN)
    script = (
        "import time\n"
        "from gputop.collect.nvml import NvmlDevices\n"
        "devices = NvmlDevices(); devices.open()\n"
        "while devices.answers().driver.status == 'starting': time.sleep(0.01)\n"
        "print(devices.answers().driver.status, devices.answers().driver.message)\n"
    )
    scenario = Scenario(tmp_path / "scenario", library=build())
    variables = {**os.environ, **scenario.env(), "PYTHONPATH": f"{tmp_path}:{ROOT}"}
    done = subprocess.run(
        [sys.executable, "-c", script], env=variables, capture_output=True, text=True, timeout=60
    )
    assert done.stdout == "failed Another package named pynvml hides nvidia-ml-py.\n", done.stderr


# -- a suspend -------------------------------------------------------------------------------------


def test_a_suspend_is_no_time_in_which_the_driver_failed_to_answer(tmp_path: Path) -> None:
    """A call that was under way when the machine fell asleep is not hours overdue when it wakes."""
    clocks = Clocks(tmp_path / "clocks")
    lines = {"init.hang": "forever"}
    with machine(tmp_path, lines, scale=20, environment=clocks.env()) as (scenario, probe):
        probe.watch(lambda _: inits(scenario))
        clocks.suspend(3 * 3600)
        assert probe.answers().answers.driver.status == "starting"
        scenario.remove("init.hang")
        probe.ready()
        scenario.set("device.0.call.nvmlDeviceGetUtilizationRates.hang", "forever")
        calls = len(scenario.calls())
        probe.tick(wait_s=0.0)
        probe.watch(lambda _: "Utilization" in str(scenario.calls()[calls:]))
        clocks.suspend(3 * 3600)
        assert probe.answers().statuses == ["ok"]

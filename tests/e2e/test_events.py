"""Events beside the screen: by exit status, to the user's command, and by the bell."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.e2e.conftest import Driver, moving
from tests.e2e.program import Run, Start, wait_ended
from tests.fake_driver import h100s

HEALTHY = {**h100s(2), "device.*.temperature": 50, "device.*.clocks_event_reasons": 0}
APPEND = "sh -c 'cat >> events'"


def told(folder: Path) -> list[dict[str, object]]:
    """What the command was told so far."""
    path = folder / "events"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_check_judges_what_the_driver_says(driver: Driver, run: Run) -> None:
    scenario = driver(HEALTHY)
    well = run(scenario, "check", "--wait", "0.5", "--format", "json")
    assert well.end() == 0, well.errors
    assert json.loads(well.out)["healthy"] is True
    scenario.set("device.1.fabric.state", 2)
    sick = run(scenario, "check", "--wait", "0.5", "--format", "json")
    assert sick.end() == 1
    (problem,) = json.loads(sick.out)["problems"]
    assert (problem["rule"], problem["where"][0]) == ("fabric", "1")
    only = run(scenario, "check", "--wait", "0.5", "--devices", "0")
    assert only.end() == 0


def test_check_says_of_a_device_that_never_answers_that_it_does_not(
    driver: Driver, run: Run
) -> None:
    scenario = driver({**HEALTHY, "device.1.call.nvmlDeviceGet*.hang": "forever"})
    sick = run(scenario, "check", "--wait", "0.5", "--format", "json", scale=0.3)
    assert sick.end() == 1
    assert [p["rule"] for p in json.loads(sick.out)["problems"]] == ["timed_out"]


def test_check_without_a_driver(run: Run) -> None:
    program = run({"LD_LIBRARY_PATH": "/nowhere"}, "check", "--wait", "0.5")
    assert program.end() == 3
    assert program.out == ""


def test_the_screen_rings_and_runs_a_command_and_leaves_none_behind(
    driver: Driver, gputop: Start, folder: Path
) -> None:
    scenario = driver(moving(2))
    slow = "sh -c 'cat >> events; sleep 1000'"
    terminal = gputop(scenario, "--bell", "--on-event", slow, size=(120, 40))
    terminal.wait_alive(0)
    rung = terminal.raw.count(b"\x07")
    scenario.set("device.1.lost", 1)
    terminal.wait_for("critical")
    terminal.wait_for(lambda t: t.raw.count(b"\x07") > rung)
    terminal.wait_for(lambda _: told(folder))
    event = told(folder)[0]
    assert (event["what"], event["rule"], event["severity"]) == ("begin", "lost", "critical")
    assert str(event["where"]).startswith("1 ")
    running = terminal.descendants()
    terminal.check_leaves()
    wait_ended(running)


def test_a_stream_runs_a_command_too(driver: Driver, run: Run, folder: Path) -> None:
    scenario = driver({**HEALTHY, "device.0.clocks_event_reasons": "0x40"})
    program = run(
        scenario, "stream", "--count", "3", "--interval", "0.25", "--on-event", APPEND
    )  # fmt: skip
    assert program.end() == 0, program.errors
    assert [event["rule"] for event in told(folder)] == ["reason:hw_thermal"]


def test_a_command_that_fails_is_told_on_the_screen(driver: Driver, gputop: Start) -> None:
    terminal = gputop(driver({**HEALTHY, "device.0.lost": 1}), "--on-event", "false")
    terminal.wait_for("ended with exit code 1")


@pytest.mark.parametrize("late_ms", [0, 2000])
def test_xids_of_before_the_start_are_listed_as_such(
    driver: Driver, gputop: Start, run: Run, tmp_path: Path, late_ms: int
) -> None:
    """Also of a device that is late to say who it is, and stands there without a name till then."""
    log = tmp_path / "kmsg"
    late = {"device.1.call.nvmlDeviceGetUUID.delay_ms": f"{late_ms} times=1"}
    scenario = driver({**HEALTHY, **late, "device.1.pci_bus_id": "00000000:3B:00.0"})
    log.write_text("4,1,1000000,-;NVRM: Xid (PCI:0000:3b:00): 95, pid=1, \x1b[31mUncontained\n")
    env = {"GPUTOP_KERNEL_LOG": str(log)}
    program = run(scenario, "check", "--wait", "0.5", "--format", "json", env=env)
    assert program.end() == 0, program.out
    (before,) = json.loads(program.out)["before_start"]
    assert (before["rule"], before["where"][0]) == ("xid:95", "1")
    terminal = gputop(scenario, env=env, size=(120, 40))
    terminal.wait_alive(0, changes=0)
    terminal.wait_device(1, "util")
    terminal.press("w", shows="Xid 95: uncontained memory error")
    terminal.wait_for("before start")

"""`gputop stream` and its readers on the fake driver: the whole way from the library to records."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gputop.errors import CollectorFailed
from gputop.model.codec import decode
from gputop.model.commands import Release, Retake, encode_command
from gputop.model.frame import Event, Frame, Hello
from gputop.sources.deadlines import Deadlines
from gputop.sources.once import read_once
from tests.builds import compiler
from tests.collect.streams import Stream
from tests.fake_driver import Scenario, build, h100s

pytestmark = pytest.mark.skipif(compiler() is None, reason="no C compiler")


@pytest.fixture
def scenario(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scenario]:
    """Three GPUs, the first with a process of ours; processes started from here see them."""
    lines = {**h100s(3), "device.0.process.0": f"pid={os.getpid()} type=C memory=1G sm=50 mem=9"}
    result = Scenario(tmp_path / "scenario", lines, library=build())
    for name, value in result.env().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("GPUTOP_DEADLINE_SCALE", "0.2")
    return result


def stream(*arguments: str, stdin: int = subprocess.DEVNULL) -> Stream:
    command = [sys.executable, "-m", "gputop", "stream", "--interval", "0.1", *arguments]
    return Stream(command, stdin)


@pytest.mark.usefixtures("scenario")
def test_devices_and_the_processes_on_them() -> None:
    with stream() as s:
        hello = s.next(Hello, lambda h: len(h.devices) == 3)
        assert hello.driver.status == "ok"
        assert not hello.simulated
        frame = s.next(Frame, lambda f: bool(f.processes))
        assert [d.uuid for d in frame.devices] == [d.uuid for d in hello.devices]
        (process,) = frame.processes
        assert process.pid == os.getpid()
        assert process.name == Path("/proc/self/comm").read_text().strip()
        assert process.uses[0].memory_bytes == 1 << 30


def test_a_device_that_hangs_is_told_while_the_others_go_on(scenario: Scenario) -> None:
    with stream() as s:
        s.next(Frame, lambda f: len(f.devices) == 3)
        scenario.set("device.1.call.nvmlDeviceGetUtilizationRates.hang", "forever")
        frame = s.next(Frame, lambda f: f.devices[1].status == "timed_out")
        assert [frame.devices[n].status for n in (0, 2)] == ["ok", "ok"]
        later = s.next(Frame, lambda f: f.seq == frame.seq + 2)
        assert later.devices[0].read_at.fast != frame.devices[0].read_at.fast
        s.process.send_signal(signal.SIGTERM)
        assert s.wait() == 143


def test_a_driver_that_does_not_open_holds_up_nothing_but_itself(scenario: Scenario) -> None:
    scenario.set("init.hang", "forever")
    with stream() as s:
        frame = s.next(Frame, lambda f: f.seq == 3)
        assert frame.host.cpu_utilization is not None
        assert frame.devices == []
        assert s.next(Hello, lambda h: h.driver.status == "stuck").driver.remedy
        s.process.send_signal(signal.SIGTERM)
        assert s.wait() == 143


def test_a_driver_that_appears_is_picked_up(scenario: Scenario) -> None:
    scenario.set("init.error", 9)
    with stream() as s:
        s.next(Hello, lambda h: h.driver.status in ("absent", "failed"))
        scenario.remove("init.error")
        s.next(Hello, lambda h: len(h.devices) == 3)
        s.next(Frame, lambda f: len(f.devices) == 3)


def test_a_driver_upgrade_is_followed_in_a_new_session(scenario: Scenario) -> None:
    with stream() as s:
        first = s.next(Frame, lambda f: len(f.devices) == 3).session
        scenario.update({"call.*.error": 999, "init.error": 18})
        restarted = s.next(Hello, lambda h: h.session != first)
        scenario.remove("call.*.error", "init.error")
        s.next(Frame, lambda f: len(f.devices) == 3 and f.session != first)
        assert restarted.driver.status == "starting"


@pytest.mark.usefixtures("scenario")
def test_release_and_retake() -> None:
    with stream("--control", stdin=subprocess.PIPE) as s:
        s.next(Frame, lambda f: len(f.devices) == 3)
        assert s.process.stdin is not None
        s.process.stdin.write(encode_command(Release()))
        s.next(Hello, lambda h: h.driver.status == "released")
        s.process.stdin.write(encode_command(Retake()))
        s.next(Hello, lambda h: h.driver.status == "ok")
        s.next(Frame, lambda f: [d.status for d in f.devices] == ["ok"] * 3)


def test_an_xid_is_an_event(scenario: Scenario) -> None:
    with stream() as s:
        hello = s.next(Hello, lambda h: len(h.devices) == 3)
        s.next(Frame, lambda f: len(f.devices) == 3)
        scenario.set("device.2.xid.0", "79 seq=1")
        event = s.next(Event)
        assert (event.kind, event.code, event.device) == ("xid", 79, hello.devices[2].uuid)


@pytest.mark.usefixtures("scenario")
def test_only_the_devices_asked_for() -> None:
    with stream("--devices", "2", "--count", "2") as s:
        frames = [s.next(Frame, lambda f: bool(f.devices)) for _ in range(2)]
        assert [len(frame.devices) for frame in frames] == [1, 1]
        assert frames[1].processes == []
        assert s.wait() == 0


@pytest.mark.usefixtures("scenario")
def test_a_device_that_is_not_there() -> None:
    with stream("--devices", "0,5") as s:
        assert s.wait() == 2
        assert "called 5;" in s.errors()


@pytest.mark.usefixtures("scenario")
def test_a_single_reading_has_the_rates() -> None:
    hello, frame = read_once([])
    assert len(hello.devices) == len(frame.devices) == 3
    for reading in frame.devices:
        assert "needs_two_readings" not in reading.missing.values()
        assert "pending" not in reading.missing.values()
        assert reading.nvlink_rx_bytes_per_s is not None
        assert reading.sm_activity is not None
    assert frame.processes[0].cpu_utilization is not None


def test_a_single_reading_of_a_machine_with_a_device_that_hangs(scenario: Scenario) -> None:
    scenario.set("device.1.call.nvmlDeviceGetUtilizationRates.hang", "forever")
    _, frame = read_once([])
    assert [reading.status for reading in frame.devices] == ["ok", "timed_out", "ok"]


def test_a_count_waits_for_a_device_that_takes_its_time_to_open(scenario: Scenario) -> None:
    """Without persistence mode a device takes seconds to wake, each its own."""
    scenario.set("device.2.call.nvmlDeviceGetUUID.delay_ms", 350)
    command = [sys.executable, "-m", "gputop", "stream", "--interval", "0.1", "--count", "1"]
    done = subprocess.run(command, capture_output=True, check=True)
    *_, last = (decode(line, 1) for line in done.stdout.splitlines())
    assert isinstance(last, Frame)
    assert [device.status for device in last.devices] == ["ok", "ok", "ok"]


def test_a_single_reading_waits_for_a_device_that_takes_its_time_to_open(
    scenario: Scenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Longer than the window: it was left out, and nobody knew."""
    monkeypatch.setenv("GPUTOP_DEADLINE_SCALE", "1")
    scenario.set("device.2.call.nvmlDeviceGetUUID.delay_ms", 600)
    hello, frame = read_once([])
    assert [device.index for device in hello.devices] == [0, 1, 2]
    assert [device.status for device in frame.devices] == ["ok", "ok", "ok"]


UUID_2 = "GPU-8a7c5e00-1f2d-4b3a-9c00-000000000002"


def test_a_device_that_was_asked_for_is_waited_for(
    scenario: Scenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Longer than a single reading waits for the answers of what is listed."""
    monkeypatch.setenv("GPUTOP_DEADLINE_SCALE", "1")
    late_ms = round(1000 * Deadlines.from_environment().answer_s) + 500
    scenario.set("device.2.call.nvmlDeviceGetUUID.delay_ms", f"{late_ms} times=1")
    hello, frame = read_once(["--devices", UUID_2])
    assert [device.uuid for device in hello.devices] == [UUID_2]
    assert [device.status for device in frame.devices] == ["ok"]


def test_a_device_that_was_asked_for_and_never_says_who_it_is(
    scenario: Scenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GPUTOP_DEADLINE_SCALE", "0.1")
    scenario.set("device.2.call.nvmlDeviceGetUUID.hang", "forever")
    with pytest.raises(CollectorFailed, match=r"not every one says who it is \(GPU 2\)"):
        read_once(["--devices", UUID_2])


def test_a_single_reading_names_a_device_that_never_says_who_it_is(scenario: Scenario) -> None:
    scenario.set("device.2.call.nvmlDeviceGetUUID.hang", "forever")
    hello, frame = read_once([])
    assert [device.index for device in hello.devices] == [0, 1, 2]
    assert [device.status for device in frame.devices] == ["ok", "ok", "timed_out"]

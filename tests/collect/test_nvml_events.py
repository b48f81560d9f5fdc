"""Xids reach the loop once each, with the device they are of."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from gputop.model.frame import Event
from tests.collect.nvml_probe import Probe, machine

REGISTER, WAIT = "nvmlDeviceRegisterEvents", "nvmlEventSetWait"


def gather(probe: Probe, count: int) -> list[Event]:
    events: list[Event] = []

    def enough(_: object) -> bool:
        events.extend(probe.answers().answers.events)
        return len(events) >= count

    while not enough(None):
        pass
    return events + list(probe.tick().answers.events)


def test_an_xid(tmp_path: Path) -> None:
    with machine(tmp_path, {"count": 2}) as (scenario, probe):
        told = probe.ready(2)
        scenario.set("device.1.xid.0", "79 seq=1")
        (event,) = gather(probe, 1)
    assert event.kind == "xid"
    assert event.code == 79
    assert event.device == told.answers.inventory[1].uuid
    assert event.boottime_s > 0
    assert event.utc_s > 1_600_000_000


def test_the_same_xid_again_is_another_event(tmp_path: Path) -> None:
    with machine(tmp_path) as (scenario, probe):
        probe.ready()
        scenario.set("device.0.xid.0", "31 seq=1")
        assert [event.code for event in gather(probe, 1)] == [31]
        scenario.set("device.0.xid.0", "31 seq=2")
        scenario.set("device.0.xid.1", "999 seq=1")
        assert sorted(event.code or 0 for event in gather(probe, 2)) == [31, 999]


def test_events_of_other_kinds_are_not_asked_for(tmp_path: Path) -> None:
    with machine(tmp_path) as (scenario, probe):
        probe.ready()
        scenario.set("device.0.xid.0", "1 seq=1 type=4")
        scenario.set("device.0.xid.1", "48 seq=1")
        assert [event.code for event in gather(probe, 1)] == [48]


@pytest.mark.parametrize(
    ("symbol", "code"),
    [
        ("nvmlDeviceRegisterEvents", 3),
        ("nvmlEventSetCreate", 999),
        ("nvmlEventSetWait_v2", 15),
        ("nvmlEventSetWait_v2", 3),
    ],
)
def test_devices_without_events_are_well(tmp_path: Path, symbol: str, code: int) -> None:
    with machine(tmp_path, {f"call.{symbol}.error": code}, scale=0.1) as (scenario, probe):
        probe.until(lambda _: symbol in [call.symbol for call in scenario.calls()])
        told = probe.ready()
        assert told.statuses == ["ok"]
        probe.release()
        probe.watch(lambda told: told.answers.driver.status == "released")


def test_events_go_on_after_release_and_retake(tmp_path: Path) -> None:
    with machine(tmp_path, scale=0.1) as (scenario, probe):
        probe.ready()
        probe.release()
        probe.watch(lambda told: told.answers.driver.status == "released")
        probe.retake()
        probe.ready()
        scenario.set("device.0.xid.0", "13 seq=1")
        assert [event.code for event in gather(probe, 1)] == [13]


def test_a_device_that_hangs_as_it_is_registered_keeps_no_other_unheard(tmp_path: Path) -> None:
    hang = {"device.0.call.nvmlDeviceRegisterEvents.hang": "forever"}
    with machine(tmp_path, {"count": 2, **hang}) as (scenario, probe):
        told = probe.ready(2)
        assert told.statuses == ["ok", "ok"]
        probe.until(lambda _: (1, REGISTER) in [(c.device, c.symbol) for c in scenario.calls()])
        scenario.set("device.1.xid.0", "31 seq=1")
        assert [event.code for event in gather(probe, 1)] == [31]


def test_a_device_that_is_opened_again_and_again_hangs_in_one_registration(tmp_path: Path) -> None:
    hang = f"device.0.call.{REGISTER}.hang"
    lost = "device.0.call.nvmlDeviceGetTemperature*.error"

    def registrations() -> int:
        return sum((call.device, call.symbol) == (0, REGISTER) for call in scenario.calls())

    def open_again() -> None:
        scenario.set(lost, 15)
        probe.until(lambda told: told.statuses == ["lost", "ok"])
        scenario.remove(lost)
        probe.until(lambda told: told.statuses == ["ok", "ok"])

    with machine(tmp_path, {"count": 2, hang: "forever"}, scale=0.1) as (scenario, probe):
        probe.ready(2)
        for _ in range(3):
            open_again()
        assert registrations() == 1
        scenario.remove(hang)
        probe.until(lambda _: registrations() == 2)
        scenario.set("device.0.xid.0", "31 seq=1")
        assert [event.code for event in gather(probe, 1)] == [31]


def test_a_release_that_is_called_off_at_once_makes_no_event_two(tmp_path: Path) -> None:
    """What waits for events is still inside the driver then."""
    hang = "device.0.call.nvmlDeviceGetUtilizationRates.hang"
    with machine(tmp_path, {"count": 2}) as (scenario, probe):
        probe.ready(2)
        scenario.set(hang, "forever")
        probe.tick(wait_s=0)
        for _ in range(3):
            probe.release()
            probe.retake()
        scenario.remove(hang)
        probe.until(lambda told: told.statuses == ["ok", "ok"])
        scenario.set("device.1.xid.0", "31 seq=1")
        events = gather(probe, 1)
        # Whoever hears it too has heard it before what comes after it.
        scenario.set("device.1.xid.1", "13 seq=1")
        assert [event.code for event in events + gather(probe, 1)] == [31, 13]
        before = len(scenario.calls())

        def waiting() -> list[int]:
            calls = scenario.calls()[before:]
            return [call.thread_id for call in calls if call.symbol.startswith(WAIT)]

        probe.until(lambda _: len(waiting()) > 2)
        assert len(set(waiting())) == 1, "one thread waits for them"


def test_the_time_in_which_nothing_could_be_heard_is_told(tmp_path: Path) -> None:
    with machine(tmp_path, scale=0.1) as (scenario, probe):
        assert probe.ready().answers.unheard is None
        before = time.clock_gettime(time.CLOCK_BOOTTIME)
        probe.release()
        probe.watch(lambda told: told.answers.driver.status == "released")
        released = time.clock_gettime(time.CLOCK_BOOTTIME)
        scenario.set("device.0.xid.0", "79 seq=1")
        probe.retake()
        told = probe.watch(lambda told: told.answers.unheard)
        assert told.answers.unheard is not None
        since, until = told.answers.unheard
        assert before <= since <= released <= until
        assert probe.ready().answers.unheard is None
        assert probe.tick().answers.events == [], "the driver tells it to nobody"

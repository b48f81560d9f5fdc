"""Every story of the demo shows within its first 200 seconds, in the fields it is about."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from gputop.collect.demo import stories
from gputop.model.frame import DeviceInfo, DeviceReading
from tests.collect.test_demo import BOOTTIME, Round, series, watch

SEEDS = (0, 3)
Test = Callable[[DeviceReading, DeviceInfo], bool]


@dataclass(frozen=True)
class Shows:
    """What must be seen on one device, and for how many of the 201 readings."""

    story: str
    device: int
    what: Test
    at_least: int
    at_most: int = 201

    @property
    def slot(self) -> stories.Story:
        """Devices from the ninth on are the instances of the last slot."""
        return stories.CAST[min(self.device, len(stories.CAST) - 1)]


def _bits(mask: int) -> Test:
    return lambda reading, _: (reading.event_reasons or 0) & mask == mask


def _full(reading: DeviceReading, _: DeviceInfo) -> bool:
    used, total = reading.memory_used_bytes, reading.memory_total_bytes
    return used is not None and total is not None and used > 0.95 * total


def _narrow_under_load(reading: DeviceReading, info: DeviceInfo) -> bool:
    width, widest = reading.pcie_width, info.pcie_width_max
    return (
        width is not None and widest is not None and width < widest
        and (reading.gpu_utilization or 0) > 0.5 and reading.pcie_generation == 5
    )  # fmt: skip


# fmt: off
SHOWN = (
    Shows("training works", 0, lambda r, _: (r.gpu_utilization or 0) > 0.9
          and (r.tensor_activity or 0) > 0.35 and (r.nvlink_tx_bytes_per_s or 0) > 2e10, 150),
    Shows("training pauses for checkpoints", 0, lambda r, _: r.gpu_utilization is not None
          and r.gpu_utilization < 0.1 and (r.power_w or 999) < 200, 5, 20),
    Shows("nothing is wrong with it but for sync boost", 0,
          lambda r, _: bool((r.event_reasons or 0) & ~0x11), 0, 0),
    Shows("sync boost holds it to its sick partner", 0, _bits(0x10), 4, 10),
    Shows("the loader leaves gaps", 1,
          lambda r, _: r.gpu_utilization is not None and r.gpu_utilization < 0.02, 40, 110),
    Shows("and busy stretches", 1, lambda r, _: (r.gpu_utilization or 0) > 0.55, 60),
    Shows("its power is far below the limit", 1,
          lambda r, _: r.power_w is not None and r.power_w < 0.8 * 700, 201),
    Shows("its link is narrow under load", 1, _narrow_under_load, 60),
    Shows("its link has to send again", 1, lambda r, _: (r.pcie_replays or 0) > 100, 201),
    Shows("it decodes", 1, lambda r, _: (r.jpeg_utilization or 0) > 0.1, 60),
    Shows("the server is nearly full", 2, _full, 180),
    Shows("the server is busy at times", 2, lambda r, _: (r.gpu_utilization or 0) > 0.85, 30),
    Shows("and not at others", 2, lambda r, _: r.gpu_utilization is not None
          and r.gpu_utilization < 0.4, 20),
    Shows("the forgotten notebook does nothing", 3,
          lambda r, _: r.gpu_utilization == 0.0 and r.event_reasons == 1
          and (r.memory_used_bytes or 0) > 37 * 2**30, 180),
    Shows("an idle link steps down", 3, lambda r, _: r.pcie_generation == 1, 180),
    Shows("a row waits to be remapped", 3, lambda r, _: r.remap_pending is True, 180),
    Shows("an uncorrectable error was met", 3, lambda r, _: r.ecc_uncorrected_volatile == 1
          and r.recovery_action == 4 and r.remapped_rows_uncorrected == 1, 60, 100),
    Shows("the driver hangs", 3, lambda r, _: r.status == "timed_out" and bool(r.detail)
          and r.power_w is None and r.reason("power_w") == "timed_out", 7, 12),
    Shows("the driver is slow before", 3, lambda r, _: (r.read_s or 0) > 0.2, 3, 10),
    Shows("power-capped nearly always", 4, lambda r, i: _bits(0x4)(r, i)
          and r.power_limit_w == 400 and (r.power_w or 0) > 300, 160),
    Shows("the power brake", 4, _bits(0x88), 4, 10),
    Shows("corrected errors come in slowly", 4,
          lambda r, _: (r.ecc_corrected_volatile or 0) > 24, 150),
    Shows("software thermal slowdown", 5, _bits(0x20), 10, 120),
    Shows("hardware thermal slowdown", 5, lambda r, i: _bits(0x48)(r, i)
          and (r.sm_clock_mhz or 9999) <= 990, 5, 60),
    Shows("and it recovers", 5, lambda r, _: (r.event_reasons == 0
          and (r.temperature_c or 99) < 75), 40),
    Shows("too hot for its threshold", 5, lambda r, i: r.temperature_c is not None
          and r.temperature_c >= (i.temperature_max_operating_c or 999), 8),
    Shows("the margin is gone", 5, lambda r, _: r.temperature_margin_c is not None
          and r.temperature_margin_c <= 3, 8),
    Shows("off the bus", 6, lambda r, _: r.status == "lost" and "bus" in r.detail
          and r.memory_total_bytes is None and r.reason("temperature_c") == "lost", 60, 80),
    Shows("and back", 6, lambda r, _: r.status == "ok" and (r.gpu_utilization or 0) > 0.4, 60),
    Shows("the cut device denies its memory", 7, lambda r, _: r.memory_used_bytes is None
          and r.reason("memory_used_bytes") == "denied"
          and r.reason("gpu_utilization") == "unsupported" and r.mig_mode is True
          and (r.power_w or 0) > 100, 201),
    *(Shows("an instance has memory and activity", n, lambda r, i: i.parent is not None
            and i.mig_profile is not None and (r.memory_used_bytes or 0) > 2**30
            and r.reason("power_w") == "unsupported"
            and (r.sm_activity is not None or r.reason("sm_activity") == "needs_two_readings"),
            201) for n in (8, 9, 10)),
)
# fmt: on


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("shown", SHOWN, ids=lambda s: f"{s.slot.key}: {s.story}")
def test_a_story_shows(shown: Shows, seed: int) -> None:
    rounds = watch(seed=seed)
    info = rounds[0].answers.inventory[shown.device]
    found = sum(shown.what(reading, info) for reading in series(rounds, shown.device))
    assert shown.at_least <= found <= shown.at_most


def test_each_slot_of_the_cast_is_asked_about() -> None:
    assert {shown.slot.key for shown in SHOWN} == {story.key for story in stories.CAST}


def _xids(rounds: tuple[Round, ...]) -> list[tuple[int, int | None, int]]:
    index = {info.uuid: n for n, info in enumerate(rounds[0].answers.inventory)}
    return [
        (index[event.device or ""], event.code, round(event.boottime_s - BOOTTIME))
        for seen in rounds for event in seen.events
    ]  # fmt: skip


def test_the_xids_of_the_first_200_seconds() -> None:
    assert _xids(watch()) == [(6, 79, 40), (2, 31, 70), (3, 94, 112), (6, 79, 130), (2, 31, 190)]


def test_the_second_eight_devices_live_the_same_later() -> None:
    rounds = watch(16, 140)
    assert len(rounds[0].devices) == 16 + 6
    assert (14 + 3, 79, 81) in _xids(rounds), "three instances stand before the second eight"
    assert rounds[60].devices[6].status == "lost"
    assert rounds[60].devices[17].status == "ok"
    assert rounds[90].devices[17].status == "lost"


@pytest.mark.parametrize("devices", range(1, 8))
def test_a_small_machine_shows_the_loader_that_falls_behind(devices: int) -> None:
    starved = watch(devices, 40)
    info = starved[0].answers.inventory
    assert [i.index for i in info] == list(range(devices))
    readings = series(starved, 0 if devices == 1 else 1)
    low = sum(r.gpu_utilization is not None and r.gpu_utilization < 0.05 for r in readings)
    assert low >= 8
    assert max(r.gpu_utilization or 0 for r in readings) > 0.7


def test_the_crashed_server_comes_back_as_another_process() -> None:
    pids = [{p.pid for p in r.processes if p.name == "tritonserver"} for r in watch()]
    assert pids[69] == pids[0] != set()
    assert pids[72] == set()
    assert pids[80] != pids[0]
    assert len(pids[80]) == 1
    readings = series(watch(), 2)
    before, gone = readings[69].memory_used_bytes, readings[72].memory_used_bytes
    assert before is not None
    assert gone is not None
    assert before - gone > 9 * 2**30


def test_the_jobs_of_the_lost_device_die_with_it() -> None:
    rounds = watch()
    lost = rounds[0].devices[6].uuid

    def there(second: int) -> set[int]:
        processes = rounds[second].processes
        return {p.pid for p in processes if any(u.device == lost for u in p.uses)}

    assert len(there(39)) == 5
    assert there(41) == set()
    assert len(there(85)) == 5
    assert not there(85) & there(39)
    back = rounds[76].devices[6]
    assert back.reason("sm_activity") in ("needs_two_readings", None)
    assert (back.energy_j or 0.0) < 1_000, "the energy counter begins again at a reset"


def test_the_hungry_loader_shows_in_the_host() -> None:
    rounds = watch()[1:]
    waits = [r.host.iowait or 0.0 for r in rounds]
    assert max(waits) > 0.04 > 0.01 > min(waits)
    pressure = [r.host.pressure.io_some or 0.0 for r in rounds]
    assert max(pressure) > 0.3
    for seen in rounds:
        workers = [p for p in seen.processes if p.name == "pt_data_worker"]
        assert len(workers) == 6
        assert all((p.cpu_utilization or 0) > 0.8 for p in workers)

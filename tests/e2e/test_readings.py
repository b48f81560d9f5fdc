"""What the driver says is what the screen shows, at every size, and as it changes."""

from __future__ import annotations

import itertools

import pytest

from tests.e2e.conftest import Driver
from tests.e2e.program import Start
from tests.fake_driver import geforce, h100s

SIZES = ((60, 15), (80, 24), (120, 40), (200, 50))
GIB = 1 << 30

THREE = {
    "count": 3,
    "device.0.gpu_utilization": 37,
    "device.0.memory_used": 10 * GIB,
    "device.0.power_mw": 123_400,
    "device.0.temperature": 45,
    "device.1.name": "NVIDIA A100-SXM4-40GB",
    "device.1.gpu_utilization": 100,
    "device.1.memory_total": 40 * GIB,
    "device.1.memory_used": 39 * GIB,
    "device.1.power_mw": 399_600,
    "device.1.power_limit_mw": 400_000,
    "device.1.power_limit_enforced_mw": 400_000,
    "device.1.temperature": 71,
    "device.2.gpu_utilization": 0,
    "device.2.memory_used": 0,
    "device.2.power_mw": 68_000,
    "device.2.temperature": 29,
}


def test_the_first_readings_are_what_the_driver_says(driver: Driver, gputop: Start) -> None:
    terminal = gputop(driver(THREE), size=(120, 40))
    shown = (
        (0, "H100 80GB HBM3", r"37 %", r"10\.0/79\.6 GiB", r"123/700 W", r"45/\d+ °C"),
        (1, "A100-SXM4-40GB", r"100 %", r"39\.0/40\.0 GiB", r"400/400 W", r"71/\d+ °C"),
        (2, "H100 80GB HBM3", r"0 %", r"0\.0/79\.6 GiB|0/79\.6 GiB", r"68/700 W", r"29/\d+ °C"),
    )
    for index, name, util, memory, power, temperature in shown:
        terminal.wait_device(index, rf"util +{util}")
        assert f" {index} · {name} " in terminal.device(index)
        terminal.wait_device(index, rf"mem +(?:{memory})")
        terminal.wait_device(index, rf"power +{power}")
        terminal.wait_device(index, rf"temp +{temperature}")


@pytest.mark.parametrize(
    ("size", "count"), list(itertools.product(SIZES, (1, 8, 16))), ids=lambda value: str(value)
)
def test_every_device_is_visible_with_its_own_values(
    driver: Driver, gputop: Start, size: tuple[int, int], count: int
) -> None:
    lines = {**h100s(count)}
    for index in range(count):
        lines |= {
            f"device.{index}.gpu_utilization": 21 + 4 * index,
            f"device.{index}.temperature": 40 + index,
        }
    terminal = gputop(driver(lines), size=size)
    for index in range(count):
        terminal.wait_device(index, rf"H100[^%]*? {21 + 4 * index} ?%")
        terminal.wait_device(index, rf" {40 + index}(/\d+)? ?°")
    terminal.wait_for(r"\A gputop ")
    terminal.wait_for(r"^[│ ]*cpu +\d+ %")
    terminal.wait_for(r"^ +GPU +PID ")
    terminal.wait_for(r"^ q quit .*\Z")


CHANGES = (
    ("gpu_utilization", 12, r"util +12 %", 88, r"util +88 %"),
    ("memory_used", 8 * GIB, r"mem +8\.0/", 70 * GIB, r"mem +70\.0/"),
    ("power_mw", 150_000, r"power +150/", 650_000, r"power +650/"),
    ("temperature", 41, r"temp +41/", 66, r"temp +66/"),
    ("sm_clock", 1300, r"1300 MHz", 1980, r"1980 MHz"),
    ("performance_state", 0, r"P0 ─", 8, r"P8 ─"),
)


def test_a_change_appears_and_only_there(driver: Driver, gputop: Start) -> None:
    scenario = driver({
        **h100s(2),
        **{f"device.{n}.{key}": before for n in (0, 1) for key, before, *_ in CHANGES},
    })  # fmt: skip
    terminal = gputop(scenario)
    for _, _, before, _, _ in CHANGES:
        terminal.wait_device(0, before)
        terminal.wait_device(1, before)
    for key, _, before, value, after in CHANGES:
        scenario.set(f"device.1.{key}", value)
        terminal.wait_device(1, after)
        terminal.wait_device(0, before)


def test_what_throttles_is_on_the_pane_and_counted_in_the_header(
    driver: Driver, gputop: Start
) -> None:
    scenario = driver(h100s(2))
    terminal = gputop(scenario, size=(120, 40))
    terminal.wait_for("no warnings")
    scenario.set("device.1.clocks_event_reasons", 0x40)
    terminal.wait_device(1, r"✗ HW thermal|✗ [Hh]ardware thermal")
    terminal.wait_for(r"✗ 1 critical")
    assert "✗" not in terminal.device(0)
    scenario.set("device.0.clocks_event_reasons", 0x20)
    terminal.wait_device(0, r"▲ .*thermal")
    terminal.wait_for(r"✗ 1 critical.*▲ 1 warning")
    terminal.press("w", shows=r"✗ critical .*1 H100")
    terminal.wait_for(r"▲ warning .*0 H100")
    terminal.press("esc", hides="✗ critical  *")
    scenario.update({"device.0.clocks_event_reasons": 0, "device.1.clocks_event_reasons": 0})
    terminal.wait_for("no warnings")
    terminal.press("w", shows=r"✗ critical .*1 H100")


DEVICE_FACTS = (
    ("uuid", "GPU-12345678-0000-4000-8000-000000000001", r"UUID +GPU-12345678"),
    ("serial", "1320021000001", r"Serial +1320021000001"),
    ("memory_utilization", 23, r"Memory controller utilisation +23 %"),
    ("encoder_utilization", 11, r"Encoder utilisation +11 %"),
    ("decoder_utilization", 12, r"Decoder utilisation +12 %"),
    ("memory_used", 10 * GIB, r"10\.0 GiB"),
    ("power_limit_enforced_mw", 650_000, r"650 W"),
    ("memory_temperature", 77, r"Memory temperature +77 °C"),
    ("sm_clock", 1441, r"1441 MHz"),
    ("memory_clock", 2611, r"2611 MHz"),
    ("pcie_generation", 4, r"Link +gen 4 x8"),
    ("pcie_width", 8, r"Link +gen 4 x8"),
    ("pcie_replays", 17, r"[Rr]eplays? +17"),
    ("ecc.volatile.corrected", 6, r"[Cc]orrected.* 6"),
    ("remapped.correctable", 3, r"[Rr]emapped.* 3"),
)


def test_the_device_screen_shows_the_rest(driver: Driver, gputop: Start) -> None:
    scenario = driver({**h100s(1), **{f"device.0.{key}": value for key, value, _ in DEVICE_FACTS}})
    terminal = gputop(scenario, size=(200, 100))
    terminal.wait_device(0, "util")
    terminal.press("tab", "enter", shows="Bus id")
    for _, _, shown in DEVICE_FACTS:
        terminal.wait_for(shown)


def test_a_geforce_shows_what_it_has_and_says_what_it_has_not(
    driver: Driver, gputop: Start
) -> None:
    terminal = gputop(driver({**geforce(1), "device.0.fan_speed": 44}), size=(120, 120))
    terminal.wait_device(0, "RTX 4090")
    terminal.press("tab", "enter", shows=r"[Ff]an.* 44 %")
    terminal.wait_for("Not supported: ")
    terminal.wait_for(r"\bECC\b")

"""The device screen as a person gets it: with plotext, and on a platform that has none."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.e2e.conftest import Driver, moving
from tests.e2e.program import CHECKOUT, Start
from tests.fake_driver import Lines, h100s, mig_instances

STILL: Lines = {**h100s(2), "device.*.gpu_utilization": 40}
OURS = "plain charts: plotext cannot be used here"
BRAILLE = r"[\u2801-\u28ff]{2}"


@pytest.mark.parametrize("there", [True, False], ids=["plotext", "no plotext"])
def test_charts_with_plotext_and_without(
    driver: Driver, gputop: Start, tmp_path: Path, there: bool
) -> None:
    environ = {}
    if not there:
        broken = tmp_path / "broken"
        broken.mkdir()
        (broken / "plotext.py").write_text("raise OSError('no kernel for this platform')\n")
        environ["PYTHONPATH"] = f"{broken}{os.pathsep}{CHECKOUT}"
    terminal = gputop(driver(STILL), size=(100, 30), env=environ)
    terminal.wait_device(0, "H100")
    terminal.press("tab")
    terminal.press("enter", shows="^ live ")
    terminal.wait_for(BRAILLE)
    terminal.wait_for(r"\d\d:\d\d")
    if there:
        assert not terminal.find(OURS)
    else:
        terminal.wait_for(OURS)
    terminal.press("left", shows="End goes back to now")
    terminal.check_leaves("q")


def test_instances_of_a_device_that_is_lost_are_as_old_as_it_is(
    driver: Driver, gputop: Start
) -> None:
    """Nor is anybody said to be on them, or nobody."""
    scenario = driver(moving(2, **mig_instances(0, (0,))))
    terminal = gputop(scenario, size=(140, 60), scale=0.25)
    terminal.wait_device(0, "1 MIG instance")
    terminal.press("tab", "enter", shows=r"1g\.10gb +1\.0/9\.5 GiB, 0 processes")
    scenario.set("device.0.lost", 1)
    since = int(terminal.wait_for(r"1g\.10gb +1\.0/9\.5 GiB \((\d+) s ago: device lost")[1])
    terminal.wait_for(lambda t: (now := t.find(r"9\.5 GiB \((\d+) s ago")) and int(now[1]) > since)
    terminal.check_leaves()

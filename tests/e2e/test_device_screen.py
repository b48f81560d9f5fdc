"""The device screen as a person gets it: with plotext, and on a platform that has none."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.e2e.conftest import Driver
from tests.e2e.program import CHECKOUT, Start
from tests.fake_driver import Lines, h100s

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

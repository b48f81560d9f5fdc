"""What gputop costs, where it can be told without a stopwatch: counts, and ratios with room."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pyte
import pytest

from tests.benchmarks.calls import FAST, count_calls
from tests.benchmarks.measure import SIZE, Workplace
from tests.benchmarks.rows import ROWS, Row
from tests.benchmarks.tools import GPUTOP, NVITOP, Tool
from tests.benchmarks.usage import usage
from tests.builds import compiler
from tests.terminal import Terminal

COLUMN_S = 13.0
"""The span of a chart's column at 8 devices and 200 columns: in it charts move on once."""
BYTES_PER_S = 2500
"""The target is 1500 at rest; the room is for a host whose CPU load is never at rest."""
FAST_CALLS = 8
CPU_RATIO = 4.0
"""The target is 1; the room is for neighbours on the machine that runs the tests."""

STILL = Row(
    "still",
    "8 devices, nothing moves",
    processes=0,
    lines={"device.*.gpu_utilization": 60, "device.*.memory_used": "40G"},
)
_FRAME_END = b"\x1b[?2026$p"
_NOT_DRAWN = re.compile(rb"\x1b\[\?2026(?:\$p|[hl])|\x1b\[[<=>][\d;]*[a-zA-Z]")


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workplace]:
    if compiler() is None:
        pytest.skip("there is no C compiler (cc), so the fake driver cannot be built")
    with Workplace(tmp_path_factory.mktemp("benchmark")) as place:
        yield place


def started(workplace: Workplace, tool: Tool, row: Row) -> Terminal:
    command = tool.command(row.interval_s)
    assert command is not None
    env = workplace.environment(workplace.scenario(row), row)
    return Terminal(command, size=SIZE, env=env, cwd=workplace.home)


def wait_readings(terminal: Terminal, tool: Tool, row: Row) -> None:
    terminal.wait_for(lambda screen: tool.shows_readings(screen, row.devices), 60)


def test_a_second_of_moving_values_takes_few_bytes(workplace: Workplace) -> None:
    with started(workplace, GPUTOP, ROWS["8"]) as terminal:
        wait_readings(terminal, GPUTOP, ROWS["8"])
        time.sleep(3)
        before = terminal.bytes_written
        time.sleep(COLUMN_S)
        per_s = (terminal.bytes_written - before) / COLUMN_S
    assert 0 < per_s <= BYTES_PER_S


def test_a_tick_takes_few_driver_calls(workplace: Workplace) -> None:
    calls = count_calls(GPUTOP, FAST, 4.0, workplace)
    assert 0 < calls.per_tick <= FAST_CALLS, calls.symbols


def test_what_does_not_change_is_not_drawn(workplace: Workplace) -> None:
    """With devices that stand still, frames touch the header's clock and the host's load alone,
    except where the charts move on by a column, which a span of the window does once.
    """
    with started(workplace, GPUTOP, STILL) as terminal:
        wait_readings(terminal, GPUTOP, STILL)
        time.sleep(4)
        terminal.wait_quiet()
        begin = len(terminal.raw)
        time.sleep(8)
        raw = bytes(terminal.raw)
        first_device_row = next(y for y, line in enumerate(terminal.lines()) if "╭─ 0 ·" in line)
    below = [
        any(row >= first_device_row for row in rows)
        for rows in touched_rows(raw[:begin], raw[begin:])
    ]
    assert len(below) >= 6, "hardly anything was drawn at all"
    assert below.count(True) <= 1


def touched_rows(drawn_before: bytes, raw: bytes) -> list[set[int]]:
    """The rows of the screen that each frame wrote to."""
    screen = pyte.Screen(*SIZE)
    stream = pyte.ByteStream(screen)
    stream.feed(_NOT_DRAWN.sub(b"", drawn_before))
    frames = []
    for frame in raw.split(_FRAME_END)[:-1]:
        screen.dirty.clear()
        stream.feed(_NOT_DRAWN.sub(b"", frame))
        frames.append(set(screen.dirty))
    return frames


def test_the_cpu_it_takes_is_in_proportion_to_nvitop(workplace: Workplace) -> None:
    """Both run at the same time, so they share whatever else the machine does."""
    if NVITOP.begin() is None:
        pytest.skip("nvitop is not installed: pip install nvitop")
    row = ROWS["8"]
    with started(workplace, GPUTOP, row) as ours, started(workplace, NVITOP, row) as theirs:
        for terminal, tool in ((ours, GPUTOP), (theirs, NVITOP)):
            wait_readings(terminal, tool, row)
        time.sleep(3)
        before = [usage(terminal.descendants()) for terminal in (ours, theirs)]
        time.sleep(8)
        after = [usage(terminal.descendants()) for terminal in (ours, theirs)]
    used = [now.cpu_since(then) for now, then in zip(after, before, strict=True)]
    assert used[0] > 0
    assert used[0] / used[1] <= CPU_RATIO

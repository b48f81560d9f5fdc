"""How many driver calls a tool makes, from the fake driver's log."""

from __future__ import annotations

import statistics
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from tests.benchmarks.measure import FIRST_READINGS_PATIENCE_S, Workplace
from tests.benchmarks.rows import Row
from tests.benchmarks.tools import Tool
from tests.fake_driver import Call

FAST = Row("calls-fast", "8 devices, 0.25 s", interval_s=0.25)
"""Here only the fast tier is read on every tick: the medium one waits a second."""
USUAL = Row("calls", "8 devices, 1 s")


@dataclass(frozen=True)
class Calls:
    """The calls of some seconds."""

    per_tick: float
    """Calls on one device in the middle one of its ticks."""
    per_device_s: float
    """Calls on one device in a second, all ticks together."""
    symbols: dict[str, float]
    """How often each function was called, per device and tick."""


def count_calls(tool: Tool, row: Row, window_s: float, workplace: Workplace) -> Calls:
    """Run a tool with the log on, from its first readings and two seconds.

    Raises:
        AssertionError: Its readings never came.
        LookupError: It is not installed.
    """
    command = tool.command(row.interval_s)
    if command is None:
        raise LookupError(f"{tool.name} is not installed")
    scenario = workplace.scenario(row, log_calls=True)
    with workplace.start(command, workplace.environment(scenario, row), row) as terminal:
        terminal.wait_for(
            lambda screen: tool.shows_readings(screen, row.devices), FIRST_READINGS_PATIENCE_S
        )
        time.sleep(2.0)
        begin_ns = time.monotonic_ns()
        time.sleep(window_s)
        end_ns = time.monotonic_ns()
    made = [call for call in scenario.calls() if begin_ns <= call.monotonic_ns < end_ns]
    return summarise(made, row, window_s)


def summarise(made: Sequence[Call], row: Row, window_s: float) -> Calls:
    """Count calls by tick and by function. A tick begins after half an interval of silence on
    that device.
    """
    ticks: list[int] = []
    for device in range(row.devices):
        times = [call.monotonic_ns for call in made if call.device == device]
        ticks += _ticks(times, row.interval_s / 2 * 1e9)
    symbols = Counter(call.symbol for call in made if call.device >= 0)
    expected = row.devices * window_s / row.interval_s
    return Calls(
        per_tick=statistics.median(ticks) if ticks else 0.0,
        per_device_s=sum(symbols.values()) / row.devices / window_s,
        symbols={name: round(count / expected, 2) for name, count in symbols.most_common()},
    )


def _ticks(times: Sequence[int], silence_ns: float) -> list[int]:
    """The number of calls in each tick."""
    counts: list[int] = []
    last = -silence_ns
    for when in times:
        if when - last >= silence_ns:
            counts.append(0)
        counts[-1] += 1
        last = when
    return counts

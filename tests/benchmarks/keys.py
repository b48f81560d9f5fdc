"""How long a key takes to reach the screen."""

from __future__ import annotations

import contextlib
import itertools
import math
import time

from tests.benchmarks.tools import Tool, chosen_process
from tests.terminal import Terminal

PATIENCE_S = 5.0
"""A key whose effect is not seen by then counts as lost, with this latency."""
LOST_IN_A_ROW = 3
"""After so many the tool is taken to be stuck."""


def latencies_s(terminal: Terminal, tool: Tool, count: int, limit_s: float) -> list[float]:
    """Move the process cursor up and down, and time each key until the cursor is seen elsewhere.

    Args:
        terminal: Where the tool runs.
        tool: It must have a cursor.
        count: How many keys.
        limit_s: When to stop earlier.

    Returns:
        Seconds of each key; empty where no cursor appears at all.
    """
    up, down = tool.keys
    if not _goes_to_second_row(terminal, down):
        return []
    taken: list[float] = []
    lost = 0
    until = time.monotonic() + limit_s
    for number, key in zip(range(count), itertools.cycle((up, down)), strict=False):
        if time.monotonic() > until or lost == LOST_IN_A_ROW:
            break
        # A pause that is no fraction of the interval: keys come at every moment of the tick.
        time.sleep(0.05 + (number * 0.618034) % 0.15)
        latency = _press(terminal, key)
        lost = lost + 1 if latency >= PATIENCE_S else 0
        taken.append(latency)
    return taken


def _goes_to_second_row(terminal: Terminal, down: str) -> bool:
    """Give the cursor to the table: some tools show none before its first key."""
    return any(_press(terminal, down) < PATIENCE_S for _ in range(2)) and (
        _press(terminal, down) < PATIENCE_S
    )


def _press(terminal: Terminal, key: str) -> float:
    before = chosen_process(terminal)
    start = time.monotonic()
    terminal.type(key)
    with contextlib.suppress(AssertionError):
        terminal.wait_for(lambda screen: chosen_process(screen) not in (None, before), PATIENCE_S)
        return time.monotonic() - start
    return PATIENCE_S


def percentile(values: list[float], part: float) -> float:
    """The smallest value that at least this part of them does not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(part * len(ordered)) - 1)]

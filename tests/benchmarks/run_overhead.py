"""`python -m tests.benchmarks.run_overhead`: what `gputop run` costs the command it runs.

What a command loses is the CPU time that gputop takes from it, and what it computes less in the
CPU time that it keeps (caches, the other half of a core). Both are measured by the kernel's CPU
clocks: time that neighbours take is in neither.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.benchmarks.measure import Workplace
from tests.benchmarks.rows import ROWS
from tests.benchmarks.usage import usage
from tests.e2e.program import arguments, children, command_line, environment
from tests.fake_driver import compiler

WARM_UP_S = 3.0
"""By then gputop has started and the devices have answered."""

COMPUTE = """
import sys, time
began = time.monotonic()
turns = 0
while time.monotonic() - began < float(sys.argv[1]):
    for _ in range(20_000):
        pass
    turns += 1
print(began, turns / time.process_time(), time.monotonic())
"""
"""Computes for so many seconds; says when it began, its turns in a second of CPU time, its end."""


@dataclass(frozen=True)
class Cost:
    """What gputop's own processes used in one run."""

    begin_ms: float
    """Until the readings flow, beyond what the readings take."""
    running_ms_per_s: float
    """Meanwhile."""
    delay_ms: float
    """By how much later the command runs than when it is started without gputop."""
    rest_ms: float
    """From the command's end until gputop's."""


class Machine:
    """Where the command is run: what the environment and the flags make of it."""

    def __init__(self, title: str, env: Mapping[str, str | None], flags: Sequence[str]) -> None:
        self.title = title
        changes = {name: value for name, value in env.items() if value is not None}
        self.env = {name: value for name, value in os.environ.items() if name not in env} | changes
        self.prefix = command_line(["run", *flags, "--"])

    def cost(self, seconds: float) -> Cost:
        """Run a command that computes for so long, and look at what runs beside it."""
        plain = self._delay([sys.executable, "-c", COMPUTE, "0"])
        before = time.monotonic()
        whole = self._start([*self.prefix, sys.executable, "-c", COMPUTE, str(seconds + WARM_UP_S)])
        time.sleep(WARM_UP_S)
        (command,) = (pid for pid in children(whole.pid) if arguments(pid)[1:2] == ["-c"])
        ours = {whole.pid, *children(whole.pid)} - {command}
        at, first = time.monotonic(), usage(ours)
        time.sleep(max(at + seconds - 1.0 - time.monotonic(), 0.0))
        rate = usage(ours).cpu_since(first) / (time.monotonic() - at)
        out, _ = whole.communicate()
        began, _, ended = map(float, out.split())
        return Cost(
            begin_ms=(sum(first.cpu_s.values()) - rate * WARM_UP_S) * 1000,
            running_ms_per_s=rate * 1000,
            delay_ms=(began - before - plain) * 1000,
            rest_ms=(time.monotonic() - ended) * 1000,
        )

    def _delay(self, words: Sequence[str]) -> float:
        before = time.monotonic()
        return float(self._start(words).communicate()[0].split()[0]) - before

    def slower(self, pairs: int, seconds: float) -> tuple[float, float]:
        """How much less is computed in a second of CPU time under `gputop run`: the median of
        pairs of neighbours, and half the range that holds it with a probability of 95 %.
        """
        words = [sys.executable, "-c", COMPUTE, str(seconds)]
        found = []
        for _ in range(pairs):
            with_us = random.sample((True, False), 2)
            done = {us: self._turns([*self.prefix, *words] if us else words) for us in with_us}
            found.append(1 - done[True] / done[False])
        found.sort()
        reach = round(0.98 * pairs**0.5)
        low, high = max(pairs // 2 - reach, 0), min((pairs - 1) // 2 + reach, pairs - 1)
        return statistics.median(found), (found[high] - found[low]) / 2

    def _turns(self, words: Sequence[str]) -> float:
        return float(self._start(words).communicate()[0].split()[1])

    def _start(self, words: Sequence[str]) -> subprocess.Popen[str]:
        return subprocess.Popen(
            words, env=self.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip


@contextmanager
def machines() -> Iterator[list[Machine]]:
    """Without a driver, with eight devices and 30 processes, and the simulated one."""
    with tempfile.TemporaryDirectory(prefix="gputop-bench-") as name:
        home = Path(name) / "home"
        home.mkdir()
        bare = environment(home, {}, 1.0)
        found = [Machine("no driver", bare, ()), Machine("--demo, 8 devices", bare, ["--demo"])]
        if compiler() is None:
            yield found
            return
        with Workplace(Path(name)) as place:
            row = ROWS["8"]
            env = place.environment(place.scenario(row), row)
            yield [found[0], Machine("8 devices, 30 processes", env, ()), found[1]]


def main() -> int:
    """Measure, and print the table; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.run_overhead")
    parser.add_argument("--runs", type=int, default=3, help="runs for the CPU time (default: 3)")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each (default: 20)")
    parser.add_argument("--pairs", type=int, default=30, help="turns each way (default: 30)")
    parser.add_argument("--turn", type=float, default=3.0, help="seconds of a turn (default: 3)")
    parser.add_argument("--json", metavar="FILE", help="write everything that was measured")
    args = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    print(f"| machine | running ms/s | of {cores} cores | begin ms | delay ms | rest ms | "
          "slower |\n|---|--:|--:|--:|--:|--:|--:|")  # fmt: skip
    document = {}
    with machines() as found:
        for machine in found:
            costs = [asdict(machine.cost(args.seconds)) for _ in range(args.runs)]
            middle = Cost(**{key: statistics.median(c[key] for c in costs) for key in costs[0]})
            slower = machine.slower(args.pairs, args.turn) if args.pairs else None
            document[machine.title] = {"costs": costs, "slower": slower}
            said = f"{slower[0] * 100:+.2f} ± {slower[1] * 100:.2f} %" if slower else "–"
            print(
                f"| {machine.title} | {middle.running_ms_per_s:.1f} "
                f"| {middle.running_ms_per_s / cores / 10:.2f} % | {middle.begin_ms:.0f} "
                f"| {middle.delay_ms:.0f} | {middle.rest_ms:.0f} | {said} |",
                flush=True,
            )
    if args.json:
        Path(args.json).write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

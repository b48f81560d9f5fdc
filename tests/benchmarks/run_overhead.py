"""`python -m tests.benchmarks.run_overhead`: what `gputop run` costs the command it runs.

What a command loses is the CPU time that gputop takes from it, and what it computes less in the
CPU time that it keeps (caches, the other half of a core). Both are measured by the kernel's CPU
clocks, so that the time which neighbours take is in neither. For the second gputop is stopped and
continued every second beside one command: a machine that is fast now and slow then is so for both.
What is left of the noise is larger than what is looked for, so gputop reads ten times a second
there: it then does several times as much to the caches, and what is found is divided by how much
more CPU time it took.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

from tests.benchmarks.measure import Workplace
from tests.benchmarks.rows import ROWS
from tests.benchmarks.usage import usage
from tests.builds import compiler
from tests.e2e.program import arguments, children, command_line, environment

WARM_UP_S = 3.0
"""By then gputop has started and the devices have answered."""
HALF_S = 1.0
"""How long gputop sleeps, and is awake, in a round."""
OFTEN = ("--interval", "0.1")
"""How often it reads while it is looked for what it does to the caches."""

COMPUTE = """
import sys, time
began = now = time.monotonic()
print(began, 0, 0)
while now - began < float(sys.argv[1]):
    turns, cpu, since = 0, time.process_time(), now
    while now - since < 0.1:
        for _ in range(5_000):
            pass
        turns, now = turns + 1, time.monotonic()
    print(now, turns, time.process_time() - cpu)
"""
"""Computes for so many seconds; says every 0.1 s when it is, its turns, and their CPU time."""


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


@dataclass(frozen=True)
class Slower:
    """What the command computes less while gputop is awake and reads often."""

    share: float
    reach: float
    running_ms_per_s: float
    """CPU time of gputop meanwhile."""

    def said(self, running_ms_per_s: float) -> str:
        """The same for a gputop that takes so much CPU time."""
        times = self.running_ms_per_s / running_ms_per_s
        return (
            f"{self.share / times * 100:+.2f} ± {self.reach / times * 100:.2f} % | "
            f"{self.share * 100:+.2f} ± {self.reach * 100:.2f} % at {times:.1f} times the CPU"
        )


class Machine:
    """Where the command is run: what the environment and the flags make of it."""

    def __init__(self, title: str, env: Mapping[str, str | None], flags: Sequence[str]) -> None:
        self.title = title
        changes = {name: value for name, value in env.items() if value is not None}
        self.env = {name: value for name, value in os.environ.items() if name not in env} | changes
        self.flags = flags

    def cost(self, seconds: float) -> Cost:
        """Run a command that computes for so long, and look at what runs beside it."""
        plain = self._delay()
        before = time.monotonic()
        run = self._start(seconds + WARM_UP_S)
        time.sleep(WARM_UP_S)
        ours = _ours(run.pid)
        at, first = time.monotonic(), usage(ours)
        time.sleep(max(at + seconds - 1.0 - time.monotonic(), 0.0))
        rate = usage(ours).cpu_since(first) / (time.monotonic() - at)
        lines = _lines(run)
        return Cost(
            begin_ms=(sum(first.cpu_s.values()) - rate * WARM_UP_S) * 1000,
            running_ms_per_s=rate * 1000,
            delay_ms=(lines[0].at - before - plain) * 1000,
            rest_ms=(time.monotonic() - lines[-1].at) * 1000,
        )

    def _delay(self) -> float:
        before = time.monotonic()
        return _lines(self._start(0, plain=True))[0].at - before

    def slower(self, rounds: int) -> Slower:
        """How much less the command computes in a second of CPU time while gputop is awake and
        reads often: the median of the rounds, and half the range that holds it with a probability
        of 95 %.
        """
        run = self._start(WARM_UP_S + 2 * rounds * HALF_S + 1, more=OFTEN)
        time.sleep(WARM_UP_S)
        ours, edges = _ours(run.pid), [time.monotonic()]
        first = usage(ours)
        for number in range(2 * rounds):
            for pid in ours:
                os.kill(pid, signal.SIGCONT if number % 2 else signal.SIGSTOP)
            time.sleep(max(edges[0] + (number + 1) * HALF_S - time.monotonic(), 0.0))
            edges.append(time.monotonic())
        rate = usage(ours).cpu_since(first) / (rounds * HALF_S)
        lines = _lines(run)
        rates = [_rate(lines, start, end) for start, end in itertools.pairwise(edges)]
        found = sorted(
            1 - awake / asleep
            for asleep, awake in zip(rates[::2], rates[1::2], strict=True)
            if asleep and awake
        )
        rounds, reach = len(found), round(0.98 * len(found) ** 0.5)
        low, high = max(rounds // 2 - reach, 0), min((rounds - 1) // 2 + reach, rounds - 1)
        return Slower(statistics.median(found), (found[high] - found[low]) / 2, rate * 1000)

    def _start(
        self, seconds: float, plain: bool = False, more: Sequence[str] = ()
    ) -> subprocess.Popen[str]:
        """The command that computes."""
        words = [sys.executable, "-c", COMPUTE, str(seconds)]
        prefix = command_line(["run", *self.flags, *more, "--"])
        return subprocess.Popen(
            words if plain else [*prefix, *words], env=self.env, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip


class Line(NamedTuple):
    """What the command says of a tenth of a second."""

    at: float
    turns: float
    cpu_s: float


def _lines(run: subprocess.Popen[str]) -> list[Line]:
    """All of it, once it has ended."""
    return [Line(*map(float, line.split())) for line in run.communicate()[0].splitlines()]


def _rate(lines: Sequence[Line], start: float, end: float) -> float | None:
    """Turns in a second of CPU time, of what lies between two moments; None where neighbours did
    not let it say a line.
    """
    within = [b for a, b in itertools.pairwise(lines) if start <= a.at and b.at <= end]
    if not within:
        return None
    return sum(line.turns for line in within) / sum(line.cpu_s for line in within)


def _ours(runner: int) -> set[int]:
    """The processes of a `gputop run`, its command aside."""
    return {runner, *(pid for pid in children(runner) if arguments(pid)[1:2] != ["-c"])}


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
    parser.add_argument("--rounds", type=int, default=60, help="of two seconds (default: 60)")
    parser.add_argument("--json", metavar="FILE", help="write everything that was measured")
    args = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    print(f"| machine | running ms/s | of {cores} cores | begin ms | delay ms | rest ms | "
          "slower | measured |\n|---|--:|--:|--:|--:|--:|--:|--:|")  # fmt: skip
    document = {}
    with machines() as found:
        for machine in found:
            costs = [asdict(machine.cost(args.seconds)) for _ in range(args.runs)]
            middle = Cost(**{key: statistics.median(c[key] for c in costs) for key in costs[0]})
            slower = machine.slower(args.rounds) if args.rounds else None
            document[machine.title] = {"costs": costs, "slower": slower and asdict(slower)}
            said = slower.said(middle.running_ms_per_s) if slower else "– | –"
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

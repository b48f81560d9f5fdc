"""One run of one tool in one row."""

from __future__ import annotations

import compileall
import contextlib
import statistics
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

import gputop
from tests.benchmarks.keys import latencies_s
from tests.benchmarks.rows import Row
from tests.benchmarks.tools import Tool, picture_age_s
from tests.benchmarks.usage import memory_mb, usage
from tests.e2e.program import environment
from tests.fake_driver import Scenario, build
from tests.link import remote, slow_ssh
from tests.terminal import Terminal

SIZE = (200, 50)
FIRST_READINGS_PATIENCE_S = 60.0
AGE_SAMPLES = 40
AGE_PAUSE_S = 0.25
ECHOES = 21


@dataclass(frozen=True)
class Plan:
    """How thoroughly to measure."""

    runs: int = 5
    warm_up_s: float = 4.0
    window_s: float = 20.0
    """How long CPU and bytes are counted."""
    keys: int = 60
    keys_s: float = 30.0
    """How long keys are pressed at most."""


SHORT_PLAN = Plan(runs=1, warm_up_s=3.0, window_s=5.0, keys=20, keys_s=6.0)


@dataclass
class Figures:
    """What one run gave."""

    values: dict[str, float] = field(default_factory=dict)
    """By the name of the column; what could not be measured is absent."""
    key_s: list[float] = field(default_factory=list)
    """The latency of each key."""


class Workplace:
    """What the runs share: the fake driver, and sleeping processes for it to list."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.home.mkdir(exist_ok=True)
        self.library = build()
        # As pip leaves it, and the peers: a checkout may be forbidden to keep its bytecode.
        compileall.compile_dir(str(Path(gputop.__file__).parent), quiet=1)
        self._sleepers: list[subprocess.Popen[bytes]] = []
        self._scenarios = 0

    def __enter__(self) -> Workplace:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for one in self._sleepers:
            one.kill()
        for one in self._sleepers:
            one.wait()

    def pids(self, count: int) -> list[int]:
        """Ids of sleeping processes."""
        while len(self._sleepers) < count:
            self._sleepers.append(subprocess.Popen(["sleep", "infinity"], stdin=subprocess.DEVNULL))
        return [one.pid for one in self._sleepers[:count]]

    def scenario(self, row: Row, *, log_calls: bool = False) -> Scenario:
        """The machine of a row, in a file of its own."""
        self._scenarios += 1
        path = self.folder / f"scenario-{self._scenarios}"
        lines = row.scenario(self.pids(row.processes))
        return Scenario(path, lines, library=self.library, log_calls=log_calls)

    def environment(self, scenario: Scenario, row: Row) -> dict[str, str | None]:
        """What a tool's environment differs in from ours."""
        env = environment(self.home, scenario.env(), 1.0)
        return {**env, "COLORTERM": "truecolor"} if row.truecolor else env

    @contextlib.contextmanager
    def start(
        self, command: list[str], env: Mapping[str, str | None], row: Row
    ) -> Iterator[Terminal]:
        """A tool on a terminal, near or at the other end of a slow link."""
        with contextlib.ExitStack() as stack:
            if row.link_bytes_per_s is not None:
                link = stack.enter_context(slow_ssh(self.folder, row.link_bytes_per_s))
                command = [*link.ssh, remote(command, env, self.home)]
            near = {} if row.link_bytes_per_s else env
            terminal = Terminal(command, size=SIZE, env=near, cwd=self.home)
            yield stack.enter_context(terminal)


def measure(tool: Tool, row: Row, plan: Plan, workplace: Workplace) -> Figures:
    """Run a tool once.

    Raises:
        AssertionError: Its readings never came.
        LookupError: It is not installed.
    """
    command = tool.command(row.interval_s)
    if command is None:
        raise LookupError(f"{tool.name} is not installed")
    scenario = workplace.scenario(row)
    figures = Figures()
    if row.link_bytes_per_s is not None:
        figures.values["link_s"] = _round_trip_s(row, workplace)
    started = time.monotonic()
    with workplace.start(command, workplace.environment(scenario, row), row) as terminal:
        terminal.wait_for(
            lambda screen: tool.shows_readings(screen, row.devices), FIRST_READINGS_PATIENCE_S
        )
        figures.values["first_s"] = time.monotonic() - started
        scenario.update(row.later)
        warm_up_s = plan.warm_up_s if row.warm_up_s is None else row.warm_up_s
        time.sleep(warm_up_s)
        _watch(terminal, figures, plan.window_s, near=row.link_bytes_per_s is None)
        if row.link_bytes_per_s is not None:
            _age(terminal, figures)
        if tool.has_cursor:
            figures.key_s = latencies_s(terminal, tool, plan.keys, plan.keys_s)
        if tool.charts and row.link_bytes_per_s is None:
            _open_charts(terminal, tool, figures)
    return figures


def _round_trip_s(row: Row, workplace: Workplace) -> float:
    """From a key to its echo by the terminal at the other end of an idle link: the median."""
    taken: list[float] = []
    with workplace.start(["cat"], {}, row) as terminal:
        for number in range(1, ECHOES + 1):
            start = time.monotonic()
            terminal.type("x")
            terminal.wait_for(lambda screen, n=number: screen.text().count("x") >= n)
            taken.append(time.monotonic() - start)
    return statistics.median(taken[1:])  # The first waits for the login.


def _watch(terminal: Terminal, figures: Figures, window_s: float, *, near: bool) -> None:
    """Count for a while what the tool uses and writes, nobody touching a key."""
    pids = terminal.descendants()
    before, written, writes = usage(pids), terminal.bytes_written, terminal.writes
    start = time.monotonic()
    time.sleep(window_s)
    pids = terminal.descendants()
    after = usage(pids)
    seconds = time.monotonic() - start
    values = figures.values
    values["bytes_per_s"] = (terminal.bytes_written - written) / seconds
    values["writes_per_s"] = (terminal.writes - writes) / seconds
    if near:  # Otherwise the processes are ssh's.
        values["cpu_percent"] = 100 * after.cpu_since(before) / seconds
        values["wakeups_per_s"] = after.wakeups_since(before) / seconds
        values["rss_mb"], values["pss_mb"] = memory_mb(pids)


def _age(terminal: Terminal, figures: Figures) -> None:
    """The age of the picture, looked at many times."""
    ages = []
    for _ in range(AGE_SAMPLES):
        if (age := picture_age_s(terminal)) is not None:
            ages.append(age)
        time.sleep(AGE_PAUSE_S)
    if ages:
        figures.values["age_s"] = statistics.median(ages)
        figures.values["age_max_s"] = max(ages)


def _open_charts(terminal: Terminal, tool: Tool, figures: Figures) -> None:
    terminal.type(*tool.charts)
    time.sleep(2.0)
    figures.values["rss_charts_mb"] = memory_mb(terminal.descendants())[0]

"""The program on the fake driver."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from tests.builds import compiler
from tests.e2e.program import Gputop, Program, Run, Start, environment
from tests.fake_driver import Lines, Scenario, build

INTERVAL = "0.25"
SCALE = 0.5
"""Of every deadline in the program."""


@pytest.fixture(scope="session")
def c_compiler() -> None:
    """What the fake driver is built with."""
    if compiler() is None:
        if os.environ.get("CI"):
            pytest.fail("CI must have a C compiler: the end-to-end tests need the fake driver")
        pytest.skip("there is no C compiler (cc), so the fake driver cannot be built")


Driver = Callable[..., Scenario]


@pytest.fixture
def driver(c_compiler: None, tmp_path: Path) -> Driver:
    """Make a scenario: the machine the program is to find."""
    made: list[Scenario] = []

    def make(
        lines: Mapping[str, str | int | float] | None = None,
        *,
        absent: Sequence[str] = (),
        library: Path | None = None,
        log_calls: bool = False,
    ) -> Scenario:
        folder = library or build(absent)
        path = tmp_path / f"scenario-{len(made)}"
        made.append(Scenario(path, lines, library=folder, log_calls=log_calls))
        return made[-1]

    return make


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the program runs and writes."""
    path = tmp_path / "work"
    path.mkdir()
    return path


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The home folder the program finds; its settings are in config/gputop."""
    path = tmp_path / "home"
    (path / "config" / "gputop").mkdir(parents=True)
    return path


@pytest.fixture
def gputop(folder: Path, home: Path) -> Iterator[Start]:
    """Start the program on a terminal, and see that nothing of it is left at the end."""
    started: list[Gputop] = []

    def start(
        scenario: Scenario | Mapping[str, str] | None = None,
        *arguments: str,
        size: tuple[int, int] = (80, 24),
        scale: float = SCALE,
        env: Mapping[str, str | None] | None = None,
        interval: str = INTERVAL,
        **more: object,
    ) -> Gputop:
        variables = environment(home, _variables(scenario), scale) | dict(env or {})
        flags = ["--interval", interval, *arguments] if interval else arguments
        started.append(Gputop(flags, folder, variables, size=size, **more))
        return started[-1]

    yield start
    for terminal in started:
        terminal.close()


@pytest.fixture
def run(folder: Path, home: Path) -> Iterator[Run]:
    """Run a command such as `run(scenario, "snapshot")`."""
    started: list[Program] = []

    def begin(
        scenario: Scenario | Mapping[str, str] | None,
        *arguments: str,
        scale: float = SCALE,
        stdin: int = subprocess.DEVNULL,
        stdout: int = subprocess.PIPE,
        env: Mapping[str, str | None] | None = None,
    ) -> Program:
        variables = environment(home, _variables(scenario), scale) | dict(env or {})
        started.append(Program(arguments, folder, variables, stdin, stdout))
        return started[-1]

    yield begin
    for program in started:
        program.close()


def _variables(scenario: Scenario | Mapping[str, str] | None) -> Mapping[str, str]:
    if isinstance(scenario, Scenario):
        # What the fake driver says on stderr belongs to no user.
        return scenario.env()
    return scenario or {}


Spawn = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def spawn() -> Iterator[Spawn]:
    """Start real processes for the driver to list; all are gone at the end."""
    children: list[subprocess.Popen[bytes]] = []

    def start(*command: str) -> subprocess.Popen[bytes]:
        children.append(
            subprocess.Popen(
                command or ("sleep", "1000"), stdin=subprocess.DEVNULL, process_group=0
            )
        )
        return children[-1]

    yield start
    for child in children:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)  # and what a shell has started
            child.wait()


LOW, HIGH, PERIOD_S = 10, 99, 9
"""Between what a moving device's utilisation rises, in how many seconds."""


def moving(count: int, **more: str | int | float) -> Lines:
    """Healthy devices whose utilisation is a new number several times a second."""
    lines: Lines = {"count": count, "device.*.gpu_utilization": f"ramp {LOW} {HIGH} {PERIOD_S}"}
    return {**lines, **more}

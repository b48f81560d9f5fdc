"""Links that are slow or hang: the program is never held by them, and shows the present.

Through a real OpenSSH server: sshd and TCP hold seconds to minutes of output that no queue in the
program sees, which a slow pseudo-terminal does not. How long something takes is counted in ticks
of the collector, as the fake driver saw them.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import LOW, SCALE, Driver, moving
from tests.e2e.program import PATIENCE_S, Gputop, Start, command_line, environment, wait_ended
from tests.fake_driver import Scenario, many_processes
from tests.fake_driver.told import CallCount
from tests.link import Link, remote, slow_ssh, sshd_path
from tests.terminal import Terminal

RATE = 20_000.0
"""Bytes a second: a poor link."""
SIZE = (200, 50)
INTERVAL = "0.1"
STALL_TICKS = 60
"""Enough for a program that queues its pictures to queue hundreds of kilobytes."""
LATE_TICKS = 60
"""Six seconds, most of them for a machine that has other things to do."""
GROWTH = 1.15
"""What the memory of the program may be of that before. The frames of a stall alone, were they
kept, would make it 1.5.
"""
CROWD = {**moving(8), **many_processes(150)}
needs_sshd = pytest.mark.skipif(
    sshd_path() is None, reason="there is no sshd (package openssh-server)"
)


class Remote(Gputop):
    """The program at the other end of ssh. `descendants` are ssh and all of it there."""

    def __init__(self, link: Link, folder: Path, home: Path, scenario: Scenario) -> None:
        self.folder = folder
        mark = uuid.uuid4().hex
        env = environment(home, scenario.env(), SCALE) | {"GPUTOP_TEST_REMOTE": mark}
        there = remote(command_line(["--interval", INTERVAL]), env, folder)
        mark = f"GPUTOP_TEST_REMOTE={mark}"
        Terminal.__init__(self, [*link.ssh, there], size=SIZE, cwd=folder, mark=mark)

    @property
    def there(self) -> list[int]:
        """The program and its collector."""
        return [pid for pid in self.descendants() if pid != self.pid]


def resident_bytes(pids: list[int]) -> int:
    """What processes hold in memory, added up."""
    pages = (int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids)
    return 4096 * sum(pages)


@pytest.fixture
def machine(driver: Driver) -> Scenario:
    return driver(CROWD, log_calls=True)


@pytest.fixture
def ticks(machine: Scenario) -> Iterator[CallCount]:
    """The collector's ticks: a temperature each of device 0."""
    with CallCount(machine, r"nvmlDeviceGetTemperature\w* 0") as ticks:
        yield ticks


@pytest.fixture
def over_ssh(
    tmp_path: Path, folder: Path, home: Path, machine: Scenario
) -> Iterator[Callable[[float | None], tuple[Remote, Link]]]:
    """Start the program behind a link of a given speed."""
    keys = tmp_path / "keys"
    keys.mkdir()
    opened: list[object] = []

    def start(bytes_per_s: float | None) -> tuple[Remote, Link]:
        ssh = slow_ssh(keys, bytes_per_s)
        link = ssh.__enter__()
        opened.append(ssh)
        terminal = Remote(link, folder, home, machine)
        opened.append(terminal)
        terminal.wait_alive(7, 1)
        return terminal, link

    yield start
    for one in reversed(opened):
        one.__exit__(None, None, None)  # type: ignore[attr-defined]


def show(machine: Scenario, percent: int) -> None:
    """Let every device be busy so much from now on: less than the moving ones ever were, so that
    an old picture cannot pass for it.
    """
    assert percent < LOW
    machine.set("device.*.gpu_utilization", percent)


@needs_sshd
def test_over_ssh_at_20_kb_per_s_keys_answer_and_the_picture_is_of_the_present(
    over_ssh: Callable[..., tuple[Remote, Link]], machine: Scenario, ticks: CallCount
) -> None:
    terminal, _ = over_ssh(RATE)
    ticks.pass_by(10, PATIENCE_S)
    before = resident_bytes(terminal.there)
    # Opening and closing screens costs a whole picture each: more than the link carries.
    for _ in range(4):
        terminal.check_keys_answer()
    for _ in range(20):  # 340 kB, were each of these pictures sent
        terminal.type("t")
        ticks.pass_by(1, PATIENCE_S)
    at = ticks.count
    show(machine, 4)
    terminal.wait_for(lambda t: t.utilisation(7) == "4")
    assert ticks.count - at <= LATE_TICKS
    assert resident_bytes(terminal.there) <= GROWTH * before
    terminal.check_leaves()


@needs_sshd
def test_when_a_stalled_ssh_link_returns_the_present_is_drawn_and_not_the_backlog(
    over_ssh: Callable[..., tuple[Remote, Link]], machine: Scenario, ticks: CallCount
) -> None:
    terminal, link = over_ssh(RATE)
    ticks.pass_by(10, PATIENCE_S)
    before = resident_bytes(terminal.there)
    link.proxy.stall()
    ticks.pass_by(STALL_TICKS // 3, PATIENCE_S)
    for percent in (2, 3):
        show(machine, percent)
        ticks.pass_by(STALL_TICKS // 3, PATIENCE_S)
    assert resident_bytes(terminal.there) <= GROWTH * before
    show(machine, 4)
    ticks.pass_by(2, PATIENCE_S)
    seen: set[str] = set()

    def shows_present(screen: Gputop) -> bool:
        seen.add(screen.utilisation(7))
        return screen.utilisation(7) == "4"

    at, got = ticks.count, link.proxy.let_through
    link.proxy.resume()
    terminal.wait_for(shows_present)
    assert not seen & {"2", "3"}, "pictures of the stall were drawn"
    assert ticks.count - at <= LATE_TICKS
    assert link.proxy.let_through - got < 100_000
    terminal.check_keys_answer()
    terminal.check_leaves()


@needs_sshd
@pytest.mark.parametrize("key", ["q", "ctrl-c"])
def test_quitting_over_a_stalled_ssh_link_waits_for_nobody_to_read(
    over_ssh: Callable[..., tuple[Remote, Link]], ticks: CallCount, key: str
) -> None:
    terminal, link = over_ssh(None)
    link.proxy.stall()
    ticks.pass_by(STALL_TICKS // 4, PATIENCE_S)
    there, at = terminal.there, ticks.count
    assert len(there) >= 2
    terminal.type("?", "w", key)
    wait_ended(there)
    assert terminal.there == []
    assert ticks.count - at <= LATE_TICKS
    link.proxy.resume()
    assert terminal.exit_code(PATIENCE_S) == 0
    assert 1049 not in terminal.modes


@pytest.mark.parametrize("stalled", [False, True], ids=["slow", "stalled"])
def test_a_slow_terminal_costs_no_memory(
    gputop: Start, machine: Scenario, ticks: CallCount, stalled: bool
) -> None:
    terminal = gputop(machine, size=SIZE, interval=INTERVAL, bytes_per_s=RATE, link_bytes=1_000_000)
    terminal.wait_alive(7, 1)
    ticks.pass_by(10, PATIENCE_S)
    before = resident_bytes(terminal.descendants())
    if stalled:
        terminal.stall()
    ticks.pass_by(STALL_TICKS, PATIENCE_S)
    assert resident_bytes(terminal.descendants()) <= GROWTH * before
    terminal.resume()
    show(machine, 4)
    terminal.wait_for(lambda t: t.utilisation(7) == "4")
    terminal.check_leaves()

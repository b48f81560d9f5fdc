"""Joining the driver's pids with /proc, on processes the test starts itself."""

from __future__ import annotations

import getpass
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gputop.collect import lookups
from gputop.collect.backend import Tick
from gputop.collect.lookups import Lookups
from gputop.collect.processes import GONE, ProcessTable, user_name
from gputop.model import missing
from gputop.model.frame import DeviceUse, Process
from gputop.procfs import LONGEST_COMMAND

SPIN = "import sys\nprint('up', flush=True)\nwhile True: pass"
REST = "import sys\nprint('up', flush=True)\nsys.stdin.read()"


def tick(seconds: float | None = None) -> Tick:
    now = time.clock_gettime(time.CLOCK_BOOTTIME) if seconds is None else seconds
    return Tick(1, now, time.time(), 1.0)


def read(table: ProcessTable, pid: int, at: Tick | None = None, args: bool = False) -> Process:
    (process,) = table.read(at or tick(), {pid: [DeviceUse("GPU-1")]}, args, foreign=False)
    return process


@pytest.fixture
def child(request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", request.param, "--secret=1"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    yield process
    process.kill()
    process.communicate()


def test_a_command_line_is_cut_where_it_has_no_end() -> None:
    """Arguments may be two million bytes, of signs that take six letters each in every frame."""
    command = ["sh", "-c", "read x", *["\x01" * 50_000] * 3]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        table, words = ProcessTable(), None
        while words is None:
            words = read(table, process.pid, args=True).command
        assert words[:3] == command[:3]
        assert words[3].endswith("\x01…")
        assert sum(map(len, words)) <= LONGEST_COMMAND
        process.kill()


@pytest.mark.parametrize("child", [REST], indirect=True)
def test_a_process_gets_its_names_and_times(child: subprocess.Popen[str]) -> None:
    process = read(ProcessTable(), child.pid)
    assert process.name == Path(f"/proc/{child.pid}/comm").read_text().strip()
    assert (process.uid, process.user) == (os.getuid(), getpass.getuser())
    assert process.state in ("R", "S")
    assert process.threads == 1
    assert process.memory_bytes is not None
    assert 1 << 20 < process.memory_bytes < 1 << 30
    assert process.started_utc_s == pytest.approx(time.time(), abs=30)
    assert process.missing == {"cpu_utilization": missing.NEEDS_TWO_READINGS}
    assert process.command is None


@pytest.mark.parametrize("child", [SPIN], indirect=True)
def test_cpu_utilisation_is_cpu_time_over_time(child: subprocess.Popen[str]) -> None:
    table = ProcessTable()
    read(table, child.pid, tick(100.0))
    stat = Path(f"/proc/{child.pid}/stat")
    began = sum(map(int, stat.read_text().split()[13:15]))
    while sum(map(int, stat.read_text().split()[13:15])) < began + 20:
        pass
    # 0.2 s or a little more of CPU time in what the ticks say were 0.1 s
    process = read(table, child.pid, tick(100.1))
    assert process.cpu_utilization is not None
    assert 1.9 < process.cpu_utilization < 10


@pytest.mark.parametrize("child", [REST], indirect=True)
def test_arguments_only_where_they_were_asked_for(child: subprocess.Popen[str]) -> None:
    table = ProcessTable()
    process = read(table, child.pid, args=True)
    deadline = time.monotonic() + 30
    while process.command is None and time.monotonic() < deadline:
        assert process.missing["command"] == missing.PENDING
        process = read(table, child.pid, args=True)
    assert process.command is not None
    assert process.command[-1] == "--secret=1"
    assert read(table, child.pid, args=False).command is None


@pytest.mark.parametrize("child", [REST], indirect=True)
def test_a_process_that_ended_keeps_its_row_without_what_the_host_knew(
    child: subprocess.Popen[str],
) -> None:
    table = ProcessTable()
    read(table, child.pid)
    child.kill()
    child.wait()
    process = read(table, child.pid)
    assert (process.pid, process.uses) == (child.pid, [DeviceUse("GPU-1")])
    assert (process.name, process.uid, process.cpu_utilization) == (None, None, None)
    assert process.missing["name"] == process.missing["cpu_utilization"] == GONE


def test_pids_that_cannot_be_are_nobodys() -> None:
    for pid in (0, 4294967295, -1):
        assert read(ProcessTable(), pid).name is None


def write_stat(proc: Path, pid: int, start: int, user_ticks: int) -> None:
    (proc / str(pid)).mkdir(exist_ok=True)
    middle = "1 1 1 0 -1 0 0 0 0 0"
    (proc / str(pid) / "stat").write_text(
        f"{pid} (a) b) R {middle} {user_ticks} 0 0 0 20 0 3 0 {start} 0 10 0"
    )


def test_a_pid_that_was_given_to_another_process_has_no_past(tmp_path: Path) -> None:
    table = ProcessTable(str(tmp_path))
    write_stat(tmp_path, 9, start=100, user_ticks=50)
    read(table, 9, tick(10.0))
    write_stat(tmp_path, 9, start=100, user_ticks=150)
    assert read(table, 9, tick(11.0)).cpu_utilization == pytest.approx(1.0)
    write_stat(tmp_path, 9, start=1150, user_ticks=9000)
    process = read(table, 9, tick(12.0))
    assert process.cpu_utilization is None
    assert process.missing["cpu_utilization"] == missing.NEEDS_TWO_READINGS
    assert (process.start_ticks, process.name) == (1150, "a) b")


def test_its_start_is_told_by_the_wall_clock_there_is(tmp_path: Path) -> None:
    """As ps tells it: a clock that was set back an hour must not make its age 0 for that hour. The
    last digits of the two clocks do not move it.
    """
    table = ProcessTable(str(tmp_path))
    write_stat(tmp_path, 9, start=100, user_ticks=50)
    ticks = ((10.0, 1000.0), (11.0, 1001.04), (12.0, 5002.0), (13.0, 203.0))
    rows = [table.read(Tick(1, b, utc, 1.0), {9: []}, False, False)[0] for b, utc in ticks]
    assert [row.started_utc_s for row in rows] == [991.0, 991.0, 4991.0, 191.0]


def test_no_cpu_share_over_a_suspend(tmp_path: Path) -> None:
    """A busy process did nothing while the machine slept; of its share that says nothing."""
    table = ProcessTable(str(tmp_path))
    write_stat(tmp_path, 9, start=100, user_ticks=50)
    read(table, 9, tick(10.0))
    write_stat(tmp_path, 9, start=100, user_ticks=150)
    process = read(table, 9, tick(10_811.0))
    assert process.cpu_utilization is None
    assert process.missing["cpu_utilization"] == missing.NEEDS_TWO_READINGS
    write_stat(tmp_path, 9, start=100, user_ticks=250)
    assert read(table, 9, tick(10_812.0)).cpu_utilization == pytest.approx(1.0)


def test_a_user_without_a_name_is_a_number() -> None:
    assert user_name(4_000_000_123) == "4000000123"


# -- look-ups that may hang ----------------------------------------------------------------------


def test_a_look_up_that_hangs_holds_nobody_up() -> None:
    release = threading.Event()
    asked: list[int] = []

    def look_up(key: int) -> str:
        asked.append(key)
        release.wait(30)
        return f"user{key}"

    users = Lookups(look_up)
    assert [users.get(key) for key in (1, 2, 1)] == [None, None, None]
    release.set()
    deadline = time.monotonic() + 30
    while users.get(2) is None and time.monotonic() < deadline:
        pass
    assert (users.get(1), users.get(2)) == ("user1", "user2")
    assert asked == [1, 2]


def test_behind_a_look_up_that_hangs_nobody_waits_even_a_moment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    release = threading.Event()
    looked_up: Lookups[int, bool] = Lookups(lambda key: release.wait(600))
    looked_up.get(1)
    monkeypatch.setattr(lookups, "PATIENCE_S", 600.0)
    asking = threading.Thread(target=looked_up.get, args=(2,), daemon=True)
    asking.start()
    asking.join(30)
    assert not asking.is_alive()
    release.set()


def test_a_forgotten_answer_is_looked_up_again() -> None:
    asked: list[int] = []
    numbers = Lookups(lambda key: asked.append(key) or key)
    for round_ in range(2):
        deadline = time.monotonic() + 30
        while numbers.get(7) is None and time.monotonic() < deadline:
            pass
        numbers.keep([8] if round_ == 0 else [7])
    assert asked == [7, 7]
    assert numbers.get(7) == 7

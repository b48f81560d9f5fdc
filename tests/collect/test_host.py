"""The host's load from a /proc the test writes, and from this machine's own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gputop.collect.backend import Tick
from gputop.collect.host import SHORTEST_TICKS, CpuLoad, LinuxHost, translates_pids
from gputop.model import missing
from gputop.model.frame import DeviceUse, DriverInfo
from gputop.procfs import CpuTicks


def tick(seconds: float) -> Tick:
    return Tick(1, seconds, 1.8e9 + seconds, 1.0)


class Proc:
    """A /proc of the test's own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "pressure").mkdir()
        self.write("stat", "cpu  100 0 100 800 0 0 0 0\ncpu0 50 0 50 400\ncpu1 50 0 50 400\nintr 1")
        self.write("meminfo", "MemTotal: 1000 kB\nMemAvailable: 400 kB\nSwapTotal: 0 kB\n"
                   "SwapFree: 0 kB\n")  # fmt: skip
        self.write("loadavg", "1.50 0.75 0.25 1/2 3")
        for resource in ("cpu", "memory", "io"):
            self.write(f"pressure/{resource}", "some avg10=1.00 total=1\nfull avg10=0.50 total=1")

    def write(self, name: str, content: str) -> None:
        (self.folder / name).write_text(content)

    def host(self) -> LinuxHost:
        return LinuxHost(str(self.folder))


@pytest.fixture
def proc(tmp_path: Path) -> Proc:
    return Proc(tmp_path)


def test_the_first_reading_has_no_rates(proc: Proc) -> None:
    reading = proc.host().read(tick(5.0))
    assert (reading.cpu_utilization, reading.cores, reading.iowait) == (None, None, None)
    assert {reading.missing[f] for f in ("cpu_utilization", "cores", "iowait")} == {
        missing.NEEDS_TWO_READINGS
    }
    assert (reading.load_1, reading.load_5, reading.load_15) == (1.5, 0.75, 0.25)
    assert reading.memory_used_bytes == 600 * 1024
    assert reading.read_at == reading.uptime_s == 5.0
    assert (reading.swap_total_bytes, reading.swap_used_bytes) == (0, 0)
    assert (reading.pressure.cpu_some, reading.pressure.io_full) == (0.01, 0.005)


def test_the_second_reading_has_the_load_since_the_first(proc: Proc) -> None:
    host = proc.host()
    host.read(tick(1.0))
    proc.write("stat", "cpu 160 0 120 900 20 0 0 0\ncpu0 100 0 60 440\ncpu1 60 0 60 460 20\nintr 1")
    reading = host.read(tick(2.0))
    assert reading.cpu_utilization == pytest.approx(80 / 200)
    assert reading.cores == [pytest.approx(60 / 100), pytest.approx(20 / 100)]
    assert reading.iowait == pytest.approx(20 / 200)
    assert reading.missing == {}


def test_what_is_not_there_says_so(proc: Proc) -> None:
    for name in ("pressure/cpu", "pressure/memory", "pressure/io", "loadavg", "meminfo", "stat"):
        (proc.folder / name).unlink()
    reading = proc.host().read(tick(1.0))
    assert reading.memory_total_bytes is None
    assert reading.pressure.cpu_some is None
    for field in ("load_1", "memory_used_bytes", "cpu_utilization", "pressure.cpu"):
        assert reading.missing[field] == missing.UNSUPPORTED


def test_pressure_that_is_switched_off_is_no_zero(proc: Proc) -> None:
    proc.write("pressure/cpu", "")
    (proc.folder / "pressure/io").unlink()
    (proc.folder / "pressure/io").mkdir()  # reading it fails, as with psi=0
    reading = proc.host().read(tick(1.0))
    assert reading.pressure.io_some is None
    assert reading.missing["pressure.io"] == "error(IsADirectoryError)"


def test_this_machine_is_read() -> None:
    host = LinuxHost()
    info, reading = host.info(), host.read(tick(1.0))
    assert info.hostname == os.uname().nodename
    assert info.boot_id == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert info.memory_total_bytes == reading.memory_total_bytes
    assert 0 < (reading.memory_used_bytes or 0) < (reading.memory_total_bytes or 0)
    assert info.cpu_model


# -- the counters ------------------------------------------------------------------------------


def ticks(*cores: tuple[int, int]) -> dict[int | None, CpuTicks]:
    found: dict[int | None, CpuTicks] = {None: CpuTicks(sum(t for t, _ in cores), 0, 0)}
    return found | {n: CpuTicks(total, idle, 0) for n, (total, idle) in enumerate(cores)}


def test_a_core_that_comes_online_is_left_out_until_it_has_a_span() -> None:
    load = CpuLoad()
    load.add(ticks((100, 100)))
    load.add(ticks((200, 150), (500, 500)))
    assert load.cores == [0.5]
    load.add(ticks((300, 250), (600, 525)))
    assert load.cores == [0.0, 0.75]


def test_a_core_that_goes_offline_disappears() -> None:
    load = CpuLoad()
    load.add(ticks((100, 100), (100, 100)))
    load.add(ticks((200, 200), (200, 100)))
    load.add(ticks((300, 300)))
    assert load.cores == [0.0]


def test_a_core_that_was_away_has_no_past() -> None:
    load = CpuLoad()
    load.add(ticks((100, 100), (100, 100)))
    load.add(ticks((200, 200), (200, 100)))
    load.add(ticks((300, 300)))
    load.add(ticks((400, 400), (900, 100)))
    assert load.cores == [0.0]


def test_a_span_too_short_to_say_anything_is_left_to_grow() -> None:
    load = CpuLoad()
    load.add(ticks((100, 100)))
    load.add(ticks((100 + SHORTEST_TICKS - 1, 100)))
    assert load.total is None
    load.add(ticks((100 + SHORTEST_TICKS, 100)))
    assert load.cores == [1.0]


def test_idle_time_that_goes_back_stays_within_bounds() -> None:
    load = CpuLoad()
    load.add(ticks((100, 90)))
    load.add(ticks((110, 85)))
    assert load.cores == [1.0]


def test_a_counter_that_starts_again_begins_a_new_span() -> None:
    load = CpuLoad()
    load.add(ticks((1000, 1000)))
    load.add(ticks((10, 10)))
    load.add(ticks((20, 15)))
    assert load.cores == [0.5]


counters = st.dictionaries(
    st.one_of(st.none(), st.integers(0, 600)),
    st.builds(CpuTicks, st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**6)),
    max_size=8,
)


@given(st.lists(counters, max_size=6))
def test_whatever_is_counted_shares_are_ratios(readings: list[dict[int | None, CpuTicks]]) -> None:
    load = CpuLoad()
    for reading in readings:
        load.add(reading)
        shares = [load.total, load.iowait, *(load.cores or [])]
        assert all(share is None or 0 <= share <= 1 for share in shares)
        assert len(load.cores or []) <= len(reading)


# -- whose pids ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "does"),
    [("535.113.01", True), ("535.98", False), ("470.256.02", False), ("610.43.02", True),
     ("535", False), ("", False), (None, False), ("r550.1", False)],
)  # fmt: skip
def test_which_drivers_translate_pids(version: str | None, does: bool) -> None:
    assert translates_pids(version) is does


def test_in_a_namespace_an_old_drivers_pids_are_joined_with_nobody(tmp_path: Path) -> None:
    (tmp_path / "self/ns").mkdir(parents=True)
    (tmp_path / "self/ns/pid").write_text("")  # an inode that is not the first namespace's
    pid = os.getpid()
    (tmp_path / str(pid)).symlink_to(f"/proc/{pid}")
    host = LinuxHost(str(tmp_path))
    uses = {pid: [DeviceUse("GPU-1", "C", memory_bytes=5)]}

    host.driver_is(DriverInfo("ok", driver_version="525.60.13"))
    (process,) = host.processes(tick(1.0), uses, with_args=True)
    assert (process.name, process.user, process.start_ticks) == (None, None, None)
    assert process.missing["name"] == missing.DENIED
    assert process.uses[0].memory_bytes == 5

    host.driver_is(DriverInfo("ok", driver_version="550.54.14"))
    (process,) = host.processes(tick(2.0), uses, with_args=False)
    assert process.name == Path("/proc/self/comm").read_text().strip()

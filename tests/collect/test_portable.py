"""The host through psutil agrees with the one through /proc, where both can be read."""

from __future__ import annotations

import os
import sys
import time

import psutil
import pytest

from gputop.collect.backend import Tick
from gputop.collect.host import LinuxHost, this_host
from gputop.collect.portable import PsutilHost
from gputop.collect.processes import GONE
from gputop.model import missing
from gputop.model.frame import DeviceUse


def tick(seconds: float) -> Tick:
    return Tick(1, seconds, time.time(), 1.0)


def test_it_is_taken_on_other_systems_than_linux(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(this_host(), LinuxHost)
    monkeypatch.setattr(sys, "platform", "darwin")
    assert isinstance(this_host(), PsutilHost)


def test_both_hosts_say_the_same() -> None:
    portable, native = PsutilHost(), LinuxHost()
    assert portable.info().hostname == native.info().hostname
    assert portable.info().memory_total_bytes == native.info().memory_total_bytes
    mine, other = portable.read(tick(1.0)), native.read(tick(1.0))
    assert mine.memory_total_bytes == other.memory_total_bytes
    assert mine.swap_total_bytes == other.swap_total_bytes
    assert mine.load_15 == pytest.approx(other.load_15, abs=0.1)


def test_rates_need_two_readings() -> None:
    host = PsutilHost()
    first = host.read(tick(1.0))
    assert (first.cpu_utilization, first.cores, first.iowait) == (None, None, None)
    assert first.missing["cpu_utilization"] == missing.NEEDS_TWO_READINGS
    assert first.missing["iowait"] == first.missing["pressure"] == missing.UNSUPPORTED
    second = host.read(tick(2.0))
    assert second.cpu_utilization is not None
    assert 0 <= second.cpu_utilization <= 1
    assert len(second.cores or []) == psutil.cpu_count()


def test_a_process_is_known_and_a_missing_one_says_so() -> None:
    host, pid = PsutilHost(), os.getpid()
    uses = {pid: [DeviceUse("GPU-1")], 2**22 + 1: []}
    first, gone = host.processes(tick(1.0), uses, with_args=True)
    assert first.name == psutil.Process().name()
    assert first.command == psutil.Process().cmdline()
    assert first.uses == [DeviceUse("GPU-1")]
    assert first.missing == {"cpu_utilization": missing.NEEDS_TWO_READINGS}
    assert (gone.name, gone.missing["name"]) == (None, GONE)
    began = time.process_time()
    while time.process_time() < began + 0.2:
        pass
    again, _ = host.processes(tick(1.1), uses, with_args=False)
    assert again.start_ticks == first.start_ticks
    assert again.command is None
    assert again.cpu_utilization is not None
    assert again.cpu_utilization >= 1.5

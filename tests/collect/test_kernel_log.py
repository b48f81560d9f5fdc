"""Xids from the kernel's log: found, dated, tied to their device, and never trusted."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gputop.collect import kernel_log
from gputop.collect.kernel_log import (
    LONGEST_TEXT,
    MOST_XIDS,
    KernelLog,
    bus_of,
    xids_in_journal,
    xids_in_kmsg,
)
from gputop.model.frame import DeviceInfo, Event

PATIENCE_S = 60.0
LOST = (
    "NVRM: Xid (PCI:0000:3b:00): 79, pid='<unknown>', name=<unknown>, GPU has fallen off the bus."
)
INFO = DeviceInfo("GPU-1", "X", 0, bus_id="00000000:3B:00.0")


def wait_found(log: KernelLog) -> None:
    until = time.monotonic() + PATIENCE_S
    while not log._found:
        assert time.monotonic() < until
        time.sleep(0.005)


def read(log: KernelLog) -> list[Event]:
    log.start()
    return wait_read(log)


def wait_read(log: KernelLog) -> list[Event]:
    wait_found(log)
    return log.events([INFO], all_named=True)


def test_the_log_s_xids_become_events_of_their_devices(tmp_path: Path) -> None:
    path = tmp_path / "kmsg"
    path.write_text(
        "6,1,100000000,-;NVRM: loading NVIDIA UNIX x86_64 Kernel Module\n"
        f"4,2,123456789,-;{LOST}\n SUBSYSTEM=pci\n DEVICE=+pci:0000:3b:00.0\n"
        "4,3,200000000,c;NVRM: Xid (PCI:0000:AF:00): 48, pid=7, An uncorrectable error\n"
        "4,4,2\n"
    )
    log = KernelLog(str(path))
    first, second = read(log)
    assert (first.kind, first.device, first.code, first.text) == ("xid", "GPU-1", 79, LOST)
    slept = time.clock_gettime(time.CLOCK_BOOTTIME) - time.monotonic()
    assert first.boottime_s == pytest.approx(
        min(123.456789 + slept, time.clock_gettime(time.CLOCK_BOOTTIME)), abs=1
    )
    assert time.time() - first.utc_s == pytest.approx(
        time.clock_gettime(time.CLOCK_BOOTTIME) - first.boottime_s, abs=1
    )
    assert (second.device, second.code) == (None, 48)
    assert log.events([INFO], all_named=True) == [], "they are handed out once"


@pytest.mark.parametrize(
    "line",
    [
        f"12,2,5,-;{LOST}",  # facility 1: written by a program
        f"4,2,5,-;somebody said {LOST}",
        "4,2,5,-;NVRM: Xid (PCI:0000:3b:00): 99999999999, pid=1",
        "4,2,5,-;NVRM: Xid (PCI:zz:3b:00): 79,",
        f"4,2,-;{LOST}",
        "",
        "\x00" * 50,
    ],
)
def test_what_only_looks_like_one_is_none(line: str) -> None:
    assert xids_in_kmsg([line]) == []


def test_hostile_text_is_cleaned_and_cut() -> None:
    line = "4,2,5,-;NVRM: Xid (PCI:0000:3b:00): 79, name=\x1b]0;x\x07\u202e" + "y" * 5000
    (found,) = xids_in_kmsg([line])
    assert not set(found.text) & set("\x1b\x07\u202e")
    assert len(found.text) <= LONGEST_TEXT


def test_of_very_many_the_newest_are_kept() -> None:
    lines = (f"4,{n},{n}000000,-;NVRM: Xid (PCI:0000:3b:00): 31, n={n}" for n in range(1000))
    found = xids_in_kmsg(lines)
    assert len(found) == MOST_XIDS
    assert found[-1].at_s == 999


def test_the_journal_says_the_same() -> None:
    (found,) = xids_in_journal(
        ["-- Boot 1 --", f"[  123.456789] host kernel: {LOST}", f"[  1.0] host sshd[7]: {LOST}"]
    )
    assert (found.at_s, found.bus, found.code) == (123.456789, (0, 0x3B, 0), 79)


@given(st.text(max_size=200))
def test_no_line_breaks_it(line: str) -> None:
    xids_in_kmsg([line, f"4,2,5,-;{line}", f"4,2,5,-;NVRM: Xid ({line}"])
    xids_in_journal([line, f"[ 1.0] host kernel: {line}"])
    bus_of(line)


def test_where_the_log_is_denied_the_journal_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(path: str) -> Iterator[str]:
        raise PermissionError(path)

    monkeypatch.setattr(kernel_log, "_kmsg_lines", denied)  # root is denied nothing
    journal = [sys.executable, "-c", f"print('[ 9.5] host kernel: ' + {LOST!r})"]
    (event,) = read(KernelLog(journal=journal))
    assert event.code == 79
    assert read(KernelLog(journal=["/nowhere/journalctl"])) == []


def test_of_a_time_in_which_nobody_listened_only_its_lines_are_told(tmp_path: Path) -> None:
    now_s = time.monotonic()
    lines = [f"4,{n},{(now_s - ago) * 1e6:.0f},-;{LOST}" for n, ago in enumerate((50, 30, 20, 5))]
    path = tmp_path / "kmsg"
    path.write_text("\n".join(lines) + "\n")
    log = KernelLog(str(path))
    boot_s = time.clock_gettime(time.CLOCK_BOOTTIME)
    log.look_back(boot_s - 40, boot_s - 10)
    events = wait_read(log)
    assert [event.boottime_s - boot_s for event in events] == pytest.approx([-30, -20], abs=0.5)
    assert log.events([INFO], all_named=True) == []


def test_one_waits_for_its_device_to_say_where_it_sits(tmp_path: Path) -> None:
    path = tmp_path / "kmsg"
    lines = [f"4,1,1000000,-;{LOST}", f"4,2,2000000,-;{LOST.replace(':3b:', ':af:')}"]
    path.write_text("\n".join(lines) + "\n")
    log = KernelLog(str(path))
    log.start()
    wait_found(log)
    nameless = DeviceInfo("index:0", "GPU 0", 0)
    assert log.events([nameless], all_named=False) == []
    (known,) = log.events([INFO], all_named=False)
    assert (known.device, known.code) == ("GPU-1", 79)
    (of_none,) = log.events([INFO], all_named=True)
    assert (of_none.device, "0000:af:00" in of_none.text) == (None, True)
    assert log.events([INFO], all_named=True) == []


@pytest.mark.parametrize("kind", ["absent", "folder", "empty"])
def test_a_log_that_cannot_be_read_holds_nothing(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "kmsg"
    if kind == "folder":
        path.mkdir()
    elif kind == "empty":
        path.touch()
    assert read(KernelLog(str(path))) == []


def test_a_log_that_says_nothing_yet_does_not_block(tmp_path: Path) -> None:
    path = tmp_path / "kmsg"
    os.mkfifo(path)
    with open(os.open(path, os.O_RDWR), "wb"):
        assert read(KernelLog(str(path))) == []


@pytest.mark.parametrize(
    ("text", "bus"),
    [
        ("00000000:3B:00.0", (0, 0x3B, 0)),
        ("0000:3b:00", (0, 0x3B, 0)),
        ("0001:3B:1F.0", (1, 0x3B, 0x1F)),
        ("x", None),
        (None, None),
    ],
)
def test_bus_ids(text: str | None, bus: tuple[int, int, int] | None) -> None:
    assert bus_of(text) == bus

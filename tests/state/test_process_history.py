"""What is remembered of processes: readings once, gaps as gaps, and bounds."""

from __future__ import annotations

from typing import Any

import pytest

from gputop.model.frame import DeviceReading, DeviceUse, Frame, HostReading, Process, ReadTimes
from gputop.state import process_history
from gputop.state.process_history import KEPT_S, REACH_S, ProcessHistory, ProcessKey

ONE = ProcessKey(1, 10)


def process(pid: int = 1, *uses: DeviceUse, ticks: int | None = 10) -> Process:
    return Process(pid=pid, start_ticks=ticks, uses=list(uses or [use(1.0)]))


def use(
    memory: float | None, sm: float | None = 0.5, device: str = "GPU-a", **more: Any
) -> DeviceUse:
    return DeviceUse(
        device, memory_bytes=None if memory is None else int(memory), sm_utilization=sm, **more
    )


def frame(at: float, *processes: Process, read_at: dict[str, float | None] | None = None) -> Frame:
    """`read_at` says when each device's list was read; by default both at the frame's time."""
    times = {"GPU-a": at, "GPU-b": at} if read_at is None else read_at
    return Frame(
        session="s", seq=int(at), utc_s=at, boottime_s=at, interval_s=1.0, host=HostReading(),
        devices=[DeviceReading(uuid, read_at=ReadTimes(processes=t)) for uuid, t in times.items()],
        processes=list(processes),
    )  # fmt: skip


def means(history: ProcessHistory, metric: str, device: str, numbers: range) -> list[float | None]:
    past = history.get(ONE)
    assert past is not None
    return [span.mean if span else None for span in past.columns(device, metric, numbers, 1)]


def test_each_device_has_its_own_past_and_a_gap_stays_a_gap() -> None:
    history = ProcessHistory()
    history.update(frame(100, process(1, use(5, 0.2), use(7, None, "GPU-b"))))
    history.update(frame(102, process(1, use(None, 0.4))))
    numbers = range(99, 103)
    assert means(history, "memory", "GPU-a", numbers) == [None, 5.0, None, None]
    assert means(history, "sm", "GPU-a", numbers) == pytest.approx([None, 0.2, None, 0.4])
    assert means(history, "memory", "GPU-b", numbers) == [None, 7.0, None, None]
    assert means(history, "sm", "GPU-b", numbers) == [None] * 4
    assert means(history, "sm", "GPU-c", numbers) == [None] * 4


def test_a_reading_that_frames_repeat_counts_once() -> None:
    history = ProcessHistory()
    history.update(frame(100.0, process(1, use(4)), read_at={"GPU-a": 100.0}))
    for at in (100.3, 100.6):
        history.update(frame(at, process(1, use(4)), read_at={"GPU-a": 100.0}))
    history.update(frame(100.9, process(1, use(10)), read_at={"GPU-a": 100.9}))
    assert means(history, "memory", "GPU-a", range(100, 101)) == [7.0]


def test_a_mig_instance_is_kept_under_its_own_uuid_and_read_with_its_device() -> None:
    history = ProcessHistory()
    history.update(frame(50, process(1, use(3, mig="MIG-x"))))
    assert means(history, "memory", "MIG-x", range(50, 51)) == [3.0]


def test_a_process_has_left_once_all_its_devices_answered_without_it() -> None:
    history = ProcessHistory()
    both = process(1, use(1), use(1, device="GPU-b"))
    history.update(frame(10, both))
    history.update(frame(11, read_at={"GPU-a": 11, "GPU-b": None}))
    past = history.get(ONE)
    assert past is not None
    assert past.left_s is None  # one device did not answer: nobody knows
    history.update(frame(12))
    assert past.left_s == 12
    history.update(frame(13))
    assert past.left_s == 12
    history.update(frame(14, both))
    assert past.left_s is None
    assert history.get(ONE) is past


def test_a_device_that_is_gone_from_the_frames_says_nothing() -> None:
    history = ProcessHistory()
    history.update(frame(10, process()))
    history.update(frame(11, read_at={}))
    past = history.get(ONE)
    assert past is not None
    assert past.left_s is None


def test_a_recycled_pid_has_a_past_of_its_own() -> None:
    history = ProcessHistory()
    history.update(frame(10, process(1, use(1))))
    history.update(frame(11, process(1, use(2), ticks=99)))
    assert means(history, "memory", "GPU-a", range(10, 12)) == [1.0, None]
    assert history.get(ProcessKey(1, 99)) is not None


def test_who_has_left_is_dropped_after_some_minutes() -> None:
    history = ProcessHistory()
    history.update(frame(10, process()))
    history.update(frame(10 + KEPT_S))
    assert history.get(ONE) is not None
    history.update(frame(10 + KEPT_S + 1))
    assert history.get(ONE) is None
    assert len(history) == 0


def test_the_past_reaches_ten_minutes() -> None:
    history = ProcessHistory()
    for at in range(1000, 1000 + REACH_S + 100):
        history.update(frame(at, process(1, use(at))))
    newest = 1000 + REACH_S + 99
    oldest = newest - REACH_S + 1
    assert means(history, "memory", "GPU-a", range(oldest - 1, oldest + 1)) == [None, oldest]
    assert means(history, "memory", "GPU-a", range(newest, newest + 1)) == [newest]


def test_beyond_the_most_processes_who_left_first_makes_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(process_history, "MOST_PROCESSES", 3)
    history = ProcessHistory()
    first, second, third, fourth, fifth = (process(pid) for pid in range(1, 6))
    history.update(frame(10, first, second, third))
    history.update(frame(11, second, third, fourth))
    assert history.get(ProcessKey(4, 10)) is None  # nobody had left yet
    history.update(frame(12, third, fourth))
    assert history.get(ProcessKey(1, 10)) is None
    assert history.get(ProcessKey(2, 10)) is not None
    history.update(frame(13, third, fourth, fifth))
    assert history.get(ProcessKey(2, 10)) is None
    assert len(history) == 3

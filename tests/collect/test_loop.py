"""The loop on devices whose answers the test decides, read from a real pipe."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gputop.collect.backend import Machine
from gputop.collect.clock import Clock, next_tick
from gputop.collect.loop import FIND_S, Collector, Ending, Options, clamp_interval
from gputop.collect.selection import NotFound
from gputop.collect.writer import Wake, Writer
from gputop.model.codec import decode
from gputop.model.commands import ReadSlow, Release, Retake, SetInterval
from gputop.model.frame import AnyRecord, DeviceUse, Event, Frame, Hello
from tests.collect.machines import FakeDevices, FakeHost, device
from tests.waiting import readable

PATIENCE_S = 30.0
R = TypeVar("R", Hello, Frame, Event)


class FakeClock:
    """A clock that moves when the test says so."""

    def __init__(self, now: float = 1000.3) -> None:
        self.now = now
        self._reads = 0
        self._read = threading.Condition()

    def boottime(self) -> float:
        with self._read:
            self._reads += 1
            self._read.notify_all()
        return self.now

    def await_reads(self, count: int) -> None:
        """Return when the clock has been looked at so often from now on."""
        with self._read:
            enough = self._reads + count
            assert self._read.wait_for(lambda: self._reads >= enough, PATIENCE_S)

    def utc(self) -> float:
        return 1.8e9 + self.now


class Session:
    """A collector in a thread, and the reading end of its pipe."""

    def __init__(self, devices: FakeDevices, options: Options, clock: Clock | None) -> None:
        self.devices = devices
        self._read_end, self._write_end = os.pipe()
        wake = Wake(self._write_end)
        self._writer = Writer(self._write_end, self._reader_gone)
        machine = Machine(devices, FakeHost(), simulated=True)
        self.collector = Collector(machine, self._writer, wake, options, clock)
        self.ending: Ending | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self._rest = b""
        self._lines: list[bytes] = []

    def next_record(self) -> AnyRecord:
        while not self._lines:
            ready = readable(self._read_end, timeout_s=PATIENCE_S)
            assert ready, "the collector says nothing"
            part = os.read(self._read_end, 65536)
            assert part, "the collector has closed its pipe"
            *self._lines, self._rest = (self._rest + part).split(b"\n")
        return decode(self._lines.pop(0), 1)

    def next(self, kind: type[R], that: Callable[[R], bool] = lambda _: True) -> R:
        """The next record of a kind for which `that` is true."""
        while True:
            record = self.next_record()
            if isinstance(record, kind) and that(record):
                return record

    def is_silent(self) -> bool:
        """True when nothing more was said; for a collector that has left."""
        return not self._lines and not readable(self._read_end, timeout_s=0)

    def join(self) -> Ending:
        """Return when it has left and everything it said is in the pipe."""
        self._thread.join(PATIENCE_S)
        assert self.ending is not None, "the collector has not left"
        return self.ending

    def hang_up(self) -> None:
        os.close(self._read_end)
        self._read_end = os.open(os.devnull, os.O_RDONLY)

    def close(self) -> None:
        self.collector.leave(Ending.SIGNAL)
        self.join()
        os.close(self._read_end)

    def _reader_gone(self, problem: OSError | None) -> None:
        assert problem is None
        self.collector.leave(Ending.READER_GONE)

    def _run(self) -> None:
        ending = self.collector.run()
        self._writer.drain(PATIENCE_S)
        self.ending = ending


@contextmanager
def session(
    machine: FakeDevices | None = None, clock: Clock | None = None, **options: object
) -> Iterator[Session]:
    options.setdefault("interval_s", 0.1)
    running = Session(machine or FakeDevices(), Options(**options), clock)  # type: ignore[arg-type]
    yield running
    running.close()


# -- the beginning -------------------------------------------------------------------------------


def test_hello_and_the_hosts_load_leave_before_the_driver_is_open() -> None:
    with session(FakeDevices(opens_after_s=PATIENCE_S)) as s:
        hello, frame = s.next_record(), s.next_record()
        assert isinstance(hello, Hello)
        assert isinstance(frame, Frame)
        assert (hello.driver.status, hello.devices) == ("starting", [])
        assert (frame.seq, frame.host.load_1, frame.devices) == (0, 0.5, [])
        assert hello.session == frame.session
        assert hello.simulated
        assert frame.simulated


def test_first_answers_do_not_wait_for_the_next_tick() -> None:
    with session(FakeDevices(opens_after_s=0.05), FakeClock(), interval_s=60.0) as s:
        hello = s.next(Hello, lambda h: h.driver.status == "ok")
        assert [d.uuid for d in hello.devices] == ["GPU-00000000", "GPU-00000001"]
        frame = s.next(Frame, lambda f: bool(f.devices))
        assert [d.power_w for d in frame.devices] == [101.0, 101.0]
        assert frame.cost.nvml_calls == 7


def test_a_slow_first_answer_is_sent_when_it_is_there() -> None:
    with session(FakeDevices(pending_for=4), FakeClock(), interval_s=60.0) as s:
        frame = s.next(Frame, lambda f: bool(f.devices))
        assert {d.status for d in frame.devices} == {"pending"}
        frame = s.next(Frame)
        assert {d.status for d in frame.devices} == {"ok"}
        assert len(s.devices.requests) == 1


def test_one_device_that_never_answers_does_not_hold_up_the_other() -> None:
    with session(FakeDevices(pending={"GPU-00000000"})) as s:
        first = s.next(Frame, lambda f: bool(f.devices))
        later = s.next(Frame, lambda f: f.seq == first.seq + 3)
        for frame in (first, later):
            assert [d.status for d in frame.devices] == ["pending", "ok"]


# -- ticks ---------------------------------------------------------------------------------------


def test_ticks_fall_on_multiples_of_the_interval() -> None:
    clock = FakeClock(1000.3)
    with session(clock=clock, interval_s=1.0) as s:
        s.next(Frame, lambda f: bool(f.devices))
        for moment in (1000.95, 1001.0, 1001.95, 1002.02):
            clock.now = moment
            clock.await_reads(5)
        assert [s.next(Frame).boottime_s for _ in range(2)] == [1001.0, 1002.02]


def test_after_a_frame_outside_the_schedule_the_next_one_is_not_at_its_heels() -> None:
    clock = FakeClock(1000.95)
    with session(FakeDevices(opens_after_s=0.05), clock, interval_s=1.0) as s:
        s.next(Frame, lambda f: bool(f.devices))
        for moment in (1001.1, 1002.0):
            clock.now = moment
            clock.await_reads(5)
        assert s.next(Frame).boottime_s == 1002.0


def test_sequence_numbers_have_no_gaps() -> None:
    with session() as s:
        assert [s.next(Frame).seq for _ in range(5)] == [0, 1, 2, 3, 4]


def test_a_suspended_hour_is_not_made_up_for() -> None:
    clock = FakeClock()
    with session(clock=clock, interval_s=1.0) as s:
        before = s.next(Frame, lambda f: bool(f.devices))
        clock.now += 3600
        after = s.next(Frame)
        assert after.boottime_s == clock.now
        clock.now += 1
        following = s.next(Frame)
        assert (following.seq, following.boottime_s) == (before.seq + 2, clock.now)


@given(st.floats(0, 1e8), st.floats(0.1, 60), st.floats(0, 0.5))
def test_the_next_tick_is_ahead_and_not_far(now: float, interval: float, share: float) -> None:
    tick = next_tick(now, interval, share * interval)
    assert now < tick <= now + interval * (1.001 + share)
    assert tick - now >= share * interval


# -- changes -------------------------------------------------------------------------------------


def test_a_change_of_the_inventory_is_announced_before_the_frame_that_has_it() -> None:
    with session() as s:
        s.next(Frame, lambda f: bool(f.devices))
        s.devices.inventory = [device(0), device(1), device(2)]
        while not isinstance(record := s.next_record(), Hello):
            assert len(record.devices) == 2
        assert [d.index for d in record.devices] == [0, 1, 2]
        assert len(s.next(Frame).devices) == 3


def test_a_hello_that_says_nothing_new_is_not_sent() -> None:
    with session() as s:
        s.next(Frame, lambda f: bool(f.devices))
        assert [type(s.next_record()) for _ in range(4)] == [Frame] * 4


def test_a_new_interval_is_announced_and_kept() -> None:
    clock = FakeClock(1000.3)
    with session(clock=clock, interval_s=60.0) as s:
        s.next(Frame, lambda f: bool(f.devices))
        s.collector.tell(SetInterval(0.1))
        assert s.next(Hello).interval_s == 0.1
        clock.await_reads(2)
        clock.now += 1.0
        frame = s.next(Frame)
        assert (frame.boottime_s, frame.interval_s) == (1001.3, 0.1)
        s.collector.tell(SetInterval(1e9))
        assert s.next(Hello).interval_s == 60.0


@pytest.mark.parametrize(
    ("asked", "kept"),
    [(0.0, 0.1), (-5, 0.1), (2.5, 2.5), (float("inf"), 60.0), (float("nan"), 1.0)],
)
def test_intervals_out_of_range(asked: float, kept: float) -> None:
    assert clamp_interval(asked) == kept


def test_release_and_retake_are_told_at_once() -> None:
    with session(interval_s=60.0) as s:
        s.next(Frame, lambda f: bool(f.devices))
        s.collector.tell(Release())
        assert s.next(Hello).driver.status == "released"
        assert s.next(Frame).devices == []
        s.collector.tell(Retake())
        assert s.next(Hello).driver.status == "ok"
        assert len(s.next(Frame).devices) == 2
        assert [c for c in s.devices.calls if c != "wait"] == ["open", "release", "retake"]


def test_a_collector_that_begins_released_does_not_open_the_driver() -> None:
    with session(interval_s=60.0, released=True) as s:
        assert s.next(Hello).driver.status == "released"
        assert s.next(Frame).devices == []
        assert s.devices.calls == ["release"]
        s.collector.tell(Retake())
        assert s.next(Hello).driver.status == "ok"
        assert len(s.next(Frame, lambda f: bool(f.devices)).devices) == 2
        assert "open" not in s.devices.calls


def test_every_tier_may_be_asked_for_at_every_tick() -> None:
    with session(every_tier=True) as s:
        s.next(Frame, lambda f: f.seq == 4)
        assert all(t.slow for t in s.devices.requests)


def test_the_slow_tier_is_asked_for_once() -> None:
    with session() as s:
        s.next(Frame, lambda f: bool(f.devices))
        s.collector.tell(ReadSlow())
        asked = s.next(Frame).seq
        s.next(Frame, lambda f: f.seq == asked + 3)
        assert [t.slow for t in s.devices.requests].count(True) == 1


def test_events_get_a_session_and_numbers_of_their_own() -> None:
    with session() as s:
        for code in (79, 48):
            s.devices.add_event(Event("?", 99, 1.8e9, 5.0, "xid", "GPU-00000001", code))
        first, second = s.next(Event), s.next(Event)
        assert [(e.seq, e.code, e.simulated) for e in (first, second)] == [
            (0, 79, True), (1, 48, True),
        ]  # fmt: skip
        assert first.session == s.next(Frame).session


def test_processes_are_those_of_the_newest_lists() -> None:
    with session(FakeDevices(uses={7: [DeviceUse("GPU-00000000")]})) as s:
        assert [p.pid for p in s.next(Frame, lambda f: bool(f.devices)).processes] == [7]
        s.devices.uses = {8: [DeviceUse("GPU-00000001")]}
        s.next(Frame, lambda f: [p.pid for p in f.processes] == [8])


# -- the end -------------------------------------------------------------------------------------


def test_it_leaves_when_the_reader_goes_away_in_the_middle_of_a_long_interval() -> None:
    with session(interval_s=60.0) as s:
        s.next(Frame, lambda f: bool(f.devices))
        s.hang_up()
        assert s.join() is Ending.READER_GONE


def test_frames_are_counted_once_every_device_has_answered() -> None:
    with session(FakeDevices(opens_after_s=0.3, pending_for=3), frames=2) as s:
        assert s.join() is Ending.COUNTED
        frames = [s.next(Frame)]
        while len([f for f in frames if f.devices and f.devices[0].status == "ok"]) < 2:
            frames.append(s.next(Frame))
        assert len(frames) > 3
        assert s.collector.has_devices


@pytest.mark.parametrize("status", ["absent", "failed", "stuck"])
def test_without_a_driver_the_first_frame_counts(status: str) -> None:
    with session(FakeDevices(status=status), frames=1) as s:
        assert s.join() is Ending.COUNTED
        assert s.next(Frame).seq == 0
        assert s.next(Hello).driver.status == status
        assert not s.collector.has_devices


def test_without_a_driver_nothing_is_added_to_the_frames_asked_for() -> None:
    machine = FakeDevices(status="absent", opens_in_wait=True)
    with session(machine, frames=1) as s:
        assert s.join() is Ending.COUNTED
        assert [type(s.next_record()) for _ in range(3)] == [Hello, Frame, Hello]
        assert s.is_silent()


def test_a_driver_replaced_under_us_ends_it() -> None:
    with session() as s:
        s.next(Frame, lambda f: bool(f.devices))
        s.devices.needs_restart = True
        assert s.join() is Ending.RESTART


def test_an_unknown_device_ends_it() -> None:
    clock = FakeClock()
    with session(clock=clock, devices=("0", "9")) as s:
        s.next(Frame, lambda f: bool(f.devices))
        assert s.collector.ending is None
        clock.now += FIND_S
        assert s.join() is Ending.NOT_FOUND
        assert s.collector.not_found == NotFound(["9"], [])


def test_with_a_reader_that_listens_an_unknown_device_is_an_event() -> None:
    clock = FakeClock()
    with session(clock=clock, interval_s=60.0, control=True, devices=("1", "9")) as s:
        assert [d.index for d in s.next(Hello, lambda h: bool(h.devices)).devices] == [1]
        s.next(Frame, lambda f: bool(f.devices))
        clock.now += FIND_S
        event = s.next(Event)
        assert (event.kind, event.text) == ("log", "No device of this machine is called 9.")
        for _ in range(3):
            clock.now += 60
            assert isinstance(s.next_record(), Frame)


def test_a_device_that_appears_late_is_not_unknown() -> None:
    machine = FakeDevices(inventory=[device(0)], never_ready=True)
    with session(machine, FakeClock(), interval_s=0.1, devices=("1",)) as s:
        s.next(Frame, lambda f: f.seq == 1)
        assert s.collector.ending is None
        s.devices.inventory = [device(0), device(1)]
        assert [d.index for d in s.next(Hello, lambda h: bool(h.devices)).devices] == [1]


def test_frames_are_not_counted_while_a_device_asked_for_may_still_appear() -> None:
    machine = FakeDevices(inventory=[device(0)])
    clock = FakeClock()
    with session(machine, clock, interval_s=1.0, frames=1, devices=("1",)) as s:
        s.next(Frame, lambda f: f.seq == 1)
        clock.now += 1
        s.next(Frame)
        assert s.collector.counted == 0
        s.devices.inventory = [device(0), device(1)]
        clock.now += 1
        assert s.join() is Ending.COUNTED
        assert s.collector.has_devices


def test_frames_are_not_counted_before_the_devices_are_found() -> None:
    machine = FakeDevices(inventory=[], never_ready=True)
    clock = FakeClock()
    with session(machine, clock, frames=1) as s:
        s.next(Frame, lambda f: f.seq == 1)
        assert s.collector.counted == 0
        s.devices.never_ready = False
        s.devices.inventory = [device(0)]
        s.next(Hello, lambda h: bool(h.devices))
        clock.now += 1
        assert s.join() is Ending.COUNTED

"""The local source with real processes: it reads, watches, restarts and gives up."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pytest

from gputop.model.codec import encode
from gputop.model.commands import Release, Retake, SetInterval
from gputop.model.frame import AnyRecord, Event, Frame, Hello, HostReading
from gputop.sources import local
from gputop.sources.base import SourceStatus
from gputop.sources.deadlines import Deadlines
from gputop.sources.local import LocalSource
from tests.collect.streams import CHECKOUT, PATIENCE_S, fake_command
from tests.waiting import readable

R = TypeVar("R", Hello, Frame, Event, SourceStatus)
FRAME = encode(Frame("s", 1, 1.8e9, 5.0, 1.0, HostReading()))


class Watched:
    """A source, and everything it has said in its order."""

    def __init__(self, source: LocalSource) -> None:
        self.source = source
        self._said: queue.SimpleQueue[AnyRecord | SourceStatus] = queue.SimpleQueue()

    def start(self) -> None:
        self.source.start(self._said.put, self._said.put)

    def next(self, kind: type[R], that: Callable[[R], bool] = lambda _: True) -> R:
        end = time.monotonic() + PATIENCE_S
        while True:
            said = self._said.get(timeout=max(0.0, end - time.monotonic()))
            if isinstance(said, kind) and that(said):
                return said

    def next_state(self, state: str) -> SourceStatus:
        return self.next(SourceStatus, lambda status: status.state == state)


@contextmanager
def watched(
    command: Callable[[Sequence[str]], list[str]], *arguments: str, interval: float = 0.1
) -> Iterator[Watched]:
    source = LocalSource(arguments, interval, command)
    result = Watched(source)
    yield result
    source.stop()


def fake(**machine: object) -> Callable[[Sequence[str]], list[str]]:
    return lambda arguments: fake_command(machine, *arguments)


def script(text: str) -> Callable[[Sequence[str]], list[str]]:
    """A collector that is a Python script; FRAME is a frame's line."""
    begin = f"import os, sys, time\nFRAME = {FRAME!r}\nput = lambda b: os.write(1, b)\n"
    return lambda arguments: [sys.executable, "-c", begin + text]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Deadlines and pauses of a tenth."""
    monkeypatch.setenv("GPUTOP_DEADLINE_SCALE", "0.1")


def is_alive(pid: int) -> bool:
    """False for a zombie too: it has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def await_end(pid: int) -> None:
    """Wait until a process has ended, whoever its parent is."""
    try:
        ended = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        ready = readable(ended, timeout_s=PATIENCE_S)
        assert ready, f"process {pid} is still there"
    finally:
        os.close(ended)


# -- reading ---------------------------------------------------------------------------------------


def test_records_come_in_order_and_the_status_before_them() -> None:
    with watched(fake()) as w:
        w.start()
        assert w.next_state("live").attempts == 0
        assert w.next(Hello).driver.status == "starting"
        assert [w.next(Frame).seq for _ in range(4)] == [0, 1, 2, 3]
        assert w.source.status.state == "live"


def test_what_was_said_between_spawn_and_start_is_there() -> None:
    with watched(fake()) as w:
        w.source.spawn()
        pid = w.source.pid
        w.start()
        assert w.next(Frame).seq == 0
        assert w.source.pid == pid


def test_commands_reach_the_collector() -> None:
    with watched(fake(), interval=60.0) as w:
        w.start()
        w.next(Frame, lambda f: bool(f.devices))
        w.source.send(Release())
        w.next(Hello, lambda h: h.driver.status == "released")
        w.source.send(SetInterval(0.1))
        assert w.source.period_s == 0.1
        assert w.next(Hello).interval_s == 0.1
        w.next(Frame, lambda f: f.interval_s == 0.1)


def test_signals_are_for_processes_of_this_machine_only() -> None:
    assert LocalSource([]).can_signal
    assert not LocalSource(["--demo"]).can_signal


# -- failures --------------------------------------------------------------------------------------


@pytest.mark.usefixtures("quick")
def test_a_collector_that_stands_still_is_replaced() -> None:
    with watched(fake()) as w:
        w.start()
        first = w.next(Frame, lambda f: bool(f.devices)).session
        pid = w.source.pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        assert "said nothing for" in w.next_state("silent").message
        assert "the next attempt is in 0.05 s" in w.next_state("restarting").message
        w.next_state("live")
        assert w.next(Frame, lambda f: bool(f.devices)).session != first
        assert not is_alive(pid)


@pytest.mark.usefixtures("quick")
def test_a_collector_in_a_hanging_call_is_replaced() -> None:
    with watched(fake(hang_at=3)) as w:
        w.start()
        w.next_state("silent")
        w.next_state("live")


@pytest.mark.usefixtures("quick")
def test_a_collector_that_was_killed_is_replaced_with_the_interval_last_asked_for() -> None:
    with watched(fake()) as w:
        w.start()
        w.next(Frame)
        w.source.send(SetInterval(0.2))
        w.next(Hello, lambda h: h.interval_s == 0.2)
        pid = w.source.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        assert "killed by signal 9" in w.next_state("restarting").message
        assert w.next(Hello).interval_s == 0.2


@pytest.mark.usefixtures("quick")
def test_a_driver_that_was_released_stays_so_in_the_next_collector() -> None:
    def kill() -> None:
        assert w.source.pid is not None
        os.kill(w.source.pid, signal.SIGKILL)
        w.next_state("live")

    with watched(fake()) as w:
        w.start()
        first = w.next(Frame, lambda f: bool(f.devices)).session
        w.source.send(Release())
        w.next(Hello, lambda h: h.driver.status == "released")
        kill()
        hello = w.next(Hello, lambda h: h.driver.status == "released")
        assert hello.session != first
        w.source.send(Retake())
        w.next(Hello, lambda h: h.driver.status == "ok")
        kill()
        w.next(Hello, lambda h: h.session != hello.session)
        w.source.send(SetInterval(0.2))  # obeyed after whatever was said to the new one before
        assert w.next(Hello, lambda h: h.interval_s == 0.2).driver.status != "released"


@pytest.mark.usefixtures("quick")
def test_dying_at_every_start_is_said_with_its_last_words_and_pauses_grow() -> None:
    with watched(script("sys.exit('gputop: no luck today.')")) as w:
        w.start()
        pauses = []
        for attempt in range(4):
            status = w.next_state("restarting")
            assert status.attempts == attempt
            assert status.stderr == "gputop: no luck today."
            assert status.message.startswith(
                "The collector ended with exit code 1: no luck today; the next attempt is in "
            )
            pauses.append(float(status.message.split()[-2]))
        assert pauses == pytest.approx([0.05, 0.1, 0.2, 0.4])


def test_pauses_end_at_half_a_minute() -> None:
    pauses = [Deadlines().back_off(attempts) for attempts in range(9)]
    assert pauses == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]


def test_a_failure_after_a_minute_of_health_is_the_first_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GPUTOP_DEADLINE_SCALE", "0.001")
    monkeypatch.setattr(Deadlines, "back_off", lambda self, attempts: 0.0)
    healthy = "put(FRAME); time.sleep(0.1)"  # 60 s times the scale, and more
    with watched(script(healthy), interval=60.0) as w:
        w.start()
        assert [w.next_state("restarting").attempts for _ in range(3)] == [0, 0, 0]


@pytest.mark.usefixtures("quick")
def test_a_driver_upgrade_needs_no_pause() -> None:
    with watched(fake(restart_at=3)) as w:
        w.start()
        first = w.next(Frame).session
        assert w.next_state("restarting").message.startswith("The driver was replaced")
        assert w.next(Frame).session != first
        assert "the next attempt is in" in w.next_state("restarting").message


def test_arguments_that_are_refused_are_not_tried_again() -> None:
    with watched(fake(), "--nonsense") as w:
        w.start()
        status = w.next_state("stopped")
        assert "unrecognized arguments: --nonsense" in status.message


@pytest.mark.usefixtures("quick")
def test_a_program_that_is_not_there_is_tried_again() -> None:
    with watched(lambda arguments: ["/nonexistent/python"]) as w:
        w.start()
        message = w.next_state("restarting").message
        assert message.startswith("Cannot start the collector: No such file or directory; the next")
        assert w.next_state("restarting").attempts == 1


# -- what cannot be read ---------------------------------------------------------------------------


def test_one_line_that_cannot_be_read_is_said_and_the_rest_goes_on() -> None:
    with watched(script("put(b'oops\\n' + FRAME + b'oops\\n' + FRAME); time.sleep(600)")) as w:
        w.start()
        assert w.next(Frame).seq == 1
        assert w.next(Frame).seq == 1
        status = w.next(SourceStatus)
        assert status.state == "live"
        assert "could not be read: line " in status.message


@pytest.mark.usefixtures("quick")
def test_nothing_but_garbage_is_replaced() -> None:
    with watched(script("while True: put(b'oops\\n'); time.sleep(0.01)")) as w:
        w.start()
        assert "cannot be understood" in w.next_state("restarting").message


@pytest.mark.usefixtures("quick")
def test_half_a_line_at_the_end_is_said_and_not_delivered() -> None:
    with watched(script("put(FRAME + FRAME[:40])")) as w:
        w.start()
        w.next(Frame)
        assert "is cut off" in w.next(SourceStatus, lambda s: bool(s.message)).message
        w.next_state("restarting")


@pytest.mark.usefixtures("quick")
def test_stderr_is_drained_however_much_there_is() -> None:
    flood = "os.write(2, b'warning\\n' * 100_000); put(FRAME); time.sleep(600)"
    with watched(script(flood), interval=60.0) as w:
        w.start()
        assert w.next(Frame).seq == 1


# -- what cannot be killed -------------------------------------------------------------------------


@pytest.mark.usefixtures("quick")
def test_a_collector_that_cannot_be_killed_is_left_behind_and_none_started_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process in an uninterruptible call ignores SIGKILL; here SIGKILL is kept from it. It is
    one that has spoken: until then a slow start is mended by the usual kill.
    """
    hang, before, kills = tmp_path / "hang", set(children()), list[int]()
    speaks = f"while not os.path.exists({str(hang)!r}): put(FRAME); time.sleep(0.01)\n"
    with watched(script(speaks + "time.sleep(600)"), interval=0.01) as w:
        w.start()
        w.next(Frame)
        with monkeypatch.context() as patch:
            patch.setattr(local.CollectorProcess, "kill", lambda self: kills.append(self.pid))
            hang.touch()
            message = w.next_state("stuck").message
            (pid,) = kills
            assert f"(pid {pid})" in message
            assert set(children()) - before == {pid}
        hang.unlink()
        os.kill(pid, signal.SIGKILL)
        w.next_state("restarting")
        w.next(Frame)


def children() -> list[int]:
    """Our children that are alive."""
    task = Path(f"/proc/{os.getpid()}/task")
    pids = [int(pid) for file in task.glob("*/children") for pid in file.read_text().split()]
    return [pid for pid in pids if is_alive(pid)]


# -- the end ---------------------------------------------------------------------------------------


def test_stop_kills_without_waiting_and_says_nothing_more() -> None:
    with watched(fake()) as w:
        w.start()
        w.next(Frame)
        pid = w.source.pid
        assert pid is not None
        w.source.stop()
        await_end(pid)
        thread = next((t for t in threading.enumerate() if t.name == "local-source"), None)
        if thread is not None:
            thread.join(PATIENCE_S)
        assert w.source.status.state == "live"


def test_stop_before_anything_was_started() -> None:
    source = LocalSource([], command=lambda arguments: ["/nonexistent"])
    source.stop()
    source.start(lambda record: None, lambda status: None)
    assert source.pid is None


def test_a_parent_that_is_killed_leaves_no_orphan(tmp_path: Path) -> None:
    parent = """
import sys, threading
from gputop.sources.local import LocalSource
from tests.sources.test_local import fake
source = LocalSource([], 60.0, fake())
source.spawn()
print(source.pid, flush=True)
source.start(lambda record: print(type(record).__name__, flush=True), lambda status: None)
threading.Event().wait()
"""
    environment: Mapping[str, str] = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    with subprocess.Popen(
        [sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        assert process.stdout.readline() == "Hello\n"
        assert is_alive(pid)
        process.kill()
        process.wait(PATIENCE_S)
        await_end(pid)

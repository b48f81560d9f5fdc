"""`gputop stream` as a process: its pipes, its signals, its exit codes."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gputop.model.commands import ReadSlow, SetInterval, encode_command
from gputop.model.frame import Event, Frame, Hello
from tests.collect.streams import PATIENCE_S, Stream, environment, fake_command, fake_stream

# -- stdin -----------------------------------------------------------------------------------------


def test_stdin_is_not_read_without_control() -> None:
    reading, writing = os.pipe()
    os.write(writing, encode_command(SetInterval(60.0)))
    with fake_stream(stdin=reading) as stream:
        stream.next(Frame, lambda f: f.seq == 4)
        stream.process.kill()
        stream.wait()
    os.set_blocking(reading, False)
    assert os.read(reading, 4096) == encode_command(SetInterval(60.0))
    os.close(reading)
    os.close(writing)


def test_it_runs_without_a_stdin() -> None:
    shell = ["sh", "-c", 'exec "$@" <&-', "sh", *fake_command({}, "--interval", "0.1")]
    with Stream(shell) as stream:
        assert stream.next(Frame, lambda f: f.seq == 3).devices


def test_it_runs_in_the_background_of_a_terminal() -> None:
    """Reading from the terminal there would stop it with SIGTTIN."""
    controller, terminal = pty.openpty()
    with fake_stream(stdin=terminal) as stream:
        assert stream.next(Frame, lambda f: f.seq == 3).devices
    os.close(controller)
    os.close(terminal)


def test_commands_come_from_stdin_with_control() -> None:
    with fake_stream({}, "--control", "--interval", "60", stdin=subprocess.PIPE) as stream:
        stream.next(Frame, lambda f: bool(f.devices))
        assert stream.process.stdin is not None
        for line in (b"nonsense\n", b"x" * 9000, b"\n", encode_command(ReadSlow())):
            stream.process.stdin.write(line)
        command = encode_command(SetInterval(0.1))
        stream.process.stdin.write(command[:5])
        stream.process.stdin.write(command[5:])
        assert stream.next(Hello).interval_s == 0.1
        assert stream.next(Frame).interval_s == 0.1


def test_with_control_it_leaves_at_the_end_of_stdin() -> None:
    with fake_stream({}, "--control", "--interval", "60", stdin=subprocess.PIPE) as stream:
        stream.next(Frame, lambda f: bool(f.devices))
        assert stream.process.stdin is not None
        stream.process.stdin.close()
        assert stream.wait() == 0


def test_with_control_it_leaves_at_the_end_of_stdin_though_a_read_hangs() -> None:
    with fake_stream({"hang_at": 1}, "--control", stdin=subprocess.PIPE) as stream:
        stream.next(Frame)
        assert stream.process.stdin is not None
        stream.process.stdin.close()
        assert stream.wait() == 0


# -- its reader ------------------------------------------------------------------------------------


def test_it_leaves_quietly_when_its_reader_goes_away_while_it_sleeps() -> None:
    with fake_stream({}, "--interval", "60") as stream:
        stream.next(Frame, lambda f: bool(f.devices))
        assert stream.process.stdout is not None
        stream.process.stdout.close()
        assert stream.wait() == 0
        assert stream.errors() == ""


def test_it_leaves_when_its_reader_goes_away_with_the_pipe_full() -> None:
    with fake_stream({"padding": 200_000}) as stream:
        time_was_read = stream.next(Frame).boottime_s
        assert time_was_read > 0
        assert stream.process.stdout is not None
        stream.process.stdout.close()
        assert stream.wait() == 0
        assert stream.errors() == ""


def test_a_slow_reader_misses_frames_that_are_counted_and_no_event(tmp_path: Path) -> None:
    """Each frame is larger than the pipe, so while nobody reads all but a few are dropped."""
    trace = tmp_path / "requests"
    with fake_stream({"padding": 100_000, "event_at": 5, "trace": str(trace)}) as stream:
        stream.next(Frame)
        await_size(trace, 15)
        records = [stream.read() for _ in range(40)]
        events = [record for record in records if isinstance(record, Event)]
        frames = [record for record in records if isinstance(record, Frame)]
        assert [(event.seq, event.code) for event in events] == [(0, 79)]
        numbers = [0] + [frame.seq for frame in frames]
        assert numbers == sorted(set(numbers))
        missed = numbers[-1] + 1 - len(numbers)
        assert missed == frames[-1].cost.dropped_frames >= 5


def test_what_a_library_prints_does_not_get_between_the_records() -> None:
    with fake_stream({"noise": "WARNING: no\n"}, "--count", "2") as stream:
        assert len([stream.next(Frame) for _ in range(3)]) == 3
        assert stream.wait() == 0
        assert "WARNING: no" in stream.errors()


def test_nor_does_it_where_stderr_is_closed() -> None:
    command = fake_command({"noise": "WARNING: no\n"}, "--count", "2")
    with Stream(["sh", "-c", 'exec "$@" 2>&-', "sh", *command]) as stream:
        assert len([stream.next(Frame) for _ in range(3)]) == 3
        assert stream.wait() == 0


@pytest.mark.parametrize(
    ("error", "says"),
    [
        ("a thing", "Something unforeseen went wrong (RuntimeError: a thing); please report it"),
        ("can't start new thread", "There is no room for another thread, or for memory: raise"),
    ],
    ids=["unforeseen", "no-room"],
)
def test_a_thread_that_fails_ends_it_with_one_sentence(error: str, says: str) -> None:
    """Without the thread that opens the driver it would say that there is no device."""
    with fake_stream({"fails": error}) as stream:
        assert stream.wait() == 1
        said = stream.errors()
        assert said.startswith(f"gputop: {says}")
        assert said.count("\n") == 1


# -- how it ends -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)]
)
def test_signals_end_it_with_a_whole_line_and_no_words(number: int, code: int) -> None:
    with fake_stream({}, "--interval", "60") as stream:
        stream.next(Frame, lambda f: bool(f.devices))
        stream.process.send_signal(number)
        assert stream.wait() == code
        out, errors = stream.process.communicate()
        assert errors == b""
        assert out == b"" or out.endswith(b"\n")


def test_a_second_signal_does_not_wait_for_a_driver_that_hangs() -> None:
    with fake_stream({"hang_at": 1}) as stream:
        stream.next(Frame)
        stream.process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + PATIENCE_S
        while stream.process.poll() is None and time.monotonic() < deadline:
            stream.process.send_signal(signal.SIGTERM)
        assert stream.wait() == 143


def test_a_hang_up_that_nohup_ignores_stays_ignored() -> None:
    ignoring = "import os, signal, sys; signal.signal(signal.SIGHUP, signal.SIG_IGN); "
    run = [sys.executable, "-c", ignoring + "os.execv(sys.argv[1], sys.argv[1:])"]
    with Stream([*run, *fake_command({}, "--interval", "0.1")]) as stream:
        stream.next(Frame)
        stream.process.send_signal(signal.SIGHUP)
        first = stream.next(Frame).seq
        assert stream.next(Frame, lambda f: f.seq > first + 3)


def test_a_count_ends_it_with_that_many_frames() -> None:
    with fake_stream({}, "--count", "3") as stream:
        out, errors = stream.process.communicate(timeout=PATIENCE_S)
        assert (stream.process.returncode, errors) == (0, b"")
        lines = out.splitlines()
        assert sum(b'"GPU-00000001","read_at"' in line for line in lines) == 3
        assert out.endswith(b"}\n")


def test_a_count_without_a_driver_ends_with_3_and_says_so() -> None:
    with fake_stream({"status": "absent"}, "--count", "1") as stream:
        out, errors = stream.process.communicate(timeout=PATIENCE_S)
        assert stream.process.returncode == 3
        assert out.count(b'"type":"frame"') == 1
        assert errors.startswith(b"gputop: ")
        assert errors.count(b"\n") == 1


def test_a_driver_without_devices_ends_a_count_with_3() -> None:
    with fake_stream({"devices": 0}, "--count", "1") as stream:
        assert stream.wait() == 3
        assert "no device behind it" in stream.errors()


def test_a_device_that_is_not_there_is_a_usage_error() -> None:
    with fake_stream({}, "--devices", "GPU-0,9") as stream:
        assert stream.wait() == 2
        assert "called 9;" in stream.errors()


def test_only_the_devices_asked_for_are_in_the_stream() -> None:
    with fake_stream({"devices": 8}, "--devices", "3,GPU-00000005") as stream:
        hello = stream.next(Hello, lambda h: h.driver.status == "ok")
        assert [device.index for device in hello.devices] == [3, 5]


@pytest.mark.parametrize(
    "flags",
    [["--interval", "0.05"], ["--interval", "61"], ["--interval", "x"], ["--devices", "x"],
     ["--devices", ","], ["--count", "0"], ["--demo-devices", "0"], ["--nonsense"], ["extra"]],
)  # fmt: skip
def test_flags_that_cannot_be_meant(flags: list[str]) -> None:
    with Stream([sys.executable, "-m", "gputop", "stream", *flags]) as stream:
        assert stream.wait() == 2
        said = stream.errors()
        assert said.startswith("gputop: ")
        assert said.count("\n") == 1


def test_a_closed_stdout_is_said() -> None:
    shell = ["sh", "-c", 'exec "$@" >&-', "sh", *fake_command({})]
    with Stream(shell) as stream:
        assert stream.wait() == 1
        assert "Stdout is closed" in stream.errors()


def test_a_full_disk_is_said() -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            fake_command({}), stdout=full, stderr=subprocess.PIPE, env=environment(),
            timeout=PATIENCE_S, check=False,
        )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == b"gputop: Cannot write to stdout: No space left on device.\n"


def test_a_driver_replaced_under_it_is_taken_up_by_a_process_of_the_same_pid() -> None:
    with fake_stream({"restart_at": 4}, "--count", "5") as stream:
        pid = stream.process.pid
        sessions = {stream.next(Frame, lambda f: bool(f.devices)).session for _ in range(5)}
        assert len(sessions) == 2
        assert stream.process.pid == pid
        assert stream.wait() == 0


def test_with_control_a_driver_replaced_under_it_is_left_to_the_parent() -> None:
    with fake_stream({"restart_at": 2}, "--control", stdin=subprocess.PIPE) as stream:
        assert stream.wait() == 75


def await_size(file: Path, size: int) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not file.exists() or file.stat().st_size < size:
        assert time.monotonic() < deadline, f"{file.name} does not grow"
        time.sleep(0.01)

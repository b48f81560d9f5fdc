"""`gputop record` and `gputop replay` as people use them."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gputop.errors import GputopError
from gputop.model.frame import AnyRecord, Frame, Hello
from gputop.recording import Ending, read
from tests.demo_records import demo_records
from tests.e2e.conftest import SCALE, Driver, moving
from tests.e2e.faults import SHORT
from tests.e2e.program import CHECKOUT, PATIENCE_S, Run, Start, command_line
from tests.ui.replay import recorded


def content(path: Path) -> tuple[list[AnyRecord], Ending]:
    reader = read(path)
    records = list(reader)
    assert reader.ending is not None
    return records, reader.ending


def frames_of(path: Path) -> list[Frame]:
    try:
        return [record for record in content(path)[0] if isinstance(record, Frame)]
    except GputopError:
        return []


def wait_for_frames(gputop: Start, path: Path, count: int) -> Callable[[object], bool]:
    return lambda _: path.exists() and len(frames_of(path)) >= count


@pytest.mark.parametrize("suffix", [".ndjson.zst", ".ndjson.gz", ".ndjson"])
def test_it_records_for_a_time(driver: Driver, run: Run, folder: Path, suffix: str) -> None:
    program = run(driver(moving(2)), "record", "-o", f"a{suffix}", "--duration", "2s",
                  "--interval", "0.25")  # fmt: skip
    assert program.check() == ""
    records, ending = content(folder / f"a{suffix}")
    assert ending.state == "complete"
    assert isinstance(records[0], Hello)
    frames = [record for record in records if isinstance(record, Frame)]
    assert frames[-1].boottime_s - frames[0].boottime_s >= 2
    assert len({frame.devices[0].gpu_utilization for frame in frames if frame.devices}) > 2


def test_a_time_shorter_than_the_interval_ends_with_the_next_reading(
    driver: Driver, run: Run, folder: Path
) -> None:
    program = run(driver(moving(1)), "record", "-o", "a.ndjson", "--duration", "500ms",
                  "--interval", "4", scale=SHORT)  # fmt: skip
    assert program.check() == ""
    frames = frames_of(folder / "a.ndjson")
    assert frames[-1].boottime_s - frames[0].boottime_s >= 0.5


def test_a_time_without_a_reading_ends_too(folder: Path) -> None:
    """With eight descriptors no collector can be started, and no reading tells the time."""
    line = shlex.join(command_line(["record", "--demo", "-o", "a.ndjson", "--duration", "100ms"]))
    program = subprocess.run(
        ["sh", "-c", f"ulimit -n 8; exec {line}"], cwd=folder, check=False,
        stderr=subprocess.PIPE, text=True, timeout=PATIENCE_S,
        env={**os.environ, "GPUTOP_DEADLINE_SCALE": "0.02", "PYTHONPATH": str(CHECKOUT)},
    )  # fmt: skip
    assert program.returncode == 1
    said = r"gputop: Nothing was recorded, .* \(Cannot start the collector: Too many open files.*\n"
    assert re.fullmatch(said, program.stderr)
    assert not list(folder.iterdir()), "for the next attempt the name is free"


def test_a_time_in_which_it_was_stopped_is_not_without_readings(
    gputop: Start, folder: Path
) -> None:
    """As a batch system stops and continues a job: all of it, one after the other."""
    command = ("record", "--demo", "-o", "a.ndjson", "--duration", "1500ms", "--interval", "0.1")
    terminal = gputop(None, *command, interval="", scale=0.2, size=(160, 24))
    terminal.wait_for(lambda t: t.collectors)
    (collector,) = terminal.collectors
    for pid in (collector, terminal.pid):
        os.kill(pid, signal.SIGSTOP)
    terminal.wait_stopped()
    time.sleep(2.8)  # longer than it would have waited for a reading
    for pid in (terminal.pid, collector):
        os.kill(pid, signal.SIGCONT)
    assert terminal.exit_code() == 0, terminal.describe()
    frames = frames_of(folder / "a.ndjson")
    assert frames[-1].boottime_s - frames[0].boottime_s >= 1.5


def test_a_terminal_that_takes_nothing_does_not_hold_it_up(
    driver: Driver, gputop: Start, folder: Path
) -> None:
    command = ("record", "-o", "a.ndjson", "--interval", "0.1")
    terminal = gputop(driver(moving(1)), *command, interval="")
    terminal.wait_for(r"^recording a\.ndjson, [1-9]")
    terminal.stall()
    fill(f"/proc/{terminal.pid}/fd/2")
    terminal.signal(signal.SIGTERM)
    assert terminal.exit_code() == 0
    assert content(folder / "a.ndjson")[1].state == "complete"


def fill(terminal: str) -> None:
    """Write to a terminal until it has taken nothing for a while."""
    fd = os.open(terminal, os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
    refused = 0
    while refused < 20:
        try:
            os.write(fd, b".")
            refused = 0
        except BlockingIOError:
            refused += 1
            time.sleep(0.005)
    os.close(fd)


def test_on_a_terminal_it_says_how_far_it_is(driver: Driver, gputop: Start, folder: Path) -> None:
    """Frames, size and elapsed time, in one line that is taken away in the end."""
    command = ("record", "-o", "a.ndjson", "--interval", "0.25")
    terminal = gputop(driver(moving(2)), *command, interval="")
    said = r"^recording a\.ndjson, (\d+) frames, [\d.]+ (?:[KM]i)?B, \d+ s$"
    first = int(terminal.wait_for(said)[1])
    terminal.wait_for(lambda t: (now := t.find(said)) and int(now[1]) > first)
    terminal.type("ctrl-c")
    assert terminal.exit_code() == 0
    assert not terminal.find("^recording ")
    assert frames_of(folder / "a.ndjson")


def test_a_terminal_that_goes_away_ends_no_recording(gputop: Start, folder: Path) -> None:
    """As of a recorder that was left in the background of a shell that ended."""
    deaf = ("sh", "-c", "trap '' HUP; exec \"$@\"", "sh")
    command = ("record", "--demo", "-o", "a.ndjson", "--duration", "4s")
    terminal = gputop(None, *command, interval="", through=deaf)
    terminal.wait_for(r"recording a\.ndjson, [1-9]")
    terminal.hang_up()
    assert terminal.exit_code(PATIENCE_S) == 0
    assert content(folder / "a.ndjson")[1].state == "complete"


FAILS = """
import {module} as module
def fail(*_): raise LookupError("boo")
module.{method} = fail
"""


@pytest.mark.parametrize(
    ("module", "method"),
    [("gputop.recording.writer", "RecordingWriter.write"),
     ("gputop.commands.record", "_Recorder._take")],
    ids=["the writer's", "the source's"],
)  # fmt: skip
def test_a_thread_that_fails_is_said_and_no_recording(
    run: Run, folder: Path, tmp_path: Path, module: str, method: str
) -> None:
    (tmp_path / "sitecustomize.py").write_text(FAILS.format(module=module, method=method))
    program = run(None, "record", "--demo", "-o", "a.ndjson", "--duration", "1s",
                  env={"PYTHONPATH": f"{tmp_path}:{CHECKOUT}"})  # fmt: skip
    assert program.end() == 1
    assert re.fullmatch(r"gputop: Something unforeseen .*LookupError: boo.*\n", program.errors)


def test_the_readme_s_example_works(gputop: Start, run: Run, folder: Path) -> None:
    """As written, but for a tenth of the time."""
    text = (CHECKOUT / "README.md").read_text()
    example = re.search(r"## Record and replay\n\n```sh\n(.*?)```", text, re.DOTALL)
    assert example is not None
    shorter = re.sub(r"\b(\d+)0s\b", r"\1s", example[1]).splitlines()
    record, replay = (shlex.split(line)[1:] for line in shorter)
    assert run(None, *record).check() == ""
    assert run(None, "report", record[-1]).check().startswith("recording\na.ndjson.zst")
    player = gputop(None, *replay, interval="", size=(100, 30))
    player.wait_for("REPLAY")
    player.wait_device(0, "H100")
    player.check_leaves()


def test_it_ends_at_a_size_and_begins_other_files(driver: Driver, run: Run, folder: Path) -> None:
    program = run(driver(moving(2)), "record", "-o", "a.ndjson", "--rotate", "20K",
                  "--max-size", "50K", "--interval", "0.1")  # fmt: skip
    assert program.check() == ""
    paths = sorted(folder.glob("a*.ndjson"))
    assert {"a.ndjson", "a-2.ndjson"} <= {path.name for path in paths}
    assert sum(path.stat().st_size for path in paths) >= 50 * 1024
    for path in paths:
        records, ending = content(path)
        assert isinstance(records[0], Hello)
        assert ending.state == "complete"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_cleanly(
    driver: Driver, gputop: Start, folder: Path, number: signal.Signals
) -> None:
    """On a terminal it says meanwhile how far it is, and at the end what it wrote."""
    path = folder / "a.ndjson.zst"
    terminal = gputop(driver(moving(2)), "record", "-o", path.name, "--interval", "0.1",
                      interval="", size=(100, 24))  # fmt: skip
    terminal.wait_for(r"recording a\.ndjson\.zst, [1-9]\d* frames, .* [kK]")
    os.kill(terminal.pid, number)
    assert terminal.exit_code(60) == 0
    assert terminal.find(r"Wrote a\.ndjson\.zst, \d+ frames")
    assert content(path)[1].state == "complete"


SIGNALLED_WHILE_IT_LOCKS = """if True:
    import signal, sys, threading

    wait = threading.Condition.wait

    def wait_signalled(condition, timeout=None):
        if timeout is not None and threading.current_thread() is threading.main_thread():
            threading.Condition.wait = wait
            signal.raise_signal(signal.SIGTERM)
        return wait(condition, timeout)

    if "record" in sys.orig_argv:
        threading.Condition.wait = wait_signalled
"""


def test_a_signal_may_come_while_it_holds_the_lock_it_waits_with(
    driver: Driver, run: Run, tmp_path: Path
) -> None:
    """A handler runs in the thread that waits, in the midst of anything."""
    (tmp_path / "sitecustomize.py").write_text(SIGNALLED_WHILE_IT_LOCKS)
    env = {"PYTHONPATH": f"{CHECKOUT}:{tmp_path}"}
    program = run(driver(moving(1)), "record", "-o", "a.ndjson", "--duration", "1h", env=env)
    assert program.end() == 0 or "Nothing was recorded" in program.errors


def test_a_killed_recorder_leaves_a_file_that_opens(
    driver: Driver, gputop: Start, folder: Path
) -> None:
    path = folder / "a.ndjson.zst"
    terminal = gputop(driver(moving(2)), "record", "-o", path.name, "--interval", "0.5",
                      interval="")  # fmt: skip
    terminal.wait_for(wait_for_frames(gputop, path, 12))
    assert content(path)[1].state == "growing"
    os.kill(terminal.pid, signal.SIGKILL)
    terminal.wait_for(lambda _: content(path)[1].state == "cut")
    assert len(frames_of(path)) >= 12
    player = gputop(None, "replay", path.name, interval="", size=(100, 30))
    player.wait_for(r"cut off after line \d+; what came before is whole")
    player.wait_device(0, "H100")
    player.check_leaves()


def test_what_cannot_be_done_is_one_sentence(driver: Driver, run: Run, folder: Path) -> None:
    (folder / "there.ndjson").write_text("")
    (folder / "broken.ndjson").write_text("once upon a time\n")
    (folder / "link.ndjson").symlink_to(folder / "elsewhere")
    for arguments, code, words in (
        (["record", "-o", "there.ndjson"], 1, "there.ndjson exists already"),
        (["record", "-o", "link.ndjson"], 1, "link.ndjson exists already"),
        (["record", "-o", "a.txt"], 2, "does not say how it is packed"),
        (["record"], 2, "-o"),
    ):
        program = run(driver(moving(1)), *arguments)
        assert program.end() == code
        assert words in program.errors
        assert program.errors.count("\n") == 1
    assert not (folder / "elsewhere").exists()


def test_a_device_that_is_not_there_is_not_missed_in_silence(
    driver: Driver, run: Run, folder: Path
) -> None:
    scenario = driver(moving(1))
    patient = 4.0  # it ends by its duration, long before the device would be given up
    for devices, seconds, scale, code, words, is_kept in (
        ("7", "60", SCALE, 2, "No device of this machine is called 7", False),
        ("7", "0.3", patient, 0, "Asked for and not found: 7", True),
        ("0,7", "0.3", patient, 0, "Asked for and not found: 7", True),
    ):
        path = folder / f"{devices}-{seconds}.ndjson"
        program = run(
            scenario, "record", "--devices", devices, "--duration", seconds, "--interval", "0.1",
            "-o", path.name, scale=scale,
        )  # fmt: skip
        assert program.end() == code
        assert words in program.errors
        assert program.errors.count("\n") == 1
        assert path.exists() == is_kept
    nobody_looked = run(
        {"LD_LIBRARY_PATH": "/nowhere"}, "record", "--devices", "0", "--duration", "0.3",
        "--interval", "0.1", "-o", "none.ndjson",
    )  # fmt: skip
    assert nobody_looked.end() == 0
    assert nobody_looked.errors == ""


def test_a_broken_file_is_named_with_its_line(gputop: Start, folder: Path) -> None:
    (folder / "broken.ndjson").write_text("once upon a time\n")
    terminal = gputop(None, "replay", "broken.ndjson", interval="")
    assert terminal.exit_code(60) == 1
    assert terminal.find(r"broken\.ndjson, line 1 is no record, so this is no recording")


def test_a_replay_on_a_terminal(gputop: Start, folder: Path) -> None:
    """Stopped, stepped, jumped, its events found, and left."""
    recorded(folder, demo_records(8, 100))
    terminal = gputop(None, "replay", "a.ndjson.zst", "--at", "30s", interval="", size=(120, 40))
    terminal.wait_for(r"\A.*REPLAY.*\n playing 1x .* 0:\d\d of 1:40")
    terminal.press("p", shows=r"^ stopped ")
    terminal.press("a", shows="Go to")
    terminal.press("50s", "enter", shows="0:50 of 1:40")
    terminal.press(".", shows="0:51 of 1:40")
    terminal.press(",", shows="0:50 of 1:40")
    terminal.press(")", shows="1:00 of 1:40")
    terminal.press("(", shows="0:50 of 1:40")
    terminal.wait_device(6, "lost")
    terminal.wait_gone("events searched")
    terminal.press("}", shows=r"^ end .*1:40 of 1:40")
    terminal.press("F", shows="of 1:40")
    terminal.wait_gone("1:40 of 1:40")
    terminal.press("K", shows="a recording")
    terminal.check_leaves()


def test_a_replay_stands_still_while_it_is_stopped(gputop: Start, folder: Path) -> None:
    recorded(folder, demo_records(1, 60))
    terminal = gputop(None, "replay", "a.ndjson.zst", interval="")
    shown = r"^ playing 1x .* 0:(\d\d) of 1:00"
    terminal.wait_for(shown)
    terminal.wait_gone("indexing")
    terminal.signal(signal.SIGSTOP)
    terminal.wait_stopped()
    before, stopped_s = int(terminal.find(shown)[1]), 4
    time.sleep(stopped_s)
    terminal.signal(signal.SIGCONT)
    after = terminal.wait_for(lambda t: (now := t.find(shown)) and int(now[1]) > before and now)
    assert int(after[1]) - before < stopped_s


def test_a_jump_shows_its_frame_while_history_is_still_being_read(
    gputop: Start, folder: Path
) -> None:
    """One picture has both; a newer jump does not wait for the older one's history."""
    recorded(folder, demo_records(8, 200))
    terminal = gputop(None, "replay", "a.ndjson.zst", interval="", size=(120, 40))
    terminal.press("p", shows=r"^ stopped ")
    terminal.wait_gone("indexing|reading history")  # the search for events goes on beside
    terminal.press("a", shows="Go to")
    terminal.press("195s", "enter", shows=r"reading history.* 3:15 of 3:20")
    terminal.press("(", shows=r"reading history.* 3:05 of 3:20")
    terminal.wait_gone("reading history")
    terminal.wait_for(r" 3:05 of 3:20")
    terminal.check_leaves()

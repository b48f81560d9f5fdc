"""`gputop run`: the command behaves as without it, and the report knows which processes are its."""

from __future__ import annotations

import contextlib
import json
import os
import re
import resource
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from tests.e2e.conftest import SCALE, Driver, Spawn
from tests.e2e.program import (
    CHECKOUT,
    PATIENCE_S,
    WITH_MANY_FILES,
    allows_many_files,
    children,
    command_line,
    environment,
    wait_ended,
)
from tests.fake_driver import h100s
from tests.fake_driver.told import CallCount
from tests.terminal import Terminal
from tests.waiting import readable

PLAIN = ("run", "-q", "--")

COUNTS = """
import os, signal
parent = os.getppid()
some = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGWINCH,
        signal.SIGXCPU, signal.SIGRTMIN + 3}
signal.pthread_sigmask(signal.SIG_BLOCK, some)
print("ready", flush=True)
while os.getppid() == parent:
    got, wait = [], 1
    while one := signal.sigtimedwait(some, wait):
        got.append(one.si_signo)
        wait = 0.4  # for one that comes twice
    if got:
        print(*sorted(got), flush=True)
"""
"""A program that says which signals it got, and how often."""


@pytest.fixture
def variables(home: Path) -> dict[str, str]:
    changes = environment(home, {}, SCALE)
    kept = {name: value for name, value in os.environ.items() if name not in changes}
    return kept | {name: value for name, value in changes.items() if value is not None}


Begin = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def begin(folder: Path, variables: dict[str, str]) -> Iterator[Begin]:
    """Start a command under `gputop run`, or as it is."""
    started: list[subprocess.Popen[str]] = []

    def start(
        command: Sequence[str], *flags: str, plain: bool = False, env: Mapping[str, str] = {},
        **more: object,
    ) -> subprocess.Popen[str]:  # fmt: skip
        line = (
            list(command) if plain else command_line(["run", *(flags or ("-q",)), "--", *command])
        )
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE,
                 "stderr": subprocess.PIPE} | more  # fmt: skip
        process = subprocess.Popen(line, cwd=folder, env=variables | dict(env), text=True, **pipes)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()


def said(process: subprocess.Popen[str], text: str) -> str:
    """The next line of its output, which holds a text. Nothing here says two at once."""
    assert process.stdout is not None
    assert readable(process.stdout, timeout_s=PATIENCE_S), "it says nothing"
    line = process.stdout.readline()
    assert text in line, line
    return line


SHELL = ("sh", "-c")


@pytest.mark.parametrize(
    "command",
    [
        (*SHELL, "cat; echo out; echo err >&2; exit 42"), (*SHELL, "kill -TERM $$"),
        (*SHELL, "kill -KILL $$"),
        (*SHELL, "env; ls /proc/self/fd; ulimit -a; umask; pwd; grep SigBlk /proc/self/status"),
    ],
    ids=["speaks", "terminated", "killed", "surroundings"],
)  # fmt: skip
def test_a_command_ends_and_speaks_as_without_it(begin, command):
    results = []
    for plain in (True, False):
        process = begin(command, plain=plain, env={"LANG": "C"}, stdin=subprocess.PIPE)
        out, errors = process.communicate("in\n", timeout=PATIENCE_S)
        results.append((process.returncode, out, errors))
    assert results[0] == results[1]


def test_a_command_that_is_not_there_or_cannot_run(begin, folder):
    (folder / "data").write_text("")
    for command, code in (("no-such-command", 127), ("./data", 126)):
        process = begin([command])
        _, errors = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == code
        assert re.fullmatch(rf"gputop: Cannot run {command}: .*\.\n", errors)
    nothing = begin([])
    assert "There is no command to run" in nothing.communicate(timeout=PATIENCE_S)[1]
    assert nothing.returncode == 2


def test_a_script_without_a_first_line_is_run_by_the_shell(begin, folder):
    script = folder / "script"
    script.write_text('echo "ran $1"\n')
    script.chmod(0o755)
    process = begin(["./script", "well"])
    assert process.communicate(timeout=PATIENCE_S)[0] == "ran well\n"


def test_bytes_pass_as_they_are(begin, folder):
    sent = os.urandom(1 << 20)
    (folder / "in").write_bytes(sent)
    with open(folder / "in", "rb") as source, open(folder / "out", "wb") as sink:
        assert begin(["cat"], stdin=source, stdout=sink).wait(PATIENCE_S) == 0
    assert (folder / "out").read_bytes() == sent


def test_a_pipe_that_closes_ends_it_as_without_it(begin):
    process = begin(["yes"])
    said(process, "y")
    process.stdout.close()
    assert process.wait(PATIENCE_S) == -signal.SIGPIPE


def test_a_pipe_ends_when_the_command_has_closed_it(begin):
    process = begin([*SHELL, "echo first; exec >&-; read line"], stdin=subprocess.PIPE)
    said(process, "first")
    assert process.stdout.read() == ""  # although the command still runs
    assert process.poll() is None
    process.stdin.close()
    assert process.wait(PATIENCE_S) == 1


def test_closed_descriptors_stay_closed_and_cost_no_recording(begin, folder):
    closed = "[ ! -e /proc/$$/fd/0 ] && [ ! -e /proc/$$/fd/1 ] && exit 7"
    line = shlex.join(command_line(["run", "-q", "-o", "a.ndjson", "--", *SHELL, closed]))
    process = begin([*SHELL, f"exec {line} <&- >&-"], plain=True)
    assert process.wait(PATIENCE_S) == 7
    lines = list(map(json.loads, (folder / "a.ndjson").read_text().splitlines()))
    assert lines[-1]["type"] == "end"
    assert 7 in [line.get("exit_code") for line in lines]  # however soon it ended


def check_signals_arrive_once(process: subprocess.Popen[str]) -> None:
    said(process, "ready")
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGINT, signal.SIGWINCH,
                   signal.SIGXCPU, signal.SIGRTMIN + 3):  # fmt: skip
        os.kill(process.pid, number)
        assert said(process, "").split() == [str(int(number))]
        os.killpg(process.pid, number)
        assert said(process, "").split() == [str(int(number))]


def test_a_signal_arrives_once_whether_sent_to_us_or_to_the_group(begin):
    check_signals_arrive_once(begin([sys.executable, "-c", COUNTS], process_group=0))


@pytest.mark.skipif(not allows_many_files(), reason="this machine allows no descriptor above 1023")
def test_descriptors_above_1023_are_as_good_as_any(begin):
    command = command_line([*PLAIN, sys.executable, "-c", COUNTS])
    process = begin([*WITH_MANY_FILES, *command], plain=True, process_group=0)
    check_signals_arrive_once(process)


def test_a_signal_that_was_ignored_stays_ignored(begin):
    program = "import signal; print(signal.getsignal(signal.SIGHUP) == signal.SIG_IGN)"
    line = " ".join(command_line(["run", "-q", "--", sys.executable, "-c", f"'{program}'"]))
    process = begin([*SHELL, f"trap '' HUP; exec {line}"], plain=True)
    assert process.communicate(timeout=PATIENCE_S)[0] == "True\n"


def test_a_killed_runner_leaves_the_command_and_nothing_else(begin, driver: Driver):
    scenario = driver(h100s(1), log_calls=True)
    with CallCount(scenario, r"nvmlDeviceGetTemperature\w* 0") as readings:
        process = begin([*SHELL, "echo $$; exec sleep 1000"], env=scenario.env())
        command = int(said(process, ""))
        readings.pass_by(1, PATIENCE_S)
    others = set(children(process.pid)) - {command}
    assert len(others) == 2, "the collector, and who tells signals apart"
    process.kill()
    process.wait()
    try:
        wait_ended(others)
        assert Path(f"/proc/{command}/comm").read_text() == "sleep\n"
    finally:
        os.kill(command, signal.SIGKILL)


# -- a terminal ----------------------------------------------------------------------------------


@pytest.fixture
def terminal(folder: Path, home: Path) -> Iterator[Callable[..., Terminal]]:
    started: list[Terminal] = []

    def start(command: Sequence[str], **changes: str) -> Terminal:
        env = environment(home, {}, SCALE) | changes
        started.append(Terminal(command, cwd=folder, env=env))
        return started[-1]

    yield start
    for each in started:
        each.close()


CURSES = """
import curses, sys
def main(screen):
    keys = []
    while True:
        screen.erase()
        lines, columns = screen.getmaxyx()
        screen.addstr(0, 0, f"{columns}x{lines} {keys}")
        screen.addstr(lines - 1, 2, "the last line", curses.A_REVERSE)
        screen.refresh()
        key = screen.getch()
        if key == ord("q"):
            return
        if key != curses.KEY_RESIZE:
            keys.append(curses.keyname(key).decode())
curses.wrapper(main)
sys.exit(7)
"""


def test_a_curses_program_looks_and_answers_the_same(terminal):
    pictures = []
    program = [sys.executable, "-c", CURSES]
    for command in (program, command_line([*PLAIN, *program])):
        screen = terminal(command)
        screen.wait_for("80x24", PATIENCE_S)
        screen.resize(100, 30)
        screen.type("up", "x")
        screen.wait_for(r"100x30 .*'x'", PATIENCE_S)  # the size of a terminal arrives as a signal
        screen.wait_quiet()
        pictures.append(screen.lines())
        screen.type("q")
        assert screen.exit_code(PATIENCE_S) == 7
        assert screen.is_restored(), screen.describe()
    assert pictures[0] == pictures[1]


PROGRESS = """
test -t 0 && test -t 1 && test -t 2 && stty size
for share in 10 50 100; do printf '\\r%s %% done' $share >&2; done
echo; printf 'go on? '; read answer; echo "<$answer>"
"""


def test_a_progress_bar_and_a_question_look_the_same(terminal):
    pictures = []
    for command in ([*SHELL, PROGRESS], command_line([*PLAIN, *SHELL, PROGRESS])):
        screen = terminal(command)
        screen.wait_for(r"100 % done\s+go on\?", PATIENCE_S)
        screen.type(*"yes", "enter")
        assert screen.exit_code(PATIENCE_S) == 0
        assert screen.find("^24 80")
        pictures.append(screen.lines())
    assert pictures[0] == pictures[1]


@pytest.mark.skipif(shutil.which("vi") is None, reason="there is no vi")
def test_an_editor_looks_and_answers_the_same(terminal, folder):
    (folder / "text").write_text("".join(f"line {n}\n" for n in range(200)))
    pictures = []
    for command in (["vi", "text"], command_line([*PLAIN, "vi", "text"])):
        screen = terminal(command, TERM="vt100")
        screen.wait_for("line 0", PATIENCE_S)
        screen.type("G")
        screen.wait_for("line 199", PATIENCE_S)
        screen.resize(100, 30)
        screen.wait_quiet()
        screen.type("1", "G")
        screen.wait_for("line 28", PATIENCE_S)
        screen.wait_quiet()
        pictures.append(screen.lines())
        for key in ":q!":
            screen.type(key)
        screen.type("enter")
        assert screen.exit_code(PATIENCE_S) == 0
    assert pictures[0] == pictures[1]


def test_ctrl_c_reaches_the_command_once(terminal):
    screen = terminal(command_line([*PLAIN, sys.executable, "-c", COUNTS]))
    screen.wait_for("ready", PATIENCE_S)
    screen.type("ctrl-c")
    screen.wait_for(r"\d", PATIENCE_S)
    screen.wait_quiet()
    assert re.findall(r"\d+", screen.text()) == [str(int(signal.SIGINT))]


def test_ctrl_z_stops_it_and_fg_brings_it_back(terminal):
    shell = terminal(["bash", "--norc", "-i"], PS1="prompt> ")
    shell.wait_for("prompt>", PATIENCE_S)
    shell.type(*" ".join(command_line([*PLAIN, "sh", "-c", "'echo is up; exec cat'"])), "enter")
    shell.wait_for(r"\nis up", PATIENCE_S)  # what is typed before belongs to the shell's reader
    shell.type(*"hello", "enter")
    shell.wait_for(r"hello\s+hello", PATIENCE_S)
    shell.type("ctrl-z")
    shell.wait_for("Stopped", PATIENCE_S)
    shell.type("f", "g", "enter")
    shell.wait_for(r"fg\s+\S+python", PATIENCE_S)
    shell.type(*"again", "enter")
    shell.wait_for(r"again\s+again", PATIENCE_S)
    shell.type("ctrl-d")
    shell.type(*"echo code=$?", "enter")
    # Before the prompt the key would be lost with the line discipline that it was typed to.
    shell.wait_for(r"code=0\n(.*\n)*prompt>$", PATIENCE_S)
    shell.type("ctrl-d")
    shell.exit_code(PATIENCE_S)


def test_a_job_in_the_background_stops_at_the_terminal_and_goes_on_in_the_foreground(terminal):
    shell = terminal(["bash", "--norc", "-i"], PS1="prompt> ")
    shell.wait_for("prompt>", PATIENCE_S)
    program = "'read line; echo \"<$line>\"; exit 9'"
    shell.type(*"set -b", "enter")  # what becomes of a job is said at once
    shell.type(*" ".join(command_line([*PLAIN, "sh", "-c", program])), " ", "&", "enter")
    shell.wait_for("Stopped", PATIENCE_S)
    shell.type("f", "g", "enter")
    shell.wait_for(r"fg\s+\S+python", PATIENCE_S)
    shell.type(*"words", "enter")
    shell.wait_for("<words>", PATIENCE_S)
    shell.type(*"echo code=$?", "enter")
    shell.wait_for("code=9", PATIENCE_S)


# -- the report ----------------------------------------------------------------------------------

DAEMON = """
import os, sys, time
if os.fork():
    os.wait()
    sys.stdin.read()
    sys.exit()
os.setsid()
if os.fork():
    os._exit(0)
while os.getppid() == int(sys.argv[1]):
    time.sleep(0.01)
print(os.getpid(), flush=True)
time.sleep(1000)
"""
"""Leaves a process in a session of its own, whose parent has ended; it says its pid."""


def test_a_process_that_left_its_parent_is_told_from_others(begin, driver: Driver, spawn: Spawn):
    other = spawn()
    lines = {**h100s(2), "device.*.memory_used": 12 << 30}
    scenario = driver(lines, log_calls=True)
    lists = CallCount(scenario, r"nvmlDeviceGetComputeRunningProcesses\w* 1")
    process = begin([sys.executable, "-c", DAEMON, "0"], "--format", "json", "--interval", "0.2",
                    env=scenario.env(), stdin=subprocess.PIPE)  # fmt: skip
    mine = int(said(process, ""))
    scenario.set("device.1.process.0", f"pid={mine} type=C memory=8G sm=40")
    scenario.set("device.1.process.1", f"pid={other.pid} type=C memory=3G sm=20")
    try:
        began = time.monotonic()
        with lists:
            lists.pass_by(3, PATIENCE_S)
        lasted = time.monotonic() - began
        process.stdin.close()
        process.stdin = None
        process.wait(PATIENCE_S)
    finally:
        os.kill(mine, signal.SIGKILL)  # it holds the pipes open, as it would without us
    _, errors = process.communicate(timeout=PATIENCE_S)
    report = json.loads(errors)
    assert [device["used"] for device in report["devices"]] == [False, True]
    ours, others, rest = report["devices"][1]["holders"]
    assert (ours["who"], ours["memory_peak_bytes"]) == ("job", 8 << 30)
    assert (others["who"], others["memory_peak_bytes"]) == ("others", 3 << 30)
    assert rest["memory_peak_bytes"] >= 1 << 30
    assert {p["pid"]: p["job"] for p in report["processes"]} == {mine: True, other.pid: False}
    assert report["job"]["left_running"] == 1
    assert report["duration_s"] >= lasted


def test_without_a_driver_it_runs_and_says_so_in_a_sentence(begin):
    process = begin(["sleep", "3"], "--interval", "0.2")
    _, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0
    assert "The NVIDIA driver library (libnvidia-ml.so.1) was not found." in " ".join(
        errors.split()
    )
    assert "Time to solution" in errors
    assert "\x1b" not in errors


def test_a_command_that_ends_before_we_are_ready_is_reported_all_the_same(begin):
    process = begin(["true"], "--format", "json")
    report = json.loads(process.communicate(timeout=PATIENCE_S)[1])
    assert report["job"]["exit_code"] == 0
    assert report["job"]["memory_peak_bytes"] is None  # what the kernel says is our own
    assert report["duration_s"] > 0


def test_a_report_goes_to_its_file_or_is_not_lost(begin, folder):
    process = begin(["true"], "--report", "a.json")
    assert process.communicate(timeout=PATIENCE_S) == ("", "")
    assert json.loads((folder / "a.json").read_text())["job"]["exit_code"] == 0
    process = begin(["echo", "ran"], "--report", "a.json")  # said before the command's hours
    assert process.communicate(timeout=PATIENCE_S) == (
        "", "gputop: a.json exists already; choose another name.\n"
    )  # fmt: skip
    assert process.returncode == 1
    (folder / "soon").mkdir()
    process = begin([*SHELL, "rmdir soon; exit 4"], "--report", "soon/a.json")
    errors = process.communicate(timeout=PATIENCE_S)[1]
    assert process.returncode == 4
    assert "Time to solution" in errors
    assert "gputop: The folder soon does not exist" in errors


@pytest.mark.parametrize(
    ("path", "said"),
    [("nowhere/a.json", "The folder nowhere does not exist; create it or choose another."),
     ("/proc/a.json", "/proc may not be written to; choose a folder of yours."),
     (f"{'a' * 255}.json", f"The name {'a' * 255}.json is too long; choose a shorter one.")],
    ids=["no folder", "a folder that takes nothing", "a long name"],
)  # fmt: skip
def test_where_no_report_can_be_is_said_before_the_command_s_hours(begin, folder, path, said):
    process = begin(["touch", "ran"], "--report", path, "-o", "a.ndjson")
    assert process.communicate(timeout=PATIENCE_S) == ("", f"gputop: {said}\n")
    assert process.returncode == 1
    assert not list(folder.iterdir())


def test_a_report_to_stdout_would_be_in_the_command_s(begin, folder):
    process = begin(["touch", "ran"], "--report", "-")
    said = "gputop: --report writes a file; without it the report goes to stderr.\n"
    assert process.communicate(timeout=PATIENCE_S) == ("", said)
    assert process.returncode == 2
    assert not list(folder.iterdir())


@pytest.mark.parametrize("flags", [(), ("-o", "a.ndjson")], ids=["", "recorded"])
@pytest.mark.parametrize("most", [5, 6, 7, 8, 9, 12])
def test_without_a_free_descriptor_it_is_said_and_the_command_s_end_is_ours(
    begin, folder, most, flags
):
    limit = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # noqa: E731
    code = "import os; open('ran', 'w').close(); os._exit(7)"
    process = begin([sys.executable, "-c", code], "--demo", "-q", *flags, preexec_fn=limit)
    _, errors = process.communicate(timeout=PATIENCE_S)
    assert re.fullmatch(
        r"gputop: (There is no room for another open|Cannot start .* open) .*\n", errors
    )
    ran = (folder / "ran").exists()
    assert process.returncode == (7 if ran else 1)
    if not ran:
        assert not list(folder.iterdir())


FAILS = """
import {module} as module
def fail(*_): raise LookupError("boo")
module.{method} = fail
"""


@pytest.mark.parametrize(
    ("module", "method"),
    [("gputop.commands.following", "Follower.__init__"),
     ("gputop.commands.following", "Follower._take"),
     ("gputop.commands.following", "Follower.end"),
     ("gputop.recording.writer", "RecordingWriter.write"),
     ("gputop.report.account", "Account.report")],
    ids=["at the start", "while it runs", "at the end", "recording", "reporting"],
)  # fmt: skip
def test_whatever_fails_the_command_s_end_is_ours(begin, tmp_path, module, method):
    """Also where nobody foresaw it."""
    (tmp_path / "sitecustomize.py").write_text(FAILS.format(module=module, method=method))
    process = begin(
        [*SHELL, "sleep 1; echo ran; exit 7"], "--demo", "-o", "a.ndjson",
        env={"PYTHONPATH": f"{tmp_path}:{CHECKOUT}"},
    )  # fmt: skip
    out, errors = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, out) == (7, "ran\n")
    assert errors.count("Something unforeseen went wrong (LookupError: boo)") == 1
    assert "Traceback" not in errors


def test_the_report_of_the_demo_is_on_stderr(begin):
    process = begin([*SHELL, "echo out; sleep 2; exit 5"], "--demo", "--interval", "0.25")
    out, errors = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, out) == (5, "out\n")
    for part in ("SIMULATED", "exit code 5", "GPU-hours", "Wh", "this job", "others"):
        assert part in errors
    assert max(map(len, errors.splitlines())) <= 80


def test_only_the_devices_asked_for_are_watched(begin):
    flags = ("--demo", "--devices", "4", "--interval", "0.25", "--format", "json")
    process = begin(["sleep", "1"], *flags)
    report = json.loads(process.communicate(timeout=PATIENCE_S)[1])
    assert [device["index"] for device in report["devices"]] == [4]
    assert report["gpu_hours_allocated"] == pytest.approx(report["duration_s"] / 3600)


def test_the_readme_s_example_works_as_written(begin, terminal, folder):
    readme = (CHECKOUT / "README.md").read_text()
    example = re.search(r"<!-- run example -->\n```sh\n(.*?)```", readme, re.DOTALL)
    assert example is not None
    *lines, last = example[1].splitlines()
    program = " ".join(command_line([]))
    script = "\n".join([f'gputop() {{ {program} "$@"; }}', "set -e", *lines])
    process = begin([*SHELL, script], plain=True)
    out, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, errors
    assert "this job" in errors  # the report of the run itself
    assert "GPU-hours" in out  # and from the recording
    assert "# Comparison" in out
    assert (folder / "run.html").read_text().startswith("<!doctype html>")
    name, *words = shlex.split(last)
    assert (name, words[0]) == ("gputop", "replay")
    screen = terminal(command_line(words))
    screen.wait_for("H100", PATIENCE_S)
    screen.type("q")
    assert screen.exit_code(PATIENCE_S) == 0

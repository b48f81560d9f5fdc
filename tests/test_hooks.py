"""The user's command on every event: real commands, real pipes, nothing left behind."""

import json
import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gputop.actions.hooks import MOST_WAITING, Hook
from tests.waiting import readable

PATIENCE_S = 60.0


class Told:
    """What the hook had to say, for a test to wait on."""

    def __init__(self) -> None:
        self.sentences: list[str] = []
        self.came = threading.Event()

    def __call__(self, sentence: str) -> None:
        self.sentences.append(sentence)
        self.came.set()


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def hooks() -> Iterator[list[Hook]]:
    made: list[Hook] = []
    yield made
    for hook in made:
        hook.stop()


def script(folder: Path, text: str) -> list[str]:
    path = folder / "hook.py"
    path.write_text(f"import json, os, sys, time\nfolder = {str(folder)!r}\n{text}")
    return [sys.executable, "-S", "-E", str(path)]


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def wait_until(condition: object) -> None:
    until = time.monotonic() + PATIENCE_S
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < until, "it never came"
        time.sleep(0.01)


def wait_gone(pid: int) -> None:
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        assert readable(fd, timeout_s=PATIENCE_S), f"{pid} lives on"
    finally:
        os.close(fd)


APPEND = """
with open(folder + "/out", "a") as out:
    out.write(json.dumps([sys.argv[1:], json.loads(sys.stdin.read())]) + "\\n")
"""


def test_each_event_comes_as_json_on_stdin_and_never_among_the_arguments(tmp_path, hooks, told):
    hook = Hook([*script(tmp_path, APPEND), "its own $HOME word"], told, apart_s=0)
    hooks.append(hook)
    hostile = {"detail": "$(touch pwned); `id`\n\x1b[2J", "rule": "hot"}
    hook.put(hostile)
    hook.put({"rule": "lost"})
    hook.finish(PATIENCE_S)
    first, second = (json.loads(line) for line in lines(tmp_path / "out"))
    assert first == [["its own $HOME word"], hostile | {"missed": 0}]
    assert second[1]["rule"] == "lost"
    assert told.sentences == []


def test_one_runs_at_a_time(tmp_path, hooks, told):
    alone = """
os.mkdir(folder + "/lock")  # fails where another runs
time.sleep(0.05)
os.rmdir(folder + "/lock")
open(folder + "/out", "a").write("ran\\n")
"""
    hook = Hook(script(tmp_path, alone), told, apart_s=0)
    hooks.append(hook)
    for _ in range(4):
        hook.put({})
    hook.finish(PATIENCE_S)
    assert lines(tmp_path / "out") == ["ran"] * 4
    assert told.sentences == []


def test_starts_are_apart(tmp_path, hooks, told):
    when = 'open(folder + "/out", "a").write(str(time.monotonic()) + "\\n")'
    hook = Hook(script(tmp_path, when), told, apart_s=0.4)
    hooks.append(hook)
    begun = time.monotonic()
    hook.put({})
    hook.put({})
    hook.finish(PATIENCE_S)
    first, second = map(float, lines(tmp_path / "out"))
    assert second - begun >= 0.4
    assert first < second


def test_of_too_many_the_oldest_go_and_are_counted(tmp_path, hooks, told):
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    held = 'if not os.path.exists(folder + "/out"): open(folder + "/gate").read()' + APPEND
    hook = Hook(script(tmp_path, held), told, apart_s=0)
    hooks.append(hook)
    hook.put({"number": 0})
    with open(gate, "w"):  # opens once the first runs
        for number in range(1, MOST_WAITING + 31):
            hook.put({"number": number})
    wait_until(lambda: len(lines(tmp_path / "out")) >= 2)
    first, second = (json.loads(line)[1] for line in lines(tmp_path / "out")[:2])
    assert first == {"number": 0, "missed": 0}
    assert second == {"number": 31, "missed": 30}


CHILD = """
child = os.fork()
if not child:
    time.sleep(1000)
with open(folder + "/pids.new", "w") as out:
    out.write(f"{os.getpid()}\\n{child}\\n")
os.rename(folder + "/pids.new", folder + "/pids")
time.sleep(1000)
"""


def test_a_command_that_takes_too_long_is_killed_with_what_it_started(tmp_path, hooks, told):
    hook = Hook(script(tmp_path, CHILD), told, longest_run_s=3.0, apart_s=0)
    hooks.append(hook)
    hook.put({})
    assert told.came.wait(PATIENCE_S)
    assert "took longer than 3 s and was killed" in told.sentences[0]
    for pid in lines(tmp_path / "pids"):
        wait_gone(int(pid))


def test_stop_leaves_nothing_behind_and_runs_nothing_more(tmp_path, hooks, told):
    hook = Hook(script(tmp_path, CHILD), told, apart_s=0)
    hook.put({})
    hook.put({})
    wait_until(lambda: (tmp_path / "pids").exists())
    pids = [int(pid) for pid in lines(tmp_path / "pids")]
    (tmp_path / "pids").unlink()
    hook.stop()
    hook.put({})
    for pid in pids:
        wait_gone(pid)
    hook.finish(PATIENCE_S)
    assert not (tmp_path / "pids").exists()
    assert told.sentences == []


def test_put_returns_at_once_while_a_command_hangs(tmp_path, hooks, told):
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    hook = Hook(script(tmp_path, 'open(folder + "/gate").read()'), told, apart_s=0)
    hooks.append(hook)
    for _ in range(50):
        hook.put({})
    with open(gate, "w"):
        pass  # all fifty were put while the first one hung


@pytest.mark.parametrize(
    ("text", "said"),
    [("sys.exit(3)", "ended with exit code 3"), ("os.kill(os.getpid(), 9)", "by signal 9")],
)
def test_a_command_that_fails_is_told_once(tmp_path, hooks, told, text, said):
    hook = Hook(script(tmp_path, text), told, apart_s=0)
    hooks.append(hook)
    for _ in range(3):
        hook.put({})
    hook.finish(PATIENCE_S)
    (sentence,) = told.sentences
    assert said in sentence
    assert sentence.endswith(".")


def test_a_command_that_cannot_be_run_is_told_once(tmp_path, hooks, told):
    hook = Hook([str(tmp_path / "nothing")], told, apart_s=0)
    hooks.append(hook)
    hook.put({})
    hook.put({})
    hook.finish(PATIENCE_S)
    assert told.sentences == [
        "The command for events (nothing) cannot be run: No such file or directory; it is not "
        "told when it fails again."
    ]


def test_a_command_that_does_not_read_its_stdin_is_none_that_fails(tmp_path, hooks, told):
    hook = Hook(script(tmp_path, "pass"), told, apart_s=0)
    hooks.append(hook)
    hook.put({"detail": "x" * 200_000})
    hook.finish(PATIENCE_S)
    assert told.sentences == []

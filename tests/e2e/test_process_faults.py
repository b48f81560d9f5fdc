"""What happens to the program's own processes: killed, stopped, mute, mad, or left alone.

The collector is broken by a `sitecustomize.py` that only it obeys; everything else is the real
program.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.conftest import Driver, moving
from tests.e2e.faults import SHORT, SIZE, at
from tests.e2e.program import (
    CHECKOUT,
    WITH_MANY_FILES,
    Gputop,
    Start,
    allows_many_files,
    wait_ended,
    wait_flat,
)
from tests.stuck import Undying

SABOTAGE = """
import os, sys, time
ill = os.path.join(os.path.dirname(__file__), "ill")
if "--control" in sys.orig_argv and os.path.exists(ill):
    # When it was made, not when a busy machine got around to it.
    ticks = open("/proc/self/stat").read().rpartition(")")[2].split()[19]
    with open(ill + ".starts", "a") as file:
        file.write(f"{int(ticks) / os.sysconf('SC_CLK_TCK')}\\n")
    exec(open(ill).read())
"""


@dataclass(frozen=True)
class Illness:
    """A collector that does not do its work."""

    name: str
    code: str
    """What it runs in the place of its work."""
    says: str
    """What the screen says of it."""


ILLNESSES = (
    Illness("garbage", "while True: print('\\x1b[2Jgarbage', flush=True); time.sleep(0.01)",
            "The collector cannot be understood"),
    Illness("binary garbage",
            "while True: os.write(1, os.urandom(4096) + b'\\n'); time.sleep(0.01)",
            "The collector cannot be understood"),
    Illness("half a line", "os.write(1, b'{\"type\":\"fra'); time.sleep(1000)",
            r"The collector said nothing for \d+ s"),
    Illness("half a line and the end", "os.write(1, b'{\"type\":\"fra'); os._exit(0)",
            "The collector ended with exit code 0"),
    Illness("an endless line", "\nwhile True: os.write(1, b'x' * 65536)",
            "The collector (cannot be understood|said nothing)"),
    Illness("nothing", "time.sleep(1000)", r"The collector said nothing for \d+ s"),
    Illness("dying at every start", "print('gputop: no luck.', file=sys.stderr); os._exit(1)",
            "The collector ended with exit code 1: no luck"),
    Illness("dying in a traceback", "print('Traceback (most recent call last):\\n  File x\\n"
            "RuntimeError: no luck today', file=sys.stderr); os._exit(1)",
            "The collector ended with exit code 1: .*RuntimeError: no luck today"),
    Illness("killing itself", "os.kill(os.getpid(), 9)", "The collector was killed by signal 9"),
    Illness("leaving its output open and going deaf",
            "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 32)); "
            "time.sleep(1000)", r"The collector said nothing for \d+ s"),
)  # fmt: skip


@pytest.mark.parametrize("illness", ILLNESSES, ids=lambda illness: illness.name.replace(" ", "-"))
def test_a_collector_that_is_ill(
    driver: Driver, gputop: Start, tmp_path: Path, illness: Illness
) -> None:
    """It is replaced, ever more slowly, the screen says why, and a well one is picked up."""
    sick = tmp_path / "sick"
    sick.mkdir()
    (sick / "sitecustomize.py").write_text(SABOTAGE)
    ill = sick / "ill"
    ill.write_text(illness.code)
    terminal = gputop(
        driver(moving(2)), size=SIZE, scale=SHORT, env={"PYTHONPATH": f"{sick}:{CHECKOUT}"}
    )
    wait_flat(terminal, f"▲ {illness.says}.*the next attempt is in")
    pauses: dict[int, float] = {}
    """How long it says that it waits, by the number of starts before."""
    while len(pauses) < 3:
        found = terminal.wait_for(
            lambda t: (
                (m := t.find(r"attempt is in ([\d.]+) s"))
                and float(m[1]) not in pauses.values()
                and m
            )
        )
        pauses[len(starts_of(ill))] = float(found[1])
    assert list(pauses.values()) == sorted(pauses.values()), "it backs off"
    terminal.check_keys_answer()
    assert len(terminal.collectors) <= 1
    ill.unlink()
    terminal.wait_alive(0)
    terminal.wait_gone("the next attempt")
    between = [later - earlier for earlier, later in itertools.pairwise(starts_of(ill))]
    assert len(between) >= 2
    for number, gap in enumerate(between, 1):
        assert gap >= pauses.get(number, 0.0), (between, pauses)
    terminal.check_leaves()


def starts_of(ill: Path) -> list[float]:
    """When the collectors that fell ill were started, in seconds."""
    return [float(line) for line in ill.with_suffix(".starts").read_text().split()]


def test_a_recorder_that_was_never_told_anything_says_why(gputop: Start, tmp_path: Path) -> None:
    """To a script the exit code says that there is no recording."""
    (tmp_path / "sitecustomize.py").write_text(SABOTAGE)
    (tmp_path / "ill").write_text("print('gputop: no luck.', file=sys.stderr); os._exit(1)")
    terminal = gputop(
        None, "record", "-o", "a.ndjson", interval="", size=(200, 24),
        env={"PYTHONPATH": f"{tmp_path}:{CHECKOUT}"},
    )  # fmt: skip
    terminal.wait_for("a.ndjson, 0 frames, .*no luck")
    terminal.signal(signal.SIGINT)
    assert terminal.exit_code() == 1
    why = r"gputop: Nothing was recorded, for no reading ever came \(.* exit code 1: no luck;.*\)\."
    assert terminal.find(why), terminal.describe()


def test_a_collector_that_is_ill_does_not_hold_up_leaving(
    driver: Driver, gputop: Start, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(SABOTAGE)
    (tmp_path / "ill").write_text("os.kill(os.getpid(), 9)")
    terminal = gputop(driver(moving(1)), env={"PYTHONPATH": f"{tmp_path}:{CHECKOUT}"})
    wait_flat(terminal, "killed by signal 9")
    terminal.check_leaves()


def test_the_collector_is_killed(driver: Driver, gputop: Start) -> None:
    terminal = gputop(driver(moving(2)), size=SIZE, scale=SHORT)
    terminal.wait_alive(0, 1)
    (first,) = terminal.collectors
    os.kill(first, signal.SIGKILL)
    wait_flat(terminal, "▲ The collector was killed by signal 9; the next attempt is in")
    terminal.wait_gone("killed by signal 9")
    terminal.wait_alive(0)
    (second,) = terminal.collectors
    assert second != first
    terminal.check_leaves()


def test_the_collector_is_stopped(driver: Driver, gputop: Start) -> None:
    """A stopped collector says nothing: the readings grow old on screen, then it is replaced."""
    terminal = gputop(driver(moving(2)), size=SIZE)
    terminal.wait_alive(0, 1)
    (first,) = terminal.collectors
    os.kill(first, signal.SIGSTOP)
    terminal.wait_for(r"\d+ s old")
    terminal.check_keys_answer()
    terminal.wait_gone(r"\d+ s old")
    terminal.wait_alive(0)
    wait_ended([first])
    assert terminal.collectors != [first]
    terminal.check_leaves()


def test_what_waited_while_the_screen_was_stopped_is_as_old_as_it_is(
    driver: Driver, gputop: Start, tmp_path: Path
) -> None:
    """Readings made meanwhile wait in the pipe; nothing newer comes."""
    (tmp_path / "sitecustomize.py").write_text(SABOTAGE)
    terminal = gputop(driver(moving(2)), size=SIZE, env={"PYTHONPATH": f"{tmp_path}:{CHECKOUT}"})
    terminal.wait_alive(0, 1)
    (collector,) = terminal.collectors
    terminal.signal(signal.SIGSTOP)
    terminal.wait_stopped()
    time.sleep(1)  # some readings are made
    (tmp_path / "ill").write_text("os._exit(1)")
    os.kill(collector, signal.SIGKILL)
    stopped_s = 4
    time.sleep(stopped_s)
    terminal.signal(signal.SIGCONT)
    wait_flat(terminal, "▲ The collector ended with exit code 1")  # another, and nothing of it
    age = terminal.wait_for(r"(\d+) s old")
    assert int(age[1]) >= stopped_s
    terminal.check_leaves()


HELD = pytest.mark.parametrize("worker", [False, True], ids=["whole", "in-one-thread"])


def leave_undying(terminal: Gputop, pid: int) -> None:
    """Stop the collector, and wait until the program knows that it cannot be killed."""
    os.kill(pid, signal.SIGSTOP)
    wait_flat(terminal, rf"▲ The collector \(pid {pid}\) hangs in the driver and cannot be killed; "
                        "another is started when it is gone. A reboot may be needed.")  # fmt: skip
    terminal.wait_for(r"\d+ s old")


def is_there(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").exists()


@HELD
def test_a_collector_that_cannot_be_killed_is_left_behind(
    driver: Driver, gputop: Start, worker: bool
) -> None:
    """It is said, none is started beside it, keys answer, and leaving does not wait for it."""
    scenario = driver(moving(2), log_calls=True)
    terminal = gputop(scenario, size=SIZE, scale=SHORT)
    terminal.wait_alive(0, 1)
    (pid,) = terminal.collectors
    with Undying(pid, worker):
        leave_undying(terminal, pid)
        calls = len(scenario.calls())
        for _ in range(3):
            before = terminal.find(r"(\d+) s old")
            assert before
            terminal.wait_for(lambda t, b=before: (m := t.find(r"(\d+) s old")) and m[1] != b[1])
            assert set(terminal.descendants()) <= {terminal.pid, pid}, "none beside it"
        terminal.check_keys_answer()
        terminal.press("x")  # nobody is there to obey it, which holds up nothing
        document = terminal.saved_snapshot()
        assert document["boottime_s"] < time.clock_gettime(time.CLOCK_BOOTTIME) - 1
        terminal.type("q")
        assert terminal.exit_code() == 0
        assert terminal.is_restored(), terminal.describe()
        assert is_there(pid), "or this test proved nothing"
        assert set(terminal.descendants()) <= {pid}, "every other process is gone"
        assert scenario.calls()[calls:] == [], "and the driver is left alone"
    wait_ended([pid])


@HELD
def test_a_collector_that_can_be_killed_at_last_is_followed_by_one(
    driver: Driver, gputop: Start, worker: bool
) -> None:
    terminal = gputop(driver(moving(2)), size=SIZE, scale=SHORT)
    terminal.wait_alive(0, 1)
    (pid,) = terminal.collectors
    with Undying(pid, worker):
        leave_undying(terminal, pid)
    terminal.wait_gone("cannot be killed")
    terminal.wait_alive(0)
    (now,) = terminal.collectors
    assert now != pid
    assert not is_there(pid), "it is reaped"
    terminal.check_leaves()


def test_an_interval_survives_the_collector(driver: Driver, gputop: Start) -> None:
    terminal = gputop(driver(moving(1)), size=SIZE, scale=SHORT)
    terminal.press("-", shows=r"\A.* every 0.5 s")
    os.kill(terminal.collectors[0], signal.SIGKILL)
    wait_flat(terminal, "killed by signal 9")
    terminal.wait_gone("killed by signal 9")
    terminal.wait_alive(0)
    assert terminal.find(r"\A.* every 0.5 s")


@pytest.mark.skipif(not allows_many_files(), reason="this machine allows no descriptor above 1023")
def test_descriptors_above_1023_are_as_good_as_any(driver: Driver, gputop: Start) -> None:
    """A shell or a service may leave a thousand open files to whom it starts."""
    terminal = gputop(driver(moving(1)), size=SIZE, scale=SHORT, through=WITH_MANY_FILES)
    terminal.wait_alive(0, 1)
    first = terminal.collectors
    os.kill(first[0], signal.SIGKILL)
    terminal.wait_for(lambda t: t.collectors and t.collectors != first)
    terminal.wait_alive(0)
    terminal.check_keys_answer()
    assert terminal.saved_snapshot()["devices"][0]["status"] == "ok"
    assert max(int(fd) for fd in os.listdir(f"/proc/{terminal.pid}/fd")) > 1100
    terminal.check_leaves()


# -- the ends of the program -----------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("hanging", [False, True], ids=["well", "while-a-call-hangs"])
def test_a_signal_ends_it_and_restores_the_terminal(
    driver: Driver, gputop: Start, number: signal.Signals, hanging: bool
) -> None:
    scenario = driver(moving(2))
    terminal = gputop(scenario, size=SIZE, scale=SHORT)
    terminal.wait_alive(1, 2)
    if hanging:
        scenario.update(at("nvmlDeviceGetTemperature*", hang="forever"))
        terminal.wait_device(0, "no answer for")
    started = terminal.descendants()
    terminal.signal(number)
    assert terminal.exit_code() == 128 + number
    wait_ended(started)
    assert terminal.is_restored(), terminal.describe()


UNAWAITED = [
    signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM, signal.SIGVTALRM,
    signal.SIGXCPU, signal.SIGPOLL, signal.SIGPWR,
]  # fmt: skip
"""Named here once more: a signal that the program forgets is not to be forgotten here with it."""


@pytest.mark.parametrize("number", UNAWAITED, ids=lambda number: number.name)
def test_a_signal_that_nobody_waits_for_restores_the_terminal_too(
    driver: Driver, gputop: Start, number: signal.Signals
) -> None:
    terminal = gputop(driver(moving(1)), size=SIZE)
    terminal.wait_alive(0, 1)
    terminal.signal(number)
    assert terminal.exit_code() == 128 + number
    assert terminal.is_restored(), terminal.describe()


def test_a_signal_at_any_moment_ends_it(driver: Driver, gputop: Start) -> None:
    """The first picture is the longest write, so the moment to be caught in one."""
    scenario = driver(moving(2))
    for _ in range(8):
        terminal = gputop(scenario, size=SIZE)
        terminal.wait_for("H100")
        terminal.signal(signal.SIGTERM)
        assert terminal.exit_code() == 128 + signal.SIGTERM


def ends_with_the_window(terminal: Gputop) -> None:
    terminal.hang_up()


def ends_with_a_kill(terminal: Gputop) -> None:
    terminal.signal(signal.SIGKILL)


@pytest.mark.parametrize("end", [ends_with_the_window, ends_with_a_kill])
@pytest.mark.parametrize("hanging", [False, True], ids=["well", "while-a-call-hangs"])
def test_no_process_outlives_it(
    driver: Driver, gputop: Start, end: Callable[[Gputop], None], hanging: bool
) -> None:
    scenario = driver(moving(2))
    terminal = gputop(scenario, size=SIZE, scale=SHORT)
    terminal.wait_alive(1, 1)
    if hanging:
        scenario.update(at("nvmlDeviceGetTemperature*", hang="forever"))
        terminal.wait_device(0, "no answer for")
    started = terminal.descendants()
    assert len(started) == 2
    end(terminal)
    wait_ended(started)


def test_it_has_one_collector_and_no_other_child(driver: Driver, gputop: Start) -> None:
    terminal = gputop(driver(moving(2)))
    terminal.wait_alive(1, 1)
    assert sorted(terminal.descendants()) == sorted([terminal.pid, *terminal.collectors])
    assert len(terminal.collectors) == 1


def test_file_descriptors_do_not_leak_over_restarts(driver: Driver, gputop: Start) -> None:
    terminal = gputop(driver(moving(1)), size=SIZE, scale=SHORT)
    terminal.wait_alive(0, 1)

    def kill_one() -> int:
        os.kill(terminal.collectors[0], signal.SIGKILL)
        wait_flat(terminal, "killed by signal 9")
        terminal.wait_gone("killed by signal 9")
        terminal.wait_alive(0, 1)
        return len(os.listdir(f"/proc/{terminal.pid}/fd"))

    first = kill_one()
    assert kill_one() == first
    assert len(json.dumps(terminal.saved_snapshot())) > 1000
    assert re.search(r"every 0\.25 s", terminal.lines()[0])

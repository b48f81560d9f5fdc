"""The process table over real processes of this machine, and the signals it sends them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.e2e.conftest import Driver, Spawn
from tests.e2e.program import Gputop, Start
from tests.e2e.test_keys import selected
from tests.fake_driver import Lines, h100s
from tests.pids import needs_choice, spawn_as

SIZE = (120, 30)


def listing(*pids: int, **more: str | int) -> Lines:
    """One still device with these processes on it, each with less memory than the one before."""
    return {
        **h100s(1),
        "device.0.gpu_utilization": 40,
        **{
            f"device.0.process.{place}": f"pid={pid} type=C memory={(9 - place)}G sm={60 - place}"
            for place, pid in enumerate(pids)
        },
        **more,
    }


def row(pid: int, rest: str = "") -> str:
    return rf"^[ ●][ ▪][ ▸▾]\S+ +{pid} {rest}"


def ask(terminal: Gputop) -> None:
    terminal.press("K", shows=r"Send a signal to th")
    terminal.wait_for(r"\[ (Cancel|Close) \]")


def start_ticks(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])


def test_a_row_joins_the_driver_with_the_host(driver: Driver, gputop: Start, spawn: Spawn) -> None:
    child = spawn("sleep", "1000", "0001")
    terminal = gputop(driver(listing(child.pid)), size=SIZE)
    terminal.wait_for(row(child.pid, r"\S+ +C +60 .* 9\.0 GiB .* S +sleep 1000 0001"))
    terminal.wait_for(rf"▪ 0 +{child.pid} ")
    process = terminal.saved_snapshot()["processes"][0]
    assert (process["pid"], process["name"]) == (child.pid, "sleep")
    assert process["start_ticks"] == start_ticks(child.pid)
    assert process["uid"] == os.getuid()
    assert process["command"] is None, "files leave arguments out"
    assert process["uses"][0]["memory_bytes"] == 9 << 30
    assert process["uses"][0]["sm_utilization"] == 0.6


def test_hide_args_and_with_args(driver: Driver, gputop: Start, spawn: Spawn) -> None:
    child = spawn("sleep", "1000")
    scenario = driver(listing(child.pid))
    hiding = gputop(scenario, "--hide-args", size=SIZE)
    hiding.wait_for(row(child.pid, r".* sleep$"))
    hiding.check_leaves()
    telling = gputop(scenario, "--with-args", size=SIZE)
    telling.wait_for(row(child.pid, r".* sleep 1000"))
    assert telling.saved_snapshot()["processes"][0]["command"] == ["sleep", "1000"]


def test_a_hostile_command_line_is_only_text(driver: Driver, gputop: Start, spawn: Spawn) -> None:
    evil = "\x1b]52;c;ZXZpbA==\x07\x1b[2J[red]x[/] [@click=app.quit]\u202e\u200b\n=1+1"
    child = spawn("sh", "-c", "while :; do sleep 1000; done", evil)
    terminal = gputop(driver(listing(child.pid)), size=(200, 30))
    terminal.wait_for(row(child.pid, r".* sh -c .*\[red\]x\[/\] \[@click=app\.quit\]"))
    assert not [words for words in terminal.osc if words.startswith("52")]
    terminal.press("enter", shows=r"\[red\]x\[/\]")
    assert not [words for words in terminal.osc if words.startswith("52")]
    raw = bytes(terminal.raw)
    assert "\u202e".encode() not in raw
    assert b"\x1b[2J[red]" not in raw


def test_rows_come_and_go_and_the_cursor_stays_with_its_process(
    driver: Driver, gputop: Start, spawn: Spawn
) -> None:
    first, second, third = (spawn().pid for _ in range(3))
    scenario = driver(listing(first, second))
    terminal = gputop(scenario, size=SIZE)
    terminal.wait_for(row(second))
    terminal.press("down")
    terminal.wait_for(lambda _: str(second) in chosen(terminal))
    scenario.set("device.0.process.7", f"pid={third} memory=20G")
    terminal.wait_for(row(third, r"(.*\n)+.*") + str(first))
    assert str(second) in chosen(terminal)
    scenario.remove("device.0.process.0")
    terminal.wait_gone(row(first))
    assert str(second) in chosen(terminal)


def chosen(terminal: Gputop) -> str:
    """The row under the cursor."""
    found = selected(terminal)
    return next((line for line in terminal.lines() if found and found in line), "")


FILTERS = (
    ("sleep", (0, 1, 2)),
    ("pid:{0}", (0,)),
    ("mem>8.5G", (0,)),
    ("mem<8.5G", (1, 2)),
    ("sm>=59", (0, 1)),
    ("gpu:0 mem<8.5G", (1, 2)),
    ("gpu:1", ()),
    ("user:{user}", (0, 1, 2)),
    ("name:sleep pid:{2}", (2,)),
)


def test_filters(driver: Driver, gputop: Start, spawn: Spawn) -> None:
    pids = [spawn().pid for _ in range(3)]
    terminal = gputop(driver(listing(*pids)), size=SIZE)
    terminal.wait_for(row(pids[2]))
    user = Path(f"/proc/{pids[0]}").owner()
    for text, wanted in FILTERS:
        terminal.press("/", shows="^ ?/ ")
        terminal.press(text.format(*pids, user=user))
        terminal.wait_for(
            lambda t, wanted=wanted: (
                {pid for pid in pids if t.find(row(pid))} == {pids[place] for place in wanted}
            )
        )
        if not wanted:
            terminal.wait_for("No process matches the filter")
        terminal.press("esc", hides="^ ?/ ")
        terminal.wait_for(row(pids[2]))
    terminal.press("/", shows="^ ?/ ")
    terminal.press("mem>lots", shows="mem wants a size with its unit")


def test_keys_that_come_together_with_the_filter_key_are_its_text(
    driver: Driver, gputop: Start, spawn: Spawn
) -> None:
    pid = spawn().pid
    terminal = gputop(driver(listing(pid)), size=SIZE)
    terminal.wait_for(row(pid))
    terminal.type("/exqKp/w")  # in one piece, as a link that stood still for a moment delivers them
    terminal.wait_for("^ ?/ exqKp/w")
    terminal.press("esc", hides="^ ?/ ")
    terminal.press("w", shows="Nothing to warn of|warnings")
    assert not list(terminal.folder.glob("gputop-*")), "no snapshot was written"


SORTS = (("pid", "PID▲", (0, 1, 2)), ("sm", "SM%▼", (2, 1, 0)), ("gpu_memory", "MEM▼", (1, 2, 0)))


@pytest.mark.parametrize(("column", "title", "order"), SORTS, ids=[sort[0] for sort in SORTS])
def test_sorting(
    driver: Driver, gputop: Start, spawn: Spawn, column: str, title: str, order: tuple[int, ...]
) -> None:
    pids = sorted(spawn().pid for _ in range(3))
    scenario = driver({
        **h100s(1),
        "device.0.gpu_utilization": 40,
        "device.0.process.0": f"pid={pids[0]} memory=1G sm=5",
        "device.0.process.1": f"pid={pids[1]} memory=9G sm=50",
        "device.0.process.2": f"pid={pids[2]} memory=5G sm=90",
    })  # fmt: skip
    terminal = gputop(scenario, "--sort", column, size=SIZE)
    terminal.wait_for(title)
    expected = r"(.*\n)+".join(row(pids[place]).lstrip("^") for place in order)
    terminal.wait_for(expected)
    terminal.press("S", hides=title)
    expected = r"(.*\n)+".join(row(pids[place]).lstrip("^") for place in reversed(order))
    terminal.wait_for(expected)


# -- signals ---------------------------------------------------------------------------------


def test_term_ends_the_process_under_the_cursor_and_no_other(
    driver: Driver, gputop: Start, spawn: Spawn
) -> None:
    victim, bystander = spawn(), spawn()
    scenario = driver(listing(victim.pid, bystander.pid))
    terminal = gputop(scenario, size=SIZE)
    terminal.wait_for(row(bystander.pid))
    ask(terminal)
    assert terminal.find(rf"{victim.pid} sleep \(")
    terminal.press("t", shows=r"\[ TERM \]")
    terminal.press("enter", shows=rf"{victim.pid} sleep .*ended\.")
    assert victim.wait(20) == -signal.SIGTERM
    assert bystander.poll() is None
    terminal.wait_gone("Send a signal to th")


def test_cancel_is_preselected_and_sends_nothing(
    driver: Driver, gputop: Start, spawn: Spawn
) -> None:
    child = spawn()
    terminal = gputop(driver(listing(child.pid)), size=SIZE)
    terminal.wait_for(row(child.pid))
    for way in ("enter", "esc", "q"):
        ask(terminal)
        assert terminal.find(r"\[ Cancel \] +TERM +INT +KILL")
        terminal.press(way, hides="Send a signal to th")
    assert child.poll() is None


@pytest.mark.parametrize(("key", "number"), [("i", signal.SIGINT), ("k", signal.SIGKILL)])
def test_the_other_signals(
    driver: Driver, gputop: Start, spawn: Spawn, key: str, number: signal.Signals
) -> None:
    child = spawn()
    terminal = gputop(driver(listing(child.pid)), size=SIZE)
    terminal.wait_for(row(child.pid))
    ask(terminal)
    terminal.press(key, shows=rf"\[ {number.name[3:]} \]")
    terminal.press("enter", shows=r"ended\.")
    assert child.wait(20) == -number


def test_all_tagged_processes_get_it(driver: Driver, gputop: Start, spawn: Spawn) -> None:
    first, second, third = spawn(), spawn(), spawn()
    terminal = gputop(driver(listing(first.pid, second.pid, third.pid)), size=SIZE)
    terminal.wait_for(row(third.pid))
    terminal.press("space", shows="●")
    terminal.press("down", "space", shows=r"●(.*\n)+.*●")
    ask(terminal)
    terminal.wait_for("these 2 processes")
    terminal.press("right", shows=r"\[ TERM \]")
    terminal.press("enter", shows=r"2 processes ended\.")
    assert first.wait(20) == third.wait(20) == -signal.SIGTERM
    assert second.poll() is None


def test_a_process_that_does_not_obey(driver: Driver, gputop: Start, spawn: Spawn) -> None:
    child = spawn("sh", "-c", "trap '' TERM; exec sleep 1000")
    terminal = gputop(driver(listing(child.pid)), size=SIZE)
    terminal.wait_for(row(child.pid))
    ask(terminal)
    terminal.press("t", "enter", shows="got TERM and is still running")
    terminal.press("k", "enter", shows=r"ended\.")
    assert child.wait(20) == -signal.SIGKILL


def test_a_process_that_ended_while_the_dialog_was_open(
    driver: Driver, gputop: Start, spawn: Spawn
) -> None:
    child = spawn()
    terminal = gputop(driver(listing(child.pid)), size=SIZE)
    terminal.wait_for(row(child.pid))
    ask(terminal)
    child.kill()
    terminal.wait_for(rf"{child.pid} sleep .* has already ended")
    terminal.wait_for(r"\[ Close \]")
    terminal.press("t", "enter", hides="Send a signal to th")


@needs_choice
@pytest.mark.parametrize("when", ["before the dialog", "while it is open"])
def test_a_pid_that_was_given_to_another_process(
    driver: Driver, gputop: Start, spawn: Spawn, when: str
) -> None:
    child = spawn()
    terminal = gputop(driver(listing(child.pid)), size=SIZE)
    terminal.wait_for(row(child.pid))
    terminal.press("p", shows="PAUSED")  # or the row would be gone, or the new process's
    if when == "while it is open":
        ask(terminal)
    pid = child.pid
    child.kill()
    child.wait()
    other = spawn_as(pid, spawn)
    if when == "before the dialog":
        ask(terminal)
        terminal.wait_for("another process has its pid|has already ended")
    else:
        terminal.wait_for("has already ended")
    terminal.press("k", "enter", hides="Send a signal to th")
    assert other.poll() is None
    terminal.check_leaves()
    assert other.poll() is None


def test_processes_that_are_protected(driver: Driver, gputop: Start) -> None:
    """Init, this program and its collector are never signalled."""
    scenario = driver(listing(1))
    terminal = gputop(scenario, size=SIZE)
    terminal.wait_for(row(1))
    for pid in (1, terminal.pid, terminal.collectors[0]):
        scenario.set("device.0.process.0", f"pid={pid} memory=1G")
        terminal.wait_for(row(pid))
        ask(terminal)
        terminal.wait_for(rf"{pid} .* is protected, so nothing is sent to it")
        terminal.press("k", "enter", hides="Send a signal to th")
    terminal.check_keys_answer()
    terminal.check_leaves()


def test_read_only_sends_no_signal(driver: Driver, gputop: Start, spawn: Spawn) -> None:
    child = spawn()
    terminal = gputop(driver(listing(child.pid)), "--read-only", size=SIZE)
    terminal.wait_for(row(child.pid))
    terminal.press("K", shows=r"Read-only: signals are off")
    assert not terminal.find("Send a signal")
    terminal.press("enter", shows="Host memory")
    terminal.press("K", shows=r"Read-only: signals are off")
    assert child.poll() is None


def test_the_demo_sends_no_signal(gputop: Start) -> None:
    terminal = gputop({}, "--demo", size=SIZE)
    terminal.wait_for("SIMULATED")
    terminal.wait_for(r"[CGM]+ +\d+ .* GiB")
    terminal.press("K", shows="simulated; there is nothing to signal")


WITHOUT_CAP_KILL = (
    sys.executable, "-c", "import ctypes, os, sys; ctypes.CDLL(None).prctl(24, 5, 0, 0, 0); "
    "os.execv(sys.argv[1], sys.argv[1:])",
)  # fmt: skip
"""Root without the right to signal other users' processes (PR_CAPBSET_DROP, CAP_KILL): it can
still read the checkout, which another user may not."""


def test_a_process_of_another_user_is_not_ours_to_signal(driver: Driver, gputop: Start) -> None:
    with strangers_process() as stranger:
        terminal = gputop(
            driver(listing(stranger)), size=SIZE,
            through=WITHOUT_CAP_KILL if os.getuid() == 0 else (),
        )  # fmt: skip
        owner = Path(f"/proc/{stranger}").owner()
        terminal.wait_for(row(stranger, owner[:6]))
        ask(terminal)
        terminal.press("t", "enter", shows=rf"{stranger} .* belongs to {owner}; try sudo gputop")
        terminal.press("esc", hides="Send a signal to th")
        assert Path(f"/proc/{stranger}").exists()
        terminal.check_keys_answer()
        terminal.check_leaves()


@contextlib.contextmanager
def strangers_process() -> Iterator[int]:
    """The pid of a process that belongs to another user."""
    if os.getuid() == 0:
        with subprocess.Popen(["sleep", "1000"], user="nobody", cwd="/") as child:
            try:
                yield child.pid
                assert child.poll() is None, "nothing reached it"
            finally:
                child.kill()
        return
    for path in Path("/proc").iterdir():
        if path.name.isdecimal() and path.name != "1":
            with contextlib.suppress(OSError):
                if path.stat().st_uid == 0:
                    yield int(path.name)
                    return
    pytest.skip("there is no process of another user here")


IN_A_NAMESPACE = ("--pid", "--fork", "--mount-proc", "--kill-child")


def own_pid_namespace() -> Sequence[str]:
    """A command that runs another in a PID namespace of its own, where the pids from 2 to 9 are
    sleeping processes.
    """
    sleepers = 'for n in 2 3 4 5 6 7 8 9; do sleep 1000 & done; exec "$@"'
    for rights in ((), ("--user", "--map-root-user")):
        command = ("unshare", *rights, *IN_A_NAMESPACE)
        with contextlib.suppress(OSError):
            done = subprocess.run([*command, "true"], capture_output=True, check=False)
            if done.returncode == 0:
                return (*command, "sh", "-c", sleepers, "sh")
    pytest.skip("this machine lets nobody make a PID namespace (unshare --pid)")


@pytest.mark.parametrize("version", ["470.82.01", "535.104.05"])
def test_pids_of_the_host_in_a_container_are_not_joined(
    driver: Driver, gputop: Start, version: str
) -> None:
    """Below 535.113 the driver gives the host's pids: memory only, no names, no signals."""
    scenario = driver({**listing(5, 77), "driver_version": version})
    terminal = gputop(scenario, size=SIZE, through=own_pid_namespace())
    terminal.wait_for(row(5, r"– .* 9\.0 GiB .* –$"))
    terminal.press("K", shows="the driver gives the host's pids")
    terminal.press("enter", shows="it runs in another container or machine")
    terminal.press("K", shows="the driver gives the host's pids")
    for process in terminal.saved_snapshot()["processes"]:
        assert (process["name"], process["user"], process["start_ticks"]) == (None, None, None)
        assert process["uses"][0]["memory_bytes"] > 0


def test_pids_of_our_own_in_a_container_are_joined(driver: Driver, gputop: Start) -> None:
    """From 535.113 on the driver gives our pids: the control to the test before."""
    scenario = driver({**listing(5), "driver_version": "535.113.01"})
    terminal = gputop(scenario, size=SIZE, through=own_pid_namespace())
    terminal.wait_for(row(5, r".* 9\.0 GiB .* S +sleep 1000"))
    ask(terminal)
    assert terminal.find(r"5 sleep \(")
    terminal.press("k", "enter", shows=r"ended\.")

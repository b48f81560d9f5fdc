"""Signals reach the process that was on the screen, or nobody. With real children."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from gputop import procfs
from gputop.actions.signals import (
    CHOICES,
    OpenTarget,
    Status,
    Target,
    foreign_pids,
    open_targets,
)
from gputop.model.frame import DriverInfo, HostInfo
from tests.pids import needs_choice, spawn_as
from tests.waiting import readable

SAFETY_S = 30
Child = subprocess.Popen[bytes]


@pytest.fixture
def child() -> Iterator[Child]:
    process = subprocess.Popen(["sleep", "600"])
    yield process
    process.kill()
    process.wait(SAFETY_S)


def target_of(child: Child, user: str = "ann") -> Target:
    return Target(child.pid, procfs.start_ticks(child.pid), "sleep", user)


def wait_until_ended(target: OpenTarget) -> None:
    assert target.fd is not None
    assert readable(target.fd, timeout_s=SAFETY_S), "the child did not end"


@pytest.mark.parametrize("choice", CHOICES, ids=lambda choice: choice.label)
def test_a_signal_reaches_its_target(child: Child, choice) -> None:  # type: ignore[no-untyped-def]
    with open_targets([target_of(child)]) as targets:
        (target,) = targets
        assert target.outcome.status is Status.READY
        assert not target.ended()
        (outcome,) = targets.send(choice.number)
        assert outcome.status is Status.SENT
        assert outcome.sentence == f"{child.pid} sleep (ann) got {choice.label}."
        wait_until_ended(target)
        assert target.ended()
    assert child.wait(SAFETY_S) == -choice.number


def test_only_term_int_and_kill_are_offered_in_that_order() -> None:
    assert [choice.number for choice in CHOICES] == [signal.SIGTERM, signal.SIGINT, signal.SIGKILL]


def test_nothing_is_sent_to_a_process_that_took_over_the_pid(child: Child) -> None:
    ticks = procfs.start_ticks(child.pid)
    assert ticks is not None
    with open_targets([Target(child.pid, ticks - 1, "python3", "bob")]) as targets:
        (outcome,) = targets.send(signal.SIGKILL)
    assert outcome.status is Status.REUSED
    assert "another process has its pid" in outcome.sentence
    assert child.poll() is None


def test_a_process_that_ended_before_the_dialog_is_gone(child: Child) -> None:
    target = target_of(child)
    child.kill()
    child.wait(SAFETY_S)
    with open_targets([target]) as targets:
        (outcome,) = targets.send(signal.SIGTERM)
        assert next(iter(targets)).ended()
    assert outcome.status is Status.GONE
    assert outcome.sentence == f"{target.pid} sleep (ann) has already ended."


def test_a_process_that_ends_while_the_dialog_is_open_is_gone(child: Child) -> None:
    with open_targets([target_of(child)]) as targets:
        (target,) = targets
        child.kill()
        child.wait(SAFETY_S)
        assert target.ended()
        (outcome,) = targets.send(signal.SIGTERM)
    assert outcome.status is Status.GONE


@needs_choice
def test_what_takes_over_the_pid_of_an_open_target_gets_nothing(child: Child) -> None:
    with open_targets([target_of(child)]) as targets:
        child.kill()
        child.wait(SAFETY_S)
        started: list[Child] = []

        def spawn() -> Child:
            started.append(subprocess.Popen(["sleep", "600"]))
            return started[-1]

        try:
            other = spawn_as(child.pid, spawn)
            (outcome,) = targets.send(signal.SIGKILL)
            assert outcome.status is Status.GONE
            assert other.poll() is None
        finally:
            for process in started:
                process.kill()
                process.wait(SAFETY_S)


def test_a_zombie_has_ended(child: Child) -> None:
    with open_targets([target_of(child)]) as targets:
        child.kill()  # and not waited for: it stays a zombie
        wait_until_ended(next(iter(targets)))
        zombie = target_of(child)
        assert zombie.start_ticks is not None
        with open_targets([zombie]) as again:
            assert next(iter(again)).outcome.status is Status.GONE


def test_without_a_start_time_nothing_is_sent(child: Child) -> None:
    with open_targets([Target(child.pid, None, "sleep")]) as targets:
        (outcome,) = targets.send(signal.SIGKILL)
    assert outcome.status is Status.UNVERIFIED
    assert child.poll() is None


@pytest.mark.parametrize("pid", [-1, 0, 1, "own"])
def test_init_groups_and_gputop_itself_are_protected(pid: int | str) -> None:
    pid = os.getpid() if isinstance(pid, str) else pid
    with open_targets([Target(pid, procfs.start_ticks(pid) or 1)]) as targets:
        (target,) = targets
        assert target.fd is None
        assert target.outcome.status is Status.PROTECTED
        assert targets.send(signal.Signals.SIGWINCH)[0].status is Status.PROTECTED


def test_the_collector_is_protected(child: Child) -> None:
    with open_targets([target_of(child)], protected=[child.pid]) as targets:
        assert targets.send(signal.SIGKILL)[0].status is Status.PROTECTED
    assert child.poll() is None


def test_each_target_has_its_own_outcome(child: Child) -> None:
    gone = Target(2**22 - 1, 1, "gone")
    with open_targets([gone, target_of(child), Target(1, 1)]) as targets:
        outcomes = targets.send(signal.SIGTERM)
    assert [o.status for o in outcomes] == [Status.GONE, Status.SENT, Status.PROTECTED]
    assert len(targets) == 3


def test_descriptors_are_closed_at_the_end(child: Child) -> None:
    before = set(os.listdir("/proc/self/fd"))
    refused = Target(child.pid, 1)
    with open_targets([target_of(child), refused]) as targets:
        held = [target.fd for target in targets if target.fd is not None]
        assert len(held) == 1
    assert all(target.fd is None for target in targets)
    targets.close()
    assert set(os.listdir("/proc/self/fd")) == before


def test_a_nasty_name_is_made_safe(child: Child) -> None:
    target = Target(child.pid, 1, "x\x1b[31m\n" + "y" * 80, "@\x07eve")
    assert str(target).isprintable()
    assert len(str(target)) < 60


DROP = """
import os, signal, sys
from gputop import procfs
from gputop.actions.signals import Target, open_targets
os.setgroups([]); os.setgid(65534); os.setuid(65534)
pid = int(sys.argv[1])
ticks = procfs.start_ticks(pid)
if ticks is None:
    sys.exit("hidden")
with open_targets([Target(pid, ticks, "sleep", "root")]) as targets:
    print(targets.send(signal.SIGTERM)[0].sentence)
"""


@pytest.mark.skipif(os.getuid() != 0, reason="needs root to become somebody else")
def test_a_process_of_another_user_is_refused_with_what_to_do(child: Child) -> None:
    said = subprocess.run(
        [sys.executable, "-c", DROP, str(child.pid)],
        capture_output=True, text=True, timeout=SAFETY_S,
    )  # fmt: skip
    if said.stderr == "hidden\n":
        pytest.skip("/proc shows nobody other users' processes here (hidepid)")
    assert said.stdout.strip() == f"{child.pid} sleep (root) belongs to root; try sudo gputop."
    assert child.poll() is None


LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (12, 12))
from gputop.actions.signals import Target, open_targets
from gputop import procfs
from tests.waiting import readable
pid = int(sys.argv[1])
ticks = procfs.start_ticks(pid)
with open_targets([Target(pid, ticks)] * 30) as targets:
    print(*(t.outcome.status.value for t in targets))
"""


def test_too_many_targets_for_the_descriptors_there_are(child: Child) -> None:
    said = subprocess.run(
        [sys.executable, "-c", LIMITED, str(child.pid)],
        capture_output=True, text=True, timeout=SAFETY_S,
    )  # fmt: skip
    statuses = said.stdout.split()
    assert len(statuses) == 30, said.stderr
    assert statuses[0] == "ready"
    assert set(statuses[12:]) <= {"failed", "unverified"}


def test_without_pidfds_nothing_is_sent(child: Child, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "pidfd_open")
    with open_targets([target_of(child)]) as targets:
        (outcome,) = targets.send(signal.SIGKILL)
    assert outcome.status is Status.UNSUPPORTED
    assert "Linux 5.3" in outcome.sentence
    assert child.poll() is None


@pytest.mark.parametrize(
    ("namespace", "version", "refused"),
    [
        (False, "470.57", False),
        (False, None, False),
        (True, "535.104.05", True),
        (True, "535.113.01", False),
        (True, "580.95.05", False),
        (True, None, True),
        (True, "unknown", True),
    ],
)
def test_in_a_container_an_old_drivers_pids_are_not_ours(
    namespace: bool, version: str | None, refused: bool
) -> None:
    host = HostInfo(hostname="h", boot_id="b", pid_namespace=namespace)
    reason = foreign_pids(host, DriverInfo(driver_version=version))
    assert (reason is not None) is refused

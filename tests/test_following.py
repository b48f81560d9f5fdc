"""What `gputop run` says when it cannot tell the command's processes from others."""

from __future__ import annotations

import threading

import pytest

from gputop.commands.following import FOREIGN, MOST_WAITING, NO_SUBREAPER, Follower
from gputop.job.command import Ended
from gputop.report.account import Account
from tests.report.runs import BOOT_S, frame, hello, job, reading, uses


class Records:
    """A source that has these records to give, and nothing to read them from."""

    def __init__(self, *records):
        self._records = records

    def start(self, on_record, on_status):
        for record in self._records:
            on_record(record)

    def send(self, command):
        pass

    def stop(self):
        pass


class Command:
    helpers: frozenset[int] = frozenset()


def notes(greeting, follows=True):
    account = Account()
    frames = [frame(at, reading(at), processes=[uses(1, 1)]) for at in (0, 1)]
    follower = Follower(Command(), Records(greeting, *frames), job(0, 1), None, account, follows)
    follower.begin()
    follower.end(Ended(0, None, 0.0, 0.0, None, BOOT_S + 1))
    return account.report().notes


def greeting(**driver):
    record = hello(**driver)
    record.host.pid_namespace = True
    return record


@pytest.mark.parametrize(("version", "told"), [("525.60.13", False), ("580.82.07", True)])
def test_in_a_container_with_the_host_s_pids_every_device_counts(version, told):
    found = notes(greeting(driver_version=version))
    assert (f"{FOREIGN} So every device that was watched counts as the job's." in found) != told


def test_without_a_subreaper_every_device_counts():
    expected = f"{NO_SUBREAPER} So every device that was watched counts as the job's."
    assert expected in notes(hello(), follows=False)
    assert expected not in notes(hello())


def test_what_waits_to_be_added_up_is_in_the_report_and_none_waits_long():
    account = Account()
    frames = [frame(at, reading(at, gpu_utilization=1.0)) for at in range(2 * MOST_WAITING)]
    follower = Follower(Command(), Records(hello(), *frames), job(0), None, account, True)
    follower.begin()
    assert account.report().frames > MOST_WAITING
    follower.end(Ended(0, None, 0.0, 0.0, None, frames[-1].boottime_s))
    assert account.report().frames == len(frames)


class Failing(Records):
    """A source whose thread fails."""

    def start(self, on_record, on_status):
        thread = threading.Thread(target=lambda: 1 / 0)
        thread.start()
        thread.join()


def test_what_fails_beside_the_command_is_one_sentence_at_its_end(monkeypatch, capsys):
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    follower = Follower(Command(), Failing(), job(0, 1), None, None, True)
    follower.begin()
    (problem,) = follower.problems
    assert "Something unforeseen went wrong (ZeroDivisionError: division by zero)" in problem
    assert capsys.readouterr().err == ""

"""Which processes are the command's, over a /proc made by hand."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gputop.job.tree import SIMULATED_JOB, Tree
from gputop.model.frame import Process

HELPER, CHILD, GRANDCHILD, OF_HELPER, STRANGER = 10, 20, 21, 11, 30


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    parents = {HELPER: os.getpid(), CHILD: os.getpid(), GRANDCHILD: CHILD, OF_HELPER: HELPER,
               STRANGER: 1, os.getpid(): 1}  # fmt: skip
    for pid, parent in parents.items():
        (tmp_path / str(pid)).mkdir()
        rest = " ".join(["0"] * 17)
        (tmp_path / str(pid) / "stat").write_text(
            f"{pid} (x) y) S {parent} {rest} {pid * 100} 0 0 0 0\n"
        )
    return tmp_path


def told(tree: Tree, pid: int, start: int | None = -1) -> bool | None:
    process = Process(pid, pid * 100 if start == -1 else start, user="ann")
    tree.mark([process])
    return process.job


def test_descendants_are_the_job_s_and_helpers_are_not(proc):
    tree = Tree(lambda: {HELPER}, str(proc))
    assert told(tree, CHILD) is True
    assert told(tree, GRANDCHILD) is True
    assert told(tree, HELPER) is False
    assert told(tree, OF_HELPER) is False
    assert told(tree, STRANGER) is False
    assert tree.count() == 2


def test_what_cannot_be_told_is_not_said(proc):
    tree = Tree(set, str(proc))
    assert told(tree, 99) is None  # gone before we looked
    assert told(tree, CHILD, start=7) is None  # the pid is another's by now
    assert told(tree, CHILD, start=None) is None  # the collector could not see it


def test_what_was_told_stays_so_when_the_process_ends(proc):
    tree = Tree(set, str(proc))
    assert told(tree, GRANDCHILD) is True
    (proc / str(GRANDCHILD) / "stat").unlink()
    assert told(tree, GRANDCHILD) is True


def test_a_process_that_ended_stays_the_job_s_while_the_driver_lists_it(proc):
    tree = Tree(set, str(proc))
    assert told(tree, GRANDCHILD) is True
    (proc / str(GRANDCHILD) / "stat").unlink()
    assert told(tree, GRANDCHILD, start=None) is True
    tree.mark([])  # the driver has noticed
    assert told(tree, GRANDCHILD, start=None) is None  # whoever this is


def test_on_the_simulated_machine_somebody_stands_for_the_command():
    processes = [Process(1, user=SIMULATED_JOB), Process(2, user="bob")]
    Tree(set).mark(processes, simulated=True)
    assert [process.job for process in processes] == [True, False]

"""Which processes belong to the command: those descended from us, our own helpers aside.

We are their subreaper, so whoever loses its parent becomes our child and stays in the tree, also
in a session of its own. What a daemon starts on the command's behalf (docker, srun, ssh) does not.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

from gputop import procfs
from gputop.model.frame import Process

_DEEPEST = 4096
SIMULATED_JOB = "ann"
"""Whose processes stand for the command's on the simulated machine."""


class Tree:
    """The descendants of this process."""

    def __init__(self, helpers: Callable[[], set[int]], proc: str = procfs.PROC) -> None:
        """`helpers` are the children of ours that are not the command's."""
        self._helpers = helpers
        self._proc = proc
        self._root = os.getpid()
        self._known: dict[tuple[int, int], bool] = {}
        self._listed: dict[int, bool | None] = {}

    def mark(self, processes: Iterable[Process], simulated: bool = False) -> None:
        """Say of each process of a frame whether it is the job's, where that can be said."""
        before, self._listed = self._listed, {}
        for process in processes:
            if simulated:
                process.job = process.user == SIMULATED_JOB
            elif process.start_ticks is not None:
                process.job = self._belongs(process.pid, process.start_ticks)
            else:  # it has ended, and the driver lists it still: its pid is no other's yet
                process.job = before.get(process.pid)
            self._listed[process.pid] = process.job

    def _belongs(self, pid: int, start_ticks: int) -> bool | None:
        identity = pid, start_ticks
        known = self._known.get(identity)
        if known is None:
            stat = procfs.process_stat(pid, self._proc)
            if stat is None or stat.start_ticks != start_ticks:
                return None  # it ended before we looked
            known = self._descends(pid)
            if known is not None:
                self._known[identity] = known
        return known

    def _descends(self, pid: int) -> bool | None:
        for _ in range(_DEEPEST):
            stat = procfs.process_stat(pid, self._proc)
            if stat is None:
                return None
            if stat.parent_pid == self._root:
                return pid not in self._helpers()
            if stat.parent_pid <= 1:
                return False
            pid = stat.parent_pid
        return None

    def count(self) -> int:
        """How many descendants there are, helpers aside."""
        try:
            pids = [int(name) for name in os.listdir(self._proc) if name.isdecimal()]
        except OSError:
            return 0
        return sum(
            self._descends(pid) is True and _is_alive(pid, self._proc)
            for pid in pids
            if pid != self._root
        )


def _is_alive(pid: int, proc: str) -> bool:
    stat = procfs.process_stat(pid, proc)
    return stat is not None and stat.state not in "ZX"

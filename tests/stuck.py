"""A process that SIGKILL does not end, as one that is inside a driver call in the kernel.

A real one (state D) needs a broken driver. The kernel has another state in which a killed thread
stays for as long as somebody likes: the stop of a traced thread at its exit (ptrace(2),
PTRACE_O_TRACEEXIT). Its process keeps its pid and its pipes and is not reaped meanwhile. When the
tracer lets go, or itself ends, the thread dies: nothing is left behind.
"""

from __future__ import annotations

import ctypes
import os
import threading
from types import TracebackType

import pytest

PTRACE_SEIZE, PTRACE_O_TRACEEXIT = 0x4206, 0x40


class Undying:
    """Keeps a thread of another process from dying, until this is left.

    Args:
        pid: The process, a descendant of ours.
        worker: Hold one of its other threads and not the first: then the process shows as a
            zombie, which is what a thread stuck in a driver leaves of it.

    The test is skipped where the machine forbids ptrace.
    """

    def __init__(self, pid: int, worker: bool = False) -> None:
        tids = sorted(map(int, os.listdir(f"/proc/{pid}/task")))
        self._tid = tids[-1] if worker else pid
        self._refused = 0
        self._held, self._leave = threading.Event(), threading.Event()
        # All of ptrace is between two threads: this one holds it, and its end lets go.
        self._tracer = threading.Thread(target=self._hold, daemon=True)

    def __enter__(self) -> Undying:
        self._tracer.start()
        self._held.wait()
        if self._refused:
            pytest.skip(f"this machine forbids ptrace: {os.strerror(self._refused)}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        where: TracebackType | None,
    ) -> None:  # fmt: skip
        self._leave.set()
        self._tracer.join()

    def _hold(self) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        request = (ctypes.c_long(n) for n in (PTRACE_SEIZE, self._tid, 0, PTRACE_O_TRACEEXIT))
        if libc.ptrace(*request) != 0:
            self._refused = ctypes.get_errno()
        self._held.set()
        self._leave.wait()

"""Processes that get the pid a test wants, as a machine that runs for long gives them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

LAST_PID = Path("/proc/sys/kernel/ns_last_pid")
needs_choice = pytest.mark.skipif(
    os.getuid() != 0 or not os.access(LAST_PID, os.W_OK), reason="only root may choose a pid"
)


def spawn_as(pid: int, spawn: Callable[[], subprocess.Popen[bytes]]) -> subprocess.Popen[bytes]:
    """Start a process that gets this pid; others start processes too, so it may take a few."""
    for _ in range(200):
        LAST_PID.write_text(str(pid - 1))
        child = spawn()
        if child.pid == pid:
            return child
        child.kill()
        child.wait()
    pytest.skip("the pid could not be had again")

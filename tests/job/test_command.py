"""A command run in our place. It takes over signals and descriptors, so tests give it a process of
its own; what it is to others is in `tests/e2e/test_run.py`.
"""

from __future__ import annotations

import subprocess
import sys

ENDS_WHILE_BUSY = """
import os, sys, time
from gputop.job.command import Command
command = Command(["true"])
os.waitid(os.P_PID, command.pid, os.WEXITED | os.WNOWAIT)
busy_until = time.clock_gettime(time.CLOCK_BOOTTIME)
ended = command.wait()
command.let_go()
print(ended.exit_code, ended.boottime_s <= busy_until, file=sys.stderr)
"""


def test_its_end_is_when_it_ended_and_not_when_it_was_asked_for():
    done = subprocess.run([sys.executable, "-c", ENDS_WHILE_BUSY], capture_output=True, text=True,
                          check=True)  # fmt: skip
    assert done.stderr == "0 True\n"

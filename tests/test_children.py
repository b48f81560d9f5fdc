"""Starting processes while Ctrl-Z is held down: nobody is left waiting for them in the kernel."""

import contextlib
import os
import signal
import subprocess
import sys

import pytest

STOPPED_ALL_THE_TIME = """
import os, signal, subprocess, sys
from pathlib import Path
from gputop.actions.hooks import Hook
from gputop.collect import kernel_log
from gputop.doctor import surroundings
from gputop.insight.rules import Thresholds
from gputop.sources.marks import MarkSearch
from gputop.sources.process import CollectorProcess

def collector():
    process = CollectorProcess(["true"], control=False)
    process.wait(5.0)
    process.close()

def hook():
    command = Hook(["true"], print, apart_s=0.0)
    command.put({})
    while not command._is_idle():
        pass

def search():
    marks = MarkSearch(Path("none"), Thresholds(), print)
    marks._command = ["true"]
    marks._run()
    marks._process.wait()

def journal():
    kernel_log._journal_lines(["true"])

def doctor():
    surroundings.ask(["true"])

signal.signal(signal.SIGTSTP, lambda *_: None)
spinner = "import os, signal, sys\\nwhile True: os.killpg(int(sys.argv[1]), signal.SIGTSTP)"
own_group = subprocess.Popen(
    [sys.executable, "-c", spinner, str(os.getpgrp())], start_new_session=True
)
signal.pause()
try:
    for _ in range(5):
        globals()[sys.argv[1]]()
    print("started")
finally:
    own_group.kill()
"""


@pytest.mark.parametrize("what", ["collector", "hook", "search", "journal", "doctor"])
def test_ctrl_z_while_it_is_being_started_holds_nobody_up(what: str) -> None:
    """A child that is stopped before it runs its program would hold its parent in the kernel."""
    command = [sys.executable, "-c", STOPPED_ALL_THE_TIME, what]
    # In a group of its own, but not a session: nobody could wake what is stopped in an orphaned
    # group, so there the kernel stops nothing.
    with subprocess.Popen(command, stdout=subprocess.PIPE, process_group=0) as process:
        try:
            out, _ = process.communicate(timeout=60)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    assert out == b"started\n"

"""Runs the user's own command on every event, with the event as JSON on its stdin.

The command is the user's words, split as a shell splits them but run without one; nothing that a
device or driver says ever stands among its arguments. One runs at a time, a second apart at
least; while it runs others wait, and of a hundred waiting the oldest goes. Nothing here is waited
for: a command that takes too long is killed with all it started, and so is one that still runs
when the program ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gputop.children import unstoppable
from gputop.scale import deadline_scale

LONGEST_RUN_S = 10.0 * deadline_scale()
"""After so long a command is killed."""
LONGEST_START_S = 0.5
"""How long `stop` waits for a command that is being started this very moment."""
APART_S = 1.0
"""From one start to the next."""
MOST_WAITING = 100


class Hook:
    """One command, and the events that wait for it."""

    def __init__(
        self,
        words: Sequence[str],
        on_problem: Callable[[str], None],
        longest_run_s: float = LONGEST_RUN_S,
        apart_s: float = APART_S,
    ) -> None:
        """`on_problem` is called with one sentence, once, from a thread of the hook."""
        self._words = list(words)
        self._on_problem = on_problem
        self._longest_run_s = longest_run_s
        self._apart_s = apart_s
        self._changed = threading.Condition()
        self._waiting: deque[dict[str, Any]] = deque()
        self._missed = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._starting = False
        self._stopping = False
        self._told = False
        self._thread: threading.Thread | None = None

    def put(self, event: Mapping[str, Any]) -> None:
        """Have the command run on an event, when its turn comes. Returns at once."""
        with self._changed:
            if self._stopping:
                return
            self._waiting.append(dict(event))
            if len(self._waiting) > MOST_WAITING:
                self._waiting.popleft()
                self._missed += 1
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="on-event", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def finish(self, seconds: float) -> None:
        """Wait for the events that wait, and for the command, at most so long."""
        with self._changed:
            self._changed.wait_for(self._is_idle, seconds)

    def _is_idle(self) -> bool:
        return not self._waiting and not self._starting and self._process is None

    def stop(self) -> None:
        """Forget what waits and kill what runs, with all it started."""
        with self._changed:
            self._stopping = True
            self._waiting.clear()
            self._changed.notify_all()
            # Between fork and exec there is nothing to kill yet.
            self._changed.wait_for(lambda: not self._starting, LONGEST_START_S)
            process = self._process
        if process is not None:
            _kill(process)

    # -- the thread ------------------------------------------------------------------------

    def _run(self) -> None:
        last = float("-inf")
        while True:
            with self._changed:
                self._changed.wait_for(lambda: bool(self._waiting) or self._stopping)
                self._changed.wait_for(
                    lambda: self._stopping, max(0.0, last + self._apart_s - time.monotonic())
                )
                if self._stopping:
                    return
                event = self._waiting.popleft() | {"missed": self._missed}
                self._missed = 0
                last = time.monotonic()
                self._starting = True
            process = self._start()
            with self._changed:
                self._process, self._starting = process, False
                self._changed.notify_all()
            if process is not None:
                self._see_out(process, event)
            with self._changed:
                self._process = None
                self._changed.notify_all()

    def _start(self) -> subprocess.Popen[bytes] | None:
        """The command, in a session of its own: no key typed at the terminal reaches it."""
        try:
            with unstoppable():
                return subprocess.Popen(
                    self._words, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL, start_new_session=True,
                )  # fmt: skip
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else str(error)
            self._tell(f"cannot be run: {why}")
            return None

    def _see_out(self, process: subprocess.Popen[bytes], event: Mapping[str, Any]) -> None:
        line = json.dumps(event, allow_nan=False).encode() + b"\n"
        try:
            process.communicate(line, self._longest_run_s)
        except subprocess.TimeoutExpired:
            _kill(process)
            self._tell(f"took longer than {self._longest_run_s:g} s and was killed")
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(self._longest_run_s)
            if process.stdin is not None:
                with contextlib.suppress(OSError):
                    process.stdin.close()
            return
        code = process.returncode
        if code and not self._stopping:
            how = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
            self._tell(how)

    def _tell(self, what: str) -> None:
        if not self._told:
            self._told = True
            name = os.path.basename(self._words[0])
            self._on_problem(
                f"The command for events ({name}) {what}; it is not told when it fails again."
            )


def _kill(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL to the command and to all it started in its session's group."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)

"""The search for a recording's events, in a process of its own: it takes a while and all of a core,
and the screen must not feel it.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import msgspec

from gputop.children import unstoppable
from gputop.insight.marks import Mark, Searched
from gputop.insight.rules import Thresholds
from gputop.sources.process import collector_environment

_decoder: msgspec.json.Decoder[Mark | Searched] = msgspec.json.Decoder(Mark | Searched)


class MarkSearch:
    """Runs the search; `on_news` is called in a thread of its own."""

    def __init__(
        self, path: Path, thresholds: Thresholds, on_news: Callable[[Mark | Searched], None]
    ) -> None:
        edges = msgspec.json.encode(thresholds).decode()
        self._command = [sys.executable, "-P", "-m", "gputop", "replay", f"--marks={edges}"]
        self._command.append(str(path.resolve()))
        self._on_news = on_news
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Begin."""
        threading.Thread(target=self._run, name="marks", daemon=True).start()

    def stop(self) -> None:
        """Kill it; waits for nothing."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    def _run(self) -> None:
        with contextlib.suppress(OSError, msgspec.DecodeError):  # no marks, and all else works
            with unstoppable():
                self._process = subprocess.Popen(
                    self._command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL, cwd="/", env=collector_environment(),
                    start_new_session=True,
                )  # fmt: skip
            assert self._process.stdout is not None
            for line in self._process.stdout:
                self._on_news(_decoder.decode(line))

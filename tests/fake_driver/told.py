"""The driver's calls as they happen, told through a pipe: a test waits for them without polling."""

from __future__ import annotations

import os
import re
import threading
from types import TracebackType

from tests.fake_driver import Scenario


class CallCount:
    """Counts calls that a pattern finds in the log's lines, from when a program starts.

    Args:
        scenario: One that logs its calls; no program has it yet.
        calls: `symbol device` of the calls to count, as a pattern.
    """

    def __init__(self, scenario: Scenario, calls: str) -> None:
        assert scenario.calls_path is not None
        os.mkfifo(scenario.calls_path)
        # Open for both, it has no end while one program follows another.
        self._pipe = os.open(scenario.calls_path, os.O_RDWR)
        self._calls = re.compile(rf" {calls}$".encode())
        self._counted = threading.Condition()
        self._closed = False
        self.count = 0
        """Calls so far."""
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def pass_by(self, calls: int, patience_s: float) -> None:
        """Wait for so many more."""
        with self._counted:
            until = self.count + calls
            came = self._counted.wait_for(lambda: self.count >= until, patience_s)
        assert came, "the collector stands still"

    def __enter__(self) -> CallCount:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        where: TracebackType | None,
    ) -> None:  # fmt: skip
        self._closed = True
        os.write(self._pipe, b"\n")
        self._thread.join()
        os.close(self._pipe)

    def _read(self) -> None:
        rest = b""
        while not self._closed:
            *lines, rest = (rest + os.read(self._pipe, 1 << 16)).split(b"\n")
            with self._counted:
                self.count += sum(1 for line in lines if self._calls.search(line))
                self._counted.notify_all()

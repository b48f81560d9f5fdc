"""Clocks that a test moves under a running program: a suspend, or a wall clock that is set.

A small C library, preloaded into the program and whatever it starts, adds offsets from a shared
file to what `clock_gettime` answers. CLOCK_MONOTONIC is left alone: it stands still in a suspend.
"""

from __future__ import annotations

import struct
from pathlib import Path

from tests.builds import library

SOURCE = Path(__file__).parent / "clocks.c"
_OFFSETS = struct.Struct("=qq")
_NS = 1_000_000_000


class Clocks:
    """The clocks of the programs that run with `env()`.

    Args:
        folder: Where the offsets lie.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file = folder / "offsets"
        self._library = library("clocks.so", [SOURCE])
        self._boottime = self._realtime = 0
        self._file.write_bytes(_OFFSETS.pack(0, 0))

    def env(self) -> dict[str, str]:
        """The variables to add to a program's environment."""
        return {"LD_PRELOAD": str(self._library), "CLOCKS_FILE": str(self._file)}

    def suspend(self, seconds: float) -> None:
        """The machine slept for so long: boot time and the wall clock went on."""
        self._move(seconds, seconds)

    def set_wall(self, seconds: float) -> None:
        """Somebody sets the wall clock forward, or back where `seconds` is negative."""
        self._move(0, seconds)

    def _move(self, boottime_s: float, realtime_s: float) -> None:
        self._boottime += round(boottime_s * _NS)
        self._realtime += round(realtime_s * _NS)
        with self._file.open("r+b", buffering=0) as file:  # in place: it is mapped
            file.write(_OFFSETS.pack(self._boottime, self._realtime))

"""How much of a device each process used lately (process utilisation)."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable
from typing import Any

from gputop.collect.nvml import abi
from gputop.collect.nvml.driver_time import WallClock, offset_us
from gputop.collect.nvml.library import Library, Meter
from gputop.collect.nvml.processes import SHARES, Shares
from gputop.collect.nvml.values import Trouble, reason_of
from gputop.model import missing

MEMBERS = tuple(zip(("sm", "memory", "encoder", "decoder"), SHARES, strict=True))
FRESH_US = 2.5e6
"""A row stands for so long when the driver brings no newer one of a busy device."""
SILENCE_S = 30.0
"""A busy device that brings no newer row for so long may have a clock that was set."""
FIRST_ROOM, MOST_ROOM = 64, 65536
NOTHING_NEW = frozenset({abi.SUCCESS, abi.NOT_FOUND})


class ProcessShares:
    """The rows of one device, newest for each process; a row is told apart by its timestamp."""

    def __init__(self, library: Library, meter: Meter, handle: Any) -> None:
        self._library = library
        self._meter = meter
        self._handle = handle
        self._asked = False
        self._start_over()
        self._wall_clock = WallClock()
        self._heard_s: float | None = None
        self._ways = [self._ask_newer, self._ask_older]
        self._rows: dict[int, Any] = {}
        self._rows_at_s = 0.0
        self._make_room(FIRST_ROOM)

    def _start_over(self) -> None:
        """Of the rows that the driver has now it is not known how old they are."""
        self._newest_us = 0
        self._unsure = True

    def _make_room(self, rows: int) -> None:
        self._room = rows
        self._newer = (abi.ProcessSampleV1 * rows)()
        self._older = (abi.ProcessSample * rows)()

    def read(self, now: float, busy: bool) -> Shares:
        """The processes' shares since the last call; `now` is CLOCK_BOOTTIME. `busy` says that
        the device worked, so that no row at all does not mean that nobody did. Raises Trouble.
        """
        if self._heard_s is None or not busy:
            self._heard_s = now
        # Rows stamped by a clock that was set stand before or behind the cursor for ever.
        if self._wall_clock.was_set() or now - self._heard_s > SILENCE_S:
            self._start_over()
            self._heard_s = now
        while self._ways:
            code, rows = self._ways[0]()
            Trouble.check(code)
            if code in abi.NEVER:
                self._ways.pop(0)
                continue
            if code == abi.INSUFFICIENT_SIZE and self._room < MOST_ROOM:
                self._make_room(2 * self._room)
                continue
            if code not in NOTHING_NEW:
                return Shares({}, {}, reason_of(code))
            return self._judge(rows, now, busy)
        return Shares({}, {}, missing.UNSUPPORTED)

    def _ask_newer(self) -> tuple[int, Iterable[Any]]:
        """R550 and later."""
        request = abi.process_samples()
        request.count, request.since_us = self._room, self._newest_us
        request.rows = ctypes.cast(self._newer, type(request.rows))
        code = self._library.call(
            self._meter, "nvmlDeviceGetProcessesUtilizationInfo", self._handle,
            ctypes.byref(request),
        )  # fmt: skip
        count = min(request.count, self._room) if code == abi.SUCCESS else 0
        return code, self._newer[:count]

    def _ask_older(self) -> tuple[int, Iterable[Any]]:
        count = ctypes.c_uint(self._room)
        code = self._library.call(
            self._meter, "nvmlDeviceGetProcessUtilization", self._handle, self._older,
            ctypes.byref(count), ctypes.c_ulonglong(self._newest_us),
        )  # fmt: skip
        return code, self._older[: min(count.value, self._room) if code == abi.SUCCESS else 0]

    def _judge(self, rows: Iterable[Any], now: float, busy: bool) -> Shares:
        newest: dict[int, Any] = {}
        for row in rows:
            if row.timestamp_us > self._newest_us and row.pid:
                known = newest.get(row.pid)
                if known is None or row.timestamp_us > known.timestamp_us:
                    newest[row.pid] = row
        first, self._asked = not self._asked, True
        if newest:
            self._heard_s = now
            recent = newest
            if self._unsure:
                self._unsure = False
                recent = {p: r for p, r in newest.items() if _recent(r.timestamp_us, now)}
            self._newest_us = max(row.timestamp_us for row in (recent or newest).values())
            if not recent:
                return Shares({}, {}, missing.NEEDS_TWO_READINGS)
            newest = recent
            self._rows, self._rows_at_s = self._without_stale(newest), now
            return shares_of(self._rows, idle=True)
        if not busy:
            return shares_of({}, idle=True)
        if (now - self._rows_at_s) * 1e6 <= FRESH_US:
            return shares_of(self._rows, idle=True)
        return Shares({}, {}, missing.NEEDS_TWO_READINGS if first else missing.PENDING)

    def _without_stale(self, newest: dict[int, Any]) -> dict[int, Any]:
        oldest = self._newest_us - FRESH_US
        return {pid: row for pid, row in newest.items() if row.timestamp_us >= oldest}


def _recent(stamp_us: int, now: float) -> bool:
    """Whether a row, which may be from long ago, is of just now."""
    offset = offset_us(stamp_us, now)
    return offset is not None and now * 1e6 - (stamp_us + offset) <= FRESH_US


def shares_of(newest: dict[int, Any], idle: bool) -> Shares:
    """Ratios of the rows; a share above the whole cannot be."""
    values: dict[int, dict[str, float]] = {}
    refused: dict[int, dict[str, str]] = {}
    for pid, row in newest.items():
        values[pid] = {}
        for member, name in MEMBERS:
            raw = getattr(row, member)
            if raw <= 100:
                values[pid][name] = raw / 100
            else:
                refused.setdefault(pid, {})[name] = missing.implausible(raw)
    return Shares(values, refused, None, idle)

"""Who is on a device, and how much of it they use."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct

from gputop.collect.nvml import abi
from gputop.collect.nvml.library import Library, Meter
from gputop.collect.nvml.values import Trouble, reason_of
from gputop.model import missing
from gputop.model.frame import DeviceUse

LISTS: tuple[tuple[str, str], ...] = (
    ("C", "nvmlDeviceGetComputeRunningProcesses"),
    ("G", "nvmlDeviceGetGraphicsRunningProcesses"),
    ("M", "nvmlDeviceGetMPSComputeRunningProcesses"),
)
"""The letter of :attr:`DeviceUse.kinds`, and the list's call without its version."""
VERSIONS = ("_v3", "_v2")
GARBAGE_PIDS = frozenset({0, 0xFFFFFFFF})
"""What a row holds that is none: a driver with rows of another length was misread."""
FIRST_ROOM, MOST_ROOM = 64, 65536


class Row(Struct, frozen=True):
    """A process in one of the driver's lists."""

    pid: int
    kind: str
    memory_bytes: int | None
    instance: tuple[int, int] | None
    """GPU instance id and compute instance id, where it runs on a MIG instance."""


class ProcessList:
    """One kind of list, read in a single call into a buffer that grows when it is too small."""

    def __init__(self, library: Library, meter: Meter, kind: str, function: str) -> None:
        self._library = library
        self._meter = meter
        self._kind = kind
        self._functions = [function + version for version in VERSIONS]
        self._make_room(FIRST_ROOM)

    def _make_room(self, rows: int) -> None:
        """Room for rows of the longer kind, so that no driver can write past the end."""
        self._room = rows
        self._buffer = ctypes.create_string_buffer(rows * ctypes.sizeof(abi.ProcessInfoLong))

    def read(self, handle: Any) -> list[Row]:
        """Every process in the list of a device or MIG instance. Raises Trouble for a lost
        device, and Refused with the code for a list that cannot be had.
        """
        while self._functions:
            count = ctypes.c_uint(self._room)
            code = self._library.call(
                self._meter, self._functions[0], handle, ctypes.byref(count), self._buffer
            )
            if code == abi.SUCCESS:
                return self._rows(min(count.value, self._room))
            Trouble.check(code)
            if code == abi.INSUFFICIENT_SIZE and self._room < MOST_ROOM:
                self._make_room(min(MOST_ROOM, 2 * max(count.value, self._room)))
            elif code in (abi.FUNCTION_NOT_FOUND, abi.ARGUMENT_VERSION_MISMATCH):
                self._functions.pop(0)
            else:
                raise Refused(code)
        raise Refused(abi.FUNCTION_NOT_FOUND)

    def _rows(self, count: int) -> list[Row]:
        rows: ctypes.Array[Any] = (abi.ProcessInfo * count).from_buffer(self._buffer)
        if any(row.pid in GARBAGE_PIDS for row in rows):
            longer = (abi.ProcessInfoLong * count).from_buffer(self._buffer)
            if all(row.pid not in GARBAGE_PIDS for row in longer):
                rows = longer
        return [
            Row(
                row.pid,
                self._kind,
                None if row.memory == abi.U64_ABSENT else row.memory,
                None if row.gpu_instance == abi.U32_ABSENT
                else (row.gpu_instance, row.compute_instance),
            )
            for row in rows
            if row.pid not in GARBAGE_PIDS
        ]  # fmt: skip


class Refused(Exception):
    """A list that the driver does not give."""

    def __init__(self, code: int) -> None:
        """`code` is the NVML return code."""
        super().__init__(f"NVML answered {code}")
        self.code = code


class ProcessLists:
    """The three lists of one device."""

    def __init__(self, library: Library, meter: Meter) -> None:
        self._lists = [ProcessList(library, meter, kind, name) for kind, name in LISTS]
        self._never: set[tuple[int, Any]] = set()
        self.refusal = missing.UNSUPPORTED
        """Why the last list that was refused was refused."""

    def read(self, handle: Any, key: object = None) -> list[Row] | None:
        """Every process of a device or MIG instance; None when no list could be had. `key` tells
        handles apart, so that a list which one of them does not have is not asked of it again.
        Raises Trouble for a lost device.
        """
        found: list[Row] | None = None
        for number, processes in enumerate(self._lists):
            if (number, key) in self._never:
                continue
            try:
                rows = processes.read(handle)
            except Refused as e:
                self.refusal = reason_of(e.code)
                if e.code in abi.NEVER:
                    self._never.add((number, key))
                continue
            found = rows if found is None else found + rows
        return found


class Shares(Struct, frozen=True):
    """What the processes of a device used of it lately, or why nobody knows."""

    rows: Mapping[int, Mapping[str, float]]
    missing: Mapping[int, Mapping[str, str]]
    reason: str | None = None
    """Why the whole question has no answer."""
    idle: bool = False
    """True when a process without a row used nothing: the driver lists the busy ones only."""


def uses_of(
    device: str, rows: Iterable[Row], shares: Shares, instances: Mapping[tuple[int, int], str]
) -> dict[int, list[DeviceUse]]:
    """The uses by pid. A process in two lists is one use, with the letters of both.

    `instances` are the UUIDs of the device's MIG instances by GPU and compute instance id.
    """
    merged: dict[tuple[int, str | None], list[Row]] = {}
    for row in rows:
        mig = instances.get(row.instance) if row.instance else None
        merged.setdefault((row.pid, mig), []).append(row)
    uses: dict[int, list[DeviceUse]] = {}
    for (pid, mig), group in merged.items():
        use = DeviceUse(device=device, mig=mig, kinds="".join(sorted({r.kind for r in group})))
        known = [row.memory_bytes for row in group if row.memory_bytes is not None]
        absent: dict[str, str] = {}
        if known:
            use.memory_bytes = max(known)
        else:
            absent["memory_bytes"] = missing.UNSUPPORTED
        _add_shares(use, pid, shares, absent)
        use.missing = absent
        uses.setdefault(pid, []).append(use)
    return uses


SHARES = ("sm_utilization", "memory_utilization", "encoder_utilization", "decoder_utilization")


def _add_shares(use: DeviceUse, pid: int, shares: Shares, absent: dict[str, str]) -> None:
    row, refused = shares.rows.get(pid), shares.missing.get(pid, {})
    for name in SHARES:
        if row is not None and name in row:
            setattr(use, name, row[name])
        elif name in refused:
            absent[name] = refused[name]
        elif row is None and shares.reason is None and shares.idle:
            setattr(use, name, 0.0)
        else:
            absent[name] = shares.reason or missing.PENDING

"""Xids: what the driver reports as it happens."""

from __future__ import annotations

import ctypes
import itertools
import threading
import time
from collections import deque
from typing import Any

from gputop.collect.nvml import abi
from gputop.collect.nvml.driver_time import boottime, utc_now
from gputop.collect.nvml.identity import uuid_of
from gputop.collect.nvml.library import Library, Meter, NvmlError
from gputop.model.frame import Event

XID_CRITICAL_ERROR = 0x8
"""nvmlEventTypeXidCriticalError."""
LONGEST_WAIT_S = 0.5
MOST_EVENTS = 1000
"""Events kept for a loop that does not fetch them; older ones go."""


class EventWatcher:
    """Waits for events in a thread of its own, which ends when the library is to be shut down.

    That thread stands inside the library all the time, and so holds a shutdown back for as long
    as one wait lasts.
    """

    def __init__(self, library: Library, wait_s: float) -> None:
        """`wait_s` is the longest wait inside the driver, in seconds."""
        self._library = library
        self._wait_s = min(wait_s, LONGEST_WAIT_S)
        self._wait_ms = max(1, round(self._wait_s * 1000))
        self._meter = Meter()
        self._watched: dict[str, tuple[int, Any]] = {}
        self._openings = itertools.count()
        self._found: deque[Event] = deque(maxlen=MOST_EVENTS)

    @property
    def calls(self) -> int:
        """Driver calls since start."""
        return self._meter.calls

    def start(self) -> None:
        """Begin to watch the devices of a library that was just initialised."""
        threading.Thread(target=self._run, name="gpu-events", daemon=True).start()

    def watch(self, handle: Any, uuid: str) -> None:
        """Add a device that was opened, from any thread; it is registered within one wait."""
        self._watched[uuid] = next(self._openings), handle

    def take(self) -> list[Event]:
        """Every event since the last call, once."""
        found = []
        while self._found:
            found.append(self._found.popleft())
        return found

    def _run(self) -> None:
        if not self._library.enter():
            return
        try:
            self._watch_while_open()
        finally:
            self._library.leave()

    def _watch_while_open(self) -> None:
        event_set = ctypes.c_void_p()
        if self._call("nvmlEventSetCreate", ctypes.byref(event_set)) != abi.SUCCESS:
            return
        uuids: dict[int, str] = {}
        registered: set[int] = set()
        data = abi.EventData()
        while self._library.open:
            self._register(event_set, uuids, registered)
            code = self._call(
                "nvmlEventSetWait_v2", event_set, ctypes.byref(data), ctypes.c_uint(self._wait_ms)
            )
            if code == abi.SUCCESS:
                self._take_event(data, uuids)
            elif code in abi.LIBRARY_GONE or code in abi.NEVER:
                break
            elif code != abi.TIMEOUT:
                time.sleep(self._wait_s)  # it refuses at once, as it does when a device is lost
        self._call("nvmlEventSetFree", event_set)

    def _register(self, event_set: Any, uuids: dict[int, str], registered: set[int]) -> None:
        """Add what is not in the set yet. A device that knows no events says so, and is simply
        not heard.
        """
        for uuid, (opening, handle) in list(self._watched.items()):
            if opening in registered:
                continue
            registered.add(opening)
            uuids[handle.value] = uuid
            self._call(
                "nvmlDeviceRegisterEvents", handle, ctypes.c_ulonglong(XID_CRITICAL_ERROR),
                event_set,
            )  # fmt: skip

    def _take_event(self, data: Any, uuids: dict[int, str]) -> None:
        self._found.append(
            Event(
                session="", seq=0, utc_s=utc_now(), boottime_s=boottime(), kind="xid",
                device=self._uuid_of(data.device, uuids), code=data.data,
            )
        )  # fmt: skip

    def _uuid_of(self, device: int | None, uuids: dict[int, str]) -> str | None:
        """The device an event came from: its handle is known, or asked who it is."""
        if not device:
            return None
        if device not in uuids:
            try:
                uuids[device] = uuid_of(self._library, self._meter, ctypes.c_void_p(device))
            except NvmlError:
                return None
        return uuids[device]

    def _call(self, function: str, *arguments: Any) -> int:
        return self._library.call(self._meter, function, *arguments)

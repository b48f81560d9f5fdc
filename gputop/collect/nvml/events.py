"""Xids: what the driver reports as it happens."""

from __future__ import annotations

import ctypes
import threading
import time
from collections import deque
from typing import Any, NamedTuple

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


class _Opened(NamedTuple):
    """A device's handle, and in which opening of the library it is good."""

    handle: Any
    generation: int


class EventWatcher:
    """Waits for events in a thread of its own, which ends when the library is to be shut down.

    That thread stands inside the library all the time, and so holds a shutdown back for as long
    as one wait lasts. Each device is registered in a thread of its own too: that call may hang
    with the device, and the others are heard.
    """

    def __init__(self, library: Library, wait_s: float) -> None:
        """`wait_s` is the longest wait inside the driver, in seconds."""
        self._library = library
        self._wait_s = min(wait_s, LONGEST_WAIT_S)
        self._wait_ms = max(1, round(self._wait_s * 1000))
        self._meter, self._set_meter = Meter(), Meter()
        self._lock = threading.Lock()
        self._registrations = 0
        self._to_register: dict[str, _Opened | None] = {}
        """By UUID, while a thread registers the device: as what it was opened since."""
        self._set: ctypes.c_void_p | None = None
        self._watching = False
        self._uuids: dict[int, str] = {}
        self._found: deque[Event] = deque(maxlen=MOST_EVENTS)
        self._deaf_since: float | None = None
        self._missed: tuple[float, float] | None = None

    @property
    def calls(self) -> int:
        """Driver calls since start."""
        return self._meter.calls + self._set_meter.calls + self._registrations

    def start(self) -> None:
        """Hear what happens from now on. Called by the keeper's thread, with the library open."""
        if self._set is None:
            made = ctypes.c_void_p()
            code = self._library.call(self._set_meter, "nvmlEventSetCreate", ctypes.byref(made))
            if code != abi.SUCCESS:
                return
            self._set = made
        with self._lock:
            if self._watching:
                return  # a release was called off before its thread saw it
            self._watching = True
            if self._deaf_since is not None:
                self._missed, self._deaf_since = (self._deaf_since, boottime()), None
        threading.Thread(target=self._run, name="gpu-events", daemon=True).start()

    def free(self) -> None:
        """Give the event set back. Called by the keeper's thread while nobody is inside the
        library.
        """
        event_set, self._set = self._set, None
        self._uuids.clear()
        if event_set is not None:
            self._library.call(self._set_meter, "nvmlEventSetFree", event_set)

    def watch(self, handle: Any, uuid: str) -> None:
        """Have a device that was just opened heard too, from any thread. One that is opened again
        and again, and hangs as it is registered, has one thread hanging and no more.
        """
        with self._lock:
            is_busy = uuid in self._to_register
            self._to_register[uuid] = _Opened(handle, self._library.generation)
        if not is_busy:
            threading.Thread(
                target=self._register_all, args=(uuid,), name="gpu-register", daemon=True
            ).start()

    def take(self) -> list[Event]:
        """Every event since the last call, once."""
        found = []
        while self._found:
            found.append(self._found.popleft())
        return found

    def take_missed(self) -> tuple[float, float] | None:
        """From when to when (CLOCK_BOOTTIME) nothing could be heard, once it can be again."""
        missed, self._missed = self._missed, None
        return missed

    def _register_all(self, uuid: str) -> None:
        while (opened := self._next_opened(uuid)) is not None:
            self._register(opened, uuid)

    def _next_opened(self, uuid: str) -> _Opened | None:
        with self._lock:
            opened = self._to_register.pop(uuid)
            if opened is not None:
                self._to_register[uuid] = None
            return opened

    def _register(self, opened: _Opened, uuid: str) -> None:
        """Add a device to the set. One that knows no events says so, and is simply not heard."""
        if not self._library.enter():
            return
        try:
            if self._set is None or opened.generation != self._library.generation:
                return  # it is opened, and told of, again
            self._uuids[opened.handle.value] = uuid
            with self._lock:
                self._registrations += 1
            self._library.call(
                Meter(), "nvmlDeviceRegisterEvents", opened.handle,
                ctypes.c_ulonglong(XID_CRITICAL_ERROR), self._set,
            )  # fmt: skip
        finally:
            self._library.leave()

    def _run(self) -> None:
        if not self._library.enter():
            with self._lock:
                self._go_deaf()
            return
        try:
            self._watch_while_open()
        finally:
            self._library.leave()

    def _watch_while_open(self) -> None:
        data = abi.EventData()
        while self._goes_on():
            code = self._call(
                "nvmlEventSetWait_v2", self._set, ctypes.byref(data), ctypes.c_uint(self._wait_ms)
            )
            if code == abi.SUCCESS:
                self._take_event(data)
            elif code in abi.LIBRARY_GONE or code in abi.NEVER:
                with self._lock:
                    self._go_deaf()
                return
            elif code != abi.TIMEOUT:
                time.sleep(self._wait_s)  # it refuses at once, as it does when a device is lost

    def _goes_on(self) -> bool:
        with self._lock:
            if not self._library.open:
                self._go_deaf()
            return self._watching

    def _go_deaf(self) -> None:
        self._watching, self._deaf_since = False, boottime()

    def _take_event(self, data: Any) -> None:
        self._found.append(
            Event(
                session="", seq=0, utc_s=utc_now(), boottime_s=boottime(), kind="xid",
                device=self._uuid_of(data.device), code=data.data,
            )
        )  # fmt: skip

    def _uuid_of(self, device: int | None) -> str | None:
        """The device an event came from: its handle is known, or asked who it is."""
        if not device:
            return None
        if device not in self._uuids:
            try:
                self._uuids[device] = uuid_of(self._library, self._meter, ctypes.c_void_p(device))
            except NvmlError:
                return None
        return self._uuids[device]

    def _call(self, function: str, *arguments: Any) -> int:
        return self._library.call(self._meter, function, *arguments)

"""The highest SM clock of the P-state that a device is in."""

from __future__ import annotations

import ctypes
from typing import Any

from gputop.collect.nvml import abi
from gputop.collect.nvml.library import Library, Meter
from gputop.collect.nvml.values import Result, Trouble, judge, reason_of, whole
from gputop.model import missing

METRIC = "sm_clock_state_max_mhz"
SM_CLOCK = 1
"""NVML_CLOCK_SM."""


class StateClock:
    """A P-state's clocks do not change: the driver is asked once for each that is seen."""

    def __init__(self, library: Library, meter: Meter, handle: Any) -> None:
        self._library = library
        self._meter = meter
        self._handle = handle
        self._known: dict[int, tuple[int | float | bool | None, str | None]] = {}

    def read(self, result: Result) -> None:
        """Fill in the clock for the state that was just read. Raises Trouble for a lost device."""
        state = result.values.get("performance_state")
        if not isinstance(state, int):
            result.refuse(METRIC, result.missing.get("performance_state", missing.UNSUPPORTED))
            return
        value, reason = self._known.get(state) or self._ask(state)
        if value is not None or reason == missing.UNSUPPORTED:
            self._known[state] = (value, reason)
        if value is None:
            result.refuse(METRIC, reason or missing.UNSUPPORTED)
        else:
            result.values[METRIC] = value

    def _ask(self, state: int) -> tuple[int | float | bool | None, str | None]:
        lowest, highest = ctypes.c_uint(), ctypes.c_uint()
        code = self._library.call(
            self._meter, "nvmlDeviceGetMinMaxClockOfPState", self._handle, SM_CLOCK, state,
            ctypes.byref(lowest), ctypes.byref(highest),
        )  # fmt: skip
        Trouble.check(code)
        if code != abi.SUCCESS:
            return None, reason_of(code)
        return judge(METRIC, highest.value, abi.U32_ABSENT, whole)

"""The fans of one device."""

from __future__ import annotations

import ctypes
from typing import Any

from gputop.collect.nvml import abi
from gputop.collect.nvml.library import Library, Meter
from gputop.collect.nvml.values import Result, Trouble, judge, per_cent, reason_of
from gputop.model import missing


class Fans:
    """Intended speeds, as ratios of the fan's full speed; a fan may be asked for more than that."""

    def __init__(self, library: Library, meter: Meter, handle: Any, count: int | None) -> None:
        """`count` of None: an older driver, which knows one speed for all fans."""
        self._library = library
        self._meter = meter
        self._handle = handle
        self._fans = [()] if count is None else [(fan,) for fan in range(count)]
        self._function = "nvmlDeviceGetFanSpeed" + ("" if count is None else "_v2")

    def read(self, result: Result) -> None:
        """The fastest fan's speed, and all of them. Raises Trouble for a lost device."""
        speeds: list[float] = []
        reason = missing.UNSUPPORTED
        for fan in self._fans:
            speed = ctypes.c_uint()
            code = self._library.call(
                self._meter, self._function, self._handle, *fan, ctypes.byref(speed)
            )
            Trouble.check(code)
            value, why = judge("fan_speed", speed.value, abi.U32_ABSENT, per_cent)
            if code == abi.SUCCESS and value is not None:
                speeds.append(float(value))
            else:
                reason = (why or reason) if code == abi.SUCCESS else reason_of(code)
            if code in abi.NEVER:
                self._fans = []
                break
        if speeds and len(speeds) == len(self._fans):
            result.values["fan_speed"], result.values["fan_speeds"] = max(speeds), speeds
        else:
            result.refuse("fan_speed", reason)

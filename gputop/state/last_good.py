"""The last good value of every field, so that the screen can show it greyed with its age."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from gputop.model.frame import DeviceInfo, DeviceReading, ReadTimes
from gputop.model.metrics import BY_NAME, METRICS, OF_INFO

_READING_METRICS = tuple(m.name for m in METRICS if m.name not in OF_INFO)


class Value(Struct, frozen=True):
    """A value with its history in one glance."""

    value: Any = None
    read_at: float | None = None
    """CLOCK_BOOTTIME of the reading; None for what never changes."""
    reason: str | None = None
    """Why there is no current value; the value is then the last good one, or None."""

    @property
    def current(self) -> bool:
        """True when the value is of the newest reading."""
        return self.value is not None and self.reason is None


def _read_at(times: ReadTimes, name: str) -> float | None:
    tier = BY_NAME[name].tier
    if tier == "fast":
        return times.fast
    return times.medium if tier == "medium" else times.slow


class LastGood:
    """Follows the readings of one device."""

    __slots__ = ("_kept", "_newest")

    def __init__(self) -> None:
        self._newest: DeviceReading | None = None
        self._kept: dict[str, tuple[Any, float | None]] = {}

    def update(self, reading: DeviceReading) -> None:
        """Take the newest reading; what it lacks and the one before had is kept."""
        before = self._newest
        self._newest = reading
        if before is None:
            return
        # In the steady state the same fields are missing, and there is nothing to keep.
        if before.status == reading.status and before.missing.keys() == reading.missing.keys():
            return
        for name in _READING_METRICS:
            value = getattr(before, name)
            if value is not None and getattr(reading, name) is None:
                self._kept[name] = (value, _read_at(before.read_at, name))

    def get(self, name: str, info: DeviceInfo) -> Value:
        """The value of a metric now, or its last good one with the reason it is not current."""
        if name in OF_INFO:
            value = getattr(info, name)
            return Value(value, None, None if value is not None else info.missing.get(name))
        reading = self._newest
        if reading is None:
            return Value(reason="pending")
        value = getattr(reading, name)
        if value is not None:
            return Value(value, _read_at(reading.read_at, name))
        kept, at = self._kept.get(name, (None, None))
        return Value(kept, at, reading.reason(name) or "pending")

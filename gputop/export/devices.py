"""What every export asks of a hello and a frame: devices with their readings, and moments."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from msgspec import Struct

from gputop.model.frame import DeviceInfo, DeviceReading, Frame, Hello
from gputop.model.metrics import OF_INFO, Metric


class Device(Struct, frozen=True):
    """A device or MIG instance: what it is, and what it said."""

    info: DeviceInfo
    reading: DeviceReading

    def number(self, metric: Metric) -> float | None:
        """The metric's value in its own unit, or None."""
        source = self.info if metric.name in OF_INFO else self.reading
        found: float | None = getattr(source, metric.name)
        return found

    def reason(self, field: str) -> str | None:
        """Why `field` has no value, in the words of `gputop.model.missing`; None if untold."""
        if field in self.info.missing:
            return self.info.missing[field]
        return None if field in OF_INFO else self.reading.reason(field)

    @property
    def missing(self) -> dict[str, str]:
        """The reasons of both records; their field names do not overlap."""
        return self.info.missing | self.reading.missing


def devices(hello: Hello, frame: Frame) -> Iterator[Device]:
    """Every device once, in the hello's order, then those that only the frame knows.

    A device without a reading in this frame is pending.
    """
    readings = {reading.uuid: reading for reading in frame.devices}
    known = {info.uuid: info for info in hello.devices}
    for info in known.values():
        reading = readings.get(info.uuid) or DeviceReading(uuid=info.uuid, status="pending")
        yield Device(info, reading)
    for uuid, reading in readings.items():
        if uuid not in known:
            yield Device(DeviceInfo(uuid=uuid, name=""), reading)


def utc_text(utc_s: float) -> str:
    """A moment in UTC after ISO 8601, to the millisecond; empty where no calendar has it."""
    try:
        moment = datetime.fromtimestamp(utc_s, UTC)
    except (OverflowError, ValueError, OSError):
        return ""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")

"""A snapshot as one JSON document: typed numbers, units in the names, every key always there.

A value that is not there is ``null``, and its reason stands in the ``missing`` map beside it. A
device is one flat object: what it is (:class:`~gputop.model.frame.DeviceInfo`) and what it said
(:class:`~gputop.model.frame.DeviceReading`) together. The text is pure ASCII, so that printing it
cannot drive a terminal.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import msgspec

from gputop.export.alerts import AlertRecord, as_dicts
from gputop.export.devices import Device, devices, utc_text
from gputop.insight.alerts import Alert
from gputop.insight.verdicts import NO_VERDICTS, Verdict, Verdicts
from gputop.model.frame import (
    SCHEMA_VERSION,
    Cost,
    DeviceInfo,
    DeviceReading,
    DriverInfo,
    Frame,
    Hello,
    HostInfo,
    HostReading,
    Process,
)


def _fields(record: type[msgspec.Struct]) -> dict[str, tuple[str, Any, Any]]:
    """Name, type and default of each field, as `msgspec.defstruct` takes them; all optional."""
    return {
        field.name: (field.name, field.type, _default(field))
        for field in msgspec.structs.fields(record)
    }


def _default(field: msgspec.structs.FieldInfo) -> Any:
    if field.default_factory is not msgspec.NODEFAULT:
        return msgspec.field(default_factory=field.default_factory)
    return "" if field.default is msgspec.NODEFAULT else field.default


_VERDICT = {"verdict": ("verdict", Verdict | None, None)}

SnapshotDevice = msgspec.defstruct(
    "SnapshotDevice",
    list((_fields(DeviceInfo) | _fields(DeviceReading) | _VERDICT).values()),
    module=__name__,
    namespace={
        "__doc__": "A device or MIG instance: identity, limits, reading and verdict in one object."
    },
)


class Snapshot(msgspec.Struct, tag="snapshot"):
    """One reading of one machine."""

    schema: int
    program: str
    simulated: bool
    with_args: bool
    """Whether processes carry their command line."""
    utc: str
    """The moment of the reading, ISO 8601 in UTC."""
    utc_s: float
    boottime_s: float
    window_s: float
    """The time between the two readings that rates come from, in seconds."""
    machine: HostInfo
    host: HostReading
    driver: DriverInfo
    devices: list[SnapshotDevice]  # type: ignore[valid-type]
    processes: list[Process]
    events: list[AlertRecord]
    """Warnings that were followed: those that last, then those that have been. Only the screen
    follows them."""
    cost: Cost


_LONE_SURROGATES = re.compile("[\ud800-\udfff]")


def _plain(value: Any) -> Any:
    """Records as dicts that keep their fields at default, and text that every parser takes."""
    if isinstance(value, msgspec.Struct):
        value = msgspec.structs.asdict(value)
    if isinstance(value, dict):
        return {_plain(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, str):
        return _LONE_SURROGATES.sub("\ufffd", value)
    return value


def _device(device: Device, verdict: Verdict | None) -> dict[str, Any]:
    return {
        **_plain(device.info), **_plain(device.reading), "missing": _plain(device.missing),
        "verdict": _plain(msgspec.to_builtins(verdict)),
    }  # fmt: skip


def _process(process: Process, with_args: bool) -> dict[str, Any]:
    plain: dict[str, Any] = _plain(process)
    return plain if with_args else plain | {"command": None}


def document(
    hello: Hello, frame: Frame, with_args: bool = False, verdicts: Verdicts = NO_VERDICTS,
    alerts: Sequence[Alert] = (),
) -> dict[str, Any]:  # fmt: skip
    """The snapshot as plain dicts and lists, in the shape of :class:`Snapshot`."""
    with_args = with_args and hello.with_args
    return {
        "type": "snapshot",
        "schema": SCHEMA_VERSION,
        "program": _plain(hello.program),
        "simulated": hello.simulated or frame.simulated,
        "with_args": with_args,
        "utc": utc_text(frame.utc_s),
        "utc_s": frame.utc_s,
        "boottime_s": frame.boottime_s,
        "window_s": frame.interval_s,
        "machine": _plain(hello.host),
        "host": _plain(frame.host),
        "driver": _plain(hello.driver),
        "devices": [
            _device(device, verdicts.get(device.info.uuid)) for device in devices(hello, frame)
        ],
        "processes": [_process(process, with_args) for process in frame.processes],
        "events": as_dicts(alerts, frame.boottime_s),
        "cost": _plain(frame.cost),
    }


def render(
    hello: Hello, frame: Frame, with_args: bool = False, verdicts: Verdicts = NO_VERDICTS,
    alerts: Sequence[Alert] = (),
) -> str:  # fmt: skip
    """The document as text, indented by two, with a newline at its end."""
    made = document(hello, frame, with_args, verdicts, alerts)
    return json.dumps(made, indent=2, allow_nan=False) + "\n"


def json_schema() -> dict[str, Any]:
    """JSON Schema of the document, made from the types."""
    return msgspec.json.schema(Snapshot)

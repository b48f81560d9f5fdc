"""A snapshot as two CSV tables: devices, and one row per process and device it runs on.

Headers are the names of the metrics, units included. A value that is not there is an empty cell,
and its reason stands in the last column, ``missing``, as ``field=reason`` joined by ``;``. Text is
made safe: no control characters, and nothing a spreadsheet would take for a formula.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence

from gputop.export.alerts import AlertRecord, as_dicts
from gputop.export.devices import Device, devices, utc_text
from gputop.insight.alerts import Alert
from gputop.model.frame import DeviceUse, Frame, Hello, Process
from gputop.model.metrics import METRICS
from gputop.text import clean, join_command

_Cell = str | float | None

_FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠")
"""What begins a formula for a spreadsheet, wide forms included (OWASP, CSV injection). Tab and
carriage return begin one too, but `clean` has turned those into pictures."""

_IDENTITY = (
    "uuid", "name", "index", "bus_id", "parent", "mig_profile", "gpu_instance_id",
    "compute_instance_id", "architecture", "compute_capability", "numa_node", "serial", "mine",
)  # fmt: skip
_STATE = ("status", "since_s", "detail")
_PROCESS = (
    "pid", "start_ticks", "name", "user", "uid", "state", "started_utc_s", "cpu_utilization",
    "memory_bytes", "threads",
)  # fmt: skip
_USE = {
    "device": "device",
    "mig": "mig",
    "kinds": "kinds",
    "memory_bytes": "device_memory_bytes",
    "sm_utilization": "sm_utilization",
    "memory_utilization": "memory_utilization",
    "encoder_utilization": "encoder_utilization",
    "decoder_utilization": "decoder_utilization",
}
"""Fields of a use, and their columns."""


def _moment(hello: Hello, frame: Frame) -> dict[str, _Cell]:
    """The columns that say where and when every row comes from."""
    return {
        "utc": utc_text(frame.utc_s),
        "utc_s": frame.utc_s,
        "boottime_s": frame.boottime_s,
        "window_s": frame.interval_s,
        "hostname": hello.host.hostname,
        "simulated": hello.simulated or frame.simulated,
    }


def _missing(reasons: Mapping[str, str]) -> str:
    return ";".join(f"{field}={reason}" for field, reason in sorted(reasons.items()))


def _device_row(device: Device) -> dict[str, _Cell]:
    row: dict[str, _Cell] = {name: getattr(device.info, name) for name in _IDENTITY}
    row |= {name: getattr(device.reading, name) for name in _STATE}
    row |= {metric.name: device.number(metric) for metric in METRICS}
    return row | {"missing": _missing(device.missing)}


def _process_row(process: Process, use: DeviceUse | None, with_args: bool) -> dict[str, _Cell]:
    row: dict[str, _Cell] = {name: getattr(process, name) for name in _PROCESS}
    row |= {column: getattr(use, name) if use else None for name, column in _USE.items()}
    if with_args:
        row["command"] = join_command(process.command) if process.command else None
    of_use = {_USE.get(name, name): why for name, why in use.missing.items()} if use else {}
    return row | {"missing": _missing(process.missing | of_use)}


def _uses(process: Process) -> Sequence[DeviceUse | None]:
    """Its uses; a process that is on no device any more still has its row."""
    return process.uses or [None]


def _safe(cell: _Cell) -> str | float:
    """A cell as written: numbers as they are, flags in words, text that drives nothing."""
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if not isinstance(cell, str):
        return cell
    text = clean(cell, drawn=False)
    return f"'{text}" if text.startswith(_FORMULA) else text


def _table(columns: Iterable[str], rows: Iterable[Mapping[str, _Cell]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    names = list(columns)
    writer.writerow(names)
    writer.writerows([_safe(row[name]) for name in names] for row in rows)
    return out.getvalue()


def devices_table(hello: Hello, frame: Frame) -> str:
    """One row per device and MIG instance; an instance names its device under ``parent``."""
    moment = _moment(hello, frame)
    columns = (*moment, *_IDENTITY, *_STATE, *(metric.name for metric in METRICS), "missing")
    return _table(columns, (moment | _device_row(device) for device in devices(hello, frame)))


def processes_table(hello: Hello, frame: Frame, with_args: bool = False) -> str:
    """One row per process and device; the ``command`` column is there only `with_args`."""
    moment = _moment(hello, frame)
    with_args = with_args and hello.with_args
    command = ("command",) if with_args else ()
    columns = (*moment, *_PROCESS, *_USE.values(), *command, "missing")
    return _table(
        columns,
        (
            moment | _process_row(process, use, with_args)
            for process in frame.processes
            for use in _uses(process)
        ),
    )


def events_table(hello: Hello, frame: Frame, alerts: Sequence[Alert]) -> str:
    """One row per warning, those that last first."""
    moment = _moment(hello, frame)
    columns = (*moment, *AlertRecord.__struct_fields__)
    rows = as_dicts(alerts, frame.boottime_s)
    return _table(columns, (moment | row for row in rows))

"""A snapshot for a person: host, driver, devices, what is wrong with them, and processes.

It fits the width it is given, from 80 columns up; wider ones show more columns. What is not there
is a dash, and a legend says why.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping

from msgspec import Struct

from gputop.export.devices import Device, devices
from gputop.export.health import complaints
from gputop.export.table import Column, lay_out
from gputop.insight.verdicts import NO_VERDICTS, Verdicts
from gputop.model.frame import DeviceUse, DriverInfo, Frame, Hello, HostInfo, HostReading, Process
from gputop.model.metrics import BY_NAME
from gputop.model.missing import PENDING
from gputop.text import (
    DEFAULT_UNITS,
    NO_VALUE,
    Units,
    bytes_pair,
    clean,
    duration,
    join_command,
    local_time,
    percent,
    rate,
    short_name,
    size,
    value,
    watts_pair,
    why,
)

DEFAULT_WIDTH = 100
_UNTOLD = "this reading has no value"


def render(
    hello: Hello,
    frame: Frame,
    with_args: bool = False,
    width: int = DEFAULT_WIDTH,
    units: Units = DEFAULT_UNITS,
    verdicts: Verdicts = NO_VERDICTS,
) -> str:
    """The whole page, with a newline at its end."""
    every = list(devices(hello, frame))
    blocks = [
        _heading(hello, frame, width),
        [*_host(hello.host, frame.host, units, width), *_driver(hello.driver, every)],
        _devices(every, width, units),
        list(_health(every, width)),
        list(_verdicts(every, verdicts, width)),
        _processes(frame, every, with_args and hello.with_args, width, units),
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


# --- Machine ------------------------------------------------------------------------------------


def _heading(hello: Hello, frame: Frame, width: int) -> list[str]:
    when = local_time(frame.utc_s, "%Y-%m-%d %H:%M:%S %z") or NO_VALUE
    window = f"rates over {duration(frame.interval_s)}"
    parts = [clean(hello.program), clean(hello.host.hostname), when, window]
    lines = textwrap.wrap(" · ".join(parts), max(width, 20), break_on_hyphens=False)
    if hello.simulated or frame.simulated:
        lines.append("SIMULATED: these devices do not exist.")
    return lines


def _host(info: HostInfo, host: HostReading, units: Units, width: int) -> Iterator[str]:
    busiest = max(host.cores) if host.cores else None
    cores = len(host.cores) if host.cores else info.cpu_count
    loads = (NO_VALUE if load is None else f"{load:.2f}" for load in _loads(host))
    yield (
        f"CPU     {percent(host.cpu_utilization)} of {cores or NO_VALUE} cores"
        f" · busiest {percent(busiest)} · iowait {percent(host.iowait)} · load {' '.join(loads)}"
    )
    yield (
        f"Memory  {bytes_pair(host.memory_used_bytes, host.memory_total_bytes, units)}"
        f" · {_swap(host, units)}"
    )
    if limits := host.container:
        quota = NO_VALUE if limits.cpu_quota_cores is None else f"{limits.cpu_quota_cores:.1f}"
        used = NO_VALUE if limits.cpu_used_cores is None else f"{limits.cpu_used_cores:.1f}"
        yield (
            f"Limits  {used}/{quota} cores, throttled {percent(limits.cpu_throttled)}"
            f" · memory {bytes_pair(limits.memory_used_bytes, limits.memory_limit_bytes, units)}"
        )
    yield from _legend(
        (
            (title, host.missing.get(name), "")
            for name, title in _HOST_TITLES.items()
            if getattr(host, name) is None
        ),
        width,
    )


_HOST_TITLES = {
    "cpu_utilization": "CPU",
    "cores": "busiest",
    "iowait": "iowait",
    "load_1": "load",
    "memory_used_bytes": "memory",
    "swap_used_bytes": "swap",
}
"""What the host's lines show, by field."""


def _swap(host: HostReading, units: Units) -> str:
    if host.swap_total_bytes == 0:
        return "no swap"
    return f"swap {bytes_pair(host.swap_used_bytes, host.swap_total_bytes, units)}"


def _loads(host: HostReading) -> tuple[float | None, float | None, float | None]:
    return host.load_1, host.load_5, host.load_15


def _driver(driver: DriverInfo, every: list[Device]) -> Iterator[str]:
    if driver.status != "ok":
        said = [clean(part) for part in (driver.message, driver.remedy) if part]
        yield f"Driver  {driver.status}" + (f": {' '.join(said)}" if said else "")
        return
    count = sum(device.info.parent is None for device in every)
    yield (
        f"Driver  {clean(driver.driver_version or NO_VALUE)}"
        f" · CUDA {clean(driver.cuda_version or NO_VALUE)}"
        f" · {count} device{'' if count == 1 else 's'}"
    )


# --- Devices ------------------------------------------------------------------------------------


class _DeviceRow(Struct, frozen=True):
    device: Device
    place: str
    """Its index, with its parent's before it for a MIG instance."""
    units: Units

    def metric(self, name: str, tight: bool) -> str:
        metric = BY_NAME[name]
        return value(metric, self.device.number(metric), self.units, tight)

    def name(self) -> str:
        info = self.device.info
        if info.parent is not None:
            return f"└ MIG {clean(info.mig_profile or '')}".rstrip()
        return short_name(info.name)


def _metric_column(title: str, name: str, rank: int = 0) -> Column[_DeviceRow]:
    return Column(title, lambda row, tight: row.metric(name, tight), rank, fields=(name,))


def _memory(row: _DeviceRow, tight: bool) -> str:
    reading = row.device.reading
    return bytes_pair(reading.memory_used_bytes, reading.memory_total_bytes, row.units, tight)


def _power(row: _DeviceRow, tight: bool) -> str:
    return watts_pair(row.device.reading.power_w, row.device.reading.power_limit_w, tight)


def _traffic(link: str) -> Callable[[_DeviceRow, bool], str]:
    def cell(row: _DeviceRow, tight: bool) -> str:
        ways = (getattr(row.device.reading, f"{link}_{way}_bytes_per_s") for way in ("rx", "tx"))
        return " ".join(rate(way, tight=True) for way in ways)

    return cell


def _traffic_fields(link: str) -> tuple[str, str]:
    return f"{link}_rx_bytes_per_s", f"{link}_tx_bytes_per_s"


# fmt: off
_DEVICE_COLUMNS: tuple[Column[_DeviceRow], ...] = (
    Column("GPU", lambda row, _: row.place),
    Column("NAME", lambda row, _: row.name(), flexible=True),
    _metric_column("UTIL", "gpu_utilization"),
    Column("MEMORY", _memory, fields=("memory_used_bytes",)),
    Column("POWER", _power, fields=("power_w",)),
    _metric_column("TEMP", "temperature_c"),
    _metric_column("SM CLOCK", "sm_clock_mhz"),
    _metric_column("P", "performance_state"),
    _metric_column("FAN", "fan_speed"),
    _metric_column("SM ACT", "sm_activity", 1),
    _metric_column("TENSOR", "tensor_activity", 2),
    _metric_column("DRAM", "dram_activity", 3),
    Column("PCIE RX TX", _traffic("pcie"), 4, fields=_traffic_fields("pcie")),
    Column("NVLINK RX TX", _traffic("nvlink"), 5, fields=_traffic_fields("nvlink")),
    _metric_column("MEM TEMP", "memory_temperature_c", 6),
    _metric_column("ENC", "encoder_utilization", 7),
    _metric_column("DEC", "decoder_utilization", 8),
    _metric_column("ENERGY", "energy_j", 9),
)
# fmt: on


def _places(every: Iterable[Device]) -> dict[str, str]:
    """How each device is called in the table, by UUID."""
    places: dict[str, str] = {}
    for device in every:
        own = "?" if device.info.index is None else str(device.info.index)
        parent = device.info.parent
        places[device.info.uuid] = own if parent is None else f"{places.get(parent, '?')}:{own}"
    return places


def _devices(every: list[Device], width: int, units: Units) -> list[str]:
    if not every:
        return []
    places = _places(every)
    rows = [_DeviceRow(device, places[device.info.uuid], units) for device in every]
    layout = lay_out(_DEVICE_COLUMNS, rows, width)
    dashes = (
        (column.title, device.reason(name), places[device.info.uuid])
        for column in layout.columns
        for device in every
        if device.reading.status in _TELLS_WHY
        for name in column.fields
        if device.number(BY_NAME[name]) is None
    )
    return layout.lines + list(_legend(dashes, width, "GPU "))


_TELLS_WHY = ("ok", "pending")
"""Statuses under which each value has a reason; under the others the health lines say it all."""


def _health(every: list[Device], width: int) -> Iterator[str]:
    places = _places(every)
    well = 0
    whole = [device for device in every if device.info.parent is None]
    for device in every:
        found = complaints(device)
        well += device in whole and all(complaint.severity == "notice" for complaint in found)
        for complaint in found:
            detail = f": {clean(complaint.detail).rstrip('.')}" if complaint.detail else ""
            yield from _hanging(
                f"{complaint.severity.upper():<8}  GPU {places[device.info.uuid]}  "
                f"{complaint.title}{detail}. {complaint.advice}".rstrip(),
                width,
            )
    if whole:
        yield f"{well} of {len(whole)} devices have no warning."


def _verdicts(every: list[Device], verdicts: Verdicts, width: int) -> Iterator[str]:
    places = _places(every)
    for device in every:
        if verdict := verdicts.get(device.info.uuid):
            yield from _hanging(
                f"GPU {places[device.info.uuid]}  {verdict.title} ({verdict.basis}). "
                f"{verdict.sentence} {verdict.advice}",
                width,
            )


# --- Legends ------------------------------------------------------------------------------------

_MOST_NAMED = 8
"""How many devices or processes a legend names."""


def _legend(
    dashes: Iterable[tuple[str, str | None, str]], width: int, kind: str = ""
) -> Iterator[str]:
    """Why a dash stands where it stands, from title, reason and whose it is.

    Titles that share reason and owners share a line.
    """
    owners: dict[tuple[str, str], dict[str, None]] = {}
    for title, reason, owner in dashes:
        said = why(reason) if reason else _UNTOLD
        owners.setdefault((title, said), {})[owner] = None
    titles: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for (title, said), whose in owners.items():
        titles.setdefault((said, tuple(whose)), []).append(title)
    for (said, whose_all), names in titles.items():
        yield from _hanging(
            f"{NO_VALUE} {', '.join(names)}: {said}{_named(whose_all, kind)}", width
        )


def _named(owners: tuple[str, ...], kind: str) -> str:
    if not kind:
        return ""
    more = len(owners) - _MOST_NAMED
    rest = f" and {more} more" if more > 0 else ""
    return f" ({kind}{', '.join(owners[:_MOST_NAMED])}{rest})"


def _hanging(line: str, width: int) -> list[str]:
    return textwrap.wrap(
        line, max(width, 20), subsequent_indent="    ", break_on_hyphens=False,
        replace_whitespace=False,
    )  # fmt: skip


# --- Processes ----------------------------------------------------------------------------------


class _ProcessRow(Struct, frozen=True):
    process: Process
    use: DeviceUse | None
    places: Mapping[str, str]
    with_args: bool
    units: Units

    def place(self) -> str:
        if self.use is None:
            return NO_VALUE
        return self.places.get(self.use.mig or self.use.device, "?")

    def command(self) -> str:
        if self.with_args and self.process.command:
            return join_command(self.process.command)
        return clean(self.process.name) if self.process.name else NO_VALUE

    def why(self, field: str) -> tuple[str | None] | None:
        """The reason, if it is known, in a tuple where `field` has no value; else None."""
        owner = self.use if field.startswith(_OF_USE) else self.process
        name = field.removeprefix(_OF_USE)
        if owner is None:
            return None
        return (owner.missing.get(name),) if getattr(owner, name) is None else None


_OF_USE = "use."
"""What a field of the use, not of the process, begins with."""


def _use_column(title: str, name: str, rank: int = 0) -> Column[_ProcessRow]:
    def cell(row: _ProcessRow, tight: bool) -> str:
        return percent(getattr(row.use, name) if row.use else None, tight)

    return Column(title, cell, rank, fields=(_OF_USE + name,))


def _device_memory(row: _ProcessRow, tight: bool) -> str:
    return size(row.use.memory_bytes if row.use else None, row.units, tight)


# fmt: off
_PROCESS_COLUMNS: tuple[Column[_ProcessRow], ...] = (
    Column("PID", lambda row, _: str(row.process.pid)),
    Column("USER", lambda row, tight: clean(row.process.user or NO_VALUE, 8 if tight else 16),
           fields=("user",)),
    Column("GPU", lambda row, _: row.place()),
    Column("TYPE", lambda row, _: clean(row.use.kinds, 4) if row.use else NO_VALUE),
    Column("GPU MEM", _device_memory, fields=(_OF_USE + "memory_bytes",)),
    _use_column("SM", "sm_utilization"),
    _use_column("ENC", "encoder_utilization", 2),
    _use_column("DEC", "decoder_utilization", 3),
    Column("CPU", lambda row, tight: percent(row.process.cpu_utilization, tight),
           fields=("cpu_utilization",)),
    Column("HOST MEM", lambda row, tight: size(row.process.memory_bytes, row.units, tight), 1,
           fields=("memory_bytes",)),
    Column("COMMAND", lambda row, _: row.command(), flexible=True, fields=("name",)),
)
# fmt: on


def _processes(
    frame: Frame, every: list[Device], with_args: bool, width: int, units: Units
) -> list[str]:
    if not every:
        return []
    unread = _unread_lists(every, width)
    if not frame.processes:
        return unread or ["No process holds a device."]
    places = _places(every)
    rows = [
        _ProcessRow(process, use, places, with_args, units)
        for process in frame.processes
        for use in (process.uses or (None,))
    ]
    layout = lay_out(_PROCESS_COLUMNS, rows, width)
    dashes = (
        (column.title, why[0], str(row.process.pid))
        for column in layout.columns
        for row in rows
        for field in column.fields
        if (why := row.why(field))
    )
    return layout.lines + list(_legend(dashes, width, "PID ")) + unread


def _unread_lists(every: list[Device], width: int) -> list[str]:
    """Of which devices nobody knows who holds them, and why."""
    places = _places(every)
    said = [
        f"GPU {places[device.info.uuid]}: {why(device.reading.reason('processes') or PENDING)}."
        for device in every
        if device.info.parent is None and device.reading.read_at.processes is None
    ]
    whole = " ".join(["Process lists are not readable:", *said])
    return textwrap.wrap(whole, max(width, 20), break_on_hyphens=False) if said else []

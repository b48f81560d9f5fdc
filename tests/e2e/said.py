"""What a screen, a file, frames and a recording say of the devices, in one form to compare.

That form is the document of a snapshot: `e` and `gputop snapshot` write it, and frames are put
into it here.
"""

from __future__ import annotations

import re
import statistics
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any

import msgspec
import pytest

from gputop import text
from gputop.export.json_format import document
from gputop.model.frame import (
    DeviceInfo,
    DeviceReading,
    DriverInfo,
    Frame,
    Hello,
    HostInfo,
    HostReading,
    Process,
)
from gputop.model.metrics import METRICS, OF_INFO
from gputop.model.missing import explain
from tests.e2e.conftest import HIGH, LOW, PERIOD_S
from tests.e2e.program import Gputop, Records

Document = Mapping[str, Any]
Told = dict[str, dict[str, Any]]
"""By device, by metric: the value, or in words why there is none."""

GROWING = frozenset({"gpu_utilization", "energy_j"})
"""What is another value at every reading."""
RATES = {"rel": 0.05}
"""What is counted between two readings is as exact as their times."""
EXACT = frozenset({"index", "status"})
"""What is said in these words and no others."""
PASSING = frozenset({"pending", "needs_two_readings"})
"""Reasons that end by themselves, at a moment of their own in every process."""


def documents(records: Records) -> Iterator[Document]:
    """Of each frame with devices, what a snapshot of it is."""
    hello = None
    for record in records.all:
        if isinstance(record, Hello):
            hello = record
        elif isinstance(record, Frame) and hello is not None:
            yield document(hello, record)


def records_of(saved: Document) -> list[Hello | Frame]:
    """The hello and the frame that a document was made of."""
    common = {"session": "", "utc_s": saved["utc_s"], "boottime_s": saved["boottime_s"]}
    devices, window_s = saved["devices"], saved["window_s"]
    return [
        Hello(
            schema=saved["schema"], program=saved["program"], interval_s=window_s, **common,
            host=msgspec.convert(saved["machine"], HostInfo),
            driver=msgspec.convert(saved["driver"], DriverInfo),
            devices=msgspec.convert(devices, list[DeviceInfo]),
        ),
        Frame(
            seq=0, interval_s=window_s, **common,
            host=msgspec.convert(saved["host"], HostReading),
            devices=msgspec.convert(devices, list[DeviceReading]),
            processes=msgspec.convert(saved["processes"], list[Process]),
        ),
    ]  # fmt: skip


def said_of_driver(saved: Document) -> dict[str, Any]:
    """What a document says of the driver, but for the time since when."""
    return {name: said for name, said in saved["driver"].items() if name != "since_s"}


def by_place(device: Mapping[str, Any]) -> str:
    """A device's name where one may have been lost before it said its UUID."""
    return device["uuid"] if device["parent"] else f"GPU {device['index']}"


def by_uuid(device: Mapping[str, Any]) -> str:
    """A device's name where one may stand in the place of another."""
    uuid: str = device["uuid"]
    return uuid


def told(saved: Document, name: Callable[[Mapping[str, Any]], str] = by_place) -> Told:
    """What a document says of every device: where and how it is, its metrics, and who holds how
    much of it.
    """
    names = {device["uuid"]: name(device) for device in saved["devices"]}
    assert len(names) == len(set(names.values())), names
    said = {names[device["uuid"]]: _metrics(device) for device in saved["devices"]}
    for process in saved["processes"]:
        for use in process["uses"]:
            held = use["memory_bytes"], use["kinds"], use["mig"]
            said[names[use["device"]]][f"process {process['pid']}"] = held
    return said


def _metrics(device: Mapping[str, Any]) -> dict[str, Any]:
    return {name: device[name] for name in EXACT} | {
        metric.name: why(device, metric.name) if device[metric.name] is None
        else device[metric.name]
        for metric in METRICS
    }  # fmt: skip


def why(device: Mapping[str, Any], name: str) -> str:
    """Why a field of a document's device has no value."""
    untold = "pending" if name in OF_INFO else device["status"]  # who never said who it is
    reason: str = device["missing"].get(name) or untold
    return reason


def differences(one: Told, other: Told, but: Collection[str] = ()) -> list[str]:
    """Where two say different things of the same machine at two moments."""
    if one.keys() != other.keys():
        return [f"devices {sorted(one)} and {sorted(other)}"]
    return [
        f"{name} of {device}: {one[device].get(name)} and {other[device].get(name)}"
        for device in one
        for name in (one[device].keys() | other[device].keys()) - set(but)
        if not _alike(name, one[device].get(name), other[device].get(name))
    ]


def _alike(name: str, one: Any, other: Any) -> bool:
    if name not in EXACT and (isinstance(one, str) or isinstance(other, str)):
        return explain(str(one)) == explain(str(other)) or not PASSING.isdisjoint((one, other))
    if not isinstance(one, float | int) or not isinstance(other, float | int):
        return bool(one == other)
    return name in GROWING or one == pytest.approx(other, **RATES)


def unsettled(devices: Iterable[Mapping[str, Any]]) -> list[str]:
    """What devices will say in a moment."""
    return [
        f"{metric.name} of {device['uuid']}"
        for device in devices
        for metric in METRICS
        if device[metric.name] is None and why(device, metric.name) in PASSING
    ]


def drift_s(records: Records, uuid: str) -> float:
    """How far a device's utilisation is from what the driver said at that moment, in seconds."""
    number = int(uuid[-2:], 16)
    return statistics.median(
        _off_ramp_s(reading.gpu_utilization, reading.read_at.fast, number)
        for frame in records.frames
        for reading in frame.devices
        if reading.uuid == uuid and reading.gpu_utilization is not None
    )


def _off_ramp_s(utilization: float, read_at: float, number: int) -> float:
    offset = time.clock_gettime(time.CLOCK_BOOTTIME) - time.monotonic()
    turn = ((read_at - offset) / PERIOD_S + number * 0.381966) % 1
    off = abs((100 * utilization - LOW) / (HIGH - LOW) - turn)
    return PERIOD_S * min(off, 1 - off)


def fresh(records: Records, uuid: str) -> float:
    """The share of frames with a new reading of a device."""
    times = [
        reading.read_at.fast for frame in records.frames for reading in frame.devices
        if reading.uuid == uuid
    ]  # fmt: skip
    return len(set(times)) / len(times)


# -- the screen ----------------------------------------------------------------------------------

PANE = {
    "util": ("gpu_utilization", lambda value: r"\d+ %"),
    "mem": ("memory_used_bytes", lambda value: rf"{value / 2**30:.1f}/"),
    "power": ("power_w", lambda value: rf"{value:.0f}(/| W)"),
    "temp": ("temperature_c", lambda value: rf"{value:.0f}(/| °C)"),
}
"""By the word in a pane: the metric, and the pattern of a value."""
LABEL, VALUE, CHART = 2, 8, 22
"""Where they begin in a pane's row."""


def check_pane(
    terminal: Gputop, index: int, device: Mapping[str, Any], but: Collection[str]
) -> None:
    """See that a pane says what a file of the same moment says.

    An old value is not drawn as a new one is: it has not the colour of the host's.
    """
    (left, top), current = terminal.pane_at(index), _colour_of_the_host(terminal)
    for number, row in enumerate(terminal.device(index).splitlines()[1:-1], 1):
        word, shown = row[LABEL:VALUE].strip(), row[VALUE:CHART].strip()
        name, form = PANE.get(word, ("", None))
        if form is None or name in but:
            continue
        colour = terminal.cell(left + VALUE, top + number).fg
        is_current = colour == current
        if device[name] is not None and device["status"] == "ok":
            assert re.match(form(device[name]), shown), f"{row}, but in the file {device[name]}"
            assert is_current, f"{row} is drawn as if it were old"
            continue
        assert not is_current, f"{row} is drawn as a value of now, in the file there is none"
        words = re.sub(r"[^\w ]", "", row[CHART:-1]).strip()
        if shown == text.NO_VALUE and words and not device["mig_mode"]:
            reason = re.sub(r"[^\w ]", "", text.why(why(device, name)))
            assert reason.startswith(words), f"{row}, but in the file {why(device, name)}"


def _colour_of_the_host(terminal: Gputop) -> str:
    """In which the CPU's utilisation is drawn, which is always of now."""
    row, found = next(
        (row, found)
        for row, line in enumerate(terminal.lines())
        if (found := re.search(r"\bcpu +(\d)", line))
    )
    return terminal.cell(found.start(1), row).fg


def without_charts(pane: str) -> list[str]:
    """A pane's numbers that stand still: name, clock and state, memory, power, temperature."""
    top, *rows = pane.splitlines()
    kept = [row[LABEL:CHART].strip() for row in rows if row[LABEL:VALUE].strip() in PANE]
    return [top.strip("╭─╮› "), *kept[1:]]

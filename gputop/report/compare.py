"""Two reports side by side, with what differs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import msgspec

from gputop import text
from gputop.model.metrics import BY_NAME, Unit
from gputop.report import words
from gputop.report.shape import VERSION, DeviceReport, Report
from gputop.text import DEFAULT_UNITS, NO_VALUE, Units


class Difference(msgspec.Struct):
    """One quantity in both reports."""

    name: str
    label: str
    """For a person."""
    a: float | None
    b: float | None
    change: float | None
    """Of b over a: 0.1 is ten per cent more. None where a is 0, and of temperatures, whose zero is
    nothing.
    """
    device: str | None = None
    """How the device is called; None for the whole run."""
    shown: tuple[str, str, str] = (NO_VALUE, NO_VALUE, NO_VALUE)
    """Both with their units and the change, for a person."""


class Comparison(msgspec.Struct, tag="comparison"):
    """Two reports."""

    version: int
    a: Report
    b: Report
    differences: list[Difference]


Form = Callable[[float | None], str]
"""Writes a value for a person."""
_OF_DEVICES = ("gpu_utilization", "memory_used_bytes", "power_w", "temperature_c", "sm_clock_mhz")


def compare(a: Report, b: Report, units: Units = DEFAULT_UNITS) -> Comparison:
    """Report `b` held against `a`. Devices are matched by their UUID, else by their place."""
    found = [*_of_the_run(a, b), *_of_the_devices(a, b, units)]
    return Comparison(VERSION, a, b, found)


def _difference(
    name: str, label: str, both: Sequence[float | None], form: Form, device: str | None = None,
    apart: Form | None = None,
) -> Iterator[Difference]:  # fmt: skip
    """A line, where one of them is known. `apart` writes the distance between values that have no
    ratio.
    """
    a, b = both
    if a is None and b is None:
        return
    change = (b - a) / a if a and b is not None and apart is None else None
    shown = form(a), form(b)
    if a is None or b is None:
        said = NO_VALUE
    elif a == b:
        said = "="
    elif apart is not None:
        said = f"{'-' if b < a else '+'}{apart(abs(b - a))}"
    elif "%" in shown[0] + shown[1]:
        said = f"{(b - a) * 100:+.1f} pt"
    else:
        said = NO_VALUE if change is None else f"{change * 100:+.1f} %"
    yield Difference(name, label, a, b, change, device, (*shown, said))


def _of_the_run(a: Report, b: Report) -> Iterator[Difference]:
    for field, label, form in (
        ("duration_s", "Time", text.elapsed),
        ("gpu_hours_allocated", "GPU-hours allocated", words.hours),
        ("gpu_hours_active", "GPU-hours active", words.hours),
    ):
        yield from _difference(field, label, [getattr(r, field) for r in (a, b)], form)
    energies = [report.energy for report in (a, b)]
    joules = [energy.joules if energy else None for energy in energies]
    watts = [energy.average_w if energy else None for energy in energies]
    yield from _difference("energy_j", "Energy", joules, text.watt_hours)
    yield from _difference("average_w", "Average power", watts, text.watts)
    cpu = [report.host.cpu.mean if report.host.cpu else None for report in (a, b)]
    yield from _difference("host_cpu", "Host CPU", cpu, text.percent)


def _of_the_devices(a: Report, b: Report, units: Units) -> Iterator[Difference]:
    def degrees(apart: float | None) -> str:
        return text.celsius_difference(apart, units, digits=1)

    for both in pairs(a, b):
        name = pair_title(*both)
        for metric in map(BY_NAME.__getitem__, _OF_DEVICES):
            found = [device.statistics.get(metric.name) for device in both]
            means = [statistic.mean if statistic else None for statistic in found]
            form = partial(text.value, metric, units=units)
            apart = degrees if metric.unit is Unit.CELSIUS else None
            label = f"{metric.label}, mean"
            yield from _difference(f"{metric.name}.mean", label, means, form, name, apart)
        for field, title in (("idle_share", "Idle"), ("starved_share", "Input-starved")):
            shares = [getattr(device, field) for device in both]
            yield from _difference(field, title, shares, text.percent, name)
        yield from _held_back(both, name)
        joules = [device.energy.joules if device.energy else None for device in both]
        yield from _difference("energy_j", "Energy", joules, text.watt_hours, name)


def _held_back(both: Sequence[DeviceReport], name: str) -> Iterator[Difference]:
    titles = {reason.key: reason.title for device in both for reason in device.held_back}
    for key, title in titles.items():
        # A reason that is not listed did not hold the device back, where reasons were read.
        shares = [
            next((r.share for r in device.held_back if r.key == key),
                 0.0 if device.held_back_read_s else None)
            for device in both
        ]  # fmt: skip
        yield from _difference(f"held_back.{key}", title.capitalize(), shares, text.percent, name)


def pairs(a: Report, b: Report) -> list[tuple[DeviceReport, DeviceReport]]:
    """The used devices of both: the same ones where they are, else in their order."""
    ours, theirs = ([d for d in r.devices if d.used and d.parent is None] for r in (a, b))
    there = {device.uuid: device for device in theirs}
    same = [(device, there[device.uuid]) for device in ours if device.uuid in there]
    if same:
        return same
    return list(zip(ours, theirs, strict=False))


def pair_title(a: DeviceReport, b: DeviceReport) -> str:
    """Which device a pair is of; both of them where they are not called the same."""
    names = [words.device_title(device) for device in (a, b)]
    return names[0] if names[0] == names[1] else f"{names[0]} (A), {names[1]} (B)"


def unmatched(comparison: Comparison) -> str:
    """A sentence on the devices that stand in one report only; empty where there are none."""
    a, b = comparison.a, comparison.b
    common = len(pairs(a, b))
    counts = [
        sum(d.used and d.parent is None for d in report.devices) - common for report in (a, b)
    ]
    said = [f"{count} in {name} only" for name, count in zip("AB", counts, strict=True) if count]
    return f"Not compared: devices used {' and '.join(said)}." if said else ""

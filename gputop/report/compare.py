"""Two reports side by side, with what differs."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from gputop import text
from gputop.model.metrics import BY_NAME
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
    """Of b over a: 0.1 is ten per cent more. None where a is 0 or one is not known."""
    device: str | None = None
    """How the device is called; None for the whole run."""
    shown: tuple[str, str] = (NO_VALUE, NO_VALUE)
    """Both with their units, for a person."""


class Comparison(msgspec.Struct, tag="comparison"):
    """Two reports."""

    version: int
    a: Report
    b: Report
    differences: list[Difference]


_OF_DEVICES = ("gpu_utilization", "memory_used_bytes", "power_w", "temperature_c", "sm_clock_mhz")


def compare(a: Report, b: Report, units: Units = DEFAULT_UNITS) -> Comparison:
    """Report `b` held against `a`. Devices are matched by their UUID, else by their place."""
    found = [*_of_the_run(a, b), *_of_the_devices(a, b, units)]
    return Comparison(VERSION, a, b, found)


def _difference(
    name: str,
    label: str,
    a: float | None,
    b: float | None,
    form: Callable[[float | None], str],
    device: str | None = None,
) -> Difference:
    change = (b - a) / a if a and b is not None else None
    return Difference(name, label, a, b, change, device, (form(a), form(b)))


def _of_the_run(a: Report, b: Report) -> Iterator[Difference]:
    yield _difference("duration_s", "Time", a.duration_s, b.duration_s, text.elapsed)
    yield _difference("gpu_hours_allocated", "GPU-hours allocated", a.gpu_hours_allocated,
                      b.gpu_hours_allocated, words.hours)  # fmt: skip
    yield _difference("gpu_hours_active", "GPU-hours active", a.gpu_hours_active,
                      b.gpu_hours_active, words.hours)  # fmt: skip
    ours, theirs = a.energy, b.energy
    joules = [energy.joules if energy else None for energy in (ours, theirs)]
    watts = [energy.average_w if energy else None for energy in (ours, theirs)]
    yield _difference("energy_j", "Energy", joules[0], joules[1],
                      text.watt_hours)  # fmt: skip
    yield _difference("average_w", "Average power", watts[0], watts[1], text.watts)
    cpu = [report.host.cpu.mean if report.host.cpu else None for report in (a, b)]
    yield _difference("host_cpu", "Host CPU", cpu[0], cpu[1], text.percent)


def _of_the_devices(a: Report, b: Report, units: Units) -> Iterator[Difference]:
    for ours, theirs in _pairs(a, b):
        name = words.device_title(ours)
        for metric in _OF_DEVICES:
            both = [d.statistics.get(metric) for d in (ours, theirs)]
            means = [found.mean if found else None for found in both]

            def form(number: float | None, metric: str = metric) -> str:
                return text.value(BY_NAME[metric], number, units)

            label = f"{BY_NAME[metric].label}, mean"
            yield _difference(f"{metric}.mean", label, means[0], means[1], form, name)
        for field, title in (("idle_share", "Idle"), ("starved_share", "Input-starved")):
            left_share, right_share = getattr(ours, field), getattr(theirs, field)
            if left_share is not None or right_share is not None:
                yield _difference(field, title, left_share, right_share, text.percent, name)
        yield from _held_back(ours, theirs, name)
        left_j = ours.energy.joules if ours.energy else None
        right_j = theirs.energy.joules if theirs.energy else None
        yield _difference("energy_j", "Energy", left_j, right_j, text.watt_hours, name)


def _held_back(a: DeviceReport, b: DeviceReport, name: str) -> Iterator[Difference]:
    titles = {reason.key: reason.title for device in (a, b) for reason in device.held_back}
    for key, title in titles.items():
        # A reason that is not listed did not hold the device back, where the others were read.
        shares = [
            next((r.share for r in device.held_back if r.key == key), 0.0 if device.covered_s
                 else None)
            for device in (a, b)
        ]  # fmt: skip
        yield _difference(f"held_back.{key}", title.capitalize(), shares[0], shares[1],
                          text.percent, name)  # fmt: skip


def _pairs(a: Report, b: Report) -> list[tuple[DeviceReport, DeviceReport]]:
    """The used devices of both: the same ones where they are, else in their order."""
    ours, theirs = ([d for d in r.devices if d.used and d.parent is None] for r in (a, b))
    there = {device.uuid: device for device in theirs}
    same = [(device, there[device.uuid]) for device in ours if device.uuid in there]
    if same:
        return same
    return list(zip(ours, theirs, strict=False))


def unmatched(comparison: Comparison) -> str:
    """A sentence on the devices that stand in one report only; empty where there are none."""
    a, b = comparison.a, comparison.b
    pairs = _pairs(a, b)
    counts = [
        sum(d.used and d.parent is None for d in report.devices) - len(pairs) for report in (a, b)
    ]
    said = [f"{count} only in {name}" for name, count in zip("AB", counts, strict=True) if count]
    return f"Devices used {' and '.join(said)} are not compared." if said else ""


def changed(difference: Difference) -> str:
    """The change for a person: shares in points, the rest in per cent."""
    a, b = difference.a, difference.b
    if a is None or b is None:
        return NO_VALUE
    if a == b:
        return "="
    if difference.shown[0].endswith("%") or difference.shown[1].endswith("%"):
        return f"{(b - a) * 100:+.1f} pt"
    return NO_VALUE if difference.change is None else f"{difference.change * 100:+.1f} %"

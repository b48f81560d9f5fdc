"""Making the calls of the read table for one device, and remembering which it does not have."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from gputop.collect.nvml import abi
from gputop.collect.nvml.fields import FieldBatch
from gputop.collect.nvml.library import Library, Meter
from gputop.collect.nvml.reads import READS, Read, fields_of
from gputop.collect.nvml.values import Result, Trouble, reason_of
from gputop.model import missing
from gputop.model.metrics import METRICS, Tier

T = TypeVar("T")
Step = Callable[[Result], None]

METRICS_OF: dict[Tier, tuple[str, ...]] = {
    tier: tuple(metric.name for metric in METRICS if metric.tier == tier)
    for tier in ("fast", "medium", "slow", "once")
}


class PreparedRead:
    """One call with its buffers, for one device."""

    __slots__ = ("_arguments", "_function", "_meter", "_metrics", "_never", "_outputs", "_read")

    def __init__(self, library: Library, meter: Meter, handle: Any, read: Read) -> None:
        self._read = read
        self._meter = meter
        self._function = library.function(read.function)
        self._outputs = tuple(make() for make in read.outputs)
        pointers = tuple(ctypes.byref(output) for output in self._outputs)
        self._arguments = (handle, *read.arguments, *pointers)
        self._metrics = tuple(
            (value, absent_of(self._outputs[value.output], value.attribute))
            for value in read.values
        )
        self._never = self._function is None

    def __call__(self, result: Result) -> None:
        """Make the call where it is still of use. Raises Trouble for a lost device; any other
        failure is the reason of this call's metrics alone.
        """
        wanted = [value.metric for value in self._read.values if result.open(value.metric)]
        if not wanted:
            return
        reason = missing.UNSUPPORTED if self._never else self._ask(result, wanted)
        if reason is not None:
            for metric in wanted:
                result.refuse(metric, reason)

    def _ask(self, result: Result, wanted: list[str]) -> str | None:
        assert self._function is not None
        self._meter.calls += 1
        try:
            code = self._function(*self._arguments)
            if code == abi.SUCCESS:
                return self._take(result, wanted)
        except Exception as e:
            return missing.error(type(e).__name__)
        Trouble.check(code)
        result.codes.add(code)
        self._never = code in abi.NEVER
        return reason_of(code)

    def _take(self, result: Result, wanted: list[str]) -> str | None:
        there = self._read.there
        if there and not getattr(self._outputs[0], there):
            self._never = True
            return missing.UNSUPPORTED
        for value, absent in self._metrics:
            output = self._outputs[value.output]
            raw = getattr(output, value.attribute) if value.attribute else output.value
            if value.metric in wanted:
                result.put(value.metric, raw, absent, value.convert)
        return None


def absent_of(output: Any, attribute: str) -> int | None:
    """What an output, or its member, holds for "not available"."""
    kind = dict(output._fields_)[attribute] if attribute else type(output)
    return {ctypes.c_uint: abi.U32_ABSENT, ctypes.c_ulonglong: abi.U64_ABSENT}.get(kind)


class Reader:
    """All the table's reads of one device, or those that a MIG instance answers."""

    def __init__(
        self, library: Library, meter: Meter, handle: Any, driver_version: str | None = None,
        instance: bool = False,
    ) -> None:  # fmt: skip
        self._steps: dict[Tier, list[Step]] = {tier: [] for tier in METRICS_OF}
        self._batches: dict[Tier, FieldBatch] = {}
        for tier, steps in self._steps.items():
            fields = () if instance else fields_of(tier, driver_version)
            batch = FieldBatch(library, meter, handle, fields)
            self._batches[tier] = batch
            steps.append(guarded(batch.read, [field.metric for field in fields]))
        self._steps["fast"].append(power_without_average)
        for read in READS:
            if read.of_instances or not instance:
                self._steps[read.tier].append(PreparedRead(library, meter, handle, read))

    @property
    def averages_power(self) -> bool:
        """True when the device answers a mean power beside that of the moment."""
        return "power_w" in self._batches["fast"].supported

    def steps(self, tier: Tier) -> list[Step]:
        """The tier's reads one by one; the batch of numbered fields comes first."""
        return self._steps[tier]

    def read(self, tier: Tier, result: Result) -> None:
        """All reads of a tier. Raises Trouble for a lost device."""
        for step in self._steps[tier]:
            step(result)


def power_without_average(result: Result) -> None:
    """GA100 and older know the power of the moment only, and nvidia-smi's power.draw is that."""
    if result.open("power_w") and "power_instant_w" in result.values:
        result.values["power_w"] = result.values["power_instant_w"]
        result.missing.pop("power_w", None)


def guarded(step: Step, metrics: Iterable[str]) -> Step:
    """A step whose own failures stay with it: the exception's name becomes the reason why its
    metrics are missing.
    """

    def run(result: Result) -> None:
        try:
            step(result)
        except Trouble:
            raise
        except Exception as e:
            for metric in metrics:
                result.refuse(metric, missing.error(type(e).__name__))

    return run


def shielded(read: Callable[[], T | None]) -> T | None:
    """What `read` brings; None when it fails in a way that says nothing about the device."""
    try:
        return read()
    except Trouble:
        raise
    except Exception:
        return None


def settle(tier: Tier, result: Result) -> Result:
    """Say "not supported" of the tier's metrics that nobody spoke of."""
    for metric in METRICS_OF[tier]:
        if metric not in result.values and metric not in result.missing:
            result.missing[metric] = missing.UNSUPPORTED
    return result

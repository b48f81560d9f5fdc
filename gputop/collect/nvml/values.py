"""From what the driver answers to a value or the reason why there is none."""

from __future__ import annotations

import math
from collections.abc import Callable

from gputop.collect.nvml import abi
from gputop.model import missing
from gputop.model.metrics import plausible

Raw = int | float
Convert = Callable[[Raw], int | float | bool | None]
"""From the driver's unit to the metric's; None for what cannot be."""

UNKNOWN_TYPE = missing.error("value_type")


class Trouble(Exception):
    """A code that is about the whole device or library, and not about one reading."""

    def __init__(self, code: int) -> None:
        """`code` is the NVML return code."""
        super().__init__(f"NVML answered {code}")
        self.code = code

    @classmethod
    def check(cls, code: int) -> None:
        """Raise for the codes after which there is no point in asking on."""
        if code in abi.LOST or code in abi.LIBRARY_GONE:
            raise cls(code)


def reason_of(code: int) -> str:
    """The reason that a return code stands for."""
    if code in abi.NEVER:
        return missing.UNSUPPORTED
    return missing.DENIED if code == abi.NO_PERMISSION else missing.error(code)


class Result:
    """What one round of reads of a device gave."""

    __slots__ = ("codes", "missing", "values")

    def __init__(self) -> None:
        self.values: dict[str, object] = {}
        self.missing: dict[str, str] = {}
        self.codes: set[int] = set()
        """The codes of the calls that failed."""

    def note(self, code: int) -> None:
        """Remember that a call failed."""
        self.codes.add(code)

    def open(self, metric: str) -> bool:
        """True when nothing was answered for `metric` but "not supported": an older call may
        still know it.
        """
        if metric in self.values:
            return False
        return self.missing.get(metric, missing.UNSUPPORTED) == missing.UNSUPPORTED

    def refuse(self, metric: str, reason: str) -> None:
        """Say why `metric` has no value, unless a better reason stands there."""
        if self.open(metric):
            self.missing[metric] = reason

    def put(self, metric: str, raw: Raw | None, absent: int | None, convert: Convert) -> None:
        """Judge one answer. `absent` is what its type says for "not available", and a `raw` of
        None is an answer of a type that nobody knows.
        """
        value, reason = judge(metric, raw, absent, convert)
        if reason is None:
            self.values[metric] = value
            self.missing.pop(metric, None)
        else:
            self.missing[metric] = reason


def judge(
    metric: str, raw: Raw | None, absent: int | None, convert: Convert
) -> tuple[int | float | bool | None, str | None]:
    """The value in the metric's unit, or the reason why there is none."""
    if raw is None:
        return None, UNKNOWN_TYPE
    if raw == absent:
        return None, missing.UNSUPPORTED
    if not math.isfinite(raw):
        return None, missing.implausible(raw)
    value = convert(raw)
    if value is None or not plausible(metric, value):
        return None, missing.implausible(raw)
    return value, None


# -- conversions ---------------------------------------------------------------------------


def whole(raw: Raw) -> int:
    """The number as it is."""
    return int(raw)


def degrees(raw: Raw) -> float:
    """Degrees Celsius as they are."""
    return float(raw)


def per_cent(raw: Raw) -> float:
    """Per cent to a ratio."""
    return raw / 100


def milli(raw: Raw) -> float:
    """Milliwatts or millijoules to watts or joules."""
    return raw / 1000


def nanoseconds(raw: Raw) -> float:
    """Nanoseconds to seconds."""
    return raw / 1e9


def kilobytes(raw: Raw) -> float:
    """KB to bytes: NVML counts PCIe throughput in thousands."""
    return raw * 1000.0


def mebibytes(raw: Raw) -> float:
    """MiB to bytes."""
    return raw * 1048576.0


def flag(raw: Raw) -> bool | None:
    """0 or 1; anything else cannot be."""
    return bool(raw) if raw in (0, 1) else None


def mask(raw: Raw) -> int | None:
    """A mask of 32 bits; the driver's type is wider, its reasons are not."""
    return int(raw) if 0 <= raw <= 0xFFFFFFFF else None

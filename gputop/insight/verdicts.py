"""What limits a device: one line with the readings it rests on, and one thing to try."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from msgspec import Struct

Basis = Literal["measured", "estimated"]
"""`measured`: the device's own counters say it (GPM activity, PCIe throughput, throttle time).
`estimated`: inferred from utilisation, power, clocks or the host's load."""


class Evidence(Struct, frozen=True):
    """One reading that a verdict rests on."""

    label: str
    value: str
    """With its unit, for a person."""
    window: str
    """The time it speaks for, such as ``60 s``, or ``now``."""


class Verdict(Struct, frozen=True):
    """What limits a device."""

    key: str
    title: str
    """A few words."""
    basis: Basis
    evidence: tuple[Evidence, ...]
    sentence: str
    advice: str
    """One thing to try."""
    source: str
    """Where the rule's edges come from."""


Verdicts = Mapping[str, Verdict]
"""Verdicts by the UUID of the device or MIG instance."""
NO_VERDICTS: Verdicts = MappingProxyType({})

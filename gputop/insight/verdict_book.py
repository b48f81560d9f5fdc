"""Follows the verdicts over time: which one stands for each device."""

from __future__ import annotations

from gputop.insight.rules import Thresholds
from gputop.insight.verdicts import Verdict
from gputop.state.store import Store


class VerdictBook:
    """The verdicts on one host's devices and MIG instances."""

    def __init__(self, thresholds: Thresholds | None = None) -> None:
        self.thresholds = thresholds or Thresholds()
        self._standing: dict[str, Verdict] = {}

    def update(self, store: Store) -> None:
        """Take the store as it is after its newest frame."""

    def of(self, uuid: str) -> Verdict | None:
        """The verdict on a device or MIG instance; None where there is none."""
        return self._standing.get(uuid)

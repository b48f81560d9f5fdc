"""The moments of a recording that are worth a jump: where a warning began or an Xid was told."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from gputop.insight.alert_log import AlertLog
from gputop.insight.rules import Thresholds
from gputop.model.frame import AnyRecord, Frame
from gputop.model.nvml_tables import Severity
from gputop.state.store import Store

EVERY_S = 60.0
"""Seconds of recorded time after which it is told how far the search has come."""


class Mark(msgspec.Struct, frozen=True, tag="mark"):
    """One such moment."""

    utc_s: float
    severity: Severity
    where: str
    title: str


class Searched(msgspec.Struct, frozen=True, tag="searched"):
    """Up to here every mark is known."""

    utc_s: float


class MarkFinder:
    """Follows records and finds the marks among them. Notices are none: in training and serving
    they come all the time.
    """

    def __init__(self, thresholds: Thresholds | None = None) -> None:
        self._store = Store(keeping=None)
        self._alerts = AlertLog(thresholds)
        self._told_s = float("-inf")

    def find(self, records: Iterable[AnyRecord]) -> Iterator[Mark | Searched]:
        """The marks in the next records, and now and then how far it has come."""
        for record in records:
            self._store.apply(record)
            if not isinstance(record, Frame):
                continue
            self._alerts.update(self._store)
            for change in self._alerts.take_changes():
                alert = change.alert
                if change.what != "end" and alert.severity != "notice":
                    yield Mark(alert.since_utc_s, alert.severity, alert.where, alert.title)
            if abs(record.utc_s - self._told_s) >= EVERY_S:
                self._told_s = record.utc_s
                yield Searched(record.utc_s)
        if self._store.frame is not None:
            self._told_s = self._store.frame.utc_s
            yield Searched(self._told_s)

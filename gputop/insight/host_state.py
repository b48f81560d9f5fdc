"""All that one host's records add up to, for a screen or a scan."""

from __future__ import annotations

from gputop.insight.alert_log import AlertLog
from gputop.insight.look import window_s
from gputop.insight.rules import Thresholds
from gputop.insight.verdict_book import VerdictBook
from gputop.model.frame import AnyRecord, Frame
from gputop.state.process_history import KEPT_S, REACH_S, ProcessHistory
from gputop.state.store import Store

JUDGED_OVER = 2
"""Windows of a verdict over which it is found, and found again, before it is looked at."""


class HostState:
    """The store, and what is concluded from it after every frame.

    Args:
        thresholds: The edges of warnings and verdicts.
        whole: False where the first record is one in the middle: what holds there began at an
            unknown time before.
    """

    def __init__(self, thresholds: Thresholds | None = None, whole: bool = True) -> None:
        self.store = Store()
        self.alerts = AlertLog(thresholds, whole)
        self.verdicts = VerdictBook(thresholds)
        self.process_history = ProcessHistory()

    def apply(self, record: AnyRecord, ahead_s: float = 0.0) -> None:
        """Take the next record.

        Args:
            record: The record.
            ahead_s: Seconds from it to the moment that will be looked at: what is forgotten by
                then is not worked out.
        """
        self.store.apply(record)
        if isinstance(record, Frame):
            self.alerts.update(self.store)
            if ahead_s <= JUDGED_OVER * window_s(self.store):
                self.verdicts.update(self.store)
            if ahead_s <= REACH_S + KEPT_S:
                self.process_history.update(record)

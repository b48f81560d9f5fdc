"""All that one host's records add up to, for a screen or a scan."""

from __future__ import annotations

from gputop.insight.alert_log import AlertLog
from gputop.insight.rules import Thresholds
from gputop.insight.verdict_book import VerdictBook
from gputop.model.frame import AnyRecord, Frame
from gputop.state.process_history import ProcessHistory
from gputop.state.store import Store


class HostState:
    """The store, and what is concluded from it after every frame."""

    def __init__(self, thresholds: Thresholds | None = None) -> None:
        self.store = Store()
        self.alerts = AlertLog(thresholds)
        self.verdicts = VerdictBook(thresholds)
        self.process_history = ProcessHistory()

    def apply(self, record: AnyRecord) -> None:
        """Take the next record."""
        self.store.apply(record)
        if isinstance(record, Frame):
            self.alerts.update(self.store)
            self.verdicts.update(self.store)
            self.process_history.update(record)

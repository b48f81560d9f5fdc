"""The simulated machine shows every kind of warning within its first minutes."""

from gputop.insight.alert_log import AlertLog
from gputop.insight.rules import RULES
from gputop.model.frame import Frame
from gputop.state.store import Store
from tests.demo_records import demo_records

SECONDS = 420
BEFORE_THE_START = {"power_full"}
"""While this driver is watched it tells of the power cap by an event reason, which says it better;
of the time before there are its buffered samples."""


def test_every_rule_begins_and_what_can_end_ends():
    store, log = Store(), AlertLog()
    begun, ended, moments = set(), set(), set()
    for record in demo_records(8, SECONDS):
        store.apply(record)
        if isinstance(record, Frame):
            log.update(store)
            for change in log.take_changes():
                kept = {"begin": begun, "end": ended, "moment": moments}[change.what]
                kept.add(change.alert.rule)
    assert begun == {rule.key for rule in RULES} - BEFORE_THE_START
    lasting = {"ecc_corrected", "ecc_uncorrected", "idle_holding", "link", "recovery",
               "remap_pending", "remap_failed"}  # fmt: skip
    assert ended >= begun - lasting
    assert moments == {"back", "process_gone", "xid:31", "xid:79", "xid:94"}
    before = {alert.rule for alert in log.history if alert.before_start}
    assert before >= {"reason:sw_thermal", "reason:hw_thermal", "hot"} | BEFORE_THE_START

"""The events of a recording, found without keeping what they do not rest on."""

from gputop.insight.alert_log import AlertLog
from gputop.insight.host_state import HostState
from gputop.insight.marks import Mark, MarkFinder
from gputop.model.frame import Frame
from gputop.state.store import Store
from tests.demo_records import demo_records

SECONDS = 200


def test_the_marks_are_those_that_playing_would_have_shown():
    records, wanted = demo_records(8, SECONDS), []
    store, log = Store(), AlertLog()
    for record in records:
        store.apply(record)
        if isinstance(record, Frame):
            log.update(store)
            for change in log.take_changes():
                alert = change.alert
                if change.what != "end" and alert.severity != "notice":
                    wanted.append(Mark(alert.since_utc_s, alert.severity, alert.where, alert.title))
    assert [n for n in MarkFinder().find(records) if isinstance(n, Mark)] == wanted
    assert {mark.severity for mark in wanted} == {"critical", "warning"}


def test_what_is_forgotten_by_the_moment_looked_at_is_not_worked_out():
    state = HostState()
    for record in demo_records(8, 20):
        state.apply(record, ahead_s=1000.0)
    assert len(state.process_history) == 0
    assert all(state.verdicts.of(device.uuid) is None for device in state.store.devices)
    assert state.store.devices[0].history.series("power_w") is not None
    for record in demo_records(8, 40):
        if record.boottime_s > state.store.now:
            state.apply(record)
    assert len(state.process_history) > 0

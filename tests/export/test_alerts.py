"""The events of a snapshot, in each format that has them."""

import csv
import io
import json

import msgspec

from gputop.export.formats import FORMATS, Options
from gputop.export.json_format import Snapshot
from gputop.insight.alert_log import AlertLog
from gputop.model.frame import Frame, Hello
from gputop.state.store import Store
from tests.demo_records import demo_records


def made(name):
    store, log = Store(), AlertLog()
    for record in demo_records(8, 100):
        store.apply(record)
        if isinstance(record, Frame):
            log.update(store)
    alerts = (*log.active, *log.history)
    alerts[0].detail = "=1+1\x1b[2J"
    alerts[0].worst_detail = ""
    assert isinstance(store.hello, Hello)
    parts = FORMATS[name].make(store.hello, store.frame, Options(alerts=alerts))
    return alerts, {part.tail: part.text for part in parts}


def test_json_has_every_event_typed():
    alerts, parts = made("json")
    document = msgspec.json.decode(parts[""], type=Snapshot)
    assert [record.rule for record in document.events] == [alert.rule for alert in alerts]
    assert {record.before_start for record in document.events} == {True, False}
    assert "\x1b" not in parts[""]
    assert json.loads(parts[""])["events"][0]["active"] is True


def test_csv_has_a_table_of_them_that_drives_no_spreadsheet():
    alerts, parts = made("csv")
    rows = list(csv.DictReader(io.StringIO(parts["-events"])))
    assert [row["rule"] for row in rows] == [alert.rule for alert in alerts]
    assert rows[0]["detail"].startswith("'=1+1")
    assert rows[0]["hostname"] == "demo"


def test_text_lists_those_that_are_over():
    alerts, parts = made("text")
    tail = parts[""].split("Events that are over\n")[1]
    assert tail.count("· GPU ") == sum(not alert.active for alert in alerts)
    assert "before the start" in tail


def test_a_snapshot_that_followed_nothing_has_none():
    hello, frame = demo_records(8, 3)[0], demo_records(8, 3)[-1]
    assert [part.tail for part in FORMATS["csv"].make(hello, frame, Options())] == [
        "", "-processes",
    ]  # fmt: skip
    assert json.loads(FORMATS["json"].make(hello, frame, Options())[0].text)["events"] == []

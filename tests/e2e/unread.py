"""A value that was not read is shown, charted, averaged and exported nowhere, least of all as 0.

Looks at real records, whatever is wrong with the machine they come from: at every device, every
metric and every format of a file.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable

from gputop.export import devices
from gputop.export.devices import Device
from gputop.export.formats import FORMATS, Options
from gputop.model.frame import AnyRecord, Frame, Hello
from gputop.model.metrics import CHARTED, METRICS, Metric
from gputop.state.store import Store

_SAMPLE = re.compile(r"(\w+)\{(.*)\} \S+")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


def check_nothing_unread(records: Iterable[AnyRecord]) -> None:
    """See that no file of the last frame, and no history of all of them, holds what no device
    said.
    """
    store = Store()
    said: dict[tuple[str, str], bool] = {}
    """By device and charted metric: whether any frame had a value, or a buffered sample."""
    for record in records:
        store.apply(record)
        if isinstance(record, Frame):
            for reading in record.devices:
                sampled = {span.metric for span in reading.samples}
                for metric in CHARTED:
                    key = reading.uuid, metric.name
                    value = getattr(reading, metric.name, None)
                    said[key] = said.get(key, False) or value is not None or metric.name in sampled
    for (uuid, name), was_said in said.items():
        state = store.device(uuid)
        if state is not None and not was_said:
            assert state.history.series(name) is None, f"{name} of {uuid} is charted"
    assert store.hello is not None
    assert store.frame is not None
    _check_files(store.hello, store.frame)


def _check_files(hello: Hello, frame: Frame) -> None:
    every = list(devices.devices(hello, frame))
    text = {
        name: form.make(hello, frame, Options())[0].text
        for name, form in FORMATS.items()
        if form.make is not None
    }
    rows = {row["uuid"]: row for row in csv.DictReader(io.StringIO(text["csv"]))}
    documents = {device["uuid"]: device for device in json.loads(text["json"])["devices"]}
    samples = set(_samples(text["openmetrics"]))
    for device in every:
        uuid = device.info.uuid
        for metric in METRICS:
            unread = device.number(metric) is None
            assert (rows[uuid][metric.name] == "") == unread, f"{metric.name} of {uuid} in csv"
            assert (documents[uuid][metric.name] is None) == unread
            if metric.openmetric is not None:
                assert unread != (_key(device, metric) in samples), f"{metric.name} of {uuid}"
            if unread:
                reasons = documents[uuid]["missing"]
                assert metric.name in reasons or device.reading.status != "ok", "it says why"


def _samples(page: str) -> Iterable[tuple[str, frozenset[tuple[str, str]]]]:
    for line in page.splitlines():
        if found := _SAMPLE.fullmatch(line):
            labels = {n: v for n, v in _LABEL.findall(found[2]) if not n.startswith("hw_")}
            (uuid,) = re.findall(r'hw_id="([^"]*)"', found[2]) or [""]
            yield found[1], frozenset({**labels, "": uuid}.items())


def _key(device: Device, metric: Metric) -> tuple[str, frozenset[tuple[str, str]]]:
    assert metric.openmetric is not None
    labels = dict(metric.openmetric.labels)
    own = {name: value for name, value in labels.items() if not name.startswith("hw_")}
    return metric.openmetric.name, frozenset({**own, "": device.info.uuid}.items())

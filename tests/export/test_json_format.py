import json

import msgspec
from hypothesis import given

from gputop.export.json_format import Snapshot, document, json_schema, render
from gputop.insight.verdicts import Evidence, Verdict
from gputop.model.frame import DeviceInfo, DeviceReading, Frame, Hello
from tests.records import few, machines
from tests.samples import UUIDS, no_driver_frame, no_driver_hello, sample_frame, sample_hello


def test_every_key_is_always_there():
    devices = json.loads(render(sample_hello(), sample_frame()))["devices"]
    names = {f.name for record in (DeviceInfo, DeviceReading) for f in record_fields(record)}
    assert len(devices) == 10
    for device in devices:
        assert set(device) == {*names, "verdict"}


def record_fields(record):
    return msgspec.structs.fields(record)


def test_a_value_that_is_not_there_is_null_with_its_reason():
    devices = {d["uuid"]: d for d in document(sample_hello(), sample_frame())["devices"]}
    geforce = devices[UUIDS[5]]
    assert geforce["power_w"] is None
    assert geforce["missing"]["power_w"] == "denied"
    assert geforce["missing"]["power_limit_max_w"] == "unsupported"
    assert devices[UUIDS[2]]["status"] == "lost"
    assert devices[UUIDS[2]]["gpu_utilization"] is None
    assert devices[UUIDS[4]]["gpu_utilization"] == 0.0


VERDICT = Verdict(
    "pcie", "PCIe-bound", "measured", (Evidence("PCIe received", "50.0 GB/s", "60 s"),),
    "Copies took 80 % of the link.", "Pin the memory.", "K",
)  # fmt: skip


def test_a_verdict_stands_with_its_device_and_every_reading_it_rests_on():
    verdicts = {UUIDS[0]: VERDICT}
    text = render(sample_hello(), sample_frame(), verdicts=verdicts)
    devices = {device["uuid"]: device for device in json.loads(text)["devices"]}
    assert devices[UUIDS[1]]["verdict"] is None
    assert devices[UUIDS[0]]["verdict"]["evidence"] == [
        {"label": "PCIe received", "value": "50.0 GB/s", "window": "60 s"}
    ]
    decoded = msgspec.json.decode(text, type=Snapshot)
    assert [device.verdict for device in decoded.devices][:2] == [VERDICT, None]
    assert "Verdict" in json_schema()["$defs"]


def test_it_says_window_and_whether_it_is_simulated():
    page = document(sample_hello(simulated=True), sample_frame(interval_s=0.25))
    assert page["simulated"] is True
    assert page["window_s"] == 0.25
    assert page["utc"] == "2026-11-21T14:25:30.500Z"
    assert document(sample_hello(), sample_frame())["simulated"] is False


def test_command_lines_stay_out_unless_asked_for():
    assert "SECRET" not in render(sample_hello(), sample_frame())
    assert "SECRET" in render(sample_hello(), sample_frame(), with_args=True)
    without = document(sample_hello(with_args=False), sample_frame(), with_args=True)
    assert without["with_args"] is False
    assert without["processes"][0]["command"] is None


@few
@given(machines())
def test_round_trip(machine: tuple[Hello, Frame]):
    hello, frame = machine
    text = render(hello, frame, with_args=True)
    assert text.isascii()
    assert not any(ord(c) < 0x20 and c != "\n" for c in text)
    snapshot = msgspec.json.decode(text, type=Snapshot)
    for info, reading, merged in zip(hello.devices, frame.devices, snapshot.devices, strict=True):
        for record in (info, reading):
            for field in record_fields(type(record)):
                if field.name != "missing":
                    assert getattr(merged, field.name) == well(getattr(record, field.name))
        assert merged.missing == info.missing | reading.missing
    for before, after in zip(frame.processes, snapshot.processes, strict=True):
        assert (after.memory_bytes, after.cpu_utilization) == (
            before.memory_bytes,
            before.cpu_utilization,
        )


def well(value):
    """Text as JSON can carry it: a lone surrogate is none."""
    if isinstance(value, str):
        return "".join("\ufffd" if "\ud800" <= c <= "\udfff" else c for c in value)
    return value


def test_no_driver_is_a_document_too():
    page = document(no_driver_hello(), no_driver_frame())
    assert page["devices"] == []
    assert page["driver"]["status"] == "absent"
    assert page["host"]["cpu_utilization"] == 0.12


def test_the_schema_names_every_metric():
    properties = json_schema()["$defs"]["SnapshotDevice"]["properties"]
    assert {"uuid", "power_w", "power_limit_max_w", "missing"} <= set(properties)
    assert {"type": "null"} in properties["power_w"]["anyOf"]

"""Records as lines: what goes out comes back, and a broken line says which and why."""

import json
import re

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gputop.errors import BrokenRecord
from gputop.model.codec import LONGEST_LINE, decode, encode, json_schema
from gputop.model.frame import SCHEMA_VERSION, DeviceInfo, DeviceReading, Event, Frame, Job
from gputop.model.metrics import METRICS, OF_INFO
from gputop.text import clean
from tests.records import few, machines, records, texts
from tests.samples import sample_frame, sample_hello


@few
@given(machines(), records(Job))
def test_a_record_comes_back_as_it_went(machine, job):
    for record in (*machine, job):
        assume(not re.search(r"\\ud[89a-f]", repr(record)))
        assert decode(encode(record), 1) == record


def test_half_a_surrogate_pair_does_not_end_the_stream():
    frame = sample_frame()
    frame.processes[0].name = "x\ud800y"
    back = decode(encode(frame), 1)
    assert back.processes[0].name == "x\ufffdy"
    assert back.devices == frame.devices


def test_a_line_is_one_line():
    for record in (sample_hello(), sample_frame()):
        line = encode(record)
        assert line.endswith(b"\n")
        assert line.count(b"\n") == 1


def test_every_prefix_of_a_line_is_refused_with_its_number():
    line = encode(sample_frame())
    for end in range(0, len(line) - 2, 97):
        with pytest.raises(BrokenRecord, match=r"^line 17 "):
            decode(line[:end], 17)


def test_a_newer_schema_is_refused_by_name():
    hello = sample_hello()
    hello.schema = SCHEMA_VERSION + 1
    hello.program = "gputop 9.9"
    with pytest.raises(BrokenRecord, match=r"line 1 was written by gputop 9\.9.*Update gputop"):
        decode(encode(hello), 1)


def test_unknown_fields_of_the_same_schema_are_passed_over():
    document = json.loads(encode(sample_frame()))
    document["news"] = {"x": 1}
    assert decode(json.dumps(document), 1) == sample_frame()


@pytest.mark.parametrize(
    "line",
    [b"", b"\n", b"null", b"[]", b"{}", b'{"type":"frame"}', b'{"type":"nonsense"}', b"\xff\xfe",
     b'{"type":"frame","session":1}', b"[" * 100_000, b"NaN", b'{"type":"hello","schema":"1"}',
     b'{"type":"frame","session":"\xff"}'],
)  # fmt: skip
def test_what_is_no_record_is_one_sentence(line):
    with pytest.raises(BrokenRecord) as caught:
        decode(line, 3)
    assert caught.value.line == 3
    assert "\n" not in str(caught.value)


@given(texts, st.sampled_from(["type", "kind", "program", "missing", "status"]))
def test_what_a_broken_line_says_of_itself_drives_no_terminal(text, where):
    """The decoder quotes what it refuses, and that was written by somebody else."""
    text = text.encode("utf-8", "replace").decode()
    document = json.loads(encode(sample_hello(schema=SCHEMA_VERSION + 1)))
    document |= {"type": text} if where == "type" else {}
    document |= {where: text * 1000}
    with pytest.raises(BrokenRecord) as caught:
        decode(json.dumps(document), 12)
    said = str(caught.value)
    assert said == clean(said)
    assert said.startswith("line 12 ")
    assert said.endswith(".")
    assert len(said) < 300


@given(st.integers(0, 2**64), st.integers(0, 400), texts)
def test_an_event_comes_back_as_it_went(seq, code, text):
    text = text.encode("utf-8", "replace").decode()
    event = Event("s", seq, 1.8e9, 5.0, "xid", "GPU-1", code, text)
    assert decode(encode(event), 1) == event


@pytest.mark.parametrize("number", ["1e999", "-1e999", "NaN", "Infinity", "-Infinity", "nan"])
def test_no_number_that_is_none_gets_in(number):
    line = re.sub(rb'"power_w":[^,}]+', b'"power_w":' + number.encode(), encode(sample_frame()))
    with pytest.raises(BrokenRecord, match=r"^line 5 "):
        decode(line, 5)


@pytest.mark.parametrize("opening", ["[", '{"x":'])
def test_deep_nesting_is_refused_even_where_nobody_looks(opening):
    line = encode(sample_frame()).rstrip(b"}\n") + b',"news":' + opening.encode() * 100_000
    with pytest.raises(BrokenRecord, match=r"^line 5 cannot be read"):
        decode(line, 5)


def test_a_megabyte_line_beyond_the_limit_is_refused_unread():
    with pytest.raises(BrokenRecord, match="longer than"):
        decode(b" " * (LONGEST_LINE + 1), 1)


@given(st.binary(max_size=400))
def test_random_bytes_raise_nothing_else(line):
    try:
        decode(line, 1)
    except BrokenRecord:
        return
    pytest.fail("random bytes were taken for a record")


def test_the_schema_names_every_metric_and_every_kind_of_line():
    text = json.dumps(json_schema())
    for metric in METRICS:
        assert f'"{metric.name}"' in text
    for kind in ("hello", "frame", "event"):
        assert f'"{kind}"' in text


def test_every_metric_is_a_field_of_the_reading_or_the_inventory():
    reading = {f.name for f in msgspec.structs.fields(DeviceReading)}
    info = {f.name for f in msgspec.structs.fields(DeviceInfo)}
    for metric in METRICS:
        assert metric.name in (info if metric.name in OF_INFO else reading), metric.name


def test_a_value_that_is_not_there_is_left_out_and_never_zero():
    reading = DeviceReading(uuid="GPU-1", missing={"power_w": "unsupported"})
    frame = Frame(session="s", seq=1, utc_s=0, boottime_s=0, interval_s=1,
                  host=sample_frame().host, devices=[reading])  # fmt: skip
    document = json.loads(encode(frame))["devices"][0]
    assert "power_w" not in document
    assert document["missing"] == {"power_w": "unsupported"}
    assert decode(encode(frame), 1).devices[0].power_w is None  # type: ignore[union-attr]

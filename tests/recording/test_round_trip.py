"""What is written comes back, whatever it is; and takes little room."""

import copy
import gzip
import json

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gputop.model.codec import decode, encode
from gputop.model.frame import DeviceUse, Frame, Hello, Job
from gputop.recording import Ending, RecordingIndex, RecordingWriter, read, read_block
from gputop.recording import writer as writing
from gputop.recording.delta import DeltaDecoder, DeltaEncoder
from tests.demo_records import demo_records
from tests.records import few, machines
from tests.samples import sample_frame, sample_hello

SUFFIXES = (".ndjson.zst", ".ndjson.gz", ".ndjson")


def write(path, records, **options):
    with RecordingWriter(path, with_args=True, **options) as writer:
        for record in records:
            writer.write(record)
    return path


def blocks_of(path):
    index = RecordingIndex(path)
    while index.scan():
        pass
    index.close()
    return index.blocks


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_demo_comes_back(tmp_path, suffix, monkeypatch):
    monkeypatch.setattr(writing, "BLOCK_FRAMES", 20)
    records = demo_records(8, 90)
    path = write(tmp_path / f"a{suffix}", records)
    reader = read(path)
    assert list(reader) == list(records)
    assert reader.ending is not None
    assert reader.ending.state == "complete"
    assert reader.ending.sentence == ""


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_block_can_be_read_alone(tmp_path, suffix, monkeypatch):
    monkeypatch.setattr(writing, "BLOCK_FRAMES", 20)
    records = demo_records(8, 90)
    path = write(tmp_path / f"a{suffix}", records)
    blocks = blocks_of(path)
    assert len(blocks) == 5
    frames = []
    for number, block in enumerate(blocks):
        got = list(read_block(path, block))
        assert isinstance(got[0], Hello)
        here = [record for record in got if isinstance(record, Frame)]
        assert block.header.frames == len(frames)
        assert block.header.number == number
        assert block.header.boottime_s == pytest.approx(here[0].boottime_s, abs=1)
        frames += here
    assert frames == [record for record in records if isinstance(record, Frame)]


def test_standard_tools_read_it(tmp_path):
    """One hello, one whole frame, and lines that say what changed."""
    path = write(tmp_path / "a.ndjson.gz", demo_records(2, 5))
    lines = [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]
    kinds = [line["type"] for line in lines if line["type"] != "hello"]
    assert kinds == ["frame", *["delta"] * 5, "end"]


@settings(few, max_examples=25)
@given(st.lists(machines(), min_size=2, max_size=3))
def test_any_frames_come_back_from_deltas(made):
    """Devices, processes, values and reasons come and go; nothing is lost or made up."""
    frames = [msgspec.json.decode(encode(frame)) for _, frame in made]
    encoder, decoder = DeltaEncoder(), DeltaDecoder()
    encoder.start(copy.deepcopy(frames[0]))
    decoder.start(copy.deepcopy(frames[0]))
    for frame in frames[1:]:
        delta = encoder.encode(copy.deepcopy(frame))
        assert delta is not None
        line = msgspec.json.encode(delta)
        assert decoder.decode(msgspec.json.decode(line, type=type(delta))) == frame


@example([1.5, 2.5, None, 9.5, 10.5, 1e18, 10.5, 11.5, 7.123, 8.125])
@given(st.lists(st.none() | st.floats(allow_nan=False, allow_infinity=False) | st.integers(
    -(2**62), 2**62), min_size=2, max_size=8))  # fmt: skip
def test_any_numbers_come_back(values):
    def frame(value):
        return {"type": "frame", "host": {} if value is None else {"x": value}, "cores": [value]}

    encoder, decoder = DeltaEncoder(), DeltaDecoder()
    encoder.start(frame(values[0]))
    decoder.start(frame(values[0]))
    for value in values[1:]:
        delta = encoder.encode(frame(value))
        got = decoder.decode(msgspec.json.decode(msgspec.json.encode(delta), type=type(delta)))
        assert got == frame(value)


def frames_with(*changes):
    """A frame after another, each a change of the sample."""
    made = []
    for number, change in enumerate(changes):
        frame = copy.deepcopy(sample_frame())
        frame.seq, frame.boottime_s = number, frame.boottime_s + number
        change(frame)
        made.append(frame)
    return made


def round_trip(tmp_path, frames):
    path = write(tmp_path / "a.ndjson", [sample_hello(), *frames])
    got = [record for record in read(path) if isinstance(record, Frame)]
    kinds = [json.loads(line)["type"] for line in path.read_text().splitlines()]
    return got, kinds


def test_none_is_not_zero_and_keeps_its_reason(tmp_path):
    def utilization(value, reason=None):
        def change(frame):
            device = frame.devices[0]
            device.gpu_utilization = value
            device.missing = {**device.missing, **({"gpu_utilization": reason} if reason else {})}

        return change

    frames = frames_with(
        utilization(0.5), utilization(0.0), utilization(None, "denied"), utilization(None),
        utilization(0.0), utilization(0.25), utilization(None, "error(15)"),
    )  # fmt: skip
    got, kinds = round_trip(tmp_path, frames)
    assert got == frames
    assert [frame.devices[0].gpu_utilization for frame in got] == [
        0.5, 0.0, None, None, 0.0, 0.25, None
    ]  # fmt: skip
    assert got[2].devices[0].reason("gpu_utilization") == "denied"
    assert kinds.count("delta") == 6


def test_devices_and_processes_come_go_and_change_places(tmp_path):
    frames = frames_with(
        lambda f: None,
        lambda f: f.devices.reverse(),
        lambda f: f.devices.pop(3),
        lambda f: f.processes.reverse(),
        lambda f: f.processes.clear(),
        lambda f: f.processes[0].uses.clear(),
        lambda f: f.processes[0].uses.append(DeviceUse(device="GPU-new", memory_bytes=1)),
        lambda f: setattr(f.host, "cores", None),
        lambda f: setattr(f.host, "cores", [0.5]),
    )
    got, kinds = round_trip(tmp_path, frames)
    assert got == frames
    assert kinds.count("delta") == 8


def test_two_processes_of_one_identity_are_written_whole(tmp_path):
    frames = frames_with(
        lambda f: None, lambda f: f.processes.append(f.processes[0]), lambda f: None
    )
    got, kinds = round_trip(tmp_path, frames)
    assert got == frames
    assert kinds.count("frame") == 3


def test_command_lines_are_left_out_unless_asked_for(tmp_path):
    hello, frame = sample_hello(with_args=True), sample_frame()
    job = Job("train", 1.0, 1.0, command=["train", "--token=SECRET"])
    frame.processes[0].command = ["train", "--token=SECRET"]
    for name in ("a.ndjson", "b.ndjson"):
        with RecordingWriter(tmp_path / name, with_args=name.startswith("b")) as writer:
            for record in (hello, job, frame, frame):
                writer.write(record)
    assert "SECRET" not in (tmp_path / "a.ndjson").read_text()
    bare = list(read(tmp_path / "a.ndjson"))
    assert bare[0].with_args is False
    assert bare[1] == Job("train", 1.0, 1.0)
    assert all(process.command is None for record in bare[2:] for process in record.processes)
    assert list(read(tmp_path / "b.ndjson")) == [hello, job, frame, frame]
    assert frame.processes[0].command == ["train", "--token=SECRET"]


def test_half_a_surrogate_pair_does_not_stop_it(tmp_path):
    frames = frames_with(*[lambda f: setattr(f.processes[0], "name", "\ud800")] * 2)
    got, _ = round_trip(tmp_path, frames)
    assert got == [decode(encode(frame), 1) for frame in frames]


def test_what_does_not_change_is_not_repeated(tmp_path):
    """A quiet frame takes a small part of a whole one, and no name stands in it."""
    frames = frames_with(*[lambda f: None] * 4)
    path = write(tmp_path / "a.ndjson", [sample_hello(), *frames])
    lines = path.read_bytes().splitlines()
    quiet = lines[-2]
    assert json.loads(quiet)["type"] == "delta"
    assert b"gpu_utilization" not in quiet
    assert len(quiet) * 50 < len(encode(frames[0]))


def test_a_recording_is_half_of_plain_lines_compressed(tmp_path):
    """Both as zstd packs them; the margin is what the format is for."""
    from gputop.recording.container import ZstdPacker

    records = [r for r in demo_records(8, 200) if r.boottime_s > 10_080]
    size = write(tmp_path / "a.ndjson.zst", records).stat().st_size
    packer = ZstdPacker()
    straight = sum(len(packer.add(encode(r), flush=n % 3 == 0)) for n, r in enumerate(records))
    assert size < 0.65 * (straight + len(packer.end()))


def test_the_ending_in_words():
    assert "line 7" in Ending("cut", 7).sentence
    assert "still" in Ending("growing", 7).sentence

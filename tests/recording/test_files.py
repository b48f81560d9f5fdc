"""Files: created exclusively, readable however they end, refused when they are broken."""

import os
import stat

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gputop.errors import BrokenRecord, ExportFailed, GputopError, UsageError
from gputop.model.codec import encode
from gputop.model.frame import DeviceInfo, Event, Frame, HostReading
from gputop.recording import (
    BackgroundWriter,
    RecordingIndex,
    RecordingWriter,
    index,
    read,
    read_block,
)
from gputop.recording import writer as writing
from gputop.recording.container import GzipPacker, ZstdPacker
from tests.demo_records import demo_records
from tests.recording.test_round_trip import SUFFIXES, blocks_of, write
from tests.samples import sample_frame, sample_hello


def all_of(path):
    """Every record that can be had, and how it ends."""
    reader = read(path)
    return list(reader), reader.ending


# -- creating -----------------------------------------------------------------------------------


def test_nothing_is_written_over(tmp_path):
    path = tmp_path / "a.ndjson"
    path.write_text("mine")
    with pytest.raises(ExportFailed, match=r"a\.ndjson exists already; choose another name\."):
        RecordingWriter(path)
    assert path.read_text() == "mine"


@pytest.mark.parametrize("target", ["victim", "nothing"])
def test_a_planted_link_is_not_followed(tmp_path, target):
    (tmp_path / "victim").write_text("precious")
    path = tmp_path / "a.ndjson"
    path.symlink_to(tmp_path / target)
    with pytest.raises(ExportFailed, match="exists already"):
        RecordingWriter(path)
    assert (tmp_path / "victim").read_text() == "precious"
    assert not (tmp_path / "nothing").exists()


def test_permissions_are_those_of_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        write(tmp_path / "a.ndjson", [])
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.ndjson").stat().st_mode) == 0o640


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("a.txt", UsageError, "does not say how it is packed"),
        ("no/a.ndjson", ExportFailed, "The folder .* does not exist"),
        ("a" * 300 + ".ndjson", ExportFailed, "too long"),
    ],
)
def test_names_that_will_not_do(tmp_path, name, error, words):
    with pytest.raises(error, match=words):
        RecordingWriter(tmp_path / name)


def test_a_full_disk_leaves_what_was_written(tmp_path, monkeypatch):
    """The first write that finds no room ends it with a sentence."""
    path = tmp_path / "a.ndjson"
    writer = RecordingWriter(path)
    for record in demo_records(1, 5):
        writer.write(record)
    whole, _ = all_of(path)
    real = os.write

    def full(fd, data):
        if len(data) < 10:
            raise OSError(28, "No space left on device")
        return real(fd, data[: len(data) // 2])

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(ExportFailed, match="no space left"):
        writer.write(demo_records(1, 6)[-1])
    monkeypatch.undo()
    with pytest.raises(ExportFailed, match="closed"):
        writer.write(demo_records(1, 6)[-1])
    got, ending = all_of(path)
    assert got == whole
    assert ending.state == "cut"


@pytest.mark.parametrize("sync", [False, True])
def test_a_file_that_was_deleted_is_not_said_to_be_there(tmp_path, sync):
    path = tmp_path / "a.ndjson"
    writer = RecordingWriter(path, sync=sync)
    for record in demo_records(1, 5):
        writer.write(record)
    moved = path.rename(tmp_path / "b.ndjson")
    for record in demo_records(1, 10):
        writer.write(record)
    moved.unlink()
    with pytest.raises(ExportFailed, match=r"a\.ndjson was deleted while it was written"):
        writer.close()


# -- ends ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_cut_at_any_byte_opens_up_to_the_cut(tmp_path, suffix, monkeypatch):
    monkeypatch.setattr(writing, "BLOCK_FRAMES", 2)
    host = HostReading(read_at=99.5, cores=[0.5, 0.25])
    frames = [
        sample_frame(seq=n, boottime_s=100.0 + n, host=host, devices=[], processes=[])
        for n in range(5)
    ]
    records = [sample_hello(devices=[]), *frames]
    whole = write(tmp_path / f"a{suffix}", records).read_bytes()
    path = tmp_path / "cut"
    counts = []
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        got, ending = all_of(path)
        assert got == records[: len(got)]
        assert ending.state == "cut", length
        counts.append(len(got))
        assert len(blocks_of(path)) >= 1
    assert counts == sorted(counts)
    assert set(counts) == set(range(len(records) + 1)) if suffix == ".ndjson" else counts[-1] == 6


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_tail_that_a_power_cut_leaves(tmp_path, suffix):
    """Room for the last seconds was taken, but they were not written: zeros."""
    records = demo_records(1, 12)
    path = tmp_path / f"a{suffix}"
    writer = RecordingWriter(path)
    for record in records:
        writer.write(record)
    flushed = path.read_bytes()
    (tmp_path / "b").write_bytes(flushed + bytes(5000))
    got, ending = all_of(tmp_path / "b")
    writer.abandon()
    assert ending.state == "cut"
    assert len(records) - 4 <= len(got) <= len(records)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_at_most_the_last_seconds_wait_for_a_flush(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    writer = RecordingWriter(path)
    for count, record in enumerate(demo_records(2, 30), 1):
        writer.write(record)
        got, ending = all_of(path)
        assert count - len(got) <= writing.FLUSH_S
        assert ending.state == "growing"
    writer.close()
    assert all_of(path)[1].state == "complete"


def test_a_growing_file_is_followed(tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "BLOCK_FRAMES", 7)
    records = demo_records(2, 30)
    path = tmp_path / "a.ndjson.zst"
    writer = RecordingWriter(path, with_args=True)
    reader, index, got = None, None, []
    for record in records:
        writer.write(record)
        reader, index = reader or read(path), index or RecordingIndex(path)
        got += reader
        index.scan()
    writer.close()
    got += reader
    index.scan()
    assert got == list(records)
    assert reader.ending.state == "complete"
    index.close()
    assert index.blocks == blocks_of(path)
    assert len(index.blocks) == 5


def test_a_stream_without_blocks_is_a_recording_too(tmp_path):
    path = tmp_path / "a.ndjson"
    path.write_bytes(b"".join(map(encode, demo_records(2, 5))))
    assert all_of(path)[0] == list(demo_records(2, 5))
    assert len(blocks_of(path)) == 1


# -- broken and hostile -------------------------------------------------------------------------

GOOD = encode(sample_hello()) + encode(sample_frame())
MANY = encode(sample_hello(devices=[DeviceInfo(f"GPU-{n}", "x") for n in range(300)]))
HOSTILE = {
    "text": (b"once upon a time\n", 1, "is no record, so"),
    "binary": (b"\x00\xff\xfe\n", 1, "is no record, so this is no recording of gputop"),
    "a page": (b"<!doctype html>\n<html></html>\n", 1, "is no record, so this is no recording"),
    "other JSON": (b'{\n  "a": 1\n}\n', 1, "is no record, so this is no recording"),
    "a blank line": (b"\n" + GOOD, 1, "is no record, so this is no recording"),
    "very many devices": (MANY, 1, "names 300 devices"),
    "mistyped": (GOOD + b'{"type":"frame","seq":"one"}\n', 3, "is not a gputop record"),
    "unknown type": (GOOD + b'{"type":"poem"}\n', 3, "is not a gputop record"),
    "an array": (GOOD + b"[1,2]\n", 3, "is not a gputop record"),
    "deep": (GOOD + b'{"a":' * 100_000 + b"}" * 100_000 + b"\n", 3, "cannot be read"),
    "deep delta": (GOOD + b'{"type":"delta","put":[[["x"],' + b"[" * 100_000 + b"\n", 3, "cannot"),
    "a megabyte": (GOOD + b'{"type":"' + b"x" * 2_000_000 + b'"}\n', 3, "is not a gputop record"),
    "too long": (GOOD + b"x" * 17_000_000 + b"\n", 3, "is longer than"),
    "nan": (GOOD + GOOD.splitlines()[1].replace(b'"seq":', b'"utc_s":NaN,"seq":'), 3, "cannot"),
    "newer": (encode(sample_hello(schema=99)), 1, "Update gputop"),
    "newer format": (b'{"type":"block","format":9,"number":0,"line":1,"frames":0,"utc_s":1,'
                     b'"boottime_s":1}\n', 1, "Update gputop"),
    "delta first": (b'{"type":"delta"}\n', 1, "follows no frame"),
    "misfit": (GOOD + b'{"type":"delta","gone":[["host","nothing"]]}\n', 3, "is not there"),
    "too few": (GOOD + b'{"type":"delta","follow":[["seq"]],"by":[]}\n', 3, "numbers for"),
    "no number": (GOOD + b'{"type":"delta","follow":[["seq"]],"by":["x"]}\n', 3, "no number"),
    "of text": (GOOD + b'{"type":"delta","follow":[["session"]],"by":[1]}\n', 3, "number"),
    "beyond": (GOOD + b'{"type":"delta","put":[[["host","cores",9999],0.5]]}\n', 3, "beyond"),
    "no frame": (GOOD + b'{"type":"delta","put":[[["seq"],"x"]]}\n', 3, "makes no frame"),
    "emptied": (GOOD + b'{"type":"delta","gone":[["seq"]]}\n', 3, "makes no frame"),
    "list": (GOOD + b'{"type":"delta","put":[[["devices"],5]]}\n', 3, "makes no frame"),
    "order": (GOOD + b'{"type":"delta","order":{"devices":["a"]}}\n', 3, "orders what is not"),
}  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE)
def test_a_broken_line_is_named(tmp_path, case):
    content, line, words = HOSTILE[case]
    path = tmp_path / "a.ndjson"
    path.write_bytes(content if content.endswith(b"\n") else content + b"\n")
    with pytest.raises(BrokenRecord, match=words) as caught:
        all_of(path)
    assert str(caught.value).startswith(f"{path}, line {line} ")
    assert len(str(caught.value)) < 400
    assert caught.value.exit_code == 1


def test_damage_in_the_middle_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "BLOCK_FRAMES", 5)
    path = write(tmp_path / "a.ndjson.zst", demo_records(1, 20))
    block = blocks_of(path)[1]
    data = bytearray(path.read_bytes())
    data[block.offset + 200 : block.offset + 260] = bytes(60)
    path.write_bytes(data)
    with pytest.raises(BrokenRecord, match="cannot be") as caught:
        all_of(path)
    assert 6 < caught.value.line < block.header.line + 7


@pytest.mark.parametrize(
    ("block", "change"), [(0, "taken out"), (0, "put in twice"), (1, "taken out"), (2, "taken out")]
)
def test_a_delta_that_is_not_where_it_was_written_is_noticed(tmp_path, monkeypatch, block, change):
    """In a plain file anybody can edit: without a difference all that follow add up to what never
    was. Whoever reads on notices it at the end of the block, and who jumps into it, too.
    """
    monkeypatch.setattr(writing, "BLOCK_FRAMES", 10)
    path = tmp_path / "a.ndjson"
    write(path, demo_records(1, 25))
    lines = path.read_bytes().splitlines(keepends=True)
    starts = [n for n, line in enumerate(lines) if line.startswith(b'{"type":"block"')]
    assert len(starts) == 3
    ends = [*starts[1:], len(lines) - 1]
    deltas = [n for n in range(starts[block], ends[block]) if b'"type":"delta"' in lines[n]]
    victim = deltas[-1]  # one before it may not fit the next
    lines[victim : victim + 1] = [lines[victim]] * (0 if change == "taken out" else 2)
    path.write_bytes(b"".join(lines))
    number = ends[block] + (0 if change == "taken out" else 2)
    with pytest.raises(BrokenRecord, match=rf"line {number} ends a block of \d+ frames in which"):
        all_of(path)
    index = RecordingIndex(path)
    index.scan()
    assert len(index.blocks) == 3
    for other, place in enumerate(index.blocks):
        if other == block:
            with pytest.raises(BrokenRecord, match="lines were taken out or put in"):
                list(read_block(path, place))
        else:
            assert list(read_block(path, place))


def test_blocks_may_be_taken_out_and_files_put_together(tmp_path, monkeypatch):
    """Nothing in them is wrong then."""
    monkeypatch.setattr(writing, "BLOCK_FRAMES", 10)
    path = tmp_path / "a.ndjson"
    write(path, demo_records(1, 35))
    lines = path.read_bytes().splitlines(keepends=True)
    starts = [n for n, line in enumerate(lines) if line.startswith(b'{"type":"block"')]
    for kept in (lines[: starts[1]] + lines[starts[2] :], lines[starts[1] :], lines * 2):
        path.write_bytes(b"".join(kept))
        assert all_of(path)[0]


def test_a_little_that_unpacks_to_very_much_takes_no_memory(tmp_path):
    """A line without end is refused long before all of it was unpacked."""
    import tracemalloc

    packer = ZstdPacker()
    zeros = bytes(1 << 20)
    data = b"".join(packer.add(zeros, flush=False) for _ in range(200)) + packer.end()
    path = tmp_path / "bomb.zst"
    path.write_bytes(data)
    assert len(data) < 100_000
    tracemalloc.start()
    try:
        with pytest.raises(BrokenRecord, match="longer than"):
            all_of(path)
        assert tracemalloc.get_traced_memory()[1] < 60e6
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("packer", [ZstdPacker, GzipPacker])
def test_very_many_lines_in_little_take_no_memory(tmp_path, packer):
    """What a few bytes unpack to is not unpacked all at once."""
    import tracemalloc

    path, pack = tmp_path / "bomb", packer()
    line = encode(Event("s", 1, 1.0, 1.0, "log", text="x" * 20_000))
    path.write_bytes(
        pack.begin(b'{"type":"block"}') + b"".join(pack.add(line, False) for _ in range(2500))
        + pack.end()
    )  # fmt: skip
    assert path.stat().st_size < 100_000
    tracemalloc.start()
    try:
        assert sum(1 for _ in read(path)) == 2500
        assert tracemalloc.get_traced_memory()[1] < 5e6
    finally:
        tracemalloc.stop()


def test_what_stands_in_front_of_the_first_header_is_read_too(tmp_path):
    """As where the output of a stream and a recording were put behind each other."""
    path, records = tmp_path / "a.ndjson", demo_records(1, 9)
    path.write_bytes(
        b"".join(map(encode, records)) + write(tmp_path / "b.ndjson", records).read_bytes()
    )
    blocks = blocks_of(path)
    assert [block.header is None for block in blocks] == [True, False]
    assert [r for b in blocks for r in read_block(path, b) if isinstance(r, Frame)] == [
        r for r in (*records, *records) if isinstance(r, Frame)
    ]


def test_of_headers_without_number_only_so_many_are_kept(tmp_path, monkeypatch):
    """The last block that is known then reads on to the end of the file."""
    monkeypatch.setattr(writing, "BLOCK_FRAMES", 5)
    path = write(tmp_path / "a.ndjson.zst", demo_records(1, 40))
    assert len(blocks_of(path)) > 3
    monkeypatch.setattr(index, "MOST_BLOCKS", 3)
    blocks = blocks_of(path)
    assert len(blocks) == 3
    frames = [r.seq for b in blocks for r in read_block(path, b) if isinstance(r, Frame)]
    assert frames == [r.seq for r in demo_records(1, 40) if isinstance(r, Frame)]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_damage_is_one_sentence(tmp_path_factory, data):
    """Bytes changed anywhere: records, an end, or a sentence; never anything else."""
    suffix = data.draw(st.sampled_from(SUFFIXES))
    path = tmp_path_factory.mktemp("damage") / f"a{suffix}"
    write(path, [sample_hello(), *[sample_frame(seq=n) for n in range(4)]])
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    blocks_of(path)
    try:
        got, ending = all_of(path)
    except GputopError as error:
        assert "line" in str(error)
    else:
        assert ending is not None
        assert len(got) <= 5


@pytest.mark.parametrize("what", ["missing", "folder", "pipe"])
def test_what_is_no_file(tmp_path, what):
    path = tmp_path / "a.ndjson"
    if what == "folder":
        path.mkdir()
    elif what == "pipe":
        os.mkfifo(path)
    with pytest.raises(GputopError, match=r"There is no recording|no regular file"):
        read(path)


def test_headers_hold_no_text(tmp_path):
    """Else a process could be named so that it looks like the beginning of a block."""
    path = tmp_path / "a.ndjson"
    nasty = sample_frame()
    nasty.processes[0].name = '{"type":"block",'
    write(path, [sample_hello(), nasty])
    assert len(blocks_of(path)) == 1
    assert msgspec.json.decode(path.read_bytes().splitlines()[0])["type"] == "block"


# -- in the background --------------------------------------------------------------------------


class SlowWriter:
    """Writes when it is let."""

    def __init__(self, gate):
        self.gate, self.records, self.closed = gate, [], False

    def write(self, record):
        self.gate.wait()
        self.records.append(record)

    def close(self):
        self.closed = True


def test_a_slow_disk_holds_nobody_up():
    import threading

    gate, ended = threading.Event(), threading.Event()
    slow = SlowWriter(gate)
    writer = BackgroundWriter(slow, lambda problem: ended.set())
    frames = [sample_frame(seq=n) for n in range(400)]
    for record in (sample_hello(), *frames):
        writer.put(record)
    assert not writer.close()
    gate.set()
    assert writer.close(None)
    assert ended.is_set()
    assert slow.closed
    assert writer.dropped == 401 - len(slow.records) > 0
    assert slow.records[-1] == frames[-1]


def test_a_disk_that_fails_is_told_once(tmp_path):
    import threading

    problems, told = [], threading.Event()
    inner = RecordingWriter(tmp_path / "a.ndjson")
    os.close(inner._fd)

    def on_end(problem):
        problems.append(problem)
        told.set()

    writer = BackgroundWriter(inner, on_end)
    writer.put(sample_hello())
    told.wait()
    writer.put(sample_frame())
    inner._fd = -1
    assert writer.close(None)
    assert [type(problem) for problem in problems] == [ExportFailed]


def test_whatever_fails_is_told():
    """Else a recording would go on for ever of which nothing is written any more."""
    problems = []

    class Broken(SlowWriter):
        def write(self, record):
            raise RuntimeError("a thing")

    writer = BackgroundWriter(Broken(None), problems.append)
    writer.put(sample_hello())
    assert writer.close(None)
    (problem,) = problems
    assert isinstance(problem, ExportFailed)
    assert "unforeseen went wrong (RuntimeError: a thing)" in str(problem)

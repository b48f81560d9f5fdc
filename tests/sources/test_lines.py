"""Pieces of a pipe put together to records, and what cannot be read."""

from __future__ import annotations

import tracemalloc
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gputop.model.codec import LONGEST_LINE, encode
from gputop.model.frame import Frame, HostReading
from gputop.sources.lines import RecordLines

FRAMES = [Frame("s", n, 1.8e9, 5.0 + n, 1.0, HostReading(load_1=0.5)) for n in range(4)]
STREAM = b"".join(map(encode, FRAMES))


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_however_the_pipe_cuts_the_stream_the_records_are_the_same(cuts: list[int]) -> None:
    lines, edges = RecordLines(), [0, *sorted(cuts), len(STREAM)]
    records = [record for start, end in pairwise(edges) for record in lines.feed(STREAM[start:end])]
    assert records == FRAMES
    lines.end()
    assert lines.broken == 0


def test_a_line_that_cannot_be_read_is_counted_and_the_next_is_read() -> None:
    lines = RecordLines()
    content = encode(FRAMES[0]) + b"Traceback\n{\n" + encode(FRAMES[1])
    assert lines.feed(content) == FRAMES[:2]
    assert (lines.broken, lines.broken_in_a_row) == (2, 0)
    assert lines.last_problem.startswith("line 3 cannot be read")


JUNK = st.binary(max_size=30).map(lambda line: line.replace(b"\n", b"")) | st.sampled_from(
    [b"[" * 5000, b"x" * 9000, b"{}", b"null", b'{"type":"frame"}', STREAM[:100], b"NaN"]
)  # fmt: skip


@given(st.lists(st.sampled_from(range(4)) | JUNK, max_size=12), st.integers(1, 5000))
def test_every_line_that_can_be_read_is_and_every_other_is_counted(
    content: list[int | bytes], piece: int
) -> None:
    """Junk between records costs the junk, and the last of it is named with its line."""
    whole = [FRAMES[part] for part in content if isinstance(part, int)]
    junk = [number for number, part in enumerate(content, 1) if isinstance(part, bytes)]
    stream = b"".join(
        encode(FRAMES[part]) if isinstance(part, int) else part + b"\n" for part in content
    )
    lines = RecordLines()
    records = [
        r for at in range(0, len(stream), piece) for r in lines.feed(stream[at : at + piece])
    ]
    lines.end()
    assert records == whole
    assert lines.broken == len(junk)
    assert not junk or lines.last_problem.startswith(f"line {junk[-1]} ")
    assert len(lines.last_problem) < 300


def test_what_never_ends_takes_no_more_memory_than_the_longest_line() -> None:
    lines, size = RecordLines(), 1 << 20
    tracemalloc.start()
    for _ in range(4 * LONGEST_LINE // size):
        lines.feed(b"x" * size)  # a new object each: of one alone nothing would be held twice
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.5 * LONGEST_LINE
    assert lines.feed(b"\n" + encode(FRAMES[0])) == FRAMES[:1]


def test_half_a_line_at_the_end_is_broken() -> None:
    lines = RecordLines()
    assert lines.feed(encode(FRAMES[0])[:-1]) == []
    lines.end()
    assert lines.broken == 1
    assert lines.last_problem == "line 1 is cut off."


def test_a_line_without_an_end_is_not_kept_for_ever() -> None:
    lines = RecordLines()
    for _ in range(2 * LONGEST_LINE // (1 << 20)):
        lines.feed(b"x" * (1 << 20))
    assert lines.broken >= 1
    assert lines.last_problem == "line 1 does not end."


@pytest.mark.parametrize("line", [b"", b"null", b"[]", b'{"type":"other"}', b"\xff\xfe", b"{" * 9])
def test_no_line_raises(line: bytes) -> None:
    lines = RecordLines()
    assert lines.feed(line + b"\n") == []
    assert lines.broken_in_a_row == 1

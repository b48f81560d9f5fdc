"""Pieces of a pipe put together to records, and what cannot be read."""

from __future__ import annotations

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

"""Writing to pipes that are full, shared, closed or broken."""

from __future__ import annotations

import fcntl
import os
import queue
import threading
from collections.abc import Iterator

import pytest

from gputop.collect.writer import FRAMES_WAITING, Kind, Wake, Writer
from tests.waiting import readable

PATIENCE_S = 30.0


class Pipe:
    """A pipe with a writer on it, and what the writer said at its end."""

    def __init__(self) -> None:
        self.read_end, self.write_end = os.pipe()
        self.size = fcntl.fcntl(self.write_end, fcntl.F_SETPIPE_SZ, 4096)
        self.ends: queue.SimpleQueue[OSError | None] = queue.SimpleQueue()
        self.writer = Writer(self.write_end, self.ends.put)

    def fill(self) -> bytes:
        """Put one frame that the pipe cannot hold, and return when its writing has begun."""
        line = b"x" * (3 * self.size) + b"\n"
        self.writer.put(Kind.FRAME, line)
        begin = self._part(1)
        return line[len(begin) :]

    def _part(self, size: int) -> bytes:
        ready = readable(self.read_end, timeout_s=PATIENCE_S)
        assert ready, "nothing is written"
        return os.read(self.read_end, size)

    def read(self, size: int) -> bytes:
        content = b""
        while len(content) < size:
            content += self._part(size - len(content))
        return content

    def read_lines(self, count: int) -> list[bytes]:
        content = b""
        while content.count(b"\n") < count:
            content += self._part(65536)
        return content.splitlines()


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    pipe = Pipe()
    yield pipe
    os.close(pipe.read_end)


def test_lines_arrive_in_order(pipe: Pipe) -> None:
    for kind, line in ((Kind.HELLO, b"h\n"), (Kind.FRAME, b"f\n"), (Kind.EVENT, b"e\n")):
        pipe.writer.put(kind, line)
    assert pipe.read_lines(3) == [b"h", b"f", b"e"]
    assert pipe.writer.drain(PATIENCE_S)


def test_a_full_pipe_drops_the_oldest_frames_and_nothing_else(pipe: Pipe) -> None:
    rest = pipe.fill()
    pipe.writer.put(Kind.HELLO, b"hello\n")
    pipe.writer.put(Kind.EVENT, b"xid\n")
    for number in range(FRAMES_WAITING + 6):
        pipe.writer.put(Kind.FRAME, b"frame %d\n" % number)
    assert pipe.writer.dropped == 6
    assert pipe.read(len(rest)) == rest
    kept = [b"frame %d" % number for number in range(6, FRAMES_WAITING + 6)]
    assert pipe.read_lines(2 + FRAMES_WAITING) == [b"hello", b"xid", *kept]


def test_a_hello_nobody_has_seen_gives_way_to_the_next_one(pipe: Pipe) -> None:
    rest = pipe.fill()
    for number in range(FRAMES_WAITING * 3):
        pipe.writer.put(Kind.HELLO, b"hello %d\n" % number)
        pipe.writer.put(Kind.FRAME, b"frame %d\n" % number)
    last = FRAMES_WAITING * 3 - 1
    pipe.read(len(rest))
    lines = pipe.read_lines(2 * FRAMES_WAITING)
    assert lines[:2] == [b"hello %d" % (last - 3), b"frame %d" % (last - 3)]
    assert lines[-2:] == [b"hello %d" % last, b"frame %d" % last]


def test_the_end_of_the_reader_is_told_once_and_holds_nobody(pipe: Pipe) -> None:
    pipe.fill()
    spare, pipe.read_end = pipe.read_end, os.open(os.devnull, os.O_RDONLY)
    os.close(spare)
    assert pipe.ends.get(timeout=PATIENCE_S) is None
    for _ in range(100):
        pipe.writer.put(Kind.FRAME, b"late\n")
    assert pipe.writer.drain(PATIENCE_S)
    assert pipe.ends.empty()


def test_a_full_disk_is_an_error() -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    ends: queue.SimpleQueue[OSError | None] = queue.SimpleQueue()
    Writer(full, ends.put).put(Kind.FRAME, b"frame\n")
    problem = ends.get(timeout=PATIENCE_S)
    assert problem is not None
    assert problem.strerror == "No space left on device"
    os.close(full)


def test_a_descriptor_made_non_blocking_by_others_loses_nothing(pipe: Pipe) -> None:
    os.set_blocking(pipe.write_end, False)
    rest = pipe.fill()
    assert pipe.read(len(rest)) == rest


def test_finishing_a_line_forgets_the_others(pipe: Pipe) -> None:
    rest = pipe.fill()
    pipe.writer.put(Kind.FRAME, b"never\n")
    finished = threading.Thread(target=pipe.writer.finish_line, args=(PATIENCE_S,))
    finished.start()
    assert pipe.read(len(rest)) == rest
    finished.join(PATIENCE_S)
    assert not finished.is_alive()
    pipe.writer.put(Kind.EVENT, b"next\n")
    assert pipe.read_lines(1) == [b"next"]


# -- sleeping ------------------------------------------------------------------------------------


def test_a_call_ends_the_sleep_now_or_the_next_one(pipe: Pipe) -> None:
    wake = Wake(pipe.write_end)
    wake.call()
    assert wake.sleep(PATIENCE_S)
    threading.Timer(0.01, wake.call).start()
    assert wake.sleep(PATIENCE_S)


def test_any_number_of_calls_is_one(pipe: Pipe) -> None:
    wake = Wake(pipe.write_end)
    for _ in range(100_000):
        wake.call()
    assert wake.sleep(PATIENCE_S)


def test_the_sleep_ends_when_the_reader_goes_away(pipe: Pipe) -> None:
    wake = Wake(pipe.write_end)
    spare, pipe.read_end = pipe.read_end, os.open(os.devnull, os.O_RDONLY)
    threading.Timer(0.01, os.close, (spare,)).start()
    assert not wake.sleep(PATIENCE_S)


def test_a_file_is_a_reader_that_stays(tmp_path: object) -> None:
    with open(f"{tmp_path}/records", "wb") as file:
        assert Wake(file.fileno()).sleep(0.0)

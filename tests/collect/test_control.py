"""Commands from a pipe, however it cuts them."""

from __future__ import annotations

import array
import fcntl
import os
import queue
import termios
import time
from collections.abc import Iterator

import pytest

from gputop.collect.control import listen
from gputop.model.commands import Command, ReadSlow, Release, SetInterval, encode_command

PATIENCE_S = 30.0


class Line:
    """The writing end of a pipe that somebody listens to."""

    def __init__(self) -> None:
        self._read_end, self.write_end = os.pipe()
        self.heard: queue.SimpleQueue[Command | str] = queue.SimpleQueue()
        listen(self._read_end, self.heard.put, lambda: self.heard.put("end"))

    def say(self, content: bytes) -> None:
        """Write, and return when it has been read."""
        os.write(self.write_end, content)
        left, deadline = array.array("i", [1]), time.monotonic() + PATIENCE_S
        while left[0] and time.monotonic() < deadline:
            fcntl.ioctl(self._read_end, termios.FIONREAD, left)

    def next(self) -> Command | str:
        return self.heard.get(timeout=PATIENCE_S)


@pytest.fixture
def line() -> Iterator[Line]:
    result = Line()
    yield result
    if result.write_end >= 0:
        os.close(result.write_end)


def test_a_command_may_come_in_pieces(line: Line) -> None:
    for byte in encode_command(SetInterval(2.5)):
        line.say(bytes([byte]))
    assert line.next() == SetInterval(2.5)


def test_many_commands_may_come_at_once(line: Line) -> None:
    line.say(encode_command(Release()) + encode_command(ReadSlow()) + b'{"comm')
    line.say(b'and":"read_slow"}\n')
    assert [line.next() for _ in range(3)] == [Release(), ReadSlow(), ReadSlow()]


def test_what_is_no_command_is_passed_over(line: Line) -> None:
    line.say(b'\n{}\n{"command":"dance"}\n{"command":"interval","seconds":"x"}\n\xff\xfe\n')
    line.say(b"x" * 60_000 + b"\n" + encode_command(ReadSlow()))
    assert line.next() == ReadSlow()


def test_the_end_is_told(line: Line) -> None:
    line.say(b"half a line")
    os.close(line.write_end)
    line.write_end = -1
    assert line.next() == "end"

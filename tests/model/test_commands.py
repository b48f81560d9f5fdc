"""Commands as lines: what is one comes back, and what is none is passed over."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gputop.model.commands import (
    ReadSlow,
    Release,
    Retake,
    SetInterval,
    decode_command,
    encode_command,
)

COMMANDS = st.sampled_from([ReadSlow(), Release(), Retake()]) | st.builds(
    SetInterval, st.floats(allow_nan=False, allow_infinity=False)
)


@given(COMMANDS)
def test_a_command_comes_back_as_it_went(command):
    assert decode_command(encode_command(command)) == command


@given(st.binary(max_size=200) | st.text(max_size=60).map(str.encode))
def test_what_is_no_command_is_none(line):
    command = decode_command(line)
    assert command is None or decode_command(encode_command(command)) == command


@pytest.mark.parametrize(
    "line",
    [
        b"", b"null", b"[]", b"\xff\xfe", b'{"command":"dance"}', b'{"command":"interval"}',
        b'{"command":"interval","seconds":"1"}', b'{"command":"interval","seconds":NaN}',
        b'{"command":"interval","seconds":1e999}', b'{"command":"interval","seconds":null}',
        b"[" * 4096, b'{"command":"release","x":' + b"[" * 4000, b'{"x":' * 800,
    ],
)  # fmt: skip
def test_it_is_passed_over_whatever_it_is(line):
    assert decode_command(line) is None


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_an_interval_that_gets_through_is_a_number(seconds):
    command = decode_command(encode_command(SetInterval(seconds)))
    assert isinstance(command, SetInterval)
    assert math.isfinite(command.seconds)

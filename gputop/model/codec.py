"""Records to lines and back: NDJSON, one record a line."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from gputop.errors import BrokenRecord
from gputop.model.frame import SCHEMA_VERSION, AnyRecord, Frame, Hello

LONGEST_LINE = 16 * 1024 * 1024
"""Bytes. A line beyond this is no frame (16 devices with 500 processes make about 300 kB, and 64
devices with all samples from before the start 10 MB). In memory it is up to 25 times as much.
"""
MOST_DEVICES = 256
"""MIG instances included. History is kept for each, so that many cost some hundred megabytes."""

T = TypeVar("T")

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[AnyRecord] = msgspec.json.Decoder(AnyRecord)


def encode(record: AnyRecord) -> bytes:
    """One line, with its newline. Half of a surrogate pair in a text becomes U+FFFD."""
    try:
        return _encoder.encode(record) + b"\n"
    except UnicodeEncodeError:  # somebody's process has such a name: rare, but not our end
        return _encoder.encode(_whole(msgspec.to_builtins(record))) + b"\n"


def _whole(value: object) -> object:
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, dict):
        return {_whole(key): _whole(inner) for key, inner in value.items()}
    return [_whole(inner) for inner in value] if isinstance(value, list) else value


def decode(line: bytes | str, number: int) -> AnyRecord:
    """The record on line `number` (from 1).

    Raises:
        BrokenRecord: the line is cut off, mistyped, too long, too much or of a newer schema.
    """
    return decode_as(_decoder, line, number)


def decode_as(decoder: msgspec.json.Decoder[T], line: bytes | str, number: int) -> T:
    """The same for lines that may be more than records; raises as :func:`decode` does."""
    if len(line) > LONGEST_LINE:
        raise BrokenRecord(number, f"is longer than {LONGEST_LINE} bytes")
    try:
        record = decoder.decode(line)
    except msgspec.ValidationError as error:
        raise BrokenRecord(number, f"is not a gputop record: {error}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BrokenRecord(number, f"cannot be read: {error}") from None
    if isinstance(record, Hello | Frame) and len(record.devices) > MOST_DEVICES:
        raise BrokenRecord(
            number, f"names {len(record.devices)} devices; a machine has {MOST_DEVICES} at most"
        )
    if isinstance(record, Hello) and record.schema > SCHEMA_VERSION:
        raise BrokenRecord(
            number,
            f"was written by {record.program} with schema {record.schema}; this gputop "
            f"reads up to {SCHEMA_VERSION}. Update gputop",
        )
    return record


def json_schema() -> dict[str, object]:
    """JSON Schema of a line of the stream, made from the types."""
    return msgspec.json.schema(AnyRecord)

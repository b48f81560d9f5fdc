"""Records to lines and back: NDJSON, one record a line."""

from __future__ import annotations

import msgspec

from gputop.errors import BrokenRecord
from gputop.model.frame import SCHEMA_VERSION, AnyRecord, Hello

LONGEST_LINE = 16 * 1024 * 1024
"""Bytes. A line beyond this is no frame (16 devices with 500 processes make about 300 kB)."""

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[AnyRecord] = msgspec.json.Decoder(AnyRecord)


def encode(record: AnyRecord) -> bytes:
    """One line, with its newline."""
    return _encoder.encode(record) + b"\n"


def decode(line: bytes | str, number: int) -> AnyRecord:
    """The record on line `number` (from 1).

    Raises:
        BrokenRecord: the line is cut off, mistyped, too long or of a newer schema.
    """
    if len(line) > LONGEST_LINE:
        raise BrokenRecord(number, f"is longer than {LONGEST_LINE} bytes")
    try:
        record = _decoder.decode(line)
    except msgspec.ValidationError as error:
        raise BrokenRecord(number, f"is not a gputop record: {error}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BrokenRecord(number, f"cannot be read: {error}") from None
    if isinstance(record, Hello) and record.schema > SCHEMA_VERSION:
        raise BrokenRecord(
            number,
            f"was written by {record.program} with schema {record.schema}; this gputop reads "
            f"up to {SCHEMA_VERSION}. Update gputop",
        )
    return record


def json_schema() -> dict[str, object]:
    """JSON Schema of a line of the stream, made from the types."""
    return msgspec.json.schema(AnyRecord)

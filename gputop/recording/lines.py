"""What the lines of a recording can be, beside the records themselves, and how they are read."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from gputop.errors import BrokenRecord
from gputop.model.codec import decode_as
from gputop.model.frame import AnyRecord, Frame, Hello
from gputop.recording.delta import Delta, DeltaDecoder, Misfit

FORMAT_VERSION = 1


class Header(msgspec.Struct, tag="block"):
    """Stands in front of a block. All its fields are numbers."""

    format: int
    number: int
    """Of the block, from 0."""
    line: int
    """Number of the first line behind it, from 1."""
    frames: int
    """Frames in the blocks before."""
    utc_s: float
    boottime_s: float


class Again(msgspec.Struct, tag="again"):
    """The hello in force, for whoever begins to read here. It is no record of its own."""

    hello: Hello


class End(msgspec.Struct, tag="end"):
    """The last line of a recording that was ended and not cut off."""

    frames: int
    utc_s: float


Line = AnyRecord | Delta | Header | Again | End
_decoder: msgspec.json.Decoder[Line] = msgspec.json.Decoder(Line)
_plain_decoder: msgspec.json.Decoder[dict[str, Any]] = msgspec.json.Decoder(dict[str, Any])
"""It looks at what the other passes over: text that is no UTF-8 under a name nobody knows."""


def check_first(line: bytes, where: str) -> None:
    """See that the first line may be a record and not that of a page, a picture, a text.

    Raises:
        BrokenRecord: it is none.
    """
    if not re.match(rb'\s*\{\s*["}]', line):
        raise BrokenRecord(1, "is no record, so this is no recording of gputop", where)


class LineDecoder:
    """Lines to records, in order; `number` is that of the line read last."""

    def __init__(self, number: int = 0, where: str = "") -> None:
        self.number = number
        self.ended = False
        """True behind a line that ends the recording."""
        self._where = where
        self._frames = DeltaDecoder()
        self._knows_hello = False
        self._header: Header | None = None
        self._in_block = 0
        """Frames behind that header."""

    def decode(self, line: bytes) -> AnyRecord | None:
        """The record on the next line; None for one that holds none.

        Raises:
            BrokenRecord: it cannot be read, or does not fit those before it.
        """
        self.number += 1
        if self.number == 1:
            check_first(line, self._where)
        try:
            record = self._record(decode_as(_decoder, line, self.number), line)
        except BrokenRecord as problem:
            raise BrokenRecord(problem.line, problem.what, self._where) from None
        return record

    def check_block(self, frames: int) -> None:
        """See that the block that ends here had so many frames: behind one that was taken out the
        differences add up to what never was.

        Raises:
            BrokenRecord: it had not.
        """
        if self._in_block != frames:
            what = f"ends a block of {frames} frames in which there are {self._in_block}, so what"
            raise BrokenRecord(
                self.number, f"{what} it says may be wrong: lines were taken out or put in",
                self._where,
            )  # fmt: skip

    def _record(self, record: Line, line: bytes) -> AnyRecord | None:
        self.ended = isinstance(record, End)
        match record:
            case Frame():
                self._in_block += 1
                self._frames.start(decode_as(_plain_decoder, line, self.number))
            case Delta():
                self._in_block += 1
                return self._frame_of(record)
            case Again():
                first, self._knows_hello = not self._knows_hello, True
                return record.hello if first else None
            case Hello():
                self._knows_hello = True
            case Header():
                if record.format > FORMAT_VERSION:
                    raise BrokenRecord(
                        self.number, f"was written by a newer gputop (format {record.format}; this "
                        f"one reads up to {FORMAT_VERSION}). Update gputop",
                    )  # fmt: skip
                if self._header is not None and record.number == self._header.number + 1:
                    self.check_block(record.frames - self._header.frames)
                self._header, self._in_block = record, 0
                return None
            case End():
                if self._header is not None:
                    self.check_block(record.frames - self._header.frames)
                return None
        return record

    def _frame_of(self, delta: Delta) -> Frame:
        try:
            plain: dict[str, Any] = self._frames.decode(delta)
            return msgspec.convert(plain, Frame)
        except Misfit as problem:
            raise BrokenRecord(self.number, str(problem)) from None
        except msgspec.ValidationError as problem:
            raise BrokenRecord(self.number, f"makes no frame: {problem}") from None

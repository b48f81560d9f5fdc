"""Bytes of a pipe to records."""

from __future__ import annotations

from gputop.errors import BrokenRecord
from gputop.model.codec import LONGEST_LINE, decode
from gputop.model.frame import AnyRecord


class RecordLines:
    """Puts the pieces a pipe gives together and decodes each whole line."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._size = 0
        self._number = 0
        self.broken = 0
        """Lines that could not be read."""
        self.broken_in_a_row = 0
        self.last_problem = ""
        """What was wrong with the last of them."""
        self.reported = False
        """For whoever tells people about them, once."""

    def feed(self, part: bytes) -> list[AnyRecord]:
        """The records that end in `part`, in order."""
        records = []
        *whole, rest = part.split(b"\n")
        for end in whole:
            record = self._decode(b"".join([*self._pieces, end]))
            self._pieces, self._size = [], 0
            if record is not None:
                records.append(record)
        self._pieces.append(rest)
        self._size += len(rest)
        if self._size > LONGEST_LINE:
            self._pieces, self._size = [], 0
            self._complain(BrokenRecord(self._number + 1, "does not end"))
        return records

    def end(self) -> None:
        """The pipe is at its end: half a line that is left over is a broken one."""
        if self._size:
            self._complain(BrokenRecord(self._number + 1, "is cut off"))
        self._pieces, self._size = [], 0

    def _decode(self, line: bytes) -> AnyRecord | None:
        self._number += 1
        try:
            record = decode(line, self._number)
        except BrokenRecord as problem:
            self._complain(problem)
            return None
        self.broken_in_a_row = 0
        return record

    def _complain(self, problem: BrokenRecord) -> None:
        self.broken += 1
        self.broken_in_a_row += 1
        self.last_problem = str(problem)

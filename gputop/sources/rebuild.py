"""What led up to the frame on screen, read bit by bit after a jump while playing goes on."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Protocol

from gputop.model.frame import AnyRecord, Frame


class NewState(Protocol):
    """A state in the making, for the place of the one on screen."""

    def apply(self, record: AnyRecord) -> None:
        """Take the next record."""

    def show(self) -> None:
        """Take the place."""


class Rebuild:
    """Makes a state from all records up to the frame on screen, wherever that is by then."""

    def __init__(self, state: NewState, records: Iterator[AnyRecord], begin_utc_s: float) -> None:
        self.begin_utc_s = begin_utc_s
        """Where the records begin."""
        self._state = state
        self._records = records
        self._ahead: AnyRecord | None = None
        """The record that was read too far."""
        self._read_utc_s = begin_utc_s

    def done(self, until_utc_s: float) -> float:
        """How much of the way to a moment is read, 0 to 1."""
        span = until_utc_s - self.begin_utc_s
        return min(max((self._read_utc_s - self.begin_utc_s) / span, 0.0), 1.0) if span > 0 else 1.0

    def work(self, until_utc_s: float, seconds: float) -> bool:
        """Read for so long at most; True once the state holds the last frame at or before the
        moment, and what came with it, and stands in its place.
        """
        stop = time.monotonic() + seconds
        while (record := self._next()) is not None:
            if isinstance(record, Frame):
                if record.utc_s > until_utc_s:
                    self._ahead = record
                    break
                self._read_utc_s = record.utc_s
            self._state.apply(record)
            time.sleep(0)  # whoever draws or answers a key need not wait its turn
            if time.monotonic() >= stop:
                return False
        self._state.show()
        return True

    def _next(self) -> AnyRecord | None:
        record, self._ahead = self._ahead, None
        return record if record is not None else next(self._records, None)

"""Where the blocks of a recording begin."""

from __future__ import annotations

import bisect
import os
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from gputop.recording.container import LONGEST_HEADER, MARK, container_of
from gputop.recording.lines import Header
from gputop.recording.reader import open_to_read

STEP_BYTES = 4 << 20
"""Bytes looked through at once."""
MOST_BLOCKS = 1 << 16
"""Some months at a reading a second. Of a file with more the last block reads on to its end."""

_decoder: msgspec.json.Decoder[Header] = msgspec.json.Decoder(Header)


@dataclass(frozen=True, slots=True)
class Block:
    """One block of a file."""

    offset: int
    """Where it begins, its header included."""
    header: Header | None
    """None for the whole of a file without blocks, such as the output of `gputop stream`."""
    end: int | None = None
    """Where the next one begins; None for the last."""
    frames: int | None = None
    """How many there are in it, where the next one's header tells."""


class RecordingIndex:
    """Finds the blocks by their headers, without unpacking anything.

    Nothing is looked through before `scan` is called; call it again when a file has grown.

    Raises:
        GputopError: the file cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self._fd = open_to_read(path)
        self._container = container_of(os.pread(self._fd, 16, 0))
        self._at = 0
        self._blocks: list[Block] = []

    @property
    def size(self) -> int:
        """Bytes the file has now."""
        return os.fstat(self._fd).st_size

    @property
    def scanned(self) -> float:
        """The part of the file that has been looked through, 0 to 1."""
        return min(self._at / self.size, 1.0) if self.size else 1.0

    @property
    def blocks(self) -> list[Block]:
        """The blocks found so far, in the order of the file."""
        return self._blocks or [Block(0, None)]

    def scan(self, most_bytes: int = STEP_BYTES) -> bool:
        """Look through the next part of the file; False when its end was reached."""
        data = os.pread(self._fd, most_bytes + LONGEST_HEADER, self._at)
        last = len(data) < most_bytes + LONGEST_HEADER
        place = data.find(MARK)
        while 0 <= place < most_bytes:
            stop = data.find(b"}", place, place + LONGEST_HEADER) + 1
            if not stop and last:
                break  # half a header: the writer is at it
            self._found(self._at + place, data[place:stop])
            place = data.find(MARK, place + 1)
        # The end of the file is looked through again: a header may be half written.
        self._at += max(0, len(data) - LONGEST_HEADER) if last else most_bytes
        return not last

    def _found(self, at: int, raw: bytes) -> None:
        try:
            header = _decoder.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return
        offset = at - self._container.before_mark
        if offset > 0 and not self._blocks:  # records without a header stand in front of it
            self._blocks.append(Block(0, None))
        last = self._blocks[-1] if self._blocks else None
        if offset <= (last.offset if last else -1) or len(self._blocks) == MOST_BLOCKS:
            return
        if last:
            self._blocks[-1] = replace(
                last, end=offset, frames=_frames_between(last.header, header)
            )
        self._blocks.append(Block(offset, header))

    def at_time(self, utc_s: float) -> int:
        """The number, in `blocks`, of the last block that begins at or before a moment."""
        starts = [block.header.utc_s if block.header else 0.0 for block in self.blocks]
        return max(bisect.bisect_right(starts, utc_s) - 1, 0)

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)


def _frames_between(first: Header | None, second: Header) -> int | None:
    """The frames of a block by its header and the next one's; None where that is another's."""
    if first is None or second.number != first.number + 1:
        return None
    return second.frames - first.frames

"""Recordings: the records of a stream in a file, small, and readable however the file ended.

For writers::

    with RecordingWriter(Path("run.ndjson.zst")) as writer:   # .zst, .gz or plain .ndjson
        writer.write(record)                                  # hello, frame or event, in order

For readers::

    reader = read(path)
    for record in reader: ...       # the very records that were written
    reader.ending                   # then: complete, cut off (with the line) or still growing

`BackgroundWriter` is a writer that never holds its caller up; `RecordingIndex` finds the blocks of
a file for whoever jumps in it; `read_block` reads one of them. All errors are of `gputop.errors`.

The file is NDJSON, one JSON object a line, in blocks of `writer.BLOCK_FRAMES` frames. Each block
can be read without those before it: it begins with the hello in force and a whole frame, and the
frames after that are lines of type ``delta`` (see `delta`), which hold only what changed. A block
is one zstd frame or gzip member, so ``zstd -dc`` and ``zcat`` print the lines. In front of each
stands a header, in clear and uncompressed (see `container`), so that blocks are found without
unpacking anything. A complete recording closes with a line of type ``end``.
"""

from gputop.recording.background import BackgroundWriter
from gputop.recording.index import Block, RecordingIndex
from gputop.recording.reader import Ending, Reader, read, read_block
from gputop.recording.writer import RecordingWriter

__all__ = [
    "BackgroundWriter", "Block", "Ending", "Reader", "RecordingIndex", "RecordingWriter", "read",
    "read_block",
]  # fmt: skip

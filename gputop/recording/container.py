"""Blocks in a file: how they are packed, and how they are found again.

Each block has a header in front of it, a JSON object that begins with `MARK` and stands in clear:
as a skippable frame before a zstd frame (RFC 8878, 3.1.2), in the extra field of a gzip member's
own header (RFC 1952, 2.3.1.1), as a line of its own in plain NDJSON. What is compressed or
escaped never holds `MARK`, so a search for it finds every block.
"""

from __future__ import annotations

import struct
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MARK = b'{"type":"block",'
LONGEST_HEADER = 4096
"""Bytes; a header beyond this is none."""
SIP = 128
"""Bytes that are taken at once: where they turn out to be damaged, what could have been unpacked
of them is lost.
"""
PIECE = 1 << 16
"""Bytes that are unpacked at once: however well they were packed, memory stays bounded."""

_SKIPPABLE = 0x184D2A50
_GZIP_START = b"\x1f\x8b\x08\x04\0\0\0\0\0\xff"
"""Deflate, with an extra field, no time, unknown system."""
_GZIP_FIELD = b"gp"
_ZSTD_LEVEL, _GZIP_LEVEL = 9, 6
_WINDOW_LOG, _TABLE_LOG = 20, 17
"""A block of some hundred kB needs no larger window; the tables take 1.5 MB."""
_LARGEST_WINDOW_LOG = 23
"""8 MiB: what a file may ask of its reader."""


class Damaged(ValueError):
    """What cannot be unpacked; the message completes "line N ..."."""


class Packer(Protocol):
    """Makes the bytes of one block after another."""

    def begin(self, header: bytes) -> bytes:
        """The header and the beginning of a block."""

    def add(self, line: bytes, flush: bool) -> bytes:
        """A line; with `flush` everything so far can be read back from the bytes returned."""

    def end(self) -> bytes:
        """The end of a block."""


class PlainPacker:
    """Lines as they are."""

    def begin(self, header: bytes) -> bytes:
        """The header is a line."""
        return header + b"\n"

    def add(self, line: bytes, flush: bool) -> bytes:
        """The line."""
        return line

    def end(self) -> bytes:
        """Nothing."""
        return b""


class ZstdPacker:
    """A zstd frame a block."""

    def __init__(self) -> None:
        parameters = zstd.CompressionParameter
        self._compressor = zstd.ZstdCompressor(
            options={
                parameters.compression_level: _ZSTD_LEVEL,
                parameters.window_log: _WINDOW_LOG,
                parameters.hash_log: _TABLE_LOG,
                parameters.chain_log: _TABLE_LOG,
                parameters.checksum_flag: 1,
            }
        )

    def begin(self, header: bytes) -> bytes:
        """The header in a skippable frame."""
        return struct.pack("<II", _SKIPPABLE, len(header)) + header

    def add(self, line: bytes, flush: bool) -> bytes:
        """Ends a zstd block with `flush`."""
        compressor = self._compressor
        return compressor.compress(line, compressor.FLUSH_BLOCK if flush else compressor.CONTINUE)

    def end(self) -> bytes:
        """Ends the frame."""
        return self._compressor.flush(self._compressor.FLUSH_FRAME)


class GzipPacker:
    """A gzip member a block."""

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._deflate = zlib.compressobj(_GZIP_LEVEL, wbits=-zlib.MAX_WBITS)
        self._crc = zlib.crc32(b"")
        self._size = 0

    def begin(self, header: bytes) -> bytes:
        """The header in the member's extra field."""
        self._begin()
        field = _GZIP_FIELD + struct.pack("<H", len(header)) + header
        return _GZIP_START + struct.pack("<H", len(field)) + field

    def add(self, line: bytes, flush: bool) -> bytes:
        """Ends a deflate block with `flush`."""
        self._crc = zlib.crc32(line, self._crc)
        self._size += len(line)
        packed = self._deflate.compress(line)
        return packed + self._deflate.flush(zlib.Z_SYNC_FLUSH) if flush else packed

    def end(self) -> bytes:
        """Checksum and size of the member."""
        return self._deflate.flush() + struct.pack("<II", self._crc, self._size & 0xFFFFFFFF)


class Unpacker(Protocol):
    """Takes the bytes of a file, in pieces, and gives back its lines' bytes."""

    between: bool
    """True between two blocks, where a file may end."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take more, and yield what can be had of it in pieces of at most `PIECE` bytes.

        Raises:
            Damaged: it cannot be unpacked.
        """


class PlainUnpacker:
    """Nothing to unpack."""

    between = True

    def feed(self, data: bytes) -> Iterator[bytes]:
        """What it was given."""
        yield data


class ZstdUnpacker:
    """One zstd frame after another; skippable ones are skipped."""

    def __init__(self) -> None:
        self._frame = _zstd_frame()
        self.between = True

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Unpack what there is."""
        for start in range(0, len(data), SIP):
            yield from self._sip(data[start : start + SIP])

    def _sip(self, data: bytes) -> Iterator[bytes]:
        while True:
            if self._frame.eof:
                data = self._frame.unused_data + data
                self._frame = _zstd_frame()
            if not data and self._frame.needs_input:
                return
            try:
                out = self._frame.decompress(data, PIECE)
            except zstd.ZstdError as error:
                raise Damaged(f"cannot be unpacked ({error})") from None
            data = b""
            self.between = self._frame.eof
            if out:
                yield out


def _zstd_frame() -> zstd.ZstdDecompressor:
    limit = zstd.DecompressionParameter.window_log_max
    return zstd.ZstdDecompressor(options={limit: _LARGEST_WINDOW_LOG})


class GzipUnpacker:
    """One gzip member after another."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(zlib.MAX_WBITS | 16)
        self.between = True

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Unpack what there is."""
        for start in range(0, len(data), SIP):
            yield from self._sip(data[start : start + SIP])

    def _sip(self, data: bytes) -> Iterator[bytes]:
        full = False
        while True:
            if self._member.eof:
                data = self._member.unused_data + data
                self._member = zlib.decompressobj(zlib.MAX_WBITS | 16)
                full = False
            data = self._member.unconsumed_tail + data
            if not data and not full:
                return
            try:
                out = self._member.decompress(data, PIECE)
            except zlib.error as error:
                raise Damaged(f"cannot be unpacked ({error})") from None
            data = b""
            full = len(out) == PIECE
            self.between = self._member.eof
            if out:
                yield out


class Container(NamedTuple):
    """One way to pack blocks."""

    suffix: str
    """How the names of such files end."""
    magics: tuple[bytes, ...]
    """How such files begin; none for what begins with a line."""
    before_mark: int
    """Bytes from the beginning of a block to the mark of its header."""
    packer: Callable[[], Packer]
    unpacker: Callable[[], Unpacker]


CONTAINERS = (
    Container(".zst", (struct.pack("<I", _SKIPPABLE), b"\x28\xb5\x2f\xfd"), 8, ZstdPacker,
              ZstdUnpacker),
    Container(".gz", (b"\x1f\x8b",), len(_GZIP_START) + 2 + 4, GzipPacker, GzipUnpacker),
    Container(".ndjson", (), 0, PlainPacker, PlainUnpacker),
)  # fmt: skip
PLAIN = CONTAINERS[-1]
LONGEST_MAGIC = max(len(magic) for container in CONTAINERS for magic in container.magics)
"""Of fewer bytes nobody can say yet how they are packed."""


def container_for(path: Path) -> Container | None:
    """How a file of this name is packed; None where the name does not say."""
    return next((c for c in CONTAINERS if path.name.endswith(c.suffix)), None)


def container_of(start: bytes) -> Container:
    """How a file that begins so is packed: what its name says does not count."""
    return next((c for c in CONTAINERS if c.magics and start.startswith(c.magics)), PLAIN)

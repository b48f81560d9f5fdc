"""What a reader with `--control` may tell the collector: one JSON object a line on its stdin."""

from __future__ import annotations

import msgspec


class SetInterval(msgspec.Struct, tag="interval", tag_field="command"):
    """Read every `seconds` from now on."""

    seconds: float


class ReadSlow(msgspec.Struct, tag="read_slow", tag_field="command"):
    """Read the slow tier at the next tick."""


class Release(msgspec.Struct, tag="release", tag_field="command"):
    """Let go of the driver: no open client, no handle."""


class Retake(msgspec.Struct, tag="retake", tag_field="command"):
    """Open the driver again."""


Command = SetInterval | ReadSlow | Release | Retake

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Command] = msgspec.json.Decoder(Command)


def encode_command(command: Command) -> bytes:
    """One line, with its newline."""
    return _encoder.encode(command) + b"\n"


def decode_command(line: bytes) -> Command | None:
    """The command on a line, or None when it is not one (it is then ignored)."""
    try:
        return _decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None

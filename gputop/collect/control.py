"""The commands of a reader with `--control`, from the collector's stdin."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

from gputop.model.commands import Command, decode_command

_LONGEST_COMMAND = 4096
"""Bytes; what goes on longer without a newline is thrown away."""


def listen(fd: int, on_command: Callable[[Command], None], on_end: Callable[[], None]) -> None:
    """Read commands from `fd` in a thread of its own. `on_end` is called from it when the other
    end is closed: the parent went away.
    """
    threading.Thread(target=_listen, args=(fd, on_command, on_end), daemon=True).start()


def _listen(fd: int, on_command: Callable[[Command], None], on_end: Callable[[], None]) -> None:
    rest = b""
    while True:
        try:
            part = os.read(fd, 4096)
        except OSError:
            part = b""
        if not part:
            on_end()
            return
        *lines, rest = (rest + part).split(b"\n")
        rest = rest[-_LONGEST_COMMAND:]
        for line in lines:
            if (command := decode_command(line)) is not None:
                on_command(command)

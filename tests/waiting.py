"""Waiting for descriptors, whatever their numbers (`select` takes none above 1023)."""

from __future__ import annotations

import select
from typing import Any


def readable(*descriptors: Any, timeout_s: float | None) -> list[int]:
    """The numbers of those that can be read, or are at their end; empty when the time is over."""
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)
    return [fd for fd, _ in poll.poll(None if timeout_s is None else timeout_s * 1000)]

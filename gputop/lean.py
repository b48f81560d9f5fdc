"""Imports of libraries without what they bring along and gputop does not need.

Figures are in tests/benchmarks/README.md.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType


@contextmanager
def importing_with(stand_ins: Mapping[str, ModuleType | None]) -> Iterator[None]:
    """Within, an import of these modules finds the stand-in; None: as if it were not installed.

    A module that was imported before stays what it is, and afterwards each can be imported again.
    """
    absent = [name for name in stand_ins if name not in sys.modules]
    for name in absent:
        sys.modules[name] = stand_ins[name]  # type: ignore[assignment]  # None is allowed there
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]


def import_msgspec() -> None:
    """Load msgspec without typing_extensions (and with it `inspect`), which it takes where it is
    there: 1.3 MB. It falls back to `typing`, which has all that it looks for since Python 3.11.
    """
    with importing_with({"typing_extensions": None}):
        import msgspec  # noqa: F401


def import_asyncio() -> None:
    """Load asyncio without TLS, which costs 4.7 MB and is of no use to a screen."""
    with importing_with({"ssl": None}):
        import asyncio  # noqa: F401

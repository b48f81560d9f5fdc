"""What a section of the device screen is made of: rows of words, without a width or a colour yet.

A section is a title and a function from a device to its rows. One without rows is not shown, so a
section says nothing where the device has nothing of its kind.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gputop import text
from gputop.ui.glyphs import Glyphs
from gputop.ui.view import DeviceView, View


@dataclass(frozen=True, slots=True)
class Fact:
    """A name and what it is, side by side."""

    word: str
    said: str
    role: str = "text"
    """The palette's role of what is said: `faint` where it is old."""


@dataclass(frozen=True, slots=True)
class Words:
    """A sentence, wrapped where it has to be."""

    said: str
    role: str = "text"
    indent: int = 2
    """Cells before its first line; the others stand at 4."""


Row = Fact | Words


@dataclass(frozen=True, slots=True)
class Desk:
    """What a section may look at besides its device."""

    view: View
    units: text.Units
    glyphs: Glyphs

    @property
    def now(self) -> float:
        """CLOCK_BOOTTIME of the view."""
        return self.view.now


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and what stands below it."""

    title: str
    rows: Callable[[DeviceView, Desk], list[Row]]
    metrics: tuple[str, ...] = ()
    """The metrics it shows: those of no section stand under "More"."""
    always: bool = False
    """True for a heading that stands even without rows."""

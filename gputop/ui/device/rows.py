"""What a section of the device screen is made of: rows of words, without a width or a colour yet.

A section is a title and a function from a device to its rows. One without rows is not shown, so a
section says nothing where the device has nothing of its kind.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from gputop import text
from gputop.state.last_good import Value
from gputop.ui.glyphs import Glyphs
from gputop.ui.view import DeviceView, View


class Fact(Struct, frozen=True):
    """A name and what it is, side by side."""

    word: str
    said: str
    role: str = "text"
    """The palette's role of what is said: `faint` where it is old."""


class Words(Struct, frozen=True):
    """A sentence, wrapped where it has to be."""

    said: str
    role: str = "text"
    indent: int = 2
    """Cells before its first line; the others stand at 4."""


Row = Fact | Words


class Desk(Struct, frozen=True):
    """What a section may look at besides its device."""

    view: View
    units: text.Units
    glyphs: Glyphs

    @property
    def now(self) -> float:
        """CLOCK_BOOTTIME of the view."""
        return self.view.now


class Section(Struct, frozen=True):
    """A heading and what stands below it."""

    title: str
    rows: Callable[[DeviceView, Desk], list[Row]]
    metrics: tuple[str, ...] = ()
    """The metrics it shows: those of no section stand under "More"."""
    always: bool = False
    """True for a heading that stands even without rows."""


def age_and_reason(value: Value, desk: Desk) -> str:
    """How old a value is that is not current, and why; nothing where it is. What does not fit is
    cut off at the end, so the age comes first.
    """
    if value.reason is None:
        return ""
    age = f"{text.age(desk.now - value.read_at)}: " if value.read_at else ""
    return f" ({age}{text.why(value.reason)})"

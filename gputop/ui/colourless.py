"""Lines without a colour, for terminals that have none and people who want none."""

from __future__ import annotations

from functools import lru_cache

from rich.segment import Segment
from rich.style import Style
from textual.color import Color
from textual.filter import LineFilter

_NO_COLOUR = Style.parse("default on default")
_REVERSED = _NO_COLOUR + Style(reverse=True)


class Colourless(LineFilter):
    """Takes the colours away. What has a ground of its own, such as the entry that is chosen in a
    list of Textual's, is reversed.
    """

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """The segments, without colours."""
        return [
            Segment(text, style and _without_colour(style), control)
            for text, style, control in segments
        ]


@lru_cache(256)
def _without_colour(style: Style) -> Style:
    has_ground = style.bgcolor is not None and not style.bgcolor.is_default
    return style + (_REVERSED if has_ground else _NO_COLOUR)

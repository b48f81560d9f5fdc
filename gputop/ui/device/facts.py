"""A device's text: its sections, drawn as a page."""

from __future__ import annotations

from textwrap import wrap

from textual.strip import Strip

from gputop import text
from gputop.ui.device.rows import Desk, Fact, Row, Words
from gputop.ui.device.sections import SECTIONS
from gputop.ui.view import DeviceView, View
from gputop.ui.widgets.line import Line
from gputop.ui.widgets.page import Page

NAME_WIDTH = 31
"""Cells of a fact's name; a long value takes what it needs of the blanks behind it."""
NO_BREAK = "\N{NO-BREAK SPACE}"
"""Keeps a number and its sign on one line."""
HANGING = 4
"""Cells before the second and later lines of a sentence."""


class Facts(Page):
    """Everything the device says, by section; what it does not say stands at the end, and why."""

    def __init__(self) -> None:
        super().__init__(id="facts")
        self.device: DeviceView | None = None
        self.view = View()

    def rows(self, width: int) -> list[Strip]:
        """The sections that have something to say."""
        device = self.device
        if device is None:
            return []
        desk = Desk(self.view, self.gputop.units, self.gputop.glyphs)
        strips = []
        for section in SECTIONS:
            rows = section.rows(device, desk)
            if rows or section.always:
                strips.append(self._heading(section.title or self._title(device), width))
                strips += [strip for row in rows for strip in self._row(row, width)]
        return strips

    def _title(self, device: DeviceView) -> str:
        index = "?" if device.info.index is None else device.info.index
        return f"GPU {index} {self.gputop.glyphs.dot} {device.info.name}"

    def _heading(self, words: str, width: int) -> Strip:
        style = self.palette.style("accent", bold=True)
        return Line(width).add(f" {text.clean(words)}", style).strip(style)

    def _row(self, row: Row, width: int) -> list[Strip]:
        return self._words(row, width) if isinstance(row, Words) else [self._fact(row, width)]

    def _words(self, words: Words, width: int) -> list[Strip]:
        style = self.palette.style(words.role)
        parts = wrap(
            text.clean(words.said).replace(" %", f"{NO_BREAK}%"), max(width - 1, 20),
            initial_indent=" " * words.indent, subsequent_indent=" " * HANGING,
        )  # fmt: skip
        lines = (part.replace(NO_BREAK, " ") for part in parts)
        return [Line(width).add(line, style).strip(style) for line in lines]

    def _fact(self, fact: Fact, width: int) -> Strip:
        palette, said = self.palette, text.clean(fact.said)
        word = text.fit(text.clean(fact.word), NAME_WIDTH)
        room = max(width - HANGING - text.display_width(said), text.display_width(word))
        line = Line(width).add(f"  {word:<{min(room, NAME_WIDTH)}} ", palette.style("dim"))
        return line.add(said, palette.style(fact.role)).strip(palette.style("text"))

"""The base of every widget that redraws often: lines are made at once and compared."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from rich.segment import Segment
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from gputop.text import to_ascii
from gputop.ui.themes import Palette

if TYPE_CHECKING:
    from gputop.ui.app import GputopApp


class LineWidget(Widget):
    """Draws itself as strips; of a new picture only the rows that differ are refreshed.

    A subclass says in `draw` what it looks like now; whoever changes its data calls `repaint`.
    """

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes=classes)
        self._strips: list[Strip] = []
        self._drawn_for: tuple[int, int] | None = None

    @property
    def gputop(self) -> GputopApp:
        """The app, as the type it has."""
        return cast("GputopApp", self.app)

    @property
    def palette(self) -> Palette:
        """The colours of the active theme."""
        return self.gputop.palette

    def draw(self, width: int, height: int) -> list[Strip]:
        """The picture as `height` strips of `width` cells."""
        raise NotImplementedError

    def _make(self, width: int, height: int) -> list[Strip]:
        strips = self.draw(width, height)
        if not self.gputop.ascii:
            return strips
        return [
            Strip([Segment(to_ascii(s.text), s.style) for s in strip], strip.cell_length)
            for strip in strips
        ]

    def repaint(self) -> None:
        """Draw again and refresh the rows whose cells changed."""
        width, height = self.size
        if not width or not height or not self.is_attached:
            return
        strips = self._make(width, height)
        if self._drawn_for != (width, height):
            self._strips, self._drawn_for = strips, (width, height)
            self.refresh()
            return
        before, self._strips = self._strips, strips
        changed = [y for y in range(height) if strips[y] != before[y]]
        if changed:
            self.refresh(*(Region(0, y, width, 1) for y in changed))

    def forget_picture(self) -> None:
        """Draw everything again at the next repaint: the theme changed."""
        self._drawn_for = None

    def render_line(self, y: int) -> Strip:
        """One row of the picture, for the compositor."""
        strips = self._strips_now()
        return strips[y] if y < len(strips) else blank(self.size.width, self.palette)

    def render_lines(self, crop: Region) -> list[Strip]:
        """Rows of the picture as they are. Textual would style, filter and cache each once more;
        without a border, and in the theme's own colours, there is nothing to add.
        """
        if any(self.gutter):
            return super().render_lines(crop)
        strips = self._strips_now()[crop.y : crop.bottom]
        strips += [blank(self.size.width, self.palette)] * (crop.height - len(strips))
        if crop.x or crop.right != self.size.width:
            strips = [strip.crop(crop.x, crop.right) for strip in strips]
        return strips

    def _strips_now(self) -> list[Strip]:
        width, height = self.size
        if self._drawn_for != (width, height):
            self._strips, self._drawn_for = self._make(width, height), (width, height)
        return self._strips

    def on_resize(self) -> None:
        """Another size is another picture; so is coming back from being hidden, and then Textual
        still has the rows of before.
        """
        self.forget_picture()
        self.refresh()


def blank(width: int, palette: Palette, background: str = "background") -> Strip:
    """An empty row."""
    return Strip([Segment(" " * width, palette.style("text", background))], width)

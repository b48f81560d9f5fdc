"""The last row: the keys that work here, or what just happened."""

from __future__ import annotations

from collections.abc import Sequence

from textual import events
from textual.strip import Strip

from gputop.ui.keys import Key
from gputop.ui.widgets.base import LineWidget, blank
from gputop.ui.widgets.line import Line


def window_text(seconds: float) -> str:
    """The charts' window, for the right end."""
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= size:
            return f"window {seconds / size:g} {unit}"
    return f"window {seconds:g} s"


class Footer(LineWidget):
    """One row; `keys` in the order of their rank, as many as fit."""

    def __init__(self, keys: Sequence[Key], *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._keys = sorted((key for key in keys if key.footer), key=lambda key: key.footer)
        self._right = ""
        self._drawn: list[tuple[range, Key]] = []
        """The cells of each key in the picture."""

    def show(self, right: str) -> None:
        """Put a few words at the right end, such as the charts' window."""
        if right != self._right:
            self._right = right
            self.repaint()

    def draw(self, width: int, height: int) -> list[Strip]:
        """The row."""
        palette = self.palette
        key_style = palette.style("accent", "surface", bold=True)
        word_style = palette.style("dim", "surface")
        line = Line(width)
        line.add(" ", word_style)
        self._drawn = []
        here = self.gputop.source_keys
        taken = {keys for key in here for keys in (key.keys, key.speaks_for)}
        own = [key for key in self._keys if key.keys not in taken and self.gputop.can_do(key)]
        offered = (key for key in (*here, *own) if key.footer)
        for key in sorted(offered, key=lambda key: key.footer):
            shown = key.shown.split(",")[0]
            if line.room < len(shown) + len(key.label) + 3 + len(self._right):
                break
            start = width - line.room
            line.add(shown, key_style).add(f" {key.label}  ", word_style)
            self._drawn.append((range(start, width - line.room - 1), key))
        line.until(width - len(self._right) - 1, word_style)
        line.add(self._right, word_style)
        return [line.strip(word_style)] + [blank(width, palette)] * (height - 1)

    def on_click(self, event: events.Click) -> None:
        """A click on a key presses it."""
        for cells, key in self._drawn:
            if event.x in cells:
                self.gputop.press(key)

"""What drawing the charts needs to know besides the readings: theme, units, time shown."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct
from rich.style import Style

from gputop import text
from gputop.ui.device.timeline import Stretch
from gputop.ui.glyphs import Glyphs
from gputop.ui.themes import Palette
from gputop.ui.view import DeviceView, View

_ROLES = {"axis": "dim", "peer": "border", "own": "strong", "apart0": "warning",
          "apart1": "accent", "apart2": "good", "over": "notice"}  # fmt: skip
"""The palette's roles for those of figures; any other is the palette's own."""
_NEXT = {"second": "accent", "third": "critical", "fourth": "warning"}
"""The same for the second and later lines of a chart; its first has the metric's colour."""
_BOLD = frozenset({"own", "apart0", "apart1", "apart2"})
_PLAIN = str.maketrans("─│┌┐└┘├┤┬┴┼━", "-|+++++++++-")


class Look(Struct, frozen=True):
    """The theme, the units, the view, and the moment under the cursor."""

    palette: Palette
    glyphs: Glyphs
    units: text.Units
    ascii: bool
    focused: bool
    view: View
    device: DeviceView
    stretch: Stretch
    cursor: float | None
    """The moment under the cursor; None while there is none."""
    following: bool
    """True while the newest reading stands at the right edge."""

    @property
    def with_marks(self) -> bool:
        """True where lines differ by their marks, not by colour or in braille."""
        return self.ascii or self.palette.colourless

    @property
    def here(self) -> float:
        """The moment whose values are shown: the cursor's, or the right edge's."""
        if self.cursor is not None:
            return self.cursor
        return min(self.stretch.end - self.stretch.bucket_s / 2, self.view.now)

    def clock(self, moment: float) -> str:
        """A moment as local clock time, with the day where that is another one."""
        shift = self.view.utc_s - self.view.now
        there, now = (datetime.fromtimestamp(m + shift) for m in (moment, self.view.now))
        clock = there.strftime("%H:%M:%S")
        return clock if there.date() == now.date() else f"{there:%a} {clock}"

    def plain(self, words: str) -> str:
        """Words and lines of a picture, in ASCII where that is all there is."""
        return words.translate(_PLAIN) if self.ascii else words

    def style(self, role: str) -> Style:
        """The style of a figure's role; ``main:METRIC`` has the metric's own colour."""
        kind, _, metric = role.partition(":")
        if not metric:
            return self.palette.style(_ROLES.get(kind, kind) or "text", bold=kind in _BOLD)
        if kind in _NEXT:
            return self.palette.style(_NEXT[kind])
        # The hottest colour of a temperature is an alarm, and not for a line that is always there.
        return self.palette.colour(self.palette.ramp(metric)[1 if metric == "temperature_c" else 3])

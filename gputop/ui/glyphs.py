"""The marks the screen is drawn with: Unicode, or ASCII where that is all there is."""

from __future__ import annotations

from msgspec import Struct

from gputop.model.nvml_tables import Severity


class Glyphs(Struct, frozen=True):
    """One set of marks, each a cell wide."""

    critical: str
    warning: str
    notice: str
    dot: str
    dash: str
    """Horizontal line of a border."""
    bar: str
    corners: str
    """Top left, top right, bottom left, bottom right."""
    cursor: str
    up: str
    down: str
    ellipsis: str
    record: str

    def severity(self, severity: Severity) -> str:
        """The mark of a severity: colour never stands alone."""
        return {"critical": self.critical, "warning": self.warning, "notice": self.notice}[severity]


UNICODE = Glyphs("✗", "▲", "•", "·", "─", "│", "╭╮╰╯", "›", "▲", "▼", "…", "●")
ASCII = Glyphs("X", "!", "*", "-", "-", "|", "++++", ">", "^", "v", "~", "o")

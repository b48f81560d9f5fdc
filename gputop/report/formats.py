"""The formats of a report, in one table. A format's page is loaded when it is made."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Protocol, cast

from msgspec import Struct

if TYPE_CHECKING:
    from pathlib import Path

    from gputop.report.compare import Comparison
    from gputop.report.shape import Report
    from gputop.report.text_page import Look


class Page(Protocol):
    """A module that writes reports."""

    def render(self, report: Report, look: Look | None = None) -> str:
        """A report."""

    def render_comparison(self, two: Comparison, look: Look | None = None) -> str:
        """Two reports side by side."""


class Format(Struct, frozen=True):
    """One way to write a report, and a comparison of two."""

    name: str
    suffixes: tuple[str, ...]

    @property
    def page(self) -> Page:
        """Who writes it."""
        return cast("Page", import_module(f"gputop.report.{self.name}_page"))


FORMATS = {
    form.name: form
    for form in (
        Format("text", (".txt",)),
        Format("json", (".json",)),
        Format("markdown", (".md", ".markdown")),
        Format("html", (".html", ".htm")),
    )
}


def of_suffix(path: Path) -> Format | None:
    """The format whose suffix `path` has, or None."""
    suffix = path.suffix.lower()
    return next((form for form in FORMATS.values() if suffix in form.suffixes), None)

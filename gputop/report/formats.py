"""The formats of a report, in one table: command lines and help are made from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gputop.report import html_page, markdown_page, shape, text_page
from gputop.report.compare import Comparison
from gputop.report.shape import Report
from gputop.report.text_page import Look


@dataclass(frozen=True, slots=True)
class Format:
    """One way to write a report, and a comparison of two."""

    name: str
    suffixes: tuple[str, ...]
    meaning: str
    one: Callable[[Report, Look], str]
    two: Callable[[Comparison, Look], str]


FORMATS: dict[str, Format] = {
    form.name: form
    for form in (
        Format("text", (".txt",), "a page for a terminal", text_page.render,
               text_page.render_comparison),
        Format("json", (".json",), "typed and versioned, for programs",
               lambda report, _: shape.encode(report), lambda two, _: shape.encode(two)),
        Format("markdown", (".md", ".markdown"), "for an issue or a wiki", markdown_page.render,
               markdown_page.render_comparison),
        Format("html", (".html", ".htm"), "one file with charts, for a browser",
               html_page.render, html_page.render_comparison),
    )
}  # fmt: skip


def of_suffix(path: Path) -> Format | None:
    """The format whose suffix `path` has, or None."""
    suffix = path.suffix.lower()
    return next((form for form in FORMATS.values() if suffix in form.suffixes), None)

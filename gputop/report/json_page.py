"""A report as a JSON document: its shape, as it is."""

from __future__ import annotations

from gputop.report.compare import Comparison
from gputop.report.shape import Report, encode
from gputop.report.text_page import Look


def render(report: Report, _: Look | None = None) -> str:
    """The whole document."""
    return encode(report)


def render_comparison(two: Comparison, _: Look | None = None) -> str:
    """Both reports and their differences."""
    return encode(two)

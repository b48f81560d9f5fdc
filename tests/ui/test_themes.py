"""Themes: which one suits a terminal, and that nothing in one is unreadable."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import pytest
from rich.color import Color
from rich.style import Style

from gputop.ui.themes import CONTRAST, DARK, MONO, PALETTES, TERMINAL, Palette, theme_for
from tests.ui.source import app_on

XTERM = {"TERM": "xterm-256color"}
ROLES = ("text", "strong", "dim", "faint", "accent", "good", "notice", "warning", "critical")


@pytest.mark.parametrize(
    ("environ", "name"),
    [
        (XTERM, "dark"),
        ({"TERM": "xterm", "COLORTERM": "truecolor"}, "dark"),
        ({"TERM": "xterm-direct"}, "dark"),
        ({"TERM": "xterm-kitty"}, "dark"),
        ({"TERM": "xterm"}, "terminal"),
        ({"TERM": "linux", "COLORFGBG": "0;15"}, "terminal"),
        ({}, "terminal"),
        ({"TERM": "vt100"}, "mono"),
        ({"TERM": "vt220", "COLORTERM": "truecolor"}, "mono"),
        ({**XTERM, "COLORFGBG": "0;15"}, "light"),
        ({**XTERM, "COLORFGBG": "0;default;15"}, "light"),
        ({**XTERM, "COLORFGBG": "0;7"}, "light"),
        ({**XTERM, "COLORFGBG": "15;0"}, "dark"),
        ({**XTERM, "COLORFGBG": "7;8"}, "dark"),
        ({**XTERM, "COLORFGBG": "15;default"}, "dark"),
        ({**XTERM, "COLORFGBG": "nonsense"}, "dark"),
    ],
)
def test_the_theme_that_suits_a_terminal(environ: dict[str, str], name: str) -> None:
    assert theme_for(environ) == name
    assert name in PALETTES


@pytest.mark.parametrize(
    ("no_color", "settings", "name"),
    [
        ("", {"theme": "light"}, "light"),
        ("1", {"theme": "light"}, "mono"),
        ("", {"theme": "auto"}, "dark"),
        ("1", {"theme": "auto"}, "mono"),
        ("", {"theme": "light", "no_color": True}, "mono"),
    ],
)
def test_no_colour_is_asked_for_by_the_environment_or_a_setting(
    monkeypatch: pytest.MonkeyPatch, no_color: str, settings: dict[str, Any], name: str
) -> None:
    for variable, value in {**XTERM, "NO_COLOR": no_color, "COLORFGBG": ""}.items():
        monkeypatch.setenv(variable, value)
    assert app_on([], **settings).palette.name == name


@pytest.mark.parametrize("palette", [TERMINAL, MONO], ids=lambda palette: palette.name)
def test_a_selected_row_in_the_terminals_colours_is_its_text_reversed(palette: Palette) -> None:
    for style in [
        *(palette.style(role, "selection") for role in ROLES),
        *(palette.colour(colour, "selection") for colour in palette.ramp("gpu_utilization")),
    ]:
        assert style.reverse
        assert style.color is style.bgcolor is None
        assert not style.dim
    assert palette.style("warning", "selection").bold
    assert not palette.style("text", "selection").bold


def test_elsewhere_the_terminals_colours_are_used() -> None:
    assert TERMINAL.style("accent") == Style(color="blue", bgcolor="default")
    assert DARK.style("accent", "selection") == Style(color="#5fafff", bgcolor="#303030")


def test_the_tops_of_high_contrast_charts_can_be_told_apart() -> None:
    tops = [CONTRAST.ramp(m)[-1] for m in ("gpu_utilization", "memory_used_bytes", "power_w")]
    for one, other in combinations(tops, 2):
        assert max(abs(a - b) for a, b in zip(_rgb(one), _rgb(other), strict=True)) > 0x80


@pytest.mark.parametrize("metric", CONTRAST.ramps)
def test_levels_of_a_high_contrast_chart_differ_keep_their_hue_and_can_be_seen(metric: str) -> None:
    ramp = CONTRAST.ramp(metric)
    assert len(set(ramp)) == len(ramp)
    for colour in ramp:
        assert max(_rgb(colour)) - min(_rgb(colour)) >= 0x50
        assert _contrast_on_black(colour) >= 4.5  # what WCAG 2 asks of text


def _rgb(colour: str) -> tuple[int, int, int]:
    return tuple(Color.parse(colour).get_truecolor())


def _contrast_on_black(colour: str) -> float:
    """The contrast ratio of WCAG 2."""
    parts = [part / 255 for part in _rgb(colour)]
    linear = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return (0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] + 0.05) / 0.05

"""Themes: a table of roles, each a colour. Widgets ask for a role, never for a colour.

The colours of the dark and light themes are points of the 256-colour palette, so they look the
same over SSH, where truecolor is seldom announced. `terminal` uses the terminal's own 16 colours
and background; `mono` uses none at all, for NO_COLOR and for terminals without colour.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from msgspec import Struct, field
from rich.style import Style
from textual.theme import Theme

Ramp = tuple[str, str, str, str]
"""A chart's colours from low to high: a colour a level, never a gradient a cell."""


class Palette(Struct, frozen=True):
    """The roles of one theme. Values are Rich colours; "" leaves the terminal's own."""

    name: str
    dark: bool
    ansi: bool
    background: str
    surface: str
    """Background of dialogs, headers and the footer."""
    selection: str
    """Background of the row under the cursor; themes of the terminal's colours reverse it."""
    text: str
    strong: str
    dim: str
    faint: str
    border: str
    shade: str
    """Charts that are old, and peaks behind means."""
    accent: str
    good: str
    notice: str
    warning: str
    critical: str
    on_alert: str
    """Text on a warning's or critical's background."""
    ramps: dict[str, Ramp] = field(default_factory=dict)
    colourless: bool = False

    def ramp(self, metric: str) -> Ramp:
        """The chart colours of a metric, from low to high."""
        return self.ramps.get(metric) or self.ramps[""]

    def style(self, role: str, background: str = "background", *, bold: bool = False) -> Style:
        """The style for a role's colour on a role's background."""
        return _style(
            getattr(self, role), getattr(self, background), bold, self._plain_on(background),
            role, background,
        )  # fmt: skip

    def colour(self, colour: str, background: str = "background") -> Style:
        """The style for a colour (one of a ramp) on a role's background."""
        return _style(
            colour, getattr(self, background), False, self._plain_on(background), "", background
        )

    def _plain_on(self, background: str) -> bool:
        """Whether nothing there has a colour. What the 16 colours look like is the terminal's
        choice, so only its own text and background, reversed, are sure to differ.
        """
        return self.colourless or (self.ansi and background == "selection")

    def alert(self, severity: str) -> Style:
        """A badge: the severity as background."""
        if self.colourless:
            return Style(reverse=True, bold=severity == "critical")
        return _style(self.on_alert, getattr(self, severity), True, False, "", "")


@lru_cache(maxsize=512)
def _style(colour: str, background: str, bold: bool, colourless: bool, role: str, on: str) -> Style:
    if not colourless:
        return Style(color=colour or None, bgcolor=background or None, bold=bold or None)
    return Style(
        bold=bold or role in {"strong", "accent", "warning", "critical"} or None,
        dim=(role in {"dim", "faint", "border", "shade"} and on != "selection") or None,
        reverse=on == "selection" or None,
    )


DARK = Palette(
    name="dark", dark=True, ansi=False,
    background="#121212", surface="#1c1c1c", selection="#303030",
    text="#d0d0d0", strong="#ffffff", dim="#8a8a8a", faint="#626262", border="#444444",
    shade="#3a3a3a",
    accent="#5fafff", good="#5fd787", notice="#5fafd7", warning="#ffaf00", critical="#ff5f5f",
    on_alert="#121212",
    ramps={
        "": ("#5f87af", "#5f87d7", "#5fafff", "#87d7ff"),
        "gpu_utilization": ("#5f875f", "#5faf5f", "#5faf5f", "#87d75f"),
        "memory_used_bytes": ("#5f5faf", "#5f87d7", "#5f87d7", "#87afff"),
        "power_w": ("#87875f", "#afaf5f", "#d7af5f", "#ffaf5f"),
        "temperature_c": ("#5f8787", "#87af87", "#d7875f", "#ff5f5f"),
        "cpu_utilization": ("#5f8787", "#5fafaf", "#5fafaf", "#87d7d7"),
    },
)  # fmt: skip

LIGHT = Palette(
    name="light", dark=False, ansi=False,
    background="#ffffff", surface="#eeeeee", selection="#d7d7ff",
    text="#303030", strong="#000000", dim="#6c6c6c", faint="#a8a8a8", border="#bcbcbc",
    shade="#d0d0d0",
    accent="#005fd7", good="#008700", notice="#005f87", warning="#af5f00", critical="#d70000",
    on_alert="#ffffff",
    ramps={
        "": ("#87afd7", "#5f87d7", "#005fd7", "#0000af"),
        "gpu_utilization": ("#87af87", "#87af5f", "#5faf5f", "#008700"),
        "memory_used_bytes": ("#afafd7", "#87afd7", "#5f87d7", "#005faf"),
        "power_w": ("#d7d787", "#d7af5f", "#d7875f", "#af5f00"),
        "temperature_c": ("#87afaf", "#87af87", "#d7875f", "#d70000"),
        "cpu_utilization": ("#87afaf", "#5fafaf", "#5f8787", "#008787"),
    },
)  # fmt: skip

CONTRAST = Palette(
    name="contrast", dark=True, ansi=False,
    background="#000000", surface="#000000", selection="#00005f",
    text="#ffffff", strong="#ffffff", dim="#d0d0d0", faint="#a8a8a8", border="#d0d0d0",
    shade="#767676",
    accent="#00ffff", good="#00ff00", notice="#00d7ff", warning="#ffff00", critical="#ff5f5f",
    on_alert="#000000",
    ramps={
        "": ("#00afff", "#00d7ff", "#00ffff", "#87ffff"),
        "gpu_utilization": ("#00af00", "#00d700", "#00ff00", "#5fff5f"),
        "memory_used_bytes": ("#5f87ff", "#5fafff", "#87afff", "#afd7ff"),
        "power_w": ("#d78700", "#d7af00", "#ffd700", "#ffff00"),
        "temperature_c": ("#00d7d7", "#ffff00", "#ffaf00", "#ff5f5f"),
        "cpu_utilization": ("#00afaf", "#00d7d7", "#00ffff", "#87ffff"),
    },
)  # fmt: skip

TERMINAL = Palette(
    name="terminal", dark=True, ansi=True,
    background="default", surface="default", selection="default",
    text="default", strong="default", dim="default", faint="bright_black", border="bright_black",
    shade="bright_black",
    accent="blue", good="green", notice="cyan", warning="yellow", critical="red",
    on_alert="black",
    ramps={
        "": ("blue", "blue", "blue", "blue"),
        "gpu_utilization": ("green", "green", "green", "green"),
        "memory_used_bytes": ("blue", "blue", "blue", "blue"),
        "power_w": ("yellow", "yellow", "yellow", "yellow"),
        "temperature_c": ("cyan", "yellow", "yellow", "red"),
        "cpu_utilization": ("cyan", "cyan", "cyan", "cyan"),
    },
)  # fmt: skip

MONO = Palette(
    name="mono", dark=True, ansi=True, colourless=True,
    background="default", surface="default", selection="default",
    text="default", strong="default", dim="default", faint="default", border="default",
    shade="default",
    accent="default", good="default", notice="default", warning="default", critical="default",
    on_alert="default", ramps={"": ("default",) * 4},
)  # fmt: skip

PALETTES: dict[str, Palette] = {p.name: p for p in (DARK, LIGHT, CONTRAST, TERMINAL, MONO)}
"""In the order `t` walks through them."""


_COLOURLESS_TERMINALS = frozenset({"vt100", "vt220", "dumb"})
_LIGHT_BACKGROUNDS = frozenset({"7", *map(str, range(9, 16))})
"""Of the 16 colours: white and the bright ones, as Vim takes COLORFGBG."""


def theme_for(environ: Mapping[str, str]) -> str:
    """The name of the theme that suits the terminal which these variables describe."""
    term = environ.get("TERM", "")
    if term in _COLOURLESS_TERMINALS:
        return "mono"
    many = any(sign in term for sign in ("256", "direct", "kitty"))
    if not many and environ.get("COLORTERM") not in {"truecolor", "24bit"}:
        return "terminal"
    background = environ.get("COLORFGBG", "").rpartition(";")[2]  # "15;0", or "15;default;0"
    return "light" if background in _LIGHT_BACKGROUNDS else "dark"


def textual_theme(palette: Palette) -> Theme:
    """The palette as a Textual theme, for the stock widgets (inputs, palette, scroll bars)."""
    if palette.ansi:
        plain = palette.colourless
        return Theme(
            name=palette.name, ansi=True,
            primary="ansi_default" if plain else "ansi_blue",
            secondary="ansi_default" if plain else "ansi_cyan",
            warning="ansi_default" if plain else "ansi_yellow",
            error="ansi_default" if plain else "ansi_red",
            success="ansi_default" if plain else "ansi_green",
            accent="ansi_default" if plain else "ansi_blue",
            foreground="ansi_default", background="ansi_default", surface="ansi_default",
            panel="ansi_default", boost="ansi_default",
            variables={
                "ansi-background": "ansi_default",
                "ansi-foreground": "ansi_default",
                "block-cursor-foreground": "ansi_black",
                "block-cursor-background": "ansi_white",
                "input-cursor-background": "ansi_white",
                "input-cursor-foreground": "ansi_black",
                "input-selection-background": "ansi_white",
                "input-selection-foreground": "ansi_black",
            },
        )  # fmt: skip
    return Theme(
        name=palette.name, dark=palette.dark,
        primary=palette.accent, secondary=palette.notice, accent=palette.accent,
        warning=palette.warning, error=palette.critical, success=palette.good,
        foreground=palette.text, background=palette.background, surface=palette.surface,
        panel=palette.surface,
        variables={
            "border": palette.border,
            "block-cursor-background": palette.selection,
            "block-cursor-foreground": palette.strong,
            "block-cursor-text-style": "none",
        },
    )  # fmt: skip

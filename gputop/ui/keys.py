"""Every key, declared once: the bindings, the footer, the help and the palette come from here."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct
from textual.binding import Binding, BindingType

Section = Literal[
    "Everywhere",
    "Moving",
    "Devices",
    "Processes",
    "Charts and time",
    "Replay",
    "Files",
    "Device screen",
    "Process screen",
    "Warnings",
    "Scrolling",
]


class Key(Struct, frozen=True):
    """One action and the keys that do it."""

    action: str
    keys: str
    """Textual's names, with commas between."""
    shown: str
    """The keys as a person reads them."""
    label: str
    """A word or two, for the footer."""
    help: str
    section: Section
    footer: int = 0
    """Its rank in the footer, 1 first; 0 keeps it out."""
    palette: bool = True
    """Whether the command palette offers it."""
    live: bool = False
    """Whether it does nothing in a replay."""
    speaks_for: str = ""
    """Another key that its words tell of too."""
    typing: bool = False
    """Whether what is typed behind it is text. It then acts before the next key is looked at: keys
    that came together, as over a slow link, must not be taken for shortcuts.
    """

    @property
    def first(self) -> str:
        """The key to press for a click, as Textual names it."""
        return self.keys.partition(",")[0]

    def binding(self) -> Binding:
        """The same for Textual."""
        return Binding(
            self.keys, self.action, self.label, show=False, id=self.action, priority=self.typing
        )


APP_KEYS: tuple[Key, ...] = (
    Key("leave", "q,ctrl+c", "q, Ctrl-C", "quit", "Quit.", "Everywhere", footer=1),
    Key("help", "question_mark,f1", "?, F1", "help", "Show every key.", "Everywhere", footer=2),
    Key("command_palette", "ctrl+p", "Ctrl-P", "palette", "Find any action by its name.",
        "Everywhere", footer=14, palette=False),
    Key("warnings", "w", "w", "warnings", "List the warnings, now and past.", "Everywhere",
        footer=5),
    Key("pause", "p", "p", "pause",
        "Freeze the picture; readings go on being collected. A replay stops or goes on.",
        "Everywhere", footer=7),
    Key("theme", "t", "t", "theme", "Take the next theme.", "Everywhere", footer=12),
    Key("redraw", "ctrl+l", "Ctrl-L", "redraw", "Draw the whole screen again.", "Everywhere"),
    Key("release", "x", "x", "release",
        "Let go of the driver, for a GPU reset or a MIG change; x again takes it back.",
        "Everywhere", footer=13, live=True),
    Key("suspend_process", "ctrl+z", "Ctrl-Z", "suspend", "Back to the shell; `fg` returns.",
        "Everywhere", palette=False),
    Key("switch", "tab,shift+tab", "Tab", "switch", "Switch between devices and processes.",
        "Moving", footer=3),
    Key("slower", "minus", "-", "slower", "Read less often; play a replay slower.",
        "Charts and time", footer=9),
    Key("faster", "plus,equals_sign", "+", "faster", "Read more often; play a replay faster.",
        "Charts and time", footer=8),
    Key("window_shorter", "left_square_bracket", "[", "shorter", "Charts show less time.",
        "Charts and time", footer=10),
    Key("window_longer", "right_square_bracket", "]", "longer", "Charts show more time.",
        "Charts and time", footer=11),
    Key("snapshot", "e", "e", "snapshot", "Write a snapshot file and show its path.", "Files",
        footer=6),
    Key("record", "R", "R", "record", "Record what comes in to a file; R again ends it.", "Files",
        footer=8, live=True),
    Key("copy", "y", "y", "copy", "Copy the UUID or PID under the cursor (OSC 52).", "Files"),
)  # fmt: skip

OVERVIEW_KEYS: tuple[Key, ...] = (
    Key("filter", "slash", "/", "filter",
        "Filter processes: text, or terms such as user:ann gpu:0 mem>10G.", "Processes",
        footer=4, typing=True),
)  # fmt: skip

DEVICE_KEYS: tuple[Key, ...] = (
    Key("move(0,-1)", "up,k", "↑ k", "up", "Device above.", "Devices", palette=False),
    Key("move(0,1)", "down,j", "↓ j", "down", "Device below.", "Devices", palette=False),
    Key("move(-1,0)", "left,h", "← h", "left", "Device to the left.", "Devices", palette=False),
    Key("move(1,0)", "right,l", "→ l", "right", "Device to the right.", "Devices",
        palette=False),
    Key("open", "enter", "Enter", "open", "Open the device.", "Devices", footer=4),
)  # fmt: skip


REPLAY_KEYS: tuple[Key, ...] = (
    Key("app.pause", "p", "p", "play/stop", "Stop the replay, or let it go on.", "Replay",
        footer=2, palette=False),
    Key("app.faster", "plus,equals_sign", "+ -", "speed", "Play faster or slower, 1x to 64x.",
        "Replay", footer=2, palette=False, speaks_for="minus"),
    Key("app.replay('skip',10)", "right_parenthesis", ")", "+10 s", "Ten seconds forward.",
        "Replay"),
    Key("app.replay('skip',-10)", "left_parenthesis", "(", "-10 s", "Ten seconds back.", "Replay"),
    Key("app.replay('skip',300)", "right_curly_bracket", "}", "+5 min", "Five minutes forward.",
        "Replay"),
    Key("app.replay('skip',-300)", "left_curly_bracket", "{", "-5 min", "Five minutes back.",
        "Replay"),
    Key("app.replay('step',1)", "full_stop", ".", "frame", "Stop, and go one frame forward.",
        "Replay", footer=3),
    Key("app.replay('step',-1)", "comma", ",", "frame back", "Stop, and go one frame back.",
        "Replay"),
    Key("app.replay('event',1)", "f", "f", "next event", "Go to the next warning or Xid.",
        "Replay", footer=2),
    Key("app.replay('event',-1)", "F", "F", "event before", "Go to the warning or Xid before.",
        "Replay"),
    Key("app.replay('ask')", "a", "a", "go to", "Go to a time: 14:25, 90s, +5m, -30s.", "Replay",
        footer=2),
)  # fmt: skip
"""What `gputop replay` has besides, on every screen."""

HERE_TOO = tuple(
    key for key in APP_KEYS if key.action in {"leave", "help", "pause", "snapshot", "theme"}
)
"""What the footers of the other screens offer besides their own keys."""


def bindings(keys: tuple[Key, ...]) -> list[BindingType]:
    """The keys as Textual's bindings."""
    return [key.binding() for key in keys]

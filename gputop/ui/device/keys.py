"""The keys of the device screen and of its charts."""

from __future__ import annotations

from gputop.ui.keys import Key


def _key(
    action: str, keys: str, shown: str, label: str, meaning: str, footer: int = 0,
    palette: bool = False,
) -> Key:  # fmt: skip
    return Key(action, keys, shown, label, meaning, "Device screen", footer, palette)


DEVICE_SCREEN_KEYS: tuple[Key, ...] = (
    _key("back", "escape", "Esc", "back",
         "Back to now and to the device's own charts; then to the screen before.", 1),
    _key("part(1)", "tab", "Tab", "next part", "Go on to the processes, the text, the charts.", 2),
    _key("part(-1)", "shift+tab", "Shift-Tab", "part before", "The same the other way round."),
    _key("other(1)", "n", "n", "next device", "The next device.", 5, True),
    _key("other(-1)", "N", "N", "device before", "The device before.", 0, True),
    _key("peers", "m", "m", "all devices", "The chart's first metric of every device in one chart.",
         6, True),
    _key("pair", "v", "v", "lay over", "Lay another metric over the chart's first; v again takes "
         "the next one.", 7, True),
)  # fmt: skip

CHART_KEYS: tuple[Key, ...] = (
    _key("cursor(-1)", "left,h", "← h", "cursor", "Move the cursor back in time; at the edge time "
         "scrolls.", 3),
    _key("cursor(1)", "right,l", "→ l", "cursor on", "Move the cursor on in time."),
    _key("choose(-1)", "up,k", "↑ k", "chart before", "The chart before."),
    _key("choose(1)", "down,j", "↓ j", "next chart", "The next chart.", 4),
    _key("page(-0.5)", "pageup,ctrl+b", "PgUp", "earlier", "Scroll half a window back in time.",
         8, True),
    _key("page(0.5)", "pagedown,ctrl+f", "PgDn", "later", "Scroll half a window on in time.",
         0, True),
    _key("oldest", "home,g", "Home g", "oldest", "Put the cursor on the oldest reading.", 0, True),
    _key("now", "end,G", "End G", "now", "Back to now; the charts follow the readings again.",
         9, True),
    _key("enlarge", "enter", "Enter", "one or all", "One chart alone, or as many as fit.",
         10, True),
)  # fmt: skip
"""They work while the charts have the focus."""

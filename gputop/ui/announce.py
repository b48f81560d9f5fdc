"""Tells of events beside the screen: the user's command, the bell, a desktop message."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from gputop.export.alerts import event_document, is_loud
from gputop.insight.alerts import Alert, Change, severity_rank
from gputop.settings import Settings
from gputop.state.store import Store
from gputop.text import clean

if TYPE_CHECKING:
    from gputop.actions.hooks import Hook

APART_S = 5.0
"""From one bell or message to the next; what happens in between is told by its number."""
LONGEST_MESSAGE = 120
_OSC_777 = ("rxvt", "foot")
"""Beginnings of TERM of terminals that know OSC 777 and not OSC 9."""


class Announcer:
    """Takes what began, ended or happened, and tells whom the settings name."""

    def __init__(
        self,
        settings: Settings,
        write: Callable[[str], None],
        on_problem: Callable[[str], None],
        environ: Mapping[str, str] = os.environ,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`write` takes control sequences for the terminal; `on_problem` a sentence of the
        command that failed, from another thread.
        """
        self._hook: Hook | None = None
        if settings.on_event:
            from gputop.actions.hooks import Hook  # few screens have one

            self._hook = Hook(settings.on_event, on_problem)
        self._bell: bool = settings.bell
        self._message: bool = settings.notify
        self._write, self._environ, self._clock = write, environ, clock
        self._quiet_until = float("-inf")
        self._untold: list[Alert] = []

    def take(self, changes: Sequence[Change], store: Store) -> None:
        """Tell of changes. Never blocks."""
        loud = [change for change in changes if is_loud(change)]
        if self._hook is not None:
            for change in loud:
                self._hook.put(event_document(change, store))
        if self._bell or self._message:
            self._untold += [change.alert for change in loud if change.what != "end"]
            self._ring(store)

    def stop(self) -> None:
        """Leave no command behind."""
        if self._hook is not None:
            self._hook.stop()

    def _ring(self, store: Store) -> None:
        now = self._clock()
        if not self._untold or now < self._quiet_until:
            return
        self._quiet_until = now + APART_S
        alerts, self._untold = self._untold, []
        if self._bell:
            self._write("\a")
        if self._message:
            host = store.hello.host.hostname if store.hello else ""
            self._write(desktop_message(host, _summary(alerts), self._environ))


def _summary(alerts: Sequence[Alert]) -> str:
    worst = min(alerts, key=lambda alert: severity_rank(alert.severity))
    more = f" (and {len(alerts) - 1} more)" if len(alerts) > 1 else ""
    return f"{worst.severity}: GPU {worst.where}, {worst.title}{more}"


def desktop_message(host: str, said: str, environ: Mapping[str, str]) -> str:
    """The control sequence that has a terminal show a message: OSC 9 (iTerm2, kitty, Windows
    Terminal, WezTerm, ghostty) or OSC 777 (rxvt, foot, the VTE family). Empty where it would do
    harm; a terminal that knows neither ignores it. tmux hands it on where its
    `allow-passthrough` is on.
    """
    term = environ.get("TERM", "")
    title = _safe(f"gputop {host}".strip())
    said = _safe(said)
    if term.startswith(_OSC_777) or "VTE_VERSION" in environ:
        sequence = f"\x1b]777;notify;{title};{said}\x1b\\"
    else:
        sequence = f"\x1b]9;{title}: {said}\x1b\\"
    if "TMUX" in environ:
        return "\x1bPtmux;" + sequence.replace("\x1b", "\x1b\x1b") + "\x1b\\"
    return "" if term.startswith("screen") else sequence


def _safe(words: str) -> str:
    """Words that end no control sequence and no field of one."""
    return clean(words, LONGEST_MESSAGE).replace(";", ",")

"""How long a collector may take for what."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import NamedTuple

from gputop.scale import deadline_scale

_BACK_OFF_S = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)


class Deadlines(NamedTuple):
    """Spans of time, in seconds."""

    scale: float = 1.0
    silence_s: float = 2.0
    """Beyond three intervals; then the collector is replaced."""
    start_s: float = 8.0
    """On top of that for the first record: a cold disk is slow."""
    stopped_s: float = 1.0
    """Overslept by more, this process itself was stopped, and the silence proves nothing."""
    leave_s: float = 1.0
    """From the end of its output to its end."""
    die_s: float = 1.0
    """From SIGKILL to its end; then it is stuck in the kernel."""
    healthy_s: float = 60.0
    """It worked for so long, and the next failure is the first again."""
    once_s: float = 20.0
    """The whole of a single reading."""
    answer_s: float = 4.0
    """From when the first device is listed to the devices' answers in a single reading."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Deadlines:
        """The usual spans times GPUTOP_DEADLINE_SCALE, where that is a positive number."""
        scale = deadline_scale(environment)
        _, *spans = cls()
        return cls(scale, *(span * scale for span in spans))

    def back_off(self, attempts: int) -> float:
        """Pause before the next attempt after so many in vain."""
        return _BACK_OFF_S[min(attempts, len(_BACK_OFF_S) - 1)] * self.scale

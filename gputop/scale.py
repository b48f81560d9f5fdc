"""The factor of every deadline: tests shrink them together, nothing else does."""

from __future__ import annotations

import os
from collections.abc import Mapping

VARIABLE = "GPUTOP_DEADLINE_SCALE"


def deadline_scale(environment: Mapping[str, str] = os.environ) -> float:
    """The factor that the environment sets; 1 where it is no positive number."""
    try:
        scale = float(environment.get(VARIABLE, "1"))
    except ValueError:
        return 1.0
    return scale if 0 < scale < 1e6 else 1.0

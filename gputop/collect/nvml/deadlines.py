"""How long the driver may take before gputop says that it does not answer."""

from __future__ import annotations

import os
from collections.abc import Mapping

from msgspec import Struct
from msgspec.structs import fields

from gputop.scale import deadline_scale


class Deadlines(Struct, frozen=True):
    """Spans of time, all in seconds. Tests shrink them together through `gputop.scale`."""

    init_s: float = 10.0
    """Opening the library, or a device for the first time; then `stuck` or `timed_out`."""
    listed_s: float = 1.0
    """A device that does not say who it is for so long is listed by its index alone."""
    reading_s: float = 3.0
    """A request for a reading; then the device is `timed_out`."""
    release_s: float = 2.0
    """Letting go of the driver; then it is `stuck`."""
    retry_s: float = 1.0
    """First pause before the driver is tried again; it doubles up to `retry_most_s`."""
    retry_most_s: float = 10.0
    find_again_s: float = 3.0
    """Pause between two attempts to find a lost device."""
    rescan_s: float = 5.0
    """Pause between two looks at how many devices there are."""
    event_wait_s: float = 0.5
    """The longest wait for an event inside the driver, and so for letting go of it."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Deadlines:
        """The defaults, each times GPUTOP_DEADLINE_SCALE; a scale that is no positive number is
        taken as 1.
        """
        scale = deadline_scale(environment)
        usual = cls()
        return cls(**{field.name: getattr(usual, field.name) * scale for field in fields(cls)})

"""The collector of the soak: gputop's own loop, writer and pipe; machine and clock are the soak's.

It sleeps by moving its clock on, once everything is written: so time goes as fast as the reader
can take it, and no frame is dropped.
"""

from __future__ import annotations

import os
import sys

from gputop.collect.control import listen
from gputop.collect.loop import Collector, Options
from gputop.collect.writer import Wake, Writer
from tests.soak.machine import soak_machine
from tests.soak.script import START_S, UTC_S


class SoakClock:
    """Both clocks of the simulated machine."""

    def __init__(self) -> None:
        self.now = START_S

    def boottime(self) -> float:
        return self.now

    def utc(self) -> float:
        return UTC_S + self.now - START_S


class SoakWake(Wake):
    """Sleeps in simulated time until the end of it, and then for good."""

    def __init__(self, out: int, writer: Writer, clock: SoakClock, until: float) -> None:
        super().__init__(out)
        self._writer, self._clock, self._until = writer, clock, until

    def sleep(self, seconds: float) -> bool:
        self._writer.drain()
        if self._clock.now >= self._until:
            return super().sleep(3600)
        self._clock.now += seconds
        return super().sleep(0)


def main(interval_s: float, hours: float) -> None:
    """Run until nobody reads any more."""
    writer = Writer(1, lambda _: os._exit(0))
    clock = SoakClock()
    wake = SoakWake(1, writer, clock, START_S + hours * 3600)
    options = Options(interval_s=interval_s, control=True, with_args=True)
    collector = Collector(soak_machine(), writer, wake, options, clock)
    listen(0, collector.tell, lambda: os._exit(0))
    collector.run()


if __name__ == "__main__":
    main(float(sys.argv[1]), float(sys.argv[2]))

"""Draws figures in a thread of its own: a key never waits for a picture.

plotext has one figure for the whole process and is not thread-safe, so one lock is held by
whoever draws. One thread draws for a screen as long as it is open: each new one would get memory
of its own from the C library, and the process would grow.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Hashable

from gputop.ui.device.figure import Figure, Picture

Draw = Callable[[Figure], Picture]
_DRAWING = threading.Lock()
_PLOT = "gputop.ui.device.plot"
_drawer: list[Draw] = []


def drawer() -> Draw:
    """plotext's, or our own where it cannot be imported (there is no wheel for every platform,
    and a broken one may fail in any way); found out once.
    """
    if not _drawer:
        try:
            from gputop.ui.device.plot import draw
        except Exception:
            from gputop.ui.device.dots import draw
        _drawer.append(draw)
    return _drawer[0]


class Drafter:
    """Takes figures by their place on the screen; of two for one place the newer is drawn."""

    def __init__(self, done: Callable[[Hashable, Picture], None]) -> None:
        self._done = done
        """Called in the thread that drew."""
        self._asked: dict[Hashable, Figure] = {}
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._open = True

    def ask(self, place: Hashable, figure: Figure) -> None:
        """Have a figure drawn."""
        with self._changed:
            self._asked[place] = figure
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._work, name="gputop-charts", daemon=True
                )
                self._thread.start()
            self._changed.notify()

    def close(self) -> None:
        """Draw no more; the thread ends when it is through with what it draws."""
        with self._changed:
            self._open = False
            self._changed.notify()

    def _next(self) -> tuple[Hashable, Figure] | None:
        """The figure that has waited longest; None once the drafter is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._asked or not self._open)
            if not self._open:
                return None
            place = next(iter(self._asked))
            return place, self._asked.pop(place)

    def _work(self) -> None:
        while (job := self._next()) is not None:
            place, figure = job
            with _DRAWING:
                picture = _draw(figure)
            self._done(place, picture)
            if not self._asked and (plot := sys.modules.get(_PLOT)) is not None:
                plot.give_back()


def _draw(figure: Figure) -> Picture:
    try:
        return drawer()(figure)
    except Exception:
        # A chart that plotext cannot draw is drawn all the same, and says that it is ours.
        from gputop.ui.device.dots import draw

        return draw(figure)

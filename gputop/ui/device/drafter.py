"""Draws figures in a thread of its own: a key never waits for a picture.

plotext has one figure for the whole process and is not thread-safe, so one lock is held by
whoever draws. A thread lives only while there is something to draw.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable

from gputop.ui.device.figure import Figure, Picture

Draw = Callable[[Figure], Picture]
_DRAWING = threading.Lock()
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
        self._changed = threading.Lock()
        self._busy = False

    def ask(self, place: Hashable, figure: Figure) -> None:
        """Have a figure drawn."""
        with self._changed:
            self._asked[place] = figure
            if self._busy:
                return
            self._busy = True
        threading.Thread(target=self._work, name="gputop-charts", daemon=True).start()

    def _next(self) -> tuple[Hashable, Figure] | None:
        with self._changed:
            if not self._asked:
                self._busy = False
                return None
            place = next(iter(self._asked))
            return place, self._asked.pop(place)

    def _work(self) -> None:
        while (job := self._next()) is not None:
            place, figure = job
            with _DRAWING:
                picture = _draw(figure)
            self._done(place, picture)


def _draw(figure: Figure) -> Picture:
    try:
        return drawer()(figure)
    except Exception:
        # A chart that plotext cannot draw is drawn all the same, and says that it is ours.
        from gputop.ui.device.dots import draw

        return draw(figure)

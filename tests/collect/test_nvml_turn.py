"""Workers take turns, and none waits for one whose call takes its time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from gputop.collect.nvml.turn import Turn

FOREVER_S = 1000.0
ENOUGH_S = 30.0
"""A net for what should come at once."""


class Other:
    """Another worker: it takes its turn at once, and keeps it until told to go on."""

    def __init__(self, turn: Turn) -> None:
        self._turn = turn
        self.is_in, self.go_on = threading.Event(), threading.Event()
        self.thread = threading.Thread(target=self._work)
        self.thread.start()

    def _work(self) -> None:
        with self._turn.taken():
            self.is_in.set()
            self.go_on.wait(ENOUGH_S)


@contextmanager
def other(turn: Turn) -> Iterator[Other]:
    worker = Other(turn)
    yield worker
    worker.go_on.set()
    worker.thread.join(ENOUGH_S)
    assert not worker.thread.is_alive()


def test_one_waits_for_the_other() -> None:
    turn = Turn(FOREVER_S)
    with turn.taken():
        worker = Other(turn)
        assert not worker.is_in.wait(0.05)
    assert worker.is_in.wait(ENOUGH_S)
    worker.go_on.set()
    worker.thread.join(ENOUGH_S)


def test_nobody_waits_for_one_that_takes_long() -> None:
    turn = Turn(0.001)
    with turn.taken(), other(turn) as first, other(turn) as second:
        assert first.is_in.wait(ENOUGH_S)
        assert second.is_in.wait(ENOUGH_S)


def test_who_worked_beside_another_takes_no_turn_away() -> None:
    turn = Turn(FOREVER_S)
    with turn.taken():
        turn._patience_s = 0.0
        with other(turn) as beside:
            assert beside.is_in.wait(ENOUGH_S)
        turn._patience_s = FOREVER_S
        third = Other(turn)
        assert not third.is_in.wait(0.05), "the turn is still ours"
    assert third.is_in.wait(ENOUGH_S)
    third.go_on.set()
    third.thread.join(ENOUGH_S)


def test_work_that_fails_gives_the_turn_on() -> None:
    turn = Turn(FOREVER_S)
    try:
        with turn.taken():
            raise LookupError
    except LookupError:
        pass
    with other(turn) as worker:
        assert worker.is_in.wait(ENOUGH_S)


def test_the_turn_is_taken_from_one_that_hangs() -> None:
    turn = Turn(0.001, hangs_s=0.0)
    with other(turn) as hung:
        assert hung.is_in.wait(ENOUGH_S)
        with turn.taken():
            turn._patience_s = FOREVER_S
            third = Other(turn)
            assert not third.is_in.wait(0.05), "it is our turn now"
            hung.go_on.set()
            hung.thread.join(ENOUGH_S)
            assert not third.is_in.wait(0.05), "who came back gave on what it no longer had"
        assert third.is_in.wait(ENOUGH_S)
        third.go_on.set()
        third.thread.join(ENOUGH_S)

"""The thread that draws: newest wins, one at a time, and our own drawing where plotext is not."""

import subprocess
import sys
import threading

import pytest

from gputop.ui.device import drafter
from gputop.ui.device.drafter import Drafter
from gputop.ui.device.figure import Axis, Curve, Figure, Picture

WAIT_S = 30.0


def figure(number: float = 0.5) -> Figure:
    axis = Axis(0.0, 1.0, ((0.0, "0"), (1.0, "1")))
    curve = Curve(((1.0, number), (5.0, number)), frozenset({0}), "main")
    return Figure(20, 6, (), axis, None, (), (curve,))


@pytest.fixture
def drawer(monkeypatch):
    """Set what draws."""
    return lambda draw: monkeypatch.setattr(drafter, "_drawer", [draw])


def test_of_two_for_one_place_only_the_newer_is_drawn(drawer):
    began, go_on, done = threading.Event(), threading.Event(), threading.Semaphore(0)
    drawn: list[tuple[object, Figure]] = []

    def slow(wanted: Figure) -> Picture:
        began.set()
        assert go_on.wait(WAIT_S)
        return Picture(wanted, ())

    def take(place: object, picture: Picture) -> None:
        drawn.append((place, picture.figure))
        done.release()

    drawer(slow)
    drafts = Drafter(take)
    drafts.ask("first", figure(0.1))
    assert began.wait(WAIT_S)
    for number in (0.2, 0.3, 0.4):
        drafts.ask("second", figure(number))  # returns at once, though a figure is being drawn
    go_on.set()
    assert done.acquire(timeout=WAIT_S)
    assert done.acquire(timeout=WAIT_S)
    drafts.close()
    assert drawn == [("first", figure(0.1)), ("second", figure(0.4))]


def test_two_drafters_never_draw_at_once(drawer):
    """plotext has one figure for the whole process."""
    at_once, most, done = [0], [0], threading.Semaphore(0)
    count = threading.Lock()

    def draw(wanted: Figure) -> Picture:
        with count:
            at_once[0] += 1
            most[0] = max(most[0], at_once[0])
        threading.Event().wait(0.002)
        with count:
            at_once[0] -= 1
        return Picture(wanted, ())

    drawer(draw)
    drafters = [Drafter(lambda *_: done.release()) for _ in range(4)]
    for number in range(5):
        for one in drafters:
            one.ask(number, figure())
    for _ in range(20):
        assert done.acquire(timeout=WAIT_S)
    for one in drafters:
        one.close()
    assert most == [1]


def test_a_figure_that_plotext_fails_at_is_drawn_by_ours(drawer):
    def broken(_: Figure) -> Picture:
        raise KeyError("kernel")

    pictures: list[Picture] = []
    done = threading.Event()
    drawer(broken)
    drafts = Drafter(lambda _, picture: (pictures.append(picture), done.set()))
    drafts.ask("here", figure())
    assert done.wait(WAIT_S)
    drafts.close()
    assert pictures[0].plain


def run(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=WAIT_S * 2
    ).stdout.strip()


def test_nothing_but_an_opened_chart_imports_plotext():
    code = (
        "import sys, gputop.ui.run, gputop.ui.app, gputop.ui.screens.device;"
        "print('plotext' in sys.modules)"
    )
    assert run(code) == "False"


def test_where_plotext_cannot_be_imported_our_own_drawing_takes_its_place():
    code = (
        "import sys; sys.modules['plotext'] = None\n"
        "from gputop.ui.device.drafter import drawer\n"
        "print(drawer().__module__)"
    )
    assert run(code) == "gputop.ui.device.dots"
    assert run(code.partition("\n")[2]) == "gputop.ui.device.plot"

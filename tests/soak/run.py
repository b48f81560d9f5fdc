"""Runs a soak on a terminal: presses the keys, takes the figures, and judges them."""

from __future__ import annotations

import itertools
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from tests.e2e.program import PATIENCE_S, Gputop, environment
from tests.soak.screen import Plan
from tests.soak.script import LASTING, expected, severity
from tests.waiting import readable

MARGIN_BYTES = 3_500_000
"""By how much the memory of a process may differ from that of the first hour, beside history: a
list of warnings and the caches of libraries that fill, and what malloc does not give back.
"""
LONG = 8
"""From so many hours on it must have come to rest: the second half is held against itself."""
SLOPE_BYTES_PER_HOUR = 100_000
"""Growth from hour to hour that counts as none there."""
OBJECTS_SHARE, OBJECTS_AT_REST = 0.25, 0.03
"""By how much the number of Python's objects may differ from the first hour's, and there. A leak
of any kind shows here first: the rows of closed screens made it 19 % an hour.
"""
HELP = "Esc closes, arrows scroll"
BACK = "Esc back"


@dataclass(frozen=True)
class Visit:
    """What a user does once in a while."""

    opens: tuple[tuple[str, str], ...]
    """Keys, and what comes of each."""
    gone: str
    """What is no longer seen behind Esc."""


VISITS = (
    Visit((("?", HELP),), HELP),
    Visit((("w", r"\((lasting|over)\)"),), r"\((lasting|over)\)"),
    Visit((("tab", ""), ("enter", BACK)), BACK),
    Visit((("ctrl-p", "Search for"),), "Search for"),
    Visit((("tab", ""), ("enter", BACK)), BACK),
    Visit((("/", "text, or user:ann"), ("user:ann", "/ user:ann")), "/ user:ann"),
)
"""One between two marks."""
SIZES = ((120, 40), (200, 50), (80, 24))


@dataclass(frozen=True)
class Sample:
    """The figures of one hour."""

    hour: int
    at: float
    figures: dict[str, Any]

    def __getattr__(self, name: str) -> Any:
        return self.figures[name]


class Soak:
    """A run; `samples` grows by one an hour."""

    def __init__(self, folder: Path, hours: float, interval_s: float, draw_every: int) -> None:
        says, hears = folder / "says", folder / "hears"
        for path in (says, hears):
            os.mkfifo(path)
        self.samples: list[Sample] = []
        self._hours = hours
        self._plan = Plan(hours, interval_s, draw_every, str(says), str(hears))
        self._folder = folder
        self._open: Visit | None = None
        self._visits = 0

    def run(self, on_sample: Callable[[Sample], object] = lambda _: None) -> None:
        """Soak to the end, and see that quitting leaves nothing.

        Raises:
            AssertionError: a key is not answered, or something is left.
        """
        # The deadlines stand still with the clock: nothing here is late in real time.
        env = environment(self._folder, {}, 100.0)
        command = [sys.executable, "-m", "tests.soak.screen", json.dumps(asdict(self._plan))]
        with _Screen(command, self._folder, env, SIZES[0]) as terminal:
            for mark in self._marks(terminal):
                if mark["sample"]:
                    self.samples.append(Sample(mark["hour"], mark["at"], mark["sample"]))
                    on_sample(self.samples[-1])
                if len(self.samples) >= int(self._hours):
                    break
                self._visit(terminal, mark["minute"])
                os.write(self._go_on, b".")
            terminal.wait_for("q quit")
            terminal.check_leaves()

    def _marks(self, terminal: Gputop) -> Iterator[dict[str, Any]]:
        """What the screen says, until it ends."""
        # Both ends here: neither opening waits for the other side, and the lines come in order.
        with open(os.open(self._plan.says, os.O_RDWR), "rb", buffering=0) as says:
            self._go_on = os.open(self._plan.hears, os.O_RDWR)
            try:
                while line := _line(says.fileno(), terminal):
                    yield json.loads(line)
            finally:
                os.close(self._go_on)

    def _visit(self, terminal: Gputop, minute: int) -> None:
        """Close what is open, and open the next thing, except towards the sample."""
        if self._open is not None:
            terminal.press("esc", hides=self._open.gone)
            self._open = None
        if minute < 57:
            visit = VISITS[self._visits % len(VISITS)]
            self._visits += 1
            for key, shows in visit.opens:
                terminal.press(key, shows=shows)
            self._open = visit


class _Screen(Gputop):
    def __init__(self, command: list[str], folder: Path, env: Any, size: tuple[int, int]) -> None:
        self.folder = folder
        super(Gputop, self).__init__(command, env=env, cwd=folder, size=size)


def _line(fd: int, terminal: Gputop) -> bytes:
    """The next line of a pipe; a net for one that never comes."""
    until = time.monotonic() + 10 * PATIENCE_S
    while not readable(fd, timeout_s=1):
        assert terminal.is_running, f"the screen has ended\n{terminal.describe()}"
        assert time.monotonic() < until, f"the screen says nothing\n{terminal.describe()}"
    line = b""
    while not line.endswith(b"\n"):
        line += os.read(fd, 1 << 20)
    return line


# -- judging ---------------------------------------------------------------------------------


def problems(samples: Sequence[Sample]) -> list[str]:
    """What is wrong with a run: a sentence each, none where all is well."""
    return [*_grown(samples), *_changed(samples), *_lost(samples)]


def _grown(samples: Sequence[Sample]) -> Iterator[str]:
    first, last, half = samples[0], samples[-1], samples[len(samples) // 2 :]
    for name, held in (("screen", _screen_bytes), ("collector", _collector_bytes)):
        grown = held(last) - held(first)
        if grown > MARGIN_BYTES:
            yield f"the {name} holds {grown / 1e6:.1f} MB more than after the first hour"
        slope = slope_per_hour([held(sample) for sample in half])
        if len(samples) >= LONG and slope > SLOPE_BYTES_PER_HOUR:
            yield f"the {name} grows by {slope / 1e6:.2f} MB an hour"
    if last.objects > first.objects * (1 + OBJECTS_SHARE):
        yield f"the screen had {first.objects} objects after the first hour, has {last.objects}"
    if len(samples) >= LONG and last.objects > half[0].objects * (1 + OBJECTS_AT_REST):
        yield f"the screen had {half[0].objects} objects half-way, has {last.objects}"


def _changed(samples: Sequence[Sample]) -> Iterator[str]:
    first = samples[0]
    for sample in samples:
        for name in ("files", "threads", "collector_files", "collector_threads", "widgets"):
            if getattr(sample, name) != getattr(first, name):
                yield f"hour {sample.hour}: {name} were {getattr(first, name)}, are " + str(
                    getattr(sample, name)
                )
        for name in ("tasks", "timers"):
            if getattr(sample, name) > getattr(first, name) + 2:  # a toast may be on its way out
                yield f"hour {sample.hour}: {name} were {getattr(first, name)}, are " + str(
                    getattr(sample, name)
                )


def _lost(samples: Sequence[Sample]) -> Iterator[str]:
    for sample in samples:
        wanted = expected(sample.at)
        begun = Counter(sample.begun)
        if sample.missed:
            yield f"hour {sample.hour}: {sample.missed} frames were missed"
        if begun != wanted:
            yield f"hour {sample.hour}: lost {wanted - begun}, unexpected {begun - wanted}"
        if sample.lasting != LASTING:
            yield f"hour {sample.hour}: in the calm there still last {sample.lasting}"
        listed = Counter({n: c for n, c in wanted.items() if severity(n.split()[0]) != "notice"})
        if Counter(sample.listed) != listed:
            yield f"hour {sample.hour}: no longer listed: {listed - Counter(sample.listed)}"


def slope_per_hour(values: Sequence[float]) -> float:
    """The median of the slopes between any two: one hour that stands out does not matter."""
    pairs = itertools.combinations(enumerate(values), 2)
    return median([(b - a) / (m - n) for (n, a), (m, b) in pairs] or [0.0])


def _screen_bytes(sample: Sample) -> int:
    return int(sample.rss - sample.history)


def _collector_bytes(sample: Sample) -> int:
    return int(sample.collector_rss)


# -- telling ---------------------------------------------------------------------------------

HEADINGS = (
    "hour", "screen MB", "of it history", "collector MB", "files", "threads", "tasks", "timers",
    "widgets", "objects", "frames", "drawn", "warnings", "expected",
)  # fmt: skip


def heading() -> str:
    """The first line of the curve."""
    return "  ".join(HEADINGS)


def row(sample: Sample) -> str:
    """An hour, as a line of the curve."""
    files = f"{sample.files}+{sample.collector_files}"
    threads = f"{sample.threads}+{sample.collector_threads}"
    cells = (
        sample.hour + 1, f"{sample.rss / 1e6:.1f}", f"{sample.history / 1e6:.1f}",
        f"{sample.collector_rss / 1e6:.1f}", files, threads, sample.tasks, sample.timers,
        sample.widgets, sample.objects, sample.frames, sample.drawn, sum(sample.begun.values()),
        sum(expected(sample.at).values()),
    )  # fmt: skip
    pairs = zip(cells, HEADINGS, strict=True)
    return "  ".join(f"{cell!s:>{len(name)}}" for cell, name in pairs)

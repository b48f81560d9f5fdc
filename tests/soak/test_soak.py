"""The soak in short, and that its judgement can be bad."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.soak.run import Sample, Soak, problems
from tests.soak.script import HOUR_S, LASTING, MINUTE_S, SAMPLE_MINUTE, START_S, expected, severity

MB = 1_000_000


def test_two_hours_leave_nothing_behind_and_lose_no_warning(tmp_path: Path) -> None:
    # 720 frames between the two samples: 10 kB that each leaked are more than the margin.
    soak = Soak(tmp_path, hours=2, interval_s=5, draw_every=20)
    soak.run()
    assert [sample.hour for sample in soak.samples] == [0, 1]
    assert problems(soak.samples) == []


def a_day() -> list[Sample]:
    """A run in which all is well."""
    return [Sample(hour, at, a_sample(at)) for hour, at in enumerate(map(sampled_at, range(24)))]


def sampled_at(hour: int) -> float:
    return START_S + hour * HOUR_S + SAMPLE_MINUTE * MINUTE_S


def a_sample(at: float) -> dict[str, Any]:
    begun = dict(expected(at))
    listed = {name: n for name, n in begun.items() if severity(name.split()[0]) != "notice"}
    counts = dict.fromkeys(
        ("files", "threads", "collector_files", "collector_threads", "widgets", "tasks", "timers"),
        9,
    )
    return {
        **counts, "rss": 70 * MB, "history": 12 * MB, "collector_rss": 20 * MB,
        "objects": 25_000, "frames": 3600, "missed": 0, "drawn": 360, "begun": begun,
        "listed": listed, "lasting": LASTING,
    }  # fmt: skip


def leaks(samples: list[Sample]) -> None:
    for sample in samples:
        sample.figures["rss"] += sample.hour * MB // 5


def holds_a_file(samples: list[Sample]) -> None:
    samples[-1].figures["files"] += 1


def hoards_objects(samples: list[Sample]) -> None:
    for sample in samples:
        sample.figures["objects"] += 500 * sample.hour


def loses_a_warning(samples: list[Sample]) -> None:
    samples[-1].figures["begun"]["lost 2"] -= 1


def says_one_twice(samples: list[Sample]) -> None:
    samples[-1].figures["begun"]["lost 2"] += 1


def pushes_one_off_the_list(samples: list[Sample]) -> None:
    samples[-1].figures["listed"]["lost 2"] -= 1


def never_ends_one(samples: list[Sample]) -> None:
    samples[-1].figures["lasting"] = ["lost 2"]


def misses_a_frame(samples: list[Sample]) -> None:
    samples[-1].figures["missed"] = 1


BREAKS = (
    (leaks, "the screen holds .* MB more|MB an hour"),
    (holds_a_file, "files were 9, are 10"),
    (hoards_objects, "objects"),
    (loses_a_warning, "lost .*lost 2"),
    (says_one_twice, "unexpected .*lost 2"),
    (pushes_one_off_the_list, "no longer listed: .*lost 2"),
    (never_ends_one, "still last"),
    (misses_a_frame, "1 frames were missed"),
)


@pytest.mark.parametrize(("spoil", "said"), BREAKS, ids=[b.__name__ for b, _ in BREAKS])
def test_the_judgement_sees(spoil: Callable[[list[Sample]], None], said: str) -> None:
    samples = a_day()
    assert problems(samples) == []
    spoil(samples)
    found = problems(samples)
    assert found
    assert all(re.search(said, problem) for problem in found), found

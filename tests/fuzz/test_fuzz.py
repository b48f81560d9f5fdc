"""The fuzz targets on their seeds, on what once broke them, and for a while with the fuzzer."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gputop.model.codec import encode
from gputop.sources.lines import RecordLines
from tests.fuzz.mutate import change
from tests.fuzz.targets import TARGETS, Target, frames
from tests.samples import sample_frame, sample_hello

SHORT_RUNS = 1000
ROOT = Path(__file__).parents[2]
INPUTS = [
    pytest.param(target, content, id=f"{name}-{number}")
    for name, target in TARGETS.items()
    for number, content in enumerate([*target.seeds(), *map(Path.read_bytes, target.found)])
]


@pytest.mark.parametrize(("target", "content"), INPUTS)
def test_seeds_and_what_was_found_keep_the_promises(target: Target, content: bytes) -> None:
    target.check(content)


SEEDS = TARGETS["frames"].seeds()


@given(st.sampled_from(SEEDS), st.lists(st.integers(0, 2**32), min_size=1, max_size=6))
def test_records_that_say_anything_break_nothing_behind_the_decoder(
    content: bytes, changes: list[int]
) -> None:
    for seed in changes:
        content = change(content, seed) or content
    frames(content)


def test_the_changes_leave_enough_records_to_be_a_test() -> None:
    """Of the lines changed once a third are still records, and say something else."""
    before = [sample_hello(), sample_frame()]
    content = b"".join(map(encode, before))
    changed = [RecordLines().feed(change(content, seed) or b"") for seed in range(90)]
    assert sum(any(record not in before for record in records) for records in changed) >= 30


@pytest.mark.skipif(
    importlib.util.find_spec("atheris") is None,
    reason="atheris is not installed: pip install -e '.[fuzz]' (wheels are for Linux on x86-64)",
)
@pytest.mark.parametrize("name", TARGETS)
def test_the_fuzzer_finds_nothing_in_a_short_run(name: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", name, "--runs", str(SHORT_RUNS)],
        cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    runs = re.search(r"number_of_executed_units: (\d+)", done.stderr)
    assert runs
    assert int(runs[1]) >= SHORT_RUNS

"""The table of scenarios names tests that exist, and the README counts its rows."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.faults import FAULTS, TROUBLES

TESTS = Path(__file__).parent
TABLE = (TESTS / "scenarios.md").read_text()
ROWS = re.findall(
    r"^\| (.+?) \| (.*?) \|$", TABLE.replace("| what happens | proven by |", ""), re.M
)
README = (TESTS.parent / "README.md").read_text()


def collect(files: set[str]) -> set[str]:
    """The ids of all tests in these files, relative to tests/."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-n", "0"]
    done = subprocess.run(
        [*command, "--override-ini", "addopts=", *sorted(f"tests/{file}" for file in files)],
        cwd=TESTS.parent, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return {line.removeprefix("tests/") for line in done.stdout.splitlines() if "::" in line}


def without(wanted: set[str], there: set[str]) -> set[str]:
    """Those that are not there; a name without brackets stands for all its variants."""
    return wanted - there - {test.split("[")[0] for test in there}


def test_every_row_has_tests_and_every_test_exists(request: pytest.FixtureRequest) -> None:
    named = {what: re.findall(r"`([^`]+\.py::[^`]+)`", tests) for what, tests in ROWS}
    assert [what for what, tests in named.items() if not tests] == []
    wanted = {test for tests in named.values() for test in tests}
    missing = without(wanted, {i.nodeid.removeprefix("tests/") for i in request.session.items})
    if missing:  # a run of a few tests only: look at what there is besides
        missing = without(missing, collect({test.split("::")[0] for test in missing}))
    assert missing == set()


def test_every_row_of_driver_faults_is_named() -> None:
    for test, rows in (
        ("test_a_device_fault", FAULTS), ("test_a_driver_that_cannot_be_opened", TROUBLES),
    ):  # fmt: skip
        assert [str(row) for row in rows if f"::{test}[{row}]`" not in TABLE] == []


def test_no_row_stands_twice() -> None:
    assert len({what for what, _ in ROWS}) == len(ROWS)


def test_the_readme_counts_them() -> None:
    assert f"{len(ROWS)} scenarios" in README

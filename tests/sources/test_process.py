"""The collector's command line and environment: it is always this gputop, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import gputop
from gputop.errors import CollectorFailed
from gputop.sources.process import CollectorProcess, collector_command, collector_environment

HOME = str(Path(gputop.__file__).resolve().parent.parent)


def test_it_is_the_same_python_away_from_the_working_folder() -> None:
    assert collector_command(["--demo"]) == [
        sys.executable, "-P", "-m", "gputop", "stream", "--demo",
    ]  # fmt: skip


def test_without_a_python_there_is_no_collector(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "")
    with pytest.raises(CollectorFailed):
        collector_command([])


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (None, [HOME]),
        ("", [HOME]),
        (":/opt/lib:", [HOME, "/opt/lib"]),
        ("here:./there:/opt/lib", [HOME, "/opt/lib"]),
        (f"/opt/lib:{HOME}", [HOME, "/opt/lib"]),
    ],
)
def test_a_checkout_is_passed_on_and_relative_folders_are_not(
    given: str | None, kept: list[str]
) -> None:
    environment = {"HOME": "/root"} | ({} if given is None else {"PYTHONPATH": given})
    result = collector_environment(environment)
    assert result["PYTHONPATH"].split(os.pathsep) == kept
    assert result["HOME"] == "/root"


def test_an_installed_package_needs_no_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gputop, "__file__", "/usr/lib/python3/site-packages/gputop/__init__.py")
    assert "PYTHONPATH" not in collector_environment({"PYTHONPATH": "."})


def test_modules_in_the_working_folder_are_not_imported(tmp_path: Path) -> None:
    for name in ("pynvml", "psutil", "msgspec", "gputop", "argparse"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('a stranger was imported')\n")
    done = subprocess.run(
        [*collector_command(["--count", "x"])],
        cwd=tmp_path, env=collector_environment({**os.environ, "PYTHONPATH": ":."}),
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2
    assert "'x' is not a number of frames" in done.stderr


def test_it_keeps_no_folder_busy_and_no_key_reaches_it() -> None:
    process = CollectorProcess(["sleep", "600"], control=False)
    assert os.readlink(f"/proc/{process.pid}/cwd") == "/"
    assert os.getsid(process.pid) == os.getpgid(process.pid) == process.pid
    process.kill()
    process.wait(60)
    assert process.exit_code == -9
    process.close()


def test_a_program_that_cannot_be_started_is_said() -> None:
    with pytest.raises(CollectorFailed, match="No such file"):
        CollectorProcess(["/nonexistent/python"], control=True)


def test_what_it_says_on_stderr_is_kept_within_bounds() -> None:
    script = "import sys\nfor n in range(5000): print('line', n, 'x' * 2000, file=sys.stderr)"
    process = CollectorProcess([sys.executable, "-c", script], control=False)
    while process.read_errors():
        pass
    assert process.last_words.startswith("line 4999 xxx")
    assert len(process.last_words) == 500
    process.wait(60)
    assert process.exit_code == 0
    process.close()

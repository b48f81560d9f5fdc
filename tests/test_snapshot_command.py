import csv
import io
import json
import os
import subprocess
import sys

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from gputop.commands.base import stream_arguments
from gputop.errors import EXIT_FAILED, EXIT_USAGE

SAFETY_S = 120.0
DEMO = ("--demo", "--demo-devices", "2", "--window", "0.1")


def snapshot(*arguments: str, **options) -> subprocess.CompletedProcess[str]:
    options = {"capture_output": True, "text": True, "timeout": SAFETY_S, "check": False} | options
    return subprocess.run([sys.executable, "-m", "gputop", "snapshot", *arguments], **options)


def test_text_is_the_default_and_says_what_it_is():
    done = snapshot(*DEMO)
    assert (done.returncode, done.stderr) == (0, "")
    assert "SIMULATED" in done.stdout
    assert "rates over 100 ms" in done.stdout
    assert "2 devices" in done.stdout


def test_json_to_stdout():
    page = json.loads(snapshot(*DEMO, "--format", "json").stdout)
    assert page["simulated"] is True
    assert page["window_s"] == 0.1
    assert len([device for device in page["devices"] if device["parent"] is None]) == 2
    assert all(process["command"] is None for process in page["processes"])


def test_with_args_carries_command_lines():
    page = json.loads(snapshot(*DEMO, "--format", "json", "--with-args").stdout)
    assert page["with_args"] is True
    assert any(process["command"] for process in page["processes"])


def test_openmetrics_to_stdout():
    families = text_string_to_metric_families(snapshot(*DEMO, "--format", "openmetrics").stdout)
    assert "hw_gpu_utilization_ratio" in {family.name for family in families}


def test_csv_to_stdout_has_two_tables():
    devices, processes = snapshot(*DEMO, "--format", "csv").stdout.split("\n\n")
    assert next(iter(csv.DictReader(io.StringIO(devices))))["hostname"] == "demo"
    assert "pid" in next(csv.reader(io.StringIO(processes)))
    alone = snapshot(*DEMO, "--format", "csv", "--table", "processes").stdout
    assert alone.splitlines()[0] == processes.splitlines()[0]


def test_the_suffix_chooses_and_csv_makes_two_files(tmp_path):
    done = snapshot(*DEMO, "-o", str(tmp_path / "s.csv"))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert sorted(os.listdir(tmp_path)) == ["s-processes.csv", "s.csv"]


def test_a_file_that_is_there_stays_unless_forced(tmp_path):
    target = tmp_path / "s.json"
    target.write_text("old")
    done = snapshot(*DEMO, "-o", str(target))
    assert done.returncode == EXIT_FAILED
    assert done.stderr == (
        f"gputop: {target} exists already; choose another name or add --force.\n"
    )
    assert target.read_text() == "old"
    assert snapshot(*DEMO, "-o", str(target), "--force").returncode == 0
    assert json.loads(target.read_text())["type"] == "snapshot"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["-o", "x.unknown"], "x.unknown does not say its format: add --format, or end it in .txt"),
        (["-o", "x.svg"], "Only the screen makes svg files: press e there."),
        (["--table", "devices"], "--table chooses a table of the CSV: add --format csv."),
    ],
)
def test_flags_that_do_not_fit_together(tmp_path, arguments, sentence):
    done = snapshot(*DEMO, *arguments, cwd=tmp_path, env={**os.environ, "PYTHONPATH": os.getcwd()})
    assert done.returncode == EXIT_USAGE
    assert sentence in done.stderr
    assert os.listdir(tmp_path) == []


def test_a_full_stdout_is_one_sentence():
    with open("/dev/full", "wb") as full:
        done = snapshot(*DEMO, capture_output=False, stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == EXIT_FAILED
    assert done.stderr == "gputop: Cannot write to stdout: No space left on device.\n"


def test_a_locale_without_unicode_gets_what_it_can_show():
    done = snapshot(*DEMO, env={**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"})
    assert done.returncode == 0
    assert done.stdout.isascii()


def test_units_come_from_the_settings(tmp_path):
    (tmp_path / "gputop").mkdir()
    (tmp_path / "gputop/config.toml").write_text('temperature = "f"\n')
    done = snapshot(*DEMO, env={**os.environ, "XDG_CONFIG_HOME": str(tmp_path), "COLUMNS": "150"})
    rows = [line for line in done.stdout.splitlines() if line.startswith("  0  ")]
    assert "°F" in rows[0]
    assert "°C" not in rows[0]


def test_the_shared_flags_reach_the_collector():
    import argparse

    from gputop.commands import snapshot as command

    parser = argparse.ArgumentParser()
    command.prepare_parser(parser)
    args = parser.parse_args([*DEMO, "--with-args"])
    assert args.apart_s == 0.1
    assert "--demo" in stream_arguments(args)
    assert "--with-args" in stream_arguments(args)

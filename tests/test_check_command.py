"""`gputop check`: what is wrong, and how it says so to scripts."""

import json
import os
import subprocess
import sys

import msgspec
import pytest

from gputop.errors import EXIT_FAILED, EXIT_NO_DRIVER, EXIT_USAGE
from gputop.export.check_report import CheckDocument, CheckReport, as_json, as_text
from gputop.insight.alert_log import AlertLog
from gputop.model.frame import Event, Frame
from gputop.state.store import Store
from tests.demo_records import demo_records

SAFETY_S = 120.0


def check(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gputop", "check", *arguments], capture_output=True, text=True,
        timeout=SAFETY_S, check=False, env={**os.environ, **env},
    )  # fmt: skip


def report(devices: int, seconds: int, *events: Event, window_s: float = 12.0) -> CheckReport:
    store, log = Store(), AlertLog()
    for record in (*demo_records(devices, seconds), *events):
        store.apply(record)
        if isinstance(record, Frame):
            log.update(store)
    log.update(store)
    return CheckReport(store, log, window_s)


def test_a_healthy_machine_exits_with_0_and_says_for_how_long_it_looked():
    done = check("--demo", "--devices", "0", "--wait", "0.4")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Healthy: nothing wrong with 1 device, looked at for 400 ms." in done.stdout
    assert "SIMULATED" in done.stdout
    said = " ".join(done.stdout.split())
    assert "PCIe link below its maximum (10 s)" in said, "what it could not judge"


def test_a_sick_machine_exits_with_1_and_its_document_is_typed():
    done = check("--demo", "--demo-start", "60", "--wait", "0.4", "--format", "json")
    assert (done.returncode, done.stderr) == (EXIT_FAILED, "")
    document = msgspec.json.decode(done.stdout, type=CheckDocument)
    assert not document.healthy
    assert (document.exit_code, document.device_count, document.window_s) == (1, 8, 0.4)
    assert "lost" in {record.rule for record in document.problems}
    assert document.problems[0].severity == "critical"
    assert {record.severity for record in document.notices} == {"notice"}
    assert all(r.active and r.meaning and r.advice and r.device for r in document.problems)


def test_notices_are_listed_and_do_not_fail():
    done = check("--demo", "--devices", "4", "--wait", "0.4")
    assert done.returncode == 0
    assert "NOTICE    GPU 4" in done.stdout


def test_no_driver_exits_with_3():
    done = check("--wait", "0.2", LD_LIBRARY_PATH="/nowhere")
    if done.returncode in (0, 1):
        pytest.skip("this machine has an NVIDIA driver")
    assert done.returncode == EXIT_NO_DRIVER
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--wait", "soon"), "a time from 0.1"),
        (("--demo", "--devices", "77", "--wait", "0.2"), "No device of this machine is called 77"),
        (
            ("--demo", "--devices", "0,77", "--wait", "0.2"),
            "No device of this machine is called 77",
        ),
        (("--format", "xml"), "xml"),
    ],
)
def test_what_cannot_be_meant_exits_with_2(arguments, said):
    done = check(*arguments)
    assert done.returncode == EXIT_USAGE
    assert said in done.stderr


def test_the_edges_are_those_of_the_settings(tmp_path):
    config = tmp_path / "gputop" / "config.toml"
    config.parent.mkdir()
    config.write_text("[thresholds]\ntemperature_margin_c = 70\n")
    flags = ("--demo", "--devices", "0", "--wait", "0.4")
    assert "close to thermal slowdown" in check(*flags, XDG_CONFIG_HOME=str(tmp_path)).stdout
    assert "close to thermal slowdown" not in check(*flags).stdout


def test_what_ended_or_was_before_the_start_is_told_and_does_not_fail():
    found = report(8, 0)
    at = found.store.now - 500
    log = Event("demo", 10**6, found.store.frame.utc_s - 500, at, "xid", None, 48, "NVRM: Xid 48")
    found = report(8, 0, log)
    before = {alert.rule for alert in found.before}
    assert "xid:48" in before
    document = json.loads(as_json(found))
    assert "xid:48" in {record["rule"] for record in document["before_start"]}
    assert not {record["rule"] for record in document["problems"]} & {"xid:48"}
    assert "Before the start:" in as_text(found, 100)


def test_text_keeps_its_width_and_hostile_words_are_cleaned():
    found = report(8, 60)
    found.log.active[0].detail = "\x1b]0;title\x07 \u202e" + "x" * 300
    text = as_text(found, 70)
    assert "\x1b" not in text
    assert "\u202e" not in text
    lines = text.splitlines()
    assert max(len(line) for line in lines if "xxxx" not in line) <= 70
    assert "\x1b" not in as_json(found)
    assert lines[0].startswith("SIMULATED: ")

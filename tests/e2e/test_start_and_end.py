"""Files, settings, flags, and the commands beside the screen."""

from __future__ import annotations

import csv
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.conftest import Driver, moving
from tests.e2e.program import Gputop, Records, Run, Start
from tests.fake_driver import Lines, h100s

SIZE = (120, 40)
KNOWN: Lines = {
    **h100s(2),
    "device.*.gpu_utilization": 37,
    "device.*.power_mw": 250_500,
    "device.*.temperature": 44,
    "device.*.memory_used": 10 << 30,
    "device.0.process.0": "pid=999999999 type=C memory=1G sm=30",
}


# -- snapshots from the screen ---------------------------------------------------------------


def check_json(paths: list[Path]) -> None:
    document = json.loads(paths[0].read_text())
    device = document["devices"][1]
    assert device["gpu_utilization"] == 0.37
    assert device["power_w"] == 250.5
    assert device["memory_used_bytes"] == 10 << 30
    assert document["simulated"] is False


def check_csv(paths: list[Path]) -> None:
    processes, devices = sorted(paths, key=lambda path: "processes" not in path.name)
    with devices.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["gpu_utilization"]) for row in rows] == [0.37, 0.37]
    assert float(rows[0]["temperature_c"]) == 44
    with processes.open(newline="") as file:
        assert [row["pid"] for row in csv.DictReader(file)] == ["999999999"]


def check_openmetrics(paths: list[Path]) -> None:
    families = {
        family.name: family for family in text_string_to_metric_families(paths[0].read_text())
    }
    samples = families["hw_gpu_utilization_ratio"].samples
    assert [s.value for s in samples if s.labels.get("task") == "general"] == [0.37, 0.37] or {
        s.value for s in samples
    } >= {0.37}


def check_text(paths: list[Path]) -> None:
    page = paths[0].read_text()
    assert "H100 80GB HBM3" in page
    assert "37 %" in page
    assert "\x1b" not in page


def check_svg(paths: list[Path]) -> None:
    picture = paths[0].read_text()
    words = "".join(ElementTree.fromstring(picture).itertext()).replace("\xa0", " ")
    assert "37 %" in words
    assert not re.search(r"url\((?!#)|href|@import", picture), "it needs no network"


FORMATS: tuple[tuple[str, str, Callable[[list[Path]], None]], ...] = (
    ("json", ".json", check_json),
    ("csv", ".csv", check_csv),
    ("openmetrics", ".prom", check_openmetrics),
    ("text", ".txt", check_text),
    ("svg", ".svg", check_svg),
)


@pytest.mark.parametrize(("form", "suffix", "check"), FORMATS, ids=[row[0] for row in FORMATS])
def test_e_writes_what_is_on_screen(
    driver: Driver,
    gputop: Start,
    form: str,
    suffix: str,
    check: Callable[[list[Path]], None],
) -> None:
    terminal = gputop(driver(KNOWN), "--snapshot-format", form, size=SIZE)
    terminal.wait_for(" 999999999 ")
    paths = terminal.save()
    assert all(path.name.endswith(suffix) or form == "openmetrics" for path in paths)
    check(paths)
    terminal.wait_for(re.escape(paths[0].name[:12]))


def test_two_snapshots_are_two_files(driver: Driver, gputop: Start) -> None:
    terminal = gputop(driver(KNOWN), size=SIZE)
    terminal.wait_device(0, "37 %")
    assert terminal.save() != terminal.save()


@pytest.mark.parametrize("where", ["missing/folder", "file/below", "/proc"])
def test_a_folder_that_cannot_be_written_to_is_one_sentence_and_it_goes_on(
    driver: Driver, gputop: Start, folder: Path, where: str
) -> None:
    (folder / "file").write_text("")
    terminal = gputop(driver(moving(1)), "--snapshot-folder", where, size=SIZE)
    terminal.wait_alive(0, 1)
    terminal.press(
        "e", shows=r"does not exist|[Nn]ot a (folder|directory)|[Cc]annot|may not be written to"
    )
    terminal.wait_alive(0, 2)
    assert list(folder.iterdir()) == [folder / "file"]
    terminal.check_leaves()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_full_disk_is_one_sentence(driver: Driver, run: Run) -> None:
    """`gputop snapshot` to a pipe's end that is full, as `> /dev/full` in a shell."""
    import subprocess
    import sys

    scenario = driver(KNOWN)
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "gputop", "snapshot"], stdout=full, stderr=subprocess.PIPE,
            env={**os.environ, **scenario.env()}, text=True, check=False, timeout=60,
        )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == "gputop: Cannot write to stdout: No space left on device.\n"


# -- the commands ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "check"), [(row[0], row[2]) for row in FORMATS if row[0] not in ("svg", "csv")]
)
def test_snapshot_prints_each_format(
    driver: Driver, run: Run, tmp_path: Path, form: str, check: Callable[[list[Path]], None]
) -> None:
    path = tmp_path / "printed"
    path.write_text(run(driver(KNOWN), "snapshot", "--format", form).check())
    check([path])


def test_snapshot_writes_files_and_replaces_none(driver: Driver, run: Run, folder: Path) -> None:
    scenario = driver(KNOWN)
    assert run(scenario, "snapshot", "-o", "reading.csv").check() == ""
    check_csv([folder / "reading.csv", folder / "reading-processes.csv"])
    before = (folder / "reading.csv").read_text()
    again = run(scenario, "snapshot", "-o", "reading.csv")
    assert again.end() == 1
    assert "--force" in again.errors
    assert (folder / "reading.csv").read_text() == before
    run(scenario, "snapshot", "-o", "reading.csv", "--force").check()
    (folder / "link.json").symlink_to("elsewhere.json")
    linked = run(scenario, "snapshot", "-o", "link.json")
    assert linked.end() == 1
    assert not (folder / "elsewhere.json").exists(), "a planted link is not followed"


def test_stream_says_hello_and_then_frames(driver: Driver, run: Run) -> None:
    text = run(driver(KNOWN), "stream", "--interval", "0.1", "--count", "5").check()
    records = Records(text)
    assert records.all[0] is records.hellos[0]
    assert records.frames[0].devices == [], "the host's load comes before the driver is opened"
    assert [frame.seq for frame in records.frames] == list(range(len(records.frames)))
    last = records.last
    assert [device.gpu_utilization for device in last.devices] == [0.37, 0.37]
    assert [device.name for device in records.hellos[-1].devices] == ["NVIDIA H100 80GB HBM3"] * 2
    assert last.host.cpu_utilization is not None


def test_devices_are_chosen_by_index_or_uuid(driver: Driver, gputop: Start, run: Run) -> None:
    scenario = driver({**moving(3), "device.2.name": "NVIDIA A100-SXM4-40GB"})
    terminal = gputop(scenario, "--devices", "0,GPU-8a7c5e00-1f2d-4b3a-9c00-000000000002")
    terminal.wait_device(2, "A100")
    terminal.wait_device(0, "H100")
    assert not terminal.device(1)
    terminal.check_leaves()
    wrong = run(scenario, "snapshot", "--devices", "7", scale=1)
    assert wrong.end() == 2
    assert re.match("gputop: No device of this machine is called 7", wrong.errors)


WITHOUT_PROC = ("unshare", "-rm", "sh", "-c", 'mount -t tmpfs none /proc && exec "$@"', "sh")
"""What runs a program that finds an empty /proc, as in a bare chroot or where lxcfs has crashed."""


def may_hide_proc() -> bool:
    import subprocess

    try:
        return subprocess.run([*WITHOUT_PROC, "true"], check=False, timeout=60).returncode == 0
    except OSError:
        return False


@pytest.mark.skipif(not may_hide_proc(), reason="nobody here may mount anything over /proc")
def test_without_proc_the_devices_are_there_and_the_host_is_not_known(
    driver: Driver, gputop: Start
) -> None:
    terminal = gputop(driver(moving(2)), size=SIZE, through=WITHOUT_PROC)
    terminal.wait_alive(1)
    terminal.wait_for(r"cpu +– ")
    terminal.check_keys_answer()
    document = terminal.saved_snapshot()
    assert document["host"]["cpu_utilization"] is None
    assert document["devices"][0]["status"] == "ok"
    terminal.type("q")
    assert terminal.exit_code() == 0
    assert terminal.is_restored()


# -- settings and flags ----------------------------------------------------------------------

SETTINGS = (
    ("interval = 2", r"\A.* every 2 s"),
    ('window = "10m"', "window 10 min"),
    ('temperature = "f"', r"temp +111/\d+ °F"),
    ('memory = "decimal"', r"mem +10\.7/85\.5 GB"),
    ("ascii = true", r"^\+- 0 - H100"),
    ('sort = "pid"', "PID▲"),
    ('columns = ["pid", "sm"]', r"^ +PID +SM% COMMAND"),
    ("devices = [1]", r"^╭─ 1 · H100"),
    ("[thresholds]\ntemperature_margin_c = 50", "▲ .*below slowdown|▲.*close to thermal"),
)


@pytest.mark.parametrize(("content", "shows"), SETTINGS, ids=[row[0] for row in SETTINGS])
def test_a_setting_in_the_file_is_obeyed(
    driver: Driver, gputop: Start, home: Path, content: str, shows: str
) -> None:
    (home / "config/gputop/config.toml").write_text(content + "\n")
    terminal = gputop(driver(KNOWN), interval="", size=SIZE)
    terminal.wait_for(shows)


def test_a_flag_wins_over_the_file(driver: Driver, gputop: Start, home: Path) -> None:
    (home / "config/gputop/config.toml").write_text('window = "10m"\n')
    terminal = gputop(driver(KNOWN), "--window", "2m", size=SIZE)
    terminal.wait_for("window 2 min")


BROKEN = (
    ("unknown", "interval = 1\nwindwo = 60\n", r"line 2: there is no setting windwo; .*window"),
    ("mistyped", "# mine\nascii = 3\n", r"line 2: ascii = 3 is not accepted; give true or false"),
    ("out of range", "\ninterval = 0\n", r"line 2: interval = 0 is not accepted; .*0\.1 to 60"),
    ("not a number", "interval = nan\n", r"line 1: interval = nan is not accepted"),
    ("no TOML", "interval = = 1\n", r"line 1"),
    ("a wrong type", "[interval]\nx = 1\n", r"line 2"),
    (
        "a column that is none",
        'columns = ["pid", "nope"]\n',
        r"line 1: columns = \['pid', 'nope'\] is not accepted",
    ),
    (
        "a sort that is none",
        'sort = "nope"\n',
        r"line 1: sort = 'nope' is not accepted; give one of gpu",
    ),
    ("not UTF-8", b"theme = '\xff'\n", r"line 1: this is not UTF-8"),
    ("a line of two megabytes", "interval = " + "1" * 2_000_000, "line 1: the line is longer than"),
    ("a key of many dots", "\n" + "a." * 20_000 + "a = 1", "line 2: the line is longer than 4096"),
    ("infinity", "[thresholds]\nbusy = inf\n", r"line 2: thresholds.busy = inf is not accepted"),
    ("cut off", "interval = 1\ntheme = 'dar", r"line 2: .*in `theme = 'dar`"),
    ("nested a thousand deep", "\nx = " + "[" * 2000 + "]" * 2000, "line 2: lists .*nested more"),
)


@pytest.mark.parametrize(
    ("content", "says"), [row[1:] for row in BROKEN], ids=[r[0] for r in BROKEN]
)
def test_a_broken_settings_file_is_one_sentence(
    driver: Driver, gputop: Start, home: Path, content: str | bytes, says: str
) -> None:
    raw = content if isinstance(content, bytes) else content.encode()
    (home / "config/gputop/config.toml").write_bytes(raw)
    terminal = gputop(driver(KNOWN), interval="", size=(300, 10))
    assert terminal.exit_code() == 1, terminal.describe()
    flat = " ".join(terminal.text().split())
    assert flat.startswith("gputop: "), terminal.describe()
    assert re.search(says, flat), terminal.describe()
    assert re.search(r"config\.toml, line \d+: ", flat), terminal.describe()
    assert terminal.is_restored()
    assert terminal.descendants() == []


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (("--no-such-flag",), "there is no option --no-such-flag"),
        (("--interval", "0"), "interval.*0.1 to 60"),
        (("--theme", "pink"), "dark"),
        (("nonsense",), "there is no command 'nonsense'"),
        (("--devices", "%%"), "devices"),
    ],
)
def test_a_bad_flag_is_a_usage_error(
    driver: Driver, gputop: Start, flags: tuple[str, ...], says: str
) -> None:
    terminal = gputop(driver(KNOWN), *flags, interval="", size=(300, 10))
    assert terminal.exit_code() == 2, terminal.describe()
    assert re.search(says, terminal.text()), terminal.describe()
    assert terminal.text().strip().count("\n") == 0
    assert terminal.is_restored()


def test_a_settings_file_that_is_not_there_is_an_error_when_named(
    driver: Driver, gputop: Start
) -> None:
    terminal = gputop(driver(KNOWN), "--config", "nowhere.toml", interval="", size=(200, 10))
    assert terminal.exit_code() == 1
    assert terminal.find("There is no settings file nowhere.toml")


# -- leaving ---------------------------------------------------------------------------------


def test_leaving_while_a_dialog_is_open(driver: Driver, gputop: Start) -> None:
    terminal = gputop(driver(moving(1)), size=SIZE)
    terminal.wait_alive(0, 1)
    terminal.press("/", shows="^ ?/ ")
    terminal.press("esc", hides="^ ?/ ")
    terminal.press("?", shows="Esc closes")
    terminal.check_leaves("ctrl-c")


def test_leaving_while_the_filter_is_typed(driver: Driver, gputop: Start) -> None:
    terminal = gputop(driver(moving(1)), size=SIZE)
    terminal.wait_alive(0, 1)
    terminal.press("/", shows="^ ?/ ")
    terminal.press("quit", shows="/ quit")
    terminal.check_leaves("ctrl-c")


def test_nothing_is_left_on_the_screen(driver: Driver, gputop: Start) -> None:
    """The alternate screen is left, the cursor is back, and no word stands where it was."""
    terminal: Gputop = gputop(driver(moving(1)), size=SIZE)
    terminal.wait_alive(0, 1)
    terminal.check_leaves()
    tail = bytes(terminal.raw[-200:])
    assert b"\x1b[?1049l" in tail
    assert b"\x1b[?25h" in tail
    assert b"Traceback" not in bytes(terminal.raw)


def test_a_terminal_that_controls_no_session_is_given_back_all_the_same(
    driver: Driver, gputop: Start
) -> None:
    """As under `setsid`: it belongs to no job."""
    terminal = gputop(driver(moving(1)), through=("setsid", "--wait"))
    terminal.wait_alive(0, 1)
    terminal.check_leaves()

"""Settings: one table, a file and flags; a mistake is named with its line."""

import contextlib
import json
import math
import os
import subprocess
import sys
import time
from argparse import ArgumentParser, Namespace
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gputop.errors import SettingsError
from gputop.settings import LARGEST_FILE, PROCESS_COLUMNS, SETTINGS, add_flags, load, parse
from gputop.ui.processes.columns import BY_KEY as COLUMNS_BY_KEY
from tests.e2e.program import peak

BY_NAME = {setting.name: setting for setting in SETTINGS}


def flags(*words: str) -> Namespace:
    parser = ArgumentParser()
    add_flags(parser)
    return parser.parse_args(words)


def load_with(tmp_path, text: str, *words: str):
    path = tmp_path / "config.toml"
    path.write_text(text)
    return load(flags("--config", str(path), *words), {})


def test_without_anything_the_defaults_hold(tmp_path):
    settings = load(flags(), {"XDG_CONFIG_HOME": str(tmp_path)})
    for setting in SETTINGS:
        assert getattr(settings, setting.attribute) == setting.default


def test_the_file_in_the_users_folder_is_read(tmp_path):
    (tmp_path / "gputop").mkdir()
    (tmp_path / "gputop" / "config.toml").write_text('theme = "light"\n')
    assert load(flags(), {"XDG_CONFIG_HOME": str(tmp_path)}).theme == "light"


def test_a_flag_wins_over_the_file(tmp_path):
    settings = load_with(tmp_path, 'interval = 5\ntheme = "light"\n', "--interval", "0.5")
    assert (settings.interval, settings.theme) == (0.5, "light")


def test_times_may_have_units(tmp_path):
    settings = load_with(tmp_path, 'interval = "500ms"\nwindow = "1h"\n')
    assert (settings.interval, settings.window) == (0.5, 3600.0)


def test_thresholds_stand_in_their_own_table(tmp_path):
    settings = load_with(tmp_path, "[thresholds]\nmemory_full = 0.9\n")
    assert settings.thresholds_memory_full == 0.9


def test_hyphens_and_underscores_are_the_same(tmp_path):
    assert load_with(tmp_path, "read_only = true\n").read_only is True
    assert load_with(tmp_path, "read-only = true\n").read_only is True


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("\nintervall = 1\n", "line 2: there is no setting intervall; did you mean interval?"),
        ('theme = "light"\ntheme2 = 1\n', "line 2: there is no setting theme2"),
        ('# x\ntheme = "drak"\n', "line 2: theme = 'drak' is not accepted; give one of auto,"),
        ("interval = 0.01\n", "line 1: interval = 0.01 is not accepted; give a time from 0.1"),
        ("interval = true\n", "line 1: interval = True is not accepted"),
        ("interval = nan\n", "line 1: interval = nan is not accepted"),
        ("ascii = 1\n", "give true or false"),
        ("devices = [1.5]\n", "give a list of words"),
        ("# x\ntheme = dark\n", "config.toml, line 2: invalid value in `theme = dark`; write"),
        ("interval = 1\ndevices = [[[\n\n", "line 2: invalid value in `devices = [[[`; write"),
        ("interval = 1\ninterval = 2\nascii = true\n", "line 2: cannot overwrite a value in `int"),
        ("theme = " + "x" * 60, "in `theme = " + "x" * 31 + "…`"),
        ("a = " + "[\n" * 30_000, "line 51: lists and tables are nested more than 50 deep here."),
        ("a = '[{'\nb = [ # [\n" + "{c = [" * 26, "line 3: lists and tables are nested more than"),
        ("interval = 1" + "0" * 400, "line 1: interval = 1000"),
        ("[thresholds]\nbusy = 1" + "0" * 400, "line 2: thresholds.busy = 1000"),
        ("\ninterval = 1" + "0" * 5000, "line 2: the line is longer than 4096 bytes"),
        ("# x\n" + "a." * 2500 + "b = 1\n", "line 2: the line is longer than 4096 bytes"),
        ("interval = 0x1" + "0" * 4000, "interval = what stands there is not accepted; give a t"),
        ("interval = [0x1" + "0" * 4000 + "]", "interval = what stands there is not accepted"),
        ("devices = [0x1" + "0" * 4000 + "]", "devices = what stands there is not accepted"),
        ('theme = "dark"\n[thresholds]\ntheme = 1\n', "line 3: there is no setting thresholds.t"),
        ("[thresholds]\nidle = 0\n[other]\nidle = 1\n", "line 4: there is no setting other.idle"),
        ("ascii = true\nthresholds = { busy = 2 }\n", "line 2: thresholds.busy = 2 is not"),
        ("ascii = true\nthresholds . 'busy' = 2\n", "line 2: thresholds.busy = 2 is not"),
        ('x = 1\n"a\\nb" = 1\nascii = 1', "line 1: there is no setting x; accepted are"),
        ('"a\\nb" = 1\n', "line 1: there is no setting a␊b; accepted are"),
        ("snapshot-folder = 'a'\nsnapshot_format = 'b'\n", "line 2: snapshot-format = 'b'"),
        ('snapshot-folder = "a\\u0000b"\n', "give a folder, such as"),
        ("[thresholds]\nbusy = 2\n", "line 2: thresholds.busy = 2 is not accepted"),
        ("[thresholds]\nbsy = 2\n", "line 2: there is no setting thresholds.bsy; did you mean"),
        ("[[thresholds]]\n", "there is no setting thresholds"),
        ("\n[threshold]\n", "line 2: there is no setting threshold;"),
        ('\n[thresholds]\n"b\\u0075sy" = 2\n', "line 3: thresholds.busy = 2 is not accepted"),
        ("\n[thresholds]\n[thresholds.busy]\nx = 1\n", "line 3: thresholds.busy = {'x': 1} is not"),
        ("[thresholds]\nidle = 0\nbusy.x = 1\n", "line 3: thresholds.busy = {'x': 1} is not"),
        ("\n[prices.kwh.deep]\nz = 1\n", "line 2: prices.kwh = {'deep': {'z': 1}} is not"),
        ("prices = {\u0020kwh = [1,\n2] }\n", "line 1: prices.kwh = [1, 2] is not accepted"),
        ('snapshot-folder = """\nascii = 1\n"""\nascii = 1\n', "line 4: ascii = 1 is not"),
        ("columns = [\n'pid',\n#]\n]\nascii = 1\n", "line 5: ascii = 1 is not"),
        ('snapshot-folder = "a"\nsnapshot_folder = "b"\n', "line 2: snapshot-folder is set twice"),
        (
            '\ncolumns = ["pid", "nope"]\n',
            "line 2: columns = ['pid', 'nope'] is not accepted; give",
        ),
        ('\nsort = "nope"\n', "line 2: sort = 'nope' is not accepted; give one of gpu, pid,"),
        ("#\n" * 40_000, "line 32769: here the file is larger than 64 KiB"),
    ],
)
def test_a_mistake_is_one_sentence_with_the_line_and_what_is_accepted(tmp_path, text, said):
    with pytest.raises(SettingsError) as caught:
        load_with(tmp_path, text)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 1


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("ascii = 1\n", "give true or false."),
        ("ascii = 1\nthemes = 1\n", "give true or false (and 1 more mistake)."),
        ("themes = 1\nascii = 1\nbusy = 2\n", "did you mean theme (and 2 more mistakes)?"),
    ],
)
def test_the_first_mistake_says_how_many_more_there_are(text, end):
    with pytest.raises(SettingsError) as caught:
        parse(text.encode(), "f")
    assert str(caught.value).startswith("f, line 1: ")
    assert str(caught.value).endswith(end)


@pytest.mark.parametrize("flag", [False, True])
def test_a_snapshot_folder_may_be_in_the_home_folder(tmp_path, monkeypatch, flag):
    monkeypatch.setenv("HOME", str(tmp_path))
    if flag:
        settings = load_with(tmp_path, "", "--snapshot-folder", "~/x")
    else:
        settings = load_with(tmp_path, 'snapshot-folder = "~/x"\n')
    assert Path(settings.snapshot_folder) == tmp_path / "x"


def test_a_file_that_was_asked_for_must_be_there(tmp_path):
    with pytest.raises(SettingsError, match="There is no settings file"):
        load(flags("--config", str(tmp_path / "none.toml")), {})


def test_a_pipe_is_refused_before_anybody_writes_into_it(tmp_path):
    path = tmp_path / "config.toml"
    os.mkfifo(path)
    command = [sys.executable, "-m", "gputop", "--config", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert done.stderr == f"gputop: {path} is a pipe or a terminal; settings stand in a file.\n"


def test_a_device_that_is_empty_stands_for_no_settings():
    assert load(flags("--config", os.devnull), {}).interval == 1


def test_a_huge_file_is_refused_unread(tmp_path):
    path = tmp_path / "config.toml"
    path.write_bytes(b"#\n" * (LARGEST_FILE // 2) + b"#")
    with pytest.raises(SettingsError, match="larger than"):
        load(flags("--config", str(path)), {})


@pytest.mark.parametrize(
    ("piece", "says"),
    [(b"interval = 1 ", "line 1: the line is longer than"), (b"#\n", "line 32769: here the file")],
    ids=["one line", "many lines"],
)  # fmt: skip
@pytest.mark.parametrize("megabytes", [2, 40])
def test_a_huge_file_costs_no_memory(tmp_path, piece, says, megabytes):
    """Its peak is that of a file with one mistake."""
    (tmp_path / "ordinary").write_text("interval = 0\n")
    (tmp_path / "huge").write_bytes(piece * (megabytes * 1_000_000 // len(piece)))
    code, usual, _ = peak(tmp_path, "--config", "ordinary")
    assert code == 1
    code, most, said = peak(tmp_path, "--config", "huge")
    assert (code, said.count("\n")) == (1, 1)
    assert says in said
    assert most < 1.3 * usual, (most, usual)


@given(st.binary(max_size=300))
def test_random_bytes_raise_nothing_else(raw):
    try:
        parse(raw, "f")
    except SettingsError as error:
        assert "\n" not in str(error)


SAMPLES = {
    "bell": True, "notify": True, "on-event": "echo",
    "interval": 5, "devices": ["0", "GPU-8f1c"], "window": "5m", "theme": "dark",
    "columns": ["pid", "user"], "sort": "user", "temperature": "f", "memory": "decimal",
    "ascii": True, "no-color": True, "no-mouse": False, "read-only": True, "with-args": False,
    "hide-args": True, "snapshot-folder": "/tmp", "snapshot-format": "csv",
    "thresholds.memory_full": 0.9, "thresholds.temperature_margin_c": 5, "thresholds.busy": 0.25,
    "thresholds.idle": 0.5, "thresholds.idle_s": "10m", "thresholds.power_full": 0.9,
    "thresholds.held_back": 0.3, "thresholds.starved_gaps": 0.4, "thresholds.link_full": 0.5,
    "thresholds.straggler": 0.2,
    "prices.gpu_hour": 2.5,
    "prices.kwh": 0.31,
    "prices.co2_g_per_kwh": 380,
    "prices.currency": "EUR",
}  # fmt: skip
"""A value for every setting that is not its default's, as it stands in a file."""
WRONG = ["[[]]", "{ a = 1 }", "inf", "-inf", "nan", "1979-05-27", '"\u001b[2J"', "-1", "1e400"]
NEVER_WRONG = {"snapshot-folder", "on-event"}
"""Any text is one."""


def written(value: object) -> str:
    return json.dumps(value)


def test_there_is_a_sample_of_every_setting():
    assert SAMPLES.keys() == {setting.name for setting in SETTINGS}


def test_the_columns_are_those_of_the_table():
    assert tuple(COLUMNS_BY_KEY) == PROCESS_COLUMNS


@given(st.permutations(list(SAMPLES)), st.integers(0, len(SAMPLES)))
def test_any_settings_in_any_order_are_read_as_written(names, count):
    text = "".join(f"{name} = {written(SAMPLES[name])}\n" for name in names[:count])
    values = parse(text.encode(), "f")
    assert values == {n: BY_NAME[n].convert(SAMPLES[n]) for n in names[:count]}


@given(st.permutations(list(SAMPLES)), st.integers(1, len(SAMPLES)), st.sampled_from(WRONG))
def test_whatever_is_wrong_is_named_with_its_line(names, number, wrong):
    name = names[number - 1]
    assume(name not in NEVER_WRONG or not wrong.startswith('"'))
    lines = [f"{n} = {written(SAMPLES[n])}" for n in names]
    lines[number - 1] = f"{name} = {wrong}"
    if name in {"columns", "devices"}:
        assume(wrong != "[[]]" and not wrong.startswith('"'))
    with pytest.raises(SettingsError) as caught:
        parse("\n".join(lines).encode(), "f")
    assert str(caught.value).startswith(f"f, line {number}: ")
    assert name in str(caught.value)
    assert caught.value.exit_code == 1


@pytest.mark.parametrize(
    "piece", ["a.", "'a' . ", " ", "[", "a = {", "[a]\n", "a{n} = 1\n", "\n", '"', "a = [[1]]\n"]
)
def test_a_long_file_takes_no_more_than_its_share_of_time(piece):
    """A key of many dots once took time with the square of its length, and so did many mistakes:
    twice the file must not take four times as long. (Of the better of three, as others run too.)
    """

    def took(size: int) -> float:
        text = "".join(piece.replace("{n}", str(n)) for n in range(size // len(piece)))
        if "\n" not in piece:  # as long as lines may be
            text = "\n".join(text[i : i + 4000] for i in range(0, len(text), 4000))[:size]
        best = math.inf
        for _ in range(3):
            start = time.thread_time()
            with contextlib.suppress(SettingsError):
                parse(f"x = 1\n{text}".encode(), "f")
            best = min(best, time.thread_time() - start)
        return best

    took(1000)
    assert took(LARGEST_FILE // 8) < max(12 * took(LARGEST_FILE // 32), 0.01)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=5),
                    lambda inner: st.lists(inner, max_size=3)))  # fmt: skip
def test_every_converter_takes_a_value_or_says_what_it_wants(value):
    for setting in SETTINGS:
        try:
            setting.convert(value)
        except ValueError as error:
            assert str(error)


def test_a_wrong_flag_is_usage(capsys):
    with pytest.raises(SystemExit) as left:
        flags("--theme", "drak")
    assert left.value.code == 2
    assert "one of auto, dark" in capsys.readouterr().err

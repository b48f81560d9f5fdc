"""Settings: one table, a file and flags; a mistake is named with its line."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gputop.errors import SettingsError
from gputop.settings import LARGEST_FILE, SETTINGS, add_flags, load, parse


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
        ("a = " + "[" * 100_000, "config.toml: its lists and tables are nested too deeply."),
        ("interval = 1" + "0" * 400, "line 1: interval = 1000"),
        ("[thresholds]\nbusy = 1" + "0" * 400, "line 2: thresholds.busy = 1000"),
        ("\ninterval = 1" + "0" * 5000, "line 2: a number has far too many digits in `interval"),
        ("interval = 0x1" + "0" * 5000, "interval = what stands there is not accepted; give a t"),
        ("interval = [0x1" + "0" * 5000 + "]", "interval = what stands there is not accepted"),
        ("devices = [0x1" + "0" * 5000 + "]", "devices = what stands there is not accepted"),
        ('theme = "dark"\n[thresholds]\ntheme = 1\n', "line 3: there is no setting thresholds.t"),
        ("[thresholds]\nidle = 0\n[other]\nidle = 1\n", "line 4: there is no setting other.idle"),
        ("ascii = true\nthresholds = { busy = 2 }\n", "line 2: thresholds.busy = 2 is not"),
        ("ascii = true\nthresholds . 'busy' = 2\n", "line 2: thresholds.busy = 2 is not"),
        ('x = 1\n"a\\nb" = 1\nascii = 1', "line 1: there is no setting x; accepted are"),
        ('"a\\nb" = 1\n', "config.toml: there is no setting a␊b; accepted are"),
        ("snapshot-folder = 'a'\nsnapshot_format = 'b'\n", "line 2: snapshot-format = 'b'"),
        ('snapshot-folder = "a\\u0000b"\n', "give a folder, such as"),
        ("[thresholds]\nbusy = 2\n", "line 2: thresholds.busy = 2 is not accepted"),
        ("[thresholds]\nbsy = 2\n", "line 2: there is no setting thresholds.bsy; did you mean"),
        ("[[thresholds]]\n", "there is no setting thresholds"),
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


def test_a_huge_file_is_refused_unread(tmp_path):
    path = tmp_path / "config.toml"
    path.write_bytes(b"#" * (LARGEST_FILE + 1))
    with pytest.raises(SettingsError, match="larger than"):
        load(flags("--config", str(path)), {})


@given(st.binary(max_size=300))
def test_random_bytes_raise_nothing_else(raw):
    try:
        parse(raw, "f")
    except SettingsError as error:
        assert "\n" not in str(error)


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

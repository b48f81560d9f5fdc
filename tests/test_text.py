import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from wcwidth import wcwidth

from gputop.model.metrics import BY_NAME, METRICS
from gputop.text import (
    NO_VALUE,
    REPLACEMENT,
    Units,
    age,
    bytes_pair,
    celsius,
    celsius_difference,
    celsius_pair,
    clean,
    display_width,
    duration,
    energy,
    event_reasons,
    fit,
    join_command,
    mhz,
    percent,
    rate,
    redact,
    short_name,
    size,
    value,
    watts,
    watts_pair,
)

GIB = 2**30
F = Units(temperature="f")
DECIMAL = Units(memory="decimal")
anything = st.text(st.characters(exclude_categories=()))
UNSAFE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


@given(anything)
def test_clean_text_has_one_visible_character_for_each(text):
    cleaned = clean(text)
    assert len(cleaned) == len(text)
    for character in cleaned:
        assert unicodedata.category(character) not in UNSAFE
    assert clean(cleaned) == cleaned


def test_everybody_takes_clean_text_for_as_wide_as_we_do():
    """Rich, which lays out the screen, and a terminal; else one name moves all behind it."""
    told = [
        (hex(code), safe, display_width(safe), cell_len(safe), wcwidth(safe))
        for code in range(0x20, 0x110000)
        if unicodedata.category(character := chr(code)) not in UNSAFE
        and (safe := clean(character)) != REPLACEMENT
    ]
    assert not [one for one in told if len(set(one[2:])) != 1]
    assert len(told) > 100_000


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("plain", "plain"),
        ("\x1b[31m", "␛[31m"),
        ("a\nb\tc\x7f", "a␊b␉c␡"),
        ("\x9b31m", "�31m"),
        ("a\u202eb\u2066c\u200bd\ufeffe", "a�b�c�d�e"),
        ("\u2028\u2029\ue000\U000e0041", "����"),
        ("\ud800", "�"),
        ("a\u00a0b\u3000c", "a b c"),
        ("❤\ufe0f", "❤�"),
        ("\u3164\u2800", "��"),
        ("日本 é ñ", "日本 é ñ"),
        ("[bold red]", "[bold red]"),
    ],
)
def test_clean(text, safe):
    assert clean(text) == safe


@pytest.mark.parametrize("text", ["हिन्दी", "தமிழ்", "\U0001f1e9\U0001f1ea"])
def test_a_file_keeps_what_no_terminal_draws_for_sure(text):
    assert clean(text, drawn=False) == text
    assert "�" in clean(text)


def test_clean_limits_cells():
    assert clean("日本語", 4) == "日…"
    assert clean("abc", 3) == "abc"


@given(anything, st.integers(0, 60))
def test_clean_text_cut_to_a_width_is_still_clean(text, width):
    cut = clean(text, width)
    assert display_width(cut) <= width
    assert clean(cut) == cut
    assert clean(cut, width) == cut


@given(st.lists(anything, max_size=5))
def test_nothing_of_a_command_line_drives_a_terminal(command):
    for shown in (redact(command), join_command(command), short_name(" ".join(command))):
        assert not {unicodedata.category(character) for character in shown} & UNSAFE
        assert shown


@given(st.text("ab=-", min_size=1), st.lists(anything, max_size=3))
def test_arguments_never_stand_in_what_is_redacted(secret, command):
    assert redact(["/usr/bin/python3", f"--token={secret}", *command]) == "python3"


@given(anything, st.integers(0, 30))
def test_fit_never_takes_more_cells_than_there_are(text, width):
    text = clean(text)
    fitted = fit(text, width)
    assert display_width(fitted) <= width
    assert fitted == text or width == 0 or fitted.endswith("…")
    if fitted.endswith("…") and fitted != text:
        assert text.startswith(fitted[:-1])


def test_fit_uses_the_room_there_is():
    assert fit("abcdef", 4) == "abc…"
    assert fit("日本語", 5) == "日本…"
    assert fit("a\u0301bc", 2) == "a\u0301…"
    assert fit("abcdef", 4, "..") == "ab.."
    assert fit("abc", 0) == ""


@pytest.mark.parametrize(
    ("text", "cells"), [("abc", 3), ("日本", 4), ("e\u0301", 1), ("ＡＢ", 4), ("␛", 1), ("", 0)]
)
def test_display_width(text, cells):
    assert display_width(text) == cells


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        (["/usr/bin/python3", "train.py", "--token=x"], "python3"),
        (["python train.py --key a/secret"], "python"),
        (["/opt/x/"], "x"),
        (["\x1b[2J/evil\x1b"], "evil␛"),
        ([""], NO_VALUE),
        ([], NO_VALUE),
    ],
)
def test_redact_keeps_the_program_alone(command, shown):
    assert redact(command) == shown


def test_join_command_quotes_and_cleans():
    assert join_command(["a", "b c", "d\ne"]) == "a 'b c' 'd␊e'"
    assert join_command([]) == NO_VALUE


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("NVIDIA H100 80GB HBM3", "H100 80GB HBM3"),
        ("NVIDIA GeForce RTX 4090", "RTX 4090"),
        ("Tesla V100-SXM2-16GB", "V100-SXM2-16GB"),
        ("Quadro RTX 8000", "Quadro RTX 8000"),
        ("NVIDIA", "NVIDIA"),
        ("", NO_VALUE),
    ],
)
def test_short_name(name, short):
    assert short_name(name) == short


@pytest.mark.parametrize(
    ("made", "text"),
    [
        (bytes_pair(61.2 * GIB, 80 * GIB), "61.2/80.0 GiB"),
        (bytes_pair(61.2 * GIB, 80 * GIB, tight=True), "61/80G"),
        (bytes_pair(0.4 * GIB, 80 * GIB, tight=True), "0.4/80G"),
        (bytes_pair(0, 80 * GIB, tight=True), "0/80G"),
        (bytes_pair(None, 80 * GIB), "–/80.0 GiB"),
        (bytes_pair(5 * GIB, None), "5.0 GiB"),
        (bytes_pair(None, None), NO_VALUE),
        (bytes_pair(99.97 * GIB, 141 * GIB), "100/141 GiB"),
        (bytes_pair(212 * GIB, 1511 * GIB), "212/1511 GiB"),
        (bytes_pair(80e9, 80e9, DECIMAL), "80.0/80.0 GB"),
        (size(1023.7 * 2**20), "1.0 GiB"),
        (size(1023 * 2**20), "1023 MiB"),
        (size(0), "0 B"),
        (size(999), "999 B"),
        (size(1000, DECIMAL), "1.0 kB"),
        (size(1.5 * GIB, tight=True), "1.5G"),
        (size(12, tight=True), "12B"),
        (rate(12.34e9), "12.3 GB/s"),
        (rate(12.34e9, tight=True), "12G/s"),
        (rate(0), "0 B/s"),
        (watts(612.4), "612 W"),
        (watts(8.26), "8.3 W"),
        (watts(9.96), "10 W"),
        (watts(612.4, tight=True), "612W"),
        (watts_pair(612, 700), "612/700 W"),
        (watts_pair(None, 700), "–/700 W"),
        (watts_pair(612, None), "612 W"),
        (watts_pair(None, None), NO_VALUE),
        (celsius(71), "71 °C"),
        (celsius(100, F), "212 °F"),
        (celsius(71, tight=True), "71°"),
        (celsius_difference(10, F), "18 °F"),
        (celsius_pair(71, 87), "71/87 °C"),
        (celsius_pair(71, 87, tight=True), "71/87°"),
        (celsius_pair(None, 87, F), "–/189 °F"),
        (percent(0.93), "93 %"),
        (percent(0), "0 %"),
        (percent(0.004), "<1 %"),
        (percent(0.005), "1 %"),
        (percent(1.3, tight=True), "130%"),
        (mhz(1980), "1980 MHz"),
        (energy(812), "812 J"),
        (energy(12_240), "3.4 Wh"),
        (energy(1.25e9), "347 kWh"),
        (energy(7.2e9), "2.0 MWh"),
        (duration(0.04), "40 ms"),
        (duration(0.25), "250 ms"),
        (duration(0.9999), "1 s"),
        (duration(3.9), "3 s"),
        (duration(125), "2 m 05 s"),
        (duration(4320), "1 h 12 m"),
        (duration(3 * 86400 + 4 * 3600), "3 d 4 h"),
        (duration(-5), "0 s"),
        (age(0.5), "now"),
        (age(3), "3 s ago"),
        (event_reasons(0), "none"),
        (event_reasons(None), NO_VALUE),
        (event_reasons(0x8024), "thermal slowdown, power cap, unknown reason 0x8000"),
    ],
)
def test_units(made, text):
    assert made == text


@pytest.mark.parametrize("absent", [None, float("nan"), float("inf")])
@pytest.mark.parametrize("form", [size, rate, watts, celsius, percent, mhz, energy, duration, age])
def test_what_is_not_there_is_a_dash(form, absent):
    assert form(absent) == NO_VALUE


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_every_metric_has_a_form(metric):
    assert value(metric, None) == NO_VALUE
    assert value(metric, 1) not in ("", NO_VALUE)


@pytest.mark.parametrize(
    ("name", "number", "text"),
    [
        ("performance_state", 0, "P0"),
        ("recovery_action", 1, "reset the GPU"),
        ("recovery_action", 9, "9"),
        ("compute_mode", 3, "exclusive process"),
        ("ecc_mode", True, "on"),
        ("mig_mode", False, "off"),
        ("remap_pending", True, "yes"),
        ("event_reasons", 0x20, "thermal slowdown"),
        ("temperature_margin_c", 10, "10 °C"),
        ("memory_used_bytes", GIB, "1.0 GiB"),
        ("gpu_utilization", 0.5, "50 %"),
        ("ecc_corrected_aggregate", 0, "0"),
    ],
)
def test_value(name, number, text):
    assert value(BY_NAME[name], number) == text


def test_a_distance_between_temperatures_is_not_shifted():
    assert value(BY_NAME["temperature_margin_c"], 10, F) == "18 °F"
    assert value(BY_NAME["temperature_c"], 10, F) == "50 °F"

from pathlib import Path

import pytest

from gputop.export.formats import FORMATS, PRINTABLE, Options, of_suffix, part_path
from tests.samples import sample_frame, sample_hello


@pytest.mark.parametrize("name", PRINTABLE)
def test_every_printable_format_makes_parts_with_the_host(name):
    make = FORMATS[name].make
    assert make is not None
    parts = make(sample_hello(), sample_frame(), Options())
    assert parts[0].tail == ""
    assert len({part.tail for part in parts}) == len(parts)
    for part in parts:
        assert "node-07" in part.text
        assert "SECRET" not in part.text
        assert part.text.endswith("\n")


def test_only_the_screen_makes_pictures():
    assert FORMATS["svg"].make is None
    assert "svg" not in PRINTABLE


@pytest.mark.parametrize(
    ("file", "name"),
    [("a.JSON", "json"), ("a.prom", "openmetrics"), ("a.om", "openmetrics"), ("a.txt", "text"),
     ("a.csv", "csv"), ("a.svg", "svg")],
)  # fmt: skip
def test_the_suffix_chooses(file, name):
    assert of_suffix(Path(file)) is FORMATS[name]


@pytest.mark.parametrize("file", ["a", "a.tar", ".json", "json"])
def test_other_suffixes_choose_nothing(file):
    assert of_suffix(Path(file)) is None


def test_the_second_table_stands_beside_the_first():
    make = FORMATS["csv"].make
    assert make is not None
    paths = [
        part_path(Path("d/a.csv"), part) for part in make(sample_hello(), sample_frame(), Options())
    ]
    assert paths == [Path("d/a.csv"), Path("d/a-processes.csv")]


def test_options_reach_the_format():
    make = FORMATS["json"].make
    assert make is not None
    assert "SECRET" in make(sample_hello(), sample_frame(), Options(with_args=True))[0].text

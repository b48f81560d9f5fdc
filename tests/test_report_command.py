"""`gputop report` and the report's side of `gputop run`, through the command line."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from gputop.__main__ import run
from gputop.recording import RecordingWriter
from tests.demo_records import demo_records
from tests.recording.test_files import HOSTILE


@pytest.fixture
def recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    path = tmp_path / "demo.ndjson.zst"
    with RecordingWriter(path, sync=False) as writer:
        for record in demo_records(2, 30):
            writer.write(record)
    return path


def test_a_report_from_a_recording(recording, capsys):
    assert run(["report", str(recording)]) == 0
    page = capsys.readouterr().out
    assert "30.00 s" in page
    assert "GPU 1" in page
    assert "demo.ndjson.zst · " in page


def test_on_a_terminal_it_says_how_much_is_read(recording, capsys, monkeypatch):
    monkeypatch.setattr("gputop.commands.report._PROGRESS_RECORDS", 5)
    monkeypatch.setattr("gputop.recording.reader.READ_BYTES", 4000)
    hostile = recording.rename(recording.with_name("a\x1b[2Jb.ndjson.zst"))
    assert run(["report", str(hostile)]) == 0
    assert not capsys.readouterr().err  # a pipe is told nothing
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    assert run(["report", str(hostile)]) == 0
    told = capsys.readouterr().err.split("\r\x1b[K")
    shares = [int(share) for share in re.findall(r"b\.ndjson\.zst: (\d+) % read", "".join(told))]
    assert len(shares) >= 3
    assert sorted(set(shares)) == shares
    assert told[-1] == ""  # the line is gone before the report comes
    assert not re.search(r"[\x00-\x1f]", "".join(told))


def test_a_part_of_it(recording, capsys):
    assert run(["report", str(recording), "--from", "10s", "--to", "20s", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["duration_s"] == pytest.approx(10)


def test_a_part_without_a_reading_is_no_report(recording, capsys):
    assert run(["report", str(recording), "--from", "5m"]) == 1
    assert re.fullmatch(
        r"gputop: .*demo\.ndjson\.zst has no reading in the time asked for: its first is of "
        r"[-\d]+ \d\d:\d\d:\d\d, its last 30 s later\.\n", capsys.readouterr().err
    )  # fmt: skip


def test_the_suffix_chooses_the_format(recording, tmp_path, capsys):
    for name, begins in (("a.html", "<!doctype"), ("a.md", "# "), ("a.json", "{"),
                         ("a.txt", "recording")):  # fmt: skip
        assert run(["report", str(recording), "-o", str(tmp_path / name)]) == 0
        assert (tmp_path / name).read_text().startswith(begins)
    assert run(["report", str(recording), "-o", str(tmp_path / "a.html")]) == 1
    assert run(["report", str(recording), "-o", str(tmp_path / "a.pdf")]) == 2
    assert run(["report", str(recording), "-o", str(tmp_path / "a.html"), "--force"]) == 0


def test_where_it_cannot_be_written_is_said_before_a_long_recording_is_read(
    recording, tmp_path, capsys, monkeypatch
):
    def read(*_):
        raise AssertionError("it was read")

    monkeypatch.setattr("gputop.recording.read", read)
    assert run(["report", str(recording), "-o", str(tmp_path / "none" / "a.html")]) == 1
    assert "does not exist; create it or choose another" in capsys.readouterr().err


def test_two_are_compared_and_three_are_too_many(recording, capsys):
    assert run(["report", str(recording), str(recording)]) == 0
    assert "The whole run" in capsys.readouterr().out
    assert run(["report", *[str(recording)] * 3]) == 2


def test_a_file_cut_off_reports_what_is_there_and_says_so(recording, capsys):
    whole = recording.read_bytes()
    recording.write_bytes(whole[: len(whole) * 2 // 3])
    assert run(["report", str(recording)]) == 0
    assert re.search(r"cut off\s+after line", capsys.readouterr().out)


@pytest.mark.parametrize("case", HOSTILE)
def test_what_cannot_be_read_is_one_sentence_with_its_line(tmp_path, monkeypatch, capsys, case):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    content, line, words = HOSTILE[case]
    path = tmp_path / "a.ndjson"
    path.write_bytes(content.removesuffix(b"\n") + b"\n")
    assert run(["report", str(path)]) == 1
    out, said = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(rf"gputop: .*a\.ndjson, line {line} .*{re.escape(words)}.*\.\n", said), said


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "holds no record, so there is nothing to report"),
        (b'{"type":"hello","sche', "holds no record, so there is nothing to report"),
        (b"once upon a time", "line 1 is no record, so this is no recording of gputop"),
        (b"\x89PNG\r\n\x1a\n\0\0", "line 1 is no record, so this is no recording of gputop"),
        (None, "is no regular file, so it is no recording"),
    ],
    ids=["empty", "cut in its first line", "a text", "a picture", "a folder"],
)
def test_what_is_no_recording_is_called_so(tmp_path, monkeypatch, capsys, content, says):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    path = tmp_path / "a"
    path.mkdir() if content is None else path.write_bytes(content)
    assert run(["report", str(path)]) == 1
    out, said = capsys.readouterr()
    assert (out, said.count("\n")) == ("", 1)
    assert says in said


def test_reports_of_gputop_are_no_recordings(recording, tmp_path, capsys):
    for name in ("a.html", "a.md", "a.json", "a.txt"):
        assert run(["report", str(recording), "-o", str(tmp_path / name)]) == 0
        assert run(["report", str(tmp_path / name)]) == 1
        assert "line 1 is no record, so this is no recording of gputop" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--from", "soon"], ["no-such-file"], []])
def test_mistakes_are_one_sentence(recording, words, capsys):
    path = [] if words[:1] == ["no-such-file"] or not words else [str(recording)]
    assert run(["report", *path, *words]) in (1, 2)
    assert re.fullmatch(r"gputop: .*\.\n", capsys.readouterr().err)


def test_prices_come_from_the_settings(recording, tmp_path, capsys):
    settings = tmp_path / "config.toml"
    settings.write_text('[prices]\nkwh = 0.3\nco2_g_per_kwh = 400\ncurrency = "EUR"\n')
    assert run(["report", str(recording), "--config", str(settings)]) == 0
    assert re.search(
        r"Cost +\d+\.\d\d EUR for the GPUs' energy, \d+ g CO2", capsys.readouterr().out
    )

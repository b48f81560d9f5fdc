"""A recording in several files, by hand."""

from __future__ import annotations

import pytest

from gputop.commands.record import _rotation
from gputop.model.frame import Frame, Hello
from gputop.recording import read
from gputop.recording.rotation import RotatingWriter, Rotation
from tests.report.runs import frame, hello, reading


def moments(path):
    """When its frames are of, in seconds; a file begins with a hello of its own."""
    first, *rest = read(path)
    assert isinstance(first, Hello)
    return [record.boottime_s - 1000 for record in rest if isinstance(record, Frame)]


def test_another_file_begins_after_so_much_recorded_time(tmp_path):
    (tmp_path / "a-2.ndjson").write_text("somebody's\n")
    writer = RotatingWriter(tmp_path / "a.ndjson", Rotation(seconds=4.0))
    writer.write(hello())
    for at in (0, 1, 3, 4, 7.5, 30, 31):  # a gap makes no empty files
        writer.write(frame(at, reading(at)))
    writer.close()
    found = [moments(tmp_path / name) for name in ("a.ndjson", "a-3.ndjson", "a-4.ndjson")]
    assert found == [[0, 1, 3], [4, 7.5], [30, 31]]
    assert (writer.files, writer.frames) == (3, 7)
    assert (tmp_path / "a-2.ndjson").read_text() == "somebody's\n"
    assert len(list(tmp_path.iterdir())) == 4


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        ("100M", Rotation(bytes=100 << 20)), ("20K", Rotation(bytes=20 << 10)),
        ("5m", Rotation(seconds=300)), ("2h", Rotation(seconds=7200)),
    ],
)  # fmt: skip
def test_a_size_and_a_time_are_told_apart(words, meant):
    assert _rotation(words) == meant

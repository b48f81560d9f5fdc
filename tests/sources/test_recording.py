"""A recording as a source: what is held of it in memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from gputop.sources import recording
from gputop.sources.recording import RecordingSource
from tests.demo_records import demo_records
from tests.ui.replay import recorded


def test_of_long_lines_only_a_few_are_read_ahead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = RecordingSource(recorded(tmp_path, demo_records(4, 30)))
    monkeypatch.setattr(recording, "MOST_AHEAD_BYTES", 1000)
    source._reader = source._open(0)
    while source._peek() is not None:
        assert len(source._ahead) < 6
        source._ahead.popleft()

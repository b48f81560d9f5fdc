"""The height of a story: the screen, what `e` writes of it, what it records, `gputop record`,
`gputop stream` and `gputop snapshot` say the same.
"""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Collection, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from gputop.export.json_format import document
from gputop.insight.alert_log import SAME_XID_S
from gputop.insight.host_state import HostState
from gputop.model.frame import Frame
from gputop.ui.view import take
from tests.e2e.beside import recorded, start_record, start_stream
from tests.e2e.faults import SHORT
from tests.e2e.observe import newest
from tests.e2e.program import Gputop, Program, Records, Run
from tests.e2e.said import (
    EXACT,
    Document,
    by_uuid,
    check_pane,
    differences,
    records_of,
    said_of_driver,
    told,
    unsettled,
)
from tests.e2e.unread import check_nothing_unread
from tests.fake_driver import Scenario

LOOKED_AT_RARELY = frozenset({"index"})
"""What every collector looks at every few seconds: it may be of before."""


class Story:
    """A screen that records what comes in from now on, and the commands beside it."""

    def __init__(self, terminal: Gputop, scenario: Scenario, run: Run) -> None:
        self._terminal, self._scenario, self._run = terminal, scenario, run
        self._record = start_record(run, scenario, SHORT)
        self._stream = start_stream(run, scenario, SHORT)
        self._beside = [self._record, self._stream]
        self.before = terminal.saved_snapshot()
        """What `e` wrote before anything happened."""
        self._wait_alike(self.before)
        terminal.press("R", shows=r"\A.*● REC ")

    def check_alike(self) -> Document:
        """See that all say the same of every device while it lasts. Returns what `e` wrote."""
        saved = self.check_screen()
        self.check_commands(saved, LOOKED_AT_RARELY)
        return saved

    def check_screen(self, *, current: bool = True) -> Document:
        """See that screen, `e` and its recording say the same, and end the recording.

        Args:
            current: False where the screen has nothing newer than an old frame, and says so: its
                values are drawn as old ones, and the files hold them with the time they are of.

        Returns:
            What `e` wrote.
        """
        terminal = self._terminal
        saved = terminal.saved_snapshot()
        check_nothing_unread(records_of(saved))
        if current:
            for index, device in enumerate(d for d in saved["devices"] if d["parent"] is None):
                check_pane(terminal, index, device, ())
        terminal.press("R", hides="● REC ", shows="frames recorded to")
        path = self._own_recording
        recording = recorded(path)
        check_nothing_unread(recording.all)
        played_back = _played_back(recording)
        assert played_back is not None
        if current:
            wrong = _differences(saved, played_back, LOOKED_AT_RARELY)
        else:
            wrong = differences(told(saved), told(played_back), EXACT)  # more may have come in
        assert not wrong, wrong
        path.unlink()
        return saved

    def check_commands(self, saved: Document, but: Collection[str] = ()) -> None:
        """See that the commands beside the screen, and one started now, say what a file says."""
        snapshot = self._run(self._scenario, "snapshot", "--format", "json", scale=SHORT)
        self._wait_alike(saved, but)
        _check_snapshot(snapshot, saved, but)

    def check_xid(self, index: int, code: int) -> None:
        """See that all tell of one Xid, and no other: of the same device, and of the same time.
        What the screen wrote of it, and what it recorded, is what its one collector said.
        """
        uuid = self.before["devices"][index]["uuid"]
        wanted = [(uuid, code)]
        self._terminal.wait_for(lambda _: _xids(recorded(self._own_recording)) == wanted)
        saved = self._terminal.saved_snapshot()
        (warned,) = [e for e in saved["events"] if e["rule"].startswith("xid:")]
        (event,) = recorded(self._own_recording).events
        assert (warned["rule"], warned["device"]) == (f"xid:{code}", uuid)
        assert warned["since_utc_s"] == event.utc_s
        for beside in self._beside:
            beside.wait(self._terminal, lambda records: _xids(records) != wanted)
            (told_beside,) = beside.written.events
            assert abs(told_beside.boottime_s - event.boottime_s) < SAME_XID_S

    @property
    def _own_recording(self) -> Path:
        """What the screen writes since `R`."""
        (path,) = self._terminal.folder.glob("*.ndjson.zst")
        return path

    def check_crashed(self, unread: str) -> None:
        """See that a recorder goes on after a collector that crashed, and never says what this
        keeps from being read of device 0. A stream is a collector: all that it wrote is whole.
        """
        self._beside.remove(self._stream)
        check_nothing_unread(self._stream.ended(-signal.SIGSEGV).all)
        self._record.wait(self._terminal, lambda records: not _since_the_crash(records))
        uuid = self.before["devices"][0]["uuid"]
        said = [
            getattr(reading, unread) for frame in _since_the_crash(self._record.written)
            for reading in frame.devices if reading.uuid == uuid
        ]  # fmt: skip
        assert set(said) <= {None}

    def check_after(self) -> None:
        """See that every device is well again and all say the same, and end the commands."""
        for index in range(len(self.before["devices"])):
            self._terminal.wait_device(index, r"MHz · P0 ")
        self.check_commands(self._terminal.saved_snapshot())
        for beside in self._beside:
            check_nothing_unread(beside.end().all)

    def _wait_alike(self, saved: Document, but: Collection[str] = ()) -> None:
        """Wait until what is written from now on says the same: each saw it at its own moment."""
        now = time.clock_gettime(time.CLOCK_BOOTTIME)
        for beside in self._beside:
            beside.wait(self._terminal, partial(_to_come, saved, now, but))


def _xids(records: Records) -> list[tuple[str | None, int | None]]:
    """Device and code of each."""
    return [(event.device, event.code) for event in records.events if event.kind == "xid"]


def _since_the_crash(records: Records) -> list[Frame]:
    return [frame for frame in records.frames if frame.session != records.hellos[0].session]


def _to_come(saved: Document, since: float, but: Collection[str], records: Records) -> list[str]:
    """What records do not say yet, or say otherwise than a file."""
    sessions = {hello.session for hello in records.hellos}
    # A collector that starts afresh knows nothing of what was: who has read on still does.
    said = _played_back(records) if len(sessions) > 1 else newest(records)
    if said is None or said["boottime_s"] < since:
        return ["it has said nothing since"]
    read = [device for device in said["devices"] if device["status"] == "ok"]
    return _differences(saved, said, but) or unsettled(read)


def _check_snapshot(snapshot: Program, saved: Document, but: Collection[str]) -> None:
    """See that a snapshot says what a file says, or in the same words that there is no driver."""
    driver = saved["driver"]
    if driver["status"] != "ok":
        assert snapshot.end() == 3, snapshot.out
        assert snapshot.errors == f"gputop: {driver['message']} {driver['remedy']}\n"
        assert snapshot.out == ""
        return
    one = json.loads(snapshot.check())
    check_nothing_unread(records_of(one))
    late = {**saved, "devices": list(_known_late(saved, one))}
    assert not (wrong := _differences(late, one, but)), wrong


def _known_late(saved: Document, late: Document) -> Iterator[dict[str, Any]]:
    """What devices are to who comes late: one that is gone was never there, and one that is lost
    may not say its UUID any more.
    """
    listed = {device["uuid"] for device in late["devices"]}
    for device in saved["devices"]:
        nameless = f"index:{device['index']}"
        if device["status"] != "lost" or device["uuid"] in listed:
            yield device
        elif nameless in listed:
            yield {**device, "uuid": nameless}


def _differences(one: Document, other: Document, but: Collection[str] = ()) -> list[str]:
    """Where two documents say different things of the driver, or of a device."""
    drivers = said_of_driver(one), said_of_driver(other)
    wrong = [] if drivers[0] == drivers[1] else [f"the driver: {drivers[0]} and {drivers[1]}"]
    return wrong + differences(told(one, by_uuid), told(other, by_uuid), but)


def _played_back(recording: Records) -> Document | None:
    """What a screen shows at the end of a recording: devices that are gone stay in their places."""
    state = HostState()
    for record in recording.all:
        state.apply(record)
    shown = take(state.store, state.alerts, state.verdicts).shown
    return document(*shown) if shown is not None else None

"""A row of faults, lived through by the real program and every command beside it at once.

What it comes to is compared with a control run: the same steps where nothing is wrong.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from gputop.export.json_format import document
from tests.e2e.beside import Beside, start_record
from tests.e2e.conftest import Driver, moving
from tests.e2e.faults import AGES, SHORT, SIZE, Fault, Trouble
from tests.e2e.program import PATIENCE_S, Gputop, Program, Records, Run, Start, wait_flat
from tests.e2e.said import (
    Document,
    Told,
    check_pane,
    differences,
    documents,
    drift_s,
    fresh,
    records_of,
    said_of_driver,
    told,
    unsettled,
    why,
    without_charts,
)
from tests.e2e.unread import check_nothing_unread
from tests.fake_driver import Scenario, at_rest

WELL = (1, 2)
"""The devices that nothing happens to."""
FRAMES = "200"
"""As many as a stream sends at the most, where what is waited for never comes."""


@dataclass
class Observed:
    """What a run came to."""

    paces: dict[str, float] = field(default_factory=dict)
    """Seconds, by step."""
    told: Told = field(default_factory=dict)
    panes: list[list[str]] = field(default_factory=list)
    fresh: float = 0.0
    """Of the frames in a recording, the share that has something new of every well device."""

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Take the time of a step."""
        began = time.monotonic()
        yield
        self.paces[name] = time.monotonic() - began

    def measure(self, recording: Records) -> None:
        """See how live the well devices are in what was recorded."""
        well = {d.uuid for d in recording.hellos[-1].devices if d.index in WELL and not d.parent}
        self.fresh = min(fresh(recording, uuid) for uuid in well)
        self.paces["a reading is of its time"] = max(drift_s(recording, uuid) for uuid in well)


# -- what the program and the commands say ---------------------------------------------------------


def disagreements(fault: Fault, saved: Document) -> list[str]:
    """Where a document says of the sick device something else than the table does, or of the
    others that they are not well.
    """
    devices = [each for each in saved["devices"] if not each["uuid"].startswith("MIG")]
    if len(devices) != 1 + len(WELL):
        return [f"there are {len(devices)} devices"]
    sick, *others = devices
    wrong = [] if sick["status"] == fault.status else [f"{sick['status']}: {sick['detail']}"]
    for name, reason in fault.missing.items():
        if sick.get(name) is not None or not re.match(reason, why(sick, name)):
            wrong.append(f"{name}: {sick.get(name)}, {why(sick, name)}")
    for name, value in fault.values.items():
        if sick[name] != value:
            wrong.append(f"{name}: {sick[name]}")
    if fault.status != "ok" and not sick["detail"].endswith("."):
        wrong.append("it says what happened and what to do: " + sick["detail"])
    return wrong + [
        f"{other['uuid']}: {other['status']}" for other in others
        if other["status"] != "ok" or other["gpu_utilization"] is None
    ]  # fmt: skip


def to_come(fault: Fault, saved: Document) -> list[str]:
    """What a document does not say yet, or says otherwise."""
    well = (device for device in saved["devices"] if device["index"] in WELL)
    return disagreements(fault, saved) + unsettled(well)


def says_all(fault: Fault, saved: Document | None) -> bool:
    """Whether a document says what is to be said of every device."""
    return saved is not None and not to_come(fault, saved)


def lacks_devices(records: Records) -> bool:
    """Whether no frame has said anything of a device yet."""
    return not any(frame.devices for frame in records.frames)


def newest(records: Records) -> Document | None:
    """The newest frame as a document."""
    hellos, frames = records.hellos, records.frames
    return document(hellos[-1], frames[-1]) if hellos and frames else None


def streamed(fault: Fault, records: Records) -> Document:
    """What a stream says at its end. A value that could not be read was in none of its frames."""
    check_nothing_unread(records.all)
    for saved in documents(records):
        for device in (d for d in saved["devices"] if (d["index"], d["parent"]) == (0, None)):
            there = [name for name in fault.missing if device.get(name) is not None]
            assert there == [], device
    last = newest(records)
    assert last is not None
    assert not (wrong := disagreements(fault, last)), wrong
    return last


def looked_at(fault: Fault, saved: Document) -> Document:
    """A document of the screen or of a command, once it was looked at."""
    assert not (wrong := disagreements(fault, saved)), wrong
    check_nothing_unread(records_of(saved))
    return saved


# -- the run ---------------------------------------------------------------------------------------


class Observer:
    """Lets rows happen."""

    def __init__(self, driver: Driver, gputop: Start, run: Run) -> None:
        self._driver, self._gputop, self._run = driver, gputop, run

    def __call__(self, fault: Fault) -> Observed:
        """Let it happen, look at it from every side, and leave while it lasts."""
        seen = Observed()
        well = at_rest(3) | moving(3, **fault.before)
        scenario = self._driver(well if fault.late else well | fault.wrong, absent=fault.absent)
        terminal = self._gputop(scenario, size=SIZE, scale=fault.scale)
        record = start_record(self._run, scenario, fault.scale)
        terminal.wait_alive(1, 1)
        if fault.late:
            terminal.wait_device(0, fault.ready)
            record.wait(terminal, lacks_devices)
            scenario.update(fault.wrong)
        terminal.wait_device(0, fault.shows)
        if fault.screen:
            terminal.wait_for(fault.screen)
        stream, snapshot = self._commands(scenario, fault.scale, FRAMES)
        since = shown_age(terminal, 0, AGES[fault.status])
        take_steps(terminal, seen)
        assert not {osc for osc in terminal.osc if osc.startswith("52")}
        if fault.facts:
            check_facts(terminal, fault.facts)
        wait_older(terminal, 0, AGES[fault.status], since)
        streaming = stream.stop(lambda records: says_all(fault, newest(records)))
        recording = self._end(terminal, record, partial(to_come, fault))
        compare(seen, terminal, fault, {
            "snapshot": looked_at(fault, json.loads(snapshot.check())),
            "stream": streamed(fault, streaming),
            "record": looked_at(fault, newest(recording) or {}),
        })  # fmt: skip
        check_nothing_unread(recording.all)
        seen.measure(recording)
        with seen.step("leaving"):
            terminal.check_leaves()
        return seen

    def trouble(self, trouble: Trouble, library: Path | None = None) -> Observed:
        """Let a driver be in trouble, look at it from every side, and leave while it lasts."""
        seen = Observed()
        scenario = self._driver(moving(2) | trouble.wrong, library=library)
        terminal = self._gputop(scenario, scale=SHORT)
        record = start_record(self._run, scenario, SHORT)
        wait_flat(terminal, trouble.says)
        wait_flat(terminal, trouble.remedy)
        terminal.wait_for(r"cpu +\d+ %")
        stream, snapshot = self._commands(scenario, SHORT, "1")
        press_keys(terminal, seen)
        saved = terminal.saved_snapshot()
        for command, code in ((stream, 3), (snapshot, trouble.code)):
            assert command.end() == code, command.errors
            assert re.search(trouble.says, command.errors)
            assert re.search(trouble.remedy, command.errors)
            assert command.errors.startswith("gputop: ")
            assert command.errors.count("\n") == 1
        assert snapshot.out == ""
        streamed = Records(stream.out)
        recorded = self._end(terminal, record, trouble.differs)
        check_nothing_unread(records_of(saved))
        for records in (streamed, recorded):
            check_nothing_unread(records.all)
        for one in (saved, newest(streamed), newest(recorded)):
            assert one is not None
            assert not (wrong := trouble.differs(one)), wrong
            assert said_of_driver(one) == said_of_driver(saved)
        with seen.step("leaving"):
            terminal.check_leaves()
        return seen

    def _commands(self, scenario: Scenario, scale: float, frames: str) -> tuple[Program, Program]:
        command = ("stream", "--interval", "0.25", "--count", frames)
        stream = self._run(scenario, *command, scale=scale)
        return stream, self._run(scenario, "snapshot", "--format", "json", scale=scale)

    def _end(
        self, terminal: Gputop, record: Beside, missing: Callable[[Document], object]
    ) -> Records:
        """What was recorded, once nothing is missing in it."""

        def still_missing(records: Records) -> object:
            return missing(saved) if (saved := newest(records)) else "no frame"

        record.wait(terminal, still_missing)
        return record.end()


def saved_at_last(fault: Fault, terminal: Gputop) -> Document:
    """What `e` writes once there is nothing to come: what is new, such as a MIG instance, is read
    twice before it has rates, and every collector looks for it at a time of its own.
    """
    until = time.monotonic() + PATIENCE_S
    while missing := to_come(fault, saved := looked_at(fault, terminal.saved_snapshot())):
        assert time.monotonic() < until, missing
    return saved


def compare(seen: Observed, terminal: Gputop, fault: Fault, said: Mapping[str, Document]) -> None:
    """See that the screen, what `e` writes of it, and every command say the same."""
    saved = saved_at_last(fault, terminal)
    for index, device in enumerate(d for d in saved["devices"] if d["parent"] is None):
        check_pane(terminal, index, device, fault.unsteady)
    seen.panes = [without_charts(terminal.device(index)) for index in WELL]
    seen.told = told(saved)
    wrong = {name: differences(seen.told, told(one), fault.unsteady) for name, one in said.items()}
    assert not any(wrong.values()), wrong


def press_keys(terminal: Gputop, seen: Observed) -> None:
    """Keys that do something whether there are devices or not, against the clock."""
    with seen.step("the help"):
        terminal.check_keys_answer()
    with seen.step("a pause"):
        terminal.press("p", shows=" PAUSED ")
        terminal.press("p", hides=" PAUSED ")


def take_steps(terminal: Gputop, seen: Observed) -> None:
    """What a user does while it lasts, against the clock."""
    with seen.step("the others move on"):
        terminal.wait_alive(1)
        terminal.wait_alive(2, 1)
    press_keys(terminal, seen)
    with seen.step("the cursor"):
        terminal.press("tab", shows="╭› 0 ·")
        terminal.press("right", shows="╭› 1 ·")
        terminal.press("left", shows="╭› 0 ·")
    with seen.step("the device's screen"):
        terminal.press("enter", shows=r"^ GPU 0 ")
        terminal.press("esc", shows="╭› 0 ·")
    terminal.press("tab", hides="╭› 0 ·")


def shown_age(terminal: Gputop, index: int, pattern: str) -> int:
    """For how many seconds a device has been so, as its pane says; 0 where it says nothing."""
    return int(terminal.wait_device(index, pattern)[1]) if pattern else 0


def wait_older(terminal: Gputop, index: int, pattern: str, since: int) -> None:
    """Wait until a pane says that it has been so for longer."""
    if pattern:
        terminal.wait_for(
            lambda _: (now := re.search(pattern, terminal.device(index))) and int(now[1]) > since
        )


def check_facts(terminal: Gputop, shows: str) -> None:
    """Look at the device's own screen, on as large a window as it takes. An age there grows."""
    terminal.resize(140, 100)
    terminal.press("tab", "enter", shows="Bus id|UUID")
    found = terminal.wait_for(shows)
    if found.re.groups:
        terminal.wait_for(lambda t: (now := t.find(shows)) and int(now[1]) > int(found[1]))
    terminal.press("esc", hides="UUID")
    terminal.press("tab")
    terminal.resize(*SIZE)

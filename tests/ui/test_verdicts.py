"""The verdicts as a user meets them: on the panes, on the device screen, in a snapshot."""

import json
import re

from textual.pilot import Pilot

from gputop.insight.alert_log import AlertLog
from gputop.insight.rules import Thresholds
from gputop.insight.verdict_book import VerdictBook
from gputop.model.frame import Frame, Hello
from gputop.state.store import Store
from gputop.ui.device.facts import Facts
from gputop.ui.view import take
from tests.demo_records import demo_records
from tests.ui.source import app_on, screen_lines


async def settle(pilot: Pilot) -> None:
    await pilot.pause()
    await pilot.pause()


async def test_a_pane_says_what_limits_its_device_and_how_that_is_known():
    app = app_on(demo_records(8, 38))
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        lines = screen_lines(app)
        bottoms = [line for line in lines if line.startswith("╰")]
        assert "compute-bound (measured)" in bottoms[1]
        assert "power cap" in bottoms[3], "a warning or notice stands first"
        # Where not all fits, the users stay and the word on how it is known goes.
        assert re.search(r"launch-bound or small batches ─+ .*\(5\) ─╯", bottoms[4])


async def test_the_verdict_stands_behind_a_warning_only_where_both_fit():
    for width, shown in ((120, True), (100, False)):
        app = app_on(demo_records(8, 60))
        async with app.run_test(size=(width, 50)) as pilot:
            await settle(pilot)
            starved = next(line for line in screen_lines(app) if "chen (9)" in line)
            assert ("· input-starved" in starved) == shown
            assert "▲" in starved


async def test_the_device_screen_gives_the_verdict_with_its_evidence_and_the_efficiency():
    app = app_on(demo_records(8, 60))
    async with app.run_test(size=(120, 60)) as pilot:
        await settle(pilot)
        await pilot.press("tab", "right", "enter")
        await settle(pilot)
        left = app.screen.query_one(Facts).region.x
        text = " ".join(" ".join(line[left:].split()) for line in screen_lines(app))
        verdict = app.view.devices[1].verdict
        assert verdict is not None
        assert f"input-starved (estimated) {verdict.sentence}" in text
        assert f"Try: {verdict.advice}" in text
        for evidence in verdict.evidence:
            assert f"{evidence.label} {evidence.value} ({evidence.window})" in text
        number = app.view.devices[1].number
        share = number("power_w") / number("power_limit_w")
        busy = number("gpu_utilization")
        assert f"Power of its limit {share:.0%} at {busy:.0%} utilisation" in text.replace(
            " %", "%"
        )
        assert "SM activity per 100 W" in text


async def test_where_there_is_no_verdict_the_device_screen_says_why():
    app = app_on(demo_records(8, 10))
    async with app.run_test(size=(120, 60)) as pilot:
        await settle(pilot)
        await pilot.press("tab", "enter")
        await settle(pilot)
        assert "No verdict. Nothing clear limits it: the readings are" in "\n".join(
            screen_lines(app)
        )


async def test_a_snapshot_from_the_screen_has_the_verdicts_on_it(tmp_path):
    app = app_on(demo_records(8, 38), snapshot_folder=str(tmp_path))
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        await pilot.press("e")
        await app.workers.wait_for_complete()
        (path,) = tmp_path.glob("*.json")
        devices = json.loads(path.read_text())["devices"]
        found = {d["uuid"]: d["verdict"]["key"] for d in devices if d["verdict"]}
        assert found == {uuid: verdict.key for uuid, verdict in app.view.verdicts.items()}
        assert {"starved", "compute_bound", "healthy"} <= set(found.values())


def test_a_view_keeps_its_verdicts_while_time_goes_on():
    store, log, book = Store(), AlertLog(Thresholds()), VerdictBook()
    frozen = None
    for record in demo_records(8, 60):
        store.apply(record)
        if isinstance(record, Frame):
            book.update(store)
            if record.seq == 38:
                frozen = take(store, log, book, frozen=True)
        else:
            assert isinstance(record, Hello) or record.kind
    assert frozen is not None
    lost = frozen.devices[6]
    assert lost.verdict is not None
    assert lost.verdict.key == "launch_bound"
    now = take(store, log, book).devices[6]
    assert (now.verdict, now.no_verdict) == (None, "It has no current readings.")

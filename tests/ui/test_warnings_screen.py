"""The warnings screen: lists, filters, scrolls, and says what it means."""

import pytest

from gputop.query import QueryError, compile_filter
from gputop.query.warnings import WARNINGS, Warned
from gputop.ui.screens.warnings import Meaning, WarningList
from gputop.ui.widgets.filter_bar import FilterBar
from tests.demo_records import demo_records
from tests.ui.source import app_on, screen_lines


async def opened(pilot, app):
    for _ in range(3):
        await pilot.pause()
    await pilot.press("w")
    for _ in range(3):
        await pilot.pause()
    return app.screen.query_one(WarningList)


def shown(app):
    return "\n".join(screen_lines(app))


def titles(page):
    return [alert.title for alert in page.alerts]


async def test_lasting_ones_come_first_and_those_of_before_the_start_last():
    app = app_on(demo_records(8, 100))
    async with app.run_test(size=(120, 40)) as pilot:
        page = await opened(pilot, app)
        states = [(not a.active, a.before_start) for a in page.alerts]
        assert states == sorted(states)
        assert {(False, False), (True, False), (True, True)} == set(states)
        await pilot.press("end")
        await pilot.pause()
        assert "before start" in shown(app)
        assert f"{len(page.alerts)} of {len(page.alerts)}" in shown(app)


async def test_slash_filters_while_typing_enter_keeps_and_escape_clears():
    app = app_on(demo_records(8, 60))
    async with app.run_test(size=(120, 40)) as pilot:
        page = await opened(pilot, app)
        every = len(page.alerts)
        await pilot.press("slash", *"severity:crit is:now")
        await pilot.pause()
        assert {a.severity for a in page.alerts} == {"critical"}
        assert 0 < len(page.alerts) < every
        await pilot.press("enter")
        await pilot.pause()
        assert app.focused is page
        assert "/severity:crit is:now" in shown(app)
        assert f"({every} in all)" in shown(app)
        await pilot.press("slash", "escape")
        await pilot.pause()
        assert len(page.alerts) == every
        assert app.focused is page
        await pilot.press("escape")
        await pilot.pause()
        assert app.screen is app.overview


async def test_a_filter_that_nothing_passes_says_so():
    app = app_on(demo_records(8, 30))
    async with app.run_test(size=(80, 24)) as pilot:
        page = await opened(pilot, app)
        await pilot.press("slash", *"nosuchword")
        await pilot.pause()
        assert page.alerts == []
        assert "No warning passes the filter" in shown(app)
        assert f"0 of {len(app.view.alerts)}" in shown(app)


async def test_a_filter_that_is_none_says_what_there_is():
    app = app_on(demo_records(8, 30))
    async with app.run_test(size=(120, 24)) as pilot:
        await opened(pilot, app)
        await pilot.press("slash", *"user:ann")
        await pilot.pause()
        assert 'there is no field "user"' in app.screen.query_one(FilterBar).error


@pytest.mark.parametrize("size", [(60, 15), (80, 24), (200, 50)])
async def test_a_long_list_scrolls_and_the_advice_is_whole(size):
    app = app_on(demo_records(8, 420))
    async with app.run_test(size=size) as pilot:
        page = await opened(pilot, app)
        assert len(page.alerts) > size[1]
        await pilot.press(*["down"] * (len(page.alerts) - 1))
        await pilot.pause()
        alert = page.alerts[-1]
        assert page.current is alert
        rows = app.screen.query_one(Meaning).size.height
        meaning = " ".join(line.strip() for line in screen_lines(app)[-rows - 1 : -1])
        assert alert.advice in " ".join(meaning.split())
        assert all(len(line) <= size[0] for line in screen_lines(app))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("severity:critical,notice", {"critical", "notice"}),
        ("!severity:warning !severity:notice", {"critical"}),
    ],
)
def test_severities(text, expected):
    assert passing(text, "severity") == expected


def test_devices_rules_and_words():
    assert passing("gpu:5-6", "where") == {"5 H100 80GB HBM3", "6 H100 80GB HBM3"}
    assert passing("rule:xid", "rule") == {"xid:79"}
    assert passing("slowdown is:before", "before_start") == {True}
    assert "lost" in passing("fallen", "rule")
    uuid = next(iter(passing("gpu:5", "device")))
    assert passing(f"gpu:{uuid[:12]}", "device") == {uuid}


@pytest.mark.parametrize("text", ["severity:awful", "is:never", "gpu:x y", "is>3"])
def test_what_cannot_be_meant(text):
    with pytest.raises(QueryError):
        compile_filter(text, WARNINGS)


def passing(text, attribute):
    from gputop.insight.alert_log import AlertLog
    from gputop.model.frame import Frame
    from gputop.state.store import Store

    store, log = Store(), AlertLog()
    for record in demo_records(8, 60):
        store.apply(record)
        if isinstance(record, Frame):
            log.update(store)
    test = compile_filter(text, WARNINGS)
    every = [*log.active, *log.history]
    found = [alert for alert in every if test(Warned(alert))]
    assert 0 < len(found) < len(every)
    return {getattr(alert, attribute) for alert in found}

"""Screens that are opened and closed while readings come: nothing fails, and nothing stays."""

import gc
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from textual._styles_cache import StylesCache
from textual.app import ComposeResult
from textual.events import Resize
from textual.geometry import Size
from textual.screen import Screen

from gputop.insight.alert_log import PAST_KEPT
from gputop.insight.alerts import Alert
from gputop.insight.host_state import HostState
from gputop.sources.base import SourceStatus
from gputop.ui.app import GputopApp
from gputop.ui.screens.device import DeviceScreen
from gputop.ui.screens.warnings import WarningList
from tests.samples import UTC_S, UUIDS, sample_frame, sample_hello
from tests.ui.source import ListSource, app_on, screen_lines, wait_until

SIZE = (120, 40)


async def test_a_frame_may_come_while_a_screen_is_being_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    app = app_on([sample_hello(), sample_frame()])
    compose = DeviceScreen.compose
    fed = []

    def frame_in_between(screen: DeviceScreen) -> ComposeResult:
        assert isinstance(app.source, ListSource)
        app.source.feed(sample_frame(seq=3))
        app._drain()
        fed.append(app.screen is screen)
        yield from compose(screen)

    monkeypatch.setattr(DeviceScreen, "compose", frame_in_between)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.pause()
        app.open_device(UUIDS[0])
        await pilot.pause()
        assert fed == [True]
        assert "H100" in "\n".join(screen_lines(app))


@pytest.mark.parametrize("key", ["", "w", "question_mark", "ctrl+p", "K", "enter"])
async def test_of_two_sizes_at_once_the_newest_counts(
    monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    """Textual's screen would go from one to the other for ever; here it is stopped."""
    layouts = []
    refresh_layout = Screen._refresh_layout

    def counted(screen: Screen[object], *arguments: Any, **more: Any) -> None:
        layouts.append(screen)
        assert len(layouts) < 300
        refresh_layout(screen, *arguments, **more)

    monkeypatch.setattr(Screen, "_refresh_layout", counted)
    app = app_on([sample_hello(), sample_frame()])
    async with app.run_test(size=SIZE) as pilot:
        await pilot.pause()
        await pilot.press(*[key] * bool(key))
        await pilot.pause()
        layouts.clear()
        with (
            app.batch_update()
        ):  # as while a screen is opened: it draws later, and sends itself that
            for size in (Size(30, 9), app.size):
                for screen in app.screen_stack:
                    screen.post_message(Resize(size, size))
                    screen.call_later(lambda: None)
            await pilot.pause()
        await pilot.pause()
        assert app.screen.size == SIZE


@pytest.mark.parametrize(
    ("fails", "comes"),
    [
        ("_show", lambda app: app.source.feed(sample_frame(seq=3))),
        ("_redraw_age", lambda app: app._take_status(SourceStatus("silent", "Nothing is said."))),
    ],
    ids=["frame", "status"],
)
async def test_what_fails_when_something_comes_in_is_said(
    monkeypatch: pytest.MonkeyPatch, fails: str, comes: Callable[[GputopApp], None]
) -> None:
    """asyncio would log it, and the picture would stand still without a word."""
    app = app_on([sample_hello(), sample_frame()])
    said: list[Exception] = []
    monkeypatch.setattr(app, "_handle_exception", said.append)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.pause()
        monkeypatch.setattr(app, fails, lambda: 1 / 0)
        comes(app)
        await wait_until(pilot, lambda: said)
    assert [type(error) for error in said] == [ZeroDivisionError]


def rows_kept() -> int:
    """Widgets' caches of rows that are alive."""
    gc.collect()
    return sum(type(thing) is StylesCache for thing in gc.get_objects())


async def test_closed_screens_leave_no_rows_behind() -> None:
    app = app_on([sample_hello(), sample_frame()])
    async with app.run_test(size=SIZE) as pilot:

        async def open_and_close() -> None:
            for key in ("ctrl+p", "question_mark"):
                await pilot.press(key)
                await pilot.pause()
                await pilot.press("escape")
                await pilot.pause()

        await open_and_close()
        before = rows_kept()
        for _ in range(4):
            await open_and_close()
        await wait_until(pilot, lambda: rows_kept() <= before)  # a screen is let go of in a while


@pytest.mark.parametrize("key", ["ctrl+p", "question_mark", "w", "enter"])
async def test_a_closed_screen_is_let_go_of_soon(key: str) -> None:
    """Python's own collector looks when enough has come together: several screens' worth."""
    app = app_on([sample_hello(), sample_frame()])
    async with app.run_test(size=SIZE) as pilot:
        app._load_the_rest()
        gc.disable()
        try:
            await pilot.press(key)
            await pilot.pause()
            opened = weakref.ref(app.screen)
            assert opened() is not app.overview
            await pilot.press("escape")
            await wait_until(pilot, lambda: opened() is None)
        finally:
            gc.enable()


def past(count: int) -> Iterator[Alert]:
    for number in range(count):
        yield Alert(
            "hot", UUIDS[1], "1 H100", "warning", "HOT", "close to thermal slowdown", "m", "a",
            1000.0 + number, UTC_S, until_s=1100.0 + number,
        )  # fmt: skip


async def test_of_many_warnings_only_the_rows_in_view_are_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    app: GputopApp = app_on([sample_hello(), sample_frame()])
    async with app.run_test(size=SIZE) as pilot:
        app.alerts.past.extend(past(PAST_KEPT["warning"]))
        app._show()
        await pilot.press("w")
        await pilot.pause()
        page = app.screen.query_one(WarningList)
        made = []
        row = WarningList._row
        monkeypatch.setattr(
            WarningList, "_row", lambda *words: (made.append(words), row(*words))[1]
        )
        page.repaint()
        assert 0 < len(made) <= SIZE[1]
        await pilot.press("G")
        await pilot.pause()
        assert page.cursor == len(page.alerts) - 1 >= PAST_KEPT["warning"]
        assert "close to thermal slowdown" in screen_lines(app)[page.size.height]


async def test_a_second_metric_laid_over_a_chart_may_be_gone_after_a_jump() -> None:
    app = app_on([sample_hello(), sample_frame(), sample_frame(seq=3)])
    async with app.run_test(size=SIZE) as pilot:
        await pilot.pause()
        app.open_device(UUIDS[0])
        await pilot.press("v")
        before = HostState()
        before.apply(sample_hello())
        app.take_state(before)
        await pilot.pause()
        assert isinstance(app.screen, DeviceScreen)
        assert "H100" in "\n".join(screen_lines(app))

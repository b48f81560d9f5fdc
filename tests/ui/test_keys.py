"""One table of keys: what the help lists is bound, and what is bound is listed."""

import pytest
from textual.binding import Binding
from textual.events import Click
from textual.widgets import Input

from gputop.ui.app import GputopApp
from gputop.ui.device.keys import CHART_KEYS, DEVICE_SCREEN_KEYS
from gputop.ui.device.panel import ChartPanel
from gputop.ui.keys import APP_KEYS, DEVICE_KEYS, OVERVIEW_KEYS, REPLAY_KEYS
from gputop.ui.processes.table import TABLE_KEYS, ProcessTable
from gputop.ui.screens.device import DeviceScreen
from gputop.ui.screens.help import ALL_KEYS, HelpScreen
from gputop.ui.screens.overview import Devices, OverviewScreen
from gputop.ui.screens.palette import ActionPalette
from gputop.ui.screens.process import PROCESS_KEYS, ProcessScreen
from gputop.ui.screens.warnings import WARNING_KEYS, WarningsScreen
from gputop.ui.widgets.page import SCROLL_KEYS, Page
from tests.demo_records import demo_records
from tests.ui.source import app_on, screen_lines

OWNERS = {
    GputopApp: APP_KEYS,
    Devices: DEVICE_KEYS,
    OverviewScreen: OVERVIEW_KEYS,
    ProcessTable: TABLE_KEYS,
    DeviceScreen: DEVICE_SCREEN_KEYS,
    ChartPanel: CHART_KEYS,
    ProcessScreen: PROCESS_KEYS,
    WarningsScreen: WARNING_KEYS,
    Page: SCROLL_KEYS,
}


def test_every_key_of_the_help_is_bound_where_it_works_and_has_its_action():
    for owner, keys in OWNERS.items():
        bound = {(b.action, b.key) for b in owner.BINDINGS if isinstance(b, Binding)}
        for key in keys:
            assert (key.action, key.keys) in bound
            assert hasattr(owner, f"action_{key.action.partition('(')[0]}"), key
    owned = {key for keys in OWNERS.values() for key in keys}
    assert set(ALL_KEYS) == owned | set(REPLAY_KEYS)


def test_the_keys_of_a_replay_collide_with_none():
    """Save for those that mean there what they mean everywhere."""
    elsewhere = {name for keys in OWNERS.values() for key in keys for name in key.keys.split(",")}
    replay = {name for key in REPLAY_KEYS for name in key.keys.split(",")}
    assert replay & elsewhere == {"p", "plus", "equals_sign"}


async def test_what_the_palette_offers_is_done():
    app = app_on(demo_records(8, 3))
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        app.press(next(key for key in OVERVIEW_KEYS if key.action == "filter"))
        await pilot.pause()
        assert app.overview.filter_bar.display
        await pilot.press("escape")
        app.press(next(key for key in DEVICE_KEYS if key.action == "open"))
        await pilot.pause()
        await pilot.pause()
        assert isinstance(app.screen, DeviceScreen)


async def test_the_palette_offers_what_the_table_does_and_does_it():
    app = app_on(demo_records(8, 3))
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        await pilot.press("tab")
        offered = {
            command.help: command.callback for command in app.get_system_commands(app.screen)
        }
        for action in ("tag", "signal", "fold", "sort(1)", "sort(-1)", "reverse", "open", "clear"):
            assert next(key for key in TABLE_KEYS if key.action == action).help in offered
        by_action = {key.action: key for key in TABLE_KEYS}
        offered[by_action["tag"].help]()
        await pilot.pause()
        assert len(app.overview.table.tagged) == 1
        offered[by_action["signal"].help]()
        await pilot.pause()
        await pilot.pause()
        assert "simulated" in " ".join(str(n.message) for n in app._notifications)
        offered[by_action["reverse"].help]()
        await pilot.pause()
        assert app.overview.table.reverse


async def test_a_click_on_the_footer_presses_what_is_drawn_there_and_nothing_else():
    app = app_on(demo_records(8, 3))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        row = screen_lines(app)[-1]
        await pilot.click(app.overview.footer, offset=(row.index("window"), 0))
        await pilot.click(app.overview.footer, offset=(row.index("window") - 2, 0))
        await pilot.pause()
        assert app.screen is app.overview
        await pilot.click(app.overview.footer, offset=(row.index("help"), 0))
        await pilot.pause()
        assert isinstance(app.screen, HelpScreen)


def test_no_key_does_two_things_in_one_place():
    for owner, keys in OWNERS.items():
        pressed = [one for key in keys for one in key.keys.split(",")]
        assert len(pressed) == len(set(pressed)), owner


async def test_the_help_shows_every_key_and_its_meaning():
    app = app_on(demo_records(2, 3))
    async with app.run_test(size=(120, 300)) as pilot:
        await pilot.pause()
        await pilot.press("question_mark")
        await pilot.pause()
        shown = "\n".join(screen_lines(app))
        for key in ALL_KEYS:
            assert key.shown in shown
            assert key.help in shown


async def test_the_palette_finds_every_action():
    app = app_on(demo_records(2, 3))
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        offered = [*app.get_system_commands(app.screen)]
        await pilot.press("tab", "enter")
        await pilot.pause()
        assert isinstance(app.screen, DeviceScreen)
        offered += app.get_system_commands(app.screen)
        titles = {command.title.lower() for command in offered}
        for key in ALL_KEYS:
            if key.palette and key not in REPLAY_KEYS:
                assert any(key.label.lower() in title for title in titles), key


async def test_the_palette_of_the_device_screen_does_what_it_offers():
    app = app_on(demo_records(2, 3))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        await pilot.press("tab", "enter")
        await pilot.pause()
        screen = app.screen
        assert isinstance(screen, DeviceScreen)
        offered = {command.help: command.callback for command in app.get_system_commands(screen)}
        by_action = {key.action: key for key in (*DEVICE_SCREEN_KEYS, *CHART_KEYS, *TABLE_KEYS)}
        offered[by_action["tag"].help]()
        await pilot.pause()
        await pilot.pause()
        assert screen.table.has_focus
        assert len(screen.table.tagged) == 1
        offered[by_action["enlarge"].help]()
        await pilot.pause()
        await pilot.pause()
        assert screen.charts.has_focus
        assert screen.charts.enlarged
        offered[by_action["peers"].help]()
        await pilot.pause()
        await pilot.pause()
        assert screen.charts.mode == "peers"


async def test_more_enters_than_the_palette_takes_do_nothing_more():
    """As on a slow link: all are there before the palette has closed."""
    app = app_on(demo_records(2, 3))
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("ctrl+p", *"Pause", "down")
        await pilot.pause()
        palette = app.screen
        assert isinstance(palette, ActionPalette)
        field = palette.query_one(Input)
        for _ in range(3):
            field.post_message(Input.Submitted(field, "Pause"))
        await pilot.pause()
        await pilot.pause()
        assert app.screen is app.overview
        assert app.paused


@pytest.mark.parametrize("height", [1, 2, 24])
async def test_no_key_in_the_palette_needs_a_list_to_move_in(height):
    app = app_on(demo_records(2, 3))
    async with app.run_test(size=(80, height)) as pilot:
        await pilot.press("ctrl+p", "pagedown", "pageup", "down", *"zzzz")
        await pilot.press("pageup", "pagedown", "down", "up", "pageup", "enter")
        assert isinstance(app.screen, ActionPalette)
        app.action_command_palette()
        assert len(app.screen_stack) == 2, "it is there once"


async def test_a_click_where_the_screen_was_before_it_shrank_does_nothing():
    app = app_on(demo_records(2, 3))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("ctrl+p")
        await pilot.pause()
        palette = app.screen
        palette.post_message(Click(palette, 90, 3, 0, 0, 1, False, False, False, 90, 3))
        await pilot.pause()
        assert app.screen is palette


async def test_the_mouse_selects_no_text():
    """Where it went down on what was being closed, Textual's selection ended the program."""
    app = app_on(demo_records(2, 3))
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("ctrl+p")
        await pilot.pause()
        for x in range(0, 120, 4):
            await pilot.mouse_down(offset=(x, 5))
            assert app.screen._select_state is None
            await pilot.mouse_up(offset=(x, 5))


@pytest.mark.parametrize("width", [1, 2, 3, 5, 6, 8, 12])
async def test_everything_opens_where_there_is_no_room_for_it(width):
    """Textual's list of commands cannot be as narrow as its own margins."""
    app = app_on(demo_records(2, 3))
    async with app.run_test(size=(width, 15)) as pilot:
        for keys in (("ctrl+p", *"th"), ("question_mark",), ("w",), ("slash", "x"), ("K",)):
            await pilot.press(*keys)
            await pilot.pause()
            await pilot.press("escape", "escape")
        app.open_device(app.view.devices[0].info.uuid)
        await pilot.pause()
        await pilot.resize_terminal(120, 40)
        assert "H100" in "\n".join(screen_lines(app))


async def test_the_palette_may_close_and_open_between_two_keys():
    app = app_on(demo_records(2, 3))
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("ctrl+p")
        first = app.screen
        assert isinstance(first, ActionPalette)
        field = first.query_one(Input)
        first.dismiss()
        field.post_message(Input.Changed(field, "zzzz"))  # typed before, and read now
        app.action_command_palette()
        await pilot.pause()
        assert isinstance(app.screen, ActionPalette)
        assert app.screen is not first
        await pilot.press("escape")
        assert app.screen is app.overview


async def test_an_enter_for_the_palette_leaves_the_screen_above_it_alone():
    app = app_on(demo_records(2, 3))
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("ctrl+p", *"Pause", "down")
        await pilot.pause()
        palette = app.screen
        field = palette.query_one(Input)
        app.action_help()
        for _ in range(3):
            field.post_message(Input.Submitted(field, "Pause"))
        await pilot.pause()
        await pilot.pause()
        assert isinstance(app.screen, HelpScreen)
        assert app.screen_stack[-2] is palette

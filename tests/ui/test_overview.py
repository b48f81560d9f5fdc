"""The overview as a user sees it, on records of the simulated machine."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual.pilot import Pilot

from gputop.model.commands import Release, Retake, SetInterval
from gputop.model.frame import DeviceReading, DriverInfo, Event, Frame, Hello
from gputop.sources.base import SourceStatus
from gputop.text import ELLIPSIS
from gputop.ui.app import GputopApp
from gputop.ui.screens.overview import too_small
from tests.demo_records import demo_records
from tests.samples import no_driver_frame, no_driver_hello, sample_frame, sample_hello
from tests.ui.source import ListSource, app_on, charts_drawn, screen_lines, wait_until

SIZES = [(60, 15), (80, 24), (120, 40), (200, 50), (300, 100)]


async def settle(pilot: Pilot) -> None:
    """Wait until what was sent is drawn."""
    await pilot.pause()
    await pilot.pause()


def text_of(app: GputopApp) -> str:
    return "\n".join(screen_lines(app))


@given(st.integers(1, 70), st.integers(1, 20))
def test_what_a_small_terminal_says_fits_it(width: int, height: int) -> None:
    said = too_small(width, height)
    assert 1 <= len(said) <= height
    assert max(map(len, said)) <= width
    assert said[0] == ELLIPSIS or width >= 5
    if width >= 18:
        assert said[0] == "gputop needs 60x15"


@pytest.mark.parametrize("devices", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("size", SIZES)
async def test_every_device_is_on_screen(size, devices):
    app = app_on(demo_records(devices, 3))
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        lines = screen_lines(app)
        assert all(len(line) == size[0] for line in lines)
        above_table = "\n".join(lines[: next(n for n, row in enumerate(lines) if "COMM" in row)])
        for index in range(devices):
            assert re.search(rf"(?<![\d.]){index}\*?( ·)? H100", above_table), (index, above_table)


@pytest.mark.parametrize("size", SIZES)
async def test_values_are_never_cut_inside_a_number(size):
    app = app_on(demo_records(8, 3))
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        for device in app.view.devices:
            temperature = device.number("temperature_c")
            if temperature is not None and device.ok:
                assert re.search(rf"\b{temperature:.0f}(/\d+ )?°", text_of(app))


async def test_a_lost_device_keeps_its_place_and_says_since_when():
    records = demo_records(8, 60)
    app = app_on(records)
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        lost = [d for d in app.view.devices if d.reading.status == "lost"]
        assert [d.info.index for d in lost] == [6]
        assert re.search(r"6 · H100.*lost for \d+ s", text_of(app))
        assert "✗ device lost" in text_of(app)
        assert "critical" in screen_lines(app)[0]


async def test_the_header_says_that_it_is_simulated():
    app = app_on(demo_records(8, 3))
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        assert "SIMULATED" in screen_lines(app)[0]


async def test_below_the_smallest_size_it_says_what_it_needs():
    app = app_on(demo_records(8, 3))
    async with app.run_test(size=(50, 12)) as pilot:
        await settle(pilot)
        assert "gputop needs 60x15" in text_of(app)
        await pilot.resize_terminal(80, 24)
        await settle(pilot)
        assert "gputop needs" not in text_of(app)
        assert "0 H100" in text_of(app)


async def test_without_a_driver_it_shows_the_cpu_and_what_to_do():
    app = app_on([no_driver_hello(), no_driver_frame()])
    async with app.run_test(size=(100, 30)) as pilot:
        await settle(pilot)
        shown = text_of(app)
        driver = no_driver_hello().driver
        assert driver.message.split(".")[0][:30] in shown
        assert driver.remedy[:30] in shown
        assert re.search(r"cpu +[\d.]+", shown)


async def test_a_device_without_a_reading_shows_the_reason_and_no_zero():
    hello, frame = sample_hello(), sample_frame()
    for reading in frame.devices:
        reading.power_w, reading.missing = None, {**reading.missing, "power_w": "unsupported"}
    app = app_on([hello, frame])
    async with app.run_test(size=(200, 60)) as pilot:
        await settle(pilot)
        shown = text_of(app)
        assert "not supported" in shown
        assert not re.search(r"power +0", shown)


async def test_the_last_good_value_stays_greyed_when_a_device_stops_answering():
    records = list(demo_records(1, 3))
    app = app_on(records)
    async with app.run_test(size=(100, 30)) as pilot:
        await settle(pilot)
        before = app.view.devices[0].value("temperature_c")
        assert before.current
        frame: Frame = records[-1]  # type: ignore[assignment]
        silent = type(frame.devices[0])(
            uuid=frame.devices[0].uuid, status="timed_out", since_s=frame.boottime_s
        )
        app.source.feed(
            Frame(session="demo", seq=99, utc_s=frame.utc_s + 5, boottime_s=frame.boottime_s + 5,
                  interval_s=1, host=frame.host, devices=[silent])
        )  # fmt: skip
        await settle(pilot)
        after = app.view.devices[0].value("temperature_c")
        assert (after.value, after.current) == (before.value, False)
        assert "no answer for 5 s" in text_of(app)


def later(last: Frame, passed_s: float, reading: DeviceReading) -> Frame:
    """A frame so long after another one, with another reading of the first device."""
    return Frame(session="demo", seq=99 + int(passed_s), utc_s=last.utc_s + passed_s,
                 boottime_s=last.boottime_s + passed_s, interval_s=1, host=last.host,
                 devices=[reading, *last.devices[1:]])  # fmt: skip


async def test_a_row_says_how_long_its_device_has_not_answered():
    records = list(demo_records(4, 3))
    app = app_on(records)
    async with app.run_test(size=(60, 15)) as pilot:
        await settle(pilot)
        last: Frame = records[-1]  # type: ignore[assignment]
        for passed_s, said in ((7, "7 s"), (125, "2 m 05 s"), (725, "12 m")):
            silent = DeviceReading(last.devices[0].uuid, "timed_out", since_s=last.boottime_s)
            app.source.feed(later(last, passed_s, silent))
            await settle(pilot)
            (row,) = [line for line in text_of(app).splitlines() if line.startswith("  0 ")]
            assert re.search(rf"% +{said} +\d.* STUCK", row), row


@pytest.mark.parametrize(
    ("then", "size", "shows"),
    [
        ("pending", (60, 15), r"not read for 7 s ✗ LOST · Let go"),
        ("pending", (80, 24), r"✗ device lost ─"),
        ("timed_out", (60, 15), r" 7 s .* ✗ LOST"),
        ("timed_out", (80, 24), r"✗ device lost · Off the bus"),
    ],
)
async def test_a_lost_device_of_which_nothing_more_is_known_is_said_to_have_been_lost(
    then, size, shows
):
    records = list(demo_records(2, 3))
    app = app_on(records)
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        last: Frame = records[-1]  # type: ignore[assignment]
        since = last.boottime_s + 1
        for passed_s, status, detail in ((1, "lost", "Off the bus"), (8, then, "Let go.")):
            away = DeviceReading(last.devices[0].uuid, status, since_s=since, detail=detail)
            app.source.feed(later(last, passed_s, away))
            await settle(pilot)
        assert re.search(shows, text_of(app)), text_of(app)


async def test_a_device_of_which_nothing_comes_any_more_is_old_in_every_form():
    for size in SIZES[1:4]:
        records = list(demo_records(8, 3))
        app = app_on(records)
        async with app.run_test(size=size) as pilot:
            await settle(pilot)
            last: Frame = records[-1]  # type: ignore[assignment]
            for late_s in (9, 11):
                app.source.feed(Frame(session="demo", seq=90 + late_s, utc_s=last.utc_s + late_s,
                                      boottime_s=last.boottime_s + late_s, interval_s=1,
                                      host=last.host))  # fmt: skip
            await settle(pilot)
            assert not any(device.ok for device in app.view.devices)
            assert "not read for 2 s" in text_of(app)
            assert "no warnings" not in screen_lines(app)[0]


async def test_a_reading_that_is_repeated_too_long_is_said_to_be_old():
    for size in SIZES[1:4]:
        records = list(demo_records(8, 3))
        app = app_on(records)
        async with app.run_test(size=size) as pilot:
            await settle(pilot)
            last: Frame = records[-1]  # type: ignore[assignment]
            app.source.feed(Frame(session="demo", seq=99, utc_s=last.utc_s + 9, interval_s=1,
                                  boottime_s=last.boottime_s + 9, host=last.host,
                                  devices=last.devices))  # fmt: skip
            await settle(pilot)
            assert "9 s old" in text_of(app)


@pytest.mark.parametrize("keys", [("tab", "enter"), ("enter",), ("w",)])
async def test_every_screen_says_when_readings_stop_and_when_it_is_paused(keys):
    app = app_on(demo_records(8, 60))
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        await pilot.press(*keys)
        await settle(pilot)
        app.source.say(SourceStatus("restarting", "The collector died; starting another."))
        await settle(pilot)
        assert "The collector died; starting another." in text_of(app)
        await pilot.press("p")
        await settle(pilot)
        assert "PAUSED" in screen_lines(app)[0]


async def test_a_frozen_picture_stays_frozen_on_every_screen():
    records = demo_records(8, 60)
    frames = [r for r in records if isinstance(r, Frame)]
    app = app_on([*(r for r in records if not isinstance(r, Frame | Event)), *frames[:5]])
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        await pilot.press("p")
        await settle(pilot)
        await pilot.press("tab", "enter")
        await charts_drawn(pilot)
        before = screen_lines(app)[1:]  # the first row says how long ago it was
        app.source.feed(*frames[5:])
        await settle(pilot)
        await pilot.press("n", "N")
        await charts_drawn(pilot)
        assert screen_lines(app)[1:] == before
        await pilot.press("escape", "w")
        await settle(pilot)
        assert "device lost" not in text_of(app)
        await pilot.press("p")
        await settle(pilot)
        assert "device lost" in text_of(app)


async def test_a_screen_that_was_covered_shows_the_present_when_it_is_back():
    records = demo_records(8, 60)
    frames = [r for r in records if isinstance(r, Frame)]
    app = app_on([*(r for r in records if not isinstance(r, Frame)), *frames[:5]])
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        await pilot.press("w")
        await settle(pilot)
        app.source.feed(*frames[5:])
        await settle(pilot)
        await pilot.press("escape")
        await settle(pilot)
        assert "lost for" in text_of(app)


async def test_y_copies_what_the_screen_is_about(monkeypatch):
    copied = []
    monkeypatch.setattr(GputopApp, "copy_to_clipboard", lambda _, words: copied.append(words))
    app = app_on(demo_records(8, 3))
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        pid = app.overview.table.cursor_key.process.pid
        await pilot.press("y", "enter", "y", "escape", "tab", "enter", "n", "n", "y")
        await settle(pilot)
        assert copied == [str(pid), str(pid), app.view.devices[2].info.uuid]


async def test_instances_count_their_own_processes():
    app = app_on(demo_records(8, 3))
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        parent = app.view.devices[7]
        assert parent.instances
        of_instances = sum(instance.processes for instance in parent.instances)
        assert of_instances > 0
        assert all(instance.processes <= parent.processes for instance in parent.instances)


async def test_more_devices_are_all_drawn_at_once():
    few, many = demo_records(4, 3), demo_records(8, 3)
    app = app_on(few)
    async with app.run_test(size=(60, 15)) as pilot:
        await settle(pilot)
        app.source.feed(*[r for r in many if isinstance(r, Hello)][-1:])
        await settle(pilot)
        for info in app.store.hello.devices:
            if info.parent is None:
                assert re.search(rf"\b{info.index}\*? H100", text_of(app)), text_of(app)


# --- keys ----------------------------------------------------------------------------------------


async def test_p_freezes_the_picture_and_not_the_history():
    records = demo_records(8, 20)
    frames = [r for r in records if isinstance(r, Frame)]
    app = app_on([r for r in records if not isinstance(r, Frame)] + frames[:5])
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        await pilot.press("p")
        await settle(pilot)
        before = screen_lines(app)
        assert "PAUSED" in before[0]
        app.source.feed(*frames[5:])
        await settle(pilot)
        assert screen_lines(app) == before
        assert app.store.frame is frames[-1]
        await pilot.press("p")
        await settle(pilot)
        assert screen_lines(app) != before
        series = app.store.devices[0].history.series("power_w")
        assert series is not None
        now = int(frames[-1].boottime_s)
        assert all(series.columns(range(now - 19, now + 1), 1))


async def test_plus_and_minus_change_the_interval():
    app = app_on(demo_records(2, 3))
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        await pilot.press("plus", "minus")
        assert app.source.sent == [SetInterval(0.5), SetInterval(2.0)]


async def test_x_lets_go_of_the_driver_and_takes_it_back():
    app = app_on(demo_records(2, 3))
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        await pilot.press("x", "x")
        assert app.source.sent == [Release(), Retake()]


async def test_brackets_change_the_window_of_all_charts():
    app = app_on(demo_records(2, 3))
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        assert "window 5 min" in screen_lines(app)[-1]
        await pilot.press("right_square_bracket")
        await settle(pilot)
        assert "window 10 min" in screen_lines(app)[-1]
        await pilot.press("left_square_bracket", "left_square_bracket")
        await settle(pilot)
        assert "window 2 min" in screen_lines(app)[-1]


async def test_tab_and_enter_open_the_device_under_the_cursor():
    app = app_on(demo_records(8, 3))
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        await pilot.press("tab", "right", "down", "enter")
        await settle(pilot)
        assert app.screen.uuid == app.view.devices[3].info.uuid
        assert "GPU 3 · NVIDIA" in text_of(app)
        await pilot.press("n")
        await settle(pilot)
        assert "GPU 4 · NVIDIA" in text_of(app)
        await pilot.press("escape")
        await settle(pilot)
        assert app.screen is app.overview


async def test_enter_on_a_process_opens_it():
    app = app_on(demo_records(8, 3))
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        pid = app.overview.table.cursor_key.process.pid
        await pilot.press("enter")
        await settle(pilot)
        assert app.screen is not app.overview
        assert str(pid) in text_of(app)


async def test_w_lists_the_warnings_with_what_to_do():
    app = app_on(demo_records(8, 60))
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        await pilot.press("w")
        await settle(pilot)
        shown = text_of(app)
        assert "device lost" in shown
        assert "Xid 79" in shown
        for alert in app.alerts.active[:1]:
            assert alert.meaning in shown
            assert alert.advice in shown


async def test_slash_filters_while_typing_and_escape_clears():
    app = app_on(demo_records(8, 3))
    async with app.run_test(size=(160, 50)) as pilot:
        await settle(pilot)
        every = app.overview.table.row_count
        await pilot.press("slash", *"user:ann", "enter")
        await settle(pilot)
        anns = sum(p.user == "ann" for p in app.view.processes)
        assert app.overview.table.row_count == anns < every
        assert app.focused is app.overview.table
        await pilot.press("escape")
        await settle(pilot)
        assert app.overview.table.row_count == every


async def test_e_writes_a_snapshot_and_shows_its_path(tmp_path):
    app = app_on(demo_records(2, 3), snapshot_folder=str(tmp_path))
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        await pilot.press("e")
        await app.workers.wait_for_complete()
        await settle(pilot)
        (path,) = tmp_path.iterdir()
        assert path.suffix == ".json"
        assert path.name in " ".join(str(n.message) for n in app._notifications)


async def test_a_snapshot_that_cannot_be_written_is_one_sentence(tmp_path):
    folder = tmp_path / "not-there"
    app = app_on(demo_records(2, 3), snapshot_folder=str(folder))
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        await pilot.press("e")
        await app.workers.wait_for_complete()
        await settle(pilot)
        said = " ".join(str(n.message) for n in app._notifications)
        assert str(folder) in said
        assert app.is_running


async def test_a_snapshot_as_svg_is_the_screen(tmp_path):
    app = app_on(demo_records(2, 3), snapshot_folder=str(tmp_path), snapshot_format="svg")
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        await pilot.press("e")
        await app.workers.wait_for_complete()
        (path,) = tmp_path.iterdir()
        drawn = path.read_text()
        assert drawn.startswith("<svg")
        assert "H100" in drawn
        assert "url(" not in drawn.replace("url(#", "")


async def test_t_walks_through_the_themes():
    app = app_on(demo_records(2, 3))
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        seen = [app.palette.name]
        for _ in range(5):
            await pilot.press("t")
            seen.append(app.palette.name)
        assert seen == ["dark", "light", "contrast", "terminal", "mono", "dark"]


async def test_a_silent_collector_is_said_on_screen():
    app = app_on(demo_records(2, 3))
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        app.source.say(SourceStatus("restarting", "The collector died; starting another."))
        await settle(pilot)
        assert "The collector died; starting another." in text_of(app)
        app.source.say(SourceStatus("live"))
        await settle(pilot)
        assert "The collector died" not in text_of(app)


async def test_a_released_driver_is_said_and_the_devices_stay():
    records = list(demo_records(2, 3))
    app = app_on(records)
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        hello = next(r for r in records if isinstance(r, Hello))
        app.source.feed(
            Hello(schema=1, program="t", session="demo", host=hello.host, interval_s=1, utc_s=0,
                  boottime_s=0, devices=[], simulated=True,
                  driver=DriverInfo(status="released", message="The driver is released."))
        )  # fmt: skip
        await settle(pilot)
        assert "The driver is released." in text_of(app)
        assert "0 · H100" in text_of(app)


async def test_a_device_that_was_asked_for_and_is_not_there_is_named():
    app = app_on(demo_records(2, 3))
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        said = "No device here is called 99."
        app.source.feed(
            Event(session="demo", seq=999, utc_s=0, boottime_s=0, kind="log", text=said)
        )
        await settle(pilot)
        assert "No device here is called 99." in text_of(app)


async def test_markup_in_names_is_shown_and_not_obeyed():
    hello, frame = sample_hello(), sample_frame()
    for info in hello.devices:
        info.name = "[red]evil[/red] \x1b[31m"
    app = app_on([hello, frame])
    async with app.run_test(size=(200, 60)) as pilot:
        await settle(pilot)
        shown = text_of(app)
        assert "[red]evil" in shown
        assert "\x1b" not in shown


async def test_what_is_said_for_a_moment_is_only_text():
    app = app_on([sample_hello(), sample_frame()])
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        app.notify("Snapshot written to [red]a[/] \x1b[31m\u202e")
        await wait_until(pilot, lambda: "Snapshot" in text_of(app))
        assert "[red]a[/] ␛[31m\ufffd" in text_of(app)


async def test_ascii_mode_draws_ascii_only():
    app = app_on(demo_records(8, 60), ascii=True)
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        shown = text_of(app)
        assert shown.isascii(), {c for c in shown if not c.isascii()}
        await pilot.press("w")
        await settle(pilot)
        assert text_of(app).isascii()


def test_the_source_of_the_tests_is_a_source():
    assert isinstance(ListSource([]).sent, list)

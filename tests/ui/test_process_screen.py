"""The screen of one process."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from textual.pilot import Pilot

from gputop import procfs
from gputop.insight.alert_log import AlertLog
from gputop.insight.rules import Thresholds
from gputop.insight.verdict_book import VerdictBook
from gputop.model.frame import DeviceUse, Frame, Process, ReadTimes
from gputop.model.missing import explain
from gputop.state.process_history import ProcessKey
from gputop.ui.processes.table import ProcessTable
from gputop.ui.screens.process import ProcessPage, ProcessScreen
from gputop.ui.view import take
from tests.samples import (
    BOOTTIME_S,
    GIB,
    UTC_S,
    UUIDS,
    sample_frame,
    sample_hello,
    sample_info,
    sample_processes,
    sample_reading,
)
from tests.ui.small_app import SmallApp

SAFETY_S = 30
ANN = ProcessKey(4101, 123456)


class ScreenApp(SmallApp):
    """Feeds frames to the screen, as the real app does."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.store.apply(sample_hello(devices=[sample_info(0), sample_info(1)]))

    def feed(self, processes: list[Process], later: float, answering: bool = True) -> None:
        at = BOOTTIME_S + later
        times = ReadTimes(fast=at, processes=at if answering else None)
        frame: Frame = sample_frame(
            seq=int(later * 10) + 2, boottime_s=at, utc_s=UTC_S + later, processes=processes,
            devices=[sample_reading(0, read_at=times), sample_reading(1, read_at=times)],
        )  # fmt: skip
        self.store.apply(frame)
        self.process_history.update(frame)
        self.view = take(self.store, AlertLog(Thresholds()), VerdictBook())
        if isinstance(self.screen, ProcessScreen):
            self.screen.show(self.view)

    def on_process_table_signal_requested(self, message: ProcessTable.SignalRequested) -> None:
        self.said.append(message)


Scenario = Callable[["ScreenApp", Callable[[], list[str]], Pilot[Any]], Awaitable[None]]


def play(
    scenario: Scenario, key: ProcessKey = ANN, size: tuple[int, int] = (80, 45),
    processes: list[Process] | None = None, **options: Any,
) -> None:  # fmt: skip
    async def run() -> None:
        app = ScreenApp(**options)
        async with app.run_test(size=size) as pilot:
            for second in range(60):
                app.feed(sample_processes() if processes is None else processes, second)
            await app.push_screen(ProcessScreen(key))
            await pilot.pause()

            def lines() -> list[str]:
                page = app.screen.query_one(ProcessPage)
                assert [page.render_line(y).cell_length for y in range(page.size.height)] == [
                    size[0]
                ] * page.size.height
                return [page.render_line(y).text.rstrip() for y in range(page.size.height)]

            await scenario(app, lines, pilot)

    asyncio.run(run())


def test_it_says_who_the_process_is_and_what_it_holds() -> None:
    async def scenario(app: ScreenApp, lines: Any, pilot: Pilot[Any]) -> None:
        said = lines()
        assert said[0] == " 4101 python3"
        assert "  /usr/bin/python3 train.py --token SECRET" in said
        facts = {line[2:16].strip(): line[16:] for line in said}
        assert facts["User"] == "ann (uid 1000)"
        assert facts["Started"].endswith(", 2 h 00 m ago")
        assert facts["State"] == "running, 96 threads"
        assert facts["CPU"] == "340 % of one core"
        assert facts["Host memory"] == "21.0 GiB"
        assert facts["GPU memory"] == "119 GiB"
        assert facts["SM use"] == "181 % over 2 devices"

    play(scenario)


def test_each_device_has_its_charts_with_time_below() -> None:
    async def scenario(app: ScreenApp, lines: Any, pilot: Pilot[Any]) -> None:
        said = lines()
        first = said.index("  GPU 0 H100 80GB HBM3")
        second = said.index("  GPU 1 H100 80GB HBM3")
        assert first < second
        assert any("█" in line for line in said[first:second])
        assert sum(line.endswith("now") for line in said) == 4
        assert any(line.startswith("  91 %") for line in said[first:second])
        assert any(line.startswith("  59.0 GiB") for line in said[second:])

    play(scenario)


def test_what_was_not_read_has_a_reason_and_no_chart() -> None:
    bare = Process(
        pid=9, start_ticks=9, missing={"name": "denied"},
        uses=[DeviceUse(UUIDS[0], "G", missing={"memory_bytes": "unsupported"})],
    )  # fmt: skip

    async def scenario(app: ScreenApp, lines: Any, pilot: Pilot[Any]) -> None:
        said = lines()
        assert any(explain("unsupported") in line for line in said)
        assert any("nothing was read of it yet" in line for line in said)
        assert not any("█" in line for line in said)
        facts = {line[2:16].strip(): line[16:] for line in said}
        assert {facts[word] for word in ("User", "State", "CPU", "GPU memory", "SM use")} == {"–"}

    play(scenario, ProcessKey(9, 9), processes=[bare])


def test_a_long_command_line_wraps_and_the_page_scrolls() -> None:
    words = [f"--option-{number}" for number in range(300)]
    long = Process(pid=9, start_ticks=9, command=["run", *words, "\x1b[31mred", "日本" * 30],
                   uses=[DeviceUse(UUIDS[0], memory_bytes=GIB)])  # fmt: skip

    async def scenario(app: ScreenApp, lines: Any, pilot: Pilot[Any]) -> None:
        assert "--option-299" not in "".join(lines())
        seen = list(lines())
        for _ in range(10):
            await pilot.press("pagedown")
            seen += lines()
        everything = "".join(line.strip() for line in seen)
        assert "--option-299" in everything
        assert "\x1b" not in everything
        assert seen[-1] or seen[-2]

    play(scenario, ProcessKey(9, 9), (60, 15), processes=[long])


def test_arguments_stay_hidden_where_the_settings_say_so() -> None:
    async def scenario(app: ScreenApp, lines: Any, pilot: Pilot[Any]) -> None:
        assert "SECRET" not in "".join(lines())
        assert "  python3" in lines()

    play(scenario, settings={"hide-args": True})


def test_a_process_that_ended_keeps_its_screen() -> None:
    child = subprocess.Popen(["sleep", "600"])
    key = ProcessKey(child.pid, procfs.start_ticks(child.pid))
    running = Process(
        pid=key.pid, start_ticks=key.start_ticks, name="sleep",
        uses=[DeviceUse(UUIDS[0], memory_bytes=GIB, sm_utilization=0.5)],
    )  # fmt: skip

    async def scenario(app: ScreenApp, lines: Any, pilot: Pilot[Any]) -> None:
        assert lines()[0] == f" {key.pid} sleep"
        app.feed([], 61)
        assert lines()[0] == f" {key.pid} sleep  left the GPUs now, still running"
        app.feed([], 66)
        assert lines()[0] == f" {key.pid} sleep  left the GPUs 5 s ago, still running"
        child.kill()
        child.wait(SAFETY_S)
        app.feed([], 70)
        app.feed([], 82)
        assert lines()[0] == f" {key.pid} sleep  ended 12 s ago"
        assert any("█" in line for line in lines())
        app.feed([], 1000)  # long after the history has dropped it
        assert app.process_history.get(key) is None
        assert "ended 15 m 30 s ago" in lines()[0]

    try:
        play(scenario, key, processes=[running])
    finally:
        child.kill()
        child.wait(SAFETY_S)


def test_elsewhere_it_is_only_known_to_have_left() -> None:
    async def scenario(app: ScreenApp, lines: Any, pilot: Pilot[Any]) -> None:
        app.feed([], 65)
        app.feed([], 70)
        assert lines()[0].endswith("left the GPUs 5 s ago")

    play(scenario, can_signal="These processes are from a recording.")


def test_where_no_device_answers_it_is_only_not_seen() -> None:
    async def scenario(app: ScreenApp, lines: Any, pilot: Pilot[Any]) -> None:
        app.feed([], 69, answering=False)
        assert lines()[0].endswith("not seen for 10 s")
        app.feed(sample_processes(), 70)
        assert lines()[0] == " 4101 python3"

    play(scenario)


def test_a_process_that_is_unknown_says_so() -> None:
    async def scenario(app: ScreenApp, lines: Any, pilot: Pilot[Any]) -> None:
        assert lines()[0] == "  Nothing was read of this process."
        await pilot.press("K")
        assert app.said_of(ProcessTable.SignalRequested) == []

    play(scenario, ProcessKey(1, 1))


def test_keys_signal_copy_and_go_back() -> None:
    async def scenario(app: ScreenApp, lines: Any, pilot: Pilot[Any]) -> None:
        await pilot.press("K")
        await pilot.pause()
        (asked,) = app.said_of(ProcessTable.SignalRequested)
        assert [(t.pid, t.start_ticks) for t in asked.targets] == [(4101, 123456)]
        assert app.screen.copyable == ("4101", "PID")  # type: ignore[attr-defined]
        await pilot.press("escape")
        await pilot.pause()
        assert not isinstance(app.screen, ProcessScreen)

    play(scenario)


def test_where_signals_are_off_the_key_says_why() -> None:
    async def scenario(app: ScreenApp, lines: Any, pilot: Pilot[Any]) -> None:
        await pilot.press("K")
        await pilot.pause()
        assert app.toasts == ["The processes are simulated."]
        assert app.said_of(ProcessTable.SignalRequested) == []

    play(scenario, can_signal="The processes are simulated.")


@pytest.mark.parametrize("size", [(40, 12), (60, 15), (99, 30), (100, 30), (300, 60)])
@pytest.mark.parametrize("ascii_only", [False, True])
def test_it_fits_every_size(size: tuple[int, int], ascii_only: bool) -> None:
    async def scenario(app: ScreenApp, lines: Any, pilot: Pilot[Any]) -> None:
        for _ in range(6):
            said = lines()
            assert len(said) == size[1] - 2
            if ascii_only:
                assert "".join(said).isascii()
            await pilot.press("pagedown")

    play(scenario, size=size, ascii_only=ascii_only)
    nasty = sample_processes()[3]
    nasty.uses = [DeviceUse(UUIDS[0], missing={"memory_bytes": "unsupported"})]
    play(scenario, ProcessKey(7400, 9), size, [nasty], ascii_only=ascii_only)


def bare(reason: str) -> Process:
    return Process(
        pid=9, missing=dict.fromkeys(("start_ticks", "name", "user"), reason),
        uses=[DeviceUse(UUIDS[0], "C", memory_bytes=GIB)],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("reason", "why"), [("denied", "another container"), ("error(ESRCH)", "/proc hides it")]
)
def test_a_pid_that_is_not_visible_here_says_why(reason: str, why: str) -> None:
    async def scenario(app: ScreenApp, lines: Any, pilot: Pilot[Any]) -> None:
        assert why in " ".join(line.strip() for line in lines())

    play(scenario, ProcessKey(9, None), processes=[bare(reason)])


def test_one_thread_is_one() -> None:
    one = Process(pid=9, start_ticks=9, state="R", threads=1, uses=[DeviceUse(UUIDS[0])])

    async def scenario(app: ScreenApp, lines: Any, pilot: Pilot[Any]) -> None:
        assert any(line.endswith("running, 1 thread") for line in lines())

    play(scenario, ProcessKey(9, 9), processes=[one])


def test_charts_say_their_scale() -> None:
    async def scenario(app: ScreenApp, lines: Any, pilot: Pilot[Any]) -> None:
        assert sum(line.startswith("  of 100 %") for line in lines()) == 2
        assert sum(line.startswith("  of 80.0 GiB") for line in lines()) == 2

    play(scenario)


@pytest.mark.parametrize("size", [(80, 30), (80, 45), (120, 30), (120, 40)])
def test_charts_take_the_room_there_is(size: tuple[int, int]) -> None:
    async def scenario(app: ScreenApp, lines: Any, pilot: Pilot[Any]) -> None:
        page = app.screen.query_one(ProcessPage)
        assert page.size.height - 4 <= len(page.rows(size[0])) <= page.size.height

    play(scenario, size=size)


def test_charts_grow_with_the_screen() -> None:
    async def scenario(app: ScreenApp, lines: Any, pilot: Pilot[Any]) -> None:
        before = sum("█" in line for line in lines())
        await pilot.resize_terminal(100, 60)
        await pilot.pause()
        page = app.screen.query_one(ProcessPage)
        after = [page.render_line(y).text for y in range(page.size.height)]
        assert sum("█" in line for line in after) > before

    play(scenario, size=(100, 24))

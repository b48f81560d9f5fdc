"""The process table: rows, columns, order, cursor, and the widget under a real pilot."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from rich.cells import cell_len
from rich.segment import Segment
from textual.events import MouseScrollDown
from textual.pilot import Pilot

from gputop.errors import SettingsError
from gputop.model.frame import DeviceUse, DriverInfo, Process, ReadTimes
from gputop.model.missing import explain
from gputop.query import QueryError, compile_filter
from gputop.state.process_history import ProcessKey
from gputop.text import Units
from gputop.ui.processes import marks, picture
from gputop.ui.processes.columns import (
    ASCII_LEGEND,
    COLUMNS,
    DEFAULT_COLUMNS,
    LEAST_COMMAND,
    LEGEND,
    Drawing,
    chosen_columns,
    lay_out,
    sorted_rows,
)
from gputop.ui.processes.model import TableModel
from gputop.ui.processes.note import Note, fit_notes
from gputop.ui.processes.rows import Row, RowOptions, build_rows, cards_of, total
from gputop.ui.processes.table import ProcessTable
from gputop.ui.themes import DARK, MONO, Palette
from gputop.ui.view import View
from gputop.ui.widgets.filter_bar import FilterBar
from tests.samples import (
    GIB,
    MIG_UUIDS,
    NASTY,
    UTC_S,
    UUIDS,
    no_driver_frame,
    no_driver_hello,
    sample_frame,
    sample_hello,
    sample_info,
    sample_processes,
    sample_reading,
)
from tests.ui.small_app import SmallApp, view_of

ANN = ProcessKey(4101, 123456)
TRITON = ProcessKey(5200, 223456)
DRAWING = Drawing(Units(), "≥", "└ ")


def view_with(processes: list[Process], **changes: Any) -> View:
    return view_of(sample_hello(), sample_frame(processes=processes, **changes))


def healthy_view(processes: list[Process]) -> View:
    """Two devices that answer, so that nothing is unread."""
    hello = sample_hello(devices=[sample_info(0), sample_info(1)])
    frame = sample_frame(devices=[sample_reading(0), sample_reading(1)], processes=processes)
    return view_of(hello, frame)


def simple(pid: int, memory: int | None = GIB, **changes: Any) -> Process:
    fields: dict[str, Any] = {
        "pid": pid, "start_ticks": pid * 10, "name": f"job{pid}", "user": "ann", "uid": 1000,
        "uses": [DeviceUse(UUIDS[0], "C", memory_bytes=memory)],
    }  # fmt: skip
    return Process(**(fields | changes))


CARDS = cards_of(view_with([]).devices)


def rows_of(processes: list[Process], **options: Any) -> list[Row]:
    return build_rows(processes, CARDS, RowOptions(utc_s=UTC_S, **options))


def texts(row: Row) -> dict[str, str | None]:
    return {column.key: column.text(row, DRAWING) for column in COLUMNS}


# -- rows ----------------------------------------------------------------------------------------


def test_a_process_on_two_devices_is_one_row_with_sums() -> None:
    ann = rows_of(sample_processes(), uid=1000)[0]
    assert texts(ann) == {
        "gpu": "0,1", "pid": "4101", "user": "ann", "type": "C", "sm": "181",
        "memory_controller": "79", "encoder": "≥0", "decoder": "≥0", "gpu_memory": "119 GiB",
        "gpu_memory_share": "74", "cpu": "340", "host_memory": "21.0 GiB", "threads": "96",
        "time": "2 h 00 m", "state": "R", "command": "python3 train.py --token SECRET",
    }  # fmt: skip
    assert ann.mine is True
    assert ann.unfolds


def test_it_unfolds_into_a_row_a_device() -> None:
    first, second = (texts(part) for part in rows_of(sample_processes())[0].parts())
    assert (first["gpu"], first["gpu_memory"], first["sm"]) == ("0", "60.0 GiB", "91")
    assert (second["gpu"], second["gpu_memory"], second["encoder"]) == ("1", "59.0 GiB", "–")
    assert first["command"] == "└ GPU 0 H100 80GB HBM3"
    assert {first[key] for key in ("pid", "user", "cpu", "host_memory", "time")} == {None}


def test_what_was_not_read_is_a_dash_and_never_a_zero() -> None:
    nameless = next(row for row in rows_of(sample_processes(), uid=1000) if row.pid == 6300)
    shown = texts(nameless)
    assert {key for key, said in shown.items() if said != "–"} == {"gpu", "pid", "type"}
    assert nameless.mine is None
    idle = next(row for row in rows_of(sample_processes()) if row.pid == 7400)
    assert (texts(idle)["sm"], texts(idle)["gpu_memory"], texts(idle)["cpu"]) == ("0", "0 B", "0")


def test_a_mig_instance_is_named_by_device_and_instance_and_shares_its_memory() -> None:
    triton = next(row for row in rows_of(sample_processes()) if row.pid == 5200)
    assert texts(triton)["gpu"] == "3:0"
    assert texts(triton)["gpu_memory_share"] == "28"  # 11 of the instance's 40 GiB
    assert compile_filter("gpu:3:0 gpu:3")(triton)
    assert not compile_filter("gpu:3:1")(triton)


def test_names_cannot_touch_the_terminal() -> None:
    nasty = next(row for row in rows_of(sample_processes()) if row.pid == 7400)
    assert NASTY not in str(texts(nasty))
    assert all(said is None or said.isprintable() for said in texts(nasty).values())
    assert "[bold red]" in nasty.command


def test_arguments_are_hidden_where_the_settings_say_so() -> None:
    ann = rows_of(sample_processes(), hide_args=True)[0]
    assert texts(ann)["command"] == "python3"
    assert not compile_filter("SECRET")(ann)
    assert not compile_filter("!cmd:SECRET")(ann)


def test_the_rows_of_one_device_count_that_device_only() -> None:
    (ann,) = rows_of(sample_processes(), device=UUIDS[1])
    assert (texts(ann)["gpu"], texts(ann)["gpu_memory"]) == ("1", "59.0 GiB")
    (triton,) = rows_of(sample_processes(), device=MIG_UUIDS[0])
    assert triton.pid == 5200


@pytest.mark.parametrize(
    ("indices", "short"),
    [
        ([0], "0"), ([0, 1], "0,1"), ([0, 1, 2], "0-2"), ([0, 1, 2, 3, 6], "0-3,6"),
        ([0, 2, 4], "0,2,4"), ([5, 4, 6], "4-6"), (range(8), "0-7"),
    ],
)  # fmt: skip
def test_devices_are_written_short(indices: Iterable[int], short: str) -> None:
    uses = [DeviceUse(UUIDS[i]) for i in indices]
    process = Process(pid=1, uses=uses)
    (row,) = rows_of([process])
    assert row.gpu == short


def test_a_device_that_nobody_knows_is_a_question_mark() -> None:
    (row,) = rows_of([Process(pid=1, uses=[DeviceUse("GPU-new"), DeviceUse(UUIDS[1])])])
    assert row.gpu == "1,?"
    assert texts(row)["gpu_memory_share"] == "–"


@given(st.lists(st.none() | st.floats(0, 1e12), max_size=6))
def test_a_sum_never_takes_the_unknown_for_nothing(values: list[float | None]) -> None:
    known = [value for value in values if value is not None]
    amount = total(values)
    assert (amount.value is None) == (not known)
    assert amount.at_least == (bool(known) and len(known) < len(values))
    if known:
        assert amount.value == sum(known)


# -- order ---------------------------------------------------------------------------------------

PROCESSES = st.lists(
    st.builds(
        simple,
        st.integers(1, 40),
        st.none() | st.integers(0, 3).map(lambda n: n * GIB),
        user=st.none() | st.sampled_from(["ann", "Bob", "eve"]),
        cpu_utilization=st.none() | st.floats(0, 4),
        threads=st.none() | st.integers(1, 3),
        state=st.none() | st.sampled_from("RS"),
        command=st.none() | st.lists(st.text(max_size=5), max_size=2),
        started_utc_s=st.none() | st.floats(UTC_S - 1000, UTC_S),
    ),
    max_size=12,
    unique_by=lambda process: process.pid,
)  # fmt: skip
COLUMN = st.sampled_from(COLUMNS)


@settings(max_examples=60, deadline=None)
@given(PROCESSES, COLUMN, st.booleans())
def test_sorting_puts_the_unknown_last_and_keeps_the_order_of_equals(
    processes: list[Process], column: Any, reverse: bool
) -> None:
    rows = rows_of(processes)
    ordered = sorted_rows(rows, column, reverse)
    assert sorted(row.pid for row in ordered) == [row.pid for row in rows]
    values = [column.sort(row) for row in ordered]
    known = [value for value in values if value is not None]
    assert values == known + [None] * (len(values) - len(known))
    assert known == sorted(known, reverse=column.descending is not reverse)
    for value in set(values):
        pids = [row.pid for row in ordered if column.sort(row) == value]
        assert pids == sorted(pids)


ACTIONS = st.one_of(
    st.tuples(st.just("load"), PROCESSES),
    st.tuples(st.just("sort"), st.tuples(COLUMN, st.booleans())),
    st.tuples(st.just("move"), st.integers(-2, 14)),
    st.tuples(st.just("filter"), st.sampled_from(["", "ann", "user:bob", "mem>1G", "threads>1"])),
    st.tuples(st.sampled_from(["tag", "fold"]), st.none()),
)


@settings(max_examples=80, deadline=None)
@given(st.lists(ACTIONS, max_size=12))
def test_the_cursor_stays_with_its_process(actions: list[tuple[str, Any]]) -> None:
    model = TableModel()
    model.load(rows_of(sample_processes()))
    for action, argument in actions:
        before = model.current
        if action == "load":
            model.load(rows_of(argument))
        elif action == "sort":
            model.set_sort(*argument)
        elif action == "move":
            model.move_to(argument)
            before = None
        elif action == "filter":
            model.set_filter(compile_filter(argument))
        elif action == "tag":
            model.toggle_tag()
        else:
            model.toggle_fold()
        shown = [row.key.process for row in model.shown]
        assert (model.current is None) == (not shown)
        if before is not None and before.key.process in shown:
            assert model.current is not None
            assert model.current.key.process == before.key.process
        assert {row.key.process for row in model.tagged} <= {r.key.process for r in model.all}


def test_when_its_process_leaves_the_cursor_stays_at_its_place_and_says_so() -> None:
    model = TableModel()
    model.load(rows_of([simple(pid, pid * GIB) for pid in (1, 2, 3, 4)]))
    assert [row.pid for row in model.shown] == [4, 3, 2, 1]
    model.move_to(1)
    model.load(rows_of([simple(pid, pid * GIB) for pid in (1, 2, 4)]))
    assert model.current is not None
    assert model.current.pid == 2
    assert model.lost is not None
    assert model.lost.pid == 3


def test_a_recycled_pid_is_another_process() -> None:
    model = TableModel()
    model.load(rows_of([simple(1), simple(2)]))
    model.move_to(1)
    model.toggle_tag()
    model.load(rows_of([simple(1), simple(2, start_ticks=999)]))
    assert model.tagged == []
    assert model.lost is not None


def test_a_filter_that_hides_the_cursors_process_is_no_loss() -> None:
    model = TableModel()
    model.load(rows_of(sample_processes()))
    model.set_filter(compile_filter("bob"))
    assert model.lost is None
    assert [row.pid for row in model.shown] == [5200]


def test_tags_stay_through_a_filter_and_are_what_actions_are_about() -> None:
    model = TableModel()
    model.load(rows_of(sample_processes()))
    assert [row.pid for row in model.chosen] == [4101]  # the one under the cursor
    model.toggle_tag()
    model.set_filter(compile_filter("bob"))
    assert [row.pid for row in model.chosen] == [4101]
    model.clear_tags()
    assert [row.pid for row in model.chosen] == [5200]


# -- columns -------------------------------------------------------------------------------------


def test_columns_come_from_the_settings_with_the_command_last() -> None:
    keys = [column.key for column in chosen_columns(["pid", "command", "gpu-memory", "pid"])]
    assert keys == ["pid", "gpu_memory", "command"]
    assert tuple(c.key for c in chosen_columns(())) == DEFAULT_COLUMNS
    with pytest.raises(SettingsError, match=r"no process column colour; accepted are gpu, pid"):
        chosen_columns(["pid", "colour"])


@pytest.mark.parametrize("width", range(40, 301))
def test_columns_fit_from_40_to_300_cells(width: int) -> None:
    slots = lay_out(COLUMNS, {}, picture.LEAD, width)
    kept = [slot.column.key for slot in slots]
    command = slots[-1]
    assert command.column.key == "command"
    assert command.start + command.width == width
    assert {"pid", "sm", "gpu_memory"} <= set(kept)
    for left, right in pairwise(slots):
        assert left.start + left.width + 1 == right.start
    if {c.key for c in COLUMNS if c.rank} & set(kept):
        assert command.width >= LEAST_COMMAND
    dropped = [c for c in COLUMNS if c.key not in kept]
    worst_kept = max((slot.column.rank for slot in slots), default=0)
    assert all(column.rank > worst_kept for column in dropped)


@pytest.mark.parametrize("width", range(60, 160))
def test_columns_few_would_miss_go_before_the_command_is_short(width: int) -> None:
    slots = lay_out(COLUMNS, {}, picture.LEAD, width)
    if {"type", "encoder", "decoder", "memory_controller"} & {s.column.key for s in slots}:
        assert slots[-1].width >= 30


def test_memory_in_per_cent_is_the_memory_held() -> None:
    titles = {column.key: column.title for column in COLUMNS}
    assert (titles["gpu_memory_share"], titles["memory_controller"]) == ("MEM%", "MC%")


def test_the_legend_explains_the_signs_that_are_drawn() -> None:
    assert {"▪", "▸", "7:0", "TYPE", "MEM%", "MC%"} <= {sign for sign, _ in LEGEND}
    assert "".join(sign + words for sign, words in ASCII_LEGEND).isascii()
    assert marks.ASCII.mine != marks.ASCII.cut


def test_every_column_that_names_a_filter_field_is_right_about_it() -> None:
    for column in COLUMNS:
        if column.field:
            with pytest.raises(QueryError, match=f"{column.field} wants"):
                compile_filter(f"{column.field}:")


# -- the widget ----------------------------------------------------------------------------------

Scenario = Callable[["SmallApp", ProcessTable, Pilot[Any]], Awaitable[None]]


class TableApp(SmallApp):
    def on_process_table_opened(self, message: ProcessTable.Opened) -> None:
        self.said.append(message)

    def on_process_table_signal_requested(self, message: ProcessTable.SignalRequested) -> None:
        self.said.append(message)

    def on_process_table_sort_changed(self, message: ProcessTable.SortChanged) -> None:
        self.said.append(message)

    def on_process_table_filter_cleared(self, message: ProcessTable.FilterCleared) -> None:
        self.said.append(message)


def play(
    scenario: Scenario, view: View | None = None, size: tuple[int, int] = (120, 12), **options: Any
) -> None:
    async def run() -> None:
        table = ProcessTable(id="processes")
        app = TableApp(table, **options)
        async with app.run_test(size=size) as pilot:
            table.uid = 1000
            table.focus()
            shown = view or view_with(sample_processes())
            table.load(shown.processes, shown)
            await pilot.pause()
            await scenario(app, table, pilot)

    asyncio.run(run())


def lines(table: ProcessTable) -> list[str]:
    return [table.render_line(y).text for y in range(table.size.height)]


def shown_pids(table: ProcessTable) -> list[int]:
    return [row.pid for row in table.model.shown]


def test_it_draws_header_and_rows() -> None:
    async def scenario(app: SmallApp, table: ProcessTable, pilot: Pilot[Any]) -> None:
        header, first, *_ = lines(table)
        assert "GPU MEM▼" in header
        assert first.split()[:5] == ["▪▸0,1", "4101", "ann", "C", "181"]
        assert all(cell_len(line) == 120 for line in lines(table))
        screen = "\n".join(
            "".join(s.text for s in strip) for strip in app.screen._compositor.render_strips()
        )
        assert first.rstrip() in screen

    play(scenario)


@pytest.mark.parametrize("palette", [DARK, MONO], ids=lambda palette: palette.name)
@pytest.mark.parametrize("width", [40, 41, 59, 80, 133, 200, 300])
def test_every_line_is_exactly_as_wide_as_the_screen(width: int, palette: Palette) -> None:
    async def scenario(app: SmallApp, table: ProcessTable, pilot: Pilot[Any]) -> None:
        for keys in ((), ("u",), ("l", "l", "l"), ("s",)):
            await pilot.press(*keys)
            assert [table.render_line(y).cell_length for y in range(12)] == [width] * 12
            assert all(cell_len(line) == width for line in lines(table))
            assert "4101" in "".join(lines(table))
            assert "119 GiB" in "".join(lines(table))

    play(scenario, size=(width, 12), palette=palette)


def test_in_ascii_mode_nothing_else_is_drawn() -> None:
    async def scenario(app: SmallApp, table: ProcessTable, pilot: Pilot[Any]) -> None:
        await pilot.press("u", "space", "l")
        assert "".join(lines(table)).isascii()
        assert "GPU MEM v " in lines(table)[0]
        assert lines(table)[1].startswith("*@-0,1")
        assert ">0" in lines(table)[1]  # at least 0: a part was not read

    play(scenario, ascii_only=True, size=(160, 12))


def test_keys_move_tag_and_open() -> None:
    async def scenario(app: SmallApp, table: ProcessTable, pilot: Pilot[Any]) -> None:
        assert shown_pids(table) == [4101, 5200, 7400, 6300]
        await pilot.press("j", "down", "k")
        assert table.cursor_key is not None
        assert table.cursor_key.process == TRITON
        await pilot.press("space")
        assert table.tagged == [TRITON]
        assert table.current is not None
        assert table.current.pid == 7400
        await pilot.press("end", "home", "enter")
        await pilot.pause()
        assert [m.key for m in app.said_of(ProcessTable.Opened)] == [ANN]
        await pilot.press("G", "down", "down", "enter")
        await pilot.pause()
        assert app.said_of(ProcessTable.Opened)[-1].key == ProcessKey(6300, None)

    play(scenario)


def backgrounds(table: ProcessTable) -> list[str]:
    """The background of each row, where there is one row's worth of it."""
    found = []
    for y in range(1, 5):
        colours = {str(s.style.bgcolor.name) for s in table.render_line(y) if s.style}  # type: ignore[union-attr]
        assert len(colours) == 1
        found += colours
    return found


def test_the_row_under_the_cursor_stands_out_and_less_without_the_focus() -> None:
    async def scenario(app: SmallApp, table: ProcessTable, pilot: Pilot[Any]) -> None:
        plain, bright, pale = DARK.background, DARK.selection, DARK.surface
        assert backgrounds(table) == [bright, plain, plain, plain]
        await pilot.press("down")
        assert backgrounds(table) == [plain, bright, plain, plain]
        table.blur()
        await pilot.pause()
        assert backgrounds(table) == [plain, pale, plain, plain]

    play(scenario)


def test_the_signal_key_asks_for_the_tagged_processes_or_the_one_under_the_cursor() -> None:
    async def scenario(app: SmallApp, table: ProcessTable, pilot: Pilot[Any]) -> None:
        await pilot.press("K")
        await pilot.pause()
        (asked,) = app.said_of(ProcessTable.SignalRequested)
        assert [(t.pid, t.start_ticks, t.name, t.user) for t in asked.targets] == [
            (4101, 123456, "python3", "ann")
        ]
        await pilot.press("down", "space", "space", "home", "K")
        await pilot.pause()
        assert [t.pid for t in app.said_of(ProcessTable.SignalRequested)[-1].targets] == [
            5200, 7400,
        ]  # fmt: skip

    play(scenario)


def test_where_signals_are_off_the_key_says_why() -> None:
    async def scenario(app: SmallApp, table: ProcessTable, pilot: Pilot[Any]) -> None:
        await pilot.press("K")
        await pilot.pause()
        assert app.toasts == ["Read-only: signals are off."]
        assert app.said_of(ProcessTable.SignalRequested) == []

    play(scenario, can_signal="Read-only: signals are off.")


def test_unfolding_shows_the_devices_and_the_cursor_can_stand_on_one() -> None:
    async def scenario(app: SmallApp, table: ProcessTable, pilot: Pilot[Any]) -> None:
        await pilot.press("u")
        assert table.row_count == 6
        assert "GPU 1 H100 80GB HBM3" in lines(table)[3]
        assert "▾" in lines(table)[1]
        await pilot.press("down", "down")
        assert table.cursor_key is not None
        assert table.cursor_key.part == UUIDS[1]
        await pilot.press("enter", "o")
        await pilot.pause()
        assert app.said_of(ProcessTable.Opened)[0].key == ANN
        assert table.cursor_key.process == ANN
        assert table.row_count == 4

    play(scenario)


def test_sort_keys_walk_the_columns_and_reverse() -> None:
    async def scenario(app: SmallApp, table: ProcessTable, pilot: Pilot[Any]) -> None:
        await pilot.press("s")
        assert table.sort_key == "gpu_memory_share"
        await pilot.press("less_than_sign", "less_than_sign")
        assert table.sort_key == "memory_controller"
        await pilot.press("greater_than_sign", "S")
        await pilot.pause()
        assert (table.sort_key, table.reverse) == ("gpu_memory", True)
        assert "GPU MEM▲" in lines(table)[0]
        assert shown_pids(table) == [7400, 5200, 4101, 6300]  # the unknown stays last
        last = app.said_of(ProcessTable.SortChanged)[-1]
        assert (last.sort_key, last.reverse) == ("gpu_memory", True)

    play(scenario)


def test_columns_and_order_come_from_the_settings() -> None:
    async def scenario(app: SmallApp, table: ProcessTable, pilot: Pilot[Any]) -> None:
        assert lines(table)[0].split() == ["PID▲", "CPU%", "COMMAND", "GPU", "2,7", "not", "read"]
        assert shown_pids(table) == [4101, 5200, 6300, 7400]
        assert "SECRET" not in "".join(lines(table))

    play(scenario, settings={"columns": ("pid", "cpu"), "sort": "pid", "hide-args": True})


def test_long_commands_scroll_and_the_other_columns_stay() -> None:
    async def scenario(app: SmallApp, table: ProcessTable, pilot: Pilot[Any]) -> None:
        before = lines(table)[1]
        start = before.index("python3")
        await pilot.press("right")
        after = lines(table)[1]
        assert after[:start] == before[:start]
        assert after[start:].startswith("…train.py --tok"[:10]) or "…" in after[start]
        assert "COMMAND …8" in lines(table)[0]
        for _ in range(20):
            await pilot.press("l")
        assert lines(table)[3].rstrip().endswith("hunter2")
        for _ in range(20):
            await pilot.press("h")
        assert lines(table)[1] == before

    play(scenario, view=healthy_view(sample_processes()), size=(80, 12))


def test_the_view_follows_the_cursor_and_says_where_it_is() -> None:
    async def scenario(app: SmallApp, table: ProcessTable, pilot: Pilot[Any]) -> None:
        assert lines(table)[0].rstrip().endswith("1–11 of 40")
        await pilot.press("pagedown", "pagedown")
        assert table.current is not None
        assert table.current.pid == 23
        assert any(" 23 " in line for line in lines(table))
        await pilot.press("end")
        assert lines(table)[0].rstrip().endswith("30–40 of 40")
        assert " 40 " in lines(table)[-1]

    processes = [simple(pid, 50 * GIB - pid) for pid in range(1, 41)]
    play(scenario, view=healthy_view(processes))


def test_only_the_rows_that_changed_are_drawn_anew() -> None:
    async def scenario(app: SmallApp, table: ProcessTable, pilot: Pilot[Any]) -> None:
        before = [table.render_line(y) for y in range(12)]
        processes = sample_processes()
        processes[1].cpu_utilization = 0.75
        view = view_with(processes)
        table.load(view.processes, view)
        after = [table.render_line(y) for y in range(12)]
        same = [new is old for new, old in zip(after, before, strict=True)]
        assert same[1:5] == [True, False, True, True]
        assert [y for y in range(12) if after[y] != before[y]] == [2]

    play(scenario)


def test_the_cursor_stays_with_its_process_when_the_order_changes() -> None:
    async def scenario(app: SmallApp, table: ProcessTable, pilot: Pilot[Any]) -> None:
        await pilot.press("down")
        processes = sample_processes()
        processes[1].uses[0].memory_bytes = 500 * GIB
        view = view_with(processes)
        table.load(view.processes, view)
        assert shown_pids(table)[0] == 5200
        assert table.cursor_key is not None
        assert table.cursor_key.process == TRITON

    play(scenario)


def test_a_process_that_leaves_under_the_cursor_is_told_until_the_next_key() -> None:
    async def scenario(app: SmallApp, table: ProcessTable, pilot: Pilot[Any]) -> None:
        await pilot.press("down")
        left = [p for p in sample_processes() if p.pid != 5200]
        view = view_with(left)
        table.load(view.processes, view)
        assert lines(table)[0].rstrip().endswith("5200 tritonserver left · !2,7")
        assert table.current is not None
        assert table.current.pid == 7400
        await pilot.press("down")
        assert "left" not in lines(table)[0]

    play(scenario, size=(140, 12))


@pytest.mark.parametrize("why", ["released", "unread", "lost", "timed_out"])
def test_where_its_devices_were_not_read_nobody_knows_that_it_left(why: str) -> None:
    changes: dict[str, dict[str, Any]] = {
        "released": {"status": "pending", "read_at": ReadTimes()},
        "unread": {"missing": {"processes": "denied"}},
        "lost": {"status": "lost"},
        "timed_out": {"status": "timed_out"},
    }
    driver = DriverInfo(status="released") if why == "released" else DriverInfo(status="ok")
    hello = sample_hello(devices=[sample_info(0), sample_info(1)], driver=driver)
    readings = [sample_reading(0), sample_reading(1, **changes[why])]
    silent = view_of(hello, sample_frame(devices=readings, processes=[]))
    read = healthy_view([])

    async def scenario(app: SmallApp, table: ProcessTable, pilot: Pilot[Any]) -> None:
        table.load(silent.processes, silent)
        assert "left" not in lines(table)[0]
        table.load(sample_processes()[:1], healthy_view(sample_processes()[:1]))
        assert table.current is not None
        table.load(read.processes, read)
        assert "4101 python3 left" in lines(table)[0]

    play(scenario, view=healthy_view(sample_processes()[:1]), size=(160, 12))


def test_and_for_a_few_seconds_at_most() -> None:
    async def scenario(app: SmallApp, table: ProcessTable, pilot: Pilot[Any]) -> None:
        for later, told in ((0, True), (4, True), (6, False)):
            view = view_with(sample_processes()[1:], boottime_s=86_400 + later)
            table.load(view.processes, view)
            assert ("left" in lines(table)[0]) is told

    play(scenario)


def said_when_empty(view: View, width: int = 120, **state: Any) -> str:
    found = []

    async def scenario(app: SmallApp, table: ProcessTable, pilot: Pilot[Any]) -> None:
        table.filter_text = state.get("filter_text", "")
        table.device = state.get("device")
        table.load(view.processes, view)
        found.append(" ".join(" ".join(lines(table)[1:]).split()))

    play(scenario, view=view, size=(width, 12))
    return found[0]


def test_an_empty_table_says_why() -> None:
    assert said_when_empty(View()) == "Waiting for the first reading."
    assert said_when_empty(healthy_view([])) == "No process uses a GPU."
    assert said_when_empty(healthy_view([]), device=UUIDS[0]) == "No process uses this GPU."
    busy = healthy_view(sample_processes())
    assert said_when_empty(busy, filter_text="user:zoe") == (
        "No process matches the filter user:zoe (Esc clears)."
    )
    assert said_when_empty(view_of(no_driver_hello(), no_driver_frame())) == (
        "Look around with `gputop --demo`; `gputop doctor` says what is missing."
    )


def header_of(width: int, filter_text: str, processes: list[Process]) -> str:
    found = []

    async def scenario(app: SmallApp, table: ProcessTable, pilot: Pilot[Any]) -> None:
        table.filter_text = filter_text
        found.append(lines(table)[0].rstrip())

    play(scenario, view=view_with(processes), size=(width, 8))
    return found[0]


@pytest.mark.parametrize(
    ("width", "said"),
    [
        (200, "/user:ann (Esc clears) · 1 of 4 · GPU 2,7 not read"),
        (140, "/user:ann · 1 of 4 · 2,7 not read"),
        (120, "/user:ann · 1 of 4 · !2,7"),
        (100, "/user:ann · 1 of 4"),
        (80, "/user:ann"),
        (56, "/user:ann"),
    ],
)
def test_the_header_says_as_much_as_fits_and_the_filter_first(width: int, said: str) -> None:
    header = header_of(width, "user:ann", sample_processes())
    assert header.endswith(f" {said}")
    assert "COMMAND " in header


def test_a_filter_is_told_beside_the_place_in_the_table() -> None:
    many = [simple(pid) for pid in range(1, 41)]
    assert " /ann (Esc clears) · 1–7 of 40 (40 in all) · GPU 2,7" in header_of(200, "ann", many)


@pytest.mark.parametrize("room", range(80))
def test_notes_never_take_more_than_their_room(room: int) -> None:
    notes = [Note(("/日本 user:ann",), "accent", "(Esc clears)"), Note(("3 of 29",), "dim"),
             Note(("GPU 6 not read", "6 not read", "!6"), "warning")]  # fmt: skip
    text = "".join(text for text, _ in fit_notes(notes, room, "…"))
    assert cell_len(text) <= room
    assert text.startswith("/日本 user:ann") or room < len("/日本 user:ann") + 2


def test_while_a_filter_is_being_written_the_rows_stay_and_nothing_is_claimed() -> None:
    busy = healthy_view(sample_processes())

    async def scenario(app: SmallApp, table: ProcessTable, pilot: Pilot[Any]) -> None:
        table.set_filter(replace(compile_filter("foo"), unfinished=True))
        assert "The filter is not complete yet." in "".join(lines(table))
        assert "foo" not in "".join(lines(table))
        table.set_filter(replace(compile_filter("ann"), unfinished=True))
        assert shown_pids(table) == [4101]

    play(scenario, view=busy)


def test_an_empty_table_says_which_lists_could_not_be_read() -> None:
    reading = sample_reading(0, missing={"processes": "denied"})
    hello = sample_hello(devices=[sample_info(0)])
    view = view_of(hello, sample_frame(devices=[reading], processes=[]))
    said = "Process lists are not readable: GPU 0: " + explain("denied") + "."
    assert said_when_empty(view) == said
    assert said_when_empty(view, width=40) == said


def test_lists_that_are_missing_are_told_beside_those_that_are_there() -> None:
    async def scenario(app: SmallApp, table: ProcessTable, pilot: Pilot[Any]) -> None:
        assert lines(table)[0].rstrip().endswith("GPU 2,7 not read")  # one lost, one silent

    play(scenario)


def test_escape_clears_the_filter_then_the_tags_then_belongs_to_the_screen() -> None:
    async def scenario(app: SmallApp, table: ProcessTable, pilot: Pilot[Any]) -> None:
        escapes: list[str] = []
        app.bind("escape", "escaped")
        app.action_escaped = lambda: escapes.append("app")  # type: ignore[attr-defined]
        table.filter_text = "ann"
        await pilot.press("space", "escape")
        await pilot.pause()
        assert table.filter_text == ""
        assert len(app.said_of(ProcessTable.FilterCleared)) == 1
        assert table.tagged == [ANN]
        await pilot.press("escape")
        assert table.tagged == []
        assert escapes == []
        await pilot.press("escape")
        await pilot.pause()
        assert escapes == ["app"]

    play(scenario)


def test_a_filter_that_is_none_changes_nothing() -> None:
    async def scenario(app: SmallApp, table: ProcessTable, pilot: Pilot[Any]) -> None:
        table.filter_text = "user:bob"
        with pytest.raises(QueryError):
            table.filter_text = "mem>"
        assert table.filter_text == "user:bob"
        assert shown_pids(table) == [5200]

    play(scenario)


def test_the_mouse_moves_opens_sorts_and_scrolls() -> None:
    async def scenario(app: SmallApp, table: ProcessTable, pilot: Pilot[Any]) -> None:
        await pilot.click("#processes", offset=(20, 2))
        assert table.current is not None
        assert table.current.pid == 2
        await pilot.click("#processes", offset=(20, 4), times=2)
        await pilot.pause()
        assert app.said_of(ProcessTable.Opened)[-1].key == ProcessKey(4, 40)
        x = lines(table)[0].index("PID") + 1
        await pilot.click("#processes", offset=(x, 0))
        assert (table.sort_key, table.reverse) == ("pid", False)
        await pilot.click("#processes", offset=(x, 0))
        assert (table.sort_key, table.reverse) == ("pid", True)
        await pilot.press("home")
        # The pilot has no wheel of its own.
        await pilot._post_mouse_events([MouseScrollDown], "#processes", (5, 5))
        await pilot.pause()
        assert lines(table)[0].rstrip().endswith("4–14 of 40")
        assert table.current.pid == 37

    processes = [simple(pid, 50 * GIB - pid) for pid in range(1, 41)]
    play(scenario, view=healthy_view(processes))


def test_ones_own_rows_differ_in_more_than_colour() -> None:
    async def scenario(app: SmallApp, table: ProcessTable, pilot: Pilot[Any]) -> None:
        table.uid = 1001
        view = view_with(sample_processes())
        table.load(view.processes, view)
        assert [line[1] for line in lines(table)[1:4]] == [" ", "▪", " "]
        table.uid = None
        table.load(view.processes, view)
        assert [line[1] for line in lines(table)[1:4]] == [" ", " ", " "]

    play(scenario)


def test_by_default_ones_own_are_those_of_the_user_who_runs_it() -> None:
    assert ProcessTable().uid == os.getuid()


# -- the filter bar ------------------------------------------------------------------------------


class BarApp(SmallApp):
    def on_filter_bar_changed(self, message: FilterBar.Changed) -> None:
        self.said.append(message)

    def on_filter_bar_kept(self, message: FilterBar.Kept) -> None:
        self.said.append(message)

    def on_filter_bar_cleared(self, message: FilterBar.Cleared) -> None:
        self.said.append(message)


def play_bar(
    scenario: Callable[[BarApp, FilterBar, Pilot[Any]], Awaitable[None]], width: int = 100
) -> None:
    async def run() -> None:
        bar = FilterBar()
        app = BarApp(bar)
        async with app.run_test(size=(width, 9)) as pilot:
            bar.open("")
            await pilot.pause()
            await scenario(app, bar, pilot)

    asyncio.run(run())


def test_the_bar_filters_while_typing_and_keeps_the_last_good_filter() -> None:
    async def scenario(app: BarApp, bar: FilterBar, pilot: Pilot[Any]) -> None:
        await pilot.press(*"ann mem>1G")
        await pilot.pause()
        sent = [message.filter.text for message in app.said_of(FilterBar.Changed)]
        assert sent[-2:] == ["ann mem", "ann mem>1G"]
        assert bar.error == ""
        await pilot.press("backspace")
        await pilot.pause()
        assert "a size with its unit" in bar.error
        assert app.said_of(FilterBar.Changed)[-1].filter.text == "ann mem>1G"
        await pilot.press("enter")
        await pilot.pause()
        assert app.said_of(FilterBar.Kept) == []
        await pilot.press("G", "enter")
        await pilot.pause()
        assert [message.text for message in app.said_of(FilterBar.Kept)] == ["ann mem>1G"]

    play_bar(scenario)


@pytest.mark.parametrize("width", [60, 80, 100])
@pytest.mark.parametrize("typed", ["foo:bar", ">3", "user>ann", "mem>", "state:q"])
def test_an_error_is_never_cut(width: int, typed: str) -> None:
    async def scenario(app: BarApp, bar: FilterBar, pilot: Pilot[Any]) -> None:
        assert "Fields: user gpu pid" in screen_text(app)
        assert "mine" in screen_text(app)
        await pilot.press(*typed)
        await pilot.pause()
        assert bar.error
        assert " ".join(bar.error.split()) in screen_text(app)
        assert app.said_of(FilterBar.Changed)[-1].filter.unfinished

    play_bar(scenario, width)


def screen_text(app: SmallApp) -> str:
    rows = app.screen._compositor.render_strips()
    return " ".join("".join(s.text for row in rows for s in [*row, Segment(" ")]).split())


def test_escape_clears_the_bar() -> None:
    async def scenario(app: BarApp, bar: FilterBar, pilot: Pilot[Any]) -> None:
        await pilot.press(*"mem>", "escape")
        await pilot.pause()
        assert len(app.said_of(FilterBar.Cleared)) == 1
        assert app.said_of(FilterBar.Changed)[-1].filter.text == ""
        assert (bar.text, bar.error) == ("", "")

    play_bar(scenario)


def test_the_bars_cursor_does_not_blink() -> None:
    async def scenario(app: BarApp, bar: FilterBar, pilot: Pilot[Any]) -> None:
        assert not bar.input.cursor_blink
        assert bar.input.has_focus

    play_bar(scenario)


def test_an_error_with_markup_in_it_is_shown_as_it_is() -> None:
    async def scenario(app: BarApp, bar: FilterBar, pilot: Pilot[Any]) -> None:
        bar.open("mem>[red]")
        await pilot.pause()
        assert "mem wants" in bar.error

    play_bar(scenario)

"""The display: the same picture as Textual's, in fewer bytes, at the terminal's own pace."""

import asyncio
import contextlib
import json
import os
import pty
import random
import re
import select
import signal
import sys
import time
import tty
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from weakref import WeakSet

import pyte
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from rich.color import ColorSystem
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual._compositor import ChopsUpdate, LayoutUpdate
from textual.geometry import Region
from textual.strip import Strip

from gputop.ui import display
from gputop.ui.cells import EMPTY, PLAIN, Grid, Look, Looks, change_look, parse_sgr
from gputop.ui.display import (
    MOST_KEYS_AHEAD,
    DisplayDriver,
    FrameWriter,
    Pacer,
    StoppableDriver,
)
from gputop.ui.terminal_input import MOST_PASTED, AnswerParser, FrameAnswer
from tests.terminal import Terminal
from tests.ui.display_app import DisplayApp, Pane, random_strip

APP = [sys.executable, str(Path(__file__).with_name("display_app.py"))]
ROOT = str(Path(__file__).parents[2])
FRAME_OVERHEAD_BYTES = len(display.SYNC_START + display.SYNC_END + display.QUERY)


def run_app(
    *, plain: bool = False, env: Mapping[str, str | None] | None = None, **options: Any
) -> Terminal:
    kind = {"GPUTOP_DISPLAY": "plain"} if plain else {}
    terminal = Terminal(APP, env={"PYTHONPATH": ROOT, **kind, **(env or {})}, **options)
    try:
        terminal.wait_for(r"step 0 keys 0$")
        terminal.wait_quiet(0.2)
    except BaseException:
        terminal.close()
        raise
    return terminal


def appearance(cells: list[list[pyte.screens.Char]]) -> list[list[tuple[object, ...]]]:
    """What the eye sees of cells: the colour of a blank's ink is not part of it."""

    def seen(cell: pyte.screens.Char) -> tuple[object, ...]:
        drawn = cell.underscore or cell.reverse or cell.strikethrough
        ink = (cell.fg, cell.bold, cell.italics) if cell.data != " " or drawn else ()
        return (cell.data, cell.bg, cell.underscore, cell.reverse, cell.strikethrough, *ink)

    return [[seen(cell) for cell in row] for row in cells]


# The cells


class Screen:
    """A pyte screen to compare with another."""

    def __init__(self, width: int, height: int) -> None:
        self.screen = pyte.Screen(width, height)
        self.stream = pyte.Stream(self.screen)
        self.feed("\x1b[?7l")

    def feed(self, text: str) -> None:
        self.stream.feed(text)

    def appearance(self) -> list[list[tuple[object, ...]]]:
        buffer = self.screen.buffer
        rows, columns = range(self.screen.lines), range(self.screen.columns)
        return appearance([[buffer[y][x] for x in columns] for y in rows])


@pytest.mark.parametrize("seed", range(40))
def test_any_sequence_of_updates_ends_in_the_picture_that_was_wanted(seed: int) -> None:
    source = random.Random(seed)
    width, height = source.choice([(20, 4), (37, 5), (1, 1), (2, 3)])
    grid = Grid(width, height, Looks(ColorSystem.TRUECOLOR))
    sent = Screen(width, height)
    console: Any = SimpleNamespace(_color_system=ColorSystem.TRUECOLOR)
    content: dict[tuple[int, int], Strip] = {}
    for update in range(30):
        if update % 6 == 0:  # Windows open and close.
            cuts = sorted({0, width, source.randrange(width), source.randrange(width)})
            content = {}
        for y in range(height):
            for left, right in pairwise(cuts):
                if (left, y) not in content or source.random() < 0.3:
                    content[left, y] = random_strip(source, right - left)
                    grid.put(left, y, content[left, y])
        if source.random() < 0.3:
            continue  # Merged with the next.
        if source.random() < 0.1:
            sent.feed("\x1b[2Jlost\x1b[1;31m")
            grid.invalidate()
        sent.feed(grid.paint(cursor=(0, 0) if source.random() < 0.3 else None))
        wanted = Screen(width, height)
        for (x, y), strip in content.items():
            wanted.feed(f"\x1b[{y + 1};{x + 1}H{strip.render(console)}")
        assert sent.appearance() == wanted.appearance()
        assert grid.paint() == ""


def test_half_a_wide_character_is_never_left() -> None:
    grid = Grid(6, 1, Looks(ColorSystem.TRUECOLOR))
    sent = Screen(6, 1)
    for x, text, expected in (
        (0, "日本語", "日本語"),
        (1, "ab", " ab 語"),
        (0, "日", "日b 語"),
        (5, "x", "日b  x"),
        (4, "日本", "日b 日"),
    ):
        grid.put(x, 0, Strip([Segment(text)]))
        sent.feed(grid.paint())
        assert "".join(cell.data for cell in sent.screen.buffer[0].values()).rstrip() == expected


def test_control_characters_are_not_sent() -> None:
    grid = Grid(10, 1, Looks(ColorSystem.TRUECOLOR))
    grid.put(0, 0, Strip([Segment("a\x1b[2J\x07\x9bb")]))
    assert "a[2Jb" in grid.paint()


def test_the_column_is_never_assumed_after_a_glyph_of_uncertain_width() -> None:
    grid = Grid(20, 1, Looks(ColorSystem.TRUECOLOR))
    grid.put(0, 0, Strip([Segment("71 °C ▁▂▃ x")]))
    text = grid.paint()
    assert "°\x1b[5GC ▁▂▃ x" in text, "° may be wide, blocks are not"


def test_a_single_cell_costs_a_few_bytes() -> None:
    grid = Grid(200, 50, Looks(ColorSystem.TRUECOLOR))
    style = Style(color="#112233", bgcolor="#445566")
    for y in range(50):
        grid.put(0, y, Strip([Segment("x" * 200, style)]))
    grid.paint()
    grid.put(0, 20, Strip([Segment("x" * 99 + "y" + "x" * 100, style)]))
    assert grid.paint() == "\x1b[21;100H\x1b[38;2;17;34;51;48;2;68;85;102my\x1b[m"


def test_neighbouring_changes_are_joined_and_distant_ones_jumped_to() -> None:
    grid = Grid(30, 1, Looks(ColorSystem.TRUECOLOR))
    grid.put(0, 0, Strip([Segment("." * 30)]))
    grid.paint()
    grid.put(0, 0, Strip([Segment("a...b....................c....")]))
    assert grid.paint() == "\ra...b\x1b[20Cc"


def test_a_limited_paint_leaves_the_rest_and_a_small_update_goes_first() -> None:
    grid = Grid(20, 12, Looks(ColorSystem.TRUECOLOR))
    screen = Screen(20, 12)
    screen.feed(grid.paint())
    for y in range(12):
        grid.put(0, y, Strip([Segment(f"big {y:2}".ljust(20, "."))]))
    grid.end_update()
    screen.feed(grid.paint(limit=50))
    assert [bool(line.strip()) for line in screen.screen.display] == [True] * 3 + [False] * 9
    grid.put(0, 9, Strip([Segment("small".ljust(20))]))
    grid.end_update()
    screen.feed(grid.paint(limit=1))
    assert screen.screen.display[9].rstrip() == "small"
    assert grid.is_dirty
    while grid.is_dirty:
        screen.feed(grid.paint(limit=1))
    assert [line[:6] for line in screen.screen.display] == [
        "small " if y == 9 else f"big {y:2}" for y in range(12)
    ]


def test_a_frame_with_a_small_update_in_it_holds_little_else() -> None:
    grid = Grid(20, 12, Looks(ColorSystem.TRUECOLOR))
    grid.paint()
    for y in range(12):
        grid.put(0, y, Strip([Segment(f"big {y:2}".ljust(20, "."))]))
    grid.end_update()
    grid.put(0, 9, Strip([Segment("small".ljust(20))]))
    grid.end_update()
    hurried, next_one = grid.paint(limit=120), grid.paint(limit=120)
    assert "small" in hurried
    assert hurried.count("big") == 1, "it is seen once all of the frame has arrived"
    assert next_one.count("big") == 5


@pytest.mark.parametrize("seed", range(3))
def test_every_change_of_style_arrives_in_the_new_one(seed: int) -> None:
    source = random.Random(seed)
    styles = ["", "1", "2", "3;4", "7", "9;31", "1;2;38;5;99", "48;2;1;2;3", "4;97;100", "39;49"]
    for _ in range(200):
        old, new = (parse_sgr(source.choice(styles)) for _ in range(2))
        screen, expected = Screen(2, 1), Screen(2, 1)
        text, after = change_look(old, new)
        screen.feed(change_look(PLAIN, old)[0] + text + "x")
        expected.feed(change_look(PLAIN, new)[0] + "x")
        assert screen.appearance() == expected.appearance()
        assert after == new
        assert len(text) <= len(f"\x1b[0;{source.choice(styles)}m") + 40


def test_a_blank_leaves_the_ink_as_it_is() -> None:
    red = Look(1, "31", "44", "")
    assert change_look(red, Look(0, None, "44", "")) == ("", red)
    assert change_look(red, EMPTY) == ("\x1b[49m", Look(1, "31", "", ""))


# The pace


def test_an_answering_terminal_gets_one_frame_at_a_time() -> None:
    pacer = Pacer()
    pacer.wrote(9000, 0.0, asked=pacer.should_ask(0.0))
    pacer.answered(0.1)
    assert pacer.may_write(0.1)
    pacer.wrote(100, 0.1, asked=pacer.should_ask(0.1))
    assert not pacer.may_write(0.2)
    assert not pacer.may_write(100.0), "slow is not silent"
    pacer.answered(100.0)
    assert pacer.may_write(100.0)
    assert pacer.last_answer_s == pytest.approx(99.9)


def drain(pacer: Pacer, start: float, end: float, size: int = 1000) -> int:
    """Write as much as the pacer allows; returns bytes."""
    written, now = 0, start
    while now < end:
        if pacer.may_write(now):
            pacer.wrote(size, now, asked=pacer.should_ask(now))
            written += size
        now += 0.01
    return written


def test_a_silent_terminal_gets_a_budget() -> None:
    pacer = Pacer(10_000)
    pacer.wrote(30_000, 0.0, asked=pacer.should_ask(0.0))
    assert drain(pacer, 0.0, 1.0) <= Pacer.FIRST_BURST_BYTES + 1000
    assert 90_000 < drain(pacer, 1.0, 11.0) < 115_000
    pacer.may_write(100.0)
    assert drain(pacer, 100.0, 101.0) < 22_000, "time that passed idle earns one second's worth"


def test_a_late_first_answer_ends_the_budget() -> None:
    pacer = Pacer()
    pacer.wrote(9000, 0.0, asked=True)
    drain(pacer, 0.0, 3.0)
    pacer.answered(3.0)
    assert pacer.answers
    pacer.wrote(100, 3.0, asked=pacer.should_ask(3.0))
    assert not pacer.may_write(9.0)


def test_a_silent_terminal_is_asked_again_less_and_less_often() -> None:
    pacer = Pacer()
    asked = []
    for now in range(1000):
        if pacer.should_ask(now):
            asked.append(now)
        pacer.wrote(10, now, asked=bool(asked) and asked[-1] == now)
    assert asked == [0, 10, 30, 70, 150, 310, 610, 910]


def test_a_lost_answer_is_asked_for_again() -> None:
    pacer = Pacer()
    pacer.wrote(1, 0.0, asked=True)
    pacer.answered(0.1)
    pacer.wrote(1, 1.0, asked=True)  # Its answer gets lost.
    assert not pacer.should_probe(5.9)
    assert pacer.look_again_in(5.0) == pytest.approx(1.0)
    assert pacer.should_probe(6.0)
    pacer.probed(6.0)
    assert not pacer.should_probe(15.9)
    pacer.answered(6.1)
    assert not pacer.may_write(6.2), "the first answer may be late, not lost"
    assert pacer.may_write(7.2)
    pacer.wrote(1, 8.0, asked=True)
    assert not pacer.may_write(8.0)
    pacer.answered(8.1)
    assert pacer.may_write(8.1)


def test_a_late_answer_is_not_taken_for_that_of_the_next_frame() -> None:
    pacer = Pacer()
    pacer.wrote(1, 0.0, asked=True)
    pacer.answered(0.1)
    pacer.wrote(1, 1.0, asked=True)
    pacer.probed(6.0)
    pacer.answered(20.0)
    pacer.answered(20.1)
    assert pacer.may_write(20.1)
    pacer.wrote(1, 20.1, asked=True)
    assert not pacer.may_write(21.2)


@pytest.mark.parametrize("round_trip_s", [0.0, 0.05, 0.3])
@pytest.mark.parametrize("rate", [5_000, 20_000, 200_000, 50_000_000])
def test_frames_become_as_big_as_the_link_carries(round_trip_s: float, rate: int) -> None:
    pacer, now = Pacer(), 0.0
    flights = []
    for size in [20_000, 50, 50, 50] + [100_000] * 60:
        written = min(size, pacer.frame_bytes)
        pacer.wrote(written, now, asked=True)
        flights.append(round_trip_s + written / rate)
        now += flights[-1]
        pacer.answered(now)
    target_s = max(Pacer.FRAME_S, round_trip_s)
    most = round_trip_s + max(2 * target_s, Pacer.MIN_FRAME_BYTES / rate)
    assert max(flights[-20:]) <= most * 1.2
    carried = sum(flight - round_trip_s for flight in flights[-20:]) / sum(flights[-20:])
    assert carried > 0.3 or rate > 1_000_000, "waiting for answers must not eat the link"


def test_a_hiccup_of_the_link_does_not_last() -> None:
    pacer = Pacer()
    pacer.wrote(20_000, 0.0, asked=True)
    pacer.answered(2.0)
    assert pacer.frame_bytes == Pacer.MIN_FRAME_BYTES
    for now in range(10, 21):
        pacer.wrote(pacer.frame_bytes, now, asked=True)
        pacer.answered(now + 0.01)
    assert pacer.frame_bytes == Pacer.MAX_FRAME_BYTES


READ = st.sampled_from("\x1b[]O?<>;:0123456789$uMmtRyc~ \ufffdaA\x9b\x00")
"""What sequences are made of."""


@given(st.text(READ, min_size=1, max_size=40))
@example("\x1b[99999999999u")
def test_whatever_is_read_a_key_behind_it_is_heard(text: str) -> None:
    parser = AnswerParser()
    list(parser.feed(text))
    # What is left open ends with the end of a paste, or as no sequence at all.
    list(parser.feed("\x1b[201~" + " " * 40))
    assert "x" in [token.key for token in parser.feed("x") if isinstance(token, events.Key)]


def test_of_keys_that_are_not_dealt_with_only_so_many_wait() -> None:
    driver = DisplayDriver.__new__(DisplayDriver)
    driver._keys_ahead = WeakSet()
    waiting = [events.Key("a", "a") for _ in range(MOST_KEYS_AHEAD)]
    assert all(driver._takes(key) for key in waiting)
    assert not driver._takes(events.Key("a", "a"))
    assert driver._takes(events.Key("ctrl+c", None))
    del waiting[-1]
    assert driver._takes(events.Key("a", "a"))


@pytest.mark.parametrize("typed", ["\x03", "\x1b[99;5u"])
def test_ctrl_c_is_heard_in_a_paste_whose_end_was_lost(typed: str) -> None:
    parser = AnswerParser()
    assert list(parser.feed("\x1b[200~rm -rf")) == []
    assert [key.key for key in parser.feed(typed) if isinstance(key, events.Key)] == ["ctrl+c"]
    assert [key.key for key in parser.feed("x") if isinstance(key, events.Key)] == ["x"]


@given(st.integers(1, 9000), st.integers(0, 2 * MOST_PASTED))
@example(1, 1)
@example(4096, 2 * MOST_PASTED)
@settings(max_examples=20)
def test_of_a_paste_only_so_much_is_kept(piece: int, size: int) -> None:
    """However it is cut into pieces."""
    parser, text = AnswerParser(), "\x1b[200~" + "a" * size + "\x1b[201~x"
    pieces = [text[at : at + piece] for at in range(0, len(text), piece)]
    read = [token for part in pieces for token in parser.feed(part)]
    assert isinstance(read[-1], events.Key)
    assert read[-1].key == "x"
    pasted = [len(token.text) for token in read if isinstance(token, events.Paste)]
    assert pasted == [min(size, MOST_PASTED)]


@pytest.mark.parametrize("cut", range(11))
def test_an_answer_in_the_midst_of_a_paste_is_one_and_types_nothing(cut: int) -> None:
    parser, answer = AnswerParser(), "\x1b[?2026;2$y"
    parts = ("\x1b[200~rm -", answer[:cut], answer[cut:], "rf\x1b[201~")
    read = [token for part in parts if part for token in parser.feed(part)]
    assert [type(token) for token in read] == [FrameAnswer, events.Paste]
    assert read[1].text == "rm -rf"


@pytest.mark.parametrize("setting", range(5))
def test_any_answer_is_one(setting: int) -> None:
    tokens = list(AnswerParser().feed(f"a\x1b[?2026;{setting}$yb"))
    answers = [token.setting for token in tokens if isinstance(token, FrameAnswer)]
    assert answers == [setting]
    assert [getattr(token, "key", None) for token in tokens if hasattr(token, "key")] == ["a", "b"]


class Writer:
    """A frame writer whose terminal is a list."""

    def __init__(self, loop: asyncio.AbstractEventLoop, pacer: Pacer | None = None) -> None:
        self.written: list[str] = []
        self.queued = 0
        self.errors: list[Exception] = []
        self.frames = FrameWriter(
            write=self.written.append,
            backlog=lambda: self.queued,
            loop=loop,
            looks=Looks(ColorSystem.TRUECOLOR),
            pacer=pacer or Pacer(),
            on_error=self.errors.append,
        )

    def show(self, text: str) -> None:
        strip = Strip([Segment(text.ljust(20))])
        self.frames.update(LayoutUpdate([[strip]], Region(0, 0, 20, 1)))


def with_writer(test: Callable[[Writer], None]) -> None:
    async def main() -> None:
        test(Writer(asyncio.get_running_loop()))

    asyncio.run(main())


def test_updates_in_flight_are_merged_and_the_last_one_is_drawn() -> None:
    def test(writer: Writer) -> None:
        writer.frames.resume()
        writer.show("one")
        writer.frames.answered(supports_sync=True)
        for text in ("two", "three", "four", "five"):
            writer.show(text)
        assert len(writer.written) == 2
        writer.frames.answered(supports_sync=True)
        assert len(writer.written) == 3
        assert "iv" in writer.written[2]  # "two" became "five".
        assert writer.written[2].startswith(display.SYNC_START)
        assert writer.written[2].endswith(display.SYNC_END + display.QUERY)
        counters = writer.frames.counters
        assert (counters.frames_drawn, counters.frames_merged) == (3, 3)
        assert counters.bytes_written == sum(len(text.encode()) for text in writer.written)

    with_writer(test)


def test_nothing_is_written_while_the_queue_is_not_empty() -> None:
    def test(writer: Writer) -> None:
        writer.frames.resume()
        writer.queued = 1
        for number in range(100):
            writer.show(str(number))
        assert writer.written == []

    with_writer(test)


def test_nothing_is_written_while_the_terminal_is_given_away() -> None:
    def test(writer: Writer) -> None:
        writer.show("one")
        assert writer.written == []
        writer.frames.resume()
        assert len(writer.written) == 1
        writer.frames.pause()
        writer.show("two")
        writer.frames.answered(supports_sync=True)
        assert len(writer.written) == 1
        writer.frames.resume()
        assert "two" in writer.written[1]

    with_writer(test)


def test_what_was_in_flight_when_the_terminal_was_given_away_is_not_waited_for() -> None:
    def test(writer: Writer) -> None:
        writer.frames.resume()
        writer.show("one")
        writer.frames.answered(supports_sync=True)
        writer.show("two")
        writer.frames.pause()
        writer.frames.resume()
        assert "two" in writer.written[2]

    with_writer(test)


def test_a_silent_terminal_is_drawn_to_as_soon_as_the_budget_allows() -> None:
    class QuickPacer(Pacer):
        ANSWER_DEADLINE_S = 0.05
        FIRST_BURST_BYTES = 1

    async def main() -> None:
        writer = Writer(asyncio.get_running_loop(), QuickPacer(1000))
        writer.frames.resume()
        for text in ("one", "two", "three"):
            writer.show(text)
        assert len(writer.written) == 2
        await asyncio.sleep(0.3)
        assert "hree" in writer.written[2]

    asyncio.run(main())


def test_a_lost_answer_is_asked_for_without_a_new_update() -> None:
    class QuickPacer(Pacer):
        PROBE_S = 0.05

    async def main() -> None:
        writer = Writer(asyncio.get_running_loop(), QuickPacer())
        writer.frames.resume()
        writer.show("one")
        writer.frames.answered(supports_sync=True)
        for text in ("two", "three"):
            writer.show(text)
        assert len(writer.written) == 2
        await asyncio.sleep(0.12)
        assert writer.written[2:] == [display.QUERY]

    asyncio.run(main())


def test_an_unchanged_update_writes_nothing() -> None:
    def test(writer: Writer) -> None:
        writer.frames.resume()
        writer.show("one")
        writer.frames.answered(supports_sync=True)
        writer.show("one")
        assert len(writer.written) == 1

    with_writer(test)


def show_rows(writer: Writer, rows: list[Strip]) -> None:
    strips: list[Any] = [[row] for row in rows]
    writer.frames.update(LayoutUpdate(strips, Region(0, 0, 20, len(rows))))


def test_a_big_frame_comes_in_parts_on_a_slow_link_and_a_small_one_between() -> None:
    def test(writer: Writer) -> None:
        writer.frames.resume()
        show_rows(writer, [Strip([Segment("a" * 20)]) for _ in range(20)])
        writer.frames.answered(supports_sync=False)
        writer.frames.pacer._frame_bytes = 100
        rows = [Strip([Segment("b" * 20)]) for _ in range(20)]
        show_rows(writer, rows)
        rows[15] = Strip([Segment("c" * 20)])
        show_rows(writer, rows)
        for count in range(2, 100):
            assert len(writer.written) == count
            writer.frames.answered(supports_sync=False)
            if len(writer.written) == count:
                break
            assert len(writer.written[-1]) < 200
        assert "c" * 20 in writer.written[2], "what is small goes first"
        screen = Screen(20, 20)
        screen.feed("".join(writer.written).replace(display.QUERY, ""))
        assert "".join(line[0] for line in screen.screen.display) == "b" * 15 + "c" + "b" * 4

    with_writer(test)


def test_a_big_frame_comes_in_parts_to_a_silent_terminal() -> None:
    async def main() -> None:
        writer = Writer(asyncio.get_running_loop(), Pacer(10_000))
        writer.frames.resume()
        show_rows(writer, [Strip([Segment("a" * 20)]) for _ in range(99)])
        show_rows(writer, [Strip([Segment("b" * 20)]) for _ in range(99)])
        await asyncio.sleep(0.2)
        assert len(writer.written) > 2
        screen = Screen(20, 99)
        screen.feed("".join(writer.written).replace(display.QUERY, ""))
        assert screen.screen.display == ["b" * 20] * 99

    asyncio.run(main())


def test_the_echo_of_a_query_nobody_knows_is_painted_over() -> None:
    def test(writer: Writer) -> None:
        writer.frames.resume()
        writer.show("one")
        screen = Screen(20, 1)
        screen.feed(writer.written[0].replace(display.QUERY, "p"))
        assert screen.screen.display[0].rstrip() == "one"

    with_writer(test)


def test_after_a_change_of_size_it_waits_for_the_new_layout() -> None:
    def test(writer: Writer) -> None:
        writer.frames.resume()
        writer.show("one")
        writer.frames.answered(supports_sync=True)
        writer.frames.resized(10, 1)
        writer.frames.redraw()
        assert len(writer.written) == 1
        writer.frames.resized(20, 1)
        assert "one" in writer.written[1]

    with_writer(test)


# The seam


def test_the_seam_is_intact() -> None:
    assert display.seam_is_intact(), "Textual changed: see gputop/ui/display.py"


def test_a_changed_seam_means_drawing_as_textual_does(monkeypatch: pytest.MonkeyPatch) -> None:
    assert DisplayApp().driver_class is DisplayDriver
    monkeypatch.setattr(ChopsUpdate, "__init__", lambda self, lines: None)
    assert not display.seam_is_intact()
    assert DisplayApp().driver_class is StoppableDriver


def test_it_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GPUTOP_DISPLAY", "plain")
    assert DisplayApp().driver_class is StoppableDriver


def test_an_app_without_a_terminal_works_as_ever() -> None:
    async def main() -> None:
        app = DisplayApp()
        async with app.run_test(size=(60, 20)) as pilot:
            await pilot.press("n", "r")
            assert app.steps == 1
            assert len(app.query(Pane)) == 4

    asyncio.run(main())


# In a terminal

COLOUR_MODES: dict[str, dict[str, str | None]] = {
    "256": {},
    "truecolor": {"COLORTERM": "truecolor"},
    "16": {"TERM": "xterm"},
    "none": {"NO_COLOR": "1"},
}


@pytest.mark.parametrize("colours", COLOUR_MODES)
def test_the_picture_is_textuals_own(colours: str) -> None:
    env = COLOUR_MODES[colours]
    options: Any = {"env": env, "size": (70, 20)}
    with run_app(**options) as diffed, run_app(plain=True, **options) as plain:
        seen = 0

        def compare(*keys: str, until: str) -> None:
            nonlocal seen
            for terminal in (diffed, plain):
                terminal.type(*keys)
                terminal.wait_for(until)
                terminal.wait_quiet(0.2)
            assert appearance(diffed.cells()) == appearance(plain.cells()), keys
            seen += 1

        compare("n", until="step 1 keys 1$")
        compare(*"nnn", until="step 4 keys 4$")
        compare("d", until="keys 5$")
        compare(*"nn", until="step 6 keys 7$")
        compare("esc", until="keys 8$")
        for size in ((40, 12), (90, 25)):
            diffed.resize(*size)
            plain.resize(*size)
            compare("n", until=rf"step {7 if size[0] == 40 else 8} ")
        compare("t", until="keys 11$")
        compare(*"dn", until="keys 13$")
        compare("esc", until="keys 14$")
        compare("t", until="keys 15$")
        assert seen == 11
        if colours != "none":
            assert diffed.bytes_written < 0.8 * plain.bytes_written


def test_an_unchanged_frame_writes_nothing_and_one_cell_next_to_nothing() -> None:
    with run_app(size=(100, 30)) as terminal:
        terminal.type("c")
        terminal.wait_for("keys 1$")
        terminal.wait_quiet()
        before = terminal.bytes_written
        terminal.type("c")
        terminal.wait_for("keys 2$")
        terminal.wait_quiet()
        assert terminal.bytes_written - before < FRAME_OVERHEAD_BYTES + 45
        before, asked = terminal.bytes_written, terminal.queries[2026]
        terminal.type("u", "u")
        terminal.wait_quiet(0.5)
        assert (terminal.bytes_written, terminal.queries[2026]) == (before, asked)


def garbled(terminal: Terminal) -> Any:
    """Have the terminal lose its picture; what that looked like."""
    terminal.type("n")
    terminal.wait_for("step 1 keys 1$")
    terminal.wait_quiet()
    before = appearance(terminal.cells())
    with terminal._changed:
        terminal._screen.erase_in_display(2)
    return before


def test_a_garbled_screen_is_redrawn_on_demand() -> None:
    with run_app() as terminal:
        before = garbled(terminal)
        terminal.type("r")
        terminal.wait_for("keys 2$")
        terminal.wait_for(lambda t: appearance(t.cells())[1:] == before[1:])


def test_a_terminal_that_says_its_size_again_is_redrawn() -> None:
    """As after it went to another size and back: nobody knows what it shows."""
    with run_app() as terminal:
        before = garbled(terminal)
        terminal.signal(signal.SIGWINCH)
        terminal.wait_for(lambda t: appearance(t.cells()) == before)


def test_the_cursor_is_where_the_typing_goes() -> None:
    places = []
    for plain in (False, True):
        with run_app(plain=plain) as terminal:
            terminal.type("i")
            terminal.wait_quiet()
            terminal.type("hello")
            terminal.wait_for("hello")
            terminal.wait_quiet()
            terminal.type("left")
            terminal.wait_quiet(0.2)
            places.append(terminal.cursor())
    assert places[0] == places[1] != (0, 0)


def test_suspending_gives_the_terminal_away_and_takes_it_back() -> None:
    with run_app() as terminal:
        terminal.type("f")
        terminal.wait_for(r"step \d\d")
        terminal.type("z")
        terminal.wait_for(lambda t: 1049 not in t.modes)
        terminal.wait_for("suspended paused")
        terminal.wait_quiet(0.5)
        terminal.type("\r")
        terminal.type("\n")
        terminal.wait_for(lambda t: 1049 in t.modes)
        now = int(terminal.wait_for(r"step (\d+)")[1])
        terminal.wait_for(lambda t: int(t.wait_for(r"step (\d+)")[1]) > now)
        terminal.wait_for(lambda t: not t.find("suspended"))


def leave(terminal: Terminal, report: Path) -> dict[str, Any]:
    terminal.type("q")
    assert terminal.exit_code(5) == 7
    result = json.loads(report.read_text())
    assert isinstance(result, dict)
    assert result["error"] == "None"
    return result


def test_a_terminal_that_never_answers_gets_its_budget(tmp_path: Path) -> None:
    report = tmp_path / "report"
    env = {"DISPLAY_REPORT": str(report), "GPUTOP_DISPLAY_BYTES_PER_S": "20000"}
    with run_app(env=env, answers=False, size=(100, 30)) as terminal:
        first = terminal.bytes_written
        start = time.monotonic()
        terminal.type("f")
        terminal.wait_for(r"step \d{3}")
        terminal.type("f")
        terminal.wait_quiet(1.5)
        took = time.monotonic() - start
        assert terminal.bytes_written - first < 20_000 * (took + 1) + 10_000
        picture = appearance(terminal.cells())
        terminal.type("r")
        terminal.wait_quiet(1.5)
        assert appearance(terminal.cells())[1:] == picture[1:], "the last state was drawn"
        result = leave(terminal, report)
        assert result["merged"] > 20
        assert not result["answers"]
        assert terminal.is_restored()


@pytest.mark.parametrize("settings", [{2026: 2}, {}], ids=["known", "not recognised"])
def test_a_late_terminal_is_waited_for(tmp_path: Path, settings: dict[int, int]) -> None:
    report = tmp_path / "report"
    env = {"DISPLAY_REPORT": str(report)}
    with run_app(env=env, answer_delay_s=0.8, mode_settings=settings) as terminal:
        terminal.wait_quiet(1)
        first = terminal.queries[2026]
        start = time.monotonic()
        terminal.type("f")
        terminal.wait_for(r"step \d{3}")
        terminal.type("f")
        terminal.wait_quiet(1)
        took = time.monotonic() - start
        assert terminal.queries[2026] - first <= took / 0.8 + 1
        terminal.type("r")
        terminal.wait_for("keys 3$")
        steps = int(terminal.wait_for(r"step (\d+)")[1])
        result = leave(terminal, report)
        assert result["answers"]
        assert result["merged"] > 20
        assert steps == result["steps"]
        assert (b"\x1b[?2026h" in terminal.raw) == bool(settings)


def test_when_a_stall_ends_the_present_is_drawn_not_the_backlog(tmp_path: Path) -> None:
    report = tmp_path / "report"
    env = {"DISPLAY_REPORT": str(report)}
    with run_app(env=env, size=(100, 30)) as terminal:
        terminal.stall()
        before = terminal.bytes_written
        terminal.type("f")
        time.sleep(2)
        terminal.type("f", "c", "c", "c")
        time.sleep(0.2)
        terminal.resume()
        terminal.wait_for("keys 5$")
        terminal.wait_quiet()
        assert terminal.bytes_written - before < 60_000, "one frame in flight, and the present"
        steps = int(terminal.wait_for(r"step (\d+)")[1])
        assert steps > 5, "it went on while nobody read"
        assert leave(terminal, report)["merged"] > steps / 2


def time_to_leave(terminal: Terminal) -> float:
    """Seconds from the key that quits to the end of the program."""
    start = time.monotonic()
    terminal.type("q")
    assert terminal.exit_code(5) == 7
    return time.monotonic() - start


@pytest.mark.parametrize("plain", [False, True], ids=["diff", "plain"])
def test_quitting_is_not_held_by_a_stalled_terminal(tmp_path: Path, plain: bool) -> None:
    report = tmp_path / "report"
    env: dict[str, str | None] = {"DISPLAY_REPORT": str(report), "COLORTERM": "truecolor"}
    with run_app(plain=plain, env=env, size=(200, 50)) as terminal:
        terminal.stall()
        terminal.type("n" if plain else "f")
        time.sleep(0.5)
        took = time_to_leave(terminal)
        with run_app(plain=plain, env=env, size=(200, 50)) as control:
            usual = time_to_leave(control)
        limits = display.LEAVE_LIMIT_S + display.LINGER_LIMIT_S
        assert took < 3 * (usual + limits), "not held until the link is back"
        terminal.resume()
        terminal.wait_for("bye at step")
        terminal.wait_quiet()
        # The terminal may answer a query that it had before; the line discipline echoes it.
        left = rb"bye at step \d+\r+\n(\^\[\[\?2026;2\$y)?\Z"
        assert re.search(left, terminal.raw), "nothing else came after"
        assert terminal.is_restored()
        assert json.loads(report.read_text())["rss_kib"] < 120_000


def test_what_is_written_beside_the_frames_does_not_block_a_stalled_terminal() -> None:
    """Such as the mouse's pointer, which Textual sets with every move."""
    with run_app(size=(200, 50)) as terminal:
        terminal.stall()
        terminal.type("w", "w", "q")
        assert terminal.exit_code() == 7
        terminal.resume()
        terminal.wait_for(lambda t: t.is_restored())


@pytest.mark.parametrize("stalled", [False, True], ids=["free", "stalled"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signals_restore_the_terminal(tmp_path: Path, number: int, stalled: bool) -> None:
    report = tmp_path / "report"
    with run_app(env={"DISPLAY_REPORT": str(report)}, size=(200, 50)) as terminal:
        if stalled:
            terminal.stall()
            terminal.type("f")
            time.sleep(0.4)
        terminal.signal(number)
        assert terminal.exit_code(5) == 128 + number
        terminal.resume()
        terminal.wait_for(lambda t: t.is_restored())
        assert report.exists(), "what had to be done first was done"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_that_ends_may_come_while_a_write_holds_its_lock(number: int) -> None:
    with run_app(env={"DISPLAY_SIGNALS": str(int(number))}) as terminal:
        terminal.type("s")
        assert terminal.exit_code() == 128 + number
        terminal.wait_for(lambda t: t.is_restored())


def test_a_signal_that_ends_may_come_while_another_ends_it() -> None:
    with run_app(env={"DISPLAY_SIGNALS": str(int(signal.SIGTERM))}) as terminal:
        terminal.type("m")
        assert terminal.exit_code() == 128 + signal.SIGTERM
        terminal.wait_for(lambda t: t.is_restored())


@pytest.mark.parametrize("plain", [False, True], ids=["diff", "plain"])
def test_a_signal_that_stops_may_come_while_a_write_holds_its_lock(plain: bool) -> None:
    env = {"DISPLAY_SIGNALS": str(int(signal.SIGTSTP))}
    with run_app(plain=plain, env=env, stoppable=True) as terminal:
        modes, files = terminal.modes, open_files(terminal)
        for keys in (2, 4, 6):
            terminal.type("s")
            terminal.wait_stopped()
            terminal.wait_for(lambda t: t.is_restored())
            terminal.signal(signal.SIGCONT)
            terminal.wait_for(lambda t: t.modes == modes)
            terminal.type("n")
            terminal.wait_for(f"keys {keys}$")
        assert open_files(terminal) == files


@pytest.mark.parametrize("also", [(), (signal.SIGTSTP, signal.SIGCONT)], ids=["alone", "stop"])
def test_who_is_continued_before_it_has_stopped_does_not_stop(also: tuple[int, ...]) -> None:
    signals = " ".join(str(int(number)) for number in (*also, signal.SIGTSTP, signal.SIGCONT))
    with run_app(env={"DISPLAY_SIGNALS": signals}, stoppable=True) as terminal:
        for keys in (2, 4):
            terminal.type("s", "n")
            terminal.wait_for(f"keys {keys}$")
        assert 1049 in terminal.modes


@pytest.mark.parametrize("plain", [False, True], ids=["diff", "plain"])
def test_who_could_not_be_continued_does_not_stop(plain: bool) -> None:
    """Nothing but the program runs in the terminal: no shell is there that could say `fg`."""
    with run_app(plain=plain) as terminal:
        modes = terminal.modes
        terminal.signal(signal.SIGTSTP)
        terminal.wait_for("No shell is there to go back to")
        assert terminal.modes == modes
        terminal.type("n")
        terminal.wait_for("keys 1$")


def test_who_is_ended_while_it_is_stopped_leaves_the_line_to_the_shell() -> None:
    """A shell reads the line in a way of its own: set as we found it, no key would do anything
    before Enter.
    """
    shell = ["bash", "--norc", "--noprofile", "-i"]
    with Terminal(shell, env={"PYTHONPATH": ROOT, "PS1": "prompt> "}) as terminal:
        terminal.wait_for("prompt>$")
        terminal.type(" ".join(APP), "enter")
        terminal.wait_for("step 0 keys 0$")
        (program,) = set(terminal.descendants()) - {terminal.pid}
        os.kill(program, signal.SIGTSTP)
        terminal.wait_for("Stopped")
        terminal.wait_quiet()
        line = terminal.settings()
        terminal.type("kill %1", "enter")
        terminal.wait_for(lambda t: t.descendants() == [t.pid])
        terminal.wait_for(lambda t: t.settings() == line)


def test_stopping_is_not_held_by_a_stalled_terminal() -> None:
    with run_app(size=(200, 50), stoppable=True) as terminal:
        modes = terminal.modes
        terminal.type("f")  # before: a key that was not read when it stops is thrown away
        terminal.wait_for(r"step \d\d")
        terminal.stall()
        terminal.type("w")
        wait_stuck_writing(terminal)
        terminal.signal(signal.SIGTSTP)
        terminal.wait_stopped()
        terminal.resume()
        terminal.wait_for(lambda t: t.is_restored())
        terminal.signal(signal.SIGCONT)
        terminal.wait_for(lambda t: t.modes == modes)
        now = int(terminal.wait_for(r"step (\d+)")[1])
        terminal.wait_for(lambda t: int(t.wait_for(r"step (\d+)")[1]) > now)


def open_files(terminal: Terminal) -> int:
    return len(os.listdir(f"/proc/{terminal.pid}/fd"))


def wait_stuck_writing(terminal: Terminal) -> None:
    """Wait until one of its threads waits for the terminal to take more."""
    calls = [task / "syscall" for task in Path(f"/proc/{terminal.pid}/task").iterdir()]
    deadline = time.monotonic() + 20
    while not any(call.read_text().startswith("1 0x2 ") for call in calls):
        assert time.monotonic() < deadline, terminal.describe()
        time.sleep(0.01)


def test_leaving_does_not_leave_answers_for_the_shell() -> None:
    shell = ["sh", "-c", f"{APP[0]} {APP[1]}; echo back; cat"]
    with Terminal(shell, env={"PYTHONPATH": ROOT}, answer_delay_s=0.4) as terminal:
        terminal.wait_for("step 0 keys 0$")
        terminal.wait_quiet(0.6)
        terminal.type("n")
        terminal.wait_for("step 1 keys 1$")
        terminal.type("q")
        terminal.wait_for("back")
        terminal.wait_quiet(0.6)
        assert "2026" not in terminal.text()


@pytest.mark.parametrize("plain", [False, True], ids=["diff", "plain"])
def test_who_leaves_at_once_leaves_no_answers_either(plain: bool) -> None:
    """The terminal has never answered until then."""
    shell = ["sh", "-c", f"{APP[0]} {APP[1]}; echo back; cat"]
    env = {"PYTHONPATH": ROOT, "GPUTOP_DISPLAY": "plain" if plain else ""}
    with Terminal(shell, env=env, answer_delay_s=0.2) as terminal:
        terminal.wait_for("step 0 keys 0$")
        terminal.type("q")
        terminal.wait_for("back")
        terminal.wait_quiet(0.6)
        assert "2048" not in terminal.text()
        if not plain:
            assert "2026" not in terminal.text()


def test_when_the_diff_fails_textual_draws(tmp_path: Path) -> None:
    report = tmp_path / "report"
    with run_app(env={"DISPLAY_REPORT": str(report)}) as terminal:
        terminal.type("x", "n")
        terminal.wait_for("step 1 keys 2$")
        terminal.type("n")
        terminal.wait_for("step 2 keys 3$")
        terminal.type("q")
        assert terminal.exit_code() == 7
        assert "AttributeError" in json.loads(report.read_text())["error"]


def test_a_closed_terminal_ends_the_program() -> None:
    with run_app() as terminal:
        terminal.hang_up()
        assert terminal.exit_code(5) == 128 + signal.SIGHUP


class Clock:
    """The time module, whose every look at the clock takes a while. While there is
    nothing to do, who reads the terminal takes what makes it writable again.
    """

    def __init__(self, reader: int, terminal: int) -> None:
        self.now, self.taken = 0.0, b""
        self._reader, self._terminal = reader, terminal

    def monotonic(self) -> float:
        self.now += 0.05
        return self.now

    def sleep(self, _: float) -> None:
        while self._reader >= 0 and not select.select([], [self._terminal], [], 0)[1]:
            if select.select([self._reader], [], [], 0.01)[0]:
                self.taken += os.read(self._reader, 4096)


@pytest.mark.parametrize("reads", [True, False])
def test_a_slow_terminal_gets_all_of_a_farewell_and_a_stuck_one_holds_up_nothing(
    monkeypatch: pytest.MonkeyPatch, reads: bool
) -> None:
    ours, theirs = pty.openpty()
    tty.setraw(theirs)
    terminal = os.dup(theirs)
    clock = Clock(ours if reads else -1, terminal)
    monkeypatch.setattr(display, "time", clock)
    writing = SimpleNamespace(fileno=lambda: theirs, ident=None)
    farewell = "why it ended, line by line\n" * 2000
    display._write_past(writing, farewell)  # type: ignore[arg-type]
    os.set_blocking(ours, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            clock.taken += os.read(ours, 65536)
    if reads:
        assert clock.taken.decode() == farewell
    else:
        assert clock.taken.decode() == farewell[: len(clock.taken)]
        assert clock.now < 2 * display.LEAVE_LIMIT_S + 1
    for descriptor in (ours, theirs, terminal):
        os.close(descriptor)

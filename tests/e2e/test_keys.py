"""Every key of the help does what its help says.

The tables below hold what the screen shows for each key; a key that is declared in the program
and stands in none of them fails `test_no_key_is_without_a_test`.
"""

from __future__ import annotations

import base64
import contextlib
import os
import re
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from gputop.model.frame import Frame
from gputop.recording import read
from gputop.ui.device.keys import CHART_KEYS, DEVICE_SCREEN_KEYS
from gputop.ui.keys import APP_KEYS, DEVICE_KEYS, OVERVIEW_KEYS, Key
from gputop.ui.processes.table import TABLE_KEYS
from gputop.ui.screens.help import ALL_KEYS
from gputop.ui.screens.process import PROCESS_KEYS
from gputop.ui.screens.warnings import WARNING_KEYS
from gputop.ui.widgets.page import SCROLL_KEYS
from tests.e2e.conftest import Driver, Spawn, moving
from tests.e2e.program import CHECKOUT, Gputop, Start, key_name, wait_flat
from tests.fake_driver import Lines, h100s, many_processes

HELP = "Esc closes, arrows scroll"
STILL: Lines = {**h100s(4), "device.*.gpu_utilization": 40, "device.*.power_mw": 200_000}
"""Four devices at which nothing moves."""


@dataclass(frozen=True)
class Check:
    """What a key does on one screen."""

    screen: str
    action: str
    does: Callable[[Gputop, str], object]
    """Gets the program where `opens` left it, and the key; leaves it there again."""
    lines: Lines | None = None
    opens: Callable[[Gputop], object] = lambda terminal: None
    size: tuple[int, int] = (80, 24)
    flags: tuple[str, ...] = ()


KEYS: dict[str, tuple[Key, ...]] = {
    "anywhere": APP_KEYS,
    "overview": OVERVIEW_KEYS,
    "devices": DEVICE_KEYS,
    "processes": TABLE_KEYS,
    "device": DEVICE_SCREEN_KEYS,
    "charts": CHART_KEYS,
    "process": PROCESS_KEYS,
    "warnings": WARNING_KEYS,
    "page": SCROLL_KEYS,
}


# -- anywhere --------------------------------------------------------------------------------


def opens_help(terminal: Gputop, key: str) -> None:
    terminal.press(key, shows=HELP)
    terminal.press("esc", hides=HELP)


def opens_the_palette(terminal: Gputop, key: str) -> None:
    terminal.press(key, shows="Search for commands|Command palette")
    terminal.press("theme: li", shows="Theme: light")
    terminal.press("esc", hides="Theme: light")


def lists_the_warnings(terminal: Gputop, key: str) -> None:
    terminal.press(key, shows="Nothing to warn of so far")
    terminal.press("esc", hides="Nothing to warn of so far")


def freezes_the_picture(terminal: Gputop, key: str) -> None:
    terminal.wait_alive(0, 1)
    terminal.press(key, shows="PAUSED")
    terminal.wait_quiet(0.5)
    before = terminal.device(0)
    # The collector goes on: the snapshot of the frozen picture is the picture.
    written = terminal.saved_snapshot()["devices"][0]["gpu_utilization"]
    assert round(100 * written) == int(terminal.utilisation(0))
    assert terminal.device(0) == before
    terminal.press(key, hides="PAUSED")
    terminal.wait_alive(0, 2)


def background(terminal: Gputop) -> str:
    return terminal.cell(0, 2).bg


def takes_another_theme(terminal: Gputop, key: str) -> None:
    before = background(terminal)
    terminal.press(key, shows="Theme: light")
    terminal.wait_for(lambda _: background(terminal) != before)
    for theme in ("contrast", "terminal", "mono", "dark"):
        terminal.press(key, shows=f"Theme: {theme}")
    terminal.wait_for(lambda _: background(terminal) == before)


def draws_the_screen_again(terminal: Gputop, key: str) -> None:
    terminal.wait_for("q quit")
    terminal.wait_quiet(0.1)
    before = terminal.bytes_written
    terminal.type(key)
    terminal.wait_for(lambda t: t.bytes_written > before + 1000)
    terminal.wait_for(r"^ q quit .*\Z")


def lets_go_of_the_driver(terminal: Gputop, key: str) -> None:
    terminal.press(key, shows="The driver is released. Press x to take it back")
    terminal.press(key, hides="The driver is released")
    terminal.wait_alive(0, 1)


def goes_back_to_the_shell(terminal: Gputop, key: str) -> None:
    before = terminal.modes
    terminal.type(key)
    terminal.wait_for(lambda t: 1049 not in t.modes)
    terminal.wait_stopped()
    terminal.signal(signal.SIGCONT)
    terminal.wait_for(lambda t: t.modes == before)
    terminal.wait_for(r"^ q quit .*\Z")
    terminal.wait_alive(0)


def switches(terminal: Gputop, key: str) -> None:
    terminal.press(key, shows="╭› 0 ·")
    terminal.press(key, hides="╭› 0 ·")


def reads_less_often(terminal: Gputop, key: str) -> None:
    terminal.wait_for("every 0.25 s")
    terminal.press(key, key, shows=r"\A.* every 1 s")
    terminal.wait_alive(0, 1)


def reads_more_often(terminal: Gputop, key: str) -> None:
    terminal.wait_for("every 0.25 s")
    terminal.press(key, shows=r"\A.* every 0.1 s")
    terminal.wait_alive(0)
    terminal.press("-", shows=r"\A.* every 0.25 s")


def charts_show_less(terminal: Gputop, key: str) -> None:
    terminal.press(key, shows="window 2 min")
    terminal.press("]", shows="window 5 min")


def charts_show_more(terminal: Gputop, key: str) -> None:
    terminal.press(key, shows="window 10 min")
    terminal.press("[", shows="window 5 min")


def writes_a_snapshot(terminal: Gputop, key: str) -> None:
    assert key == "e"
    (path,) = terminal.save()
    assert terminal.find(re.escape(path.name[:20]))
    assert path.suffix == ".json"


def copied(terminal: Gputop, text: str) -> None:
    wanted = f"52;c;{base64.b64encode(text.encode()).decode()}"
    terminal.wait_for(lambda t: wanted in t.osc)


def copies(terminal: Gputop, key: str) -> None:
    terminal.wait_for(r" 0 +100000 ")
    terminal.press(key, shows="Copied PID 100000")
    copied(terminal, "100000")
    terminal.press("tab", shows="╭› 0 ·")
    terminal.press(key, shows="Copied UUID")
    copied(terminal, "GPU-8a7c5e00-1f2d-4b3a-9c00-000000000000")


# -- overview, devices -----------------------------------------------------------------------


def filters(terminal: Gputop, key: str) -> None:
    terminal.wait_for(r" 0 +100001 ")
    terminal.press(key, shows="^ ?/ ")
    terminal.press("pid:100000", hides=" 100001 ")
    terminal.press("enter", shows="100000")
    terminal.press("esc", shows=" 100001 ")


def on_devices(terminal: Gputop) -> None:
    """Put the cursor on the device in the upper left."""
    terminal.press("tab", shows=r"^› *0 ")


def moves(there: str, back: str) -> Callable[[Gputop, str], None]:
    """A key that moves the device cursor, and what goes back."""

    def check(terminal: Gputop, key: str) -> None:
        place = _cursor(terminal)
        terminal.type(back)
        terminal.wait_for(lambda _: _cursor(terminal) == there)
        terminal.type(key)
        terminal.wait_for(lambda _: _cursor(terminal) == place)

    return check


DEVICE_SHOWN = "Tab next part"
"""On the device screen, and nowhere else."""


def _cursor(terminal: Gputop) -> str:
    found = terminal.find(r"› ?(\d+) (· )?H100")
    return found[1] if found else ""


def filters_warnings(terminal: Gputop, key: str) -> None:
    terminal.press(key, shows="^ ?/ ")
    terminal.press("gpu:0", shows="No warning passes")
    terminal.press("enter", hides="Fields: ")
    terminal.press(key, shows="Fields: ")
    terminal.press("esc", shows="critical .* 1 ")


def opens_the_device(terminal: Gputop, key: str) -> None:
    terminal.press(key, shows=DEVICE_SHOWN)
    terminal.press("esc", hides=DEVICE_SHOWN)


# -- processes -------------------------------------------------------------------------------

TABLE: Lines = {**h100s(1), "device.0.gpu_utilization": 40, **many_processes(60)}
"""Sixty processes, from 480 MiB down."""


def selected(terminal: Gputop) -> str:
    """The PID in the row under the cursor, which is told by its background."""
    lines = terminal.lines()
    header = next((y for y, line in enumerate(lines) if re.match(r" +GPU +PID[ ▼▲]", line)), None)
    if header is None:
        return ""
    usual = terminal.cell(0, header - 1).bg
    for y in range(header + 1, len(lines) - 1):
        if lines[y].strip() and terminal.cell(1, y).bg != usual:
            found = re.search(r"\b(1\d{5})\b", lines[y])
            return found[1] if found else lines[y].strip()
    return ""


def on_row(pid: int) -> Callable[[Gputop], None]:
    """Put the cursor there, from wherever it is."""

    def move(terminal: Gputop) -> None:
        terminal.press("home", shows=r" 0 +100000 ")
        terminal.type(*["down"] * (pid - 100_000))
        terminal.wait_for(lambda _: selected(terminal) == str(pid))

    return move


def goes_to(pid: int, start: int) -> Callable[[Gputop, str], None]:
    def check(terminal: Gputop, key: str) -> None:
        on_row(start)(terminal)
        terminal.type(key)
        terminal.wait_for(lambda _: selected(terminal) == str(pid))

    return check


def pages(step: int) -> Callable[[Gputop, str], None]:
    def check(terminal: Gputop, key: str) -> None:
        on_row(100_030)(terminal)
        terminal.type(key)
        page = (
            terminal.rows
            - 2
            - next(
                y for y, line in enumerate(terminal.lines()) if re.match(r" +GPU +PID[ ▼▲]", line)
            )
        )
        terminal.wait_for(lambda _: selected(terminal) == str(100_030 + step * page))

    return check


def opens_the_process(terminal: Gputop, key: str) -> None:
    terminal.press(key, shows=r"^ 100000\b.*\n(.*\n)+ +Host memory")
    terminal.press("esc", hides="Host memory ")


def tags(terminal: Gputop, key: str) -> None:
    on_row(100_000)(terminal)
    terminal.press(key, shows=r"^● +0 +100000 ")
    assert selected(terminal) == "100001"
    terminal.press("up")
    terminal.wait_for(lambda _: selected(terminal) == "100000")
    terminal.press(key, hides="●")


def sorts(terminal: Gputop, key: str) -> None:
    terminal.wait_for("GPU MEM▼")
    terminal.press(key, hides="GPU MEM▼")
    terminal.wait_for(r"MEM%▼")
    terminal.press("<", shows="GPU MEM▼")


def sorts_back(terminal: Gputop, key: str) -> None:
    terminal.wait_for("GPU MEM▼")
    terminal.press(key, shows=r"SM%▼")
    terminal.press("s", shows="GPU MEM▼")


def turns_the_order_round(terminal: Gputop, key: str) -> None:
    terminal.wait_for(r"GPU MEM▼.*\n.* 100000 ")
    terminal.press("g")
    terminal.press(key, shows=r"GPU MEM▲")
    terminal.press("g", shows=r"GPU MEM▲.*\n.* 100059 ")
    terminal.press(key, "g", shows=r"GPU MEM▼.*\n.* 100000 ")


def clears(terminal: Gputop, key: str) -> None:
    on_row(100_000)(terminal)
    terminal.press("space", shows="●")
    terminal.press("/", shows="^ ?/ ")
    terminal.press("pid:100000", "enter", hides=" 100001 ")
    terminal.press(key, shows=" 100001 ")
    assert terminal.find("●")
    terminal.press(key, hides="●")


TWO_DEVICES: Lines = {
    **h100s(2),
    "device.0.process.0": "pid=100000 type=C memory=4G sm=50",
    "device.1.process.0": "pid=100000 type=C memory=3G sm=20",
}


def unfolds(terminal: Gputop, key: str) -> None:
    terminal.wait_for(r"▸ ?0,1 +100000 .* 70 +7\.0 GiB")
    terminal.press(key, shows=r"▾ ?0,1 +100000 .*\n +0 .*4\.0 GiB.*GPU 0.*\n +1 .*3\.0 GiB.*GPU 1")
    terminal.press(key, shows=r"▸ ?0,1 +100000 ")


def shows_the_dialog(terminal: Gputop, key: str) -> None:
    terminal.press(key, shows=r"Send a signal to this process\?")
    terminal.press("esc", hides="Send a signal")


# -- the other screens -----------------------------------------------------------------------


def opened(keys: tuple[str, ...], shows: str) -> Callable[[Gputop], None]:
    def open_it(terminal: Gputop) -> None:
        terminal.wait_device(0, "H100")
        if keys == ("enter",):
            terminal.wait_for(r" 0 +100000 ")
        for key in keys:
            terminal.press(key)
        terminal.wait_for(shows)

    return open_it


def goes_back(keys: tuple[str, ...], hides: str) -> Callable[[Gputop, str], None]:
    def check(terminal: Gputop, key: str) -> None:
        terminal.wait_for(hides)
        terminal.press(key, hides=hides)
        for again in keys:
            terminal.press(again)
        terminal.wait_for(hides)

    return check


def turns_to(index: int, back: str) -> Callable[[Gputop, str], None]:
    def check(terminal: Gputop, key: str) -> None:
        terminal.wait_for(r"^ GPU 0 ")
        terminal.press(key, shows=rf"^ GPU {index} ")
        terminal.wait_for(rf"GPU {index} · NVIDIA")
        terminal.press(back, shows=r"^ GPU 0 ")

    return check


def goes_to_the_processes(presses: int, back: str) -> Callable[[Gputop, str], None]:
    def check(terminal: Gputop, key: str) -> None:
        terminal.press(*[key] * presses, shows=" GPU +PID")
        terminal.press(*[back] * presses, hides=" GPU +PID")

    return check


def toggles(shows: str, back: str = "") -> Callable[[Gputop, str], None]:
    """A key that shows something until it, or another, is pressed."""

    def check(terminal: Gputop, key: str) -> None:
        terminal.wait_gone(shows)
        terminal.press(key, shows=shows)
        terminal.press(back or key, hides=shows)

    return check


def moves_the_cursor_on(terminal: Gputop, key: str) -> None:
    terminal.press("home", shows=HELD)
    there = r"^  \d\d:\d\d:\d\d  "
    before = terminal.wait_for(there)[0]
    for _ in range(20):  # there is nothing to go on to until the next column begins
        terminal.type(key)
        with contextlib.suppress(AssertionError):
            terminal.wait_for(lambda t: (found := t.find(there)) and found[0] > before, 1.0)
            break
    else:
        raise AssertionError(terminal.describe())
    terminal.press("end", hides=HELD)


def scrolls_on(terminal: Gputop, key: str) -> None:
    terminal.press("pgup", shows="^ the past ")
    terminal.press(key, shows="^ live ")


def goes_back_to_now(terminal: Gputop, key: str) -> None:
    terminal.press("left", shows=HELD)
    terminal.press(key, hides=HELD)


def chooses(shows: str, back: str) -> Callable[[Gputop, str], None]:
    def check(terminal: Gputop, key: str) -> None:
        terminal.press(key, shows=shows)
        terminal.press(back, shows="^ Utilisation ")

    return check


def shows_one_chart(terminal: Gputop, key: str) -> None:
    terminal.wait_for("Temperature +━")
    terminal.press(key, hides="Temperature +━")
    assert terminal.find("^ Utilisation +━")
    terminal.press(key, shows="Temperature +━")


def copies_the_pid(terminal: Gputop, key: str) -> None:
    terminal.press(key, shows="Copied PID 100000")
    copied(terminal, "100000")


def scrolls(from_key: str, before: str, after: str) -> Callable[[Gputop, str], None]:
    """A key on the help page: what is in its first row before and after."""

    def check(terminal: Gputop, key: str) -> None:
        terminal.press(from_key, shows=before)
        terminal.press(key, shows=after)

    return check


TOP, SECOND, BOTTOM = "gputop [0-9.]+ +Esc closes", r"\A\n\n     Everywhere", "A blank is"
DEVICE_OPEN = ("tab", "enter")
ON_DEVICE = opened(DEVICE_OPEN, DEVICE_SHOWN)
HELD = "End goes back to now"
ON_CHARTS = opened(DEVICE_OPEN, "^ live ")
IN_HELP = opened(("?",), HELP)
ROWS = {**h100s(4), "device.*.gpu_utilization": 40}

CHECKS: tuple[Check, ...] = (
    Check("anywhere", "help", opens_help),
    Check("anywhere", "command_palette", opens_the_palette),
    Check("anywhere", "warnings", lists_the_warnings, STILL),
    Check("anywhere", "pause", freezes_the_picture),
    Check("anywhere", "theme", takes_another_theme),
    Check("anywhere", "redraw", draws_the_screen_again, STILL),
    Check("anywhere", "release", lets_go_of_the_driver),
    Check("anywhere", "suspend_process", goes_back_to_the_shell),
    Check("anywhere", "switch", switches),
    Check("anywhere", "slower", reads_less_often),
    Check("anywhere", "faster", reads_more_often),
    Check("anywhere", "window_shorter", charts_show_less),
    Check("anywhere", "window_longer", charts_show_more),
    Check("anywhere", "snapshot", writes_a_snapshot),
    Check("anywhere", "copy", copies, {**STILL, "count": 1, **many_processes(1)}),
    Check("overview", "filter", filters, TABLE),
    # Four devices at 80x24 are panes side by side: 0 1 above 2 3.
    Check("devices", "move(1,0)", moves("0", "left"), STILL, opened(("tab", "right"), "› 1 ·")),
    Check("devices", "move(-1,0)", moves("1", "right"), STILL, opened(("tab",), "› 0 ·")),
    Check("devices", "move(0,1)", moves("0", "up"), STILL, opened(("tab", "down"), "› 2 ·")),
    Check("devices", "move(0,-1)", moves("2", "down"), STILL, opened(("tab",), "› 0 ·")),
    Check("devices", "open", opens_the_device, STILL, opened(("tab",), "› 0 ·")),
    Check("processes", "row(-1)", goes_to(100_001, 100_002), TABLE),
    Check("processes", "row(1)", goes_to(100_003, 100_002), TABLE),
    Check("processes", "page(-1)", pages(-1), TABLE),
    Check("processes", "page(1)", pages(1), TABLE),
    Check("processes", "first", goes_to(100_000, 100_003), TABLE),
    Check("processes", "last", goes_to(100_059, 100_003), TABLE),
    Check("processes", "open", opens_the_process, TABLE, on_row(100_000)),
    Check("processes", "tag", tags, TABLE),
    Check("processes", "signal", shows_the_dialog, TABLE, on_row(100_000)),
    Check("processes", "fold", unfolds, TWO_DEVICES),
    Check("processes", "sort(1)", sorts, TABLE),
    Check("processes", "sort(-1)", sorts_back, TABLE),
    Check("processes", "reverse", turns_the_order_round, TABLE),
    Check("processes", "clear", clears, TABLE),
    Check("device", "back", goes_back(("enter",), DEVICE_SHOWN), STILL, ON_DEVICE),
    Check("device", "other(1)", turns_to(1, "N"), STILL, ON_DEVICE),
    Check("device", "other(-1)", turns_to(3, "n"), STILL, ON_DEVICE),
    Check("device", "part(1)", goes_to_the_processes(1, "shift-tab"), STILL, ON_CHARTS),
    Check("device", "part(-1)", goes_to_the_processes(2, "tab"), STILL, ON_CHARTS),
    Check("device", "peers", toggles("of every device"), STILL, ON_CHARTS),
    Check("device", "pair", toggles("^ Overlay ", "esc"), STILL, ON_CHARTS),
    Check("charts", "cursor(-1)", toggles(HELD, "end"), STILL, ON_CHARTS),
    Check("charts", "cursor(1)", moves_the_cursor_on, STILL, ON_CHARTS),
    Check("charts", "choose(1)", chooses("^ Memory ", "up"), STILL, ON_CHARTS),
    Check("charts", "choose(-1)", chooses("^ (?!Utilisation)[A-Z].*━", "down"), STILL, ON_CHARTS),
    Check("charts", "page(-0.5)", toggles("^ the past ", "end"), STILL, ON_CHARTS),
    Check("charts", "page(0.5)", scrolls_on, STILL, ON_CHARTS),
    Check("charts", "oldest", toggles(HELD, "end"), STILL, ON_CHARTS),
    Check("charts", "now", goes_back_to_now, STILL, ON_CHARTS),
    Check("charts", "enlarge", shows_one_chart, STILL, ON_CHARTS, (200, 50)),
    Check("process", "back", goes_back(("enter",), "Host memory "), TABLE,
          opened(("enter",), "Host memory ")),
    Check("process", "signal", shows_the_dialog, TABLE, opened(("enter",), "Host memory ")),
    Check("warnings", "back", goes_back(("w",), "Nothing to warn of"), STILL,
          opened(("w",), "Nothing to warn of")),
    Check("warnings", "open", opens_the_device, {**STILL, "device.1.clocks_event_reasons": 0x40},
          opened(("w",), r"critical .* 1 +hardware")),
    Check("warnings", "filter", filters_warnings,
          {**STILL, "device.1.clocks_event_reasons": 0x40},
          opened(("w",), r"critical .* 1 +hardware")),
    Check("page", "go(1)", scrolls("home", TOP, SECOND), STILL, IN_HELP),
    Check("page", "go(-1)", scrolls("down", SECOND, TOP), STILL, IN_HELP),
    Check("page", "go_page(1)", scrolls("home", TOP, "Moving"), STILL, IN_HELP, (80, 20)),
    Check("page", "go_page(-1)", scrolls("pgdn", "Charts and time", TOP), STILL, IN_HELP, (80, 20)),
    Check("page", "go(-1000000)", scrolls("end", BOTTOM, TOP), STILL, IN_HELP),
    Check("page", "go(1000000)", scrolls("home", TOP, BOTTOM), STILL, IN_HELP),
)  # fmt: skip

ELSEWHERE = {
    ("anywhere", "leave"): "test_leaving_restores_the_terminal",
    ("anywhere", "record"): "test_a_recording_begins_and_ends",
    ("processes", "scroll(-1)"): "test_the_command_line_scrolls",
    ("processes", "scroll(1)"): "test_the_command_line_scrolls",
}
"""Keys that need more than a table row."""


def test_no_key_is_without_a_test() -> None:
    tested = {(check.screen, check.action) for check in CHECKS} | set(ELSEWHERE)
    declared = {(screen, key.action) for screen, keys in KEYS.items() for key in keys}
    assert tested == declared
    assert set(ELSEWHERE.values()) <= set(globals())


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: f"{check.screen}-{check.action}")
def test_a_key_does_what_its_help_says(driver: Driver, gputop: Start, check: Check) -> None:
    (key,) = [key for key in KEYS[check.screen] if key.action == check.action]
    terminal = gputop(
        driver(check.lines or moving(1)), *check.flags, size=check.size, stoppable=True
    )
    terminal.wait_device(0, "H100")
    check.opens(terminal)
    for name in key.keys.split(","):
        check.does(terminal, key_name(name))


@pytest.mark.parametrize("key", ["q", "ctrl-c"])
def test_leaving_restores_the_terminal(driver: Driver, gputop: Start, key: str) -> None:
    terminal = gputop(driver(moving(2)))
    terminal.wait_alive(1, 1)
    terminal.check_leaves(key)


def test_a_recording_begins_and_ends(driver: Driver, gputop: Start) -> None:
    """In the header while it lasts; its path at the end; and in it what was on screen."""
    terminal = gputop(driver(moving(2)), size=(160, 24))
    terminal.wait_alive(0, 1)
    terminal.press("R", shows=r"\A.*● REC ")
    terminal.wait_alive(0, 2)
    found = terminal.press("R", shows=r"(\d+) frames recorded to")
    assert found is not None
    terminal.wait_gone("REC ")
    (path,) = terminal.folder.glob("*.ndjson.zst")
    reader = read(path)
    frames = [record for record in reader if isinstance(record, Frame)]
    assert reader.ending is not None
    assert reader.ending.state == "complete"
    assert len(frames) == int(found[1]) >= 2
    used = {frame.devices[0].gpu_utilization for frame in frames}
    assert len(used) >= 2
    # Quitting ends one too, and says where it is.
    terminal.press("R", shows=r"\A.*● REC ")
    terminal.wait_alive(0, 2)
    terminal.check_leaves()
    said = bytes(terminal.raw).rpartition(b"\x1b[?1049l")[2].decode()
    assert len(re.findall(r"gputop: \d+ frames recorded to", said)) == 2, said
    assert len(list(terminal.folder.glob("*.ndjson.zst"))) == 2


SLOW_DISK = """
import os, time
sync = os.fsync
os.fsync = lambda fd: (time.sleep(0.05), sync(fd))
"""


@pytest.fixture
def slow_disk(tmp_path: Path) -> dict[str, str]:
    """An environment in which a file is not written at once."""
    (tmp_path / "sitecustomize.py").write_text(SLOW_DISK)
    return {"PYTHONPATH": f"{tmp_path}:{CHECKOUT}"}


def test_a_snapshot_is_written_before_we_leave(
    driver: Driver, gputop: Start, slow_disk: dict[str, str]
) -> None:
    """And where it is is said: its notice was not seen."""
    terminal = gputop(driver(moving(2)), size=(160, 24), env=slow_disk)
    terminal.wait_alive(0, 1)
    terminal.type("e", "q")
    assert terminal.exit_code() == 0
    (path,) = terminal.folder.iterdir()
    assert path.suffix == ".json"
    said = bytes(terminal.raw).rpartition(b"\x1b[?1049l")[2].decode()
    assert f"gputop: Snapshot written to {path}\r" in said


def test_a_snapshot_is_written_before_a_signal_ends_us(
    driver: Driver, gputop: Start, slow_disk: dict[str, str]
) -> None:
    terminal = gputop(driver(moving(2)), env=slow_disk)
    terminal.wait_alive(0, 1)
    terminal.type("e")
    deadline = time.monotonic() + 60
    while not (files := list(terminal.folder.iterdir())):
        assert time.monotonic() < deadline
    terminal.signal(signal.SIGTERM)
    assert terminal.exit_code() == 128 + signal.SIGTERM
    (path,) = terminal.folder.iterdir()
    assert path.suffix == ".json", files


@pytest.mark.parametrize("ends", ["R", "q", ""], ids=["R", "q", "itself"])
def test_a_recording_that_was_deleted_is_not_said_to_be_there(
    driver: Driver, gputop: Start, ends: str
) -> None:
    """Said at once, and once more when we leave: the notice may not have been seen."""
    terminal = gputop(driver(moving(2)), size=(160, 24))
    terminal.wait_alive(0, 1)
    terminal.press("R", shows=r"\A.*● REC ")
    terminal.wait_alive(0, 2)  # its first frame would tell by itself, and R begin another
    (path,) = terminal.folder.glob("*.ndjson.zst")
    path.unlink()
    terminal.type(ends)
    wait_flat(terminal, r"\.ndjson\.zst was deleted while it was written")
    assert not terminal.find("frames recorded to")
    if ends != "q":
        terminal.check_leaves()
    said = bytes(terminal.raw).rpartition(b"\x1b[?1049l")[2].decode()
    assert re.search(r"gputop: .*\.ndjson\.zst was deleted while it was written", said), said
    assert said.count("was deleted") == 1  # (R may have come late, and begun another)


def test_the_command_line_scrolls(driver: Driver, gputop: Start, spawn: Spawn) -> None:
    words = [f"word-{number:03}" for number in range(30)]
    child = spawn("sh", "-c", "while :; do sleep 1000; done", *words)
    terminal = gputop(driver({**h100s(1), "device.0.process.0": f"pid={child.pid} memory=1G"}))
    terminal.wait_for(rf" {child.pid} .* sh -c")
    for right, left in (("right", "left"), ("l", "h")):
        terminal.press(*[right] * 4, shows=rf" {child.pid} .*…")
        terminal.wait_for(r"COMMAND …32")
        terminal.press(*[right] * 8, shows=r"word-")
        terminal.press(*[left] * 12, shows=rf" {child.pid} .* sh -c")


@pytest.mark.parametrize(
    ("keys", "shows"),
    [
        (("enter",), "Host memory "),
        (DEVICE_OPEN, DEVICE_SHOWN),
        (("w",), "Meaning|Nothing to warn"),
    ],
    ids=["process", "device", "warnings"],
)
def test_keys_of_everywhere_work_on_every_screen(
    driver: Driver, gputop: Start, keys: tuple[str, ...], shows: str
) -> None:
    terminal = gputop(driver(TABLE))
    opened(("enter",), "Host memory ")(terminal)
    terminal.press("esc", hides="Host memory ")
    opened(keys, shows)(terminal)
    opens_help(terminal, "?")
    terminal.press("p", shows="PAUSED")
    terminal.press("p", hides="PAUSED")
    if keys == ("enter",):
        copies_the_pid(terminal, "y")
    terminal.check_leaves("ctrl-c")


def test_the_help_names_every_key(driver: Driver, gputop: Start) -> None:
    terminal = gputop(driver(STILL), size=(120, 150))
    terminal.wait_device(0, "H100")
    terminal.press("?", shows=HELP)
    for key in ALL_KEYS:
        terminal.wait_for(rf"   {re.escape(key.shown)} +{re.escape(key.help[:20])}")


def test_the_palette_runs_an_action(driver: Driver, gputop: Start) -> None:
    terminal = gputop(driver(moving(1)))
    terminal.wait_device(0, "H100")
    terminal.press("ctrl-p", shows="Search|palette")
    terminal.press("pause", shows=r"Pause \(p\)")
    terminal.press("enter", shows="PAUSED")


def test_the_mouse_sorts_and_chooses_and_opens(driver: Driver, gputop: Start) -> None:
    terminal = gputop(driver(TABLE))
    terminal.wait_for(r" 0 +100001 ")
    lines = terminal.lines()
    header = next(y for y, line in enumerate(lines) if re.match(r" +GPU +PID[ ▼▲]", line))
    click(terminal, lines[header].index("PID"), header)
    terminal.wait_for("PID▲")
    click(terminal, 20, header + 3)
    terminal.wait_for(lambda _: selected(terminal) == "100002")
    click(terminal, 20, 3)
    terminal.wait_for("╭› 0 ·")
    click(terminal, 20, 3)
    click(terminal, 20, 3)
    terminal.wait_for(DEVICE_SHOWN)


def click(terminal: Gputop, x: int, y: int) -> None:
    terminal.type(f"\x1b[<0;{x + 1};{y + 1}M", f"\x1b[<0;{x + 1};{y + 1}m")


def test_no_mouse_leaves_it_to_the_terminal(driver: Driver, gputop: Start) -> None:
    terminal = gputop(driver(STILL), "--no-mouse")
    terminal.wait_device(0, "H100")
    assert not {1000, 1002, 1003, 1006} & terminal.modes
    with_mouse = gputop(driver(STILL))
    with_mouse.wait_device(0, "H100")
    assert 1000 in with_mouse.modes


def test_suspending_from_the_shell_and_coming_back(driver: Driver, gputop: Start) -> None:
    """As a shell's job control does: SIGTSTP from outside, then SIGCONT."""
    terminal = gputop(driver(moving(1)), stoppable=True)
    terminal.wait_alive(0, 1)
    before = terminal.modes
    os.kill(terminal.pid, signal.SIGTSTP)
    terminal.wait_for(lambda t: 1049 not in t.modes)
    terminal.wait_stopped()
    os.kill(terminal.pid, signal.SIGCONT)
    terminal.wait_for(lambda t: t.modes == before)
    terminal.wait_alive(0)
    terminal.check_leaves()


@pytest.mark.parametrize(
    ("keys", "shows"),
    [(("ctrl-p",), "Search for commands"), (("?",), HELP), (("/", "mem"), "^/ mem")],
    ids=["palette", "help", "filter"],
)
def test_ctrl_z_works_in_whatever_lies_above(
    driver: Driver, gputop: Start, keys: tuple[str, ...], shows: str
) -> None:
    terminal = gputop(driver(moving(1)), stoppable=True)
    terminal.wait_alive(0, 1)
    terminal.press(*keys, shows=shows)
    before = terminal.modes
    terminal.type("ctrl-z")
    terminal.wait_stopped()
    terminal.signal(signal.SIGCONT)
    terminal.wait_for(lambda t: t.modes == before)
    assert terminal.find(shows)
    terminal.check_leaves("ctrl-c")


@pytest.mark.parametrize("display", ["diff", "plain"])
def test_a_stop_that_nobody_announced_leaves_the_terminal_as_it_was(
    driver: Driver, gputop: Start, display: str
) -> None:
    """SIGSTOP cannot be caught: only SIGCONT is seen, as where a batch system suspends a job. A
    shell may have set the terminal otherwise in between.
    """
    terminal = gputop(driver(moving(1)), env={"GPUTOP_DISPLAY": display})
    terminal.wait_alive(0, 1)
    raw, threads = terminal.settings(), thread_count(terminal)
    for between in (raw, terminal.settings_before):
        os.kill(terminal.pid, signal.SIGSTOP)
        terminal.wait_stopped()
        terminal.set(between)
        os.kill(terminal.pid, signal.SIGCONT)
        terminal.wait_for(lambda t: t.settings() == raw)
        terminal.wait_alive(0)
    assert thread_count(terminal) == threads
    terminal.check_keys_answer()
    terminal.check_leaves()


def thread_count(terminal: Gputop) -> int:
    return len(os.listdir(f"/proc/{terminal.pid}/task"))

"""Terminals of every size and kind."""

from __future__ import annotations

import random
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.e2e.conftest import Driver, moving
from tests.e2e.program import (
    CLOCK,
    PATIENCE_S,
    Gputop,
    Program,
    Start,
    environment,
    wait_ended,
)
from tests.fake_driver import h100s, many_processes
from tests.fake_driver.told import CallCount
from tests.terminal import Terminal

SMALL = {
    (1, 1): ["…"], (2, 1): ["…"], (4, 2): ["…"], (5, 1): ["60x15"], (10, 3): ["too small", "60x15"],
    (11, 1): ["needs 60x15"], (59, 15): ["gputop needs 60x15", "this is 59x15"],
    (60, 14): ["gputop needs 60x15", "this is 60x14"],
}  # fmt: skip
LARGE = [(60, 15), (61, 15), (80, 24), (400, 120)]


@pytest.mark.parametrize("size", SMALL, ids=str)
def test_a_terminal_too_small_says_what_it_needs(
    driver: Driver, gputop: Start, size: tuple[int, int]
) -> None:
    """In whole words, and nothing else; grown again it shows everything."""

    def says_it(terminal: Gputop) -> bool:
        return [line.strip() for line in terminal.lines() if line.strip()] == SMALL[size]

    terminal = gputop(driver(moving(2)), size=size)
    terminal.wait_for(says_it)
    terminal.resize(80, 24)
    terminal.wait_for(rf"\A.*{CLOCK}")
    terminal.wait_for(r"^ q quit .*window 5 min *\Z")
    for index in range(2):
        terminal.wait_alive(index, 1)
    terminal.resize(*size)
    terminal.wait_for(says_it)
    terminal.check_leaves()


@pytest.mark.parametrize("size", LARGE, ids=str)
def test_a_terminal_that_is_large_enough(
    driver: Driver, gputop: Start, size: tuple[int, int]
) -> None:
    terminal = gputop(driver({**moving(4), **many_processes(30)}), size=size)
    for index in range(4):
        terminal.wait_device(index, r"H100")
    terminal.wait_for(r"^ q quit .*\Z")
    terminal.wait_for(r"^ +0 +100000 ")
    terminal.wait_alive(3, 1)
    terminal.check_leaves()


def test_two_hundred_resizes(driver: Driver, gputop: Start) -> None:
    terminal = gputop(driver({**moving(4), **many_processes(30)}))
    terminal.wait_alive(0, 1)
    numbers = random.Random(7)
    for number in range(200):
        columns, rows = numbers.randint(1, 250), numbers.randint(1, 70)
        terminal.resize(columns, rows)
        # Those that come at once are one to the program, so some are waited for.
        if number % 8 == 0 and columns >= 60 and rows >= 15:
            terminal.wait_for(lambda t, last=rows - 1: t.lines()[last].startswith(" q quit"))
    terminal.resize(100, 30)
    terminal.wait_for(r"^ q quit .*window 5 min *\Z")
    for index in range(4):
        terminal.wait_alive(index, 1)
    terminal.check_keys_answer()
    terminal.check_leaves()


@dataclass(frozen=True)
class Kind:
    """A terminal's kind, as the environment tells it."""

    name: str
    env: Mapping[str, str | None]
    theme: str
    """The theme it gets by itself."""
    ascii: bool = False
    modes: Mapping[int, int] = field(default_factory=dict)


DARK_BACKGROUND = "121212"
KINDS = (
    Kind("xterm-256color", {"TERM": "xterm-256color"}, "dark"),
    Kind("truecolor", {"TERM": "xterm-256color", "COLORTERM": "truecolor"}, "dark"),
    Kind("tmux", {"TERM": "tmux-256color", "TMUX": "/tmp/tmux-0/default,1,0"}, "dark"),
    Kind("tmux without colours of its own", {"TERM": "tmux", "TMUX": "/tmp/tmux-0/default,1,0"},
         "terminal"),
    Kind("screen-256color", {"TERM": "screen-256color"}, "dark"),
    Kind("screen", {"TERM": "screen"}, "terminal"),
    Kind("xterm", {"TERM": "xterm"}, "terminal"),
    Kind("linux", {"TERM": "linux"}, "terminal"),
    Kind("vt100", {"TERM": "vt100"}, "mono"),
    Kind("an unknown TERM", {"TERM": "no-such-terminal"}, "terminal"),
    Kind("NO_COLOR", {"NO_COLOR": "1"}, "mono"),
    Kind("LANG=C", {"LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
         "dark", ascii=True),
    Kind("latin-1", {"PYTHONIOENCODING": "latin-1"}, "dark", ascii=True),
)  # fmt: skip


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name.replace(" ", "-"))
def test_a_kind_of_terminal(driver: Driver, gputop: Start, kind: Kind) -> None:
    scenario = driver({**moving(2), "device.0.clocks_event_reasons": 0x40})
    terminal = gputop(scenario, env=kind.env)
    terminal.wait_for(r"^ q quit .*\Z")
    heading = r"^\+- 0 - H100" if kind.ascii else r"^╭─ 0 · H100"
    terminal.wait_for(heading)
    terminal.wait_for("X 1" if kind.ascii else "✗ 1")
    terminal.wait_for(r"^[|│] temp +\d+/")
    if kind.ascii:
        assert terminal.text().isascii() or re.fullmatch(r"[\x00-\x7f°]*", terminal.text(), re.S)
    assert (b"[38;2;" in terminal.raw) == (kind.env.get("COLORTERM") == "truecolor")
    colours = {cell.fg for row in terminal.cells() for cell in row}
    colours |= {cell.bg for row in terminal.cells() for cell in row}
    rgb = {colour for colour in colours if re.fullmatch("[0-9a-f]{6}", colour)}
    if kind.theme == "mono":
        assert colours == {"default"}
    elif kind.theme == "terminal":
        assert not rgb
        assert len(colours) > 3
        grounds = Counter(cell.bg for row in terminal.cells() for cell in row)
        assert grounds.most_common(1)[0][0] == "default", "its own background"
    else:
        assert DARK_BACKGROUND in rgb
    terminal.check_leaves()


@pytest.mark.skipif(not shutil.which("localedef"), reason="localedef is not installed")
def test_a_real_locale_that_is_not_utf_8_gets_ascii(
    driver: Driver, gputop: Start, tmp_path: Path
) -> None:
    name = "en_US.ISO-8859-1"
    made = ["localedef", "--no-archive", "-i", "en_US", "-f", "ISO-8859-1", str(tmp_path / name)]
    subprocess.run(made, capture_output=True, check=False)
    if not (tmp_path / name).exists():
        pytest.skip("there are no sources of locales (package locales)")
    env = {"LOCPATH": str(tmp_path), "LANG": name, "LC_ALL": name}
    terminal = gputop(driver(moving(2)), env=env)
    terminal.wait_for(r"^\+- 0 - H100")
    terminal.wait_for(r"temp +\d+/")
    beyond = {byte for byte in terminal.raw if byte > 0x7F}
    assert beyond <= {0xB0}, "more than the degree sign, or in an encoding not the terminal's"
    terminal.check_leaves()


OVERRIDES = {
    "COLUMNS": "70",
    "LINES": "20",
    "TEXTUAL_COLOR_SYSTEM": "none",
    "TEXTUAL_DRIVER": "a:b",
}


def test_the_terminal_and_not_the_environment_says_its_size(driver: Driver, gputop: Start) -> None:
    terminal = gputop(driver(moving(2)), env=OVERRIDES, size=(120, 40))
    terminal.wait_for(lambda t: "q quit" in t.lines()[39])
    terminal.resize(80, 24)
    terminal.wait_for(lambda t: "q quit" in t.lines()[23])
    terminal.check_leaves()


def test_a_dumb_terminal_is_refused_in_one_sentence(driver: Driver, gputop: Start) -> None:
    terminal = gputop(driver(moving(1)), env={"TERM": "dumb"}, size=(200, 24))
    assert terminal.exit_code() == 2
    assert terminal.find(r"^gputop: This terminal \(TERM=dumb\) cannot be drawn on; set TERM to")
    assert terminal.is_restored()


@pytest.mark.parametrize("flags", [("--ascii",), ("--no-color",), ("--ascii", "--no-color")])
def test_flags_for_poor_terminals(driver: Driver, gputop: Start, flags: tuple[str, ...]) -> None:
    terminal = gputop(driver(moving(2)), *flags)
    terminal.wait_for(r"^ q quit .*\Z")
    terminal.wait_for(r"temp +\d+/")
    if "--ascii" in flags:
        terminal.wait_for(r"^\+- 0 - H100")
        assert re.fullmatch(r"[\x00-\x7f°]*", terminal.text(), re.S), terminal.describe()
    if "--no-color" in flags:
        cells = [cell for row in terminal.cells() for cell in row]
        assert {cell.fg for cell in cells} | {cell.bg for cell in cells} == {"default"}


@pytest.mark.parametrize(
    ("flags", "env"),
    [((), {"NO_COLOR": "1"}), (("--no-color",), {}), ((), {"TERM": "vt100"})],
    ids=["NO_COLOR", "--no-color", "vt100"],
)
def test_without_colours_every_part_of_the_screen_can_be_read(
    driver: Driver, gputop: Start, flags: tuple[str, ...], env: Mapping[str, str]
) -> None:
    """Textual's own parts too: the palette, the filter, what is said for a moment."""
    terminal = gputop(driver({**moving(2), **many_processes(3)}), *flags, env=env)
    terminal.wait_for("100000")
    parts = {
        "Search for": ["ctrl-p"], "/ user:x": ["/", "user:x"], "Esc closes": ["?"],
        "Send a signal to": ["K"], "Activity per watt": ["tab", "enter"],
    }  # fmt: skip
    terminal.press("e", shows="Snapshot written")
    for shows, keys in parts.items():
        terminal.press(*keys, shows=shows)
        if shows == "Search for":
            terminal.wait_for(lambda t: _reversed(t, "Clear (Esc)"))
        cells = [cell for row in terminal.cells() for cell in row]
        assert {cell.fg for cell in cells} | {cell.bg for cell in cells} == {"default"}, shows
        terminal.press("esc", hides=shows)
    assert not re.search(rb"\x1b\[(?:[\d;]*;)?(?:[34][0-8]|9[0-7])(?:;[\d;]*)?m", terminal.raw)


def _reversed(terminal: Terminal, words: str) -> bool:
    """Whether words stand on the screen in reverse."""
    for line, row in zip(terminal.lines(), terminal.cells(), strict=True):
        if (at := line.find(words)) >= 0:
            return all(cell.reverse for cell in row[at : at + len(words)])
    return False


def test_a_terminal_that_answers_nothing(driver: Driver, gputop: Start) -> None:
    terminal = gputop(driver(moving(2)), answers=False)
    for index in range(2):
        terminal.wait_alive(index, 2)
    terminal.check_keys_answer()
    terminal.check_leaves()


def test_a_terminal_that_answers_late(driver: Driver, gputop: Start) -> None:
    terminal = gputop(driver(moving(2)), answer_delay_s=0.4)
    terminal.wait_alive(0)
    terminal.check_keys_answer()
    terminal.check_leaves()


def test_a_stalled_link_is_left_at_once(driver: Driver, gputop: Start) -> None:
    """In the middle of a picture of 60 kB, of which the pseudo-terminal takes 22: the rest is
    thrown away, and what restores the terminal is not.
    """
    scenario = driver(moving(8), log_calls=True)
    fast = {"GPUTOP_DISPLAY_BYTES_PER_S": "10000000"}  # which it heeds where no answer comes
    with CallCount(scenario, r"nvmlDeviceGetTemperature\w* 0") as ticks:
        terminal = gputop(scenario, size=(400, 120), answers=False, env=fast)
        terminal.wait_alive(7, 1)
        terminal.press("?", shows="Esc closes")
        terminal.press("esc", hides="Esc closes")  # by now no answer is waited for
        started = terminal.descendants()
        terminal.stall()
        before = terminal.bytes_written
        terminal.type("t")  # another theme changes every cell
        ticks.pass_by(10, PATIENCE_S)
        terminal.type("ctrl-c")
        assert terminal.exit_code() == 0
        wait_ended(started)
    terminal.resume()
    terminal.wait_for(lambda t: t.is_restored())
    # 4 kB had come to the reader's end, where nobody can take them back.
    assert terminal.bytes_written - before < 10_000, "what waited was not thrown away"


@pytest.mark.skipif(not shutil.which("tmux"), reason="tmux is not installed")
def test_inside_a_real_tmux_with_a_real_resize(driver: Driver, folder: Path, home: Path) -> None:
    scenario = driver(moving(2))
    env = environment(home, scenario.env(), 0.5) | {"TMUX": None}
    socket = str(folder / "tmux")
    command = f"exec {sys.executable} -m gputop --interval 0.25"
    terminal = _Tmux(["tmux", "-S", socket, "-f", "/dev/null", "new-session", command], folder, env)
    with terminal:
        terminal.wait_alive(1, 1)
        subprocess.run(["tmux", "-S", socket, "split-window", "-h", "sleep 100"], check=True)
        terminal.wait_for("gputop needs 60x15|this is ")
        subprocess.run(["tmux", "-S", socket, "kill-pane", "-t", "1"], check=True)
        terminal.wait_alive(1, 1)
        terminal.resize(120, 40)
        terminal.wait_for(r"window 5 min")
        terminal.wait_alive(0, 1)
        terminal.check_keys_answer()
        terminal.type("q")
        assert terminal.exit_code() == 0


class _Tmux(Gputop):
    """gputop inside another program."""

    def __init__(self, command: list[str], folder: Path, env: Mapping[str, str | None]) -> None:
        self.folder = folder
        super(Gputop, self).__init__(command, env=env, cwd=folder)


# -- no terminal -----------------------------------------------------------------------------

NEEDS = "gputop: The screen needs a terminal; in a pipe or a script use `gputop snapshot`"


def test_no_stream_is_a_terminal(driver: Driver, folder: Path, home: Path) -> None:
    """As under cron: nothing is written to stdout, and one sentence to stderr."""
    env = environment(home, driver(moving(1)).env(), 1)
    program = Program((), folder, env)
    assert program.end() == 2
    assert program.out == ""
    assert program.errors.startswith(NEEDS)
    assert program.errors.count("\n") == 1


@pytest.mark.parametrize("redirect", ["< /dev/null", "> out", "2> log", "| cat", "<&-", ">&-"])
def test_a_redirected_start_in_a_shell(
    driver: Driver, folder: Path, home: Path, redirect: str
) -> None:
    env = environment(home, driver(h100s(1)).env(), 1)
    command = f"{sys.executable} -m gputop {redirect}"
    if redirect == "| cat":
        command = f"bash -c 'set -o pipefail; {command}'" if shutil.which("bash") else command
    terminal = _Tmux(["sh", "-c", f"{command}; echo code $?"], folder, env)
    with terminal:
        terminal.wait_for(r"code \d+")
        if shutil.which("bash") or redirect != "| cat":
            assert terminal.find("code 2"), terminal.describe()
        said = (folder / "log").read_text() if redirect == "2> log" else terminal.text()
        assert "The screen needs a terminal" in said.replace("\n", "")
        assert 1049 not in terminal.modes
        assert b"\x1b" not in terminal.raw


@pytest.mark.parametrize(
    "typed",
    [b"\xe9", b"\x1b[M\xff\xff\xff", b"\x1b[99999999999u", b"\x1b[1114112u",
     b"\x1b[<0;99999999999999999999;1M",
     b"\x1b[48;99999999;99999999;1;1t"],
    ids=["latin-1", "an old mouse", "a key that is none", "no letter", "far away", "a size"],
)  # fmt: skip
def test_what_is_no_key_is_passed_over(driver: Driver, gputop: Start, typed: bytes) -> None:
    """From a terminal of another encoding, or over a noisy line."""
    terminal = gputop(driver(moving(1)))
    terminal.wait_alive(0, 1)
    terminal.send(typed)
    terminal.wait_alive(0)
    terminal.check_keys_answer()
    terminal.check_leaves()


def test_a_paste_that_the_terminal_does_not_mark_holds_up_nothing(
    driver: Driver, gputop: Start
) -> None:
    """Keys beyond those that anybody types ahead are passed over, and Ctrl-C behind them is not."""
    terminal = gputop(driver(moving(1)))
    terminal.wait_alive(0, 1)
    for _ in range(4):
        terminal.send(b"j" * 100)
        terminal.check_keys_answer()
    for _ in range(500):
        terminal.send(b"hello world mem>10G " * 10)
    terminal.check_leaves("ctrl-c")


def test_ctrl_c_leaves_a_paste_whose_end_never_came(driver: Driver, gputop: Start) -> None:
    terminal = gputop(driver(moving(1)))
    terminal.wait_alive(0, 1)
    terminal.send(b"\x1b[200~rm -rf")
    terminal.wait_frames()
    terminal.check_leaves("ctrl-c")

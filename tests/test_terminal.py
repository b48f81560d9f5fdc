"""The harness itself: what it shows, answers and measures must be true."""

import signal
import sys
import threading
import time

import pytest

from tests.terminal import Terminal

SHELL = ["sh", "-c"]


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_shows_what_a_program_writes_with_its_styles() -> None:
    with Terminal([*SHELL, r"printf 'one\n\033[1;31mtw\303\266\033[m'; read x"]) as terminal:
        terminal.wait_for("^twö$")
        assert terminal.lines()[:2] == ["one", "twö"]
        assert (terminal.cell(0, 1).fg, terminal.cell(0, 1).bold) == ("red", True)
        assert terminal.bytes_written == len("one\r\n\x1b[1;31mtwö\x1b[m".encode())


def test_types_keys_and_text_and_tells_the_exit_code() -> None:
    with Terminal([*SHELL, 'read name; echo "hello $name"; exit 3']) as terminal:
        terminal.type("ann", "enter")
        assert terminal.exit_code() == 3
        assert terminal.find("^hello ann$")


def test_the_program_sees_the_size_and_its_change() -> None:
    code = (
        "import os, signal\n"
        "show = lambda *_: print(os.get_terminal_size(), flush=True)\n"
        "signal.signal(signal.SIGWINCH, show); show()\n"
        "while True: signal.pause()"
    )
    with Terminal(python(code), size=(91, 17)) as terminal:
        terminal.wait_for("columns=91, lines=17")
        terminal.resize(100, 30)
        terminal.wait_for("columns=100, lines=30")


def test_answers_queries_even_when_they_come_in_pieces() -> None:
    code = (
        "import os, sys, time, tty; tty.setraw(0); out = sys.stdout\n"
        "for piece in ('ab\\x1b[?20', '26$p', '\\x1b[6n'):\n"
        "    out.write(piece); out.flush(); time.sleep(0.05)\n"
        "seen = b''\n"
        "while not seen.endswith(b'R'): seen += os.read(0, 99)\n"
        "print(repr(seen))"
    )
    with Terminal(python(code)) as terminal:
        terminal.wait_for(r"\[\?2026;2\$y.*\[1;3R")
        assert terminal.queries == {2026: 1}


def test_a_sequence_cut_short_does_not_end_the_terminal() -> None:
    cut = r"printf 'a\033[1;2;3\033[?5Ab\033[38;2;1;1;1;A\033[9;9;9Hc'; read x"
    with Terminal([*SHELL, cut]) as terminal:
        terminal.wait_for("c")


def test_when_the_terminal_itself_fails_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Terminal, "_draw", lambda *_: 1 / 0)
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    with (
        Terminal([*SHELL, "echo a; read x"]) as terminal,
        pytest.raises(AssertionError, match="the terminal itself failed"),
    ):
        terminal.wait_for("a")


def test_a_silent_terminal_answers_nothing() -> None:
    code = (
        "import select, sys, tty; tty.setraw(0); print('\\x1b[?2026$p', flush=True)\n"
        "print(bool(select.select([0], [], [], 0.3)[0]))"
    )
    with Terminal(python(code), answers=False) as terminal:
        terminal.wait_for("False")


def test_a_slow_link_takes_its_time_and_a_stalled_one_takes_nothing() -> None:
    code = "import sys; sys.stdout.write('x' * 10_000 + 'end'); sys.stdout.flush(); input()"
    took = {}
    for rate in (4_000, 20_000):
        with Terminal(python(code), bytes_per_s=rate, link_bytes=100_000) as terminal:
            start = time.monotonic()
            terminal.wait_for("end")
            took[rate] = time.monotonic() - start
    assert 0.3 < took[20_000] < took[4_000]
    with Terminal(python(code), bytes_per_s=20_000, link_bytes=100_000) as terminal:
        terminal.wait_for("end")
        terminal.stall()
        before = terminal.text()
        terminal.type("hello")
        terminal.wait_quiet()
        assert terminal.text() == before
        terminal.resume()
        terminal.wait_for("endhello")


def test_knows_which_modes_are_left_on() -> None:
    with Terminal(
        [*SHELL, r"printf '\033[?1049;1003h\033[>1ua'; read x; printf '\033[?1003lb'"]
    ) as t:
        t.wait_for("a")
        assert t.modes == {1049, 1003}
        assert t.keyboard_stack == 1
        t.type("enter")
        t.exit_code()
        assert 1003 not in t.modes
        assert not t.is_restored()


def test_an_unmet_wait_shows_the_screen() -> None:
    with Terminal([*SHELL, "echo here I am; read x"]) as terminal:
        terminal.wait_for("here")
        with pytest.raises(AssertionError, match="here I am"):
            terminal.wait_for("there", timeout=0.1)


def test_close_kills_what_went_to_a_session_of_its_own() -> None:
    terminal = Terminal([*SHELL, "setsid sh -c 'echo ready; exec sleep 1000' & wait"])
    with terminal:
        terminal.wait_for("ready")
        await_descendants(terminal, 2)
        terminal.signal(signal.SIGKILL)
        assert terminal.exit_code() == -signal.SIGKILL
        await_descendants(terminal, 1)
    await_descendants(terminal, 0)


def await_descendants(terminal: Terminal, count: int) -> None:
    deadline = time.monotonic() + 5
    while len(terminal.descendants()) != count:
        assert time.monotonic() < deadline, terminal.descendants()
        time.sleep(0.01)

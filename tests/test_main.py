"""The command line: what is imported, what is said, and with which exit code it ends."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import threading
import types
from pathlib import Path
from typing import Any

import pytest

from gputop import __main__, __version__
from gputop.__main__ import run
from gputop.commands.base import write_all
from gputop.errors import NoDriver
from gputop.recording import RecordingWriter
from tests.demo_records import demo_records

PATIENCE_S = 60.0

SETUP = """
import sys, types
import gputop.__main__ as main
def add(name, run):
    module = types.ModuleType(name)
    module.HELP, module.prepare_parser, module.run = "help", lambda parser: None, run
    sys.modules[name], main.COMMANDS[name] = module, name
"""


def python(
    code: str, *arguments: str, out: int = subprocess.PIPE
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", SETUP + code, *arguments], stdout=out, stderr=subprocess.PIPE,
        text=True, check=False, timeout=PATIENCE_S,
    )  # fmt: skip


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """A subcommand `probe`; the test gives it its `run`."""
    module = types.ModuleType("probe")
    module.HELP = "probe the ground"  # type: ignore[attr-defined]
    module.prepare_parser = lambda parser: parser.add_argument("--depth", type=int)  # type: ignore[attr-defined]
    module.run = lambda args: args.depth or 0  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "probe", module)
    monkeypatch.setitem(__main__.COMMANDS, "probe", "probe")
    return module


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch, command: types.ModuleType) -> types.ModuleType:
    """The same module in the place of the screen, and no other subcommand."""
    monkeypatch.setattr(__main__, "SCREEN", "probe")
    monkeypatch.setattr(__main__, "COMMANDS", {"probe": "probe"})
    return command


@pytest.mark.usefixtures("command")
def test_a_subcommand_gets_its_flags_and_gives_the_exit_code() -> None:
    assert run(["probe", "--depth", "5"]) == 5


@pytest.mark.usefixtures("screen")
def test_without_a_subcommand_the_flags_are_the_screens() -> None:
    assert run(["--depth", "7"]) == 7
    assert run([]) == 0


@pytest.mark.usefixtures("screen")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["prob"], "there is no command 'prob'; the commands are probe"),
        (["--depth", "1", "probe"], "the options of probe stand behind it"),
        (["--dept-h"], "there is no option --dept-h"),
        (["probe", "--depth", "x"], "argument --depth: invalid int value: 'x'"),
        (["probe", "more"], "unrecognized arguments: more"),
    ],
)
def test_what_cannot_be_meant_is_one_sentence(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == 2
    out, errors = capsys.readouterr()
    assert out == ""
    assert errors.startswith(f"gputop: {said}")
    assert errors.count("\n") == 1


@pytest.mark.usefixtures("screen")
def test_help_lists_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    assert "  probe  probe the ground\n" in capsys.readouterr().out


@pytest.mark.parametrize("flag", ["--version", "-V"])
def test_version(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([flag]) == 0
    assert capsys.readouterr().out == f"gputop {__version__}\n"


def test_an_error_is_one_sentence_with_its_exit_code(
    command: types.ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(args: object) -> int:
        raise NoDriver("There is no driver; install one.")

    command.run = fail  # type: ignore[attr-defined]
    assert run(["probe"]) == 3
    assert capsys.readouterr().err == "gputop: There is no driver; install one.\n"


def test_a_file_name_in_a_sentence_drives_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["report", "\x1b]0;title\x07\n\u202e.ndjson"]) == 1
    assert capsys.readouterr().err == "gputop: There is no recording ␛]0;title␇␊\ufffd.ndjson.\n"


CLOSED = (
    ("doctor >&-", 1, "gputop: Stdout is closed; redirect it to a file.\n"),
    ("--help >&-", 1, "gputop: Stdout is closed; redirect it to a file.\n"),
    ("snapshot --demo -o reading.json 2>&-", 0, ""),
)


@pytest.mark.parametrize(("command", "code", "said"), CLOSED, ids=[row[0] for row in CLOSED])
def test_a_stream_that_is_closed(tmp_path: Path, command: str, code: int, said: str) -> None:
    shell = ["sh", "-c", f"{sys.executable} -m gputop {command}"]
    done = subprocess.run(shell, cwd=tmp_path, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (code, said)


def test_what_nobody_foresaw_is_one_sentence_that_asks_for_a_report(
    command: types.ModuleType, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(args: object) -> int:
        raise LookupError("no such thing")

    command.run = fail  # type: ignore[attr-defined]
    monkeypatch.delenv("GPUTOP_TRACEBACK", raising=False)
    assert run(["probe"]) == 1
    said = capsys.readouterr().err
    assert "(LookupError: no such thing)" in said
    assert "report" in said
    assert said.count("\n") == 1
    monkeypatch.setenv("GPUTOP_TRACEBACK", "1")
    assert run(["probe"]) == 1
    assert "Traceback (most recent call last)" in capsys.readouterr().err


def test_an_interrupt_is_quiet(
    command: types.ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(args: object) -> int:
        raise KeyboardInterrupt

    command.run = interrupt  # type: ignore[attr-defined]
    assert run(["probe"]) == 130
    assert capsys.readouterr() == ("", "")


def test_a_reader_that_went_away_is_no_error() -> None:
    code = "add('probe', lambda args: print('x' * 1_000_000))\nmain.main()"
    reading, writing = os.pipe()
    os.close(reading)
    done = python(code, "probe", out=writing)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_little_output_for_a_reader_that_went_away_is_no_error_either() -> None:
    """It is still in Python's buffer when the command has ended."""
    code = "add('probe', lambda args: print('x') or 0)\nmain.main()"
    reading, writing = os.pipe()
    os.close(reading)
    done = python(code, "probe", out=writing)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_disk_is_said(unbuffered: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
    code = "add('probe', lambda args: print('x') or 0)\nmain.main()"
    with open("/dev/full", "wb") as full:
        done = python(code, "probe", out=full.fileno())
    assert done.returncode == 1
    assert done.stderr == "gputop: Cannot write the output: No space left on device.\n"


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("command", ["run --help", "report b.ndjson"])
def test_a_file_that_takes_only_a_part_is_said(
    command: str, unbuffered: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")  # it would be cut short too, for all others
    with RecordingWriter(tmp_path / "b.ndjson") as writer:
        for record in demo_records(seconds=2):
            writer.write(record)
    shell = f"ulimit -f 1; exec {sys.executable} -m gputop {command} > page"
    done = subprocess.run(
        ["bash", "-c", shell], cwd=tmp_path, stderr=subprocess.PIPE, text=True, check=False
    )
    assert done.returncode == 1
    assert re.fullmatch(r"gputop: Cannot write .*: File too large\.\n", done.stderr)


class _Counted(io.FileIO):
    """A descriptor that says when it takes nothing, for the first and for the second time."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor, "wb")
        self.refused = [threading.Event(), threading.Event()]

    def write(self, data: Any) -> int | None:  # type: ignore[override]
        taken = super().write(data)
        if taken is None:
            next((event for event in self.refused if not event.is_set()), self.refused[1]).set()
        return taken


@pytest.mark.parametrize("buffered", [False, True])
def test_what_takes_nothing_for_now_is_waited_for_and_not_asked_again_and_again(
    buffered: bool,
) -> None:
    """A pipe or a terminal that another program made non-blocking."""
    out, into = os.pipe()
    os.set_blocking(into, False)
    counted = _Counted(into)
    stream = io.TextIOWrapper(io.BufferedWriter(counted) if buffered else counted)  # type: ignore[arg-type]
    data = os.urandom(1 << 20)
    writer = threading.Thread(target=write_all, args=(stream, data), daemon=True)
    writer.start()
    assert counted.refused[0].wait(PATIENCE_S)
    assert not counted.refused[1].wait(0.2)
    read = b""
    while len(read) < len(data):
        read += os.read(out, len(data))
    assert read == data
    writer.join(PATIENCE_S)
    stream.close()
    os.close(out)


@pytest.mark.parametrize("most", [5, 6, 8, 9])
@pytest.mark.parametrize("command", ["doctor", "snapshot --demo", "stream --demo --count 1"])
def test_without_a_free_descriptor_it_is_one_sentence(command: str, most: int) -> None:
    """However early: the words for it are in a file too."""
    line = f"ulimit -n {most}; exec {sys.executable} -m gputop {command}"
    done = subprocess.run(
        ["bash", "-c", line], capture_output=True, text=True, check=False, timeout=PATIENCE_S
    )
    if done.returncode == 1 or most == 5:
        assert re.fullmatch(
            r"gputop: (There is no room for another|Cannot start .*) open .*\n", done.stderr
        )
        assert done.returncode == 1


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [("doctor", 0, ""), ("snapshot --demo -o a.json", 1, "The folder . does not exist;"),
     ("record --demo -o a.ndjson", 1, "The folder . does not exist;"),
     ("snapshot --demo --format csv", 0, "")],
)  # fmt: skip
def test_a_working_folder_that_was_deleted(
    command: str, code: int, said: str, tmp_path: Path
) -> None:
    line = f"rmdir $PWD; exec {sys.executable} -m gputop {command}"
    done = subprocess.run(
        ["sh", "-c", line], cwd=tmp_path, capture_output=True, text=True, check=False,
        timeout=PATIENCE_S,
    )  # fmt: skip
    assert "unforeseen" not in done.stderr
    assert said in done.stderr
    if command != "doctor":  # whose code is the machine's
        assert done.returncode == code


@pytest.mark.parametrize("command", ["nosuch", "report nosuch.ndjson"])
def test_a_sentence_that_nobody_takes_leaves_the_exit_code(command: str) -> None:
    shell = f"exec {sys.executable} -m gputop {command} 2>/dev/full"
    done = subprocess.run(["sh", "-c", shell], stdin=subprocess.DEVNULL, check=False)
    assert done.returncode == run(command.split())


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("flags", [["--help"], ["report", "--help"], ["--version"], ["-V", "-V"]])
def test_help_that_cannot_be_written_is_said(
    flags: list[str], unbuffered: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
    with open("/dev/full", "wb") as full:
        done = python("main.main()", *flags, out=full.fileno())
    assert done.returncode == 1
    assert re.fullmatch(r"gputop: Cannot write .*: No space left on device\.\n", done.stderr)


def test_mistakes_in_the_settings_are_said_without_a_terminal_and_without_the_screen(
    tmp_path: Path,
) -> None:
    path = tmp_path / "config.toml"
    path.write_text('theme = "drak"\n')
    code = "print(main.run(sys.argv[1:]), 'textual' in sys.modules)"
    done = python(code, "--config", str(path))
    assert done.stderr.startswith(f"gputop: {path}, line 1: theme = 'drak' is not accepted")
    assert done.stdout == "1 False\n"
    path.write_text("")
    done = python(code, "--config", str(path))
    assert "needs a terminal" in done.stderr
    assert done.stdout == "2 False\n"


def test_a_thread_that_hangs_does_not_hold_the_process() -> None:
    code = """
import threading
def hang(args):
    threading.Thread(target=threading.Event().wait).start()
    print("done")
    return 4
add("probe", hang)
main.main()
"""
    done = python(code, "probe")
    assert (done.returncode, done.stdout, done.stderr) == (4, "done\n", "")


@pytest.mark.parametrize(
    ("arguments", "strangers"),
    [
        (["--version"], ["argparse", "msgspec", "textual", "asyncio", "psutil"]),
        (["stream", "--help"], ["textual", "rich", "asyncio", "psutil", "pynvml", "subprocess"]),
        (["snapshot", "--help"], ["textual", "rich", "asyncio", "psutil", "pynvml"]),
        (["doctor", "--help"], ["textual", "rich", "asyncio"]),
    ],
)
def test_what_is_not_needed_is_not_imported(arguments: list[str], strangers: list[str]) -> None:
    code = "main.run(sys.argv[1:])\nprint(*sys.modules, file=sys.stderr)"
    done = python(code, *arguments)
    assert set(done.stderr.split()) & set(strangers) == set()
    assert "gputop.__main__" in done.stderr

"""`gputop doctor`: what works, what does not, and what to do."""

from __future__ import annotations

import argparse
import json
import textwrap

from gputop import __version__
from gputop.commands.base import print_out
from gputop.doctor.checks import Result, examine, exit_code
from gputop.doctor.program_checks import is_utf8
from gputop.doctor.surroundings import Level, Surroundings, here
from gputop.text import clean

HELP = "check driver, library, binding, permissions and terminal"

_GLYPHS: dict[Level, tuple[str, str, str]] = {
    "ok": ("✓", "+", "32"),
    "info": ("·", "-", "36"),
    "warn": ("!", "!", "33"),
    "fail": ("✗", "x", "31"),
}
"""A level's glyph, the same in ASCII, and its colour as an SGR parameter."""
_WIDEST = 110


def prepare_parser(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `gputop doctor`."""
    parser.description = (
        "Check what gputop needs, from the hardware to the terminal, and say what to do about "
        "what is missing. The exit code is 0 when all works, 3 when there is no NVIDIA driver or "
        "no device, 1 when something else fails."
    )
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")


def run(args: argparse.Namespace) -> int:
    """Print the findings; the exit code says how it stands."""
    around = here()
    results = examine(around)
    code = exit_code(results)
    page = as_json(results, code) if args.json else as_text(results, code, around)
    print_out(page + "\n")
    return code


def as_json(results: list[Result], code: int) -> str:
    """The findings for a program."""
    checks = [
        {
            "check": result.check,
            "level": result.found.level,
            "finding": result.found.finding,
            "remedy": result.found.remedy or None,
        }
        for result in results
    ]
    document = {
        "type": "doctor", "schema": 1, "program": f"gputop {__version__}", "works": code == 0,
        "exit_code": code, "checks": checks,
    }  # fmt: skip
    return json.dumps(document, indent=2)


def as_text(results: list[Result], code: int, around: Surroundings) -> str:
    """The findings for a person, in aligned lines, the remedy under each."""
    terminal = around.terminal
    plain = not is_utf8(terminal.encoding)
    colored = terminal.is_tty and not around.environ.get("NO_COLOR")
    width = min(terminal.columns, _WIDEST) if terminal.is_tty else _WIDEST
    names = max(len(result.check) for result in results)
    lines = []
    for result in results:
        level = result.found.level
        glyph, ascii_glyph, color = _GLYPHS[level]
        mark = f"{ascii_glyph if plain else glyph} {level:4}"
        head = f"{mark}  {result.check:{names}}  "
        body = _wrapped(clean(result.found.finding), len(head), width)
        if result.found.remedy:
            arrow = "-> " if plain else "→ "
            body += _wrapped(arrow + clean(result.found.remedy), len(head), width)
        first = body[0].strip()
        shown = f"\x1b[{color}m{mark}\x1b[0m{head[len(mark) :]}" if colored else head
        lines += [shown + first, *body[1:]]
    lines += ["", _verdict(code)]
    text = "\n".join(lines)
    return text.encode(terminal.encoding, "replace").decode(terminal.encoding) if plain else text


def _wrapped(text: str, indent: int, width: int) -> list[str]:
    blank = " " * indent
    return textwrap.wrap(
        text, max(width, indent + 20), initial_indent=blank, subsequent_indent=blank,
        break_on_hyphens=False,
    )  # fmt: skip


def _verdict(code: int) -> str:
    """How it stands, in one sentence."""
    if code == 0:
        return "gputop can read the GPUs of this machine."
    if code == 3:
        return "There is no NVIDIA driver or no device: gputop shows the CPU, and gputop --demo."
    return "Something is in the way: see what failed above, from the top."

"""Checks of the program itself: versions, modules that stand in the way, and the terminal."""

from __future__ import annotations

import platform

from gputop import __version__
from gputop.doctor.surroundings import Finding, Surroundings

SMALLEST = (60, 15)
"""Columns and rows from which every device has a place on the screen."""


def versions(around: Surroundings) -> Finding:
    """What is installed, and whether something that gputop needs is not."""
    answer = around.probe.get("versions")
    if not answer:
        why = "hangs" if around.probe.hung else around.probe.trouble or "says nothing"
        return Finding(
            "fail", f"a second Python process does not run: {why}",
            "gputop reads the driver in a process of its own; make sure it can start one.",
        )  # fmt: skip
    installed: dict[str, str | None] = answer["distributions"]
    needed = {name: version for name, version in installed.items() if name != "pynvml"}
    absent = [name for name, version in needed.items() if version is None]
    python = platform.python_version()
    if absent:
        return Finding(
            "fail", f"not installed: {', '.join(absent)}",
            f"Install gputop anew: python -m pip install --force-reinstall gputop=={__version__}.",
        )  # fmt: skip
    listed = [f"{name} {version}" for name, version in needed.items()]
    return Finding("ok", ", ".join([f"gputop {__version__}", f"Python {python}", *listed]))


def binding(around: Surroundings) -> Finding | None:
    """Whether the module pynvml is NVIDIA's (of the distribution nvidia-ml-py)."""
    answer = around.probe.get("binding")
    if not answer:
        return None
    remedy = (
        "Remove the other one and restore NVIDIA's: python -m pip uninstall -y pynvml && python "
        "-m pip install --force-reinstall nvidia-ml-py."
    )
    if "error" in answer:
        return Finding("fail", f"the binding cannot be imported: {answer['error']}", remedy)
    if not answer["genuine"]:
        return Finding("fail", f"{answer['path']} is not NVIDIA's pynvml", remedy)
    other = around.probe.get("versions").get("distributions", {}).get("pynvml")
    if other:
        return Finding("warn", f"the distribution pynvml {other} is installed as well", remedy)
    return Finding("ok", f"NVIDIA's binding {answer['path']}")


def working_folder(around: Surroundings) -> Finding | None:
    """Files in the working folder that have the name of a module gputop imports."""
    names = ("pynvml", "psutil", "msgspec", "plotext", "textual", "rich")
    found = [
        name
        for name in names
        if (around.folder / f"{name}.py").is_file()
        or (around.folder / name / "__init__.py").is_file()
    ]
    if not found:
        return None
    return Finding(
        "warn", f"the working folder holds modules named {', '.join(found)}",
        "The gputop command ignores them, but python -m gputop imports them: start it elsewhere.",
    )  # fmt: skip


def terminal_type(around: Surroundings) -> Finding:
    """Whether the terminal can be drawn on."""
    term = around.environ.get("TERM", "")
    if not around.terminal.is_tty:
        return Finding("info", "stdout is no terminal, so the screen cannot be judged")
    if term in ("", "dumb", "unknown"):
        return Finding(
            "fail", f"TERM is {term or 'not set'}, so nothing can be drawn",
            "Set TERM to what your terminal is, such as xterm-256color.",
        )  # fmt: skip
    inside = [
        name for name, variable in (("tmux", "TMUX"), ("screen", "STY"))
        if around.environ.get(variable)
    ]  # fmt: skip
    return Finding("ok", f"TERM is {term}{f', inside {inside[0]}' if inside else ''}")


def colors(around: Surroundings) -> Finding | None:
    """How many colours there are."""
    if not around.terminal.is_tty:
        return None
    if around.environ.get("NO_COLOR"):
        return Finding("info", "NO_COLOR is set: no colours are used")
    if around.environ.get("COLORTERM", "").lower() in ("truecolor", "24bit"):
        return Finding("ok", "16 million colours (COLORTERM)")
    found = around.terminal.colors
    if found is None:
        return Finding(
            "warn", f"terminfo does not know TERM={around.environ.get('TERM', '')}",
            "Install its terminfo entry, or set TERM=xterm-256color.",
        )  # fmt: skip
    if found >= 256:
        return Finding("ok", f"{found} colours")
    return Finding(
        "info", f"{max(found, 0)} colours",
        "If the terminal can do more, set TERM to its -256color form.",
    )  # fmt: skip


def size(around: Surroundings) -> Finding | None:
    """Whether the smallest layout fits."""
    if not around.terminal.is_tty:
        return None
    columns, rows = around.terminal.columns, around.terminal.rows
    if columns >= SMALLEST[0] and rows >= SMALLEST[1]:
        return Finding("ok", f"{columns}x{rows} cells")
    return Finding(
        "warn", f"{columns}x{rows} cells", f"Enlarge it to {SMALLEST[0]}x{SMALLEST[1]} or more."
    )


def encoding(around: Surroundings) -> Finding:
    """Whether charts and borders can be drawn."""
    name = around.terminal.encoding
    if is_utf8(name):
        return Finding("ok", "text is UTF-8")
    return Finding(
        "warn", f"text is {name}, so charts fall back to ASCII",
        "Set LANG to a UTF-8 locale such as C.UTF-8.",
    )  # fmt: skip


def is_utf8(encoding_name: str) -> bool:
    """Whether an encoding's name means UTF-8, however it is spelled."""
    return encoding_name.lower().replace("-", "").replace("_", "") == "utf8"

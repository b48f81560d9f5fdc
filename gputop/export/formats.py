"""The formats of a snapshot, in one table: command line, screen and help are made from it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from msgspec import Struct, field

from gputop.export import csv_format, json_format, openmetrics, text_format
from gputop.export.alerts import past_lines
from gputop.insight.alerts import Alert
from gputop.insight.verdicts import Verdicts
from gputop.model.frame import Frame, Hello
from gputop.text import DEFAULT_UNITS, Units


class Options(Struct, frozen=True):
    """What a user may choose about a snapshot."""

    with_args: bool = False
    """True writes command lines, which can hold secrets, where the readings carry them."""
    width: int = text_format.DEFAULT_WIDTH
    """Cells of a line, for text."""
    units: Units = DEFAULT_UNITS
    """For text; the other formats have their units in their names."""
    verdicts: Verdicts = field(default_factory=dict)
    """For text and JSON; a verdict needs a minute of readings, so only the screen has them."""

    alerts: Sequence[Alert] = ()
    """For text, JSON and CSV: the warnings that the screen followed, those that last first."""


class Part(Struct, frozen=True):
    """One file of a snapshot."""

    tail: str
    """What stands between the chosen name and its suffix; empty for the first file."""
    text: str


class Format(Struct, frozen=True):
    """One way to write a snapshot."""

    name: str
    suffixes: tuple[str, ...]
    """Of its files; the first is the usual one."""
    meaning: str
    make: Callable[[Hello, Frame, Options], Sequence[Part]] | None
    """None where only the screen can make it."""


def _text(hello: Hello, frame: Frame, options: Options) -> list[Part]:
    page = text_format.render(
        hello, frame, options.with_args, options.width, options.units, options.verdicts
    )
    past = past_lines(options.alerts, frame.boottime_s, options.width)
    return [Part("", "\n".join([page.rstrip("\n"), "", *past, ""]) if past else page)]


def _json(hello: Hello, frame: Frame, options: Options) -> list[Part]:
    return [
        Part(
            "",
            json_format.render(hello, frame, options.with_args, options.verdicts, options.alerts),
        )
    ]


def _csv(hello: Hello, frame: Frame, options: Options) -> list[Part]:
    events = csv_format.events_table(hello, frame, options.alerts) if options.alerts else ""
    return [
        Part("", csv_format.devices_table(hello, frame)),
        Part("-processes", csv_format.processes_table(hello, frame, options.with_args)),
        *([Part("-events", events)] if events else []),
    ]


def _openmetrics(hello: Hello, frame: Frame, options: Options) -> list[Part]:
    return [Part("", openmetrics.render(hello, frame))]


FORMATS: dict[str, Format] = {
    form.name: form
    for form in (
        Format("text", (".txt",), "a page for people", _text),
        Format("json", (".json",), "one document with every value and its unit", _json),
        Format("csv", (".csv",), "tables of devices, processes and (from the screen) events", _csv),
        Format("openmetrics", (".prom", ".om"), "for Prometheus and its kin", _openmetrics),
        Format("svg", (".svg",), "a picture of the screen", None),
    )
}
PRINTABLE: tuple[str, ...] = tuple(name for name, form in FORMATS.items() if form.make)
"""Names of the formats that need no screen."""


def of_suffix(path: Path) -> Format | None:
    """The format whose suffix `path` has, or None."""
    suffix = path.suffix.lower()
    return next((form for form in FORMATS.values() if suffix in form.suffixes), None)


def part_path(path: Path, part: Part) -> Path:
    """Where a part goes when the user named `path`: ``a.csv``, then ``a-processes.csv``."""
    return path.with_name(f"{path.stem}{part.tail}{path.suffix}") if part.tail else path

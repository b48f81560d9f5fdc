"""Settings: one table of names, kinds and defaults, filled from flags and a TOML file.

A flag wins over the file, the file over the default. The file is ``gputop/config.toml`` in the
user's config folder (``$XDG_CONFIG_HOME``, else ``~/.config``), or what ``--config`` names.
"""

from __future__ import annotations

import os
import re
import stat
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable, Collection, Mapping
from typing import Any

from msgspec import Struct

from gputop.errors import SettingsError

LARGEST_FILE = 1 << 16
"""Bytes; a settings file beyond this is none."""
LONGEST_LINE = 4096
"""Characters; the TOML of the standard library takes hours over a key of a million dots."""
_WORDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


class _Wrong(ValueError):
    """A value that is not accepted; the message says what is."""


def seconds(low: float, high: float) -> Callable[[object], float]:
    """A converter for a time: a number of seconds, or text such as ``500ms``, ``5m``, ``1h``."""

    def convert(value: object) -> float:
        number = _seconds(value)
        if number is None or not low <= number <= high:
            raise _Wrong(f"a time from {low:g} to {high:g} seconds, such as {low:g} or 5m")
        return number

    return convert


def _seconds(value: object) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return _float(value)
    if not isinstance(value, str):
        return None
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(ms|[smhd])?\s*", value)
    if not match:
        return None
    scale = 0.001 if match[2] == "ms" else _WORDS[match[2] or "s"]
    return float(match[1]) * scale


def number(low: float, high: float) -> Callable[[object], float]:
    """A converter for a number in a range."""

    def convert(value: object) -> float:
        result = None if isinstance(value, bool) else _float(value)
        if result is None or not low <= result <= high:
            raise _Wrong(f"a number from {low:g} to {high:g}")
        return result

    return convert


def _float(value: object) -> float | None:
    """A number, or text that is one; None for anything else, and for what no float can hold."""
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return None


def choice(*accepted: str) -> Callable[[object], str]:
    """A converter for one word of a few."""

    def convert(value: object) -> str:
        if value not in accepted:
            raise _Wrong("one of " + ", ".join(accepted))
        return str(value)

    return convert


def switch(value: object) -> bool:
    """A converter for true and false."""
    if not isinstance(value, bool):
        raise _Wrong("true or false")
    return value


def words(value: object) -> tuple[str, ...]:
    """A converter for a list of words, or words joined by commas."""
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",")]
    try:
        if isinstance(value, list) and all(isinstance(w, str | int) for w in value):
            return tuple(str(word) for word in value if str(word))
    except ValueError:  # a number of more digits than Python writes out
        pass
    raise _Wrong('a list of words, such as ["0", "GPU-8f1c"]')


def is_selector(text: str) -> bool:
    """Whether a word can name a device: an index, a UUID or the beginning of one."""
    is_index = text.isdecimal() and len(text) <= 9
    return is_index or text.upper().startswith(("GPU-", "MIG-"))


def device_selectors(value: object) -> tuple[str, ...]:
    """A converter for devices: indices, UUIDs or the beginnings of UUIDs."""
    selectors = words(value)
    if not all(map(is_selector, selectors)):
        raise _Wrong('indices such as 0, or beginnings of UUIDs such as "GPU-8932f937"')
    return selectors


def word(value: object) -> str:
    """A converter for text."""
    if not isinstance(value, str):
        raise _Wrong("text in quotes")
    return value


def command(value: object) -> tuple[str, ...]:
    """A converter for a command line: its words, split as a shell splits them. Empty is none."""
    import shlex
    import shutil

    try:
        split = tuple(shlex.split(word(value)))
    except ValueError:
        split = ("",)
    if split and (not split[0] or "\0" in "".join(split) or shutil.which(split[0]) is None):
        raise _Wrong('a command that is there, such as "logger -t gputop"')
    return split


def folder(value: object) -> str:
    """A converter for a folder; ``~`` is the home folder. Empty stays empty."""
    path = word(value)
    if "\0" in path:
        raise _Wrong('a folder, such as "~/snapshots"')
    return os.path.expanduser(path)


class Setting(Struct, frozen=True):
    """One setting. Its name is that of its flag."""

    name: str
    convert: Callable[[object], Any]
    default: Any
    help: str
    metavar: str = ""
    flag: bool = True
    """False for what only the file can say."""

    @property
    def attribute(self) -> str:
        """The name as an attribute of `Settings`."""
        return self.name.replace("-", "_").replace(".", "_")


SETTINGS: tuple[Setting, ...] = (
    Setting("interval", seconds(0.1, 60), 1.0, "seconds between readings, 0.1 to 60", "S"),
    Setting("devices", device_selectors, (),
            "devices to show: indices or UUIDs, joined by commas", "LIST"),
    Setting("window", seconds(10, 86400), 300.0, "time the charts show, such as 90s, 5m or 1h",
            "TIME"),
    Setting("theme", choice("auto", "dark", "light", "contrast", "terminal", "mono"), "auto",
            "auto, dark, light, contrast, terminal (its own 16 colours) or mono", "NAME"),
    Setting("columns", words, (), "columns of the process table, in order, joined by commas",
            "LIST"),
    Setting("sort", word, "", "column the process table is sorted by", "COLUMN"),
    Setting("temperature", choice("c", "f"), "c", "show temperatures in c or f", "UNIT"),
    Setting("memory", choice("binary", "decimal"), "binary",
            "show sizes in binary (GiB) or decimal (GB) units", "UNIT"),
    Setting("ascii", switch, False, "draw with ASCII characters only"),
    Setting("no-color", switch, False, "use no colour (NO_COLOR in the environment does the same)"),
    Setting("no-mouse", switch, False, "leave the mouse to the terminal"),
    Setting("read-only", switch, False, "send no signals to processes, whatever is typed"),
    Setting("with-args", switch, False, "put command-line arguments into files too"),
    Setting("hide-args", switch, False, "show only the program's name of command lines"),
    Setting("snapshot-folder", folder, "", "where `e` writes; the working folder by default",
            "DIR"),
    Setting("snapshot-format", choice("text", "json", "csv", "openmetrics", "svg"), "json",
            "what `e` writes: text, json, csv, openmetrics or svg", "FORMAT"),
    Setting("on-event", command, (),
            "run this command on every critical event and warning, the event as JSON on its stdin",
            "CMD"),
    Setting("bell", switch, False, "ring the terminal's bell on critical events and warnings"),
    Setting("notify", switch, False,
            "have the terminal show critical events and warnings on the desktop (OSC 9 or 777)"),
    Setting("thresholds.memory_full", number(0, 1), 0.95,
            "share of device memory that counts as full", flag=False),
    Setting("thresholds.power_full", number(0, 1), 0.97,
            "share of the power limit that counts as being at it", flag=False),
    Setting("thresholds.temperature_margin_c", number(0, 100), 3.0,
            "degrees Celsius below slowdown that count as hot", flag=False),
    Setting("thresholds.busy", number(0, 1), 0.5, "utilisation of a device under load",
            flag=False),
    Setting("thresholds.idle", number(0, 1), 0.05, "utilisation of an idle device", flag=False),
    Setting("thresholds.idle_s", seconds(1, 86400), 300.0,
            "time after which an idle device that holds memory is worth a notice", flag=False),
    Setting("thresholds.held_back", number(0, 1), 0.1,
            "share of a minute held back from which heat or power limits a device", flag=False),
    Setting("thresholds.starved_gaps", number(0, 1), 0.2,
            "share of a minute's seconds with an idle gap from which a device is starved",
            flag=False),
    Setting("thresholds.link_full", number(0, 1), 0.7,
            "share of what the PCIe link carries that counts as full", flag=False),
    Setting("thresholds.straggler", number(0, 1), 0.1,
            "share by which a straggler's clock is below its peers'", flag=False),
    Setting("prices.gpu_hour", number(0, 1e6), None, "price of a GPU-hour, for reports",
            flag=False),
    Setting("prices.kwh", number(0, 1e6), None, "price of a kWh, for reports", flag=False),
    Setting("prices.co2_g_per_kwh", number(0, 1e6), None, "grams of CO2 per kWh, for reports",
            flag=False),
    Setting("prices.currency", word, "", "what prices are in, such as EUR", flag=False),
)  # fmt: skip

_BY_NAME = {setting.name: setting for setting in SETTINGS}


class Settings:
    """The values in force, as attributes named after the settings."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = {s.attribute: values.get(s.name, s.default) for s in SETTINGS}

    def __getattr__(self, attribute: str) -> Any:
        try:
            return self.__dict__["_values"][attribute]
        except KeyError:
            raise AttributeError(attribute) from None


def add_flags(parser: ArgumentParser) -> None:
    """Give a parser the flags of every setting, and ``--config``. Unset flags stay None."""
    parser.add_argument("--config", metavar="FILE", help="read settings from this file")
    for setting in SETTINGS:
        if not setting.flag:
            continue
        if setting.convert is switch:
            parser.add_argument(
                f"--{setting.name}", action="store_true", default=None, help=setting.help
            )
        else:
            parser.add_argument(
                f"--{setting.name}", metavar=setting.metavar, type=flag_type(setting.convert),
                default=None, help=setting.help,
            )  # fmt: skip


def flag_type(convert: Callable[[object], Any]) -> Callable[[str], Any]:
    """A converter as argparse takes it: its mistakes say what would be accepted."""

    def convert_flag(text: str) -> Any:
        try:
            return convert(text)
        except _Wrong as wrong:
            raise ArgumentTypeError(f"{text!r} is not accepted; give {wrong}") from None

    return convert_flag


def load(args: Namespace, environ: Mapping[str, str] = os.environ) -> Settings:
    """The settings from the flags in `args` and from the file.

    Raises:
        SettingsError: the file is broken, or names or values in it are not accepted.
    """
    path, asked_for = _config_path(args, environ)
    values = _read(path, asked_for)
    for setting in SETTINGS:
        given = getattr(args, setting.attribute, None)
        if given is not None:
            values[setting.name] = given
    return Settings(values)


def _config_path(args: Namespace, environ: Mapping[str, str]) -> tuple[str, bool]:
    if getattr(args, "config", None):
        return os.fspath(args.config), True
    base = environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    return os.path.join(base, "gputop", "config.toml"), False


def _read(path: str, asked_for: bool) -> dict[str, Any]:
    try:
        with open(path, "rb", opener=_open_at_once) as file:
            if stat.S_ISFIFO(os.fstat(file.fileno()).st_mode) or file.isatty():
                raise SettingsError(f"{path} is a pipe or a terminal; settings stand in a file.")
            raw = file.read(LARGEST_FILE + 1)
    except (FileNotFoundError, NotADirectoryError):
        if asked_for:
            raise SettingsError(f"There is no settings file {path}.") from None
        return {}
    except OSError as error:
        raise SettingsError(f"Cannot read the settings in {path}: {error.strerror}.") from None
    if len(raw) > LARGEST_FILE:
        raise SettingsError(f"{path} is larger than 64 KiB, so it is no settings file.")
    return parse(raw, path)


def _open_at_once(path: str, flags: int) -> int:
    """Open without waiting for whoever would write into a pipe."""
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY)


def parse(raw: bytes, where: str) -> dict[str, Any]:
    """The settings in a TOML text, converted, by name.

    Raises:
        SettingsError: names the line, and what would be accepted.
    """
    import tomllib  # only where there is a file: the import is part of the start

    try:
        text = raw.decode("utf-8")
        _refuse_long_lines(text, where)
        document = tomllib.loads(text)
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise SettingsError(f"{where}, line {line}: this is not UTF-8 text.") from None
    except (ValueError, RecursionError) as error:
        raise _not_toml(text, where, error) from None
    values: dict[str, Any] = {}
    mistakes: dict[str, str] = {}
    for name, value in _flatten(document):
        setting = _BY_NAME.get(name)
        try:
            if setting is None:
                mistakes[name] = ""
            else:
                values[name] = setting.convert(value)
        except _Wrong as wrong:
            mistakes[name] = f"{name} = {_shown(value)} is not accepted; give {wrong}."
    if mistakes:
        raise _first_of(mistakes, text, where)
    return values


def _refuse_long_lines(text: str, where: str) -> None:
    for number_, line in enumerate(text.split("\n"), 1):
        if len(line) > LONGEST_LINE:
            raise SettingsError(
                f"{where}, line {number_}: the line is longer than {LONGEST_LINE} characters, so "
                "this is no settings file."
            )


def _first_of(mistakes: Mapping[str, str], text: str, where: str) -> SettingsError:
    """The mistake that stands first in the file, and how many more there are. `mistakes` holds
    what is said of each name; nothing for a setting that there is not.
    """
    line, name = _first_place(text, mistakes)
    said = mistakes[name] or _unknown(name)
    if more := len(mistakes) - 1:
        said = f"{said[:-1]} (and {more} more {'mistakes' if more > 1 else 'mistake'}){said[-1]}"
    return SettingsError(f"{where}, line {line}: {said}" if line else f"{where}: {said}")


def _not_toml(text: str, where: str, error: ValueError | RecursionError) -> SettingsError:
    """What is wrong with a text that tomllib refuses, with the line and what stands on it."""
    from gputop.text import clean  # only for a mistake

    if isinstance(error, RecursionError):
        return SettingsError(f"{where}: its lists and tables are nested too deeply.")
    lines = text.rstrip().split("\n")
    what, _, place = str(error).rpartition(" (at ")
    found = re.match(r"line (\d+)", place)
    number_ = min(int(found[1]), len(lines)) if found else len(lines)
    twice = what.startswith("Cannot")  # overwrite, declare twice, mutate
    advice = "name each thing once" if twice else 'write as in theme = "dark" or interval = 1'
    what = clean(what[0].lower() + what[1:], 80)
    shown = clean(lines[number_ - 1].strip(), 40)
    return SettingsError(f"{where}, line {number_}: {what} in `{shown}`; {advice}.")


def _shown(value: object) -> str:
    """A value in a message, cut to 60 characters."""
    try:
        return f"{value!r:.60}"
    except (ValueError, RecursionError):  # a number or a nesting beyond what Python writes out
        return "what stands there"


def _flatten(document: Mapping[str, Any]) -> list[tuple[str, Any]]:
    flat = []
    for key, value in document.items():
        if isinstance(value, dict) and (value or key == "thresholds"):
            flat += [(f"{key}.{inner}", deep) for inner, deep in value.items()]
        else:
            flat.append((key.replace("_", "-"), value))
    return flat


_KEY = r"""(?:[\w-]++|"[^"]*+"|'[^']*+')"""
_DEFINES = re.compile(rf"(\[?\[?)\s*+({_KEY}(?:\s*+\.\s*+{_KEY})*)\s*+(?:=|\])")
"""A line that sets a key or, after brackets, begins a table."""


def _first_place(text: str, names: Collection[str]) -> tuple[int, str]:
    """The first line on which one of the names is set, the headers of tables followed, and that
    name; line 0 and any of them where none is found: a key may be written with escapes.
    """
    wanted = {name.replace("_", "-"): name for name in names}
    around = {name.partition(".")[0]: name for name in wanted}
    table: tuple[str, ...] = ()
    for number_, line in enumerate(text.split("\n"), 1):
        if not (defines := _DEFINES.match(line.strip())):
            continue
        path = tuple(re.sub(r"[\s\"']", "", defines[2]).replace("_", "-").split("."))
        if defines[1]:
            table = path
        else:
            path = table + path
        # A name has one part or, in a table, two.
        for parts in (path[:1], path[:2], path):
            if (name := wanted.get(".".join(parts))) is not None:
                return number_, name
        if not defines[1] and len(path) == 1 and path[0] in around:  # thresholds = { busy = 2 }
            return number_, wanted[around[path[0]]]
    return 0, next(iter(names))


def _unknown(name: str) -> str:
    import difflib  # only for a mistake

    from gputop.text import clean

    close = difflib.get_close_matches(name, _BY_NAME, n=1)
    hint = f"did you mean {close[0]}?" if close else "accepted are " + ", ".join(_BY_NAME) + "."
    return f"there is no setting {clean(name, 40)}; {hint}"

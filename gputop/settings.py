"""Settings: one table of names, kinds and defaults, filled from flags and a TOML file.

A flag wins over the file, the file over the default. The file is ``gputop/config.toml`` in the
user's config folder (``$XDG_CONFIG_HOME``, else ``~/.config``), or what ``--config`` names.
"""

from __future__ import annotations

import os
import re
import stat
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from msgspec import Struct

from gputop import spans
from gputop.errors import SettingsError

LARGEST_FILE = 1 << 16
"""Bytes; a settings file beyond this is none, and no more of it is read."""
LONGEST_LINE = 4096
"""Characters; the TOML of the standard library takes hours over a key of a million dots."""
DEEPEST = 50
"""Lists and tables within each other; that TOML calls itself for each."""
PROCESS_COLUMNS = (
    "gpu", "pid", "user", "type", "sm", "memory_controller", "encoder", "decoder", "gpu_memory",
    "gpu_memory_share", "cpu", "host_memory", "threads", "time", "state", "command",
)  # fmt: skip
"""The columns there are, for whoever reads settings without a screen."""


Keys = tuple[str, ...]
"""Where a value stands in a file: its key, behind that of its table."""


class _Wrong(ValueError):
    """A value that is not accepted; the message says what is."""


def seconds(low: float, high: float) -> Callable[[object], float]:
    """A converter for a time: a number of seconds, or text such as ``500ms``, ``5m``, ``1h30m``."""

    def convert(value: object) -> float:
        number = _seconds(value)
        if number is None or not low <= number <= high:
            example = "1h30m" if high >= 5400 else "500ms" if low < 0.5 else "30s"
            raise _Wrong(f"a time from {low:g} to {high:g} seconds, such as {example}")
        return number

    return convert


def _seconds(value: object) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return _float(value)
    span = spans.parse(value) if isinstance(value, str) else None
    return span.seconds if span else None


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


def column(value: object) -> str:
    """A converter for a column of the process table. Empty is the usual one."""
    key = value.replace("-", "_") if isinstance(value, str) else None
    if key is None or key not in ("", *PROCESS_COLUMNS):
        raise _Wrong("one of " + ", ".join(PROCESS_COLUMNS))
    return key


def columns(value: object) -> tuple[str, ...]:
    """A converter for columns of the process table."""
    return tuple(map(column, words(value)))


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
    Setting("window", seconds(10, 86400), 300.0, "time the charts show, such as 90s, 5m or 1h30m",
            "TIME"),
    Setting("theme", choice("auto", "dark", "light", "contrast", "terminal", "mono"), "auto",
            "auto, dark, light, contrast, terminal (its own 16 colours) or mono", "NAME"),
    Setting("columns", columns, (), "columns of the process table, in order, joined by commas",
            "LIST"),
    Setting("sort", column, "", "column the process table is sorted by", "COLUMN"),
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

    _refuse_too_much(raw, where)
    try:
        text = raw.decode("utf-8")
        _refuse_deep_nesting(text, where)
        document = tomllib.loads(text)
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise SettingsError(f"{where}, line {line}: this is not UTF-8 text.") from None
    except ValueError as error:
        raise _not_toml(text, where, error) from None
    values: dict[str, Any] = {}
    mistakes: dict[Keys, str] = {}
    for keys, value in _flatten(document):
        name = _name_of(keys)
        setting = _BY_NAME.get(name)
        try:
            if setting is None:
                mistakes[keys] = ""
            elif name in values:
                mistakes[keys] = f"{name} is set twice; name each thing once."
            else:
                values[name] = setting.convert(value)
        except _Wrong as wrong:
            mistakes[keys] = f"{name} = {_shown(value)} is not accepted; give {wrong}."
    if mistakes:
        raise _first_of(mistakes, text, where)
    return values


def _refuse_too_much(raw: bytes, where: str) -> None:
    for number_, line in enumerate(raw.split(b"\n"), 1):
        if len(line) > LONGEST_LINE:
            what = f"the line is longer than {LONGEST_LINE} bytes, so this is no settings file."
            raise SettingsError(f"{where}, line {number_}: {what}")
    if len(raw) > LARGEST_FILE:
        what = "here the file is larger than 64 KiB, so it is no settings file."
        raise SettingsError(f"{where}, line {number_}: {what}")


def _refuse_deep_nesting(text: str, where: str) -> None:
    depth = 0
    for number_, line in enumerate(_without_texts(text).split("\n"), 1):
        for sign in re.findall(r"[\[\]{}]", line):
            depth += 1 if sign in "[{" else -1
            if depth > DEEPEST:
                what = f"lists and tables are nested more than {DEEPEST} deep here."
                raise SettingsError(f"{where}, line {number_}: {what}")


def _first_of(mistakes: Mapping[Keys, str], text: str, where: str) -> SettingsError:
    """The mistake that stands first in the file, and how many more there are. `mistakes` holds
    what is said of each; nothing for a setting that there is not.
    """
    line, keys = _first_place(text, mistakes)
    said = mistakes[keys] or _unknown(_name_of(keys))
    if more := len(mistakes) - 1:
        said = f"{said[:-1]} (and {more} more {'mistakes' if more > 1 else 'mistake'}){said[-1]}"
    return SettingsError(f"{where}, line {line}: {said}")


def _not_toml(text: str, where: str, error: ValueError) -> SettingsError:
    """What is wrong with a text that tomllib refuses, with the line and what stands on it."""
    from gputop.text import clean  # only for a mistake

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


def _flatten(document: Mapping[str, Any]) -> Iterator[tuple[Keys, Any]]:
    """What is set, and to what."""
    for key, value in document.items():
        if isinstance(value, dict) and (value or key == "thresholds"):
            yield from (((key, inner), deep) for inner, deep in value.items())
        else:
            yield (key,), value


def _name_of(keys: Keys) -> str:
    """The name of the setting that keys mean."""
    return keys[0].replace("_", "-") if len(keys) == 1 else ".".join(keys)


_TEXTS = re.compile(
    r'"""(?:[^"\\]|\\.|"(?!""))*+(?:"{3,5}|\Z)'
    r"|'''(?:[^']|'(?!''))*+(?:'{3,5}|\Z)"
    r'|"(?:[^"\\\n]|\\[^\n])*+"?'
    r"|'[^'\n]*+'?"
    r"|#[^\n]*+",
    re.DOTALL,
)
"""Texts in quotes, and comments."""


def _without_texts(text: str) -> str:
    """TOML without comments and what its texts say; a line that begins in a text begins with NUL,
    which stands nowhere in TOML.
    """
    return _TEXTS.sub(lambda found: "\n\0" * found[0].count("\n"), text)


_KEY = r"""(?:[\w-]++|"(?:[^"\\]|\\.)*+"|'[^']*+')"""
_DEFINES = re.compile(rf"\s*+(\[?\[?)\s*+({_KEY}(?:\s*+\.\s*+{_KEY})*+)\s*+[\]=]")
"""A line that sets a key or, after brackets, begins a table."""


def _opened(bare: str) -> int:
    """How many more lists and tables are open behind a line than in front of it."""
    return sum(map(bare.count, "[{")) - sum(map(bare.count, "]}"))


def _first_place(text: str, mistakes: Collection[Keys]) -> tuple[int, Keys]:
    """The first line on which one of the mistakes is made, and which. The text is right as TOML."""
    in_table = {keys[0]: keys for keys in mistakes}
    depth = 0
    table: Keys = ()
    for number_, (line, bare) in enumerate(
        zip(text.split("\n"), _without_texts(text).split("\n"), strict=True), 1
    ):
        begins, depth = not depth, depth + _opened(bare)
        if not begins or bare.startswith("\0") or not (defines := _DEFINES.match(line)):
            continue
        keys = _keys(defines[2])
        if defines[1]:
            table = keys
        else:
            keys = table + keys
        for found in (keys[:1], keys[:2]):
            if found in mistakes:
                return number_, found
        if not defines[1] and len(keys) == 1 and keys[0] in in_table:  # thresholds = { busy = 2 }
            return number_, in_table[keys[0]]
    raise AssertionError(f"no line sets any of {mistakes}")


def _keys(dotted: str) -> Keys:
    """The keys in a text such as ``thresholds."busy"``."""
    import tomllib

    keys: Keys = ()
    inner: Any = tomllib.loads(f"{dotted} = 0")
    while isinstance(inner, dict):
        ((key, inner),) = inner.items()
        keys += (key,)
    return keys


def _unknown(name: str) -> str:
    import difflib  # only for a mistake

    from gputop.text import clean

    close = difflib.get_close_matches(name, _BY_NAME, n=1)
    hint = f"did you mean {close[0]}?" if close else "accepted are " + ", ".join(_BY_NAME) + "."
    return f"there is no setting {clean(name, 40)}; {hint}"

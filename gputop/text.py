"""Text for people: made safe, cut to fit, and numbers with the units a person reads.

Everything here is pure. A number that is not there (None, or NaN out of a history) is
:data:`NO_VALUE` and never 0. `tight` forms drop the space and shorten the unit for narrow places.
"""

from __future__ import annotations

import math
import shlex
import unicodedata
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Literal, TypeGuard

from msgspec import Struct

from gputop.model import missing
from gputop.model.metrics import Metric, Unit
from gputop.model.nvml_tables import (
    COMPUTE_MODES,
    FABRIC_HEALTH,
    FABRIC_STATES,
    RECOVERY_ACTIONS,
    active_reasons,
    unknown_bits,
)

NO_VALUE = "–"
ELLIPSIS = "…"
REPLACEMENT = "\ufffd"

BLOCKS = " ▁▂▃▄▅▆▇█"
ASCII_BLOCKS = " .:-=+*%#"
"""Heights from nothing to a full cell."""

Number = float | int | None


class Units(Struct, frozen=True):
    """The units a person chose in the settings."""

    temperature: Literal["c", "f"] = "c"
    memory: Literal["binary", "decimal"] = "binary"


DEFAULT_UNITS = Units()


# --- Text that others wrote ---------------------------------------------------------------------

_CATEGORIES_UNSAFE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_INVISIBLE = frozenset({0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0})
"""Letters and marks that draw nothing (Unicode's Default_Ignorable, and the blank Braille cell)."""
_OF_NO_SURE_WIDTH = (
    range(0x1160, 0x1200), range(0xD7B0, 0xD800),  # vowels and finals of Hangul, by themselves
    range(0x2630, 0x2638), range(0x268A, 0x2690), range(0x4DC0, 0x4E00), range(0x1D300, 0x1D377),
    range(0x1F1E6, 0x1F200), range(0x1F3FB, 0x1F400),  # halves of flags, colours of skin
)  # fmt: skip
"""For these, as for marks that take space (Mc), terminals take none, one or two cells: whatever
stands behind one in its line would stand in the wrong place.
"""
_MOST_REMEMBERED = 4096


def _safe_character(code: int) -> str:
    """What stands for one code point: itself, a picture of the control, a space or U+FFFD."""
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "\u2421"
    if code in _INVISIBLE or 0xFE00 <= code <= 0xFE0F or 0xE0100 <= code <= 0xE01EF:
        return REPLACEMENT
    category = unicodedata.category(chr(code))
    if category in _CATEGORIES_UNSAFE:
        return REPLACEMENT
    return " " if category == "Zs" else chr(code)


def _drawable_character(code: int) -> str:
    """The same where it is drawn in cells."""
    if unicodedata.category(chr(code)) == "Mc" or any(code in codes for codes in _OF_NO_SURE_WIDTH):
        return REPLACEMENT
    return _safe_character(code)


class _SafeCharacters(dict[int, str]):
    """A `str.translate` table that fills itself, up to a bound."""

    def __init__(self, safe: Callable[[int], str]) -> None:
        self._safe = safe

    def __missing__(self, code: int) -> str:
        safe = self._safe(code)
        if len(self) < _MOST_REMEMBERED:
            self[code] = safe
        return safe


_SAFE, _DRAWABLE = _SafeCharacters(_safe_character), _SafeCharacters(_drawable_character)


def clean(text: str, limit: int | None = None, *, drawn: bool = True) -> str:
    """Untrusted text, safe to print: each unsafe character becomes exactly one visible one.

    C0 controls and DEL become their control pictures (ESC is ``␛``); C1 controls, bidirectional
    and zero-width characters, variation selectors, surrogates, line separators, private and
    unassigned code points become U+FFFD, and so does what is not as wide in every terminal, unless
    it is not `drawn` in cells, as in a file for programs; every kind of space becomes a space.
    With `limit` the result takes at most that many cells.
    """
    if not (text.isascii() and text.isprintable()):
        text = text.translate(_DRAWABLE if drawn else _SAFE)
    return text if limit is None else fit(text, limit)


def why(reason: str) -> str:
    """A reason of `gputop.model.missing` in words; it may come out of a file, so it is cleaned."""
    return clean(missing.explain(reason))


def _character_width(character: str) -> int:
    if unicodedata.category(character) in {"Mn", "Me", "Cf", "Cc"}:
        return 0
    return 2 if unicodedata.east_asian_width(character) in {"W", "F"} else 1


_of_one_cell = frozenset(
    chr(code)
    for first, last in ((0x20, 0x7E), (0xB0, 0xB7), (0x2010, 0x2027), (0x2190, 0x25FC))
    for code in range(first, last + 1)
    if _character_width(chr(code)) == 1
).issuperset
"""Whether a text has only the letters, signs and drawing characters that nearly every one has."""


def display_width(text: str) -> int:
    """The cells that clean text takes in a terminal."""
    if text.isascii() or _of_one_cell(text):
        return len(text)
    return sum(map(_character_width, text))


def fit(text: str, width: int, ellipsis: str = ELLIPSIS) -> str:
    """Clean text in at most `width` cells, its end replaced by `ellipsis` where it is cut.

    It is not padded, and a wide character is never cut in half.
    """
    if display_width(text) <= width:
        return text
    room = width - display_width(ellipsis)
    if room < 0:
        return ""
    used = end = 0
    for character in text:
        used += _character_width(character)
        if used > room:
            break
        end += 1
    return text[:end] + ellipsis


def fit_words(text: str, width: int) -> str:
    """Text in `width` cells that loses its last words before it is cut inside one."""
    while display_width(text) > width and " " in text:
        text = text.rpartition(" ")[0]
    return fit(text, width)


_PLAIN = str.maketrans({"–": "-", "—": "-", "…": "~", "°": " ", "·": "-", "×": "x", "≥": ">",
                        "←": "<", "→": ">", "↑": "^", "↓": "v"})  # fmt: skip


def to_ascii(text: str) -> str:
    """The same cells in ASCII: what has no plain likeness becomes ``?``."""
    if text.isascii():
        return text
    plain = text.translate(_PLAIN)
    return "".join(c if c.isascii() else "?" * _character_width(c) for c in plain)


def redact(command: Sequence[str]) -> str:
    """The program's name alone, without its path and arguments, which can hold secrets.

    A process may write its whole command line over its first argument, so only the first word
    of that counts.
    """
    words = command[0].split() if command else []
    name = words[0].rstrip("/").rpartition("/")[2] if words else ""
    return clean(name) or NO_VALUE


def join_command(command: Sequence[str]) -> str:
    """The whole command line, quoted as a shell would need it, made safe."""
    return clean(shlex.join(command)) or NO_VALUE


_MAKERS = ("NVIDIA ", "GeForce ", "Tesla ")


def short_name(name: str) -> str:
    """A device's name without its maker's: ``H100 80GB HBM3`` for ``NVIDIA H100 80GB HBM3``."""
    short = clean(name).strip()
    for maker in _MAKERS:
        rest = short.removeprefix(maker).strip()
        short = rest or short
    return short or NO_VALUE


# --- Numbers ------------------------------------------------------------------------------------

_BINARY = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_DECIMAL = ("B", "kB", "MB", "GB", "TB", "PB")
_GIGA = 3


def _known(number: Number) -> TypeGuard[float]:
    return number is not None and math.isfinite(number)


def _digits(number: float, below: float) -> str:
    """One decimal under `below` (judged after rounding), none from there on."""
    text = f"{number:.1f}"
    return text if abs(float(text)) < below else f"{number:.0f}"


def _scale(number: float, base: int, steps: int) -> int:
    """The power of `base` that leaves fewer than `base` whole units, after rounding."""
    power = 0
    size = abs(number)
    while round(size) >= base and power < steps - 1:
        size /= base
        power += 1
    return power


def _base(units: Units) -> tuple[int, tuple[str, ...]]:
    return (1024, _BINARY) if units.memory == "binary" else (1000, _DECIMAL)


def size(number: Number, units: Units = DEFAULT_UNITS, tight: bool = False) -> str:
    """Bytes: ``61.2 GiB``, tight ``61G``; decimal units where the settings say so."""
    if not _known(number):
        return NO_VALUE
    base, names = _base(units)
    power = _scale(number, base, len(names))
    scaled = number / base**power
    if tight:
        digits = f"{scaled:.0f}" if power == 0 else _digits(scaled, 10)
        return digits + names[power][0].upper()
    return f"{scaled:.0f} B" if power == 0 else f"{_digits(scaled, 100)} {names[power]}"


def bytes_pair(
    used: Number, total: Number, units: Units = DEFAULT_UNITS, tight: bool = False
) -> str:
    """Bytes of a total, both in the total's unit: ``61.2/80.0 GiB``, tight ``61/80G``."""
    if not _known(total):
        return size(used, units, tight)
    base, names = _base(units)
    power = _scale(total, base, len(names))
    if power > _GIGA and total < 10 * base**power:
        power -= 1  # 212/1511 GiB says more than 0.2/1.5 TiB
    below = 10 if tight else 100

    def digits(number: Number) -> str:
        if not _known(number):
            return NO_VALUE
        scaled = number / base**power
        if power == 0 or (tight and float(scaled).is_integer()):
            return f"{scaled:.0f}"
        return _digits(scaled, below)

    unit = names[power][0].upper() if tight else f" {names[power]}"
    return f"{digits(used)}/{digits(total)}{unit}"


def rate(bytes_per_s: Number, tight: bool = False) -> str:
    """Bytes per second: ``12.3 GB/s``, tight ``12G/s``; decimal always, as links are rated."""
    if not _known(bytes_per_s):
        return NO_VALUE
    text = size(bytes_per_s, Units(memory="decimal"), tight)
    return f"{text}/s"


def watts(number: Number, tight: bool = False) -> str:
    """Watts: ``612 W``, ``8.3 W``, tight ``612W``."""
    if not _known(number):
        return NO_VALUE
    return f"{_digits(number, 10)}{'' if tight else ' '}W"


def watts_pair(number: Number, limit: Number, tight: bool = False) -> str:
    """Watts of a limit: ``612/700 W``."""
    return _pair(watts, number, limit, tight, "W")


def celsius(number: Number, units: Units = DEFAULT_UNITS, tight: bool = False) -> str:
    """A temperature given in °C: ``71 °C``, tight ``71°``; in °F where the settings say so."""
    if not _known(number):
        return NO_VALUE
    if units.temperature == "f":
        number = number * 9 / 5 + 32
    return f"{number:.0f}{_degree(units, tight)}"


def celsius_difference(
    number: Number, units: Units = DEFAULT_UNITS, tight: bool = False, digits: int = 0
) -> str:
    """A distance between two temperatures, given in °C: 10 is ``10 °C`` or ``18 °F``."""
    if not _known(number):
        return NO_VALUE
    if units.temperature == "f":
        number = number * 9 / 5
    return f"{number:.{digits}f}{_degree(units, tight)}"


def celsius_pair(
    number: Number, limit: Number, units: Units = DEFAULT_UNITS, tight: bool = False
) -> str:
    """A temperature and its limit, both given in °C: ``71/87 °C``, tight ``71/87°``."""
    return _pair(
        lambda value, short: celsius(value, units, short),
        number, limit, tight, _degree(units, tight).strip(),
    )  # fmt: skip


def _degree(units: Units, tight: bool) -> str:
    return "°" if tight else f" °{units.temperature.upper()}"


def _pair(
    form: Callable[[Number, bool], str], number: Number, full: Number, tight: bool, unit: str
) -> str:
    """`number/full unit`; without a full, the number alone; without a number, ``–/full unit``."""
    if not _known(full):
        return form(number, tight)
    first = form(number, tight).removesuffix(unit).rstrip()
    return f"{first}/{form(full, tight)}"


def percent(ratio: Number, tight: bool = False) -> str:
    """A ratio as whole per cent: ``93 %``, tight ``93%``; what is not quite nothing is ``<1 %``."""
    if not _known(ratio):
        return NO_VALUE
    sign = "%" if tight else " %"
    if 0 < ratio < 0.005:
        return f"<1{sign}"
    return f"{math.floor(ratio * 100 + 0.5)}{sign}"


def mhz(number: Number, tight: bool = False) -> str:
    """A clock: ``1980 MHz``, tight ``1980MHz``."""
    return NO_VALUE if not _known(number) else f"{number:.0f}{'' if tight else ' '}MHz"


_ENERGY_STEPS = ((3.6e9, "MWh"), (3.6e6, "kWh"), (3.6e3, "Wh"))


def energy(joules: Number, tight: bool = False) -> str:
    """Energy given in joules: ``812 J``, then ``3.4 Wh``, ``12.3 kWh``, ``1.2 MWh``."""
    if not _known(joules):
        return NO_VALUE
    gap = "" if tight else " "
    for step, name in _ENERGY_STEPS:
        if joules >= step:
            return f"{_digits(joules / step, 100)}{gap}{name}"
    return f"{joules:.0f}{gap}J"


_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def duration(seconds: Number) -> str:
    """A span: ``40 ms``, ``3 s``, ``2 m 05 s``, ``1 h 12 m``, ``3 d 4 h``.

    From one second on it counts whole units that have passed; below zero it is ``0 s``.
    """
    if not _known(seconds):
        return NO_VALUE
    if seconds <= 0:
        return "0 s"
    if seconds < 0.9995:
        return f"{max(seconds * 1000, 1):.0f} ms"
    whole = max(int(seconds), 1)
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} m {whole % _MINUTE:02d} s"
    if whole < _DAY:
        return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE:02d} m"
    return f"{whole // _DAY} d {whole % _DAY // _HOUR} h"


def elapsed(seconds: Number) -> str:
    """A time that was measured: ``3.42 s``, ``2 m 05.3 s``, ``1 h 12 m 09 s``."""
    if not _known(seconds):
        return NO_VALUE
    if seconds < 59.995:
        return f"{max(seconds, 0.0):.2f} s"
    if seconds < 3599.95:
        minutes, tenths = divmod(round(seconds * 10), 600)
        return f"{minutes} m {tenths // 10:02d}.{tenths % 10} s"
    minutes, rest = divmod(round(seconds), _MINUTE)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    return f"{f'{days} d ' if days else ''}{hours} h {minutes:02d} m {rest:02d} s"


def watt_hours(joules: Number) -> str:
    """Energy given in joules: ``0.42 Wh``, ``61.3 Wh``, ``12.3 kWh``."""
    if not _known(joules):
        return NO_VALUE
    wh = joules / 3600
    for below, scale, unit in ((1e3, 1.0, "Wh"), (1e6, 1e3, "kWh"), (math.inf, 1e6, "MWh")):
        if wh < below:
            scaled = wh / scale
            return f"{scaled:.2f} {unit}" if scaled < 10 else f"{scaled:.1f} {unit}"
    return NO_VALUE


def local_time(utc_s: float, form: str) -> str:
    """A moment in the machine's time zone after a `strftime` form; empty for none that can be."""
    try:
        return datetime.fromtimestamp(utc_s, UTC).astimezone().strftime(form)
    except (OverflowError, ValueError, OSError):
        return ""


def age(seconds: Number) -> str:
    """How long ago something was read: ``now`` under a second, else ``3 s ago``."""
    if not _known(seconds):
        return NO_VALUE
    return "now" if seconds < 1 else f"{duration(seconds)} ago"


# --- Any metric of the table --------------------------------------------------------------------


def event_reasons(mask: int | None) -> str:
    """A mask of clock event reasons in words, worst first; ``none`` where no bit is set."""
    if mask is None:
        return NO_VALUE
    words = [reason.label for reason in active_reasons(mask)]
    rest = unknown_bits(mask)
    if rest:
        words.append(f"unknown reason {rest:#x}")
    return ", ".join(words) or "none"


def _state(metric: Metric, number: float) -> str:
    code = int(number)
    if metric.name == "performance_state":
        return f"P{code}"
    words = {
        "compute_mode": COMPUTE_MODES, "recovery_action": RECOVERY_ACTIONS,
        "fabric_state": FABRIC_STATES, "fabric_health": FABRIC_HEALTH,
    }  # fmt: skip
    return words.get(metric.name, {}).get(code, str(code))


def _flag(metric: Metric, number: float) -> str:
    """Modes are on or off; conditions such as a pending remap are yes or no."""
    yes, no = ("on", "off") if metric.name.endswith("_mode") else ("yes", "no")
    return yes if number else no


_DIFFERENCES = frozenset({"temperature_margin_c"})
"""Metrics in °C that are distances: another unit scales them but does not shift them."""


def _temperature(metric: Metric, number: float, units: Units, tight: bool) -> str:
    form = celsius_difference if metric.name in _DIFFERENCES else celsius
    return form(number, units, tight)


_Form = Callable[[Metric, float, Units, bool], str]
_FORMS: dict[Unit, _Form] = {
    Unit.RATIO: lambda _, number, units, tight: percent(number, tight),
    Unit.BYTES: lambda _, number, units, tight: size(number, units, tight),
    Unit.BYTES_PER_S: lambda _, number, units, tight: rate(number, tight),
    Unit.WATT: lambda _, number, units, tight: watts(number, tight),
    Unit.JOULE: lambda _, number, units, tight: energy(number, tight),
    Unit.CELSIUS: _temperature,
    Unit.MHZ: lambda _, number, units, tight: mhz(number, tight),
    Unit.SECOND: lambda _, number, units, tight: duration(number),
    Unit.COUNT: lambda _, number, units, tight: f"{number:.0f}",
    Unit.STATE: lambda metric, number, units, tight: _state(metric, number),
    Unit.FLAG: lambda metric, number, units, tight: _flag(metric, number),
    Unit.BITS: lambda _, number, units, tight: event_reasons(int(number)),
}


def value(metric: Metric, number: Number, units: Units = DEFAULT_UNITS, tight: bool = False) -> str:
    """Any metric of the table, formatted by its unit; :data:`NO_VALUE` where it is not there."""
    if not _known(number):
        return NO_VALUE
    return _FORMS[metric.unit](metric, number, units, tight)

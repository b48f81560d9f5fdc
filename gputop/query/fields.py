"""Every field of the filter language: its names, what it takes and how it is compared.

A test answers True, False, or None where the value it needs is not known. Only True lets a
process through, and the negation of None is None: ``!mem>10G`` does not match a process whose
memory was not read, because nobody knows that it is below.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import Any

from msgspec import Struct

from gputop.query.literals import (
    BadValue,
    Literal,
    duration,
    integer_ranges,
    number,
    percent,
    size,
    words,
)
from gputop.query.subject import STATES, Amount, Place, Subject

Test = Callable[[Any], bool | None]
"""Asked of a :class:`~gputop.query.subject.Subject`, or of what another language is about."""
COMPARISONS = (":", "=", ">=", "<=", ">", "<")
EQUALS = (":", "=")


class Field(Struct, frozen=True):
    """One field."""

    name: str
    aliases: tuple[str, ...]
    operators: tuple[str, ...]
    make: Callable[[str, str], Test]
    """From operator and value to the test; raises :class:`BadValue`."""
    help: str
    example: str


# -- numbers -------------------------------------------------------------------------------------


def _compare(operator: str, amount: Amount, literal: Literal) -> bool | None:
    """Three-valued: of a sum with an unknown part only a lower bound is known."""
    value = amount.value
    if value is None:
        return None
    low, high = literal.value - literal.slack, literal.value + literal.slack
    if operator in EQUALS:
        if amount.at_least and value < high:
            return None
        return low <= value < high
    below = value < literal.value if operator in (">=", "<") else value <= literal.value
    if amount.at_least and below:
        return None
    return below if operator in ("<", "<=") else not below


def _amount(attribute: str, parse: Callable[[str], Literal]) -> Callable[[str, str], Test]:
    get: Callable[[Subject], Amount] = attrgetter(attribute)

    def make(operator: str, value: str) -> Test:
        literal = parse(value)
        return lambda subject: _compare(operator, get(subject), literal)

    return make


def _pid(operator: str, value: str) -> Test:
    if operator in EQUALS:
        ranges = integer_ranges(value, "a process id, or several, such as 4101 or 4101,5200-5300")
        return lambda subject: any(first <= subject.pid <= last for first, last in ranges)
    literal = number(value)
    return lambda subject: _compare(operator, Amount(subject.pid), literal)


# -- devices -------------------------------------------------------------------------------------

_GPU_WANTED = "an index, a range, index:instance or a UUID, such as 0, 2-3, 7:1 or GPU-8f1c"
_INDEX = re.compile(r"(\d{1,10}(?:-\d{1,10})?)(?::(\d{1,10}))?")
_UUID = re.compile(r"(?:gpu-|mig-)[0-9a-f-]*|[0-9a-f-]{4,}", re.ASCII)


def _place_test(item: str) -> Callable[[Place], bool | None]:
    if match := _INDEX.fullmatch(item):
        ((first, last),) = integer_ranges(match[1], _GPU_WANTED)
        instance = int(match[2]) if match[2] else None

        def on_index(place: Place) -> bool | None:
            if place.index is None:
                return None
            right = first <= place.index <= last
            return right and (instance is None or instance == place.instance)

        return on_index
    if _UUID.fullmatch(item) is None:
        raise BadValue(_GPU_WANTED)

    def on_uuid(place: Place) -> bool:
        uuids = (place.uuid.casefold(), (place.instance_uuid or "").casefold())
        return any(u.startswith(item) or u[4:].startswith(item) for u in uuids)

    return on_uuid


def gpu_field(operator: str, value: str) -> Test:
    """Devices by index, range, instance or UUID, of a subject with `places`."""
    tests = [_place_test(item) for item in words(value)]
    if not tests:
        raise BadValue(_GPU_WANTED)
    return lambda subject: _any(test(place) for place in subject.places for test in tests)


def _any(answers: Iterable[bool | None]) -> bool | None:
    unknown = False
    for answer in answers:
        if answer:
            return True
        unknown = unknown or answer is None
    return None if unknown else False


# -- words ---------------------------------------------------------------------------------------


def text_field(get: Callable[[Subject], str | None], wanted: str) -> Callable[[str, str], Test]:
    """`:` finds any of the words in the value, `=` wants one of them to be the value."""

    def make(operator: str, value: str) -> Test:
        wanted_words = words(value)
        if not wanted_words:
            raise BadValue(wanted)

        def test(subject: Subject) -> bool | None:
            text = get(subject)
            if text is None:
                return None
            text = text.casefold()
            if operator == "=":
                return text in wanted_words
            return any(word in text for word in wanted_words)

        return test

    return make


def _command(operator: str, value: str) -> Test:
    """Commas belong to the text here. Without arguments, only the name's part is known."""
    if not value:
        raise BadValue("a part of the command line, such as train.py")
    wanted = value.casefold()

    def test(subject: Subject) -> bool | None:
        line = subject.command_line
        if line is not None:
            text = line.casefold()
            return text == wanted if operator == "=" else wanted in text
        known = operator == ":" and subject.name is not None and wanted in subject.name.casefold()
        return True if known else None

    return test


_KINDS = {"c": "c", "compute": "c", "g": "g", "graphics": "g", "m": "m", "mps": "m"}


def _type(operator: str, value: str) -> Test:
    wanted = {_KINDS.get(word) for word in words(value)}
    if not wanted or None in wanted:
        raise BadValue("compute, graphics or mps, or c, g, m")
    return lambda subject: bool(wanted & set(subject.kinds.casefold())) if subject.kinds else None


def _state(operator: str, value: str) -> Test:
    """A letter, or the beginning of its word."""
    letters = {
        letter
        for wanted in words(value)
        for letter, word in STATES.items()
        if wanted == letter.casefold() or (len(wanted) > 1 and word.startswith(wanted))
    }
    if not letters:
        raise BadValue(f"one of {', '.join(STATES.values())}, or a letter of {''.join(STATES)}")
    return lambda subject: None if subject.state is None else subject.state in letters


_YES = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}


def _mine(operator: str, value: str) -> Test:
    wanted = _YES.get(value.casefold())
    if wanted is None:
        raise BadValue("yes or no")
    return lambda subject: None if subject.mine is None else subject.mine is wanted


# fmt: off
FIELDS: tuple[Field, ...] = (
    Field("user", (), EQUALS, text_field(attrgetter("user"), "a user's name, or several"),
          "owner; = wants the whole name", "user:ann,bob"),
    Field("gpu", ("device",), EQUALS, gpu_field,
          "index, range, MIG instance or start of a UUID", "gpu:0,2-3"),
    Field("pid", (), COMPARISONS, _pid, "process id", "pid:4101"),
    Field("name", (), EQUALS, text_field(attrgetter("name"), "a program's name, or several"),
          "program's name", "name:python"),
    Field("cmd", ("command",), EQUALS, _command, "command line with its arguments",
          'cmd:"train.py --lr"'),
    Field("mem", ("memory",), COMPARISONS, _amount("memory", size),
          "GPU memory, all its devices together", "mem>10G"),
    Field("sm", ("util",), COMPARISONS, _amount("sm", percent),
          "SM use, all its devices together: 100 is one device", "sm<5"),
    Field("cpu", (), COMPARISONS, _amount("cpu", percent), "CPU use: 100 is one core", "cpu>=150"),
    Field("hostmem", ("rss",), COMPARISONS, _amount("host_memory", size),
          "resident host memory", "hostmem>512MiB"),
    Field("threads", (), COMPARISONS, _amount("threads", number), "threads", "threads>100"),
    Field("time", ("age",), COMPARISONS, _amount("running_s", duration),
          "time since its start", "time>2h"),
    Field("type", ("kind",), EQUALS, _type, "compute, graphics or MPS client", "type:c"),
    Field("state", (), EQUALS, _state, "what the kernel says it does, as letter or word",
          "state:zombie"),
    Field("mine", (), EQUALS, _mine, "whether it is yours", "mine:yes"),
)
# fmt: on


def plain_text(text: str) -> Test:
    """Text anywhere in name, command line, user or pid, whatever its case.

    What is unknown is not there to be found, so this never answers None.
    """
    wanted = text.casefold()

    def test(subject: Subject) -> bool:
        known = (subject.name, subject.command_line, subject.user, str(subject.pid))
        return any(wanted in part.casefold() for part in known if part is not None)

    return test


class Language(Struct, frozen=True):
    """The fields of one kind of thing, and what plain text means there."""

    fields: tuple[Field, ...]
    plain_text: Callable[[str], Test]

    def field(self, name: str) -> Field | None:
        """The field of a name or alias."""
        return next((f for f in self.fields if name in (f.name, *f.aliases)), None)


PROCESSES = Language(FIELDS, plain_text)

"""From the text of a filter to a test.

Terms stand side by side, and all must hold. A term is plain text, or a field, an operator and a
value; `!` or `-` before it turns it round. Quotes keep blanks together, and keep what looks like
a field from being one::

    ann gpu:0,2-3 mem>10G !state:zombie cmd:"train.py --lr" "http://host"
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from gputop.errors import UsageError
from gputop.query.fields import PROCESSES, Language, Test
from gputop.query.literals import BadValue
from gputop.text import fit

LONGEST = 1000
"""Characters a filter may have."""

_BLANKS = re.compile(r"\s*")
_NEGATION = re.compile(r"[!-]")
_FIELD = re.compile(r"([A-Za-z]\w*)(:|\s*(?:[<>]=?|=))", re.ASCII)
_OPERATOR = re.compile(r"[<>=]")
_WORD = re.compile(r"\S+")


class QueryError(UsageError):
    """A filter that cannot be meant, or is not yet written to its end."""

    def __init__(self, message: str, position: int) -> None:
        """`message` is the sentence, `position` counts characters from 0."""
        super().__init__(message)
        self.position = position


class Term(Struct, frozen=True):
    """One condition."""

    test: Test
    negated: bool = False

    def holds(self, subject: Any) -> bool:
        """Whether it is known to be so."""
        answer = self.test(subject)
        return answer is not None and answer is not self.negated


class Filter(Struct, frozen=True):
    """A compiled filter: call it with a process, or what else its language is about. Without
    terms it lets everything through."""

    text: str = ""
    terms: tuple[Term, ...] = ()
    unfinished: bool = False
    """True while more is being written behind `text` that is no filter yet."""

    def __call__(self, subject: Any) -> bool:
        """Whether the subject passes."""
        return all(term.holds(subject) for term in self.terms)


def compile_filter(text: str, language: Language = PROCESSES) -> Filter:
    """The filter that `text` describes in a language.

    Raises:
        QueryError: a term is not finished, or names no field or value that there is.
    """
    if len(text) > LONGEST:
        raise QueryError(f"A filter has at most {LONGEST} characters.", LONGEST)
    return Filter(text, tuple(_terms(text, language)))


def _skip_blanks(text: str, at: int) -> int:
    match = _BLANKS.match(text, at)
    return match.end() if match else at


def _terms(text: str, language: Language) -> Iterator[Term]:
    at = _skip_blanks(text, 0)
    while at < len(text):
        test, negated, at = _term(text, at, language)
        yield Term(test, negated)
        at = _skip_blanks(text, at)


def _term(text: str, at: int, language: Language) -> tuple[Test, bool, int]:
    """The term at `at`, whether it is turned round, and where it ends."""
    start = at
    negated = _NEGATION.match(text, at) is not None
    at += negated
    if at >= len(text) or text[at].isspace():
        raise QueryError(
            f"The {text[start]} at position {start + 1} needs a term right behind it.", start
        )
    if _OPERATOR.match(text, at):
        raise QueryError(
            f"The {text[at]} at position {at + 1} needs a field before it: {_names(language)}.", at
        )
    if match := _FIELD.match(text, at):
        test, at = _field_test(text, match, language)
        return test, negated, at
    value, at = _value(text, at)
    return language.plain_text(value), negated, at


def _field_test(text: str, match: re.Match[str], language: Language) -> tuple[Test, int]:
    start, name, operator = match.start(), match[1], match[2].strip()
    field = language.field(name.casefold())
    if field is None:
        raise QueryError(
            f'Fields are {_names(language)}; there is no field "{fit(name, 20)}" '
            f"(position {start + 1}). Quote the text to search for it as it is.",
            start,
        )
    if operator not in field.operators:
        raise QueryError(
            f"{field.name} takes {' or '.join(field.operators)}, not {operator} "
            f"(position {start + 1}), as in {field.example}.",
            start,
        )
    at = match.end() if operator == ":" else _skip_blanks(text, match.end())
    value, end = _value(text, at)
    try:
        return field.make(operator, value), end
    except BadValue as bad:
        raise QueryError(f"{field.name} wants {bad} (position {at + 1}).", at) from None


def _value(text: str, at: int) -> tuple[str, int]:
    """The word or quoted text at `at` (empty at the end or before a blank), and its end."""
    quote = text[at : at + 1]
    if quote in ('"', "'"):
        end = text.find(quote, at + 1)
        if end < 0:
            raise QueryError(f"The quote at position {at + 1} is not closed.", at)
        return text[at + 1 : end], end + 1
    match = _WORD.match(text, at)
    return (match[0], match.end()) if match else ("", at)


def _names(language: Language) -> str:
    return ", ".join(field.name for field in language.fields)

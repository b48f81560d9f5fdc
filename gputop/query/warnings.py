"""The filter language of the warnings: ``severity:critical gpu:0,2 is:past slowdown``."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter

from msgspec import Struct

from gputop.insight.alerts import Alert
from gputop.model.nvml_tables import SEVERITIES
from gputop.query.fields import EQUALS, Field, Language, Test, gpu_field, text_field
from gputop.query.literals import BadValue, words
from gputop.query.subject import Place


class Warned(Struct, frozen=True):
    """A warning as a filter sees it."""

    alert: Alert

    @property
    def places(self) -> tuple[Place, ...]:
        """The device, by the index it had then."""
        index = self.alert.where.partition(" ")[0]
        uuid = self.alert.device
        return (Place(int(index) if index.isdecimal() else None, uuid),) if uuid else ()

    @property
    def time(self) -> str:
        """Now, past, or before the start."""
        if self.alert.before_start:
            return "before"
        return "now" if self.alert.active else "past"


def _one_of(get: Callable[[Warned], str], accepted: tuple[str, ...]) -> Callable[[str, str], Test]:
    """The values are words of a few, or beginnings of them."""

    def make(operator: str, value: str) -> Test:
        wanted = {word for word in accepted for typed in words(value) if word.startswith(typed)}
        if not wanted:
            raise BadValue("one of " + ", ".join(accepted))
        return lambda subject: get(subject) in wanted

    return make


def _plain(text: str) -> Test:
    """Text anywhere in what is shown of a warning."""
    wanted = text.casefold()

    def test(subject: Warned) -> bool:
        alert = subject.alert
        said = (alert.title, alert.where, alert.worst_detail or alert.detail, alert.severity,
                alert.meaning, alert.rule)  # fmt: skip
        return any(wanted in part.casefold() for part in said)

    return test


WARNINGS = Language(
    (
        Field("severity", ("sev", "level"), EQUALS,
              _one_of(attrgetter("alert.severity"), SEVERITIES), "critical, warning or notice",
              "severity:critical"),
        Field("gpu", ("device",), EQUALS, gpu_field, "index, range or start of a UUID",
              "gpu:0,2-3"),
        Field("is", ("when",), EQUALS, _one_of(attrgetter("time"), ("now", "past", "before")),
              "now, past, or before the start", "is:now"),
        Field("rule", (), EQUALS, text_field(attrgetter("alert.rule"), "a kind, such as xid"),
              "the kind of warning", "rule:xid"),
    ),
    _plain,
)  # fmt: skip

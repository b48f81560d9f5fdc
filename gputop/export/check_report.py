"""What `gputop check` found, for people and for programs."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Struct

from gputop.errors import EXIT_FAILED
from gputop.export.alerts import AlertRecord, as_dicts, plain
from gputop.export.devices import utc_text
from gputop.insight.alert_log import AlertLog
from gputop.insight.alerts import Alert
from gputop.insight.rules import RULES, Rule
from gputop.state.store import Store
from gputop.text import clean, duration

CHECK_SCHEMA = 1
"""Grows when a field goes or changes its meaning."""


class NotJudged(msgspec.Struct):
    """A warning that takes longer to be sure of than the check looked."""

    rule: str
    title: str
    needs_s: float


class CheckDocument(msgspec.Struct, tag="check"):
    """The health of one machine's devices: the JSON document."""

    schema: int
    program: str
    hostname: str
    simulated: bool
    utc: str
    window_s: float
    """How long it looked, in seconds."""
    healthy: bool
    """False where anything stands under `problems`."""
    exit_code: int
    device_count: int
    problems: list[AlertRecord]
    """What is critical or a warning now, worst first."""
    notices: list[AlertRecord]
    """What is worth knowing and no reason to fail."""
    ended: list[AlertRecord]
    """What began and ended while it looked."""
    before_start: list[AlertRecord]
    """What the driver and the kernel's log remember of the time before."""
    not_judged: list[NotJudged]


class CheckReport(Struct, frozen=True):
    """The state after the last frame, and how long was looked."""

    store: Store
    log: AlertLog
    window_s: float

    @property
    def problems(self) -> list[Alert]:
        """What is critical or a warning, worst first."""
        return [alert for alert in self.log.active if alert.severity != "notice"]

    @property
    def notices(self) -> list[Alert]:
        """What lasts and is neither."""
        return [alert for alert in self.log.active if alert.severity == "notice"]

    @property
    def ended(self) -> list[Alert]:
        """What began and ended meanwhile, newest first."""
        return [alert for alert in self.log.history if not alert.before_start]

    @property
    def before(self) -> list[Alert]:
        """What was before the start, newest first."""
        return [alert for alert in self.log.history if alert.before_start]

    @property
    def not_judged(self) -> list[Rule]:
        """Rules that must hold longer than was looked."""
        return [r for r in RULES if r.holds_for(self.log.thresholds) > self.window_s]

    @property
    def exit_code(self) -> int:
        """0 for healthy, else 1."""
        return EXIT_FAILED if self.problems else 0


def as_json(report: CheckReport) -> str:
    """The document as text, in the shape of :class:`CheckDocument`, pure ASCII."""
    store = report.store
    assert store.hello is not None
    assert store.frame is not None
    now = store.now
    document: dict[str, Any] = {
        "type": "check",
        "schema": CHECK_SCHEMA,
        "program": plain(store.hello.program),
        "hostname": plain(store.hello.host.hostname),
        "simulated": store.simulated,
        "utc": utc_text(store.frame.utc_s),
        "window_s": report.window_s,
        "healthy": not report.problems,
        "exit_code": report.exit_code,
        "device_count": len(store.devices),
        "problems": as_dicts(report.problems, now),
        "notices": as_dicts(report.notices, now),
        "ended": as_dicts(report.ended, now),
        "before_start": as_dicts(report.before, now),
        "not_judged": [
            {"rule": r.key, "title": r.title, "needs_s": r.holds_for(report.log.thresholds)}
            for r in report.not_judged
        ],
    }
    return json.dumps(document, indent=2, allow_nan=False)


def as_text(report: CheckReport, width: int) -> str:
    """The findings for a person: the verdict first, then each in a line of at most `width`."""
    lines = [_headline(report)]
    for alert in [*report.problems, *report.notices]:
        lines += _wrapped(f"{alert.severity.upper():<8}  {_told(alert)}", width)
    lines += _listed("While looking, and over:", report.ended, report, width)
    lines += _listed("Before the start:", report.before, report, width)
    if missing := report.not_judged:
        needs = "; ".join(
            f"{rule.title} ({duration(rule.holds_for(report.log.thresholds))})" for rule in missing
        )
        lines += _wrapped(f"Not judged, for want of time: {needs}.", width)
    return "\n".join(lines)


def _headline(report: CheckReport) -> str:
    count, looked = len(report.problems), duration(report.window_s)
    devices = len(report.store.devices)
    of = f"{devices} device{'s' * (devices != 1)}"
    simulated = "SIMULATED: " if report.store.simulated else ""
    if not count:
        return f"{simulated}Healthy: nothing wrong with {of}, looked at for {looked}."
    return f"{simulated}{count} problem{'s' * (count != 1)} on {of}, looked at for {looked}."


def _told(alert: Alert) -> str:
    detail = alert.worst_detail or alert.detail
    said = f": {detail.rstrip('.')}" if detail else ""
    return f"GPU {alert.where} · {alert.title}{said}. {alert.meaning} {alert.advice}"


def _listed(title: str, alerts: list[Alert], report: CheckReport, width: int) -> Iterator[str]:
    if not alerts:
        return
    yield title
    for alert in alerts:
        lasted = alert.lasted_s(report.store.now)
        for_ = f", {duration(lasted)}" if lasted else ""
        detail = f": {alert.detail.rstrip('.')}" if alert.detail else ""
        yield from _wrapped(f"  GPU {alert.where} · {alert.title}{detail}{for_}.", width)


def _wrapped(line: str, width: int) -> list[str]:
    return textwrap.wrap(
        clean(line), max(width, 20), subsequent_indent="    ", break_on_hyphens=False,
        drop_whitespace=True,
    )  # fmt: skip

"""A warning as a record: for snapshots, `gputop check` and commands run on an event."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable
from typing import Any

import msgspec

from gputop.export.devices import utc_text
from gputop.insight.alerts import Alert, Change
from gputop.model.nvml_tables import Severity
from gputop.state.store import Store
from gputop.text import clean, duration, local_time

EVENT_SCHEMA = 1
"""Grows when a field goes or changes its meaning."""


class AlertRecord(msgspec.Struct):
    """Something wrong with a device (or the host), while it lasts or after."""

    rule: str
    """Its kind, such as ``hot``, ``reason:sw_thermal`` or ``xid:79``."""
    severity: Severity
    device: str | None
    """UUID; null for the host."""
    where: str
    """Index and name of the device."""
    title: str
    detail: str
    """The value now, with its unit; empty where there is none."""
    worst: str
    """The worst value so far, with its unit; empty where there is none."""
    meaning: str
    advice: str
    since_utc: str
    """ISO 8601 in UTC; of something that was counted before the start, the start."""
    since_utc_s: float
    lasted_s: float
    """Seconds from its begin to its end, or to now."""
    active: bool
    before_start: bool
    """True for what happened before this program began to look."""
    since_known: bool = True
    """False where it lasted already at `since_utc`: it began at an unknown time before."""


_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def plain(words: str) -> str:
    """Text without control characters and lone surrogates: what a driver says is not trusted."""
    return _UNSAFE.sub("\ufffd", words)


def alert_record(alert: Alert, now: float) -> AlertRecord:
    """An alert at the moment `now` (CLOCK_BOOTTIME)."""
    return AlertRecord(
        rule=alert.rule, severity=alert.severity, device=alert.device and plain(alert.device),
        where=plain(alert.where), title=plain(alert.title), detail=plain(alert.detail),
        worst=plain(alert.worst_detail), meaning=plain(alert.meaning), advice=alert.advice,
        since_utc=utc_text(alert.since_utc_s), since_utc_s=alert.since_utc_s,
        lasted_s=max(alert.lasted_s(now), 0.0), active=alert.active,
        before_start=alert.before_start, since_known=alert.since_known,
    )  # fmt: skip


def is_loud(change: Change) -> bool:
    """Whether a change is worth a command, a bell or a message: notices are listed only."""
    return change.alert.severity != "notice"


def event_document(change: Change, store: Store) -> dict[str, Any]:
    """What a command run on an event is told."""
    hello = store.hello
    return {
        "type": "event",
        "schema": EVENT_SCHEMA,
        "what": change.what,
        "hostname": plain(hello.host.hostname) if hello else "",
        "simulated": store.simulated,
        **msgspec.structs.asdict(alert_record(change.alert, store.now)),
    }


def as_dicts(alerts: Iterable[Alert], now: float) -> list[dict[str, Any]]:
    """The records as plain dicts."""
    return [msgspec.structs.asdict(alert_record(alert, now)) for alert in alerts]


def past_lines(alerts: Iterable[Alert], now: float, width: int) -> list[str]:
    """What is over, for a person; what lasts stands with the devices."""
    lines = []
    for alert in alerts:
        if alert.active:
            continue
        lasted = alert.lasted_s(now)
        began = local_time(alert.since_utc_s, "%Y-%m-%d %H:%M:%S")
        began = began if alert.since_known else f"before {began}"
        when = "before the start" if alert.before_start else began
        detail = alert.worst_detail or alert.detail
        span = duration(lasted) if lasted else ""
        parts = [when, f"GPU {alert.where}", alert.title, span, detail]
        words = " · ".join(clean(part) for part in parts if part)
        lines += textwrap.wrap(f"{alert.severity.upper():<8}  {words}", max(width, 20),
                               subsequent_indent="    ", break_on_hyphens=False)  # fmt: skip
    return ["Events that are over", *lines] if lines else []

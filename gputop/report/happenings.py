"""The warnings of a run, those of the same kind on the same device as one."""

from __future__ import annotations

from collections.abc import Iterable

from gputop.insight.alerts import Alert, severity_rank
from gputop.report.series import Window
from gputop.report.shape import EventReport
from gputop.text import clean

MOST = 100


def events(alerts: Iterable[Alert], window: Window, now: float) -> list[EventReport]:
    """What began or lasted within the window, worst first, then in the order they began."""
    found: dict[tuple[str | None, str, str], EventReport] = {}
    for alert in sorted(alerts, key=lambda alert: alert.since_s):
        until = alert.until_s if alert.until_s is not None else now
        if until < window.begin or alert.since_s > window.end:
            continue
        start, end = window.clip(alert.since_s, max(until, alert.since_s))
        lasted = max(end - start, 0.0)
        key = (alert.device, alert.rule, alert.title)
        known = found.get(key)
        if known is None:
            found[key] = EventReport(
                max(start - window.begin, 0.0), alert.since_utc_s, alert.severity,
                clean(alert.where), alert.device and clean(alert.device), clean(alert.title, 80),
                clean(alert.worst_detail or alert.detail, 120), 1, lasted, alert.active,
            )  # fmt: skip
            continue
        known.count += 1
        known.lasted_s += lasted
        known.lasts = known.lasts or alert.active
        if severity_rank(alert.severity) < severity_rank(known.severity):
            known.severity = alert.severity
    ordered = sorted(found.values(), key=lambda e: (severity_rank(e.severity), e.offset_s))
    return ordered[:MOST]

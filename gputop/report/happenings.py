"""The warnings of a run, those of the same kind on the same device as one."""

from __future__ import annotations

from collections.abc import Iterable

from gputop.insight.alert_log import PROCESS_GONE
from gputop.insight.alerts import Alert, severity_rank
from gputop.report.series import Window
from gputop.report.shape import EventReport
from gputop.text import clean

MOST = 100
"""Events in a report."""
_ENDED = "processes ended"


def events(alerts: Iterable[Alert], window: Window, now: float) -> list[EventReport]:
    """What began or lasted within the window, worst first, then in the order they began."""
    found: dict[tuple[object, ...], EventReport] = {}
    for alert in sorted(alerts, key=lambda alert: alert.since_s):
        until = _until(alert, now)
        if until < window.begin or alert.since_s > window.end:
            continue
        start, end = window.clip(alert.since_s, max(until, alert.since_s))
        lasted, lasts = max(end - start, 0.0), alert.active and not _is_moment(alert)
        gone = alert.rule == PROCESS_GONE  # hundreds of them are one line: who ended stands below
        # What the driver tells of the time before is not of this run.
        key = (alert.device, alert.rule, _ENDED if gone else alert.title, alert.before_start)
        known = found.get(key)
        if known is None:
            found[key] = EventReport(
                max(start - window.begin, 0.0), alert.since_utc_s, alert.severity,
                clean(alert.where), alert.device and clean(alert.device), clean(alert.title, 80),
                clean(alert.worst_detail or alert.detail, 120), 1, lasted, lasts,
            )  # fmt: skip
            continue
        known.count += 1
        known.title = _ENDED if gone else known.title
        known.lasted_s += lasted
        known.lasts = known.lasts or lasts
        if severity_rank(alert.severity) < severity_rank(known.severity):
            known.severity = alert.severity
    return sorted(found.values(), key=lambda e: (severity_rank(e.severity), e.offset_s))


def _until(alert: Alert, now: float) -> float:
    if _is_moment(alert):
        return alert.since_s
    return alert.until_s if alert.until_s is not None else now


def _is_moment(alert: Alert) -> bool:
    """Whether it lasts no time: an Xid is held only so that it is seen."""
    return alert.rule.startswith("xid:")

"""The section on throttling: what holds the device back now, and what did for how long."""

from __future__ import annotations

from collections.abc import Sequence

from gputop import text
from gputop.insight.throttle_cost import clock_loss
from gputop.model.nvml_tables import HARMFUL, EventReason, active_reasons
from gputop.state.throttle import Basis, Share
from gputop.ui.device.rows import Desk, Fact, Row, Words
from gputop.ui.view import DeviceView

VIOLATIONS = tuple(reason.violation for reason in HARMFUL if reason.violation)
"""The metrics of the driver's own counters."""
_TITLES = " now  1 min  10 min session"
_BASIS: dict[Basis, str] = {
    "counter": "Counted by the driver", "sampled": "From the reasons at each reading",
}  # fmt: skip


def throttling(device: DeviceView, desk: Desk) -> list[Row]:
    """A row for each reason: now, and its share of a minute, ten and the session; how that is
    known; an estimate of what it costs; and the time since the driver was loaded.
    """
    windows = device.throttling()
    mask = int(device.number("event_reasons") or 0)
    spans = [_by_key(shares) for shares in (windows.minute, windows.ten_minutes, windows.session)]
    active = {reason.key for reason in active_reasons(mask)}
    rows: list[Row] = []
    basis: dict[Basis, list[str]] = {}
    for reason in HARMFUL:
        shares = [span.get(reason.key) for span in spans]
        if reason.key in active or any(shares):
            rows.append(Fact(reason.label, _cells(reason.key in active, shares)))
        if known := next((share for share in shares if share), None):
            basis.setdefault(known.basis, []).append(reason.label)
    if rows:
        rows.insert(0, Fact("", _TITLES, "dim"))
    rows += [Words(f"{_BASIS[how]}: {', '.join(labels)}.", "dim") for how, labels in basis.items()]
    if (loss := clock_loss(device.number)) is not None:
        rows.append(Fact("Estimated cost", f"{text.percent(loss.share)} of the clock "
                         f"({loss.now_mhz:.0f} of {loss.highest_mhz:.0f} MHz)"))  # fmt: skip
    rows += [Fact("Benign", reason.label, "dim") for reason in _benign(mask)]
    return rows + _since_load(device)


def _by_key(shares: Sequence[Share]) -> dict[str, Share]:
    return {share.reason.key: share for share in shares}


def _cells(now: bool, shares: Sequence[Share | None]) -> str:
    minute, ten, session = (text.percent(share.share) if share else "" for share in shares)
    return f"{'yes' if now else '':>4} {minute:>6} {ten:>7} {session:>7}"


def _benign(mask: int) -> list[EventReason]:
    """What holds the clocks and costs nothing."""
    return [reason for reason in active_reasons(mask) if reason.severity is None]


def _since_load(device: DeviceView) -> list[Row]:
    """The driver's counters, of those that have counted anything."""
    rows: list[Row] = []
    for reason in HARMFUL:
        held = device.value(reason.violation).value if reason.violation else None
        if held:
            rows.append(Fact(f"  {reason.label}", text.duration(held)))
    return [Words("Since the driver was loaded:", "dim"), *rows] if rows else []

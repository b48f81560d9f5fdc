"""Follows the rules over time: which warnings last, and which have been."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator

from gputop.insight.alerts import Alert, Change, severity_rank
from gputop.insight.before_start import found_before
from gputop.insight.rules import OF_MOMENT, RULES, Measured, Rule, Thresholds
from gputop.model.frame import Event, Process
from gputop.model.nvml_tables import HARMFUL, Severity
from gputop.model.xids import xid
from gputop.state.process_history import may_have_left
from gputop.state.store import DeviceState, Store
from gputop.text import duration

PAST_KEPT: dict[Severity, int] = {"critical": 500, "warning": 500, "notice": 200}
"""Warnings of each severity that are still listed when they are over. A busy machine ends 200
processes within hours: who asks for more has a recording.
"""
CHANGES_KEPT = 500
XID_SHOWN_S = 300.0
"""An Xid is a moment; it is shown as active this long so that it is seen."""
PROCESS_GONE = "process_gone"
"""Key of the notice that a process has ended."""
GONE_WORTH_BYTES = 1 << 30
"""A process that ends is worth a notice when it held at least this much."""


SAME_XID_S = 2.0
"""Two reports of a device's Xid so near to each other are one, told by the driver and the log."""
XIDS_REMEMBERED = 2000
UNKNOWN = frozenset({"timed_out", "pending"})
"""Statuses under which what was seen before may still hold."""
STALE = "stale"
"""How old the readings are of a device that does not answer is said of that."""
OF_STATUS = frozenset({"lost", "error", "timed_out"})
AWAY = frozenset({"lost", "error"})
"""Rules after which a device that answers again is back."""

XID_RANK = 1
"""An Xid stands right behind the loss of its device."""
_HARMFUL_BITS = sum(reason.bit for reason in HARMFUL)
_OF_INSTANCES = tuple(rule for rule in RULES if rule.of_instances)
_RANK = {rule.key: rank for rank, rule in enumerate(RULES)}


class PastAlerts:
    """The warnings that are over, in the order of their ends.

    Each severity makes room for its own only: processes that come and go by the hundred do not
    push a lost device off the list.
    """

    def __init__(self) -> None:
        self._alerts: list[Alert] = []
        self._held: Counter[Severity] = Counter()

    def append(self, alert: Alert) -> None:
        """Take a warning that has ended; the oldest of its severity may have to go."""
        self._alerts.append(alert)
        self._held[alert.severity] += 1
        if self._held[alert.severity] > PAST_KEPT[alert.severity]:
            oldest = next(n for n, a in enumerate(self._alerts) if a.severity == alert.severity)
            del self._alerts[oldest]
            self._held[alert.severity] -= 1

    def extend(self, alerts: Iterable[Alert]) -> None:
        """Take several, in their order."""
        for alert in alerts:
            self.append(alert)

    def clear(self) -> None:
        """Forget them all, as who keeps a list of his own does."""
        self._alerts.clear()
        self._held.clear()

    def __len__(self) -> int:
        return len(self._alerts)

    def __iter__(self) -> Iterator[Alert]:
        return iter(self._alerts)

    def __reversed__(self) -> Iterator[Alert]:
        return reversed(self._alerts)


class AlertLog:
    """The warnings of one host.

    Args:
        thresholds: The edges.
        whole: False where it begins in the middle of a recording: a warning that lasts there
            began at an unknown time before.
    """

    def __init__(self, thresholds: Thresholds | None = None, whole: bool = True) -> None:
        self.thresholds = thresholds or Thresholds()
        self._whole = whole
        self.past = PastAlerts()
        self._active: dict[tuple[str | None, str], Alert] = {}
        self._speaking: dict[tuple[str, str], tuple[float, float]] = {}
        """Since when, and when last, the test of a warning spoke that has not begun."""
        self._silent_since: dict[tuple[str | None, str], float] = {}
        self._events_seen: dict[str, int] = {}
        self._held: dict[tuple[int, int | None], tuple[Process, int]] = {}
        self._xids: deque[tuple[str | None, int, float, str]] = deque(maxlen=XIDS_REMEMBERED)
        self._changes: deque[Change] = deque(maxlen=CHANGES_KEPT)
        self._started_s: float | None = None
        self._looked_back: set[str] = set()
        self._quiet: dict[str, float | None] = {}
        """When the slow tier was read with which a device was looked at in full, and was well."""

    def update(self, store: Store) -> None:
        """Take the store as it is after its newest frame."""
        frame = store.frame
        if frame is None:
            return
        now, utc = frame.boottime_s, frame.utc_s
        if self._started_s is None:
            self._started_s = now
        followed = {key for keys in (self._active, self._speaking) for key in keys}
        awake = {uuid for uuid, _ in followed}
        for device in store.devices:
            self._look_back(device, self._started_s, now, utc)
            rules = RULES if device.uuid in awake or self._is_new(device) else OF_MOMENT
            self._follow_all(rules, device, followed, now, utc)
            for instance in store.instances(device.uuid):
                self._follow_all(_OF_INSTANCES, instance, followed, now, utc)
        self._follow_departed(store, now)
        self._follow_events(store, now)
        self._follow_processes(store, now, utc)

    def _is_new(self, device: DeviceState) -> bool:
        """Whether a rule that is not `of_moment` may speak although it did not before."""
        reading, known = device.reading, self._quiet.get(device.uuid)
        if reading.status != "ok" or (reading.event_reasons or 0) & _HARMFUL_BITS:
            self._quiet.pop(device.uuid, None)
            return True
        at = reading.read_at.slow
        self._quiet[device.uuid] = at
        return at is None or at != known

    def _follow_all(
        self, rules: Iterable[Rule], device: DeviceState,
        followed: set[tuple[str | None, str]], now: float, utc: float,
    ) -> None:  # fmt: skip
        uuid, thresholds = device.uuid, self.thresholds
        for rule in rules:
            # Nearly always nothing speaks and nothing spoke: that must cost little.
            if (uuid, rule.key) in followed or rule.test(device, thresholds, False) is not None:
                self._follow(rule, device, now, utc)

    def _follow(self, rule: Rule, device: DeviceState, now: float, utc: float) -> None:
        key = (device.uuid, rule.key)
        alert = self._active.get(key)
        measured = rule.test(device, self.thresholds, alert is not None)
        if measured is None:
            if key in self._speaking:
                self._fall_silent(rule, device, key, now)
            if alert is not None and self._may_end(rule, device, key, now):
                self._end(key, now)
                if rule.key in AWAY and device.reading.status == "ok":
                    self._note_back(alert, now, utc)
            return
        self._silent_since.pop(key, None)
        if alert is None:
            since, _ = self._speaking.get(key, (_begin(rule, device, now), now))
            self._speaking[key] = (since, now)
            if now - since < rule.holds_for(self.thresholds):
                return
            alert = self._active[key] = _alert(rule, device, measured, since, utc - (now - since))
            alert.since_known = self._whole or since != self._started_s
            _measure(alert, measured)
            self._changes.append(Change("begin", alert))
        _measure(alert, measured)

    def _fall_silent(
        self, rule: Rule, device: DeviceState, key: tuple[str, str], now: float
    ) -> None:
        """Forget that the test spoke, unless nothing is known or it may yet go on."""
        _, last = self._speaking[key]
        if device.reading.status not in UNKNOWN and now - last >= rule.gap_s:
            del self._speaking[key]

    def _look_back(self, device: DeviceState, started: float, now: float, utc: float) -> None:
        """Note what the device was through before this program looked, once all is read."""
        times = device.reading.read_at
        if device.uuid in self._looked_back or times.medium is None or times.slow is None:
            return
        self._looked_back.add(device.uuid)
        where = label(device)
        self.past.extend(found_before(device, where, self.thresholds, started, utc - now))

    def _may_end(self, rule: Rule, device: DeviceState, key: tuple[str, str], now: float) -> bool:
        status = device.reading.status
        if rule.key != STALE and (
            status in UNKNOWN or (status != "ok" and rule.key not in OF_STATUS)
        ):
            return False  # nothing is known of it: a warning does not end for want of a reading
        return now - self._silent_since.setdefault(key, now) >= rule.linger_s

    def _end(self, key: tuple[str | None, str], now: float) -> None:
        alert = self._active.pop(key)
        alert.until_s = self._silent_since.pop(key, now)
        self.past.append(alert)
        self._changes.append(Change("end", alert))

    def _note_back(self, gone: Alert, now: float, utc: float) -> None:
        self._happened(
            Alert(
                rule="back", device=gone.device, where=gone.where, severity="notice", word="BACK",
                title="device back",
                meaning=f"The driver reaches it again after {duration(gone.lasted_s(now))}.",
                advice="Look at what ran on it; its counters may have begun anew.",
                since_s=now, since_utc_s=utc, until_s=now,
            )
        )  # fmt: skip

    def _happened(self, alert: Alert) -> None:
        """Note what was over as it came."""
        self.past.append(alert)
        self._changes.append(Change("moment", alert))

    def _follow_departed(self, store: Store, now: float) -> None:
        """A MIG instance that is taken away takes what was wrong with it along; a device that says
        at last who it is keeps it.
        """
        for (uuid, rule), alert in list(self._active.items()):
            device = store.device(store.turned_out.get(uuid or "", ""))
            if device is not None:
                del self._active[uuid, rule]
                alert.device, alert.where = device.uuid, label(device)
                self._active[device.uuid, rule] = alert
        for key in list(self._active):
            if key[1] in _RANK and not _is_there(store, key[0]):
                self._end(key, now)
        for key in [key for key in self._speaking if not _is_there(store, key[0])]:
            del self._speaking[key]

    def _follow_events(self, store: Store, now: float) -> None:
        for event in store.events:
            if event.kind == "xid" and event.seq > self._events_seen.get(event.session, -1):
                self._events_seen[event.session] = event.seq
                self._begin_event(event, store)
        for key, alert in list(self._active.items()):
            if alert.rule.startswith("xid:") and now - alert.since_s >= XID_SHOWN_S:
                self._pass(key)

    def _pass(self, key: tuple[str | None, str]) -> None:
        """Put an Xid that was shown long enough where it belongs: it was a moment."""
        alert = self._active.pop(key)
        alert.until_s = alert.since_s
        self.past.append(alert)

    def _begin_event(self, event: Event, store: Store) -> None:
        code = event.code or 0
        before = self._started_s is not None and event.boottime_s < self._started_s
        if self._is_known(event, code):
            return
        entry = xid(code)
        key = (event.device, f"xid:{code}")
        device = store.device(event.device) if event.device else None
        alert = Alert(
            rule=key[1], device=event.device, where=label(device) if device else "host",
            severity=entry.severity, word="XID", title=f"Xid {code}: {entry.name}",
            meaning=entry.meaning, advice=entry.advice,
            since_s=event.boottime_s, since_utc_s=event.utc_s, before_start=before,
            detail="" if entry.name.lower() in event.text.lower() else event.text,
        )  # fmt: skip
        if before:
            alert.until_s = alert.since_s
            self.past.append(alert)
            return
        if key in self._active:
            self._pass(key)
        self._active[key] = alert
        self._changes.append(Change("moment", alert))

    def _is_known(self, event: Event, code: int) -> bool:
        """Whether another session told of this Xid: a collector that starts anew reads what it
        told of before in the kernel's log.
        """
        for device, known, at, session in self._xids:
            near = abs(event.boottime_s - at) < SAME_XID_S
            if near and session != event.session and (device, known) == (event.device, code):
                return True
        self._xids.append((event.device, code, event.boottime_s, event.session))
        return False

    def _follow_processes(self, store: Store, now: float, utc: float) -> None:
        held = {}
        frame = store.frame
        assert frame is not None
        for process in store.processes:
            memory = sum(use.memory_bytes or 0 for use in process.uses)
            held[process.pid, process.start_ticks] = (process, memory)
        for key, (process, memory) in self._held.items():
            if key in held:
                continue
            if not may_have_left(process, frame):
                held[key] = (process, memory)  # its device is silent: it may still be there
            elif memory >= GONE_WORTH_BYTES:
                self._note_gone(store, process, memory, now, utc)
        self._held = held

    def _note_gone(
        self, store: Store, process: Process, memory: int, now: float, utc: float
    ) -> None:
        uuid = process.uses[0].device
        device = store.device(uuid)
        self._happened(
            Alert(
                rule=PROCESS_GONE,
                device=uuid,
                where=label(device) if device else "",
                severity="notice",
                word="ENDED",
                title=f"process {process.pid} ended",
                meaning=f"{process.name or 'It'} of {process.user or 'unknown user'} gave back "
                f"{memory / 2**30:.1f} GiB of device memory.",
                advice="Look for an out-of-memory kill if it was not meant to end.",
                since_s=now,
                since_utc_s=utc,
                until_s=now,
            )
        )

    @property
    def active(self) -> list[Alert]:
        """The warnings that last, worst first, then in the order of the rules."""
        return sorted(self._active.values(), key=_order)

    @property
    def history(self) -> list[Alert]:
        """The warnings that have been, the newest first; what was before the start comes last."""
        oldest = sorted(self.past, key=lambda alert: (not alert.before_start, alert.until_s or 0.0))
        return oldest[::-1]

    def take_changes(self) -> list[Change]:
        """What began, ended or happened since the last call; what was before the start did not."""
        changes = list(self._changes)
        self._changes.clear()
        return changes

    def count(self, severity: Severity) -> int:
        """How many warnings of a severity last."""
        return sum(alert.severity == severity for alert in self._active.values())


def _is_there(store: Store, uuid: str | None) -> bool:
    return uuid is None or store.has(uuid)


def _order(alert: Alert) -> tuple[int, int, float]:
    return severity_rank(alert.severity), _RANK.get(alert.rule, XID_RANK), alert.since_s


def label(device: DeviceState) -> str:
    """Index and name of a device, for a person."""
    index = "?" if device.info.index is None else str(device.info.index)
    return f"{index} {device.info.name.removeprefix('NVIDIA ')}"


def _begin(rule: Rule, device: DeviceState, now: float) -> float:
    """When what a rule speaks of for the first time began: a driver that does not answer was asked
    before it was given up.
    """
    since = device.reading.since_s
    return now if rule.key not in OF_STATUS or since is None else min(max(since, 0.0), now)


def _alert(rule: Rule, device: DeviceState, measured: Measured, since: float, utc: float) -> Alert:
    return Alert(
        rule=rule.key, device=device.uuid, where=label(device),
        severity=measured.severity or rule.severity, word=rule.word,
        title=measured.title or rule.title,
        meaning=measured.meaning or rule.meaning, advice=measured.advice or rule.advice,
        since_s=since, since_utc_s=utc,
    )  # fmt: skip


def _measure(alert: Alert, measured: Measured) -> None:
    alert.detail = measured.detail
    if alert.worst is None or measured.number > alert.worst:
        alert.worst, alert.worst_detail = measured.number, measured.detail

"""Adds a stream of records up to a report, record by record.

All times are CLOCK_BOOTTIME: a wall clock that jumps moves nothing, and a suspend is a gap.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import fmean

import gputop
from gputop.insight.alert_log import AlertLog
from gputop.insight.alerts import Alert
from gputop.insight.look import FOLLOWED, window_s
from gputop.insight.rules import Thresholds
from gputop.insight.verdict_book import VerdictBook
from gputop.model.frame import (
    AnyRecord,
    DeviceInfo,
    DeviceUse,
    Event,
    Frame,
    Hello,
    Job,
    Process,
)
from gputop.report.changes import changes
from gputop.report.device_account import DeviceAccount, chart, statistic
from gputop.report.happenings import MOST as MOST_EVENTS
from gputop.report.happenings import events
from gputop.report.holders import Processes
from gputop.report.moments import Moment
from gputop.report.prices import Prices
from gputop.report.series import Series, Window, patience
from gputop.report.shape import (
    VERSION,
    DeviceReport,
    Energy,
    HostReport,
    JobReport,
    Report,
    Statistic,
)
from gputop.sources.base import no_driver
from gputop.state.recent import RecentHistory
from gputop.state.store import FOR_CHARTS, Keeping, Store, cpu_load, host_memory
from gputop.text import clean, duration, local_time

REBOOTED = "The machine was restarted meanwhile: this is the time after it."
OTHER_HOST = "Readings of another machine stand before these and are left out."

NOBODY = (
    "No process of the command was seen on a device. What a daemon starts for it (docker, srun, "
    "ssh) is not its descendant: put `gputop run` in front of the command that the daemon starts."
)


_FOR_VERDICTS = Keeping(FOLLOWED, RecentHistory)
_REACH_S = 3000.0
"""As far back as a verdict may look where the last hour is all that is kept."""


def _keeping(thresholds: Thresholds) -> Keeping:
    """What has to be kept of the past: no chart is drawn from it, only verdicts look back."""
    return _FOR_VERDICTS if thresholds.idle_s <= _REACH_S else FOR_CHARTS


TOO_SHORT = "It was too short to say what limited the devices: that takes a minute of readings."


@dataclass(frozen=True)
class Options:
    """What a report is to be of."""

    start: Moment | None = None
    """Nothing before it counts."""
    end: Moment | None = None
    thresholds: Thresholds = field(default_factory=Thresholds)
    prices: Prices = field(default_factory=Prices)
    file: str = ""
    """Name of the recording that the records come from."""


class Account:
    """One host's records so far."""

    def __init__(self, options: Options | None = None) -> None:
        self._options = options or Options()
        self._notes: dict[str, None] = {}
        self._forget()

    def _forget(self) -> None:
        self._store = Store(_keeping(self._options.thresholds))
        self._alerts = AlertLog(self._options.thresholds)
        self._verdicts = VerdictBook(self._options.thresholds)
        self._past: list[Alert] = []
        self._devices: dict[str, DeviceAccount] = {}
        self._processes = Processes()
        self._cpu: Series | None = None
        self._memory: Series | None = None
        self._iowait: Series | None = None
        self._first: Frame | None = None
        self._newest_s = 0.0
        self._limits: tuple[float, float] = (float("-inf"), float("inf"))
        self._window = Window(0.0)
        self._last_s = self._interval_s = 0.0
        self._frames = self._dropped = self._too_late = 0
        self._job: Job | None = None

    def add(self, record: AnyRecord) -> None:
        """Take the next record."""
        if isinstance(record, Frame):
            self._add_frame(record)
        elif isinstance(record, Hello):
            known = self._store.hello
            if known is not None and known.host.boot_id != record.host.boot_id and self._frames:
                self._forget()
                same = known.host.hostname == record.host.hostname
                self._notes[REBOOTED if same else OTHER_HOST] = None
            self._store.apply(record)
            self._name_devices()
        elif isinstance(record, Event):
            if self._first is None or self._inside(record.boottime_s):
                self._store.apply(record)
        else:
            self._job = record
            self._set_window()

    def _name_devices(self) -> None:
        """A device that could not say who it is, and so nothing else, has since: it is no other."""
        for nameless in self._store.turned_out:
            self._devices.pop(nameless, None)

    def add_all(self, records: Iterable[AnyRecord]) -> Account:
        """Take all records; returns itself."""
        for record in records:
            self.add(record)
        return self

    def note(self, sentence: str) -> None:
        """Have the report say what its reader must know."""
        self._notes[sentence] = None

    @property
    def missed(self) -> str:
        """Why there is nothing to report although there were readings; else empty."""
        first = self._first
        if first is None or self._frames:
            return ""
        begin = local_time(first.utc_s, "%Y-%m-%d %H:%M:%S") or "a day that no calendar has"
        span = duration(self._newest_s - first.boottime_s)
        return (
            f"has no reading in the time asked for: its first is of {begin}, its last {span} later"
        )

    # -- time ---------------------------------------------------------------------------------

    def _inside(self, at: float) -> bool:
        return self._limits[0] <= at <= self._limits[1]

    def _begin(self, frame: Frame) -> None:
        """The first frame of all: from here on it is known what the moments asked for mean."""
        self._first = frame
        start, end = self._options.start, self._options.end
        self._limits = (
            start.boottime(frame) if start else float("-inf"),
            end.boottime(frame) if end else float("inf"),
        )
        self._set_window()

    def _set_window(self) -> None:
        job, first = self._job, self._first
        begin = job.boottime_s if job else first.boottime_s if first else 0.0
        end = job.ended_s if job and job.ended_s is not None else float("inf")
        self._window = Window(max(begin, self._limits[0]), min(end, self._limits[1]))

    # -- frames -------------------------------------------------------------------------------

    def _add_frame(self, frame: Frame) -> None:
        if self._first is None:
            self._begin(frame)
        now = self._newest_s = frame.boottime_s
        if not self._inside(now):
            return
        if self._frames and now <= self._last_s:
            self._too_late += 1
            return
        passed = now - self._last_s if self._frames else 0.0
        self._last_s = now
        # After a change of the interval the first frame still comes at the end of the old one.
        interval, self._interval_s = max(self._interval_s, frame.interval_s), frame.interval_s
        self._frames += 1
        self._dropped = max(self._dropped, frame.cost.dropped_frames)
        self._store.apply(frame)
        self._alerts.update(self._store)
        self._keep_alerts()
        self._verdicts.update(self._store)
        self._read_host(frame, interval)
        self._read_devices(frame, interval)
        start, end = self._window.clip(now - passed, now)
        if passed <= patience("fast", interval) and end > start:
            for uuid, account in self._devices.items():
                account.judge(self._verdicts.of(uuid), end - start)

    def _keep_alerts(self) -> None:
        """A log forgets its oldest; a report does not."""
        self._past += self._alerts.past
        self._alerts.past.clear()

    def _read_devices(self, frame: Frame, interval_s: float) -> None:
        found: dict[str, list[tuple[Process, DeviceUse]]] = {}
        for process in frame.processes:
            for use in process.uses:
                for uuid in {use.device, use.mig or use.device}:
                    found.setdefault(uuid, []).append((process, use))
        longest = patience("medium", interval_s)
        with_job = self._job is not None and not self._job.unfollowed
        seconds = {}
        for reading in frame.devices:
            uuid = self._store.known_as(reading.uuid)
            account = self._account(uuid)
            account.update(reading, interval_s, self._window)
            uses = found.get(uuid, [])
            seconds[uuid] = account.holders.update(reading, uses, longest, self._window, with_job)
        for uuid, account in self._devices.items():
            if uuid not in seconds:
                account.lapse()
        self._processes.update(frame, seconds)

    def _account(self, uuid: str) -> DeviceAccount:
        state = self._store.device(uuid)
        account = self._devices.get(uuid)
        if account is None:
            info = state.info if state else DeviceInfo(uuid, "")
            account = self._devices[uuid] = DeviceAccount(info, self._window.begin)
        elif state is not None:
            account.info = state.info
        return account

    def _read_host(self, frame: Frame, interval_s: float) -> None:
        at = frame.host.read_at
        if at is None:
            return
        if self._cpu is None:
            begin = self._window.begin
            self._cpu, self._iowait = Series(0.001, begin), Series(0.001, begin)
            self._memory = Series(2**20, begin)
        longest = patience("fast", interval_s)
        for series, value in (
            (self._cpu, cpu_load(frame.host)),
            (self._memory, host_memory(frame.host)[0]),
            (self._iowait, frame.host.iowait),
        ):
            assert series is not None
            if value is None:
                series.lapse()
            else:
                series.read(at, value, longest, self._window)

    # -- the report ---------------------------------------------------------------------------

    def report(self) -> Report:
        """What all records so far add up to."""
        hello, job = self._store.hello, self._job
        window = self._settled_window()
        lasted = max(window.end - window.begin, 0.0) if self._frames or job else None
        notes = list(self._notes)
        by_job = self._told_by_process()
        if job is not None and not by_job and self._devices:
            notes.append(self._why_not_by_process())
        devices = [
            account.report(
                self._store.device(uuid), self._parent(account), self._used(account, by_job),
                lasted, self._options.thresholds.idle, by_job,
            )
            for uuid, account in self._ordered()
        ]  # fmt: skip
        used = {
            uuid
            for (uuid, _), device in zip(self._ordered(), devices, strict=True)
            if device.used or job is None
        }
        whole = [device for device in devices if device.used and device.parent is None]
        hours = len(whole) * lasted / 3600 if lasted is not None and devices else None
        energy = _together([device.energy for device in whole])
        notes += self._more_notes(devices, by_job)
        names = {clean(uuid) for uuid in used}
        names |= {old for old, uuid in self._store.turned_out.items() if uuid in used}
        happened = [
            event
            for event in events([*self._past, *self._alerts.active], window, window.end)
            if event.device is None or event.device in names
        ]
        if (left_out := len(happened) - MOST_EVENTS) > 0:
            notes.append(f"{left_out} more events, the mildest and latest of all, are left out.")
        return Report(
            version=VERSION, program=f"gputop {gputop.__version__}",
            simulated=self._store.simulated, file=clean(self._options.file, 80),
            hostname=clean(hello.host.hostname) if hello else "",
            begin_utc_s=self._begin_utc(window), duration_s=lasted, frames=self._frames,
            interval_s=self._store.frame.interval_s if self._store.frame else None,
            driver=_why_no_devices(hello) if hello and not devices else "",
            job=_job(job) if job else None,
            gpu_hours_allocated=hours,
            gpu_hours_active=_hours([device.active_s for device in whole]),
            gpu_hours_read=_hours([_utilization_read_s(device) for device in whole]),
            energy=energy, cost=self._options.prices.cost(hours, energy),
            devices=devices, host=self._host(), changes=changes(whole),
            events=happened[:MOST_EVENTS],
            processes=self._processes.report(used), notes=notes,
        )  # fmt: skip

    def _parent(self, account: DeviceAccount) -> DeviceInfo | None:
        parent = self._devices.get(account.info.parent or "")
        return parent.info if parent else None

    def _settled_window(self) -> Window:
        """The window with an end."""
        end = self._window.end
        if self._job is None or end == float("inf"):
            end = min(end, self._last_s) if self._frames else self._window.begin
        return Window(self._window.begin, end)

    def _begin_utc(self, window: Window) -> float | None:
        if self._job is not None:
            return self._job.utc_s + window.begin - self._job.boottime_s
        if self._first is None:
            return None
        return self._first.utc_s + window.begin - self._first.boottime_s

    def _ordered(self) -> list[tuple[str, DeviceAccount]]:
        """The devices by index, each with its instances behind it."""

        def place(item: tuple[str, DeviceAccount]) -> tuple[float, bool, float, str]:
            info = item[1].info
            owner = self._devices.get(info.parent or "")
            whole = owner.info if owner else info
            first = float("inf") if whole.index is None else whole.index
            return first, info.parent is not None, info.index or 0, info.uuid

        return sorted(self._devices.items(), key=place)

    def _told_by_process(self) -> bool:
        """Whether the job's processes can be told from others."""
        listed = any(account.holders.read for account in self._devices.values())
        return self._job is not None and not self._job.unfollowed and listed

    def _why_not_by_process(self) -> str:
        assert self._job is not None
        why = clean(self._job.unfollowed, 200) or "No device said which processes it has."
        return f"{why} So every device that was watched counts as the job's."

    def _used(self, account: DeviceAccount, by_job: bool) -> bool:
        if by_job:
            return account.holders.held_by("job")
        if self._job is not None:
            return account.info.mine is not False
        busy = account.series["gpu_utilization"].weighted.maximum or 0.0
        return account.holders.held_by("others") or busy >= self._options.thresholds.idle

    def _more_notes(self, devices: list[DeviceReport], by_job: bool) -> list[str]:
        notes = []
        if devices and self._store.hello and (not_found := self._store.hello.not_found):
            notes.append(f"Asked for and not found: {clean(', '.join(not_found))}.")
        if by_job and not any(device.used for device in devices):
            notes.append(NOBODY)
        if self._dropped:
            notes.append(f"{self._dropped} frames were dropped before they were written.")
        if self._too_late:
            frames = f"{self._too_late} frame" + ("s" if self._too_late > 1 else "")
            notes.append(f"Left out: {frames} not later than those that stand before.")
        if self._processes.unfollowed:
            notes.append("There were more processes than a report follows; the rest is left out.")
        if not self._frames and self._job is not None:
            notes.append("It ended before the first reading.")
        elif devices and not any(device.covered_s for device in devices):
            notes.append("It ended before a second reading, so nothing can be said over time.")
        elif any(device.used for device in devices) and self._too_short(devices):
            notes.append(TOO_SHORT)
        return notes

    def _too_short(self, devices: list[DeviceReport]) -> bool:
        """Whether there is no verdict for want of time."""
        judged = any(device.verdicts for device in devices)
        return not judged and self._last_s - self._window.begin < window_s(self._store)

    def _host(self) -> HostReport:
        hello, frame = self._store.hello, self._store.frame
        charts = {}
        total = host_memory(frame.host)[1] if frame else None
        if self._cpu and self._cpu.weighted.covered_s:
            charts["cpu_utilization"] = chart(self._cpu, None, 1.0)
        if self._memory and self._memory.weighted.covered_s:
            charts["memory_used_bytes"] = chart(self._memory, None, total)
        return HostReport(
            _maybe(self._cpu), _maybe(self._memory), total,
            hello.host.cpu_count if hello else None, _maybe(self._iowait), charts,
        )  # fmt: skip


def _why_no_devices(hello: Hello) -> str:
    if hello.driver.status == "starting":
        return "The driver had not answered yet."
    if hello.devices:  # they were named, and it ended before they were read
        return ""
    return clean(no_driver(hello.driver, hello.not_found))


def _maybe(series: Series | None) -> Statistic | None:
    known = series is not None and series.weighted.maximum is not None
    return statistic(series) if known and series else None


def _job(job: Job) -> JobReport:
    return JobReport(
        clean(job.name, 80), [clean(word) for word in job.command] if job.command else None,
        job.exit_code, job.signal, job.user_s, job.system_s, job.memory_peak_bytes,
        job.left_running, clean(job.unfollowed, 200),
    )  # fmt: skip


def _hours(seconds: list[float | None]) -> float | None:
    known = [value for value in seconds if value is not None]
    return sum(known) / 3600 if known else None


def _utilization_read_s(device: DeviceReport) -> float | None:
    return None if device.active_s is None else device.statistics["gpu_utilization"].covered_s


def _together(parts: list[Energy | None]) -> Energy | None:
    """The energy of several devices; None when that of one is not known."""
    known = [part for part in parts if part is not None]
    if not known or len(known) < len(parts):
        return None
    bases = {part.basis for part in known}
    counters = [part.counter_j for part in known if part.counter_j is not None]
    powers = [part.power_j for part in known if part.power_j is not None]
    return Energy(
        sum(part.joules for part in known), fmean(part.covered_s for part in known),
        sum(part.average_w for part in known), bases.pop() if len(bases) == 1 else "both",
        sum(counters) if len(counters) == len(known) else None,
        fmean(part.counter_s for part in known),
        sum(powers) if len(powers) == len(known) else None,
        fmean(part.power_s for part in known),
    )  # fmt: skip

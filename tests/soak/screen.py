"""The screen of the soak: gputop's own app and source, which wait for each other.

`python -m tests.soak.screen PLAN` with a plan as JSON. It says what it sees through one named
pipe, a line of JSON at each mark of the script, and waits there for a byte on another: so what is
pressed on the terminal is pressed at the same simulated moment in every run.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
import threading
from collections import Counter
from dataclasses import dataclass

from gputop.insight.alerts import Alert
from gputop.model.frame import AnyRecord, Frame
from gputop.settings import Settings
from gputop.sources.base import OnRecord, OnStatus
from gputop.sources.local import LocalSource
from gputop.state.history import LOW, Ring, Series
from gputop.ui.app import GputopApp
from gputop.ui.display import leave_on_signals
from tests.soak.script import MIG_DEVICE, SAMPLE_MINUTE, hour_minute

MARK_MINUTES = (*range(0, 60, 10), SAMPLE_MINUTE - 1, SAMPLE_MINUTE)
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Plan:
    """What a soak does."""

    hours: float
    interval_s: float
    draw_every: int
    """One frame of so many is drawn."""
    says: str
    """The named pipe it writes to."""
    hears: str
    """The one it reads from."""


class SoakSource(LocalSource):
    """A collector whose next frame is taken when the app is done with the last, and which stands
    still at the marks.
    """

    def __init__(self, plan: Plan) -> None:
        super().__init__([], plan.interval_s, lambda _: [
            sys.executable, "-m", "tests.soak.collector", str(plan.interval_s), str(plan.hours),
        ])  # fmt: skip
        self.can_signal = False
        self.taken = threading.Event()

    def start(self, on_record: OnRecord, on_status: OnStatus) -> None:
        def deliver(record: AnyRecord) -> None:
            self.taken.clear()
            on_record(record)
            self.taken.wait()

        super().start(deliver, on_status)


class SoakApp(GputopApp):
    """Draws one frame of many, and counts."""

    def __init__(self, source: SoakSource, plan: Plan) -> None:
        super().__init__(source, Settings({"theme": "dark"}))
        self._plan, self._soaked = plan, source
        self._watch = Watch(self)
        self._says = os.open(plan.says, os.O_WRONLY)
        self._hears = os.open(plan.hears, os.O_RDONLY)
        self._marked = -1.0

    def on_mount(self) -> None:
        # Textual calls the handler of every class: the app's own runs besides.
        asyncio.get_running_loop().add_reader(self._hears, self._go_on)

    def _go_on(self) -> None:
        os.read(self._hears, 1)
        self._soaked.taken.set()

    def _drain(self) -> None:
        super()._drain()
        self._watch.look()
        if not self._is_at_mark():
            self._soaked.taken.set()

    def _say(self, **words: object) -> None:
        os.write(self._says, json.dumps(words).encode() + b"\n")

    def _show(self) -> None:
        frame = self.store.frame
        if frame is None or frame.seq % self._plan.draw_every == 0 or self._mark(frame) is not None:
            super()._show()

    def _mark(self, frame: Frame) -> tuple[int, int] | None:
        """The hour and the minute of the newest mark that was not said."""
        hour, minute = hour_minute(frame.boottime_s)
        passed = max(mark for mark in MARK_MINUTES if mark <= minute)
        moment = hour * 60 + passed
        return (hour, passed) if moment > self._marked else None

    def _is_at_mark(self) -> bool:
        """At a mark, say what there is, and stand still until told to go on."""
        frame = self.store.frame
        mark = frame and self._mark(frame)
        if not frame or not mark:
            return False
        hour, minute = mark
        self._marked = hour * 60 + minute
        sample = self._watch.sample() if minute == SAMPLE_MINUTE else None
        self._say(hour=hour, minute=minute, at=frame.boottime_s, sample=sample)
        return True


class Watch:
    """What comes by: frames, warnings, and at the marks what the processes hold."""

    def __init__(self, app: SoakApp) -> None:
        self._app = app
        self._begun: Counter[str] = Counter()
        self._since: dict[str, float] = {}
        self._last_ended: Alert | None = None
        self._frames = self._missed = 0
        self._last_seq = -1

    def look(self) -> None:
        """After every frame."""
        frame = self._app.store.frame
        if frame is None or frame.seq == self._last_seq:
            return
        self._frames += 1
        self._missed += frame.seq - self._last_seq - 1
        self._last_seq = frame.seq
        for alert in self._app.alerts.active:
            name = _name(alert)
            if self._since.get(name) != alert.since_s:
                self._since[name] = alert.since_s
                self._begun[name] += 1
        self._look_at_ended()

    def _look_at_ended(self) -> None:
        """Notices of processes begin and end at once."""
        newest = None
        for alert in reversed(self._app.alerts.past):
            newest = newest or alert
            if alert is self._last_ended:
                break
            if alert.rule == "process_gone":
                self._begun[_name(alert)] += 1
        self._last_ended = newest

    def sample(self) -> dict[str, object]:
        """What is held now."""
        app = self._app
        collector = app.source.pid  # type: ignore[attr-defined]
        frames = app.frames
        resident = _resident_bytes(os.getpid())
        gc.collect()
        loop = asyncio.get_running_loop()
        return {
            "rss": resident,
            "history": _history_bytes(app),
            "collector_rss": _resident_bytes(collector),
            "files": _count("fd"),
            "threads": _count("task"),
            "collector_files": _count("fd", collector),
            "collector_threads": _count("task", collector),
            "tasks": len(asyncio.all_tasks()),
            "timers": sum(not timer.cancelled() for timer in loop._scheduled),  # type: ignore[attr-defined]
            "widgets": len(app._registry),
            "objects": len(gc.get_objects()),
            "frames": self._frames,
            "missed": self._missed + app.store.frame.cost.dropped_frames,  # type: ignore[union-attr]
            "drawn": frames.counters.frames_drawn if frames else 0,
            "begun": self._begun,
            "listed": Counter(
                _name(alert)
                for alert in (*app.alerts.active, *app.alerts.past)
                if alert.severity != "notice"
            ),
            "lasting": sorted(map(_name, app.alerts.active)),
        }


def _name(alert: Alert) -> str:
    """Rule and device."""
    device = alert.device or "host"
    if device.startswith("MIG-"):
        return f"{alert.rule} mig"
    index = int(device.split("-")[1], 16)
    of_mig = alert.rule == "process_gone" and index == MIG_DEVICE
    return f"{alert.rule} {'mig' if of_mig else index}"


def _resident_bytes(pid: int) -> int:
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * PAGE_BYTES


def _count(what: str, pid: int | str = "self") -> int:
    return len(os.listdir(f"/proc/{pid}/{what}"))


def _history_bytes(app: GputopApp) -> int:
    """What the kernel has given for history so far: it is reserved at once, and taken page by
    page, in an hour for the seconds and in a day for the minutes.
    """
    held = 0
    for history in (app.store.host_history, *(d.history for d in app.store._devices.values())):
        for series in history._series.values():
            held += sum(map(_touched_bytes, _rings(series)))
    return held


def _rings(series: Series) -> tuple[Ring, Ring]:
    return series.fine, series.coarse


def _touched_bytes(ring: Ring) -> int:
    if ring.reserved:
        return len(ring._cells) * 4
    step = PAGE_BYTES // 4
    parts = (ring._cells[at : at + step] for at in range(LOW, len(ring._cells), step))
    return PAGE_BYTES * sum(any(part.tobytes()) for part in parts)


def main() -> int:
    """Run until told to quit."""
    plan = Plan(**json.loads(sys.argv[1]))
    source = SoakSource(plan)
    source.spawn()
    app = SoakApp(source, plan)
    gc.freeze()
    leave_on_signals(app, first=[source.stop])
    app.run()
    return app.return_code or 0


if __name__ == "__main__":
    sys.exit(main())

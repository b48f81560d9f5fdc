"""The collector's loop: asks the machine at every tick and sends what it has answered."""

from __future__ import annotations

import gc
import os
import time
from collections import deque
from collections.abc import Callable
from enum import Enum
from typing import NamedTuple

import gputop
from gputop.collect.backend import Answers, Machine, Tick
from gputop.collect.clock import Clock, SystemClock, next_tick
from gputop.collect.host import KnowsDriver
from gputop.collect.selection import NotFound, Selection
from gputop.collect.writer import Kind, Wake, Writer
from gputop.model.codec import encode
from gputop.model.commands import Command, ReadSlow, Release, Retake, SetInterval
from gputop.model.frame import (
    SCHEMA_VERSION,
    Cost,
    DriverInfo,
    DriverStatus,
    Event,
    Frame,
    Hello,
    is_nameless,
)
from gputop.scale import deadline_scale

INTERVAL_LOW_S, INTERVAL_HIGH_S = 0.1, 60.0

GRACE_SHARE, GRACE_S = 0.25, 0.15
"""How long a frame waits for the devices' answers: a share of the interval, and a most."""
OFF_SCHEDULE_SHARE = 0.25
"""After a frame outside the schedule the next tick is at least this share of an interval away, so
that its rates stand on a span worth the name.
"""
MAX_SLEEP_S = 2.0
"""A timer stands still while the machine is suspended, so the clock is looked at this often."""
FIND_S = 3.0 * deadline_scale()
"""Devices may appear one by one: without persistence mode each takes seconds to wake. So long
after the last one has, another that was asked for is declared unknown.
"""
WATCH_S = 2.0
"""How long after start, release or retake news is looked for although none is due."""
IMPATIENT_S, IMPATIENT_STEP_S, PATIENT_STEP_S = 0.5, 0.01, 0.1
"""How often it is looked for: in short steps at first, then in longer ones."""


class Options(NamedTuple):
    """What the command line said."""

    interval_s: float = 1.0
    frames: int | None = None
    """Leave after so many frames in which every device had answered or was known not to."""
    counted: int = 0
    """How many of these a process before this one has sent."""
    devices: tuple[str, ...] = ()
    with_args: bool = False
    control: bool = False
    released: bool = False
    """Leave the driver alone until it is told to take it back."""
    every_tier: bool = False
    """Read every tier at every tick, for a reader who wants all rates from two ticks."""


class Progress(NamedTuple):
    """How far the devices have come: news here is worth a frame outside the schedule."""

    status: DriverStatus
    pending: bool
    """True while devices may still appear, or have not answered for the first time."""
    answered: int
    """How many devices have answered, or are known not to: they do so one by one."""

    @property
    def settled(self) -> bool:
        """True when nothing is expected that has not been answered or given up."""
        return self.status != "starting" and not self.pending


class Why(Enum):
    """Why a frame leaves."""

    DUE = "its time has come"
    NEWS = "the driver's state changed"
    ANSWERED = "the devices have answered for the first time"


class Ending(Enum):
    """Why the loop left."""

    READER_GONE = "the reader went away"
    PARENT_GONE = "the parent went away"
    COUNTED = "the frames asked for were sent"
    RESTART = "the driver was replaced, so the process must start afresh"
    NOT_FOUND = "a device was asked for that is not there"
    WRITE_FAILED = "writing failed"
    SIGNAL = "a signal"


class Collector:
    """One session: a hello, then frames and events until someone says `leave`."""

    def __init__(
        self, machine: Machine, writer: Writer, wake: Wake, options: Options,
        clock: Clock | None = None, listener: Callable[[bytes], None] | None = None,
    ) -> None:  # fmt: skip
        """`listener` is given every line that is sent, whether or not the reader gets it."""
        self._machine = machine
        self._writer = writer
        self._wake = wake
        self._options = options
        self._listener = listener
        self._clock = clock or SystemClock()
        self._interval = clamp_interval(options.interval_s)
        self._selection = Selection(options.devices)
        self._session = os.urandom(8).hex()
        self._host = machine.host.info()
        self._knows_driver = machine.host if isinstance(machine.host, KnowsDriver) else None
        self._commands: deque[Command] = deque()
        self._ending: Ending | None = None
        self._answers = Answers(DriverInfo())
        self._told = b""
        self._sought = self._not_found = NotFound()
        """What means no device so far, and what of it was given up."""
        self._ticks = self._frames = self._events = 0
        self._counted = options.counted
        self._parent = os.getppid()
        self._read_slow = self._looks_back = False
        self._inventory: list[str] = []
        self._inventory_since: float | None = None
        self._found_all = False
        self._sent = self._progress()
        self._watching_since = 0.0

    @property
    def driver(self) -> DriverInfo:
        """The driver as the last answers gave it."""
        return self._answers.driver

    @property
    def not_found(self) -> NotFound:
        """Devices that were asked for and are not there."""
        return self._not_found

    @property
    def has_devices(self) -> bool:
        """True when the driver works and there is at least one device."""
        return self.driver.status == "ok" and bool(self._answers.inventory)

    @property
    def counted(self) -> int:
        """Frames sent that count towards `Options.frames`."""
        return self._counted

    @property
    def ending(self) -> Ending | None:
        """Why the loop is leaving, or None while it goes on."""
        return self._ending

    def tell(self, command: Command) -> None:
        """Hand over a command, from any thread; it is obeyed before the next tick."""
        self._commands.append(command)
        self._wake.call()

    def leave(self, why: Ending) -> None:
        """End the loop at the next step, from any thread or a signal handler. The first reason
        stays.
        """
        if self._ending is None:
            self._ending = why
        self._wake.call()

    def run(self) -> Ending:
        """Send a hello and the host's load, open the driver, and go on until told to leave."""
        if self._options.released:
            self._machine.devices.release()
            self._take()  # its hello says so from the first line on
        else:
            self._say_hello()
        self._tick(ask=False)
        self._watch()
        if not self._options.released:
            self._machine.devices.open()
            self._begin_to_look_back()
        gc.freeze()
        why = self._rest(Why.NEWS)
        while self._ending is None:
            self._tick(ask=why is not Why.ANSWERED)
            why = self._rest(why)
        return self._ending

    def _begin_to_look_back(self) -> None:
        """Read what happened before the driver is listened to, once."""
        if self._machine.past is not None and not self._looks_back:
            self._looks_back = True
            self._machine.past.start()

    # -- one tick --------------------------------------------------------------------------

    def _tick(self, ask: bool) -> None:
        """Read the host and, where `ask` says so, the devices; send one frame."""
        tick = self._new_tick()
        devices, host = self._machine.devices, self._machine.host
        load = host.read(tick)
        if ask:
            devices.request(tick)
            answered = self._wait()
            self._take(answered)
            if self._ending is not None:
                return
        answers = self._answers
        frame = Frame(
            session=self._session,
            seq=self._frames,
            utc_s=tick.utc_s,
            boottime_s=tick.boottime_s,
            interval_s=self._interval,
            host=load,
            devices=list(answers.readings),
            processes=host.processes(tick, answers.uses, self._options.with_args),
            cost=Cost(
                collect_s=self._clock.boottime() - tick.boottime_s,
                cpu_s=time.process_time(),
                nvml_calls=answers.nvml_calls,
                dropped_frames=self._writer.dropped,
            ),
            simulated=self._machine.simulated,
        )
        self._send(Kind.FRAME, encode(frame))
        self._frames += 1
        self._sent = self._progress()
        if self._sent.settled:
            self._count(self._counted + 1)

    def _wait(self) -> bool:
        """Give the devices a moment; True when every one asked has answered in it."""
        grace = min(GRACE_SHARE * self._interval, GRACE_S)
        until = time.monotonic() + grace
        self._machine.devices.wait(grace)
        return time.monotonic() < until

    def _new_tick(self) -> Tick:
        self._ticks += 1
        slow, self._read_slow = self._read_slow or self._options.every_tier, False
        return Tick(self._ticks, self._clock.boottime(), self._clock.utc(), self._interval, slow)

    def _count(self, frames: int) -> None:
        self._counted = frames
        if self._options.frames is not None and frames >= self._options.frames:
            self.leave(Ending.COUNTED)

    def _take(self, answered: bool = False) -> None:
        """Collect what the devices have answered; a change in what a hello says is sent at once,
        and so is every event. `answered` says that all who were asked did.
        """
        answers = self._machine.devices.answers()
        self._look_for_all(answers, answered)
        if (past := self._machine.past) is not None:
            if answers.unheard is not None:
                past.look_back(*answers.unheard)
            named = self._found_all and not _may_be_named(answers)
            known = past.events(answers.inventory, named)
            answers.events = [*known, *answers.events]
        self._answers = self._selection.apply(answers)
        if not self._know_selected(answers):
            return
        if self._knows_driver is not None:
            self._knows_driver.driver_is(answers.driver)
        self._say_hello()
        for event in self._answers.events:
            self._send_event(event)
        if getattr(self._machine.devices, "needs_restart", False):
            self.leave(Ending.RESTART)
        if self._progress().settled and self.driver.status != "ok":
            # The first frame, sent before the driver was opened, said all there is to say.
            self._count(max(self._counted, 1))

    def _look_for_all(self, answers: Answers, answered: bool) -> None:
        """Keep `_found_all`: whether every device there is stands in the inventory, as far as can
        be told; and `_inventory_since`, when the last one came or went.
        """
        if answers.driver.status != "ok":
            self._inventory_since, self._found_all = None, False
            return
        uuids = [device.uuid for device in answers.inventory]
        if self._inventory_since is None or uuids != self._inventory:
            self._inventory, self._inventory_since = uuids, self._clock.boottime()
        # One that still opens owes no answer to a later request, so it may be missing here.
        if (answered and uuids and not answers.unlisted) or self._has_settled():
            self._found_all = True

    def _has_settled(self) -> bool:
        since = self._inventory_since
        return since is not None and self._clock.boottime() - since >= FIND_S

    def _know_selected(self, answers: Answers) -> bool:
        """Look for devices that were asked for and are not there: with a reader that listens an
        event says so, without one it is the end (False).
        """
        self._sought = sought = self._selection.not_found(answers.inventory)
        if not self._is_seeking() or not self._has_settled():
            return True
        if sought.nameless and _may_be_named(answers):
            return True
        self._not_found = sought
        if not self._options.control:
            self.leave(Ending.NOT_FOUND)
            return False
        text = f"{sought}."
        utc, boottime = self._clock.utc(), self._clock.boottime()
        self._send_event(Event(self._session, 0, utc, boottime, "log", text=text))
        return True

    def _is_seeking(self) -> bool:
        return not set(self._sought.selectors) <= set(self._not_found.selectors)

    def _send(self, kind: Kind, line: bytes) -> None:
        self._writer.put(kind, line)
        if self._listener is not None:
            self._listener(line)

    def _send_event(self, event: Event) -> None:
        event.session, event.seq = self._session, self._events
        event.simulated = self._machine.simulated
        self._events += 1
        self._send(Kind.EVENT, encode(event))

    def _say_hello(self) -> None:
        """Send a hello unless the last one said the same. They are compared as lines, since a
        backend may keep its records and change them.
        """
        hello = Hello(
            schema=SCHEMA_VERSION,
            program=f"gputop {gputop.__version__}",
            session=self._session,
            host=self._host,
            driver=self._answers.driver,
            devices=list(self._answers.inventory),
            interval_s=self._interval,
            utc_s=0.0,
            boottime_s=0.0,
            simulated=self._machine.simulated,
            with_args=self._options.with_args,
            not_found=list(self._sought.selectors) if self.driver.status == "ok" else [],
        )
        if (told := encode(hello)) == self._told:
            return
        self._told = told
        hello.utc_s, hello.boottime_s = self._clock.utc(), self._clock.boottime()
        self._send(Kind.HELLO, encode(hello))

    # -- between ticks ---------------------------------------------------------------------

    def _rest(self, last: Why) -> Why:
        """Sleep after a frame sent for the reason `last`, until there is a reason for another."""
        apart = 0.0 if last is Why.DUE else OFF_SCHEDULE_SHARE * self._interval
        due = next_tick(self._clock.boottime(), self._interval, apart)
        while self._ending is None:
            if self._obey():
                due = next_tick(self._clock.boottime(), self._interval)
            now = self._clock.boottime()
            expecting = self._expecting(now)
            if expecting:
                self._take()
                progress = self._progress()
                if progress != self._sent:
                    return Why.ANSWERED if progress.status == self._sent.status else Why.NEWS
            if now >= due:
                return Why.DUE
            if not self._wake.sleep(min(due - now, self._step(now) if expecting else MAX_SLEEP_S)):
                self.leave(Ending.READER_GONE)
            if self._options.control and os.getppid() != self._parent:
                self.leave(Ending.PARENT_GONE)
        return Why.DUE

    def _obey(self) -> bool:
        """Carry out what the reader told us. True when the time of the next tick changed."""
        rescheduled = False
        while self._commands:
            match self._commands.popleft():
                case SetInterval(seconds=seconds):
                    self._interval = clamp_interval(seconds)
                    self._say_hello()
                    rescheduled = True
                case ReadSlow():
                    self._read_slow = True
                case Release():
                    self._machine.devices.release()
                    self._watch()
                case Retake():
                    self._machine.devices.retake()
                    self._begin_to_look_back()
                    self._watch()
        return rescheduled

    def _progress(self) -> Progress:
        readings = self._answers.readings
        answered = sum(reading.status != "pending" for reading in readings)
        waiting = answered < len(readings)
        finding = self.driver.status == "ok" and (self._is_seeking() or not self._found_all)
        return Progress(self.driver.status, waiting or finding, answered)

    def _watch(self) -> None:
        """From now on look for news of the devices between ticks too."""
        self._watching_since = self._clock.boottime()

    def _expecting(self, now: float) -> bool:
        return not self._progress().settled or now - self._watching_since < WATCH_S

    def _step(self, now: float) -> float:
        impatient = now - self._watching_since < IMPATIENT_S
        return IMPATIENT_STEP_S if impatient else PATIENT_STEP_S


def _may_be_named(answers: Answers) -> bool:
    """Whether a device may yet say who it is: it was asked, and has time left."""
    return any(r.status == "pending" and is_nameless(r.uuid) for r in answers.readings)


def clamp_interval(seconds: float) -> float:
    """The interval nearest to `seconds` that the collector can keep; not a number means 1 s."""
    if seconds != seconds:
        return 1.0
    return min(max(seconds, INTERVAL_LOW_S), INTERVAL_HIGH_S)

"""A recording as a source: played back, searched through, followed while it grows."""

from __future__ import annotations

import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from gputop.errors import GputopError
from gputop.model.commands import Command
from gputop.model.frame import AnyRecord, Frame, Hello
from gputop.query.moment import moment
from gputop.recording import Block, Ending, Reader, RecordingIndex, read_block
from gputop.sources.base import OnRecord, OnStatus, SourceState, SourceStatus
from gputop.sources.rebuild import NewState, Rebuild

SPEEDS = (1, 2, 4, 8, 16, 32, 64)
FIRST_S = 120.0
"""Recorded seconds before a jump's target that are read again at least: what is said of the last
minute rests on them.
"""
FARTHEST_S = 3600.0
"""As far back as history is rebuilt after a jump: that far it is kept by the second."""
TICK_S = 0.1
"""Between two deliveries, however fast it plays."""
POLL_S = 0.5
"""How often a file that is being written is looked at."""
MOST_AHEAD, MOST_AHEAD_BYTES = 200, 8 << 20
"""Records that are read ahead of their time, and bytes of their lines."""
MOST_KEPT = 1000
"""Records before a frame that is jumped to; events older than these are in no list any more."""
MOST_AT_ONCE = 64
"""Frames that one delivery may hold; on a machine too slow for more it plays slower."""
GAP = 10.0
"""A hole of more intervals than this between two frames is skipped and not waited for."""

WORK_S = 0.05
"""So long at most is read between two looks at keys and at what is due to be played."""
STOOD_STILL_S = 2.0
"""Not looked for so long whether a frame is due, we were stopped, and the replay with us."""
PICTURE_S = 1.0
"""So long at most a picture is waited for before what can wait is read."""
TOLD_PARTS = 50
"""Steps in which it is told how far history has been read."""

MakeState = Callable[[float, bool], NewState]


@dataclass(frozen=True, slots=True)
class Playback:
    """Where it is and what it does. Moments are UTC seconds."""

    first_utc_s: float
    last_utc_s: float
    """The last frame there is so far."""
    utc_s: float
    """The frame on screen."""
    playing: bool = True
    speed: int = 1
    growing: bool = False
    indexed: float = 0.0
    """The part of the file in which the blocks are known, 0 to 1."""
    known_utc_s: float = 0.0
    """What was before this is not in the charts and lists: it was jumped over."""
    rebuilt: float = 1.0
    """The part of the earlier history that is read, 0 to 1; 1 where none is being read."""

    @property
    def at_end(self) -> bool:
        """True when there is no later frame."""
        return self.indexed >= 1.0 and self.utc_s >= self.last_utc_s

    @property
    def rebuilding(self) -> bool:
        """Whether earlier history is being read."""
        return self.rebuilt < 1.0


class RecordingSource:
    """Plays a recording.

    Args:
        path: The file.
        at: Where to begin: what `moment` reads; empty for the beginning.

    Raises:
        GputopError: it cannot be read, or has no frame.
        UsageError: `at` is no moment.
    """

    live = False
    can_seek = True
    can_set_interval = False
    can_signal = False
    late_s = 0.0

    def __init__(self, path: Path, at: str = "") -> None:
        self.path = path
        self.reach_s = 0.0
        """How far back a jump rebuilds history: what the charts show."""
        self._index = RecordingIndex(path)
        self._rebuild: Rebuild | None = None
        self._picture_due = False
        """Whether what was jumped to is still to be drawn; what can wait is read after that."""
        self._commands: deque[Callable[[], None]] = deque()
        self._changed = threading.Condition()
        self._stopping = False
        self._ahead: deque[AnyRecord] = deque()
        self._block = 0
        self._reader: Reader | None = None
        self._interval_s = 1.0
        self._now_s = 0.0
        """CLOCK_BOOTTIME of the frame on screen."""
        self._played_at = 0.0
        """`time.monotonic()` when it was last looked whether a frame is due."""
        self._problem = ""
        """What is wrong with the file, in one sentence."""
        self._anchor: tuple[float, float] | None = None
        """`time.monotonic()` and CLOCK_BOOTTIME of a frame, from which the next ones are timed."""
        first = self._first_frame()
        self._interval_s = first.interval_s
        self.playback = Playback(first.utc_s, first.utc_s, first.utc_s)
        self._start_utc_s = moment(at, first.utc_s) if at else first.utc_s
        self._on_record: OnRecord = lambda record: None
        self._on_status: OnStatus = lambda status: None
        self._make_state: MakeState = lambda to_s, whole: _NoState()

    @property
    def period_s(self) -> float:
        """Seconds from one frame to the next, as recorded."""
        return self._interval_s

    def on_jump(self, make: MakeState) -> None:
        """Have `make` called, in the source's thread, for a state to put in the place of the one
        on screen: with the CLOCK_BOOTTIME it is made for, and whether it holds everything from
        the recording's first frame on.
        """
        self._make_state = make

    def start(self, on_record: OnRecord, on_status: OnStatus) -> None:
        """Begin to play, from a thread of its own."""
        self._on_record, self._on_status = on_record, on_status
        threading.Thread(target=self._run, name="recording-source", daemon=True).start()

    def send(self, command: Command) -> None:
        """A recording has no collector behind it."""

    def stop(self) -> None:
        """End it without waiting."""
        with self._changed:
            self._stopping = True
            self._changed.notify()

    # -- called in any thread

    def picture_stands(self) -> None:
        """What was jumped to is drawn."""
        with self._changed:
            self._picture_due = False
            self._changed.notify()

    def reach(self, seconds: float) -> None:
        """The charts show another time: history has to reach as far. What stands on the screen
        stays until then.
        """
        longer, self.reach_s = seconds > self.reach_s, seconds
        if longer:
            self._tell(self._begin_rebuild)

    def toggle(self) -> None:
        """Stop where it is, or go on; at the end begin anew."""

        def change() -> None:
            if self.playback.at_end and not self.playback.growing:
                self._seek(self.playback.first_utc_s)
                self._set(playing=True)
            else:
                self._set(playing=not self.playback.playing)

        self._tell(change)

    def faster(self, steps: int) -> None:
        """Take the next speed, or with -1 the one before."""

        def change() -> None:
            place = SPEEDS.index(self.playback.speed) + steps
            self._set(speed=SPEEDS[max(0, min(place, len(SPEEDS) - 1))])

        self._tell(change)

    def seek(self, utc_s: float) -> None:
        """Go to the last frame at or before a moment."""
        self._tell(lambda: self._seek(utc_s))

    def skip(self, seconds: float) -> None:
        """Go forward, or back, from where it is then."""
        self._tell(lambda: self._seek(self.playback.utc_s + seconds))

    def step(self, frames: int) -> None:
        """Stop, and go one frame forward (1) or back (-1)."""

        def go() -> None:
            self._set(playing=False)
            if frames > 0:
                self._deliver_until_frame()
            else:
                self._seek(self._frame_before())

        self._tell(go)

    # -- the thread

    def _tell(self, command: Callable[[], None]) -> None:
        with self._changed:
            self._commands.append(command)
            self._changed.notify()

    def _run(self) -> None:
        self._guarded(lambda: self._seek(self._start_utc_s))
        while not self._stopping:
            self._guarded(self._turn)

    def _guarded(self, call: Callable[[], None]) -> None:
        try:
            call()
        except GputopError as problem:  # a broken line: elsewhere it may be whole
            self._problem = str(problem)
            self._rebuild = None
            self._set(playing=False, rebuilt=1.0)

    def _turn(self) -> None:
        """Do what a key asks for and what is due; then some of what can wait."""
        with self._changed:
            self._changed.wait_for(lambda: self._commands or self._stopping, self._pause())
        while self._commands:
            self._commands.popleft()()
        if self.playback.playing:
            self._play()
        if self._picture_due:
            self._wait_for_picture()
        elif self.playback.indexed < 1:
            self._look_further()
        elif self._rebuild is not None:
            self._read_history(self._rebuild)

    def _pause(self) -> float | None:
        """Seconds until something is due; None where nothing will be."""
        if self._picture_due or self.playback.indexed < 1 or self._rebuild is not None:
            return 0.0
        if self.playback.playing:
            return POLL_S if not self._ahead and self.playback.at_end else TICK_S
        return 2.0 if self.playback.growing else None

    def _wait_for_picture(self) -> None:
        """See that what was jumped to is drawn before anything else takes the processor."""
        with self._changed:
            self._changed.wait_for(
                lambda: not self._picture_due or self._commands or self._stopping, PICTURE_S
            )
            self._picture_due = self._picture_due and bool(self._commands)

    def _look_further(self) -> None:
        """Find more blocks; at the end of the file learn the last moment and how it ends."""
        if self._index.scan():
            self._tell_index()
            return
        self._set(indexed=1.0)
        self._find_end()

    def _tell_index(self) -> None:
        header = self._index.blocks[-1].header
        last = max(self.playback.last_utc_s, header.utc_s if header else 0.0)
        # What is found while the end is looked for is not the whole until it is found.
        self._set(indexed=min(self._index.scanned, 0.99), last_utc_s=last)

    def _set(self, **changes: object) -> None:
        """Change the playback, and the timing with it."""
        self._anchor = None if {"playing", "speed"} & changes.keys() else self._anchor
        self.playback = replace(self.playback, **changes)  # type: ignore[arg-type]
        state: SourceState = "stopped" if self._problem else "live"
        self._on_status(SourceStatus(state, self._problem))

    def _play(self) -> None:
        """Deliver the frames whose time has come."""
        now = time.monotonic()
        if self._anchor is None or now - self._played_at > STOOD_STILL_S:
            self._anchor = now, self._now_s
        self._played_at = now
        for _ in range(MOST_AT_ONCE):
            record = self._peek()
            if record is None:
                self._anchor = None
                return
            began, boottime = self._anchor
            due = boottime + (time.monotonic() - began) * self.playback.speed
            if record.boottime_s - self._now_s > GAP * max(self._interval_s, 1.0):
                self._anchor = time.monotonic(), record.boottime_s
            elif record.boottime_s > due:
                return
            self._deliver(self._ahead.popleft())
        self._anchor = None  # too slow for this speed: it counts from here again

    def _deliver(self, record: AnyRecord) -> None:
        if isinstance(record, Frame):
            self._arrived(record)
        self._on_record(record)

    def _arrived(self, frame: Frame) -> None:
        self._now_s, self._interval_s = frame.boottime_s, frame.interval_s
        last = max(self.playback.last_utc_s, frame.utc_s)
        self.playback = replace(self.playback, utc_s=frame.utc_s, last_utc_s=last)

    def _deliver_until_frame(self) -> None:
        while self._peek() is not None:
            record = self._ahead.popleft()
            self._deliver(record)
            if isinstance(record, Frame):
                return

    def _peek(self) -> AnyRecord | None:
        """The next record; None where there is none yet."""
        while not self._ahead:
            if self._reader is not None:
                self._read_ahead(self._reader)
            if self._ahead:
                break
            self._index.scan()
            if self._block + 1 >= len(self._index.blocks) or self._reads_on():
                self._look_at_end()
                return None
            self._block += 1
            self._reader = self._open(self._block)
        return self._ahead[0]

    def _read_ahead(self, reader: Reader) -> None:
        most = reader.line_bytes + MOST_AHEAD_BYTES
        for record in itertools.islice(reader, MOST_AHEAD):
            self._ahead.append(record)
            if reader.line_bytes > most:
                return

    def _reads_on(self) -> bool:
        """Whether the reader is of a block that was the last, so that it reads what follows."""
        return self._reader is not None and self._reader.open_ended

    def _look_at_end(self) -> None:
        if self._reader is not None and self._reader.ending is not None:
            self._take_ending(self._reader.ending)

    def _take_ending(self, ending: Ending) -> None:
        if ending.state == "cut" and not self._problem:
            self._problem = f"{self.path.name}: {ending.sentence}"
            self._set()  # it is told at once
        growing = ending.state == "growing"
        playing = self.playback.playing and (growing or not self.playback.at_end)
        if (growing, playing) != (self.playback.growing, self.playback.playing):
            self._set(growing=growing, playing=playing)

    # -- jumps

    def _seek(self, utc_s: float) -> None:
        """Show the frame of a moment at once; what led up to it is read next."""
        # The last block that is known reads on to the end of the file: look further first.
        while self._index.at_time(utc_s) == len(self._index.blocks) - 1 and self._index.scan():
            self._tell_index()
        number = self._index.at_time(utc_s)
        reader, ahead = self._open(number), deque[AnyRecord]()
        kept = _Kept()
        for record in self._until(reader, utc_s, ahead):
            kept.take(record)
        if kept.frame is None:
            return
        self._arrived(kept.frame)
        state = self._make_state(self._now_s, number == 0 and kept.frames == 1)
        for record in kept.records():
            state.apply(record)
        self._block, self._reader, self._ahead = number, reader, ahead
        self._anchor = None
        self._picture_due = True
        self.playback = replace(self.playback, known_utc_s=self.playback.utc_s)
        state.show()
        self._begin_rebuild()

    def _begin_rebuild(self) -> None:
        """Make the state again from all that leads up to the frame on screen."""
        play = self.playback
        reach = max(FIRST_S, min(self.reach_s, FARTHEST_S))
        first = self._index.at_time(play.utc_s - reach)
        header = self._index.blocks[first].header
        begin = header.utc_s if header else play.first_utc_s
        if begin >= play.known_utc_s or play.known_utc_s <= play.first_utc_s:
            self._rebuild = None  # all that there is stands on the screen
            self._set(rebuilt=1.0)
            return
        state = self._make_state(self._now_s, first == 0)
        self._rebuild = Rebuild(state, self._from(first), begin)
        self._set(rebuilt=0.0)

    def _read_history(self, rebuild: Rebuild) -> None:
        now = self.playback.utc_s
        if rebuild.work(now, WORK_S):
            self._rebuild = None
            self._set(known_utc_s=rebuild.begin_utc_s, rebuilt=1.0)
            return
        done = int(rebuild.done(now) * TOLD_PARTS) / TOLD_PARTS
        if done < 1.0 and done != self.playback.rebuilt:
            self._set(rebuilt=done)

    def _from(self, number: int) -> Iterator[AnyRecord]:
        """The records from a block on, as far as there are any."""
        while number < len(self._index.blocks):
            reader = self._open(number)
            yield from reader
            if reader.open_ended:
                return
            number += 1

    def _until(self, reader: Reader, utc_s: float, ahead: deque[AnyRecord]) -> Iterator[AnyRecord]:
        """The records up to the last frame at or before a moment, and one frame at least; the one
        that was read too far goes into `ahead`.
        """
        any_frame = False
        for record in reader:
            if isinstance(record, Frame):
                if any_frame and record.utc_s > utc_s:
                    ahead.append(record)
                    return
                any_frame = True
            yield record

    def _frame_before(self) -> float:
        """The moment of the frame before the one on screen."""
        now = self.playback.utc_s
        before = self.playback.first_utc_s
        number = self._index.at_time(now)
        for candidate in (number, number - 1):
            if candidate < 0:
                break
            times = [r.utc_s for r in self._open(candidate) if isinstance(r, Frame)]
            if earlier := [at for at in times if at < now]:
                return max(earlier)
        return before

    # -- the file

    def _open(self, number: int) -> Reader:
        return read_block(self.path, self._index.blocks[number])

    def _first_frame(self) -> Frame:
        for record in read_block(self.path, Block(0, None)):
            if isinstance(record, Frame):
                return record
        raise GputopError(f"{self.path} holds no frame; there is nothing to show.")

    def _find_end(self) -> None:
        """Learn the last moment, and how the file ends."""
        last, reader = self.playback.last_utc_s, self._open(len(self._index.blocks) - 1)
        for record in reader:
            if isinstance(record, Frame):
                last = record.utc_s
        self._set(last_utc_s=max(last, self.playback.last_utc_s))
        if reader.ending is not None:
            self._take_ending(reader.ending)


class _Kept:
    """What is left of the records up to a frame: the frame, and what is no frame, bounded."""

    def __init__(self) -> None:
        self.frame: Frame | None = None
        self.frames = 0
        self._hello: Hello | None = None
        self._before: deque[AnyRecord] = deque(maxlen=MOST_KEPT)
        self._behind: deque[AnyRecord] = deque(maxlen=MOST_KEPT)

    def take(self, record: AnyRecord) -> None:
        """Take the next record."""
        if isinstance(record, Frame):
            self.frame = record
            self.frames += 1
            self._before += self._behind
            self._behind.clear()
            return
        if isinstance(record, Hello):
            self._hello = record
        self._behind.append(record)

    def records(self) -> Iterator[AnyRecord]:
        """In their order; the newest hello comes first too, lest very many events pushed it out."""
        if self._hello is not None:
            yield self._hello
        yield from self._before
        if self.frame is not None:
            yield self.frame
        yield from self._behind


class _NoState:
    """Where nobody keeps one."""

    def apply(self, record: AnyRecord) -> None:
        """Nothing."""

    def show(self) -> None:
        """Nothing."""

"""Xids of times in which the driver was not heard: what the kernel's log still holds of this boot.

``/dev/kmsg`` (Documentation/ABI/testing/dev-kmsg of the kernel) gives a record to each read and
never blocks when it was opened so. Where it is denied, the journal is asked, which users of the
groups systemd-journal and adm may read. All of it happens in a thread of its own, at the start and
when the driver was let go of, or had gone, and is back.
"""

from __future__ import annotations

import errno
import os
import re
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence

from msgspec import Struct

from gputop.children import unstoppable
from gputop.collect.clock import SystemClock
from gputop.model.frame import DeviceInfo, Event
from gputop.text import clean

KMSG = "/dev/kmsg"
JOURNAL = ("journalctl", "--quiet", "--no-pager", "-k", "-b", "-o", "short-monotonic",
           "--grep", "NVRM: Xid")  # fmt: skip
JOURNAL_S = 5.0
RECORD_BYTES = 8192
"""A read with less room than a record needs fails (EINVAL)."""
MOST_BYTES = 32 << 20
"""The log's buffer is seldom more than 16 MB (CONFIG_LOG_BUF_SHIFT)."""
MOST_XIDS = 200
"""The newest are kept."""
LONGEST_TEXT = 300
KERNEL_FACILITY = 0
"""Of a syslog prefix: lines of any other were written to the log by a program."""

_XID = re.compile(
    r"NVRM: Xid \((?:PCI:)?(?P<domain>[0-9a-fA-F]{4,8}):(?P<bus>[0-9a-fA-F]{2}):"
    r"(?P<device>[0-9a-fA-F]{2})[^)]{0,8}\): (?P<code>\d{1,5})\b"
)
_KMSG = re.compile(r"(?P<prefix>\d{1,9}),\d+,(?P<us>\d{1,18}),[^;]{0,200};(?P<text>.*)")
_JOURNAL = re.compile(r"\[\s*(?P<s>\d{1,12}\.\d{1,9})\] \S+ kernel: (?P<text>.*)")

BusId = tuple[int, int, int]
"""PCI domain, bus and device."""


class LoggedXid(Struct, frozen=True):
    """A line of the log that tells of an Xid."""

    at_s: float
    """Seconds since boot on the log's clock, which stands still while the machine sleeps."""
    bus: BusId
    code: int
    text: str


class KernelLog:
    """The Xids of this boot, read in the background."""

    def __init__(self, path: str | None = None, journal: Sequence[str] = JOURNAL) -> None:
        """`path` stands in for /dev/kmsg, and then no journal is asked; so does the variable
        GPUTOP_KERNEL_LOG.
        """
        path = path or os.environ.get("GPUTOP_KERNEL_LOG")
        self._path = path or KMSG
        self._journal = () if path else tuple(journal)
        self._found: deque[Sequence[LoggedXid]] = deque()
        self._unnamed: list[LoggedXid] = []
        """Of devices that are not known, as far as was seen."""

    def start(self) -> None:
        """Begin to read all of it, in a thread."""
        self.look_back(float("-inf"), float("inf"))

    def look_back(self, since_s: float, until_s: float) -> None:
        """Begin to read what was logged between two moments (CLOCK_BOOTTIME), in a thread."""
        threading.Thread(
            target=self._read, args=(since_s, until_s), name="kernel-log", daemon=True
        ).start()

    def events(self, inventory: Iterable[DeviceInfo], all_named: bool) -> list[Event]:
        """The Xids that were read and not handed out yet, as events. Those of a bus where no
        device of `inventory` sits are kept back until `all_named` says that none will.
        """
        if not self._found and not self._unnamed:
            return []
        by_bus = {bus_of(info.bus_id): info.uuid for info in inventory if info.parent is None}
        read = self._unnamed
        while self._found:
            read.extend(self._found.popleft())
        self._unnamed = [] if all_named else [xid for xid in read if xid.bus not in by_bus]
        return _as_events((xid for xid in read if all_named or xid.bus in by_bus), by_bus)

    def _read(self, since_s: float, until_s: float) -> None:
        try:
            found = xids_in_kmsg(_kmsg_lines(self._path))
        except PermissionError:
            found = xids_in_journal(_journal_lines(self._journal))
        except OSError:
            found = []
        clock = LogClock()
        self._found.append([xid for xid in found if since_s <= clock.boottime(xid) <= until_s])


def bus_of(bus_id: str | None) -> BusId | None:
    """Domain, bus and device of an id such as ``00000000:3B:00.0``; None where it is none."""
    parts = re.fullmatch(r"([0-9a-fA-F]{4,8}):([0-9a-fA-F]{2}):([0-9a-fA-F]{2})(?:\.\d)?",
                         bus_id or "")  # fmt: skip
    return (int(parts[1], 16), int(parts[2], 16), int(parts[3], 16)) if parts else None


def xids_in_kmsg(lines: Iterable[str]) -> list[LoggedXid]:
    """The kernel's own Xid lines among records of /dev/kmsg, the newest last."""
    found: deque[LoggedXid] = deque(maxlen=MOST_XIDS)
    for line in lines:
        record = _KMSG.fullmatch(line)
        if record and int(record["prefix"]) >> 3 == KERNEL_FACILITY:
            found.extend(_xid(int(record["us"]) / 1e6, record["text"]))
    return list(found)


def xids_in_journal(lines: Iterable[str]) -> list[LoggedXid]:
    """The same among lines of ``journalctl -k -o short-monotonic``."""
    found: deque[LoggedXid] = deque(maxlen=MOST_XIDS)
    for line in lines:
        if record := _JOURNAL.fullmatch(line):
            found.extend(_xid(float(record["s"]), record["text"]))
    return list(found)


def _xid(at_s: float, text: str) -> Iterator[LoggedXid]:
    if match := _XID.match(text):
        bus = (int(match["domain"], 16), int(match["bus"], 16), int(match["device"], 16))
        yield LoggedXid(at_s, bus, int(match["code"]), clean(text, LONGEST_TEXT))


def _kmsg_lines(path: str) -> Iterator[str]:
    """The records that are there now. Raises OSError where the log cannot be opened."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    rest, taken = b"", 0
    try:
        while taken < MOST_BYTES:
            try:
                part = os.read(fd, RECORD_BYTES)
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno == errno.EPIPE:  # overwritten before it was read
                    taken += RECORD_BYTES
                    continue
                break
            if not part:
                break
            taken += len(part)
            *lines, rest = (rest + part).split(b"\n")
            rest = rest[:RECORD_BYTES]
            for line in lines:
                yield line.decode("utf-8", "replace")
    finally:
        os.close(fd)


def _journal_lines(command: Sequence[str]) -> list[str]:
    if not command:
        return []
    import subprocess  # only where the kernel's own log is denied

    try:
        with unstoppable():
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL, timeout=JOURNAL_S, check=False,
            )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return []
    return done.stdout[-MOST_BYTES:].decode("utf-8", "replace").splitlines()


class LogClock:
    """The log's clock counts from boot and stands still while the machine sleeps: what was logged
    before it last slept is placed that much too late. (It also runs a little faster or slower
    than the clocks that are kept right: by seconds, after weeks.)
    """

    def __init__(self) -> None:
        clock = SystemClock()
        self._now = clock.boottime()
        self._slept = self._now - time.monotonic()
        self.to_utc_s = clock.utc() - self._now
        """Added to CLOCK_BOOTTIME it makes UTC."""

    def boottime(self, xid: LoggedXid) -> float:
        """When it was logged (CLOCK_BOOTTIME)."""
        return min(xid.at_s + self._slept, self._now)


def _as_events(found: Iterable[LoggedXid], by_bus: Mapping[BusId | None, str]) -> list[Event]:
    clock = LogClock()
    return [
        Event("", 0, at + clock.to_utc_s, at, "xid", by_bus.get(xid.bus), xid.code, xid.text)
        for xid in found
        for at in [clock.boottime(xid)]
    ]

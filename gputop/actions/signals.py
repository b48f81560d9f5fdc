"""Signals to processes that were chosen on the screen, and to no others.

A pid may belong to another process by the time a key is pressed. So every target is opened
(pidfd_open(2)) and only then compared with the start time it had on the screen; the signal goes
through the descriptor, which stays with that process whatever becomes of its pid.
"""

from __future__ import annotations

import errno
import os
import select
import signal
from collections.abc import Collection, Iterable, Iterator
from enum import Enum
from types import TracebackType
from typing import Self

from msgspec import Struct

from gputop import procfs
from gputop.model.frame import DriverInfo, HostInfo
from gputop.text import NO_VALUE, clean

LONGEST_NAME = 24
"""Cells of a process's name in a sentence."""
HOST_PIDS_UNTIL = (535, 113)
"""Before this driver version the pids in its lists are the host's, inside a container too."""


class SignalChoice(Struct, frozen=True):
    """A signal that is offered."""

    number: signal.Signals
    label: str
    meaning: str


CHOICES: tuple[SignalChoice, ...] = (
    SignalChoice(signal.SIGTERM, "TERM", "asks it to end, so that it can save its work"),
    SignalChoice(signal.SIGINT, "INT", "interrupts it, as Ctrl-C does"),
    SignalChoice(signal.SIGKILL, "KILL", "ends it at once, without saving anything"),
)


class Target(Struct, frozen=True):
    """A process as it was on the screen."""

    pid: int
    start_ticks: int | None
    name: str = ""
    user: str | None = None

    def __str__(self) -> str:
        """Such as ``4101 python3 (ann)``."""
        owner = f" ({clean(self.user)})" if self.user else ""
        return f"{self.pid} {clean(self.name, LONGEST_NAME) or NO_VALUE}{owner}"


class Status(Enum):
    """What became of a target."""

    READY = "ready"
    SENT = "sent"
    GONE = "gone"
    REUSED = "reused"
    DENIED = "denied"
    PROTECTED = "protected"
    UNVERIFIED = "unverified"
    UNSUPPORTED = "unsupported"
    FAILED = "failed"


class Outcome(Struct, frozen=True):
    """What became of one target, for a person."""

    target: Target
    status: Status
    sentence: str


class OpenTarget:
    """One target, held open."""

    def __init__(self, target: Target, protected: Collection[int]) -> None:
        """Open it if it may be signalled; `outcome` says so, or why not."""
        self.target = target
        self.fd: int | None = None
        """The pidfd; None where the target cannot be signalled. It polls as readable once the
        process has ended.
        """
        self.outcome = self._open(protected)
        if self.outcome.status is not Status.READY:
            self.close()

    def _open(self, protected: Collection[int]) -> Outcome:
        target = self.target
        if target.pid <= 1 or target.pid in protected:
            return self._says(Status.PROTECTED, "is protected, so nothing is sent to it")
        if target.start_ticks is None:
            return self._says(
                Status.UNVERIFIED,
                "cannot be told from another process with its pid, so nothing is sent to it",
            )
        if not hasattr(os, "pidfd_open"):
            return self._unsupported()
        try:
            self.fd = os.pidfd_open(target.pid)
        except OSError as error:
            return self._failed(error)
        return self._compare()

    def _compare(self) -> Outcome:
        # After opening: whatever has this pid now is what the descriptor stands for.
        ticks = procfs.start_ticks(self.target.pid)
        if ticks is None:
            if self.ended():
                return self._says(Status.GONE, "has already ended")
            return self._says(
                Status.UNVERIFIED, "is hidden from this user in /proc, so nothing is sent to it"
            )
        if ticks != self.target.start_ticks:
            return self._says(
                Status.REUSED, "has ended and another process has its pid, so nothing is sent"
            )
        if self.ended():
            return self._says(Status.GONE, "has already ended")
        return self._says(Status.READY, "is ready")

    def send(self, number: signal.Signals) -> Outcome:
        """Send a signal if the target is open, and return what came of it."""
        if self.fd is None:
            return self.outcome
        try:
            signal.pidfd_send_signal(self.fd, number)
        except OSError as error:
            self.outcome = self._failed(error)
        else:
            self.outcome = self._says(Status.SENT, f"got {number.name.removeprefix('SIG')}")
        return self.outcome

    def ended(self) -> bool:
        """True once the process has ended (a zombie has ended). Does not wait."""
        if self.fd is None:
            return self.outcome.status is Status.GONE
        poll = select.poll()
        poll.register(self.fd, select.POLLIN)
        return bool(poll.poll(0))

    def close(self) -> None:
        """Let go of the descriptor. It may be called again."""
        if self.fd is not None:
            os.close(self.fd)
            self.fd = None

    def _failed(self, error: OSError) -> Outcome:
        if error.errno == errno.ESRCH:
            return self._says(Status.GONE, "has already ended")
        if error.errno in (errno.EPERM, errno.EACCES):
            owner = f"belongs to {clean(self.target.user)}" if self.target.user else "is not yours"
            return self._says(Status.DENIED, f"{owner}; try sudo gputop")
        if error.errno == errno.ENOSYS:
            return self._unsupported()
        if error.errno in (errno.EMFILE, errno.ENFILE):
            return self._says(
                Status.FAILED, "could not be opened, since too many files are open; tag fewer"
            )
        return self._says(Status.FAILED, f"could not be signalled: {error.strerror}")

    def _unsupported(self) -> Outcome:
        return self._says(
            Status.UNSUPPORTED, "cannot be signalled safely: that needs Linux 5.3 or newer"
        )

    def _says(self, status: Status, what: str) -> Outcome:
        return Outcome(self.target, status, f"{self.target} {what}.")


class OpenTargets:
    """Several targets, held open until `close`, or to the end of a with statement."""

    def __init__(self, targets: Iterable[Target], protected: Collection[int] = ()) -> None:
        """`protected` are pids nothing may be sent to, beside init and this process."""
        spared = {os.getpid(), *protected}
        self._targets = [OpenTarget(target, spared) for target in targets]

    def __len__(self) -> int:
        return len(self._targets)

    def __iter__(self) -> Iterator[OpenTarget]:
        return iter(self._targets)

    def send(self, number: signal.Signals) -> list[Outcome]:
        """Send a signal to every open target, and say what came of each."""
        return [target.send(number) for target in self._targets]

    def close(self) -> None:
        """Let go of all of them."""
        for target in self._targets:
            target.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def open_targets(targets: Iterable[Target], protected: Collection[int] = ()) -> OpenTargets:
    """Open every target and check that it is the process that was on the screen."""
    return OpenTargets(targets, protected)


def foreign_pids(host: HostInfo, driver: DriverInfo) -> str | None:
    """Why pids on the screen may be another namespace's, or None where they are ours.

    In a PID namespace of its own a collector gets the host's pids from older drivers, and the
    same number is another process here.
    """
    if not host.pid_namespace:
        return None
    version = _version(driver.driver_version)
    if version is not None and version >= HOST_PIDS_UNTIL:
        return None
    return (
        "In this container the driver gives the host's pids, so signals are off: "
        "run gputop on the host."
    )


def _version(text: str | None) -> tuple[int, ...] | None:
    try:
        return tuple(int(part) for part in (text or "").split("."))
    except ValueError:
        return None

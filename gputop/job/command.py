"""Runs a command as if it had been typed in our place, and waits for its end.

It stands in our process group and on our terminal, with our descriptors. What the group gets it
gets by itself; what is sent to us alone is passed on; when it stops, we stop, so that the shell
takes over; and who started us finds us ended the way it ended.
"""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import signal
import time
from collections.abc import Callable, Sequence
from types import FrameType

from msgspec import Struct

from gputop import procfs
from gputop.errors import GputopError
from gputop.job.witness import Witness

EXIT_CANNOT_RUN, EXIT_NOT_FOUND = 126, 127
"""Of a shell, and of env, nohup, timeout."""

_PASSED_ON = (
    signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM,
    signal.SIGTERM, signal.SIGTSTP, signal.SIGWINCH, signal.SIGPWR, signal.SIGCONT,
    signal.SIGXCPU, *range(signal.SIGRTMIN, signal.SIGRTMAX + 1),
)  # fmt: skip
"""Whatever a person, a scheduler or another program may send, and would end us."""
_OF_THE_TERMINAL = (signal.SIGTTIN, signal.SIGTTOU)
"""The command stops on them by itself, and we after it."""
_SETTLE_S = 0.01
_SLACK_KIB = 1024
"""The kernel counts pages in bundles, so two looks at the same memory differ a little."""


class CannotRun(GputopError):
    """The command could not be started."""

    def __init__(self, name: str, error: OSError) -> None:
        found = error.errno != errno.ENOENT
        self.exit_code = EXIT_CANNOT_RUN if found else EXIT_NOT_FOUND
        super().__init__(f"Cannot run {name}: {(error.strerror or str(error)).lower()}.")


class Ended(Struct, frozen=True):
    """How a command ended."""

    exit_code: int | None
    signal: int | None
    user_s: float
    """CPU time of it and of the descendants that were waited for."""
    system_s: float
    memory_peak_bytes: int | None
    """Of the largest of these processes; None where it was smaller than we are, which the kernel
    counts too: the command began as a copy of us."""
    boottime_s: float
    """When it ended, by CLOCK_BOOTTIME."""

    def follow(self) -> int:
        """End the way it ended: by the same signal, so that a shell's loop or a scheduler sees
        what it would have seen. Returns the exit code where there was no signal, or it did not
        end us.
        """
        if self.signal is None:
            return self.exit_code or 0
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # the core was the command's
            if self.signal not in (signal.SIGKILL, signal.SIGSTOP):
                signal.signal(self.signal, signal.SIG_DFL)
            os.kill(os.getpid(), self.signal)
        return 128 + self.signal


class Command:
    """A running command.

    Raises:
        CannotRun: it is not there, or cannot be executed.
    """

    def __init__(self, command: Sequence[str]) -> None:
        self.ours: Callable[[], set[int]] = set
        """Gives the pids of the processes that we start beside the command's."""
        self._pid: int | None = None
        self._early: list[int] = []
        self._ended = False
        self._ended_s: float | None = None
        self._of_orphans = [0.0, 0.0, 0.0]
        passed_on = [n for n in _PASSED_ON if signal.getsignal(n) is not signal.SIG_IGN]
        self._witness = _witness()
        # What was ignored when we were started (nohup) stays so, for us and for the command.
        for number in passed_on:
            signal.signal(number, self._pass_on)
        for number in _OF_THE_TERMINAL:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, _nothing)
        signal.signal(signal.SIGCHLD, self._child_changed)
        try:
            null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)  # before it runs: it may fail
            self._pid = _spawn(command)
            self._own_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss + _SLACK_KIB
        except BaseException:
            self.let_go()
            raise
        for early in self._early:  # it was not there yet when the group got them
            self._send(early)
        self._note_end()  # it may have ended before its pid was known
        _let_go_of_its_files(null)

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._pid is not None
        return self._pid

    @property
    def helpers(self) -> set[int]:
        """Pids of our children that are not the command's."""
        own = {self._witness.pid} if self._witness else set()
        return own | self.ours()

    def wait(self) -> Ended:
        """Wait for its end; stop whenever it stops."""
        while True:
            _, status, usage = os.wait4(self.pid, os.WUNTRACED)
            if not os.WIFSTOPPED(status):
                break
            self._stop_too()
        self._ended = True
        signalled = os.WIFSIGNALED(status)
        most_kib = int(max(usage.ru_maxrss, self._of_orphans[2]))
        return Ended(
            None if signalled else os.WEXITSTATUS(status),
            os.WTERMSIG(status) if signalled else None,
            usage.ru_utime + self._of_orphans[0],
            usage.ru_stime + self._of_orphans[1],
            most_kib * 1024 if most_kib > self._own_kib else None,
            _now_s() if self._ended_s is None else self._ended_s,
        )

    def let_go(self) -> None:
        """End the helper, and take signals as before it: the report may be interrupted."""
        self._ended = True
        if self._witness is not None:
            self._witness.end()
            self._witness = None
        signal.signal(signal.SIGTTOU, signal.SIG_IGN)  # a report is written from where we stand
        for number in _PASSED_ON:
            if signal.getsignal(number) == self._pass_on:
                signal.signal(number, signal.SIG_DFL)

    # -- signals ------------------------------------------------------------------------------

    def _pass_on(self, number: int, _: FrameType | None) -> None:
        if self._pid is None:
            self._early.append(number)
            return
        if self._ended or (self._witness is not None and self._witness.saw(number)):
            return
        self._send(number)

    def _send(self, number: int) -> None:
        with contextlib.suppress(OSError):
            os.kill(self.pid, number)

    def _stop_too(self) -> None:
        """The command has stopped: stop, so that the shell notices, until we are continued."""
        time.sleep(_SETTLE_S)  # it may have been continued before we looked
        if not self._is_stopped():
            return
        os.kill(os.getpid(), signal.SIGSTOP)
        time.sleep(_SETTLE_S)
        if self._is_stopped():  # only we were continued
            with contextlib.suppress(OSError):
                os.kill(self.pid, signal.SIGCONT)

    def _is_stopped(self) -> bool:
        stat = procfs.process_stat(self.pid)
        return stat is not None and stat.state == "T"

    def _child_changed(self, _: int, __: FrameType | None) -> None:
        self._note_end()
        self._bury_orphans()

    def _note_end(self) -> None:
        """Keep when the command ended: whoever waits for it may be busy then."""
        with contextlib.suppress(ChildProcessError):
            if self._pid is None or self._ended_s is not None:
                return
            if os.waitid(os.P_PID, self._pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
                self._ended_s = _now_s()

    def _bury_orphans(self) -> None:
        """Bury descendants whose parent ended before them; init would have."""
        with contextlib.suppress(ChildProcessError):
            while self._pid is not None:  # until then the command itself would pass for one
                found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
                if found is None or found.si_pid in {self._pid, *self.helpers}:
                    return
                _, _, usage = os.wait4(found.si_pid, 0)
                self._of_orphans[0] += usage.ru_utime
                self._of_orphans[1] += usage.ru_stime
                self._of_orphans[2] = max(self._of_orphans[2], usage.ru_maxrss)


def _now_s() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _witness() -> Witness | None:
    try:
        return Witness()
    except OSError:
        return None


def _nothing(_: int, __: FrameType | None) -> None:
    """A handler: unlike an ignored signal, it is the default again in a program we start."""


def _spawn(command: Sequence[str]) -> int:
    name = command[0]
    environment = _environment()
    reset = [signal.SIGPIPE, signal.SIGXFSZ]  # Python ignores them
    try:
        try:
            return os.posix_spawnp(name, list(command), environment, setsigdef=reset)
        except OSError as error:
            if error.errno != errno.ENOEXEC:
                raise
            # A script without a first line that says what runs it: the shell does.
            from shutil import which

            script = name if "/" in name else which(name) or name
            shell = ["/bin/sh", script, *command[1:]]
            return os.posix_spawn(shell[0], shell, environment, setsigdef=reset)
    except OSError as error:
        raise CannotRun(name, error) from None
    except ValueError as error:
        raise CannotRun(repr(name), OSError(errno.EINVAL, str(error))) from None


def _environment() -> dict[bytes, bytes]:
    """Our environment as we found it: in the C locale Python adds LC_CTYPE to its own."""
    environment = dict(os.environb)
    try:
        found = procfs.read("/proc/self/environ").split(b"\0")
    except OSError:
        return environment
    if not any(entry.startswith(b"LC_CTYPE=") for entry in found):
        environment.pop(b"LC_CTYPE", None)
    return environment


def fill_closed_descriptors() -> None:
    """Where stdin, stdout or stderr is closed, keep its number from files of ours, which would be
    let go of with it. The command finds it closed all the same.
    """
    while (fd := os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)) <= 2:
        continue
    os.close(fd)


def _let_go_of_its_files(null: int) -> None:
    """Close what is the command's alone: a pipe must end when the command has closed it. The
    report goes to stderr, so that stays. `null` is /dev/null.
    """
    for fd in (0, 1):
        os.dup2(null, fd)
    with contextlib.suppress(OSError):
        for fd in map(int, os.listdir("/proc/self/fd")):
            with contextlib.suppress(OSError):
                if fd > 2 and os.get_inheritable(fd):
                    os.close(fd)

"""The thread that opens the driver, keeps looking for it, and lets go of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Literal, Protocol

from gputop.collect.nvml import abi, identity
from gputop.collect.nvml.deadlines import Deadlines
from gputop.collect.nvml.driver_time import boottime
from gputop.collect.nvml.library import BindingError, Library, Meter, NvmlError
from gputop.collect.nvml.troubles import (
    NO_DEVICES,
    RELEASED,
    RELEASING,
    STUCK_INIT,
    STUCK_RELEASE,
    STUCK_REOPEN,
    DriverTrouble,
    binding_trouble,
    driver_trouble,
    too_many,
)
from gputop.model.frame import DriverInfo


class Owner(Protocol):
    """Who is told what the keeper does; all of it in the keeper's thread."""

    def attempted(self) -> None:
        """An attempt to open the driver is over."""

    def opened(self, device_count: int) -> None:
        """The library works and lists so many devices."""

    def resumed(self) -> None:
        """A shutdown was called off."""

    def shutting_down(self) -> None:
        """Nobody is inside the library and it will be shut down: give back what it holds."""

    def look_around(self, device_count: int) -> None:
        """It is time to see whether there are other devices."""

    def all_away(self) -> bool:
        """True when every device is lost and nobody calls the driver, so that a fresh start harms
        none.
        """


class Doing:
    """A call that may take long: opening the driver, or shutting it down."""

    def __init__(self, what: Literal["open", "shut"]) -> None:
        self.what = what
        self.since_s = boottime()
        self._began_s = time.monotonic()

    @property
    def lasts_s(self) -> float:
        """Seconds since it began, without those in which the machine was suspended."""
        return time.monotonic() - self._began_s


class Keeper:
    """Makes the library be what is wanted: open or released. Everything public may be called
    from any thread and returns at once.
    """

    def __init__(self, library: Library, deadlines: Deadlines, owner: Owner) -> None:
        self._library = library
        self._deadlines = deadlines
        self._owner = owner
        self._meter = Meter()
        self._changed = threading.Condition()
        self._wanted = False
        self._leaving = False
        self._restart = -1
        self._thread: threading.Thread | None = None
        self._doing: Doing | None = None
        self._driver = DriverInfo(since_s=boottime())
        self._stuck_since: float | None = None
        self._opened_at = self._fresh_start_at = 0.0
        self.needs_restart = False
        """True when only a new process can load the library that fits the driver."""

    @property
    def calls(self) -> int:
        """Driver calls since start."""
        return self._meter.calls

    @property
    def opening(self) -> bool:
        """True while an attempt to open the driver is under way and not overdue."""
        doing = self._doing
        return bool(doing and doing.what == "open" and doing.lasts_s <= self._deadlines.init_s)

    def want(self, wanted: bool) -> None:
        """Have the driver open, or let go of it."""
        with self._changed:
            self._wanted = wanted
            if self._thread is None and wanted:
                self._doing = Doing("open")
                self._thread = threading.Thread(target=self._run, name="nvml", daemon=True)
                self._thread.start()
            elif self._thread is None and not self._leaving:
                self._say(RELEASED, None)  # before it was ever opened
            self._changed.notify_all()
        self._library.nudge()

    def leave(self) -> None:
        """The process ends: let go of the driver if that can be done, without anybody waiting."""
        self._leaving = True
        self.want(False)

    def start_again(self, generation: int) -> None:
        """The library of that generation no longer works."""
        with self._changed:
            self._restart = max(self._restart, generation)
            self._changed.notify_all()

    def driver(self) -> DriverInfo:
        """The driver's state now."""
        doing, driver = self._doing, self._driver
        if doing is None:
            return driver
        limit, trouble = {
            "open": (self._deadlines.init_s, STUCK_INIT),
            "shut": (self._deadlines.release_s, STUCK_RELEASE),
        }[doing.what]
        if doing.what == "shut" and self._wanted:
            trouble = STUCK_REOPEN
        if doing.lasts_s > limit:
            return _info(trouble, doing.since_s, driver)
        if doing.what == "shut" and not self._wanted:
            return _info(RELEASING, driver.since_s, driver)
        return driver

    # -- the thread ------------------------------------------------------------------------

    def _run(self) -> None:
        pause = self._deadlines.retry_s
        while True:
            if self._library.initialised:
                pause = self._deadlines.retry_s
                if not self._stay_open():
                    return
            elif not self._wanted:
                if self._leaving:
                    return
                self._say(RELEASED, None)  # also where there was no driver to let go of
                pause = self._deadlines.retry_s
                self._sleep(None, lambda: self._wanted or self._leaving)
            elif not self._open():
                self._sleep(pause, self._unwanted)
                pause = min(2 * pause, self._deadlines.retry_most_s)

    def _sleep(self, seconds: float | None, until: Callable[[], bool]) -> None:
        with self._changed:
            self._changed.wait_for(until, seconds)

    def _stay_open(self) -> bool:
        """Look around until the library is to be closed; False when that was for good."""
        self._sleep(self._deadlines.rescan_s, lambda: not self._wanted or self._outdated)
        if self._wanted and not self._outdated:
            self._look_around()
            return True
        self._sleep(self._opened_at + self._deadlines.retry_s - boottime(), self._unwanted)
        self._shut()
        return not self._leaving or self._library.initialised

    def _unwanted(self) -> bool:
        return not self._wanted

    @property
    def _outdated(self) -> bool:
        return self._restart >= self._library.generation

    def _open(self) -> bool:
        self._doing = Doing("open")
        trouble: DriverTrouble | None = None
        code: int | None = None
        try:
            count = self._start()
            if 0 < count <= identity.MOST_DEVICES:
                self._say_ok()
                self._opened_at = boottime()
                self._owner.opened(count)
                return True
            trouble = too_many(count) if count else NO_DEVICES
            self._library.shut_down()
        except NvmlError as e:
            code, trouble = e.code, driver_trouble(e.code)
            if self._library.initialised:
                self._library.shut_down()
        except BindingError as e:
            trouble = binding_trouble(str(e))
        finally:
            self._doing = None
            self._owner.attempted()
        self._say(trouble, code)
        if code == abi.VERSION_MISMATCH:
            # A process that never had the driver open gains nothing by starting afresh, until
            # the library on disk is another one.
            self.needs_restart = self._library.was_open or self._library.replaced_on_disk()
        return False

    def _start(self) -> int:
        """Start the library and count the devices. That somebody stopped it meanwhile (1) is no
        trouble, unless it goes on.
        """
        try:
            return self._start_once()
        except NvmlError as e:
            if e.code != abi.UNINITIALIZED:
                raise
        if self._library.initialised:
            self._library.shut_down()
        return self._start_once()

    def _start_once(self) -> int:
        self._library.initialise()
        return identity.device_count(self._library, self._meter)

    def _shut(self) -> None:
        """Wait until nobody is inside the library and shut it down; called off when it is wanted
        again meanwhile.
        """
        self._doing = Doing("shut")
        try:
            outdated = self._outdated
            if not self._library.close_when_unused(lambda: self._wanted and not outdated):
                self._owner.resumed()
                return
            self._owner.shutting_down()
            self._library.shut_down()
            if not self._wanted:
                self._say(RELEASED, None)
        finally:
            self._doing = None

    def _look_around(self) -> None:
        if not self._library.enter():
            return
        try:
            count = identity.device_count(self._library, self._meter)
            if count <= identity.MOST_DEVICES:
                self._owner.look_around(count)
        except NvmlError as e:
            if e.code in abi.LIBRARY_GONE:
                self.start_again(self._library.generation)
        finally:
            self._library.leave()
        if self._owner.all_away() and boottime() >= self._fresh_start_at:
            self._fresh_start_at = boottime() + self._deadlines.retry_most_s
            self.start_again(self._library.generation)

    # -- what is said ----------------------------------------------------------------------

    def _say(self, trouble: DriverTrouble, code: int | None) -> None:
        old = self._driver
        same = (old.status, old.code, old.message) == (trouble.status, code, trouble.message)
        since = old.since_s if same else boottime()
        self._driver = DriverInfo(trouble.status, since, code, trouble.message, trouble.remedy)

    def _say_ok(self) -> None:
        self.needs_restart = False
        library, meter, old = self._library, self._meter, self._driver
        self._driver = DriverInfo(
            status="ok",
            since_s=old.since_s if old.status == "ok" else boottime(),
            driver_version=_version(library, meter, "nvmlSystemGetDriverVersion"),
            nvml_version=_version(library, meter, "nvmlSystemGetNVMLVersion"),
            cuda_version=_cuda_version(library, meter),
        )


def _info(trouble: DriverTrouble, since: float | None, known: DriverInfo) -> DriverInfo:
    return DriverInfo(
        trouble.status, since, None, trouble.message, trouble.remedy, known.driver_version,
        known.nvml_version, known.cuda_version,
    )  # fmt: skip


def _version(library: Library, meter: Meter, function: str) -> str | None:
    try:
        return library.text(meter, function)
    except NvmlError:
        return None


def _cuda_version(library: Library, meter: Meter) -> str | None:
    try:
        number = library.number(meter, "nvmlSystemGetCudaDriverVersion_v2")
    except NvmlError:
        return None
    return f"{number // 1000}.{number % 1000 // 10}"

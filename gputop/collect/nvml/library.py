"""The NVML library: loading it, starting it, and never stopping it under somebody's feet."""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import os
import threading
from collections.abc import Callable
from types import ModuleType
from typing import Any

from gputop.collect.nvml import abi
from gputop.lean import importing_with

Function = Callable[..., int]

SONAME_STEM = "libnvidia-ml.so"


def _find_library(name: str) -> str | None:
    from ctypes.util import find_library

    return find_library(name)


_FINDER = ModuleType("ctypes.util")
"""What pynvml imports of it and never calls, without the 0.6 MB of shutil and tempfile."""
vars(_FINDER)["find_library"] = _find_library


class NvmlError(Exception):
    """A call that the driver refused."""

    def __init__(self, code: int) -> None:
        """`code` is the NVML return code."""
        super().__init__(f"NVML answered {code}")
        self.code = code


class BindingError(Exception):
    """The Python binding is missing or is another package of that name."""


class Meter:
    """Counts the driver calls of one thread, so that counting needs no lock."""

    __slots__ = ("calls",)

    def __init__(self) -> None:
        self.calls = 0


class Library:
    """The library of this process.

    A thread that calls it stands between `enter` and `leave`; `shut_down` waits for all of them
    and refuses newcomers, because shutting NVML down while a call is inside it crashes.
    """

    def __init__(self) -> None:
        self._binding: Any = None
        self._functions: dict[str, Function | None] = {}
        self._changed = threading.Condition()
        self._users = 0
        self._open = False
        self._closing = False
        self._was_open = False
        self._file: tuple[str, tuple[int, int] | None] | None = None
        self.generation = 0
        """Counts the initialisations: a handle is good for one of them."""

    # -- who is inside ---------------------------------------------------------------------

    @property
    def open(self) -> bool:
        """True while calls may be made."""
        return self._open and not self._closing

    @property
    def initialised(self) -> bool:
        """True between `initialise` and the end of `shut_down`."""
        return self._open

    @property
    def was_open(self) -> bool:
        """True once an initialisation has succeeded in this process."""
        return self._was_open

    def enter(self) -> bool:
        """Announce calls; False when none may be made now."""
        with self._changed:
            if not self.open:
                return False
            self._users += 1
            return True

    def leave(self) -> None:
        """The calls announced by `enter` are over."""
        with self._changed:
            self._users -= 1
            self._changed.notify_all()

    def close_when_unused(self, give_up: Callable[[], bool]) -> bool:
        """Refuse newcomers and wait until nobody is inside. True when that is so; False when
        `give_up` said yes before (it is asked whenever `nudge` is called): newcomers are let in
        again.
        """
        with self._changed:
            self._closing = True
            self._changed.wait_for(lambda: not self._users or give_up())
            if not self._users:
                return True
            self._closing = False
            return False

    def nudge(self) -> None:
        """Have `close_when_unused` ask again whether to give up."""
        with self._changed:
            self._changed.notify_all()

    # -- start and stop --------------------------------------------------------------------

    def initialise(self) -> None:
        """Load the binding and the library and start it. Raises BindingError, or NvmlError with
        the code of ``nvmlInitWithFlags`` (12 where the library itself is not there). May hang.

        This flavour of init starts no device, so a broken one does not hide the others.
        """
        self._load_binding()
        try:
            self._binding.nvmlInitWithFlags(0)
        except self._binding.NVMLError as e:
            raise NvmlError(int(e.value)) from e
        finally:
            self._file = self._file or loaded_file()
        with self._changed:
            self.generation += 1
            self._open = self._was_open = True
            self._closing = False

    def shut_down(self) -> None:
        """Stop the library; only after `close_when_unused`. May hang."""
        with contextlib.suppress(self._binding.NVMLError):  # stopped by somebody else already
            self._binding.nvmlShutdown()
        with self._changed:
            self._open = self._closing = False

    def replaced_on_disk(self) -> bool:
        """True when a fresh process would load another file than this one did."""
        return self._file is not None and file_identity(self._file[0]) != self._file[1]

    def _load_binding(self) -> None:
        if self._binding is not None:
            return
        try:
            with importing_with({"ctypes.util": _FINDER}):
                binding = importlib.import_module("pynvml")
        except ImportError as e:
            raise BindingError("The Python package nvidia-ml-py is not installed.") from e
        if not hasattr(binding, "_nvmlGetFunctionPointer"):
            raise BindingError("Another package named pynvml hides nvidia-ml-py.")
        self._binding = binding

    # -- calls -----------------------------------------------------------------------------

    def function(self, name: str) -> Function | None:
        """The library's function of that name; None when this driver does not have it."""
        try:
            return self._functions[name]
        except KeyError:
            pass
        try:
            found: Function | None = self._binding._nvmlGetFunctionPointer(name)
        except self._binding.NVMLError:
            found = None
        self._functions[name] = found
        return found

    def call(self, meter: Meter, name: str, *arguments: Any) -> int:
        """Call by name and answer the return code: FUNCTION_NOT_FOUND where there is none."""
        function = self.function(name)
        if function is None:
            return abi.FUNCTION_NOT_FOUND
        meter.calls += 1
        return function(*arguments)

    def text(self, meter: Meter, name: str, *arguments: Any, size: int = 96) -> str:
        """The text a call fills in, with what is no UTF-8 replaced. Raises NvmlError."""
        buffer = ctypes.create_string_buffer(size)
        code = self.call(meter, name, *arguments, buffer, ctypes.c_uint(size))
        if code != abi.SUCCESS:
            raise NvmlError(code)
        return buffer.value.decode("utf-8", "replace").strip()

    def number(self, meter: Meter, name: str, *arguments: Any) -> int:
        """The unsigned number a call fills in. Raises NvmlError."""
        out = ctypes.c_uint()
        code = self.call(meter, name, *arguments, ctypes.byref(out))
        if code != abi.SUCCESS:
            raise NvmlError(code)
        return out.value


def loaded_file() -> tuple[str, tuple[int, int] | None] | None:
    """The name by which this process found the NVML library, and what was behind it; None when
    it has not loaded one.
    """
    try:
        with open("/proc/self/maps", encoding="utf-8", errors="replace") as maps:
            paths = [line.split(maxsplit=5)[-1].strip() for line in maps if SONAME_STEM in line]
    except OSError:
        return None
    if not paths:
        return None
    name = os.path.join(os.path.dirname(paths[0]), SONAME_STEM + ".1")
    return name, file_identity(name)


def file_identity(path: str) -> tuple[int, int] | None:
    """Device and inode of a file, symbolic links followed; None when it is not there."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino

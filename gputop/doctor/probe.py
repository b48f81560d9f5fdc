"""Asks the driver what a collector would ask, in a process of its own: run as a script by path.

It prints one JSON object a line, each as soon as it is known, so that a call that hangs is known
by the last line before it. It imports nothing of gputop, and the binding only after the library
was tried without it.
"""

from __future__ import annotations

import ctypes
import json
import os
import platform
import sys
from importlib import metadata
from types import ModuleType
from typing import Any

LIBRARY = "libnvidia-ml.so.1"
DISTRIBUTIONS = ("textual", "nvidia-ml-py", "psutil", "plotext", "msgspec", "pynvml")


def say(step: str, **facts: Any) -> None:
    """Print what one step found."""
    print(json.dumps({"step": step, **facts}), flush=True)


def versions() -> None:
    """Which distributions are installed, and in which version."""
    found: dict[str, str | None] = {}
    for name in DISTRIBUTIONS:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = None
    say("versions", python=platform.python_version(), distributions=found)


def library() -> None:
    """Whether the dynamic linker finds the driver's library, and where."""
    try:
        ctypes.CDLL(LIBRARY)
    except OSError as error:
        say("library", error=str(error))
        return
    with open("/proc/self/maps", encoding="utf-8", errors="replace") as maps:
        paths = {line.split(maxsplit=5)[-1].strip() for line in maps if "libnvidia-ml" in line}
    say("library", path=min(paths, default=LIBRARY))


def binding() -> ModuleType | None:
    """Import the module called pynvml, and tell whose it is by a name only NVIDIA's has."""
    try:
        import pynvml
    except Exception as error:
        say("binding", error=f"{type(error).__name__}: {error}")
        return None
    genuine = hasattr(pynvml, "_nvmlGetFunctionPointer")
    say("binding", path=getattr(pynvml, "__file__", None), genuine=genuine)
    return pynvml if genuine else None


def driver(nvml: ModuleType) -> None:
    """Open the driver and look at every device."""
    say("opening")
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as error:
        say("opened", code=error.value, error=str(error))
        return
    say("opened", code=0)
    say("driver", version=text(nvml.nvmlSystemGetDriverVersion()))
    count = nvml.nvmlDeviceGetCount()
    say("count", count=count)
    for index in range(count):
        say("device", index=index, **device(nvml, index))


def device(nvml: ModuleType, index: int) -> dict[str, Any]:
    """A device's name and persistence mode, or its error."""
    try:
        handle = nvml.nvmlDeviceGetHandleByIndex(index)
        name = text(nvml.nvmlDeviceGetName(handle))
    except nvml.NVMLError as error:
        return {"code": error.value, "error": str(error)}
    try:
        persistence = bool(nvml.nvmlDeviceGetPersistenceMode(handle))
    except nvml.NVMLError:
        return {"name": name}
    return {"name": name, "persistence": persistence}


def text(answer: str | bytes) -> str:
    """Old bindings answer bytes."""
    return answer.decode("utf-8", "replace") if isinstance(answer, bytes) else answer


def main() -> None:
    """Every step in turn; what goes wrong beyond NVML's own errors is said as well."""
    versions()
    library()
    nvml = binding()
    if nvml is not None:
        try:
            driver(nvml)
        except Exception as error:
            say("failed", error=f"{type(error).__name__}: {error}")
    say("done")
    sys.stdout.flush()
    os._exit(0)  # no destructor of a driver library may hold this up


if __name__ == "__main__":
    main()

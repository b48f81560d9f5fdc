"""A fake NVIDIA driver: ``libnvidia-ml.so.1`` built from C, steered by a text file.

nvidia-ml-py loads it through the real dynamic loader, so a test starts a process with
``Scenario.env()`` and rewrites the scenario while that process runs. README.md beside
this file documents the scenario language.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.builds import library

__all__ = [
    "R470_ABSENT",
    "R535_ABSENT",
    "Call",
    "Lines",
    "Scenario",
    "at_rest",
    "build",
    "corrupt",
    "geforce",
    "h100s",
    "many_processes",
    "mig_instances",
    "read_calls",
]

SOURCES = Path(__file__).parent
LIBRARY = "libnvidia-ml.so.1"
HEADER = SOURCES / "fake.h"
FLAGS = ("-fvisibility=hidden", f"-Wl,-soname,{LIBRARY}", "-pthread")

Lines = dict[str, str | int | float]

R535_ABSENT = (
    "nvmlDeviceGetTemperatureV",
    "nvmlDeviceGetMarginTemperature",
    "nvmlDeviceGetFanSpeedRPM",
    "nvmlDeviceGetProcessesUtilizationInfo",
    "nvmlDeviceGetNumaNodeId",
    "nvmlDeviceGetJpgUtilization",
    "nvmlDeviceGetOfaUtilization",
    "nvmlDeviceGetGpuFabricInfoV",
)
"""Symbols that a driver of the R535 branch does not have."""

R470_ABSENT = (
    *R535_ABSENT,
    "nvmlDeviceGetMinMaxClockOfPState",
    "nvmlDeviceGetMemoryInfo_v2",
    "nvmlDeviceGetComputeRunningProcesses_v3",
    "nvmlDeviceGetGraphicsRunningProcesses_v3",
    "nvmlDeviceGetMPSComputeRunningProcesses_v3",
    "nvmlDeviceGetCurrentClocksEventReasons",
    "nvmlDeviceGetSupportedClocksEventReasons",
    "nvmlDeviceGetGpuFabricInfo",
    "nvmlDeviceGetGpuMaxPcieLinkGeneration",
    "nvmlDeviceGetPcieSpeed",
    "nvmlDeviceGetNumGpuCores",
    "nvmlDeviceGetMemoryBusWidth",
    "nvmlGpmMetricsGet",
    "nvmlGpmMigSampleGet",
    "nvmlGpmQueryDeviceSupport",
    "nvmlGpmSampleAlloc",
    "nvmlGpmSampleFree",
    "nvmlGpmSampleGet",
)
"""Symbols that a driver of the R470 branch does not have."""


def build(absent: Sequence[str] = ()) -> Path:
    """Compile the driver and return the folder to put into ``LD_LIBRARY_PATH``.

    Args:
        absent: NVML functions that this driver does not have.

    Returns:
        The folder of the library, which others use as well.

    Raises:
        RuntimeError: There is no compiler, or it refuses the sources.
        ValueError: A function named in ``absent`` is not one the fake driver has.
    """
    sources = sorted(SOURCES.glob("*.c"))
    text = "".join(path.read_text(encoding="utf-8") for path in [*sources, HEADER])
    for symbol in absent:
        if symbol not in text:
            raise ValueError(f"the fake driver has no function {symbol} to leave out")
    left_out = [f"-D{symbol}=absent_{symbol}" for symbol in sorted(absent)]
    return library(LIBRARY, sources, [*FLAGS, *left_out], [HEADER]).parent


def corrupt(directory: Path) -> Path:
    """Write a driver library that cannot be loaded and return its folder."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / LIBRARY).write_bytes(b"not a library")
    return directory


class Scenario:
    """A scenario file and what a process needs to run with it.

    Args:
        path: The file; written at once and again on every change.
        lines: Keys and values to begin with; a later key wins over an earlier one.
        library: The folder that ``build`` returned.
        log_calls: Log every call to ``calls_path``.
    """

    def __init__(
        self,
        path: Path,
        lines: Mapping[str, str | int | float] | None = None,
        *,
        library: Path | None = None,
        log_calls: bool = False,
    ) -> None:
        self.path = path
        self.library = library
        self.calls_path = path.with_name(path.name + ".calls") if log_calls else None
        self._lines: dict[str, str] = {}
        self.update(lines or {})

    @property
    def text(self) -> str:
        """The file's content."""
        return "".join(f"{key} = {value}\n" for key, value in self._lines.items())

    def set(self, key: str, value: str | int | float) -> None:
        """Set one key, as the last line, and write the file."""
        self.update({key: value})

    def update(self, lines: Mapping[str, str | int | float]) -> None:
        """Set several keys, as the last lines, in one rewrite of the file."""
        for key, value in lines.items():
            self._lines.pop(key, None)
            self._lines[key] = str(value)
        self._write()

    def remove(self, *keys: str) -> None:
        """Take keys away, which must be there, and write the file."""
        for key in keys:
            del self._lines[key]
        self._write()

    def _write(self) -> None:
        temporary = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        temporary.write_text(self.text, encoding="utf-8")
        # The kernel's stamp is coarse: two rewrites within a tick must still differ.
        now = time.time_ns()
        os.utime(temporary, ns=(now, now))
        temporary.replace(self.path)

    def env(self) -> dict[str, str]:
        """Return the variables to add to a process's environment."""
        variables = {"FAKE_NVML_SCENARIO": str(self.path)}
        if self.library is not None:
            inherited = os.environ.get("LD_LIBRARY_PATH")
            paths = [str(self.library), *([inherited] if inherited else [])]
            variables["LD_LIBRARY_PATH"] = os.pathsep.join(paths)
        if self.calls_path is not None:
            variables["FAKE_NVML_CALLS"] = str(self.calls_path)
        return variables

    def calls(self) -> list[Call]:
        """Return the calls logged so far, oldest first."""
        if self.calls_path is None or not self.calls_path.exists():
            return []
        return read_calls(self.calls_path)


class Call(NamedTuple):
    """One logged call."""

    monotonic_ns: int
    thread_id: int
    symbol: str
    device: int
    """The device's number in the scenario, -1 for a call on no device."""


def read_calls(path: Path) -> list[Call]:
    """Read a call log; a last line still being written is left out."""
    calls = []
    for line in path.read_text(encoding="ascii").splitlines(keepends=True):
        if line.endswith("\n"):
            when, thread, symbol, device = line.split()
            calls.append(Call(int(when), int(thread), symbol, int(device)))
    return calls


def h100s(count: int) -> Lines:
    """A healthy machine of ``count`` H100s (the defaults)."""
    return {"count": count}


def at_rest(count: int) -> Lines:
    """All that moves with a device's utilisation, and its memory, stands still at a value of that
    device's own.
    """
    defaults = (SOURCES / "defaults.c").read_text(encoding="utf-8")
    form = r'"device\.\*\.(\S+) = (?:follow gpu_utilization|wave) (\w+) (\w+)'
    ranges = {
        key: (_whole_number(low), _whole_number(high))
        for key, low, high in re.findall(form, defaults)
        if key != "gpu_utilization"
    }
    return {
        f"device.{n}.{key}": low + (high - low) * (n + 1) // (count + 1)
        for key, (low, high) in ranges.items()
        for n in range(count)
    }


def _whole_number(words: str) -> int:
    """What the scenario language writes as 40G."""
    digits = words.rstrip("KMGT")
    return int(digits) << 10 * " KMGT".index(words[len(digits) :] or " ")


def geforce(count: int = 1) -> Lines:
    """Bare GeForce cards: a fan, no ECC, no NVLink, no GPM; most optional reads answer 3."""
    lines: Lines = {
        "name": "NVIDIA GeForce RTX 4090",
        "architecture": 8,
        "compute_capability": "8.9",
        "brand": 5,
        "serial": "unsupported",
        "part_number": "unsupported",
        "memory_total": 25757220864,
        "memory_used": "wave 4G 18G 60",
        "bar1_total": "32G",
        "power_mw": "follow gpu_utilization 22000 430000",
        "power_limit_mw": 450000,
        "power_limit_enforced_mw": 450000,
        "power_limit_default_mw": 450000,
        "power_limit_min_mw": 150000,
        "power_limit_max_mw": 600000,
        "memory_temperature": "unsupported",
        "temperature_margin": "unsupported",
        "fans": 2,
        "fan_speed": "follow gpu_utilization 0 72",
        "fan_rpm": "follow gpu_utilization 0 2100",
        "pcie_generation": 4,
        "pcie_generation_max": 4,
        "pcie_generation_gpu_max": 4,
        "nvlink_count": 0,
        "ecc_mode": "unsupported",
        "remapped.correctable": "unsupported",
        "recovery_action": "unsupported",
        "fabric.state": "unsupported",
        "mig_mode": "unsupported",
        "mig_max": "unsupported",
        "numa_node": "unsupported",
    }
    return {"count": count, **{f"device.*.{key}": value for key, value in lines.items()}}


def many_processes(count: int, *, device: int = 0, first_pid: int = 100_000) -> Lines:
    """``count`` compute processes on one device, with falling memory and SM use."""
    return {
        f"device.{device}.process.{i}": (
            f"pid={first_pid + i} type=C memory={(count - i) * 8}M sm={max(1, 60 - i)} mem=3"
        )
        for i in range(count)
    }


def mig_instances(device: int, slots: Sequence[int] = (0, 1, 3)) -> Lines:
    """One device split into 1g.10gb instances at these indices; the others are holes."""
    return {
        f"device.{device}.mig.{slot}": (
            f"profile=1g.10gb memory_total=10200547328 memory_used={slot + 1}G "
            f"gi={slot + 7} ci=0 uuid=MIG-5c2e0000-0000-4000-8000-{device:06d}{slot:06d}"
        )
        for slot in slots
    }

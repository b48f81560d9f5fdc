"""The files under /proc that gputop reads: one pure function for each format, and small readers.

Formats are those of proc(5). A parser takes the file's text, accepts columns and lines a newer
kernel adds, and leaves out what an older one does not have.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from typing import NamedTuple

PROC = "/proc"


def read(path: str, limit: int = 1 << 22) -> bytes:
    """Up to `limit` bytes of a file of the kernel's, in as few calls as it takes.

    Raises:
        OSError: it is not there or may not be read.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        parts = []
        while limit > 0 and (part := os.read(fd, min(limit, 1 << 16))):
            parts.append(part)
            limit -= len(part)
        return b"".join(parts)
    finally:
        os.close(fd)


def read_text(path: str, limit: int = 1 << 22) -> str | None:
    """The same as text, or None where it cannot be read."""
    try:
        return read(path, limit).decode("utf-8", "replace")
    except OSError:
        return None


def parse_count(word: str) -> int | None:
    """A counter as the kernel writes it, or None: no 64-bit number has more than 20 digits."""
    word = word.strip()
    return int(word) if word.isdecimal() and len(word) <= 20 else None


# -- processes ---------------------------------------------------------------------------------


class ProcessStat(NamedTuple):
    """What /proc/PID/stat says. Times are clock ticks (`os.sysconf("SC_CLK_TCK")` a second)."""

    name: str
    state: str
    user_ticks: int
    system_ticks: int
    threads: int
    start_ticks: int
    """From boot to its start; with the pid and the boot id it is a process's identity."""
    resident_pages: int
    parent_pid: int


def parse_process_stat(content: bytes) -> ProcessStat | None:
    """The fields of /proc/PID/stat, or None when it is not one. The name may hold any byte,
    blanks and brackets included, so it ends at the *last* closing bracket.
    """
    opening, closing = content.find(b"("), content.rfind(b")")
    if not 0 < opening < closing:
        return None
    fields = content[closing + 1 :].split()
    try:
        return ProcessStat(
            name=content[opening + 1 : closing].decode("utf-8", "replace"),
            state=fields[0].decode("ascii"),
            user_ticks=int(fields[11]),
            system_ticks=int(fields[12]),
            threads=int(fields[17]),
            start_ticks=int(fields[19]),
            resident_pages=int(fields[21]),
            parent_pid=int(fields[1]),
        )
    except (IndexError, ValueError):
        return None


def process_stat(pid: int, proc: str = PROC) -> ProcessStat | None:
    """What the kernel says of a process now, or None when it is gone or hidden from us."""
    try:
        return parse_process_stat(read(f"{proc}/{pid}/stat", 4096))
    except OSError:
        return None


def start_ticks(pid: int) -> int | None:
    """Clock ticks from boot to the start of `pid`, or None when there is no such process."""
    stat = process_stat(pid)
    return stat.start_ticks if stat else None


LONGEST_COMMAND = 4096
"""Bytes of a command line that are read: there may be two million, and each frame has them."""


def command_line(path: str) -> list[str]:
    """The arguments in a /proc/PID/cmdline, the last one cut with `…` where there is more.

    Raises:
        OSError: there is no such process, or it may not be read.
    """
    content = read(path, LONGEST_COMMAND + 1)
    words = parse_command_line(content[:LONGEST_COMMAND])
    if len(content) > LONGEST_COMMAND:
        words[-1] += "…"
    return words


def parse_command_line(content: bytes) -> list[str]:
    """The arguments in what such a file holds; empty for a kernel thread or a zombie."""
    if not content:
        return []
    return [part.decode("utf-8", "replace") for part in content.removesuffix(b"\0").split(b"\0")]


# -- the whole machine -------------------------------------------------------------------------


class CpuTicks(NamedTuple):
    """Clock ticks one core (or all) has spent since boot."""

    total: int
    idle: int
    """Doing nothing, waiting for I/O included."""
    iowait: int


def parse_cpu_ticks(content: bytes) -> dict[int | None, CpuTicks]:
    """The cpu lines of /proc/stat: all cores together under None, each online one under its
    number. Guest time is left out, since it is part of user time already.
    """
    found: dict[int | None, CpuTicks] = {}
    for line in content.split(b"\n"):
        if not line.startswith(b"cpu"):
            break
        head, *columns = line.split()
        try:
            core = int(head[3:]) if len(head) > 3 else None
            ticks = [int(column) for column in columns[:8]]
        except ValueError:
            continue
        if len(ticks) < 4:
            continue
        iowait = ticks[4] if len(ticks) > 4 else 0
        found[core] = CpuTicks(sum(ticks), ticks[3] + iowait, iowait)
    return found


def parse_meminfo(content: str) -> dict[str, int]:
    """/proc/meminfo in bytes (in pieces for the few lines without a unit)."""
    found = {}
    for line in content.splitlines():
        name, colon, rest = line.partition(":")
        words = rest.split()
        count = parse_count(words[0]) if words else None
        if colon and count is not None:
            found[name.strip()] = count * (1024 if words[1:] == ["kB"] else 1)
    return found


def available_memory(meminfo: Mapping[str, int]) -> int | None:
    """Bytes a new program could have: the kernel's own estimate, or before Linux 3.14 the free
    and the cached ones.
    """
    if (available := meminfo.get("MemAvailable")) is not None:
        return available
    if "MemFree" not in meminfo:
        return None
    cached = meminfo.get("Cached", 0) + meminfo.get("Buffers", 0) + meminfo.get("SReclaimable", 0)
    return meminfo["MemFree"] + max(0, cached - meminfo.get("Shmem", 0))


def parse_load(content: str) -> tuple[float, float, float] | None:
    """The load averages over 1, 5 and 15 minutes from /proc/loadavg."""
    words = content.split()[:3]
    try:
        one, five, fifteen = (float(word) for word in words)
    except ValueError:
        return None
    return (one, five, fifteen) if math.isfinite(one + five + fifteen) else None


def parse_pressure(content: str) -> dict[str, float]:
    """Ratios of the last ten seconds under ``some`` and ``full``, from a /proc/pressure file."""
    found = {}
    for line in content.splitlines():
        kind, *pairs = line.split() or [""]
        for pair in pairs:
            name, _, value = pair.partition("=")
            if name == "avg10" and kind in ("some", "full"):
                try:
                    ratio = float(value) / 100
                except ValueError:
                    continue
                if math.isfinite(ratio):
                    found[kind] = ratio
    return found


_ARM_PARTS = {
    (0x41, 0xD0C): "Neoverse N1", (0x41, 0xD40): "Neoverse V1", (0x41, 0xD49): "Neoverse N2",
    (0x41, 0xD4F): "Neoverse V2", (0x41, 0xD84): "Neoverse V3", (0x41, 0xD8E): "Neoverse N3",
    (0x4E, 0x004): "Carmel",
}  # fmt: skip
"""(implementer, part) of the MIDR register, which is all Arm machines say: those in servers
with GPUs, from Arm's and NVIDIA's core lists.
"""


def parse_cpu_model(content: str) -> str:
    """The processor's name from the first lines of /proc/cpuinfo, or an empty string."""
    values: dict[str, str] = {}
    for line in content.splitlines():
        name, colon, value = line.partition(":")
        if colon:
            values.setdefault(name.strip().lower(), " ".join(value.split()))
    for name in ("model name", "cpu model", "cpu", "hardware"):
        if values.get(name):
            return values[name]
    try:
        part = int(values["cpu implementer"], 16), int(values["cpu part"], 16)
    except (KeyError, ValueError):
        return ""
    return _ARM_PARTS.get(part, "")

"""What the host was doing while a device waited for it: one table, the surest first."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from gputop import text
from gputop.insight.cpu_use import SPAN_S
from gputop.insight.look import ROUNDING, Look, span_text
from gputop.insight.verdicts import Evidence

QUOTA_HELD = 0.02
"""Share of the time in which the quota stops a group from which it matters: chosen."""
MEMORY_AT_LIMIT = 0.95
PRESSURE = 0.1
"""Share of the time in which tasks waited (PSI) from which it matters: chosen."""
CORES_WAITING = 1.0
"""Cores that were idle for the disk (iowait)."""
CPU_FULL = 0.9
ONE_CORE = (0.9, 1.1)
"""Cores that a process with one thread at 100 % keeps busy, as it is measured."""


class Found(Struct, frozen=True):
    """What the host was doing, in a clause that goes on from "while"."""

    clause: str
    evidence: tuple[Evidence, ...]


class Cause(Struct, frozen=True):
    """One thing that can keep a host from feeding its devices."""

    key: str
    test: Callable[[Look], Found | None]
    advice: str


def _at(number: float | None, edge: float) -> bool:
    """Whether a number is known and at an edge or above. No edge here is wider for what stands:
    that a device is starved says nothing of the host.
    """
    return number is not None and number >= edge - ROUNDING


def _quota(look: Look) -> Found | None:
    held = look.scene.host_mean("cpu_throttled")
    if not _at(held, QUOTA_HELD):
        return None
    share = text.percent(held)
    return Found(
        f"the container's CPU quota stopped its processes {share} of the time",
        (look.said("CPU quota throttling", share),),
    )


def _memory(look: Look) -> Found | None:
    limits = look.scene.store.host.container
    if limits is not None and limits.memory_limit_bytes and limits.memory_used_bytes is not None:
        pair = text.bytes_pair(limits.memory_used_bytes, limits.memory_limit_bytes)
        if _at(limits.memory_used_bytes / limits.memory_limit_bytes, MEMORY_AT_LIMIT):
            return Found(
                f"the container's memory was at its limit ({pair})",
                (look.said("Container memory", pair, "now"),),
            )
    return _pressed(look, "memory", "memory")


def _pressed(look: Look, name: str, what: str) -> Found | None:
    waited = look.scene.host_mean(f"pressure_{name}_some")
    if not _at(waited, PRESSURE):
        return None
    share = text.percent(waited)
    return Found(
        f"tasks waited for {what} {share} of the time",
        (look.said(f"Pressure, {name}", share),),
    )


def _disk(look: Look) -> Found | None:
    if found := _pressed(look, "io", "the disk"):
        return found
    waiting, host = look.scene.host_mean("iowait"), look.scene.store.hello
    cores = host.host.cpu_count if host else None
    if waiting is None or not cores or not _at(waiting * cores, CORES_WAITING):
        return None
    return Found(
        f"{waiting * cores:.1f} cores waited for the disk",
        (look.said("iowait", text.percent(waiting)),),
    )


def _threads(look: Look) -> Found | None:
    full = []
    for process, _ in look.holders or ():
        cores = look.scene.cpu.of(process)
        if cores is None:
            continue
        each = cores / process.threads if process.threads else 0.0
        if ONE_CORE[0] <= cores <= ONE_CORE[1] or each >= ONE_CORE[0]:
            full.append((process, cores))
    if not full:
        return None
    evidence = tuple(
        look.said(f"CPU of {_name(process.name, process.pid)}", text.percent(cores),
                  span_text(SPAN_S))
        for process, cores in full[:3]
    )  # fmt: skip
    if len(full) == 1:
        process = full[0][0]
        threads = "a thread" if full[0][1] <= ONE_CORE[1] else "all threads"
        name = _name(process.name, process.pid)
        return Found(f"{threads} of {name} worked nearly all the time", evidence)
    return Found(
        f"{len(full)} of its processes each kept a core busy nearly all the time", evidence
    )


def _name(name: str | None, pid: int) -> str:
    return f"{text.clean(name, 16)} ({pid})" if name else str(pid)


def _cpu(look: Look) -> Found | None:
    load = look.scene.host_mean("cpu_utilization")
    if not _at(load, CPU_FULL):
        return _pressed(look, "cpu", "a free core")
    share = text.percent(load)
    return Found(f"the CPU was {share} busy", (look.said("CPU", share),))


CAUSES: tuple[Cause, ...] = (
    Cause("quota", _quota, "Raise the container's CPU limit, or start fewer loader threads."),
    Cause("memory", _memory, "Give it more host memory, or prefetch fewer batches."),
    Cause("disk", _disk, "Read the data from faster storage, or in larger and fewer files."),
    Cause("threads", _threads, "Start more loader processes, or do less work per sample on the "
          "CPU (decode on the GPU)."),
    Cause("cpu", _cpu, "Free the CPU: fewer other jobs, or less work per sample on it."),
)  # fmt: skip


def causes(look: Look) -> list[tuple[Cause, Found]]:
    """What speaks, the surest first."""
    spoken = ((cause, cause.test(look)) for cause in CAUSES)
    return [(cause, found) for cause, found in spoken if found is not None]

"""The container around the collector: what kind it is, and what its control groups allow."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import NamedTuple

from gputop import procfs
from gputop.collect.backend import Tick
from gputop.collect.clock import LONGEST_SPAN_S
from gputop.model.frame import ContainerLimits

INITIAL_PID_NAMESPACE = 0xEFFFFFFC
"""Inode of the PID namespace a machine boots with (PROC_PID_INIT_INO in Linux's proc_ns.h)."""

_BY_VARIABLE = (
    ("KUBERNETES_SERVICE_HOST", "kubernetes"),
    ("APPTAINER_CONTAINER", "apptainer"),
    ("SINGULARITY_CONTAINER", "apptainer"),
)
_BY_FILE = (
    ("/run/.containerenv", "podman"),
    ("/.dockerenv", "docker"),
    ("/.singularity.d", "apptainer"),
)
_BY_CGROUP = (
    ("kubepods", "kubernetes"),
    ("libpod", "podman"),
    ("docker", "docker"),
    ("containerd", "containerd"),
    ("lxc", "lxc"),
    ("machine.slice/machine-", "systemd-nspawn"),
)


def container_kind(environment: Mapping[str, str], root: str = "") -> str | None:
    """The kind of container we are in, or None. `root` stands before every path looked at."""
    for variable, kind in _BY_VARIABLE:
        if environment.get(variable):
            return kind
    for path, kind in _BY_FILE:
        if os.path.exists(root + path):
            return kind
    named = procfs.read_text(f"{root}/run/systemd/container") or environment.get("container")
    if named and named.strip():
        return named.strip()
    groups = procfs.read_text(f"{root}/proc/self/cgroup") or ""
    return next((kind for word, kind in _BY_CGROUP if word in groups), None)


def own_pid_namespace(proc: str = procfs.PROC) -> bool:
    """True when our PID namespace is not the machine's first one."""
    try:
        return os.stat(f"{proc}/self/ns/pid").st_ino != INITIAL_PID_NAMESPACE
    except OSError:
        return False


# -- control groups ----------------------------------------------------------------------------

NO_LIMIT = 1 << 60
"""Bytes. Version 1 writes "no limit" as the largest multiple of a page a counter can hold."""


class Mount(NamedTuple):
    """Where a control group hierarchy is mounted, and which of its groups is seen there."""

    point: str
    root: str
    version: int
    controllers: frozenset[str]


def parse_cgroup_mounts(mountinfo: str) -> list[Mount]:
    """The control group hierarchies in /proc/PID/mountinfo."""
    mounts = []
    for line in mountinfo.splitlines():
        before, separator, after = line.partition(" - ")
        fields, kind = before.split(" "), after.split(" ")
        if not separator or len(fields) < 5 or kind[0] not in ("cgroup", "cgroup2"):
            continue
        version = 2 if kind[0] == "cgroup2" else 1
        controllers = frozenset(kind[2].split(",")) if len(kind) > 2 else frozenset()
        mounts.append(Mount(_unescape(fields[4]), _unescape(fields[3]), version, controllers))
    return mounts


def parse_own_groups(cgroup: str) -> dict[str, str]:
    """Group of this process by controller from /proc/PID/cgroup; version 2 stands under ""."""
    groups = {}
    for line in cgroup.splitlines():
        parts = line.split(":", 2)
        if len(parts) == 3:
            for controller in parts[1].split(","):
                groups[controller] = parts[2]
    return groups


def group_folders(mount: Mount, group: str) -> list[str]:
    """The folders whose limits bind `group`: its own first, then those above it, up to the
    topmost that this mount shows.
    """
    inside = group
    if mount.root != "/" and (group + "/").startswith(mount.root.rstrip("/") + "/"):
        inside = group[len(mount.root) :]
    elif mount.root != "/" or ".." in group.split("/"):
        inside = "/"
    parts = [part for part in inside.split("/") if part]
    return ["/".join([mount.point, *parts[:n]]) for n in range(len(parts), -1, -1)]


def parse_cpu_max(content: str) -> tuple[float, float] | None:
    """(quota in cores, period in seconds) from version 2's cpu.max; None without a quota."""
    quota, _, period = content.strip().partition(" ")
    return _quota(quota, period or "100000")


def _quota(quota: str, period: str) -> tuple[float, float] | None:
    quota_us, period_us = procfs.parse_count(quota), procfs.parse_count(period)
    if not quota_us or not period_us:  # "max" or -1: there is no quota
        return None
    return quota_us / period_us, period_us / 1e6


def parse_flat(content: str) -> dict[str, int]:
    """The "name number" lines of cpu.stat and memory.stat."""
    found = {}
    for line in content.splitlines():
        name, _, value = line.partition(" ")
        count = procfs.parse_count(value)
        if count is not None:
            found[name] = count
    return found


class _Counters(NamedTuple):
    """What the CPU controller has counted since the group was made."""

    used_s: float | None
    throttled_periods: int | None


class ControlGroups:
    """This process's limits and what its group uses of them.

    The folders are found once. The tightest quota and the lowest memory limit on the way up
    bind, and the group they belong to is the one whose use is reported.
    """

    def __init__(self, proc: str = procfs.PROC) -> None:
        mounts = parse_cgroup_mounts(procfs.read_text(f"{proc}/self/mountinfo") or "")
        groups = parse_own_groups(procfs.read_text(f"{proc}/self/cgroup") or "")
        self._version: dict[str, int] = {}
        self._folders: dict[str, list[str]] = {}
        for controller in ("cpu", "cpuacct", "memory"):
            self._find(controller, mounts, groups)
        self._last: tuple[float, _Counters] | None = None

    def read(self, tick: Tick, host_memory_bytes: int | None) -> ContainerLimits | None:
        """The limits at this tick; None where nothing binds. A memory limit the machine cannot
        reach is none.
        """
        limits = ContainerLimits()
        self._read_cpu(tick, limits)
        self._read_memory(limits, host_memory_bytes)
        if limits.cpu_quota_cores is None and limits.memory_limit_bytes is None:
            return None
        return limits

    def _find(self, controller: str, mounts: list[Mount], groups: Mapping[str, str]) -> None:
        """Version 1 where the controller is mounted as such, else version 2."""
        for mount in mounts:
            if mount.version == 1 and controller in mount.controllers and controller in groups:
                self._version[controller] = 1
                self._folders[controller] = group_folders(mount, groups[controller])
                return
        for mount in mounts:
            if mount.version == 2 and "" in groups:
                self._version[controller] = 2
                self._folders[controller] = group_folders(mount, groups[""])
                return

    def _read_cpu(self, tick: Tick, limits: ContainerLimits) -> None:
        folder, quota = self._tightest_quota()
        last, self._last = self._last, None
        if folder is None or quota is None:
            return
        limits.cpu_quota_cores, period_s = quota
        counters = self._count_cpu(folder)
        self._last = tick.boottime_s, counters
        elapsed = tick.boottime_s - last[0] if last else 0.0
        if last is None or not 0 < elapsed <= LONGEST_SPAN_S:
            return
        if counters.used_s is not None and last[1].used_s is not None:
            limits.cpu_used_cores = max(0.0, counters.used_s - last[1].used_s) / elapsed
        if counters.throttled_periods is not None and last[1].throttled_periods is not None:
            held_back = max(0, counters.throttled_periods - last[1].throttled_periods)
            limits.cpu_throttled = min(1.0, held_back * period_s / elapsed)

    def _tightest_quota(self) -> tuple[str | None, tuple[float, float] | None]:
        found: tuple[str | None, tuple[float, float] | None] = (None, None)
        for folder in self._folders.get("cpu", ()):
            if self._version["cpu"] == 2:
                quota = parse_cpu_max(procfs.read_text(f"{folder}/cpu.max") or "")
            else:
                quota = _quota(
                    procfs.read_text(f"{folder}/cpu.cfs_quota_us") or "",
                    procfs.read_text(f"{folder}/cpu.cfs_period_us") or "",
                )
            if quota and (found[1] is None or quota[0] < found[1][0]):
                found = folder, quota
        return found

    def _count_cpu(self, folder: str) -> _Counters:
        """Throttling is counted in periods: the throttled *time* adds up over the cores, so it
        is no share of the time that passed.
        """
        stat = parse_flat(procfs.read_text(f"{folder}/cpu.stat") or "")
        used_s = stat["usage_usec"] / 1e6 if "usage_usec" in stat else self._used_v1(folder)
        return _Counters(used_s, stat.get("nr_throttled"))

    def _used_v1(self, folder: str) -> float | None:
        """Version 1 counts the time in the cpuacct hierarchy, which mostly has the same groups."""
        cpu, cpuacct = self._folders.get("cpu", []), self._folders.get("cpuacct", [])
        if len(cpu) != len(cpuacct):
            return None
        used = _number(f"{cpuacct[cpu.index(folder)]}/cpuacct.usage")
        return None if used is None else used / 1e9

    def _read_memory(self, limits: ContainerLimits, host_bytes: int | None) -> None:
        version = self._version.get("memory")
        limit_file = "memory.max" if version == 2 else "memory.limit_in_bytes"
        tightest: str | None = None
        for folder in self._folders.get("memory", ()):
            limit = _number(f"{folder}/{limit_file}")
            if limit is None or limit >= min(NO_LIMIT, host_bytes or NO_LIMIT):
                continue
            if limits.memory_limit_bytes is None or limit < limits.memory_limit_bytes:
                limits.memory_limit_bytes, tightest = limit, folder
        if tightest is None:
            return
        used = _number(f"{tightest}/memory.{'current' if version == 2 else 'usage_in_bytes'}")
        stat = parse_flat(procfs.read_text(f"{tightest}/memory.stat") or "")
        reclaimable = stat.get("inactive_file" if version == 2 else "total_inactive_file", 0)
        if used is not None:
            # File pages not in use are given back before the limit bites (Kubernetes calls what
            # remains the working set).
            limits.memory_used_bytes = max(0, used - reclaimable)


def _number(path: str) -> int | None:
    return procfs.parse_count(procfs.read_text(path) or "")


def _unescape(path: str) -> str:
    r"""A path of mountinfo, where \040 stands for a blank."""
    for code in ("040", "011", "012", "134"):
        path = path.replace(f"\\{code}", chr(int(code, 8)))
    return path

"""Control groups of both versions, laid out in a folder as the kernel shows them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gputop.collect import container
from gputop.collect.backend import Tick
from gputop.collect.container import ControlGroups, Mount, container_kind, group_folders
from gputop.model.frame import ContainerLimits

GIB = 1 << 30


def tick(seconds: float) -> Tick:
    return Tick(1, seconds, 1.8e9 + seconds, 1.0)


class Groups:
    """A /proc and a control group tree under one folder."""

    def __init__(self, folder: Path, version: int, group: str, mount_root: str = "/") -> None:
        self.tree = folder / "cgroup"
        self.proc = folder / "proc"
        (self.proc / "self").mkdir(parents=True)
        if version == 2:
            mounts, groups = [("cgroup2", "rw", self.tree)], [f"0::{group}"]
        else:
            names = ("cpu,cpuacct", "memory")
            mounts = [("cgroup", f"rw,{name}", self.tree / name) for name in names]
            groups = [f"{n}:{name}:{group}" for n, name in enumerate(names, 2)] + ["0::/"]
        lines = [
            f"{n} 20 0:{n} {mount_root} {str(point).replace(' ', chr(92) + '040')} rw - "
            f"{kind} {kind} {options}"
            for n, (kind, options, point) in enumerate(mounts, 30)
        ]
        (self.proc / "self/mountinfo").write_text("22 27 0:21 / /proc rw - proc proc rw\n")
        with (self.proc / "self/mountinfo").open("a") as file:
            file.write("\n".join(lines))
        (self.proc / "self/cgroup").write_text("\n".join(groups) + "\n")

    def write(self, path: str, content: object) -> None:
        file = self.tree / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{content}\n")

    def control(self) -> ControlGroups:
        return ControlGroups(str(self.proc))


def test_version_2_quota_use_and_throttling(tmp_path: Path) -> None:
    groups = Groups(tmp_path, 2, "/job")
    groups.write("job/cpu.max", "150000 100000")
    groups.write("job/cpu.stat", "usage_usec 1000000\nnr_periods 10\nnr_throttled 2")
    control = groups.control()
    first = control.read(tick(10.0), 8 * GIB)
    assert first == ContainerLimits(cpu_quota_cores=1.5)

    groups.write("job/cpu.stat", "usage_usec 3500000\nnr_periods 30\nnr_throttled 7")
    second = control.read(tick(12.0), 8 * GIB)
    assert second is not None
    assert second.cpu_used_cores == pytest.approx(1.25)
    assert second.cpu_throttled == pytest.approx(5 * 0.1 / 2)


def test_version_2_memory_without_what_the_kernel_gives_back(tmp_path: Path) -> None:
    groups = Groups(tmp_path, 2, "/job")
    groups.write("job/memory.max", 4 * GIB)
    groups.write("job/memory.current", 3 * GIB)
    groups.write("job/memory.stat", f"anon 5\ninactive_file {GIB}")
    limits = groups.control().read(tick(1.0), 8 * GIB)
    assert limits == ContainerLimits(memory_limit_bytes=4 * GIB, memory_used_bytes=2 * GIB)


def test_the_tightest_limit_on_the_way_up_binds(tmp_path: Path) -> None:
    groups = Groups(tmp_path, 2, "/slurm/job/step")
    groups.write("slurm/job/step/cpu.max", "max 100000")
    groups.write("slurm/job/cpu.max", "200000 100000")
    groups.write("slurm/cpu.max", "800000 100000")
    groups.write("slurm/job/step/memory.max", "max")
    groups.write("slurm/job/memory.max", 2 * GIB)
    groups.write("slurm/job/memory.current", GIB)
    groups.write("slurm/memory.max", 6 * GIB)
    limits = groups.control().read(tick(1.0), 8 * GIB)
    assert limits is not None
    assert limits.cpu_quota_cores == 2.0
    assert (limits.memory_limit_bytes, limits.memory_used_bytes) == (2 * GIB, GIB)


def test_a_group_mounted_as_root_is_found(tmp_path: Path) -> None:
    groups = Groups(tmp_path, 2, "/docker/abc/inner", mount_root="/docker/abc")
    groups.write("inner/cpu.max", "50000 100000")
    limits = groups.control().read(tick(1.0), None)
    assert limits == ContainerLimits(cpu_quota_cores=0.5)


def test_version_1(tmp_path: Path) -> None:
    groups = Groups(tmp_path / "with blank", 1, "/job")
    groups.write("cpu,cpuacct/job/cpu.cfs_quota_us", 400_000)
    groups.write("cpu,cpuacct/job/cpu.cfs_period_us", 200_000)
    groups.write("cpu,cpuacct/job/cpu.stat", "nr_periods 9\nnr_throttled 1\nthrottled_time 5")
    groups.write("cpu,cpuacct/job/cpuacct.usage", 1_000_000_000)
    groups.write("memory/job/memory.limit_in_bytes", GIB)
    groups.write("memory/job/memory.usage_in_bytes", GIB // 2)
    groups.write("memory/job/memory.stat", "inactive_file 7\ntotal_inactive_file 512")
    control = groups.control()
    control.read(tick(1.0), 8 * GIB)
    groups.write("cpu,cpuacct/job/cpuacct.usage", 2_000_000_000)
    groups.write("cpu,cpuacct/job/cpu.stat", "nr_periods 99\nnr_throttled 99\nthrottled_time 5")
    assert control.read(tick(2.0), 8 * GIB) == ContainerLimits(
        cpu_quota_cores=2.0, cpu_used_cores=1.0, cpu_throttled=1.0,
        memory_limit_bytes=GIB, memory_used_bytes=GIB // 2 - 512,
    )  # fmt: skip


@pytest.mark.parametrize("unlimited", [9223372036854771712, 64 * GIB])
def test_a_limit_the_machine_cannot_reach_is_none(tmp_path: Path, unlimited: int) -> None:
    groups = Groups(tmp_path, 1, "/job")
    groups.write("cpu,cpuacct/job/cpu.cfs_quota_us", -1)
    groups.write("cpu,cpuacct/job/cpu.cfs_period_us", 100_000)
    groups.write("memory/job/memory.limit_in_bytes", unlimited)
    assert groups.control().read(tick(1.0), 32 * GIB) is None


def test_without_control_groups_nothing_binds(tmp_path: Path) -> None:
    assert ControlGroups(str(tmp_path)).read(tick(1.0), GIB) is None


def test_a_counter_that_starts_again_gives_no_negative_use(tmp_path: Path) -> None:
    groups = Groups(tmp_path, 2, "/job")
    groups.write("job/cpu.max", "100000 100000")
    groups.write("job/cpu.stat", "usage_usec 9000000\nnr_throttled 9")
    control = groups.control()
    control.read(tick(1.0), None)
    groups.write("job/cpu.stat", "usage_usec 10\nnr_throttled 0")
    limits = control.read(tick(2.0), None)
    assert limits is not None
    assert (limits.cpu_used_cores, limits.cpu_throttled) == (0.0, 0.0)


def test_a_group_outside_of_the_mount_stands_for_its_root() -> None:
    mount = Mount("/sys/fs/cgroup", "/", 2, frozenset())
    assert group_folders(mount, "/../../other") == ["/sys/fs/cgroup"]
    assert group_folders(mount, "/a/b") == [
        "/sys/fs/cgroup/a/b", "/sys/fs/cgroup/a", "/sys/fs/cgroup",
    ]  # fmt: skip
    inner = Mount("/sys/fs/cgroup", "/docker/abc", 2, frozenset())
    assert group_folders(inner, "/docker/abcdef") == ["/sys/fs/cgroup"]


PIECES = st.sampled_from(
    ["max", "-1", "9" * 5000, "100000", "0", " ", "\n", "nr_throttled", ":", " - ", "cgroup2", "²",
     "0::/", "cpu,memory", "\\040", "1e9"]
)  # fmt: skip


@given(st.text(max_size=300) | st.lists(PIECES, max_size=14).map("".join))
def test_what_is_no_control_group_file_breaks_nothing(text: str) -> None:
    assert all(mount.version in (1, 2) for mount in container.parse_cgroup_mounts(text))
    assert all(isinstance(path, str) for path in container.parse_own_groups(text).values())
    assert all(value >= 0 for value in container.parse_flat(text).values())
    quota = container.parse_cpu_max(text)
    assert quota is None or min(quota) > 0


@pytest.mark.parametrize(
    ("environment", "files", "kind"),
    [
        ({}, {}, None),
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, {".dockerenv": ""}, "kubernetes"),
        ({}, {".dockerenv": ""}, "docker"),
        ({}, {"run/.containerenv": ""}, "podman"),
        ({"APPTAINER_CONTAINER": "/x.sif"}, {}, "apptainer"),
        ({"container": "lxc"}, {}, "lxc"),
        ({}, {"run/systemd/container": "systemd-nspawn\n"}, "systemd-nspawn"),
        ({}, {"proc/self/cgroup": "0::/kubepods.slice/pod1\n"}, "kubernetes"),
        ({}, {"proc/self/cgroup": "0::/user.slice/session-1.scope\n"}, None),
    ],
)
def test_the_kind_of_container(
    tmp_path: Path, environment: dict[str, str], files: dict[str, str], kind: str | None
) -> None:
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    assert container_kind(environment, str(tmp_path)) == kind


def test_a_pid_namespace_is_told_by_its_inode(tmp_path: Path) -> None:
    (tmp_path / "self/ns").mkdir(parents=True)
    (tmp_path / "self/ns/pid").write_text("")
    assert container.own_pid_namespace(str(tmp_path))
    assert not container.own_pid_namespace(str(tmp_path / "none"))

"""Checks of hardware, kernel driver, library and devices."""

from __future__ import annotations

import errno
import grp
import os
import re
import stat
from pathlib import Path

from gputop.doctor.surroundings import Finding, Surroundings

_NVIDIA_VENDOR = "0x10de"
_DISPLAY_CLASS = "0x03"
"""PCI base class of display controllers: VGA 0x0300, 3D 0x0302."""
_INIT_PID_NAMESPACE = "pid:[4026531836]"
"""Inode of the machine's first PID namespace: PROC_PID_INIT_INO in the kernel's proc_ns.h."""

_INSTALL = "Install the NVIDIA driver (see nvidia.com/drivers or your distribution), then reboot."
_GIVE_DEVICES = (
    "Start the container with its GPUs: docker run --gpus all (NVIDIA Container Toolkit), podman "
    "--device nvidia.com/gpu=all, or a GPU resource in the pod."
)


def in_container(around: Surroundings) -> str | None:
    """What kind of container this is, or None."""
    if around.environ.get("KUBERNETES_SERVICE_HOST"):
        return "kubernetes"
    if around.exists(".dockerenv"):
        return "docker"
    if around.exists("run/.containerenv"):
        return "podman"
    return around.environ.get("container") or None


def in_wsl(around: Surroundings) -> bool:
    """Whether this is Linux inside Windows, whose driver lives on the Windows side."""
    release = around.read("proc/sys/kernel/osrelease") or ""
    return "microsoft" in release.lower()


def hardware(around: Surroundings) -> Finding:
    """NVIDIA display controllers on the PCI bus."""
    count = _pci_devices(around)
    if count:
        return Finding("ok", f"{count} NVIDIA device{'s' * (count > 1)} on the PCI bus")
    if in_wsl(around):
        return Finding("info", "WSL passes GPUs through Windows, not over the PCI bus")
    return Finding("info", "no NVIDIA device on the PCI bus (SoCs have none there)")


def _pci_devices(around: Surroundings) -> int:
    folder = around.root / "sys/bus/pci/devices"
    try:
        names = sorted(path.name for path in folder.iterdir())
    except OSError:
        return 0
    return sum(
        (around.read(f"sys/bus/pci/devices/{name}/vendor") or "").strip() == _NVIDIA_VENDOR
        and (around.read(f"sys/bus/pci/devices/{name}/class") or "").startswith(_DISPLAY_CLASS)
        for name in names
    )


def kernel_driver(around: Surroundings) -> Finding:
    """Whether the kernel module is loaded, and which."""
    version = _module_version(around)
    if version:
        return Finding("ok", f"kernel driver {version}")
    if not around.exists("proc/self"):
        return Finding(
            "warn", "without /proc it cannot be told which kernel driver is loaded",
            "Mount it: mount -t proc proc /proc.",
        )  # fmt: skip
    if in_wsl(around):
        if around.exists("dev/dxg"):
            return Finding("ok", "WSL with GPU access (/dev/dxg); the driver is on Windows")
        return Finding(
            "fail", "WSL without GPU access: there is no /dev/dxg",
            "Use WSL 2, update it (wsl --update), and install the NVIDIA driver on Windows.",
            no_driver=True,
        )  # fmt: skip
    if _pci_devices(around):
        remedy = (
            "Try modprobe nvidia; if it fails, install the driver for this kernel, or enrol its "
            "signature where Secure Boot is on (mokutil --sb-state)."
        )
        return Finding(
            "fail", "there is NVIDIA hardware, but no NVIDIA kernel driver is loaded", remedy,
            no_driver=True,
        )  # fmt: skip
    if in_container(around):
        return Finding(
            "fail", "the host has no NVIDIA kernel driver loaded",
            "Install or load the NVIDIA driver on the host of this container.", no_driver=True,
        )  # fmt: skip
    return Finding("fail", "no NVIDIA kernel driver is loaded", _INSTALL, no_driver=True)


def _module_version(around: Surroundings) -> str | None:
    said = around.read("proc/driver/nvidia/version") or ""
    found = re.search(r"\b(\d{3,}\.\d+(?:\.\d+)?)\b", said)
    return found[1] if found else said.strip() or None


def nouveau(around: Surroundings) -> Finding | None:
    """Nouveau drives the card, so NVIDIA's driver cannot."""
    modules = around.read("proc/modules") or ""
    if not any(line.startswith("nouveau ") for line in modules.splitlines()):
        return None
    return Finding(
        "warn" if _module_version(around) else "fail",
        "the nouveau driver is loaded",
        "Blacklist nouveau, rebuild the initramfs, install NVIDIA's driver and reboot.",
        no_driver=not _module_version(around),
    )


def container(around: Surroundings) -> Finding | None:
    """A container that was started without its GPUs."""
    kind = in_container(around)
    if kind is None:
        return None
    if _device_files(around) or around.exists("dev/dxg"):
        return Finding("ok", f"a container ({kind}) with GPU devices")
    return Finding(
        "fail", f"a container ({kind}) without /dev/nvidia*", _GIVE_DEVICES, no_driver=True
    )


def _device_files(around: Surroundings) -> list[Path]:
    try:
        found = sorted((around.root / "dev").iterdir())
    except OSError:
        return []
    return [path for path in found if re.fullmatch(r"nvidia(ctl|\d+|-uvm)", path.name)]


def device_files(around: Surroundings) -> Finding | None:
    """Whether this user may open the driver's device files."""
    files = _device_files(around)
    if not files:
        if _module_version(around) and in_container(around) is None:
            return Finding(
                "warn", "the driver is loaded, but there is no /dev/nvidia*",
                "Run nvidia-modprobe -c 0 -u as root, or start nvidia-persistenced.",
            )  # fmt: skip
        return None
    refused = [path for path in files if not _may_open(path)]
    if refused:
        return Finding(
            "fail", f"{_named(refused)} may not be opened ({_permissions(refused[0])})",
            _open_to(refused[0]),
        )  # fmt: skip
    return Finding("ok", f"{len(files)} device files, all of which may be opened")


def _may_open(path: Path) -> bool:
    """Only a refusal counts: a device that is busy or gone is not a matter of permission."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK))
    except OSError as error:
        return error.errno not in (errno.EACCES, errno.EPERM)
    return True


def _named(paths: list[Path]) -> str:
    more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
    return f"/dev/{paths[0].name}{more}"


def _permissions(path: Path) -> str:
    status = path.stat()
    return f"{stat.filemode(status.st_mode)}, user {status.st_uid}, group {status.st_gid}"


def _open_to(path: Path) -> str:
    """What lets this user in: the file's group where it may open the file, else root."""
    status = path.stat()
    if status.st_mode & 0o060 == 0o060 and status.st_gid:
        try:
            group = grp.getgrgid(status.st_gid).gr_name
        except KeyError:
            group = str(status.st_gid)
        return f"Join the group {group} (usermod -aG {group} USER) and log in again."
    return (
        "Have root allow it: chmod 0666 /dev/nvidia*, and NVreg_DeviceFileMode=0666 for the "
        "module; in a job, ask the scheduler for a GPU."
    )


def library(around: Surroundings) -> Finding | None:
    """Whether the driver's library loads."""
    answer = around.probe.get("library")
    if not answer:
        return _hang("loading the driver's library hangs") if around.probe.hung else None
    if "path" in answer:
        return Finding("ok", f"driver library {answer['path']}")
    path = around.environ.get("LD_LIBRARY_PATH")
    looked = f"in LD_LIBRARY_PATH ({path}), " if path else "in "
    finding = f"{answer['error']}; looked {looked}ldconfig's cache and the standard folders"
    if in_wsl(around):
        remedy = "Add /usr/lib/wsl/lib to ldconfig, and install the NVIDIA driver on Windows."
    elif in_container(around):
        remedy = _GIVE_DEVICES + " NVIDIA_DRIVER_CAPABILITIES must name utility."
    else:
        remedy = "Install the library of the driver's version (nvidia-utils, libnvidia-compute)."
    return Finding("fail", finding, remedy, no_driver=True)


_CODES: dict[int, tuple[str, bool]] = {
    3: ("The driver does not support this; update it.", False),
    4: ("Ask for access to /dev/nvidia*: see the device files above.", False),
    8: ("Connect the external power cables of the device.", False),
    9: ("Load the kernel driver: modprobe nvidia, or reboot.", True),
    12: ("Install the driver's library: see above.", True),
    15: ("A device was lost: reset or reboot, then check power and seating.", False),
    17: ("The operating system blocks the device: see the container and cgroup above.", False),
    18: (
        "The library is of another version than the loaded kernel driver, as after an upgrade: "
        "reboot, or unload and load the nvidia modules; in a container, start it anew.",
        False,
    ),
    28: (_INSTALL, True),
    999: (
        "Look into dmesg for NVRM and Xid; in a container a systemctl daemon-reload takes the "
        "devices away until it is started anew.",
        False,
    ),
}  # fmt: skip
"""What to do about a return code of nvmlInit, and whether it means that there is no driver."""


def opening(around: Surroundings) -> Finding | None:
    """Whether the driver opens."""
    probe = around.probe
    answer = probe.get("opened")
    if not answer:
        if "opening" not in probe.steps:
            return None
        if probe.hung:
            return _hang("opening the driver hangs")
        return Finding(
            "fail", f"opening the driver broke off ({probe.trouble or 'no message'})",
            "Install the driver anew; its library and kernel module may not fit.",
        )  # fmt: skip
    if answer["code"] == 0:
        version = probe.get("driver").get("version")
        return Finding("ok", f"NVML opens{f', driver {version}' if version else ''}")
    remedy, no_driver = _CODES.get(
        answer["code"], ("Look into dmesg for NVRM and Xid messages.", False)
    )
    finding = f"NVML does not open: {answer['error']} ({answer['code']}){_mismatch(around)}"
    return Finding("fail", finding, remedy, no_driver=no_driver)


def _hang(finding: str) -> Finding:
    remedy = "Look into dmesg for NVRM and Xid; a driver that hangs needs a reboot."
    return Finding("fail", finding, remedy)


def _mismatch(around: Surroundings) -> str:
    """The versions of library and kernel module, where both are known and differ."""
    loaded = _module_version(around)
    found = re.search(r"\.so\.(\d+\.[\d.]+)$", around.probe.get("library").get("path", ""))
    if found is None or loaded in (None, found[1]):
        return ""
    return f": the library is {found[1]}, the kernel driver {loaded}"


def devices(around: Surroundings) -> Finding | None:
    """Whether there are devices, and each of them answers."""
    probe = around.probe
    if probe.get("opened").get("code") != 0:
        return None
    count = probe.get("count").get("count")
    if count == 0:
        return Finding(
            "fail", "the driver works, but there is no device behind it",
            "See lspci -k for a device bound to vfio or nouveau, and dmesg for one that failed.",
            no_driver=True,
        )  # fmt: skip
    bad = [device for device in probe.devices if "name" not in device]
    if bad:
        indices = ", ".join(str(device["index"]) for device in bad)
        return Finding(
            "fail", f"device {indices} of {count} does not answer: {bad[0]['error']}",
            "Look into dmesg for NVRM and Xid; reset the device (nvidia-smi -r) or reboot.",
        )  # fmt: skip
    if count is None or len(probe.devices) < count:
        why = "hang" if probe.hung else "break off"
        said = probe.get("failed").get("error") or probe.trouble
        return Finding(
            "fail", f"reads of device {len(probe.devices)} {why}{f': {said}' if said else ''}",
            "Look into dmesg for NVRM and Xid; a driver that hangs needs a reboot.",
        )  # fmt: skip
    names = sorted({str(device["name"]) for device in probe.devices})
    return Finding("ok", f"{count} device{'s' * (count > 1)}: {', '.join(names)}")


def pid_namespace(around: Surroundings) -> Finding | None:
    """Whether the driver's pids are those this process sees."""
    try:
        namespace = os.readlink(around.root / "proc/self/ns/pid")
    except OSError:
        return None
    if namespace == _INIT_PID_NAMESPACE:
        return None
    return Finding(
        "warn", "this is a PID namespace of its own: the driver's pids may not be found here",
        "To see names and users of all processes, share the host's: docker run --pid=host.",
    )  # fmt: skip


def persistence(around: Surroundings) -> Finding | None:
    """Whether the driver stays loaded when nobody uses a device."""
    off = [device["index"] for device in around.probe.devices if device.get("persistence") is False]
    if not off:
        return None
    return Finding(
        "info", f"persistence mode is off on device {', '.join(map(str, off))}",
        "Starts take seconds while nobody uses the device; enable nvidia-persistenced.",
    )  # fmt: skip


def kernel_log(around: Surroundings) -> Finding | None:
    """Whether the Xids of before the start can be read."""
    try:
        fd = os.open(around.root / "dev/kmsg", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except PermissionError:
        return Finding(
            "info", "the kernel's log (/dev/kmsg) is denied",
            "Xids from before the start are shown where the journal can be read: join the group "
            "systemd-journal, or have kernel.dmesg_restrict set to 0.",
        )  # fmt: skip
    except OSError:
        return None  # a container has none
    os.close(fd)
    return Finding("ok", "readable: Xids from before the start are shown")

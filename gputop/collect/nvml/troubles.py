"""What to tell a person about a driver or a device that does not work: two tables."""

from __future__ import annotations

from msgspec import Struct

from gputop.collect.nvml import abi
from gputop.model.frame import DeviceStatus, DriverStatus


class DriverTrouble(Struct, frozen=True):
    """Why the driver cannot be opened, and what to do."""

    status: DriverStatus
    message: str
    remedy: str


_DOCTOR = "Run 'gputop doctor' and look for NVRM lines in the kernel log (dmesg)."

_DRIVER: dict[int, DriverTrouble] = {
    abi.LIBRARY_NOT_FOUND: DriverTrouble(
        "absent", "The NVIDIA driver library (libnvidia-ml.so.1) was not found.",
        "Install the NVIDIA driver; start a container with the NVIDIA runtime (--gpus all)."),
    abi.DRIVER_NOT_LOADED: DriverTrouble(
        "absent", "The NVIDIA kernel driver is not loaded.",
        "Load it with 'modprobe nvidia'; if that fails, reinstall the driver or reboot."),
    abi.GPU_NOT_FOUND: DriverTrouble(
        "absent", "The NVIDIA driver found no GPU.",
        "Check with lspci that the card is seen; start a container with --gpus all."),
    abi.NO_PERMISSION: DriverTrouble(
        "failed", "There is no permission to use the NVIDIA driver.",
        "Ask for access to /dev/nvidiactl and /dev/nvidia*."),
    abi.VERSION_MISMATCH: DriverTrouble(
        "failed", "The driver library and the kernel driver have different versions.",
        "After an upgrade reload the kernel driver or reboot; the collector must start afresh "
        "to load a new library."),
    11: DriverTrouble(
        "failed", "The kernel found a problem with a GPU's interrupts.",
        "Check the kernel log (dmesg) and the slot, then reboot."),
    17: DriverTrouble(
        "failed", "The operating system blocked the NVIDIA driver library.",
        "Check the container's device permissions and the system's security policy."),
    abi.UNKNOWN: DriverTrouble(
        "failed", "The NVIDIA driver answered an unknown error (999).",
        "In a container this follows 'systemctl daemon-reload': restart the container; "
        "otherwise reload the driver."),
}  # fmt: skip

NO_DEVICES = DriverTrouble(
    "absent", "The NVIDIA driver works but lists no GPU.",
    "Check with lspci that the card is seen; start a container with --gpus all.",
)  # fmt: skip
STUCK_INIT = DriverTrouble(
    "stuck", "The NVIDIA driver does not answer to being opened.",
    "Check the kernel log (dmesg); a reboot may be needed if it stays so.",
)  # fmt: skip
STUCK_RELEASE = DriverTrouble(
    "stuck", "A call into the NVIDIA driver does not return, so the driver is still held.",
    "It is let go as soon as the call returns; to force it, end gputop.",
)  # fmt: skip
STUCK_REOPEN = DriverTrouble(
    "stuck", "The NVIDIA driver has to be opened again, but a call into it does not return.",
    "That is done as soon as it returns; to do it now, end gputop and start it again.",
)  # fmt: skip
RELEASED = DriverTrouble("released", "The driver is released.", "Press x to take it back.")
RELEASING = DriverTrouble("ok", "The driver is being released.", "")


def too_many(count: int) -> DriverTrouble:
    """The driver lists more devices than there can be."""
    return DriverTrouble(
        "failed", f"The NVIDIA driver says that there are {count} GPUs, which cannot be.", _DOCTOR
    )


def driver_trouble(code: int) -> DriverTrouble:
    """What a return code of the library's init means."""
    return _DRIVER.get(code) or DriverTrouble(
        "failed", f"The NVIDIA driver cannot be opened: it answered error {code}.", _DOCTOR
    )


def binding_trouble(message: str) -> DriverTrouble:
    """The Python binding does not fit; `message` says how."""
    return DriverTrouble(
        "failed", message,
        "Run 'pip uninstall pynvml' and 'pip install --force-reinstall nvidia-ml-py' in gputop's "
        "environment.",
    )  # fmt: skip


class DeviceTrouble(Struct, frozen=True):
    """What is wrong with one device, and what to do."""

    status: DeviceStatus
    detail: str


_DEVICE: dict[int, DeviceTrouble] = {
    abi.GPU_IS_LOST: DeviceTrouble(
        "lost", "The GPU has fallen off the bus: check the kernel log for Xid 79, then its power "
        "cables and seating, and reboot."),
    abi.RESET_REQUIRED: DeviceTrouble(
        "lost", "The GPU needs a reset: end its jobs and run 'nvidia-smi --gpu-reset', or reboot."),
    abi.INVALID_ARGUMENT: DeviceTrouble(
        "lost", "The driver no longer knows this GPU; it is looked for again every few seconds."),
    abi.NOT_FOUND: DeviceTrouble(
        "lost", "The driver no longer lists this GPU; it is looked for again every few seconds."),
    abi.GPU_NOT_FOUND: DeviceTrouble(
        "lost", "The driver no longer lists this GPU; it is looked for again every few seconds."),
    abi.NO_PERMISSION: DeviceTrouble(
        "error", "There is no permission to open this GPU: ask for access to its /dev/nvidia* "
        "file."),
    8: DeviceTrouble(
        "error", "The GPU's power cables are not attached: attach them and reboot."),
    11: DeviceTrouble(
        "error", "The kernel found a problem with the GPU's interrupts: check the kernel log "
        "(dmesg) and reboot."),
    abi.UNKNOWN: DeviceTrouble(
        "error", "The driver answers an unknown error (999) for this GPU: in a container restart "
        "the container, otherwise check the kernel log (dmesg)."),
}  # fmt: skip

DOES_NOT_ANSWER = (
    "The driver does not answer for this GPU: check the kernel log (dmesg) for Xid lines; it goes "
    "on by itself when the call returns."
)
DRIVER_RELEASED = "The driver is released; take it back to read this GPU."
OPENING = "The GPU is being opened."


def same_uuid(index: int) -> str:
    """What to say of a device that has the UUID of another one."""
    return (
        f"This GPU reports the UUID of GPU {index}, so the two cannot be told apart and only that "
        "one is read: compare `nvidia-smi -L`, and report it to whoever built the machine."
    )


def device_trouble(code: int) -> DeviceTrouble:
    """What a return code about a whole device means."""
    return _DEVICE.get(code) or DeviceTrouble(
        "error", f"The driver answers error {code} for this GPU: check the kernel log (dmesg)."
    )

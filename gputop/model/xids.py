"""NVIDIA's Xid catalogue: what a driver error code means, whose fault it is, what to do.

Names and immediate actions are those of "Analyzing Xid Errors with the Xid Catalog" in NVIDIA's
GPU deployment documentation (Ampere and newer, 2026); 61 is of the older catalogue. The fault is
what the catalogue's text says of the cause; severities are gputop's own (see the design).
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from gputop.model.nvml_tables import Severity

Fault = Literal["application", "hardware", "driver", "unknown"]
Action = Literal[
    "ignore", "restart_app", "reset_gpu", "reboot", "restart_vm", "check_mechanicals",
    "update_software", "nvlink", "follow", "contact_support",
]  # fmt: skip

ACTIONS: dict[Action, str] = {
    "ignore": "NVIDIA advises nothing to be done at once",
    "restart_app": "NVIDIA advises to restart the application",
    "reset_gpu": "NVIDIA advises to drain the jobs and reset the GPU",
    "reboot": "NVIDIA advises to reboot the machine",
    "restart_vm": "NVIDIA advises to restart the virtual machine",
    "check_mechanicals": "NVIDIA advises to check power cables and seating",
    "update_software": "NVIDIA advises to update driver and firmware",
    "nvlink": "NVIDIA advises to check the NVLink connection and to reset the GPU",
    "follow": "NVIDIA advises to follow what came with it",
    "contact_support": "NVIDIA advises to ask its support",
}
"""The catalogue's resolution buckets, in words."""

FAULTS: dict[Fault, str] = {
    "application": "usually the application's fault",
    "hardware": "a hardware fault",
    "driver": "a fault in the driver or its firmware",
    "unknown": "of a cause that is not certain",
}


class Xid(Struct, frozen=True):
    """A driver error code from the kernel log or the event set."""

    code: int
    name: str
    fault: Fault
    severity: Severity
    action: Action
    note: str = ""
    """More to the advice, where there is more to say."""

    @property
    def meaning(self) -> str:
        """One sentence: whose fault it is."""
        return f"The driver reported an error, {FAULTS[self.fault]}."

    @property
    def advice(self) -> str:
        """One sentence: what NVIDIA advises to do."""
        return f"{ACTIONS[self.action]}{'; ' if self.note else ''}{self.note}."


def _engines(name: str, *codes: int) -> tuple[Xid, ...]:
    """The codes of an engine's exceptions, which all mean the same."""
    return tuple(Xid(code, name, "unknown", "warning", "restart_app") for code in codes)


_DEBUG = "compute-sanitizer finds the access"
_AGAIN = "run diagnostics if it comes back"

_LISTED: tuple[Xid, ...] = (
    Xid(8, "GPU stopped processing", "unknown", "warning", "restart_app"),
    Xid(11, "corrupted push buffer", "application", "warning", "restart_app"),
    Xid(13, "graphics engine exception", "application", "warning", "restart_app", _DEBUG),
    Xid(25, "illegal push buffer", "application", "warning", "restart_app"),
    Xid(31, "memory page fault", "application", "warning", "restart_app", _DEBUG),
    Xid(32, "corrupted push buffer", "hardware", "warning", "restart_app",
        "check the PCIe link if it comes back"),
    Xid(37, "driver firmware error", "driver", "warning", "ignore"),
    Xid(38, "driver firmware error", "driver", "warning", "ignore"),
    Xid(43, "GPU stopped processing", "application", "warning", "ignore",
        "the GPU is healthy, the application has ended"),
    Xid(44, "fault during context switch", "unknown", "warning", "ignore"),
    Xid(45, "preemptive channel removal", "application", "notice", "follow",
        "alone it is a killed application"),
    Xid(46, "GPU stopped processing", "hardware", "critical", "reset_gpu", _AGAIN),
    Xid(48, "double-bit ECC error", "hardware", "critical", "reset_gpu", _AGAIN),
    Xid(54, "auxiliary power not connected", "hardware", "critical", "check_mechanicals"),
    Xid(61, "internal micro-controller breakpoint", "driver", "critical", "reset_gpu"),
    Xid(62, "internal micro-controller halt", "hardware", "critical", "reset_gpu", _AGAIN),
    Xid(63, "row remapping or page retirement recorded", "hardware", "notice", "ignore",
        "the memory is replaced at the next reset"),
    Xid(64, "row remapping or page retirement failed", "hardware", "critical", "reset_gpu",
        "have it replaced if the failure stays"),
    Xid(66, "illegal access by the driver", "driver", "warning", "ignore"),
    Xid(67, "illegal access by the driver", "driver", "warning", "ignore"),
    Xid(69, "graphics engine class error", "application", "warning", "restart_app"),
    Xid(74, "NVLink error", "hardware", "critical", "nvlink",
        "the device at the other end may be the cause"),
    Xid(78, "vGPU start error", "driver", "warning", "update_software"),
    Xid(79, "GPU has fallen off the bus", "hardware", "critical", "reboot",
        "check power cables, seating and temperature if it happens again"),
    Xid(80, "corrupted data sent to the GPU", "unknown", "warning", "restart_app"),
    Xid(92, "high single-bit ECC error rate", "hardware", "warning", "ignore",
        "run diagnostics if the rate stays"),
    Xid(93, "InfoROM wear limit exceeded", "driver", "notice", "ignore"),
    Xid(94, "contained memory error", "hardware", "warning", "restart_app",
        "reset the GPU when it is idle"),
    Xid(95, "uncontained memory error", "hardware", "critical", "reset_gpu", _AGAIN),
    Xid(109, "context switch timeout", "unknown", "warning", "reset_gpu"),
    Xid(110, "security fault", "hardware", "critical", "reset_gpu",
        "undo recent changes of hardware if it comes back"),
    Xid(119, "GSP RPC timeout", "driver", "critical", "reset_gpu",
        "power-cycle the machine if it stays"),
    Xid(120, "GSP error", "driver", "critical", "reset_gpu", "power-cycle the machine if it stays"),
    Xid(121, "corrected C2C link errors", "hardware", "notice", "ignore",
        "a reset at the next chance trains the link anew"),
    Xid(136, "NVLink training failed", "hardware", "critical", "reset_gpu"),
    Xid(137, "NVLink access fault", "application", "warning", "ignore", _DEBUG),
    Xid(140, "unrecovered ECC error", "hardware", "critical", "reset_gpu",
        "ask the vendor if it comes back"),
    Xid(141, "CUDA fast path error", "unknown", "warning", "ignore"),
    Xid(143, "GPU initialisation error", "hardware", "critical", "reset_gpu"),
    *(Xid(code, "NVLink error", "hardware", "critical", "nvlink") for code in range(144, 151)),
    Xid(151, "key rotation error", "driver", "warning", "restart_vm"),
    Xid(154, "recovery action changed", "driver", "warning", "follow",
        "the device's recovery action says what is asked for"),
    Xid(155, "NVLink down", "driver", "warning", "reset_gpu"),
    Xid(156, "resource retired", "hardware", "warning", "reset_gpu"),
    Xid(157, "resource retirement failed", "hardware", "warning", "ignore",
        "no spare is left, so it may come back"),
    Xid(158, "GPU fatal timeout", "hardware", "critical", "reset_gpu", _AGAIN),
    Xid(160, "channel retired", "driver", "warning", "ignore"),
    Xid(161, "channel retirement failed", "driver", "warning", "ignore"),
    Xid(171, "uncorrectable DRAM error", "hardware", "critical", "follow"),
    Xid(172, "uncorrectable SRAM error", "hardware", "critical", "follow"),
    *_engines("copy engine exception", 39, 40, 41, 70, 71, 72, 75, 76, 77, 85, *range(126, 136)),
    *_engines("video processor exception", 60, 68, 83, 84, 88, 89, 96, 97, 98),
    *_engines("JPEG engine exception", 82, *range(99, 106)),
    *_engines("optical flow exception", 86, 139),
)  # fmt: skip
XIDS: dict[int, Xid] = {xid.code: xid for xid in _LISTED}


def xid(code: int) -> Xid:
    """The catalogue's entry for a code, or one that says it is not in our table."""
    return XIDS.get(code) or Xid(
        code, "unlisted Xid", "unknown", "warning", "contact_support",
        "look the code up in its Xid catalogue",
    )  # fmt: skip

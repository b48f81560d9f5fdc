"""The table of driver faults: what goes wrong, and what is said of it on screen and in files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.fake_driver import R470_ABSENT, R535_ABSENT, Lines, many_processes, mig_instances

SIZE = (110, 44)
SHORT = 0.25
"""Of every deadline, where the row is about one that passes."""


AGES = {
    "ok": "", "lost": r"lost for (\d+) s", "timed_out": r"no answer for (\d+) s",
    "error": r"error for (\d+) s",
}  # fmt: skip
"""How long a device has been so, as its pane says; by its status."""


@dataclass(frozen=True)
class Fault:
    """Something wrong with device 0 of three."""

    name: str
    wrong: Lines
    shows: str
    """What stands at the device, as a pattern."""
    missing: Mapping[str, str] = field(default_factory=dict)
    """Fields of the device that have no value, and the reason (a pattern)."""
    values: Mapping[str, float | str | bool | None] = field(default_factory=dict)
    """Fields that have this value."""
    status: str = "ok"
    before: Lines = field(default_factory=dict)
    """How the machine is before it goes wrong."""
    late: bool = False
    """True when it goes wrong after the first readings; False when the program finds it so."""
    ready: str = r"temp +\d+/"
    """What stands at the device before it goes wrong late."""
    facts: str = ""
    """What stands on the device's own screen; its group is an age, which grows."""
    screen: str = ""
    """What stands anywhere on the overview."""
    absent: tuple[str, ...] = ()
    scale: float = 0.5
    returns: bool = False
    """True when the device is well again once the lines are gone."""
    unsteady: tuple[str, ...] = ()
    """Metrics that it has now and then."""

    def __str__(self) -> str:
        return self.name.replace(" ", "-")


def at(call: str, **what: str | int) -> Lines:
    """Something about a call on device 0."""
    return {f"device.0.call.{call}.{key}": value for key, value in what.items()}


def of(**keys: str | int) -> Lines:
    """Keys of device 0; a double underscore is a dot."""
    return {f"device.0.{key.replace('__', '.')}": value for key, value in keys.items()}


OLD_ACTIVITY = r"SM active +\d+ % \((\d+) s ago: "
OLD_TEMPERATURE = r" Temperature +\d+ °C \((\d+) s ago: "
NOTHING = Fault("nothing", {}, r"temp +\d+/")
"""The control run."""

UTIL, TEMP = "nvmlDeviceGetUtilizationRates", "nvmlDeviceGetTemperature*"
NOT_FOUND_AGAIN = {
    **at("nvmlDeviceGetHandleByIndex*", error=15), "call.nvmlDeviceGetHandleByUUID.error": 15,
}  # fmt: skip
NO_TEMP = {"temperature_c": "timed_out", "gpu_utilization": "timed_out"}
LISTS = [f"nvmlDeviceGet{kind}RunningProcesses*" for kind in ("Compute", "Graphics", "MPSCompute")]
NO_SAMPLES = at("nvmlDeviceGetSamples", error=3)
IDENTITY = ("HandleByIndex_v2", "HandleByUUID", "UUID", "Name", "Index", "PciInfo_v3")
EVERYTHING_ELSE = {
    **at("nvmlDevice*", error=3),
    **{f"device.0.call.nvmlDeviceGet{name}.error": 0 for name in IDENTITY},
}

FAULTS = (
    # -- reads that are refused
    Fault("utilisation not supported", {**at(UTIL, error=3), **NO_SAMPLES},
          r"util +– +not supported", {"gpu_utilization": "unsupported"}),
    Fault("memory denied", at("nvmlDeviceGetMemoryInfo*", error=4), r"mem +– .*no permission",
          {"memory_used_bytes": "denied", "memory_total_bytes": "denied"}),
    Fault("a read fails with an unknown error", at(TEMP, error=999),
          r"temp +– +the driver answered error 999", {"temperature_c": r"error\(999\)"}),
    Fault("a read fails with a code from the future", at(TEMP, error=31),
          r"temp +– +the driver answered error 31", {"temperature_c": r"error\(31\)"}),
    Fault("a read fails now and then", at("nvmlDeviceGetTemperatureV", error="999 every=3"),
          r"temp +\d+/", {}, facts=r" Temperature +\d+ °C", unsteady=("temperature_c",)),
    Fault("every optional read unsupported", EVERYTHING_ELSE,
          r"util +– +not supported(.*\n)+.*mem +–(.*\n)+.*power +–(.*\n)+.*temp +–",
          {"gpu_utilization": "unsupported", "power_w": "unsupported",
           "temperature_c": "unsupported", "memory_used_bytes": "unsupported"},
          facts="Not there"),
    # -- values that cannot be
    Fault("memory total 0", of(memory_total=0, memory_used=0), r"mem +– +not supported",
          {"memory_total_bytes": r"implausible\(0\)|unsupported"}),
    Fault("memory info unsupported on unified memory", at("nvmlDeviceGetMemoryInfo*", error=3),
          r"mem +– +not supported", {"memory_used_bytes": "unsupported"}),
    Fault("utilisation 101", of(gpu_utilization=101), r"util +– +.*answered 101, which",
          {"gpu_utilization": r"implausible\(101\)"}),
    Fault("utilisation all bits", of(gpu_utilization="na"), r"util +– ",
          {"gpu_utilization": r"implausible|unsupported"}),
    Fault("temperature 0", of(temperature=0), r"temp +– +.*answered 0, which",
          {"temperature_c": r"implausible\(0"}),
    Fault("temperature 255", of(temperature=255), r"temp +– +.*answered 255, which",
          {"temperature_c": r"implausible\(255"}),
    Fault("power of 4 MW", of(power_mw=4_000_000_000, samples__power="none"), r"power +– ",
          {"power_w": r"implausible|error"}),
    Fault("fan at 130 %", of(fans=1, fan_speed=130), r"util", {}, {"fan_speed": 1.3},
          facts=r"Fan +130 %"),
    Fault("fan at 100000 %", of(fans=1, fan_speed=100_000), r"util",
          {"fan_speed": r"implausible\(100000"}, facts="100000, which cannot be: Fan"),
    Fault("P-state 32", of(performance_state=32), r"\d MHz ─╮",
          {"performance_state": "unsupported|implausible"}),
    Fault("unknown reason bits", of(clocks_event_reasons=0x8000_8000), r"util +\d", {},
          {"event_reasons": 0x8000_8000}),
    Fault("reason bits beyond 32", of(clocks_event_reasons=0x1_0000_0000), r"util +\d",
          {"event_reasons": "implausible"}),
    Fault("an impossible PCIe width", of(pcie_width=4096), r"util",
          {"pcie_width": r"implausible\(4096"}),
    # -- names
    Fault("a name that is no UTF-8", of(name=r"NVIDIA \xff\xfeH100\xc3"),
          r"0 · \ufffd\ufffdH100\ufffd ", {}),
    Fault("a name that drives terminals", of(name=r"\x1b]52;c;Z290Y2hh\x07\x1b[2JH100\n\x1b[31m"),
          r"0 · ␛\]52;c;Z290Y2hh␇␛\[2JH100␊␛\[31m ", {}),
    Fault("a name in markup", of(name="[red]H100[/red] [@click=app.quit]x[/]"),
          r"0 · \[red\]H100\[/red\]", {}),
    Fault("a name of bidi and zero-width letters",
          of(name=r"H100\xe2\x80\xae\xe2\x80\x8bevil"), r"0 · H100.*evil", {}),
    Fault("an empty name", of(name=""), r"╭─ 0 ", {}),
    # -- fields
    Fault("field values fail one by one",
          {f"device.0.field.{n}": "0 return=3" for n in (82, 83, 186, 185, 164, 165)},
          r"util +\d", {}),
    Fault("a field value fails with 999", {"device.0.field.186": "0 return=999"}, r"util +\d",
          {"power_instant_w": r"error\(999\)"}),
    Fault("a field value of an unknown type", {"device.0.field.186": "7 type=77"}, r"util +\d",
          {"power_instant_w": r"error\(value_type\)"}),
    Fault("the call for field values fails", at("nvmlDeviceGetFieldValues", error=999),
          r"util +\d", {"power_instant_w": r"error\(999\)"}),
    # -- sample buffers, events, activity
    Fault("sample buffers empty", of(samples__power__count=0, samples__utilization__count=0),
          r"util +\d", {}),
    Fault("sample buffers not there", at("nvmlDeviceGetSamples", error=3), r"util +\d", {}),
    Fault("samples in duplicate", {"samples.duplicates": 1}, r"util +\d", {}),
    Fault("samples on the boot-time clock", {"samples.clock": "boottime"}, r"util +\d", {}),
    Fault("samples from tomorrow", {"samples.offset_us": 86_400_000_000}, r"util +\d", {}),
    Fault("events cannot be registered", at("nvmlDeviceRegisterEvents", error=3), r"util +\d", {}),
    Fault("waiting for events finds a lost device", {"call.nvmlEventSetWait*.error": 15},
          r"util +\d", {}),
    Fault("an Xid nobody knows", of(xid__0="999 seq=1"), r"util +\d", {}, late=True,
          screen=r"Xid 999|XID"),
    Fault("waiting for events fails", {"call.nvmlEventSetWait*.error": 999}, r"util +\d", {}),
    Fault("activity not there", of(gpm__supported=0), r"util +\d",
          {"sm_activity": "unsupported"}),
    *(Fault(f"activity samples {what}, answered with {answer}",
            of(gpm__samples=what) | {"gpm.bad_samples": answer}, r"util +\d",
            {"sm_activity": reason, "dram_activity": reason}, late=late, ready=r"sm \d+ %",
            facts=facts)
      for what, late, facts in (("identical", False, ""), ("reversed", True, OLD_ACTIVITY))
      for answer, reason in (("error", r"error\(2\)"), ("nan", r"implausible\(nan"))),
    Fault("an activity sample refused", at("nvmlGpmSampleGet", error=999), r"util +\d",
          {"sm_activity": r"error\(999\)"}, late=True, ready=r"sm \d+ %", facts=OLD_ACTIVITY),
    Fault("activity of another version", at("nvmlGpmQueryDeviceSupport", error=25), r"util +\d",
          {"sm_activity": r"unsupported|error\(25\)"}),
    Fault("activity that cannot be", of(gpm__2=-5, gpm__5=4000), r"util +\d",
          {"sm_activity": "implausible", "tensor_activity": "implausible"}),
    # Opened again it is as lost as before: else it would be there for a moment, again and again.
    Fault("lost between two activity samples",
          at("nvmlGpmSampleGet", error=15) | NOT_FOUND_AGAIN,
          r"lost for .*\n(.*\n)+.*✗ device lost", {"sm_activity": "lost", "power_w": "lost"},
          status="lost", late=True, facts=OLD_TEMPERATURE, returns=True),
    Fault("lost between a sample and its metrics",
          at("nvmlGpmMetricsGet", error=15) | NOT_FOUND_AGAIN,
          r"lost for .*\n(.*\n)+.*✗ device lost", {"sm_activity": "lost", "power_w": "lost"},
          status="lost", late=True, facts=OLD_TEMPERATURE, returns=True),
    # -- the device as a whole
    Fault("lost at the start", of(lost=1), r"lost for .*\n(.*\n)+.*✗ device lost",
          {"gpu_utilization": "lost", "temperature_c": "lost"}, status="lost"),
    Fault("lost in mid-run", of(lost=1), r"lost for .*\n(.*\n)+.*✗ device lost",
          {"gpu_utilization": "lost", "power_w": "lost"}, status="lost", late=True, returns=True,
          facts=OLD_TEMPERATURE, screen=r"✗ 1 critical"),
    Fault("needs a reset at the start", at("nvmlDeviceGetHandleByIndex*", error=16), r"lost",
          {"power_w": "lost"}, status="lost"),
    Fault("needs a reset", at("*", error=16), r"lost for .*\n(.*\n)+.*✗ device lost",
          {"gpu_utilization": "lost"}, status="lost", late=True, facts=OLD_TEMPERATURE,
          returns=True),
    Fault("its handle is denied", at("nvmlDeviceGetHandleByIndex*", error=4),
          r"error.*\n(.*\n)+.*✗ device not readable", {"power_w": "error|denied"}, status="error"),
    Fault("its power cables are off", at("nvmlDeviceGetHandleByIndex*", error=8),
          r"error.*\n(.*\n)+.*✗ device not readable", {"power_w": "error"}, status="error"),
    Fault("its interrupts do not work", at("nvmlDeviceGetHandleByIndex*", error=11),
          r"error.*\n(.*\n)+.*✗ device not readable", {"power_w": "error"}, status="error"),
    Fault("its handle is lost", at("nvmlDeviceGetHandleByIndex*", error=15), r"lost",
          {"power_w": "lost"}, status="lost"),
    Fault("its handle is unknown", at("nvmlDeviceGetHandleByIndex*", error=999),
          r"error.*\n(.*\n)+.*✗ device not readable", {"power_w": "error"}, status="error"),
    Fault("a call hangs for 30 s", at(TEMP, hang=30),
          r"no answer for .*\n(.*\n)+.*▲ driver does not answer", NO_TEMP, status="timed_out",
          late=True, facts=OLD_TEMPERATURE, scale=SHORT, returns=True),
    Fault("a call never returns", at(TEMP, hang="forever"),
          r"no answer for .*\n(.*\n)+.*▲ driver does not answer", NO_TEMP, status="timed_out",
          late=True, facts=OLD_TEMPERATURE, scale=SHORT, screen="▲ 1 warning"),
    Fault("it never answers at all", at("nvmlDeviceGet*", hang="forever"),
          r"no answer for .*\n(.*\n)+.*▲ driver does not answer", NO_TEMP, status="timed_out",
          scale=SHORT),
    Fault("every call takes 50 ms", at("nvmlDeviceGet*", delay_ms=50), r"util +\d", {}, scale=2),
    # -- old drivers
    Fault("an R470 driver", {**of(process__0="pid=100000 memory=1G sm=5")}, r"util +\d", {},
          absent=R470_ABSENT, screen=r" 0 +100000 .*1\.0 GiB"),
    Fault("an R535 driver", {**of(process__0="pid=100000 memory=1G sm=5")}, r"util +\d", {},
          absent=R535_ABSENT, screen=r" 0 +100000 .*1\.0 GiB"),
    # -- MIG
    Fault("a MIG parent", mig_instances(0),
          r"3 MIG instances", {"gpu_utilization": "unsupported", "memory_used_bytes": "denied"},
          {"mig_mode": True}, facts=r"MIG instances\n.*1g\.10gb +1\.0/9\.5 GiB"),
    Fault("the MIG layout changes", mig_instances(0, (0, 2)), r"3 MIG instances", {},
          before=mig_instances(0, (1,)), late=True),
    # -- processes
    Fault("500 processes", many_processes(500), r"500 processes", {}, screen="of 500"),
    Fault("a process list that outgrows its buffer", many_processes(500), r"500 processes", {},
          before=many_processes(3), late=True, screen="of 500"),
    Fault("process lists fail", {k: v for n in LISTS for k, v in at(n, error=999).items()},
          r"util +\d",
          {"processes": r"error\(999\)"},
          screen="Process lists are not readable: GPU 0"),
    Fault("process lists denied", {k: v for n in LISTS for k, v in at(n, error=4).items()},
          r"util +\d",
          {"processes": "denied"}, screen="GPU 0: [Nn]o permission"),
    Fault("pids that are none",
          of(process__0="pid=0 memory=1G", process__1="pid=4294967295 memory=1G",
             process__2="pid=100000 memory=2G"), r"1 process ", {}, screen=r" 0 +100000 .*2\.0"),
    Fault("process memory not available", of(process__0="pid=100000 memory=na sm=5"),
          r"1 process ", {}, screen=r" 0 +100000 – +(C +)?5 +(\d+ +)?– "),
    Fault("process utilisation not found",
          {**of(process__0="pid=100000 memory=1G"), "device.0.process_utilization.idle": 6},
          r"1 process ", {}, screen=r" 0 +100000 – .*1\.0 GiB"),
    Fault("process utilisation without rows",
          {**of(process__0="pid=100000 memory=1G"), "device.0.process_utilization.idle": 0},
          r"1 process ", {}, screen=r" 0 +100000 – .*1\.0 GiB"),
    Fault("process utilisation of 42949672 %", of(process__0="pid=100000 memory=1G sm=4294967295"),
          r"1 process ", {}, screen=r" 0 +100000 – +(C +)?– .*1\.0 GiB"),
    Fault("process utilisation from long ago", of(process__0="pid=100000 memory=1G sm=77 stamp=1"),
          r"1 process ", {}, screen=r" 0 +100000 – +(C +)?[–0] .*1\.0 GiB"),
    Fault("process utilisation unsupported",
          {**of(process__0="pid=100000 memory=1G sm=5"),
           **at("nvmlDeviceGetProcessUtilization", error=3),
           **at("nvmlDeviceGetProcessesUtilizationInfo", error=3)},
          r"1 process ", {}, screen=r" 0 +100000 – +(C +)?– .*1\.0 GiB"),
)  # fmt: skip


# -- the driver as a whole -------------------------------------------------------------------


@dataclass(frozen=True)
class Trouble:
    """A driver that cannot be opened."""

    name: str
    says: str
    """What the screen and the commands say, as a pattern."""
    remedy: str
    wrong: Lines = field(default_factory=dict)
    code: int = 3
    """The exit code of `snapshot`."""

    def __str__(self) -> str:
        return self.name.replace(" ", "-")

    def differs(self, saved: Mapping[str, Any]) -> str:
        """What else a document says of the driver, or that it tells of a device; empty where it
        agrees.
        """
        driver = saved["driver"]
        agrees = (
            driver["status"] in ("absent", "failed", "stuck")
            and re.search(self.says, driver["message"])
            and re.search(self.remedy, driver["remedy"])
            and saved["devices"] == []
        )
        return "" if agrees else f"{driver} {saved['devices']}"


TROUBLES = (
    Trouble("not loaded", "driver is not loaded", "modprobe nvidia", {"init.error": 9}),
    Trouble("library mismatch", "different versions", "reboot", {"init.error": 18}),
    Trouble("no GPU", "found no GPU", "lspci", {"init.error": 28}),
    Trouble("no permission", "no permission", "/dev/nvidia", {"init.error": 4}),
    Trouble("devices revoked in a container", r"error \(999\)", "restart the container",
            {"init.error": 999}),
    Trouble("blocked by the system", "blocked", "security policy", {"init.error": 17}),
    Trouble("a code nobody knows", "error 31", "gputop doctor", {"init.error": 31}),
    Trouble("no devices", "lists no GPU", "lspci", {"count": 0}),
    Trouble("four billion devices", "says that there are 4294967295 GPUs", "gputop doctor",
            {"count": 4_294_967_295}),
    Trouble("every call after init fails", "999", "container", {"call.nvml*.error": 999}),
    Trouble("it never opens", "does not answer to being opened", "dmesg",
            {"init.hang": "forever"}, 1),
)  # fmt: skip

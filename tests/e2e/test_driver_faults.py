"""What a sick driver looks like: a table of scenarios, each through the real program.

Every row is run the same way (`test_a_device_fault`): the screen says what is wrong at that
device and nowhere else, the other devices stay live, keys answer, the file that `e` writes says
what the screen says, leaving waits for nothing, and `gputop stream` and `gputop snapshot` find
the same on the same machine, in every format, with nothing that was not read among it.
"""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from tests.e2e.conftest import Driver, moving
from tests.e2e.program import Gputop, Records, Run, Start
from tests.e2e.unread import check_nothing_unread
from tests.fake_driver import (
    R470_ABSENT,
    R535_ABSENT,
    Lines,
    build,
    corrupt,
    many_processes,
    mig_instances,
)

SIZE = (110, 44)
SHORT = 0.25
"""Of every deadline, where the row is about one that passes."""


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
    facts: str = ""
    """What stands on the device's own screen."""
    screen: str = ""
    """What stands anywhere on the overview."""
    absent: tuple[str, ...] = ()
    scale: float = 0.5
    returns: bool = False
    """True when the device is well again once the lines are gone."""

    def __str__(self) -> str:
        return self.name.replace(" ", "-")


def at(call: str, **what: str | int) -> Lines:
    """Something about a call on device 0."""
    return {f"device.0.call.{call}.{key}": value for key, value in what.items()}


def of(**keys: str | int) -> Lines:
    """Keys of device 0; a double underscore is a dot."""
    return {f"device.0.{key.replace('__', '.')}": value for key, value in keys.items()}


UTIL, TEMP = "nvmlDeviceGetUtilizationRates", "nvmlDeviceGetTemperature*"
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
          r"temp +\d+/", {}, facts=r" Temperature +\d+ °C"),
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
            {"sm_activity": reason, "dram_activity": reason}, late=late)
      for what, late in (("identical", False), ("reversed", True))
      for answer, reason in (("error", r"error\(2\)"), ("nan", r"implausible\(nan"))),
    Fault("an activity sample refused", at("nvmlGpmSampleGet", error=999), r"util +\d",
          {"sm_activity": r"error\(999\)"}, late=True),
    Fault("activity of another version", at("nvmlGpmQueryDeviceSupport", error=25), r"util +\d",
          {"sm_activity": r"unsupported|error\(25\)"}),
    Fault("activity that cannot be", of(gpm__2=-5, gpm__5=4000), r"util +\d",
          {"sm_activity": "implausible", "tensor_activity": "implausible"}),
    # Opened again it is as lost as before: else it would be there for a moment, again and again.
    Fault("lost between two activity samples",
          {**at("nvmlGpmSampleGet", error=15), **at("nvmlDeviceGetHandleByIndex*", error=15)},
          r"lost for .*\n(.*\n)+.*✗ device lost", {"sm_activity": "lost", "power_w": "lost"},
          status="lost", late=True, returns=True),
    Fault("lost between a sample and its metrics",
          {**at("nvmlGpmMetricsGet", error=15), **at("nvmlDeviceGetHandleByIndex*", error=15)},
          r"lost for .*\n(.*\n)+.*✗ device lost", {"sm_activity": "lost", "power_w": "lost"},
          status="lost", late=True, returns=True),
    # -- the device as a whole
    Fault("lost at the start", of(lost=1), r"lost for .*\n(.*\n)+.*✗ device lost",
          {"gpu_utilization": "lost", "temperature_c": "lost"}, status="lost"),
    Fault("lost in mid-run", of(lost=1), r"lost for .*\n(.*\n)+.*✗ device lost",
          {"gpu_utilization": "lost", "power_w": "lost"}, status="lost", late=True, returns=True,
          screen=r"✗ 1 critical"),
    Fault("needs a reset at the start", at("nvmlDeviceGetHandleByIndex*", error=16), r"lost",
          {"power_w": "lost"}, status="lost"),
    Fault("needs a reset", at("*", error=16), r"lost for .*\n(.*\n)+.*✗ device lost",
          {"gpu_utilization": "lost"}, status="lost", late=True, returns=True),
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
          late=True, scale=SHORT, returns=True),
    Fault("a call never returns", at(TEMP, hang="forever"),
          r"no answer for .*\n(.*\n)+.*▲ driver does not answer", NO_TEMP, status="timed_out",
          late=True, scale=SHORT, screen="▲ 1 warning"),
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


def reason_in(device: Mapping[str, Any], name: str) -> str:
    return device["missing"].get(name) or device["status"]


def check_device(fault: Fault, device: Mapping[str, Any]) -> None:
    """A snapshot's device says what the table says."""
    assert device["status"] == fault.status, device["detail"]
    for name, reason in fault.missing.items():
        assert device.get(name) is None, f"{name} is {device[name]}"
        assert re.match(reason, reason_in(device, name)), device["missing"]
    for name, value in fault.values.items():
        assert device[name] == value, device["missing"]
    if fault.status != "ok":
        assert device["detail"].endswith("."), "it says what happened and what to do"


def check_document(fault: Fault, document: Mapping[str, Any]) -> None:
    """A snapshot says of the sick device what the table says, and of the others that they are
    well.
    """
    sick, *others = [each for each in document["devices"] if not _mig(each["uuid"])]
    check_device(fault, sick)
    assert [other["status"] for other in others] == ["ok", "ok"]
    assert None not in [other["gpu_utilization"] for other in others]


def check_records(fault: Fault, text: str) -> None:
    records = Records(text)
    check_nothing_unread(records.all)
    frame = records.last
    reading = frame.devices[0]
    assert reading.status == fault.status, reading.detail
    for name, reason in fault.missing.items():
        assert getattr(reading, name, None) is None
        assert re.match(reason, reading.reason(name) or ""), reading.missing
    for name, value in fault.values.items():
        assert getattr(reading, name) == value
    # What happens to one device happens to it alone.
    assert [other.status for other in frame.devices[1:3]] == ["ok", "ok"]
    assert (
        None not in [other.gpu_utilization for other in frame.devices if not _mig(other.uuid)][1:]
    )


def _mig(uuid: str) -> bool:
    return uuid.startswith("MIG")


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_a_device_fault(driver: Driver, gputop: Start, run: Run, fault: Fault) -> None:
    start = moving(3, **fault.before) | ({} if fault.late else fault.wrong)
    scenario = driver(start, absent=fault.absent)
    terminal = gputop(scenario, size=SIZE, scale=fault.scale)
    terminal.wait_alive(1, 1)
    if fault.late:
        terminal.wait_device(0, r"temp +\d+/")
        scenario.update(fault.wrong)
    terminal.wait_device(0, fault.shows)
    if fault.screen:
        terminal.wait_for(fault.screen)
    stream = run(scenario, "stream", "--interval", "0.25", "--count", "8", scale=fault.scale)
    snapshot = run(scenario, "snapshot", "--format", "json", scale=fault.scale)
    terminal.wait_alive(1)
    terminal.wait_alive(2, 1)
    assert not {osc for osc in terminal.osc if osc.startswith("52")}
    check_document(fault, terminal.saved_snapshot())
    if fault.facts:
        check_facts(terminal, fault.facts)
    terminal.check_keys_answer()
    check_records(fault, stream.check())
    check_document(fault, json.loads(snapshot.check()))
    if fault.returns:
        scenario.remove(*fault.wrong)
        terminal.wait_device(0, r"MHz · P0 ")
        terminal.wait_alive(0)
    terminal.check_leaves()


def check_facts(terminal: Gputop, shows: str) -> None:
    """Look at the device's own screen, on as large a window as it takes."""
    terminal.resize(140, 100)
    terminal.press("tab", "enter", shows="Bus id|UUID")
    terminal.wait_for(shows)
    terminal.press("esc", hides="UUID")
    terminal.press("tab")
    terminal.resize(*SIZE)


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
    """The exit code of `snapshot` and `stream --count`."""


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
    Trouble("every call after init fails", "999", "container", {"call.nvml*.error": 999}),
    Trouble("it never opens", "does not answer to being opened", "dmesg",
            {"init.hang": "forever"}, 1),
)  # fmt: skip


def check_driver(trouble: Trouble, document: Mapping[str, Any]) -> None:
    """A file says of the driver what the screen says, and of the devices nothing."""
    driver = document["driver"]
    assert driver["status"] in ("absent", "failed", "stuck")
    assert re.search(trouble.says, driver["message"])
    assert re.search(trouble.remedy, driver["remedy"])
    assert document["devices"] == []


def flat(terminal: Gputop) -> str:
    """The screen as one line, so that a sentence is found where it is wrapped."""
    return " ".join(terminal.text().split())


def wait_flat(terminal: Gputop, pattern: str) -> None:
    terminal.wait_for(lambda _: re.search(pattern, flat(terminal)))


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda trouble: trouble.name.replace(" ", "-"))
def test_a_driver_that_cannot_be_opened(
    driver: Driver, gputop: Start, run: Run, trouble: Trouble
) -> None:
    """The screen shows the CPU and what to do, the commands say the same and fail, and the GPUs
    are picked up when the driver appears.
    """
    scenario = driver({**moving(2), **trouble.wrong})
    terminal = gputop(scenario, scale=SHORT)
    wait_flat(terminal, trouble.says)
    wait_flat(terminal, trouble.remedy)
    terminal.wait_for(r"cpu +\d+ %")
    stream = run(scenario, "stream", "--interval", "0.25", "--count", "1", scale=SHORT)
    snapshot = run(scenario, "snapshot", scale=SHORT)
    terminal.check_keys_answer()
    check_driver(trouble, terminal.saved_snapshot())
    for command, code in ((stream, 3), (snapshot, trouble.code)):
        assert command.end() == code, command.errors
        assert re.search(trouble.says, command.errors)
        assert re.search(trouble.remedy, command.errors)
        assert command.errors.startswith("gputop: ")
        assert command.errors.count("\n") == 1
    assert snapshot.out == ""
    records = Records(stream.out)
    assert records.frames, "the host's load is there all the same"
    check_driver(trouble, {"driver": structs.asdict(records.hellos[-1].driver), "devices": []})
    check_nothing_unread(records.all)
    scenario.remove(*[key for key in trouble.wrong if key != "count"])
    if "count" in trouble.wrong:
        scenario.set("count", 2)
    terminal.wait_alive(1, 2)
    terminal.check_leaves()


def test_an_init_that_hangs_does_not_hold_up_leaving(driver: Driver, gputop: Start) -> None:
    terminal = gputop(driver({"count": 2, "init.hang": "forever"}), scale=SHORT)
    wait_flat(terminal, "does not answer to being opened")
    terminal.check_leaves()


def real_driver() -> bool:
    import ctypes

    try:
        ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        return False
    return True


@pytest.mark.skipif(real_driver(), reason="this machine has an NVIDIA driver: it is not absent")
def test_the_library_is_absent_and_then_there(
    driver: Driver, gputop: Start, run: Run, tmp_path: Path
) -> None:
    empty = tmp_path / "driver"
    empty.mkdir()
    scenario = driver(moving(2), library=empty)
    terminal = gputop(scenario, scale=SHORT)
    wait_flat(terminal, r"libnvidia-ml\.so\.1\) was not found")
    wait_flat(terminal, "Install the NVIDIA driver")
    terminal.wait_for(r"cpu +\d+ %")
    terminal.check_keys_answer()
    assert terminal.saved_snapshot()["devices"] == []
    for arguments in (("snapshot",), ("stream", "--count", "1")):
        command = run(scenario, *arguments)
        assert command.end() == 3
        assert "was not found" in command.errors
    (empty / "libnvidia-ml.so.1").symlink_to(build() / "libnvidia-ml.so.1")
    terminal.wait_alive(1, 2)
    terminal.check_leaves()


def test_a_corrupt_library(driver: Driver, gputop: Start, run: Run, tmp_path: Path) -> None:
    scenario = driver({}, library=corrupt(tmp_path / "corrupt"))
    terminal = gputop(scenario, scale=SHORT)
    wait_flat(terminal, r"libnvidia-ml\.so\.1")
    terminal.wait_for(r"cpu +\d+ %")
    terminal.check_keys_answer()
    assert terminal.saved_snapshot()["devices"] == []
    command = run(scenario, "snapshot")
    assert command.end() == 3
    assert command.errors.count("\n") == 1
    terminal.check_leaves()


# -- stories -------------------------------------------------------------------------------------


def test_the_driver_goes_uninitialised_in_mid_run(driver: Driver, gputop: Start) -> None:
    scenario = driver(moving(2))
    terminal = gputop(scenario, scale=SHORT)
    terminal.wait_alive(0, 1)
    scenario.set("call.nvmlDeviceGet*.error", "1 times=1")
    terminal.wait_alive(0, 4)
    terminal.wait_alive(1, 2)
    terminal.check_leaves()


def test_the_driver_is_unloaded_and_loaded_again(driver: Driver, gputop: Start) -> None:
    scenario = driver(moving(2))
    terminal = gputop(scenario, size=SIZE, scale=SHORT)
    terminal.wait_alive(0, 1)
    scenario.update({"init.error": 9, "call.nvmlDevice*.error": 9})
    wait_flat(terminal, "▲ The NVIDIA kernel driver is not loaded")
    terminal.check_keys_answer()
    assert terminal.saved_snapshot()["devices"][0]["gpu_utilization"] is None
    scenario.remove("init.error", "call.nvmlDevice*.error")
    terminal.wait_gone("is not loaded")
    terminal.wait_alive(0)
    terminal.wait_alive(1)
    terminal.check_leaves()


def test_the_devices_are_revoked_in_mid_run(driver: Driver, gputop: Start, run: Run) -> None:
    """`systemctl daemon-reload` takes a container's devices away: every call answers 999."""
    wrong = {"init.error": 999, "call.nvmlDevice*.error": 999}
    scenario = driver(moving(2))
    terminal = gputop(scenario, size=SIZE, scale=SHORT)
    terminal.wait_alive(0, 1)
    scenario.update(wrong)
    wait_flat(terminal, r"error \(999\).*restart the container")
    terminal.check_keys_answer()
    for device in terminal.saved_snapshot()["devices"]:
        assert device["status"] != "ok"
        assert device["gpu_utilization"] is None
    command = run(scenario, "snapshot", scale=SHORT)
    assert command.end() == 3
    assert "restart the container" in command.errors
    scenario.remove(*wrong)
    terminal.wait_gone("restart the container")
    terminal.wait_alive(0)
    terminal.check_leaves()


def test_an_upgrade_while_it_runs_starts_the_collector_afresh(
    driver: Driver, gputop: Start
) -> None:
    scenario = driver(moving(2))
    terminal = gputop(scenario, size=SIZE, scale=SHORT)
    terminal.wait_alive(0, 1)
    (first,) = terminal.collectors
    scenario.update({"init.error": 18, "call.nvmlDevice*.error": 18})
    wait_flat(terminal, "different versions|replaced")
    scenario.remove("init.error", "call.nvmlDevice*.error")
    terminal.wait_alive(0, 4)
    (now,) = terminal.collectors
    assert now != first, "only a new process can load the new library"
    terminal.check_leaves()


def test_a_device_comes_back_under_another_index(driver: Driver, gputop: Start) -> None:
    scenario = driver(moving(3, **{"device.1.name": "NVIDIA A100-SXM4-40GB"}))
    terminal = gputop(scenario, size=SIZE, scale=SHORT)
    terminal.wait_alive(2, 1)
    terminal.wait_device(1, "A100")  # they are opened side by side
    scenario.update({"order": "0 2", "count": 2})
    terminal.wait_for(r"A100.* lost for ")
    terminal.wait_alive(0)
    scenario.update({"order": "1 0 2", "count": 3, "device.1.generation": 2})
    terminal.wait_device(0, "A100.* P0 ")
    terminal.wait_alive(0)
    terminal.wait_device(1, "H100.* P0 ")
    assert len(re.findall("A100", terminal.text())) == 1
    terminal.check_leaves()


def test_a_device_appears(driver: Driver, gputop: Start) -> None:
    scenario = driver(moving(2))
    terminal = gputop(scenario, size=SIZE, scale=SHORT)
    terminal.wait_alive(1, 1)
    scenario.set("count", 3)
    terminal.wait_alive(2)
    terminal.wait_for("3 GPUs")
    assert len(terminal.saved_snapshot()["devices"]) == 3
    terminal.check_leaves()


def test_every_device_vanishes_and_comes_back(driver: Driver, gputop: Start) -> None:
    """They stay in their places, and say since when they are gone."""
    scenario = driver(moving(2))
    terminal = gputop(scenario, size=SIZE, scale=SHORT)
    terminal.wait_alive(1, 1)
    scenario.set("count", 0)
    for index in (0, 1):
        terminal.wait_device(index, r"lost for \d+ s|lists no GPU|error")
    terminal.check_keys_answer()
    devices = terminal.saved_snapshot()["devices"]
    assert [device["gpu_utilization"] for device in devices] == [None, None]
    scenario.set("count", 2)
    terminal.wait_alive(0)
    terminal.wait_alive(1)
    terminal.check_leaves()


def test_a_crash_in_the_library(driver: Driver, gputop: Start, run: Run) -> None:
    scenario = driver(moving(2))
    terminal = gputop(scenario, size=SIZE, scale=SHORT)
    terminal.wait_alive(0, 1)
    first = terminal.collectors
    scenario.set("device.0.crash", "nvmlDeviceGetTemperature*")
    wait_flat(terminal, r"▲ The collector was killed by signal 11.*the next attempt is in")
    terminal.wait_for(r"\d+ s old")
    terminal.check_keys_answer()
    command = run(scenario, "snapshot")
    assert command.end() == 1
    assert "gputop: " in command.errors
    assert command.errors.count("\n") == 1
    scenario.remove("device.0.crash")
    terminal.wait_gone("killed by signal")
    terminal.wait_alive(0)
    assert terminal.collectors != first
    terminal.check_leaves()


def test_counters_that_go_back_give_no_negative_rate(driver: Driver, run: Run) -> None:
    """Energy, PCIe and NVLink counters are set back while a stream runs."""
    scenario = driver(moving(1))
    stream = run(scenario, "stream", "--interval", "0.1", "--count", "40")
    names = ("energy_mj", "pcie_tx_bytes", "pcie_rx_bytes", "nvlink_tx_kib", "nvlink_rx_kib")
    scenario.update({f"device.0.{name}": "from 5" for name in names})
    frames = Records(stream.check()).frames
    rates = [
        getattr(frame.devices[0], name)
        for frame in frames
        if frame.devices
        for name in ("pcie_rx_bytes_per_s", "nvlink_rx_bytes_per_s", "nvlink_tx_bytes_per_s")
    ]
    known = [rate for rate in rates if rate is not None]
    assert known
    assert min(known) >= 0
    assert max(known) < 1e13


# -- letting go ----------------------------------------------------------------------------------


def test_releasing_closes_nvml_and_taking_back_opens_it(driver: Driver, gputop: Start) -> None:
    scenario = driver(moving(2), log_calls=True)
    terminal = gputop(scenario, size=SIZE)
    terminal.wait_alive(0, 1)
    terminal.press("x", shows=r"▲ The driver is released\. Press x to take it back")
    calls = scenario.calls()
    assert calls[-1].symbol == "nvmlShutdown"
    used = scenario.calls_path
    assert used is not None
    size = used.stat().st_size
    terminal.wait_frames()
    assert used.stat().st_size == size, scenario.calls()[len(calls) :]
    opened = [name for name in _open_files(terminal.collectors[0]) if "nvidia" in name]
    assert opened == []
    device = terminal.saved_snapshot()["devices"][0]
    assert device["gpu_utilization"] is None
    terminal.press("x", hides="The driver is released")
    terminal.wait_alive(0)
    terminal.wait_alive(1)
    assert scenario.calls()[len(calls)].symbol.startswith("nvmlInit")
    terminal.check_leaves()


def _open_files(pid: int) -> list[str]:
    return [os.readlink(path) for path in Path(f"/proc/{pid}/fd").iterdir() if path.exists()]


def test_a_collector_started_while_released_leaves_the_driver_alone(
    driver: Driver, gputop: Start
) -> None:
    """One call of nvmlInit is enough to spoil a reset, or to wake a laptop's GPU."""
    scenario = driver(moving(2), log_calls=True)
    terminal = gputop(scenario, size=SIZE, scale=SHORT)
    terminal.wait_alive(0, 1)
    terminal.press("x", shows=r"▲ The driver is released\. Press x to take it back")
    calls = len(scenario.calls())
    for _ in range(2):
        (pid,) = terminal.collectors
        os.kill(pid, signal.SIGKILL)
        wait_flat(terminal, "killed by signal 9")
        terminal.wait_for(r"▲ The driver is released\. Press x to take it back")
        terminal.wait_frames()
        devices = terminal.saved_snapshot()["devices"]
        assert [d["status"] for d in devices] == ["pending", "pending"], "as on screen"
        assert [d["gpu_utilization"] for d in devices] == [None, None]
    assert scenario.calls()[calls:] == []
    terminal.press("x", hides="The driver is released")
    terminal.wait_alive(0)
    assert scenario.calls()[calls].symbol.startswith("nvmlInit")
    terminal.check_leaves()


def test_releasing_while_a_call_hangs_says_so(driver: Driver, gputop: Start) -> None:
    scenario = driver(moving(2))
    terminal = gputop(scenario, size=SIZE, scale=SHORT)
    terminal.wait_alive(0, 1)
    scenario.update(at(TEMP, hang="forever"))
    terminal.wait_device(0, "no answer for")
    terminal.press("x")
    wait_flat(terminal, "▲ A call into the NVIDIA driver does not return, so the driver is still")
    terminal.check_keys_answer()
    scenario.remove(*at(TEMP, hang="forever"))
    wait_flat(terminal, "▲ The driver is released")
    terminal.press("x", hides="The driver is released")
    terminal.wait_alive(0)
    terminal.check_leaves()


# -- what must stay out --------------------------------------------------------------------------


def test_foreign_modules_in_the_working_folder_are_not_imported(
    driver: Driver, gputop: Start, folder: Path
) -> None:
    for name in ("psutil", "pynvml"):
        (folder / f"{name}.py").write_text("open('was-imported', 'w'); raise SystemExit(9)\n")
    terminal = gputop(driver(moving(1)))
    terminal.wait_alive(0)
    assert not (folder / "was-imported").exists()
    terminal.check_leaves()


def test_what_the_driver_prints_is_not_drawn(driver: Driver, gputop: Start) -> None:
    scenario = driver({**moving(1), "not.a.key": 1})
    terminal = gputop(scenario)
    terminal.wait_alive(0)
    for value in range(2, 6):
        scenario.set("not.a.key", value)
        terminal.wait_alive(0, 1)
    assert b"not.a.key" not in terminal.raw
    terminal.check_leaves()

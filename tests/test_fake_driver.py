"""The fake driver, asked by the real nvidia-ml-py in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.builds import compiler
from tests.fake_driver import (
    R470_ABSENT,
    Lines,
    Scenario,
    build,
    corrupt,
    geforce,
    h100s,
    many_processes,
    mig_instances,
)

pytestmark = pytest.mark.skipif(compiler() is None, reason="no C compiler to build the driver")

SAFETY_S = 60
"""Only to end a test that would otherwise hang; nothing here is about speed."""

# Reads one JSON string of Python a line, runs it, answers its value or its NVML code.
CHILD = """
import json, sys
from concurrent.futures import ThreadPoolExecutor
import pynvml as n
space = {"n": n, "pool": ThreadPoolExecutor(8)}
for line in sys.stdin:
    try:
        code = json.loads(line)
        try:
            value = eval(code, space)
        except SyntaxError:
            value = exec(code, space)
        answer = {"value": value}
    except n.NVMLError as error:
        answer = {"code": error.value}
    except Exception as error:
        answer = {"raised": type(error).__name__, "text": str(error)}
    print(json.dumps(answer, default=str), flush=True)
"""


class Session:
    """A process that has the driver loaded and answers questions."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.process = subprocess.Popen(
            [sys.executable, "-c", CHILD],
            env={**os.environ, **scenario.env()},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def answer(self, code: str) -> dict[str, Any]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(code) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            return {"exit": self.process.wait(SAFETY_S)}
        answer: dict[str, Any] = json.loads(line)
        return answer

    def ask(self, code: str) -> Any:
        answer = self.answer(code)
        assert "value" in answer, answer
        return answer["value"]

    def code(self, code: str) -> Any:
        return self.answer(code).get("code", 0)

    def until(self, code: str, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Ask again until the answer is as wanted (a rewrite is seen within 5 ms)."""
        deadline = time.monotonic() + SAFETY_S
        while not wanted(answer := self.answer(code)):
            assert time.monotonic() < deadline, answer
        return answer

    def until_value(self, code: str, value: Any) -> None:
        self.until(code, lambda answer: answer.get("value") == value)

    def until_code(self, code: str, error: int) -> None:
        self.until(code, lambda answer: answer.get("code", 0) == error)


Start = Callable[..., Session]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    sessions: list[Session] = []

    def start_one(
        lines: Lines,
        *,
        absent: tuple[str, ...] = (),
        init: bool = True,
        library: Path | None = None,
    ) -> Session:
        path = tmp_path / f"scenario{len(sessions)}"
        library = library or build(absent)
        session = Session(Scenario(path, lines, library=library, log_calls=True))
        sessions.append(session)
        if init:
            session.ask("n.nvmlInit()")
            session.ask(
                "h = [n.nvmlDeviceGetHandleByIndex(i) for i in range(n.nvmlDeviceGetCount())]"
            )
        return session

    yield start_one
    for session in sessions:
        session.process.kill()
        session.process.wait(SAFETY_S)
        for stream in (session.process.stdin, session.process.stdout):
            assert stream is not None
            stream.close()


# ---- values --------------------------------------------------------------------------------


def test_defaults_are_a_complete_moving_machine(start: Start) -> None:
    s = start(h100s(2))
    assert s.ask("n.nvmlSystemGetDriverVersion()") == "570.86.15"
    assert s.ask("n.nvmlDeviceGetName(h[1])") == "NVIDIA H100 80GB HBM3"
    assert s.ask("len({n.nvmlDeviceGetUUID(x) for x in h})") == 2
    assert s.ask("n.nvmlDeviceGetPciInfo(h[1]).busId") == "00000000:11:00.0"
    assert s.ask("n.nvmlDeviceGetCudaComputeCapability(h[0])") == [9, 0]
    assert 35 <= s.ask("n.nvmlDeviceGetUtilizationRates(h[0]).gpu") <= 99
    first = s.ask("n.nvmlDeviceGetTotalEnergyConsumption(h[0])")
    s.until("n.nvmlDeviceGetTotalEnergyConsumption(h[0])", lambda a: a["value"] > first)


def test_structs_and_their_versions(start: Start) -> None:
    s = start({"count": 1, "device.0.memory_used": "1G", "device.0.memory_reserved": 1000})
    old = s.ask("(lambda m: [m.total, m.used, m.free])(n.nvmlDeviceGetMemoryInfo(h[0]))")
    new = s.ask(
        "(lambda m: [m.total, m.used, m.free, m.reserved])"
        "(n.nvmlDeviceGetMemoryInfo(h[0], n.nvmlMemory_v2))"
    )
    assert old[1] == new[1] + new[3] == 2**30 + 1000
    assert new[0] == sum(new[1:])
    assert s.code("n.nvmlDeviceGetMemoryInfo(h[0], 0x03000028)") == 25
    assert s.ask("n.nvmlDeviceGetMarginTemperature(h[0])") in range(19, 55)
    assert s.ask("n.nvmlDeviceGetTemperatureV(h[0], 0)") in range(33, 69)
    fabric = "f = n.c_nvmlGpuFabricInfo_v{}_t(); n.nvmlDeviceGetGpuFabricInfoV(h[0], n.byref(f))"
    for version in (2, 3):
        s.ask(fabric.format(version))
        assert s.ask("f.state") == 3
    assert s.ask("f.healthSummary") == 1


def test_later_lines_and_the_particular_device_win(start: Start) -> None:
    s = start({"count": 2, "device.1.temperature": 7, "device.*.temperature": 50})
    assert s.ask("[n.nvmlDeviceGetTemperature(x, 0) for x in h]") == [50, 7]


def test_absurd_values_pass_through(start: Start) -> None:
    s = start(
        {
            "device.0.name": r"H\xff100",
            "device.0.fans": 1,
            "device.0.fan_speed": 130,
            "device.0.gpu_utilization": 101,
            "device.0.temperature": 255,
            "device.0.performance_state": 32,
            "device.0.clocks_event_reasons": "0x8000",
            "device.0.memory_total": 0,
            "device.0.energy_mj": "na",
            "device.0.serial": "error 31",
        }
    )
    assert s.answer("n.nvmlDeviceGetName(h[0])")["raised"] == "UnicodeDecodeError"
    assert s.ask("n.nvmlDeviceGetFanSpeed_v2(h[0], 0)") == 130
    assert s.ask("n.nvmlDeviceGetUtilizationRates(h[0]).gpu") == 101
    assert s.ask("n.nvmlDeviceGetTemperature(h[0], 0)") == 255
    assert s.ask("n.nvmlDeviceGetPerformanceState(h[0])") == 32
    assert s.ask("n.nvmlDeviceGetCurrentClocksEventReasons(h[0])") == 0x8000
    assert s.ask("n.nvmlDeviceGetMemoryInfo(h[0]).total") == 0
    assert s.ask("n.nvmlDeviceGetTotalEnergyConsumption(h[0])") == 2**64 - 1
    assert s.code("n.nvmlDeviceGetSerial(h[0])") == 31


def test_a_misspelt_key_is_told(tmp_path: Path) -> None:
    scenario = Scenario(tmp_path / "s", {"device.0.pwoer_mw": 1}, library=build())
    done = subprocess.run(
        [sys.executable, "-c", "import pynvml; pynvml.nvmlInit()"],
        env={**os.environ, **scenario.env()},
        capture_output=True,
        text=True,
        timeout=SAFETY_S,
        check=True,
    )
    assert "line 1: unknown key device.0.pwoer_mw" in done.stderr


# ---- counters ------------------------------------------------------------------------------


def test_energy_integrates_power_over_a_rewrite(start: Start) -> None:
    s = start({"device.0.power_mw": 500_000, "device.0.energy_mj": "from 1000"})
    read = "(time.monotonic(), n.nvmlDeviceGetTotalEnergyConsumption(h[0]))"
    s.ask("import time")
    t0, e0 = s.ask(read)
    t1, e1 = s.until(read, lambda a: a["value"][0] > t0 + 0.2)["value"]
    assert (e1 - e0) / (t1 - t0) == pytest.approx(500_000, rel=0.1)
    s.scenario.set("device.0.power_mw", 0)
    s.until_value("n.nvmlDeviceGetPowerUsage(h[0])", 0)
    still = s.ask("n.nvmlDeviceGetTotalEnergyConsumption(h[0])")
    assert still >= e1
    assert s.ask("n.nvmlDeviceGetTotalEnergyConsumption(h[0])") == still
    s.scenario.set("device.0.energy_mj", "from 5")
    s.until_value("n.nvmlDeviceGetTotalEnergyConsumption(h[0])", 5)


def test_throttle_time_grows_with_its_reason(start: Start) -> None:
    s = start({"count": 2, "device.0.clocks_event_reasons": "0x24"})
    read = "[[v.value.ullVal for v in n.nvmlDeviceGetFieldValues(x, [74, 269, 270])] for x in h]"
    before, idle = s.ask(read)
    assert idle == [0, 0, 0]
    s.until(read, lambda a: a["value"][0][0] > before[0] and a["value"][0][1] > before[1])
    assert s.ask(read)[0][2] == 0
    assert s.ask("n.nvmlDeviceGetViolationStatus(h[0], 0).violationTime") > before[0]


def test_pcie_counters_are_32_bits_wide(start: Start) -> None:
    s = start({"device.0.pcie_tx_kb_per_s": 0, "device.0.pcie_tx_bytes": f"from {2**32 + 17}"})
    read = "(lambda v: [v.valueType, v.value.ullVal])(n.nvmlDeviceGetFieldValues(h[0], [197])[0])"
    assert s.ask(read) == [1, 17]
    s.scenario.set("device.0.pcie_counter_bits", 64)
    s.until_value(read, [3, 2**32 + 17])


# ---- errors --------------------------------------------------------------------------------


def test_errors_of_calls(start: Start) -> None:
    s = start(
        {
            "count": 3,
            "device.1.call.nvmlDeviceGetPowerUsage.error": 4,
            "device.*.call.nvmlDeviceGetFan*.error": 3,
            "device.0.call.nvmlDeviceGetTemperature.error": "999 after=1 times=1",
        }
    )
    assert s.code("n.nvmlDeviceGetPowerUsage(h[0])") == 0
    assert s.code("n.nvmlDeviceGetPowerUsage(h[1])") == 4
    assert s.code("n.nvmlDeviceGetFanSpeed(h[0])") == 3
    assert [s.code("n.nvmlDeviceGetTemperature(h[0], 0)") for _ in range(3)] == [0, 999, 0]
    s.scenario.set("device.2.lost", 1)
    s.until_code("n.nvmlDeviceGetName(h[2])", 15)
    assert s.code("n.nvmlDeviceGetHandleByIndex(2)") == 15
    assert s.code("n.nvmlDeviceGetName(h[1])") == 0


def test_the_driver_appears(start: Start) -> None:
    s = start({"init.error": 9}, init=False)
    assert s.code("n.nvmlInit()") == 9
    s.scenario.remove("init.error")
    s.until("n.nvmlInit()", lambda a: "value" in a)
    assert s.ask("n.nvmlDeviceGetCount()") == 1


def test_uninitialised_and_shut_down(start: Start) -> None:
    s = start({})
    s.scenario.set("uninitialized", 1)
    s.until_code("n.nvmlDeviceGetCount()", 1)
    s.scenario.set("uninitialized", 0)
    s.until("n.nvmlDeviceGetCount()", lambda a: "value" in a)
    s.ask("n.nvmlShutdown()")
    assert s.code("n.nvmlDeviceGetCount()") == 1


def test_a_library_that_does_not_load(start: Start, tmp_path: Path) -> None:
    s = start({}, init=False, library=corrupt(tmp_path / "corrupt"))
    assert s.code("n.nvmlInit()") == 12


def test_a_reset_moves_indices_and_makes_handles_stale(start: Start) -> None:
    s = start({"count": 3})
    second = s.ask("n.nvmlDeviceGetUUID(h[1])")
    s.scenario.update({"generation": 2, "order": "0 2 1"})
    s.until_code("n.nvmlDeviceGetUUID(h[1])", 2)
    assert s.ask("n.nvmlDeviceGetUUID(n.nvmlDeviceGetHandleByIndex(2))") == second
    assert s.ask(f"n.nvmlDeviceGetIndex(n.nvmlDeviceGetHandleByUUID({second!r}.encode()))") == 2
    assert s.code("n.nvmlDeviceGetHandleByUUID(b'GPU-none')") == 6


def test_absent_symbols_are_not_in_the_library(start: Start) -> None:
    s = start(many_processes(1), absent=R470_ABSENT)
    assert s.code("n.nvmlDeviceGetMarginTemperature(h[0])") == 13
    assert s.code("n.nvmlDeviceGetCurrentClocksEventReasons(h[0])") == 13
    assert s.code("n.nvmlDeviceGetCurrentClocksThrottleReasons(h[0])") == 0
    assert s.answer("n.nvmlDeviceGetComputeRunningProcesses_v3(h[0])").get("code") == 13
    assert s.ask("n.nvmlDeviceGetComputeRunningProcesses_v2(h[0])[0].pid") == 100_000


def test_build_refuses_a_symbol_it_does_not_have() -> None:
    with pytest.raises(ValueError, match="nvmlDeviceGetColour"):
        build(("nvmlDeviceGetColour",))


def test_a_bare_geforce(start: Start) -> None:
    s = start(geforce())
    for call in ("GetEccMode", "GetRemappedRows", "GetMigMode", "GetSerial"):
        assert s.code(f"n.nvmlDevice{call}(h[0])") == 3
    assert s.code("n.nvmlDeviceGetNvLinkState(h[0], 0)") == 3
    assert s.ask("n.nvmlGpmQueryDeviceSupport(h[0]).isSupportedDevice") == 0
    assert s.code("n.nvmlGpmSampleGet(h[0], n.nvmlGpmSampleAlloc())") == 3
    assert 0 <= s.ask("n.nvmlDeviceGetFanSpeedRPM(h[0])") <= 2100


# ---- hanging and crashing -------------------------------------------------------------------


def test_a_hang_holds_up_no_other_device(start: Start) -> None:
    s = start({"count": 2, "device.1.call.nvmlDeviceGetTemperature.hang": "forever"})
    s.ask("f = pool.submit(n.nvmlDeviceGetTemperature, h[1], 0)")
    hung = ("nvmlDeviceGetTemperature", 1)
    deadline = time.monotonic() + SAFETY_S
    while hung not in [call[2:] for call in s.scenario.calls()]:
        assert time.monotonic() < deadline
    assert s.code("n.nvmlDeviceGetTemperature(h[0], 0)") == 0
    assert s.code("n.nvmlDeviceGetPowerUsage(h[1])") == 0
    assert s.ask("f.done()") is False
    s.scenario.remove("device.1.call.nvmlDeviceGetTemperature.hang")
    assert s.ask(f"f.result({SAFETY_S})") in range(33, 69)


def test_many_threads_while_the_scenario_changes(start: Start) -> None:
    s = start({"count": 4})
    s.ask("""
import threading
stop = threading.Event()
def work(x):
    count = 0
    while not stop.is_set():
        energy = n.nvmlDeviceGetTotalEnergyConsumption(x)
        n.nvmlDeviceGetUtilizationRates(x)
        assert n.nvmlDeviceGetTotalEnergyConsumption(x) >= energy
        count += 1
    return count
fs = [pool.submit(work, x) for x in h]
""")
    for i in range(50):
        power = 700_000 if i % 2 else 1000
        s.scenario.set("device.*.power_mw", power)
        s.until_value("n.nvmlDeviceGetFieldValues(h[0], [186])[0].value.uiVal", power)
    s.ask("stop.set()")
    assert all(count > 0 for count in s.ask(f"[f.result({SAFETY_S}) for f in fs]"))


def test_a_crash_in_the_library(start: Start) -> None:
    s = start({"count": 2, "device.1.crash": "nvmlDeviceGetTemperature"})
    assert s.code("n.nvmlDeviceGetTemperature(h[0], 0)") == 0
    assert s.answer("n.nvmlDeviceGetTemperature(h[1], 0)") == {"exit": -signal.SIGSEGV}


def test_delays_take_their_time(start: Start) -> None:
    s = start({"device.0.call.nvmlDeviceGetName.delay_ms": 30})
    s.ask("import time; t = time.monotonic(); n.nvmlDeviceGetName(h[0])")
    assert s.ask("time.monotonic() - t") >= 0.03


# ---- field values and samples ---------------------------------------------------------------


def test_field_values_answer_one_by_one(start: Start) -> None:
    s = start(
        {
            "device.0.field.82": "error 999",
            "device.0.field.186": "1.5 type=double latency=21",
            "device.0.field.5": f"{2**64 - 2} type=ull",
            "device.0.field.91": "3 type=9",
            "device.0.nvlink.4.state": 0,
            "device.0.nvlink_tx_kib": 1800,
        }
    )
    fields = "[82, 186, 5, 91, 9999, (165, 4), (165, 5), (138, 0xFFFFFFFF), (138, 2), 194]"
    s.ask(f"v = n.nvmlDeviceGetFieldValues(h[0], {fields})")
    assert s.ask("[x.nvmlReturn for x in v]") == [999, 0, 0, 0, 3, 0, 0, 0, 0, 0]
    assert s.ask("[v[1].valueType, v[1].value.dVal, v[1].latencyUsec]") == [0, 1.5, 21]
    assert s.ask("v[2].value.ullVal") == 2**64 - 2
    assert s.ask("v[3].valueType") == 9
    assert s.ask("[x.value.ullVal for x in v[5:9]]") == [0, 1, 1800, 100]
    assert s.ask("v[9].value.siVal") == -2


def test_samples_are_buffered_at_the_drivers_rate(start: Start) -> None:
    s = start({"count": 1})
    s.ask("t, p = n.nvmlDeviceGetSamples(h[0], 0, 0)")
    stamps = s.ask("[x.timeStamp for x in p]")
    assert len(stamps) == 120
    assert {round((b - a) / 1000) for a, b in pairwise(stamps)} == {20}
    assert s.ask("abs(p[-1].timeStamp - __import__('time').time_ns() // 1000)") < SAFETY_S * 1e6
    newer = s.until(
        f"[x.timeStamp for x in n.nvmlDeviceGetSamples(h[0], 0, {stamps[-1]})[1]]",
        lambda a: bool(a.get("value")),
    )
    assert min(newer["value"]) > stamps[-1]
    s.ask("t, u = n.nvmlDeviceGetSamples(h[0], 1, 0)")
    assert s.ask("[len(u), t]") == [100, 1]


def test_odd_sample_buffers(start: Start) -> None:
    s = start({"count": 2, "device.0.samples.gpu": "none", "device.1.samples.gpu": "5 6 7"})
    assert s.code("n.nvmlDeviceGetSamples(h[0], 1, 0)") == 6
    read = "[x.sampleValue.uiVal for x in n.nvmlDeviceGetSamples(h[1], 1, 0)[1]]"
    assert s.ask(read) == [5, 6, 7]
    s.scenario.set("samples.duplicates", 1)
    s.until_value(read, [5, 5, 6, 6, 7, 7])
    s.scenario.set("samples.clock", "boottime")
    s.ask("import time")
    s.until(
        "abs(n.nvmlDeviceGetSamples(h[1], 0, 0)[1][-1].timeStamp"
        " - time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000)",
        lambda a: a["value"] < SAFETY_S * 1e6,
    )


# ---- processes ------------------------------------------------------------------------------


def test_process_lists_grow(start: Start) -> None:
    s = start(many_processes(500) | {"device.0.process.9": "pid=77 type=G memory=na"})
    s.ask("from ctypes import byref, c_uint; c = c_uint(0)")
    s.ask("fn = n._nvmlGetFunctionPointer('nvmlDeviceGetComputeRunningProcesses_v3')")
    assert s.ask("[fn(h[0], byref(c), None), c.value]") == [7, 499]
    s.ask("c.value = 498; room = (n.c_nvmlProcessInfo_v3_t * 499)()")
    assert s.ask("[fn(h[0], byref(c), room), c.value]") == [7, 499]
    assert s.ask("[fn(h[0], byref(c), room), c.value]") == [0, 499]
    assert s.ask("[room[498].pid, room[498].gpuInstanceId]") == [100_499, 2**32 - 1]
    read = "[(p.pid, p.usedGpuMemory) for p in n.nvmlDeviceGetGraphicsRunningProcesses(h[0])]"
    assert s.ask(read) == [[77, None]]


def test_the_second_call_may_find_the_list_too_long(start: Start) -> None:
    name = "nvmlDeviceGetComputeRunningProcesses_v3"
    s = start(many_processes(2) | {f"device.0.call.{name}.error": "7 every=2"})
    assert s.code(f"n.{name}(h[0])") == 7


def test_process_utilisation(start: Start) -> None:
    s = start(
        {
            "count": 3,
            "device.0.process.0": "pid=10 sm=4294967295 mem=2 enc=3 dec=4 jpg=5 ofa=6",
            "device.0.process.1": "pid=11",
            "device.0.process.2": "pid=12 sm=1 stamp=123",
            "device.2.process_utilization.idle": 0,
        }
    )
    s.ask("rows = n.nvmlDeviceGetProcessUtilization(h[0], 0)")
    assert s.ask("[(r.pid, r.smUtil, r.memUtil, r.encUtil, r.decUtil) for r in rows]") == [
        [10, 2**32 - 1, 2, 3, 4],
        [12, 1, 0, 0, 0],
    ]
    assert s.ask("rows[1].timeStamp") == 123
    info = "n.nvmlDeviceGetProcessesUtilizationInfo(h[0], 0)"
    assert s.ask(f"[(r.pid, r.jpgUtil, r.ofaUtil) for r in {info}]") == [[10, 5, 6], [12, 0, 0]]
    assert s.code("n.nvmlDeviceGetProcessUtilization(h[1], 0)") == 6
    assert s.answer("n.nvmlDeviceGetProcessUtilization(h[2], 0)") == {"code": 0}


# ---- MIG, GPM, events ------------------------------------------------------------------------


def test_mig(start: Start) -> None:
    s = start(
        {"count": 1, **mig_instances(0, (0, 2))}
        | {"device.0.process.0": "pid=5 memory=1G gi=9 ci=0", "device.0.process.1": "pid=6 gi=7"}
    )
    assert s.ask("n.nvmlDeviceGetMigMode(h[0])") == [1, 1]
    handle = "n.nvmlDeviceGetMigDeviceHandleByIndex(h[0], {})"
    assert [s.code(handle.format(i)) for i in range(4)] == [0, 6, 0, 6]
    s.ask(f"m = {handle.format(2)}")
    assert s.ask("n.nvmlDeviceGetName(m)").endswith(" MIG 1g.10gb")
    assert s.ask("n.nvmlDeviceGetMemoryInfo(m).used") == 3 * 2**30
    assert s.ask("n.nvmlDeviceGetAttributes(m).memorySizeMB") == 9728
    assert s.ask("[n.nvmlDeviceGetGpuInstanceId(m), n.nvmlDeviceGetComputeInstanceId(m)]") == [9, 0]
    assert s.ask("[p.pid for p in n.nvmlDeviceGetComputeRunningProcesses(m)]") == [5]
    assert s.ask("bool(n.nvmlDeviceIsMigDeviceHandle(m))") is True
    parent = "n.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(m)"
    assert s.ask(f"n.nvmlDeviceGetUUID({parent}) == n.nvmlDeviceGetUUID(h[0])") is True
    assert s.ask(
        "n.nvmlDeviceGetUUID(n.nvmlDeviceGetHandleByUUID(n.nvmlDeviceGetUUID(m).encode()))"
    )
    assert s.code("n.nvmlDeviceGetUtilizationRates(h[0])") == 3
    assert s.code("n.nvmlDeviceGetMemoryInfo(h[0])") == 4
    s.scenario.remove("device.0.mig.2")
    s.until_code("n.nvmlDeviceGetName(m)", 2)


GPM = """
import time
def metrics(a, b, ids, version=1):
    g = n.c_nvmlGpmMetricsGet_t()
    g.version, g.numMetrics, g.sample1, g.sample2 = version, len(ids), a, b
    for i, metric in enumerate(ids):
        g.metrics[i].metricId = metric
    n.nvmlGpmMetricsGet(g)
    return [(g.metrics[i].nvmlReturn, g.metrics[i].value) for i in range(len(ids))]
a, b, blank = (n.nvmlGpmSampleAlloc() for _ in range(3))
n.nvmlGpmSampleGet(h[0], a)
n.nvmlGpmSampleGet(h[0], b)
"""


def test_gpm(start: Start) -> None:
    s = start(
        {
            "device.0.gpm.2": 80,
            "device.0.gpm.5": "error 3",
            "device.0.pcie_tx_kb_per_s": 1_048_576,
        }
    )
    s.ask(GPM)
    assert s.ask("n.nvmlGpmQueryDeviceSupport(h[0]).isSupportedDevice") == 1
    answers = s.ask("metrics(a, b, [2, 5, 20, 476])")
    assert [code for code, _ in answers] == [0, 3, 0, 3]
    assert [answers[0][1], answers[2][1]] == pytest.approx([80, 1000])
    assert s.code("metrics(a, b, [2], version=2)") == 25
    assert s.code("metrics(b, a, [2])") == 2
    assert s.code("metrics(a, blank, [2])") == 2
    s.scenario.set("gpm.bad_samples", "nan")
    s.until_value("metrics(a, a, [2])[0][1] != metrics(a, a, [2])[0][1]", True)
    s.scenario.set("device.0.lost", 1)
    s.until_code("metrics(a, b, [2])", 15)
    s.ask("[n.nvmlGpmSampleFree(x) for x in (a, b, blank)]")


def test_events_are_told_once(start: Start) -> None:
    s = start({"count": 2, "device.0.xid.0": "48 seq=1"})
    s.ask("e = n.nvmlEventSetCreate()")
    s.scenario.set("device.0.xid.1", "31 seq=1")
    assert s.code("n.nvmlEventSetWait_v2(e, 0)") == 10
    s.ask("[n.nvmlDeviceRegisterEvents(x, n.nvmlEventTypeXidCriticalError, e) for x in h]")
    assert s.ask("n.nvmlEventSetWait_v2(e, 0).eventData") == 31
    assert s.code("n.nvmlEventSetWait_v2(e, 0)") == 10
    s.ask(f"f = pool.submit(n.nvmlEventSetWait_v2, e, {SAFETY_S * 1000})")
    s.scenario.set("device.1.xid.0", "79 seq=1")
    s.ask(f"x = f.result({SAFETY_S})")
    assert s.ask("[x.eventType, x.eventData, n.nvmlDeviceGetIndex(x.device)]") == [8, 79, 1]
    s.scenario.set("device.1.xid.0", "79 seq=2")
    assert s.ask(f"n.nvmlEventSetWait_v2(e, {SAFETY_S * 1000}).eventData") == 79
    s.ask("n.nvmlEventSetFree(e)")


# ---- the log ---------------------------------------------------------------------------------


def test_calls_are_logged_with_thread_and_device(start: Start) -> None:
    s = start({"count": 2})
    s.ask("n.nvmlDeviceGetPowerUsage(h[1])")
    main = s.ask("__import__('threading').get_native_id()")
    calls = s.scenario.calls()
    assert [call[1:] for call in calls] == [
        (main, "nvmlInitWithFlags", -1),
        (main, "nvmlDeviceGetCount_v2", -1),
        (main, "nvmlDeviceGetHandleByIndex_v2", 0),
        (main, "nvmlDeviceGetHandleByIndex_v2", 1),
        (main, "nvmlDeviceGetPowerUsage", 1),
    ]
    assert calls == sorted(calls)

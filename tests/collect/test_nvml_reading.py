"""What the fake driver says becomes the fields of a reading, or the reason why there is none."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from gputop.model.metrics import METRICS, OF_INFO
from tests.collect.nvml_probe import machine
from tests.fake_driver import R470_ABSENT, R535_ABSENT, Scenario, geforce

STEADY = {
    "device.*.gpu_utilization": 87,
    "device.*.memory_utilization": 41,
    "device.*.memory_used": 60_000_000_000,
    "device.*.power_mw": 612_345,
    "device.*.temperature": 71,
    "device.*.sm_clock": 1980,
    "device.*.memory_clock": 2619,
    "device.*.performance_state": 2,
    "device.*.clocks_event_reasons": "0x24",
}


def test_the_fast_group(tmp_path: Path) -> None:
    with machine(tmp_path, STEADY) as (_, probe):
        reading = probe.ready().reading()
    assert reading.gpu_utilization == 0.87
    assert reading.memory_utilization == 0.41
    assert reading.memory_used_bytes == 60_000_000_000
    assert reading.memory_reserved_bytes == 501219328
    assert reading.memory_total_bytes == 85520809984
    assert reading.memory_free_bytes == 85520809984 - 501219328 - 60_000_000_000
    assert reading.power_w == reading.power_instant_w == 612.345
    assert reading.temperature_c == 71
    assert (reading.sm_clock_mhz, reading.memory_clock_mhz) == (1980, 2619)
    assert reading.performance_state == 2
    assert reading.sm_clock_state_max_mhz == 1755
    assert reading.event_reasons == 0x24
    assert reading.read_s is not None
    assert 0 < reading.read_s < 1


def test_the_medium_and_slow_groups(tmp_path: Path) -> None:
    lines = {
        "device.0.memory_temperature": 82,
        "device.0.energy_mj": "from 5000000",
        "device.0.violation.sw_thermal": "from 7000000000",
        "device.0.encoder_utilization": 12,
        "device.0.ofa_utilization": 3,
        "device.0.fans": 2,
        "device.0.fan.0.speed": 40,
        "device.0.fan.1.speed": 130,
        "device.0.nvlink.3.state": 0,
        "device.0.ecc.aggregate.uncorrected": 4,
        "device.0.remapped.pending": 1,
        "device.0.recovery_action": 1,
        "device.0.compute_mode": 3,
        "device.0.pcie_width": 8,
    }
    with machine(tmp_path, lines) as (_, probe):
        reading = probe.ready().reading()
    assert reading.memory_temperature_c == 82
    assert reading.energy_j == pytest.approx(5000, rel=0.5)
    assert reading.sw_thermal_violation_s == 7
    assert reading.encoder_utilization == 0.12
    assert reading.ofa_utilization == 0.03
    assert reading.fan_speeds == [0.4, 1.3]
    assert reading.fan_speed == 1.3
    assert reading.nvlink_active == 17
    assert reading.ecc_uncorrected_aggregate == 4
    assert reading.remap_pending is True
    assert reading.recovery_action == 1
    assert reading.compute_mode == 3
    assert reading.pcie_width == 8
    assert reading.mig_mode is False
    assert reading.power_limit_w == 700


def test_the_inventory(tmp_path: Path) -> None:
    with machine(tmp_path, {"count": 2, "driver_version": "580.65.06"}) as (_, probe):
        told = probe.ready(2)
    driver, (first, second) = told.answers.driver, told.answers.inventory
    assert (driver.status, driver.driver_version) == ("ok", "580.65.06")
    assert driver.cuda_version == "12.8"
    assert driver.since_s is not None
    assert (first.index, second.index) == (0, 1)
    assert first.uuid != second.uuid
    assert first.name == "NVIDIA H100 80GB HBM3"
    assert (first.architecture, first.compute_capability) == ("Hopper", "9.0")
    assert first.power_limit_max_w == 700
    assert first.temperature_slowdown_c == 89
    assert first.nvlink_count == 18
    assert first.missing == {}
    assert first.mine is None


def test_names_come_before_limits(tmp_path: Path) -> None:
    """A hello need not wait for slow reads: they follow, and say so until then."""
    lines = {"call.nvmlDeviceGetMaxClockInfo.hang": "forever"}
    with machine(tmp_path, lines) as (scenario, probe):
        told = probe.until(lambda told: told.answers.readings)
        assert told.reading().gpu_utilization is not None
        assert told.answers.inventory[0].name == "NVIDIA H100 80GB HBM3"
        assert told.answers.inventory[0].missing["sm_clock_max_mhz"] == "pending"
        scenario.remove("call.nvmlDeviceGetMaxClockInfo.hang")
        told = probe.until(lambda told: not told.answers.inventory[0].missing)
    assert told.answers.inventory[0].sm_clock_max_mhz == 1980


def test_every_field_has_a_value_or_a_reason(tmp_path: Path) -> None:
    with machine(tmp_path, geforce()) as (_, probe):
        told = probe.ready()
    reading, info = told.reading(), told.answers.inventory[0]
    for metric in METRICS:
        record = info if metric.name in OF_INFO else reading
        value, reason = getattr(record, metric.name), record.missing.get(metric.name)
        assert (value is None) == (reason is not None), (metric.name, value, reason)


OPTIONAL = (
    "nvmlDeviceGetFieldValues", "nvmlDeviceGetUtilizationRates", "nvmlDeviceGetPowerUsage",
    "nvmlDeviceGetClockInfo", "nvmlDeviceGetPerformanceState", "nvmlDeviceGetTemperature",
    "nvmlDeviceGetTemperatureV", "nvmlDeviceGetCurrentClocksEventReasons",
    "nvmlDeviceGetCurrentClocksThrottleReasons", "nvmlDeviceGetMemoryInfo",
    "nvmlDeviceGetMemoryInfo_v2", "nvmlDeviceGetBAR1MemoryInfo", "nvmlDeviceGetEncoderUtilization",
    "nvmlDeviceGetDecoderUtilization", "nvmlDeviceGetJpgUtilization",
    "nvmlDeviceGetOfaUtilization", "nvmlDeviceGetTotalEnergyConsumption",
    "nvmlDeviceGetEnforcedPowerLimit", "nvmlDeviceGetMarginTemperature",
    "nvmlDeviceGetCurrPcieLinkGeneration", "nvmlDeviceGetCurrPcieLinkWidth",
    "nvmlDeviceGetPcieReplayCounter", "nvmlDeviceGetPcieThroughput", "nvmlDeviceGetEccMode",
    "nvmlDeviceGetTotalEccErrors", "nvmlDeviceGetRemappedRows",
    "nvmlDeviceGetRetiredPagesPendingStatus", "nvmlDeviceGetComputeMode",
    "nvmlDeviceGetPersistenceMode", "nvmlDeviceGetMigMode", "nvmlDeviceGetNumFans",
    "nvmlDeviceGetFanSpeed", "nvmlDeviceGetSamples", "nvmlDeviceGetComputeRunningProcesses_v3",
    "nvmlDeviceGetGraphicsRunningProcesses_v3", "nvmlDeviceGetMPSComputeRunningProcesses_v3",
    "nvmlGpmQueryDeviceSupport",
)  # fmt: skip


def test_what_is_not_supported_is_asked_once(tmp_path: Path) -> None:
    lines = {f"device.0.call.{symbol}.error": 3 for symbol in OPTIONAL}
    with machine(tmp_path, lines) as (scenario, probe):
        told = probe.ready()
        for _ in range(3):
            told = probe.tick(slow=True)
            probe.ready()
        asked = Counter(call.symbol for call in scenario.calls() if call.device == 0)
    reading = told.reading()
    assert reading.status == "ok"
    assert set(reading.missing.values()) == {"unsupported"}
    assert all(getattr(reading, name, None) is None for name in reading.missing)
    often = {symbol: asked[symbol] for symbol in OPTIONAL if asked[symbol] > 4}
    # MigMode also tells whether there are instances, which may come at any time.
    assert set(often) <= {"nvmlDeviceGetMigMode", "nvmlDeviceGetFieldValues"}
    assert asked["nvmlDeviceGetFieldValues"] <= 10


def test_a_tick_makes_at_most_eight_calls(tmp_path: Path) -> None:
    with machine(tmp_path, {"count": 2}) as (scenario, probe):
        probe.ready(2)
        made = []
        for _ in range(9):
            before = len(scenario.calls())
            probe.tick(interval_s=0.1)
            made.append(sum(call.device == 1 for call in scenario.calls()[before:]))
    (usual, often), *_ = Counter(made).most_common()
    assert usual == 8
    assert often >= 5, "the other groups are not read on every tick"


@pytest.mark.parametrize("absent", [R535_ABSENT, R470_ABSENT], ids=["R535", "R470"])
def test_an_old_driver(tmp_path: Path, absent: tuple[str, ...]) -> None:
    lines = {**STEADY, "device.0.process.0": "pid=4242 type=C memory=1G sm=50 mem=20"}
    with machine(tmp_path, lines, absent=absent) as (_, probe):
        told = probe.until(lambda told: told.answers.uses)
        reading = probe.ready().reading()
    assert reading.gpu_utilization == 0.87
    assert reading.memory_total_bytes == 85520809984
    assert reading.temperature_c == 71
    assert reading.event_reasons == 0x24
    assert reading.temperature_margin_c is None
    assert reading.missing["temperature_margin_c"] == "unsupported"
    assert told.answers.uses[4242][0].memory_bytes == 1 << 30
    if absent is R470_ABSENT:
        assert reading.memory_reserved_bytes is None
        assert reading.missing["memory_reserved_bytes"] == "unsupported"
        assert reading.memory_used_bytes == 60_000_000_000 + 501219328
        assert reading.missing["sm_activity"] == "unsupported"


@pytest.mark.parametrize("answer", [2, 3], ids=["unknown number", "not supported"])
def test_power_without_the_numbered_fields(tmp_path: Path, answer: int) -> None:
    fields = {f"device.0.field.{field}": f"0 return={answer}" for field in (185, 186)}
    lines = {**STEADY, **fields}
    with machine(tmp_path, lines) as (scenario, probe):
        probe.ready()
        before = len(scenario.calls())
        reading = probe.tick(interval_s=0.01).reading()
        symbols = [call.symbol for call in scenario.calls()[before:]]
    assert reading.power_w == 612.345
    assert reading.power_instant_w is None
    assert reading.missing["power_instant_w"] == "unsupported"
    assert symbols.count("nvmlDeviceGetPowerUsage") == 1
    assert "nvmlDeviceGetFieldValues" not in symbols
    assert "nvmlDeviceGetUUID" not in symbols, "the handle is not doubted"


def test_power_of_the_moment_alone(tmp_path: Path) -> None:
    """GA100: power.draw is the power of the moment there."""
    with machine(tmp_path, {**STEADY, "device.0.field.185": "0 return=3"}) as (_, probe):
        reading = probe.ready().reading()
    assert reading.power_w == reading.power_instant_w == 612.345


@pytest.mark.parametrize(
    ("key", "value", "field", "reason"),
    [
        ("gpu_utilization", 101, "gpu_utilization", "implausible(101)"),
        ("gpu_utilization", "na", "gpu_utilization", "unsupported"),
        ("temperature", 0, "temperature_c", "implausible(0)"),
        ("temperature", 255, "temperature_c", "implausible(255)"),
        ("performance_state", 32, "performance_state", "implausible(32)"),
        ("clocks_event_reasons", "0x100000000", "event_reasons", "implausible(4294967296)"),
        ("clocks_event_reasons", "error 4", "event_reasons", "denied"),
        ("sm_clock", "error 999", "sm_clock_mhz", "error(999)"),
        ("compute_mode", 31, "compute_mode", "implausible(31)"),
        ("persistence_mode", 7, "persistence_mode", "implausible(7)"),
        ("remapped.failure", 2, "remap_failed", "implausible(2)"),
        ("fans", 1, "fan_speed", "unsupported"),
        ("field.82", "5 return=999", "memory_temperature_c", "error(999)"),
        ("field.82", "5 type=9", "memory_temperature_c", "error(value_type)"),
        ("field.83", "nan type=double", "energy_j", "implausible(nan)"),
        ("field.74", "5000000000 type=sll", "", ""),
    ],
)
def test_a_value_that_cannot_be(
    tmp_path: Path, key: str, value: str | int, field: str, reason: str
) -> None:
    with machine(tmp_path, {f"device.0.{key}": value}) as (_, probe):
        reading = probe.ready().reading()
    assert reading.status == "ok"
    assert reading.memory_clock_mhz == 2619, "one bad value spoils no other"
    if field:
        assert getattr(reading, field) is None
        assert reading.missing[field] == reason
    else:
        assert reading.power_violation_s == 5


def test_an_unknown_reason_bit_is_kept(tmp_path: Path) -> None:
    with machine(tmp_path, {"device.0.clocks_event_reasons": "0x8004"}) as (_, probe):
        assert probe.ready().reading().event_reasons == 0x8004


def test_a_device_that_shares_the_host_memory(tmp_path: Path) -> None:
    with machine(tmp_path, {"device.0.memory_total": 0, "device.0.memory_used": 0}) as (_, probe):
        reading = probe.ready().reading()
    assert reading.memory_total_bytes is None
    assert reading.memory_used_bytes is None
    assert reading.missing["memory_total_bytes"] == "unsupported"
    assert reading.missing["memory_used_bytes"] == "unsupported"


def test_a_name_that_is_no_utf8(tmp_path: Path) -> None:
    with machine(tmp_path, {"device.0.name": "Tesla \\xff\\xfe T4"}) as (_, probe):
        assert probe.ready().answers.inventory[0].name == "Tesla \ufffd\ufffd T4"


def test_renumbered_fields_are_not_asked_of_r575(tmp_path: Path) -> None:
    with machine(tmp_path, {"driver_version": "575.51.03"}) as (_, probe):
        reading = probe.ready().reading()
    assert reading.missing["sw_thermal_violation_s"] == "unsupported"
    assert reading.power_violation_s is not None


def test_pcie_rates_without_gpm(tmp_path: Path) -> None:
    lines = {**geforce(), "device.0.pcie_rx_kb_per_s": 2_000_000, "device.0.pcie_tx_kb_per_s": 7}
    with machine(tmp_path, lines) as (_, probe):
        reading = probe.ready().reading()
    assert reading.pcie_rx_bytes_per_s == 2e9
    assert reading.pcie_tx_bytes_per_s == 7000


def test_slow_reads_do_not_delay_fast_ones(tmp_path: Path) -> None:
    """With 0.5 s inside each PCIe call, ticks in between are still answered with new readings."""
    lines = {**geforce(), "device.*.call.nvmlDeviceGetPcieThroughput.delay_ms": 500}
    with machine(tmp_path, lines) as (scenario, probe):
        probe.until(lambda told: told.answers.readings)
        while not _inside(scenario, "nvmlDeviceGetPcieThroughput"):
            pass
        reading = probe.tick(interval_s=0.1).reading()
        assert reading.read_at.slow is None, "the slow group is not through"
        first = reading.read_at.fast
        reading = probe.tick(interval_s=0.1).reading()
    assert first is not None
    assert reading.read_at.fast is not None
    assert reading.read_at.fast > first


def _inside(scenario: Scenario, symbol: str) -> bool:
    return any(call.symbol == symbol for call in scenario.calls())


@pytest.mark.parametrize(
    ("lines", "absent", "expected"),
    [
        ({}, (), (3, 0, 1)),
        ({"device.0.fabric.state": 2, "device.0.fabric.health_summary": 0}, (), (2, 0, 0)),
        ({"device.0.fabric.status": 999}, ("nvmlDeviceGetGpuFabricInfoV",), (3, 999, None)),
        ({"device.0.fabric.state": 0}, (), (None, None, None)),
    ],
)  # fmt: skip
def test_the_fabric(
    tmp_path: Path,
    lines: dict[str, object],
    absent: tuple[str, ...],
    expected: tuple[int | None, ...],
) -> None:
    with machine(tmp_path, lines, absent=absent) as (_, probe):
        reading = probe.ready().reading()
    found = (reading.fabric_state, reading.fabric_status, reading.fabric_health)
    assert found == expected
    if expected == (None, None, None):
        assert reading.reason("fabric_state") == "unsupported"

"""GPM, NVLink and what counters become: rates that are never negative."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.clocks import Clocks
from tests.collect.nvml_probe import machine
from tests.fake_driver import Lines

NO_GPM: Lines = {"device.0.gpm.supported": 0}
RX, TX = "nvlink_rx_bytes_per_s", "nvlink_tx_bytes_per_s"


def test_activity(tmp_path: Path) -> None:
    lines: Lines = {
        "device.0.gpm.2": 81,
        "device.0.gpm.3": 40,
        "device.0.gpm.5": 61,
        "device.0.gpm.10": 55,
        "device.0.gpm.11": 1,
        "device.0.gpm.12": 14,
        "device.0.gpm.13": 4,
        "device.0.pcie_rx_kb_per_s": 2_000_000,
        "device.0.nvlink_rx_kib_per_s": 1 << 20,
    }
    with machine(tmp_path, lines) as (scenario, probe):
        first = probe.until(lambda told: told.answers.readings).reading()
        told = probe.until(lambda told: told.reading().nvlink_rx_bytes_per_s is not None)
        reading = probe.until(lambda told: told.reading().pcie_rx_bytes_per_s).reading()
        symbols = [call.symbol for call in scenario.calls()]
    assert first.missing["sm_activity"] in ("needs_two_readings", "pending")
    assert told.reading().status == "ok"
    assert reading.sm_activity == pytest.approx(0.81)
    assert reading.sm_occupancy == pytest.approx(0.40)
    assert reading.tensor_activity == pytest.approx(0.61)
    assert reading.dram_activity == pytest.approx(0.55)
    assert reading.fp64_activity == pytest.approx(0.01)
    assert reading.fp32_activity == pytest.approx(0.14)
    assert reading.fp16_activity == pytest.approx(0.04)
    assert reading.pcie_rx_bytes_per_s == pytest.approx(2e9, rel=0.05)
    assert reading.nvlink_rx_bytes_per_s == pytest.approx(1 << 30, rel=0.05)
    assert "nvmlDeviceGetPcieThroughput" not in symbols, "the call that blocks is spared"


def test_a_metric_of_gpm_that_fails_alone(tmp_path: Path) -> None:
    lines: Lines = {"device.0.gpm.10": "error 999", "device.0.gpm.11": "unsupported"}
    with machine(tmp_path, lines) as (_, probe):
        probe.ready()
        reading = probe.until(lambda told: told.reading().sm_activity is not None).reading()
    assert reading.missing["dram_activity"] == "error(999)"
    assert reading.missing["fp64_activity"] == "unsupported"


def test_a_device_without_gpm(tmp_path: Path) -> None:
    with machine(tmp_path, NO_GPM) as (scenario, probe):
        reading = probe.ready().reading()
        assert "nvmlGpmSampleGet" not in [call.symbol for call in scenario.calls()]
    assert reading.missing["sm_activity"] == "unsupported"
    assert reading.pcie_rx_bytes_per_s is not None


@pytest.mark.parametrize(
    ("code", "reason"), [(4, "denied"), (25, "unsupported"), (999, "error(999)")]
)
def test_gpm_that_is_refused(tmp_path: Path, code: int, reason: str) -> None:
    with machine(tmp_path, {"device.0.call.nvmlGpmSampleGet.error": code}) as (_, probe):
        reading = probe.ready().reading()
    assert reading.sm_activity is None
    assert reading.missing["sm_activity"] == reason


def test_a_device_lost_between_two_samples(tmp_path: Path) -> None:
    with machine(tmp_path, {}) as (scenario, probe):
        probe.ready()
        scenario.set("device.0.call.nvmlGpmSampleGet.error", 15)
        reading = probe.until(lambda told: told.reading().status == "lost").reading()
    assert reading.sm_activity is None


def test_gpm_answers_that_are_no_numbers(tmp_path: Path) -> None:
    with machine(tmp_path, {"device.0.gpm.2": "nan"}) as (_, probe):
        probe.ready()
        reading = probe.until(lambda told: told.reading().sm_occupancy is not None).reading()
    assert reading.sm_activity is None
    assert reading.missing["sm_activity"].startswith(("implausible", "error"))


@pytest.mark.parametrize(
    "lines",
    [
        {"device.0.nvlink_version": 6},
        {"device.0.nvlink_version": 7},
        {f"device.0.field.{field}": "0 return=3" for field in (138, 139)}
        | {"device.0.nvlink_version": 7},
        {f"device.0.field.{field}.4294967295": "0 return=3" for field in (138, 139, 202, 204)},
    ],
    ids=["sum", "NVLink 5", "bytes", "each link"],
)
def test_rates_over_nvlink_from_counters(tmp_path: Path, lines: Lines) -> None:
    rates: Lines = {
        "device.0.nvlink_count": 4,
        "device.0.nvlink_rx_kib_per_s": 4 << 20,
        "device.0.nvlink_tx_kib_per_s": 2 << 20,
    }
    with machine(tmp_path, {**NO_GPM, **rates, **lines}) as (_, probe):
        probe.ready()
        reading = probe.until(lambda told: told.reading().nvlink_rx_bytes_per_s).reading()
    assert reading.nvlink_rx_bytes_per_s == pytest.approx(4 << 30, rel=0.1)
    assert reading.nvlink_tx_bytes_per_s == pytest.approx(2 << 30, rel=0.1)


def test_no_rate_over_a_suspend(tmp_path: Path) -> None:
    """What went over the links in a second is nothing when it is spread over three hours."""
    clocks = Clocks(tmp_path / "clocks")
    lines: Lines = {**NO_GPM, "device.0.nvlink_rx_kib_per_s": 4 << 20}
    with machine(tmp_path, lines, environment=clocks.env()) as (_, probe):
        probe.ready()
        probe.until(lambda told: told.reading().nvlink_rx_bytes_per_s is not None, slow=True)
        at = probe.answers().reading().read_at.medium
        clocks.suspend(3 * 3600)
        told = probe.until(lambda told: told.reading().read_at.medium - at > 3600, slow=True)
        assert told.reading().nvlink_rx_bytes_per_s is None
        assert told.reading().missing[RX] == "needs_two_readings"
        told = probe.until(lambda told: told.reading().nvlink_rx_bytes_per_s is not None, slow=True)
    assert told.reading().nvlink_rx_bytes_per_s == pytest.approx(4 << 30, rel=0.1)


def test_a_counter_that_goes_back(tmp_path: Path) -> None:
    lines: Lines = {**NO_GPM, "device.0.nvlink_rx_kib": "from 900000000000"}
    with machine(tmp_path, lines) as (scenario, probe):
        probe.ready()
        probe.until(lambda told: told.reading().nvlink_rx_bytes_per_s is not None, slow=True)
        scenario.set("device.0.nvlink_rx_kib", "from 5")
        seen = []

        def reset(told: object) -> bool:
            seen.append(probe.tick(slow=True).reading())
            return seen[-1].nvlink_rx_bytes_per_s is None

        probe.until(reset)
        assert seen[-1].missing[RX] == "needs_two_readings"
        assert seen[-1].nvlink_tx_bytes_per_s is not None
        reading = probe.until(
            lambda told: told.reading().nvlink_rx_bytes_per_s is not None, slow=True
        ).reading()
    assert all((r.nvlink_rx_bytes_per_s or 0) >= 0 for r in [*seen, reading])


def test_no_links(tmp_path: Path) -> None:
    with machine(tmp_path, {"device.0.nvlink_count": 0}) as (_, probe):
        probe.ready()
        reading = probe.until(lambda told: told.reading().sm_activity is not None).reading()
    assert reading.nvlink_rx_bytes_per_s is None, "GPM would answer 0 for what is not there"
    assert reading.missing[RX] == "unsupported"
    assert reading.missing[TX] == "unsupported"
    assert reading.nvlink_active is None
    assert reading.missing["nvlink_active"] == "unsupported"


def test_link_states_of_an_older_driver(tmp_path: Path) -> None:
    lines: Lines = {"device.0.field.165": "0 return=3", "device.0.nvlink.0.state": 0}
    with machine(tmp_path, lines) as (_, probe):
        assert probe.ready().reading().nvlink_active == 17

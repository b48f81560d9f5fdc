"""A hello and a frame by hand: eight devices that cover what views and exports must cope with.

0 works; 1 is held back by heat; 2 is lost; 3 is cut into MIG instances; 4 has a nasty name;
5 is a bare GeForce; 6 is power-capped with sick memory; 7 does not answer.
"""

from __future__ import annotations

from typing import Any

from gputop.model.frame import (
    SCHEMA_VERSION,
    ContainerLimits,
    Cost,
    DeviceInfo,
    DeviceReading,
    DeviceUse,
    DriverInfo,
    Frame,
    Hello,
    HostInfo,
    HostReading,
    Pressure,
    Process,
    ReadTimes,
    SampleSpan,
)

GIB = 2**30
UTC_S = 1_795_271_130.5
"""2026-11-21 14:25:30.5 UTC."""
BOOTTIME_S = 86_400.25
NASTY = "=cmd|'/C calc'!A0 [bold red]\"quoted\", \\back\x1b[31m\nsecond\tline\u202e\u200b日本"
"""A formula, markup, quotes, an escape sequence, a newline, a tab, bidi and zero-width."""

UUIDS = [f"GPU-0000000{index}-1111-2222-3333-444444444444" for index in range(8)]
MIG_UUIDS = [f"MIG-0000000{index}-aaaa-bbbb-cccc-dddddddddddd" for index in range(2)]
READ_AT = ReadTimes(
    fast=BOOTTIME_S - 0.01, medium=BOOTTIME_S - 0.6, slow=BOOTTIME_S - 4, processes=BOOTTIME_S - 0.5
)
_UNSUPPORTED_HBM = dict.fromkeys(
    ("fan_speed", "fan_speeds", "retired_pages_sbe", "retired_pages_dbe", "retirement_pending",
     "jpeg_utilization", "ofa_utilization"),
    "unsupported",
)  # fmt: skip


def sample_info(index: int, /, **changes: Any) -> DeviceInfo:
    """An H100 SXM; `changes` replace its fields."""
    fields: dict[str, Any] = {
        "uuid": UUIDS[index],
        "name": "NVIDIA H100 80GB HBM3",
        "index": index,
        "bus_id": f"00000000:{0x1A + index:02X}:00.0",
        "architecture": "Hopper",
        "compute_capability": "9.0",
        "numa_node": index // 4,
        "serial": f"165432100000{index}",
        "power_limit_default_w": 700.0,
        "power_limit_min_w": 200.0,
        "power_limit_max_w": 700.0,
        "sm_clock_max_mhz": 1980,
        "memory_clock_max_mhz": 2619,
        "graphics_clock_max_mhz": 1980,
        "video_clock_max_mhz": 1545,
        "temperature_slowdown_c": 87.0,
        "temperature_shutdown_c": 92.0,
        "temperature_max_operating_c": 85.0,
        "memory_temperature_max_c": 95.0,
        "pcie_generation_max": 5,
        "pcie_width_max": 16,
        "nvlink_count": 18,
        "fan_count": 0,
    }
    return DeviceInfo(**(fields | changes))


def sample_reading(index: int, /, **changes: Any) -> DeviceReading:
    """A busy H100; `changes` replace its fields."""
    fields: dict[str, Any] = {
        "uuid": UUIDS[index],
        "read_at": READ_AT,
        "read_s": 0.004,
        "gpu_utilization": 0.93,
        "memory_utilization": 0.41,
        "memory_used_bytes": 61 * GIB,
        "memory_free_bytes": 18 * GIB,
        "memory_reserved_bytes": GIB // 2,
        "memory_total_bytes": 80 * GIB,
        "power_w": 612.3,
        "power_instant_w": 634.1,
        "temperature_c": 71.0,
        "sm_clock_mhz": 1980,
        "memory_clock_mhz": 2619,
        "performance_state": 0,
        "event_reasons": 0,
        "graphics_clock_mhz": 1980,
        "video_clock_mhz": 1545,
        "memory_temperature_c": 83.0,
        "encoder_utilization": 0.0,
        "decoder_utilization": 0.12,
        "energy_j": 1.25e9,
        "power_violation_s": 12.5,
        "sync_boost_violation_s": 0.0,
        "sw_thermal_violation_s": 340.75,
        "hw_thermal_violation_s": 0.0,
        "power_brake_violation_s": 0.0,
        "nvlink_rx_bytes_per_s": 181e9,
        "nvlink_tx_bytes_per_s": 179e9,
        "sm_activity": 0.87,
        "sm_occupancy": 0.31,
        "tensor_activity": 0.52,
        "dram_activity": 0.44,
        "fp64_activity": 0.0,
        "fp32_activity": 0.09,
        "fp16_activity": 0.03,
        "power_limit_w": 700.0,
        "bar1_used_bytes": 3 * 2**20,
        "bar1_total_bytes": 128 * GIB,
        "temperature_margin_c": 16.0,
        "pcie_generation": 5,
        "pcie_width": 16,
        "pcie_rx_bytes_per_s": 2.5e9,
        "pcie_tx_bytes_per_s": 0.75e9,
        "pcie_replays": 0,
        "nvlink_active": 18,
        "ecc_mode": True,
        "ecc_corrected_volatile": 0,
        "ecc_uncorrected_volatile": 0,
        "ecc_corrected_aggregate": 4,
        "ecc_uncorrected_aggregate": 0,
        "remapped_rows_corrected": 0,
        "remapped_rows_uncorrected": 0,
        "remap_pending": False,
        "remap_failed": False,
        "recovery_action": 0,
        "compute_mode": 0,
        "persistence_mode": True,
        "mig_mode": False,
        "samples": [
            SampleSpan("power_w", BOOTTIME_S - 1, BOOTTIME_S, 598.2, 611.9, 655.0, 50),
            SampleSpan("gpu_utilization", BOOTTIME_S - 1, BOOTTIME_S, 0.88, 0.93, 1.0, 6),
        ],
        "missing": _UNSUPPORTED_HBM,
    }
    return DeviceReading(**(fields | changes))


def _mig_info(slot: int) -> DeviceInfo:
    return DeviceInfo(
        uuid=MIG_UUIDS[slot],
        name="NVIDIA H100 80GB HBM3 MIG 3g.40gb",
        index=slot,
        parent=UUIDS[3],
        mig_profile="3g.40gb",
        gpu_instance_id=slot + 1,
        compute_instance_id=0,
    )


def _mig_reading(slot: int) -> DeviceReading:
    return DeviceReading(
        uuid=MIG_UUIDS[slot],
        read_at=READ_AT,
        memory_used_bytes=(12 + slot) * GIB,
        memory_free_bytes=(27 - slot) * GIB,
        memory_total_bytes=40 * GIB,
        sm_activity=0.4 + slot / 10,
        missing={"gpu_utilization": "unsupported", "power_w": "unsupported",
                 "temperature_c": "unsupported"},
    )  # fmt: skip


def _bare_geforce() -> DeviceReading:
    return DeviceReading(
        uuid=UUIDS[5],
        read_at=READ_AT,
        gpu_utilization=0.004,
        memory_used_bytes=400 * 2**20,
        memory_total_bytes=24 * GIB,
        temperature_c=38.0,
        fan_speed=1.3,
        fan_speeds=[1.3, 0.3],
        performance_state=8,
        event_reasons=0x1,
        pcie_width=8,
        missing={"power_w": "denied", "sm_clock_mhz": "error(999)", "ecc_mode": "unsupported",
                 "memory_utilization": "implausible(101)", "energy_j": "needs_two_readings",
                 "memory_clock_mhz": "pending"},
    )  # fmt: skip


def sample_devices() -> list[tuple[DeviceInfo, DeviceReading]]:
    """Every device with its reading, MIG instances behind their device."""
    denied = {"gpu_utilization": "unsupported", "memory_used_bytes": "denied",
              "memory_free_bytes": "denied", "memory_total_bytes": "denied"}  # fmt: skip
    no_values = dict.fromkeys(denied)
    return [
        (sample_info(0, mine=True), sample_reading(0)),
        (
            sample_info(1, mine=True),
            sample_reading(1, event_reasons=0x20, temperature_c=86.0, sm_clock_mhz=1410,
                           temperature_margin_c=-1.0),
        ),
        (
            sample_info(2, mine=False),
            DeviceReading(uuid=UUIDS[2], status="lost", since_s=BOOTTIME_S - 300,
                          detail="The device has fallen off the bus; reboot the machine."),
        ),
        (
            sample_info(3),
            sample_reading(3, mig_mode=True, missing=_UNSUPPORTED_HBM | denied, **no_values),
        ),
        (_mig_info(0), _mig_reading(0)),
        (_mig_info(1), _mig_reading(1)),
        (sample_info(4, name=NASTY, serial=None), sample_reading(4, gpu_utilization=0.0)),
        (
            DeviceInfo(uuid=UUIDS[5], name="NVIDIA GeForce RTX 4090", index=5,
                       bus_id="00000000:C1:00.0", pcie_width_max=16,
                       missing={"power_limit_max_w": "unsupported"}),
            _bare_geforce(),
        ),
        (
            sample_info(6),
            sample_reading(6, event_reasons=0x8084, ecc_uncorrected_volatile=2,
                           remapped_rows_uncorrected=1, remap_pending=True, recovery_action=1,
                           power_w=699.0),
        ),
        (
            sample_info(7),
            DeviceReading(uuid=UUIDS[7], status="timed_out", since_s=BOOTTIME_S - 12,
                          detail="The driver has not answered for 12 s."),
        ),
    ]  # fmt: skip


def sample_processes() -> list[Process]:
    """One process on two devices, one on a MIG instance, one nameless, one nasty."""
    return [
        Process(
            pid=4101, start_ticks=123456, name="python3", user="ann", uid=1000,
            command=["/usr/bin/python3", "train.py", "--token", "SECRET"], state="running",
            started_utc_s=UTC_S - 7200, cpu_utilization=3.4, memory_bytes=21 * GIB, threads=96,
            uses=[
                DeviceUse(UUIDS[0], kinds="C", memory_bytes=60 * GIB, sm_utilization=0.91,
                          memory_utilization=0.4, encoder_utilization=0.0,
                          decoder_utilization=0.0),
                DeviceUse(UUIDS[1], kinds="C", memory_bytes=59 * GIB, sm_utilization=0.9,
                          memory_utilization=0.39),
            ],
        ),
        Process(
            pid=5200, start_ticks=223456, name="tritonserver", user="bob", uid=1001,
            command=["tritonserver", "--model-repository=/models"], state="sleeping",
            cpu_utilization=0.05, memory_bytes=4 * GIB, threads=40,
            uses=[DeviceUse(UUIDS[3], kinds="C", mig=MIG_UUIDS[0], memory_bytes=11 * GIB,
                            missing={"sm_utilization": "unsupported"})],
        ),
        Process(
            pid=6300, missing={"name": "denied", "user": "denied"},
            uses=[DeviceUse(UUIDS[5], kinds="G", missing={"memory_bytes": "unsupported"})],
        ),
        Process(
            pid=7400, start_ticks=9, name=NASTY, user="@eve", uid=1002,
            command=[NASTY, "--password", "hunter2"], cpu_utilization=0.0, threads=1,
            uses=[DeviceUse(UUIDS[4], kinds="CM", memory_bytes=0, sm_utilization=0.0)],
        ),
    ]  # fmt: skip


def sample_hello(**changes: Any) -> Hello:
    """What does not change on the sample machine; `changes` replace fields of the record."""
    fields: dict[str, Any] = {
        "schema": SCHEMA_VERSION,
        "program": "gputop 0.0-sample",
        "session": "sample",
        "host": HostInfo(
            hostname="node-07", boot_id="0f0f0f0f-1234", kernel="6.8.0-45-generic",
            cpu_model="AMD EPYC 9654 96-Core Processor", cpu_count=8,
            memory_total_bytes=1511 * GIB,
        ),
        "driver": DriverInfo(
            status="ok", since_s=100.0, driver_version="580.95.05", nvml_version="13.580.95",
            cuda_version="13.0",
        ),
        "devices": [info for info, _ in sample_devices()],
        "interval_s": 0.25,
        "utc_s": UTC_S - 1,
        "boottime_s": BOOTTIME_S - 1,
        "with_args": True,
    }  # fmt: skip
    return Hello(**(fields | changes))


def sample_frame(**changes: Any) -> Frame:
    """One reading of the sample machine; `changes` replace fields of the record."""
    fields: dict[str, Any] = {
        "session": "sample",
        "seq": 2,
        "utc_s": UTC_S,
        "boottime_s": BOOTTIME_S,
        "interval_s": 0.25,
        "host": HostReading(
            read_at=BOOTTIME_S, cpu_utilization=0.12,
            cores=[0.97, 0.02, 0.0, 0.05, 0.1, 0.01, 0.0, 0.004], iowait=0.01,
            load_1=3.1, load_5=2.8, load_15=2.4, memory_total_bytes=1511 * GIB,
            memory_used_bytes=212 * GIB, memory_available_bytes=1290 * GIB,
            swap_total_bytes=8 * GIB, swap_used_bytes=0, uptime_s=BOOTTIME_S,
            pressure=Pressure(cpu_some=0.02, memory_some=0.0, memory_full=0.0, io_some=0.1),
            container=ContainerLimits(cpu_quota_cores=16.0, cpu_used_cores=4.2,
                                      cpu_throttled=0.03, memory_limit_bytes=256 * GIB,
                                      memory_used_bytes=40 * GIB),
            missing={"io_full": "unsupported"},
        ),
        "devices": [reading for _, reading in sample_devices()],
        "processes": sample_processes(),
        "cost": Cost(collect_s=0.021, cpu_s=0.4, nvml_calls=412),
    }  # fmt: skip
    return Frame(**(fields | changes))


def no_driver_hello() -> Hello:
    """The sample machine without a driver."""
    return sample_hello(
        devices=[],
        driver=DriverInfo(
            status="absent", code=12, message="No NVIDIA driver library was found.",
            remedy="Install the NVIDIA driver.",
        ),
    )  # fmt: skip


def no_driver_frame() -> Frame:
    """A reading of the sample machine without a driver: the host alone."""
    return sample_frame(devices=[], processes=[])

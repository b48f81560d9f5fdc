"""GPU performance monitoring (Hopper and later): what the SMs did between two samples."""

from __future__ import annotations

import ctypes
from typing import Any

from gputop.collect.clock import LONGEST_SPAN_S
from gputop.collect.nvml import abi
from gputop.collect.nvml.fields import unless_unknown
from gputop.collect.nvml.library import Library, Meter
from gputop.collect.nvml.values import Convert, Result, Trouble, mebibytes, per_cent, reason_of
from gputop.model import missing
from gputop.model.metrics import BY_NAME, Tier

METRICS: tuple[tuple[int, str, Convert], ...] = (
    (2, "sm_activity", per_cent),
    (3, "sm_occupancy", per_cent),
    (5, "tensor_activity", per_cent),
    (10, "dram_activity", per_cent),
    (11, "fp64_activity", per_cent),
    (12, "fp32_activity", per_cent),
    (13, "fp16_activity", per_cent),
    (20, "pcie_tx_bytes_per_s", mebibytes),
    (21, "pcie_rx_bytes_per_s", mebibytes),
    (60, "nvlink_rx_bytes_per_s", mebibytes),
    (61, "nvlink_tx_bytes_per_s", mebibytes),
)
"""NVML_GPM_METRIC_*: number, metric, conversion. Rates are answered in MiB/s."""
NVLINK = frozenset({"nvlink_rx_bytes_per_s", "nvlink_tx_bytes_per_s"})

SHORTEST_S = 0.1
"""Samples closer than this say nothing (nvml.h)."""


class Gpm:
    """The two samples of one device or GPU instance, and what lies between them."""

    def __init__(
        self, library: Library, meter: Meter, handle: Any, gpu_instance: int | None = None
    ) -> None:
        """`handle` is the physical device's, also where a `gpu_instance` of it is meant."""
        self._library = library
        self._meter = meter
        self._handle = handle
        self._gpu_instance = gpu_instance
        self._samples: list[ctypes.c_void_p] = []
        self._newest: float | None = None
        self._metrics = METRICS
        self._request = abi.GpmMetrics()
        self._reason: str | None = missing.PENDING
        self._latest = Result()
        self.with_nvlink = False
        """Whether rates over NVLink mean anything: without links GPM answers 0 for them."""

    def _supported(self) -> bool:
        support = abi.GpmSupport(version=1)
        code = self._library.call(
            self._meter, "nvmlGpmQueryDeviceSupport", self._handle, ctypes.byref(support)
        )
        Trouble.check(code)
        return code == abi.SUCCESS and bool(support.supported)

    def sample(self, now: float) -> None:
        """Take a sample at `now` (CLOCK_BOOTTIME) and work out what happened since the last.
        Raises Trouble for a lost device.
        """
        if self._reason == missing.PENDING:
            self._reason = None if self._supported() else missing.UNSUPPORTED
        if self._reason == missing.UNSUPPORTED:
            return
        if self._newest is not None and now - self._newest < SHORTEST_S:
            return
        self._latest = Result()
        code = self._take_sample()
        if code != abi.SUCCESS:
            self._newest = None
            self._fail(code)
            return
        before, self._newest = self._newest, now
        if before is None or now - before > LONGEST_SPAN_S:
            self._reason = missing.NEEDS_TWO_READINGS
            return
        self._compute()

    def pour(self, tier: Tier, result: Result) -> None:
        """Put the newest answers about the metrics of `tier` into `result`. What GPM does not know
        is left open, since another call may.
        """
        for _, metric, _ in METRICS:
            if BY_NAME[metric].tier != tier or (metric in NVLINK and not self.with_nvlink):
                continue
            if metric in self._latest.values:
                result.values[metric] = self._latest.values[metric]
                continue
            reason = self._latest.missing.get(metric, self._reason)
            if reason not in (None, missing.UNSUPPORTED):
                result.refuse(metric, str(reason))

    def free(self) -> None:
        """Give the samples back to the library."""
        for sample in self._samples:
            self._library.call(self._meter, "nvmlGpmSampleFree", sample)
        self._samples = []
        self._newest = None

    def _take_sample(self) -> int:
        """Put a new sample behind the one there; the older of three goes round."""
        while len(self._samples) < 2:
            sample = ctypes.c_void_p()
            code = self._library.call(self._meter, "nvmlGpmSampleAlloc", ctypes.byref(sample))
            if code != abi.SUCCESS:
                return code
            self._samples.append(sample)
        self._samples.reverse()
        if self._gpu_instance is None:
            return self._library.call(
                self._meter, "nvmlGpmSampleGet", self._handle, self._samples[1]
            )
        return self._library.call(
            self._meter, "nvmlGpmMigSampleGet", self._handle, self._gpu_instance, self._samples[1]
        )

    def _compute(self) -> None:
        request = self._request
        request.version = 1
        request.older, request.newer = self._samples
        request.count = len(self._metrics)
        for row, (number, _, _) in zip(request.metrics, self._metrics, strict=False):
            row.metric = number
        code = self._library.call(self._meter, "nvmlGpmMetricsGet", ctypes.byref(request))
        if code != abi.SUCCESS:
            self._fail(code)
            return
        self._reason = None
        kept = []
        for row, entry in zip(request.metrics, self._metrics, strict=False):
            _, metric, convert = entry
            if row.answer == abi.SUCCESS:
                self._latest.put(metric, row.value, None, convert)
            else:
                self._latest.missing[metric] = reason_of(unless_unknown(row.answer))
            if unless_unknown(row.answer) not in abi.NEVER:
                kept.append(entry)
        self._metrics = tuple(kept)

    def _fail(self, code: int) -> None:
        Trouble.check(code)
        self._reason = reason_of(code)

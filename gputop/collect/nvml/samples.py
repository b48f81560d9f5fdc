"""What the driver buffered between two readings: power at 50 Hz, utilisation at about 6 Hz."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Iterable
from typing import Any

from gputop.collect.nvml import abi
from gputop.collect.nvml.driver_time import WallClock, offset_us
from gputop.collect.nvml.library import Library, Meter
from gputop.collect.nvml.values import Convert, Trouble, judge, milli, per_cent
from gputop.model.frame import SampleSpan

TOTAL_POWER, GPU_UTILIZATION = 0, 1
"""nvmlSamplingType_t."""

SPAN_S = 1.0
"""The longest time that one span sums up."""
SILENCE_S = 30.0
"""After so long without a new sample the buffer, which spans at most half of it, is all new."""
FIRST_ROOM, MOST_ROOM = 256, 65536
"""Samples asked for, at first and at the most; the known buffers hold 120."""
_WIDTHS = {1: 0xFFFFFFFF, 2: 0xFFFFFFFFFFFFFFFF, 3: 0xFFFFFFFFFFFFFFFF, 5: 0xFFFFFFFF, 6: 0xFFFF}
"""nvmlValueType_t of a whole number: the bits of it that count."""


SAME_SAMPLE_S = 0.005
"""A sample's time comes out this differently at two openings; two samples are 20 ms apart."""
Told = dict[str, float]
"""By metric: up to when (CLOCK_BOOTTIME) samples were handed out, whichever opening did it."""


class SampleBuffer:
    """One of a device's buffers; no sample is handed out twice."""

    def __init__(
        self, library: Library, meter: Meter, handle: Any, kind: int, metric: str,
        convert: Convert, told: Told,
    ) -> None:  # fmt: skip
        self._library = library
        self._meter = meter
        self._handle = handle
        self._kind = kind
        self._metric = metric
        self._convert = convert
        self._told = told
        self._newest_us = 0
        self._heard_s: float | None = None
        self._wall_clock = WallClock()
        self._supported = True
        self._make_room(FIRST_ROOM)

    def _make_room(self, samples: int) -> None:
        self._room = samples
        self._buffer = (ctypes.c_ulonglong * (2 * samples))()

    def spans(self, now: float) -> list[SampleSpan]:
        """The samples made since the last call, summed up by the second; `now` is CLOCK_BOOTTIME.
        None is an idle buffer. Raises Trouble for a lost device.
        """
        if not self._supported:
            return []
        if self._heard_s is None:
            self._heard_s = now
        if self._wall_clock.was_set():
            self._start_over(now)
            return []
        stamped = self._new_samples()
        if not stamped:
            if now - self._heard_s > SILENCE_S:
                self._start_over(now)
            return []
        self._heard_s = now
        newest = max(stamp for stamp, _ in stamped)
        offset = offset_us(newest, now)
        if offset is None:
            offset = now * 1e6 - newest
        self._newest_us = newest
        after = self._told.get(self._metric, float("-inf")) + SAME_SAMPLE_S
        timed = sorted(((stamp + offset) / 1e6, value) for stamp, value in stamped)
        if timed[0][0] <= after:
            timed = [sample for sample in timed if sample[0] > after]
        return self._sum_up(timed) if timed else []

    def _start_over(self, now: float) -> None:
        """A clock that was set would hide every new sample behind the cursor, or show old ones
        as new: put it where the driver's newest sample is. What was made since is not handed out.
        """
        self._newest_us = 0
        self._newest_us = max((stamp for stamp, _ in self._new_samples()), default=0)
        self._heard_s = now

    def _new_samples(self) -> list[tuple[int, float]]:
        """Driver timestamp in microseconds and plausible value of each new sample."""
        value_type, count = ctypes.c_uint(), ctypes.c_uint(self._room)
        code = self._library.call(
            self._meter, "nvmlDeviceGetSamples", self._handle, self._kind,
            ctypes.c_ulonglong(self._newest_us), ctypes.byref(value_type), ctypes.byref(count),
            self._buffer,
        )  # fmt: skip
        Trouble.check(code)
        if code == abi.INSUFFICIENT_SIZE and self._room < MOST_ROOM:
            self._make_room(min(MOST_ROOM, max(count.value, 2 * self._room)))
        self._supported = code not in abi.NEVER
        if code != abi.SUCCESS:
            return []
        flat = self._buffer[: 2 * min(count.value, self._room)]
        stamped = zip(flat[0::2], flat[1::2], strict=True)
        found = []
        for stamp, bits in stamped:
            if stamp > self._newest_us:
                raw = number(bits, value_type.value)
                value, reason = judge(self._metric, raw, None, self._convert)
                if reason is None and value is not None:
                    found.append((stamp, float(value)))
        return found

    def _sum_up(self, samples: list[tuple[float, float]]) -> list[SampleSpan]:
        """One span for each second, counted back from the newest sample."""
        end = self._told[self._metric] = samples[-1][0]
        seconds: dict[int, list[tuple[float, float]]] = {}
        for sample in samples:
            seconds.setdefault(math.ceil((sample[0] - end) / SPAN_S), []).append(sample)
        return [self._span(seconds[second]) for second in sorted(seconds)]

    def _span(self, samples: list[tuple[float, float]]) -> SampleSpan:
        values = [value for _, value in samples]
        return SampleSpan(
            metric=self._metric, start_s=samples[0][0], end_s=samples[-1][0], minimum=min(values),
            mean=sum(values) / len(values), maximum=max(values), count=len(values),
        )  # fmt: skip


class Samples:
    """The buffers of one device."""

    def __init__(
        self, library: Library, meter: Meter, handle: Any, power_is_averaged: bool, told: Told
    ) -> None:
        """Buffered power is that of the moment. It is `power_w` where that is too, and
        `power_instant_w` where `power_w` is an average.
        """
        power = "power_instant_w" if power_is_averaged else "power_w"
        self._buffers = (
            SampleBuffer(library, meter, handle, TOTAL_POWER, power, milli, told),
            SampleBuffer(
                library, meter, handle, GPU_UTILIZATION, "gpu_utilization", per_cent, told
            ),
        )

    def spans(self, now: float) -> Iterable[SampleSpan]:
        """What all buffers got since the last call."""
        for buffer in self._buffers:
            yield from buffer.spans(now)


def number(bits: int, value_type: int) -> int | float | None:
    """The number in a sample's eight bytes; None for a type that cannot be counted."""
    if value_type == 0:
        return float(ctypes.c_double.from_buffer_copy(ctypes.c_ulonglong(bits)).value)
    if value_type == 4:
        return ctypes.c_longlong(bits).value
    width = _WIDTHS.get(value_type)
    return None if width is None else bits & width

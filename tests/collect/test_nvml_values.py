"""Whatever number the driver answers becomes a value that can be, or a reason."""

from __future__ import annotations

import ctypes
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gputop.collect.nvml import abi, samples, values
from gputop.collect.nvml.fields import number_of
from gputop.model.metrics import METRICS, plausible

CONVERSIONS = (
    values.whole, values.degrees, values.per_cent, values.milli, values.nanoseconds,
    values.kilobytes, values.mebibytes, values.flag, values.mask,
)  # fmt: skip
RAW = st.integers(-(2**63), 2**64 - 1) | st.floats() | st.sampled_from([0, 101, 255, 2**32 - 1])
ABSENT = st.sampled_from([None, abi.U32_ABSENT, abi.U64_ABSENT])
NAMES = st.sampled_from([metric.name for metric in METRICS])


@given(NAMES, st.none() | RAW, ABSENT, st.sampled_from(CONVERSIONS))
def test_an_answer_is_a_value_that_can_be_or_a_reason(metric, raw, absent, convert) -> None:
    value, reason = values.judge(metric, raw, absent, convert)
    assert (value is None) == (reason is not None)
    if value is not None:
        assert math.isfinite(value)
        assert plausible(metric, value)
        assert raw is not None
        assert raw != absent
        assert value == convert(raw)
        rounds = convert in (values.whole, values.mask)
        assert value != 0 or abs(raw) < 1e-300 or raw == 0 or rounds


@given(RAW, ABSENT)
def test_what_cannot_be_is_told_as_it_was_answered(raw, absent) -> None:
    value, reason = values.judge("gpu_utilization", raw, absent, values.per_cent)
    if reason == "unsupported":
        assert raw == absent
    elif reason is not None:
        assert reason == f"implausible({raw})"
        assert not 0 <= raw <= 100
    else:
        assert value == raw / 100


@given(st.integers(0, 2**64 - 1), st.integers(0, 300) | st.just(2**32 - 1))
def test_a_field_of_any_type_is_a_number_or_nothing(bits: int, value_type: int) -> None:
    row = abi.FieldValue(value_type=value_type)
    ctypes.memmove(ctypes.addressof(row.value), ctypes.byref(ctypes.c_ulonglong(bits)), 8)
    raw, absent = number_of(row)
    assert (raw is None) == (value_type not in abi.NUMBER_TYPES)
    value, reason = values.judge("power_w", raw, absent, values.milli)
    assert (value is None) == (reason is not None)
    if raw is None:
        assert reason == values.UNKNOWN_TYPE
    elif raw == absent:
        assert reason == "unsupported"
    elif math.isfinite(raw):
        assert raw in {
            bits, bits & 0xFFFFFFFF, bits & 0xFFFF, ctypes.c_longlong(bits).value,
            ctypes.c_int(bits & 0xFFFFFFFF).value, row.value.d,
        }  # fmt: skip


@given(st.integers(0, 2**64 - 1), st.integers(0, 300))
def test_a_sample_and_a_field_of_the_same_bits_are_the_same_number(bits: int, kind: int) -> None:
    row = abi.FieldValue(value_type=kind)
    ctypes.memmove(ctypes.addressof(row.value), ctypes.byref(ctypes.c_ulonglong(bits)), 8)
    field, sample = number_of(row)[0], samples.number(bits, kind)
    assert field == sample or (field != field and sample != sample)  # NaN is not itself


@pytest.mark.parametrize("code", [*range(40), 999, 2**32 - 1])
def test_every_code_is_a_reason(code: int) -> None:
    reason = values.reason_of(code)
    assert reason in {"unsupported", "denied"} or reason == f"error({code})"
    assert (reason == "denied") == (code == abi.NO_PERMISSION)

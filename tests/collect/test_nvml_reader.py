"""The read table against callables put in the place of the library's functions: what no driver
of C can be made to do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pynvml
import pytest

from gputop.collect.nvml import abi
from gputop.collect.nvml.library import Library, Meter
from gputop.collect.nvml.reader import METRICS_OF, Reader, settle
from gputop.collect.nvml.values import Result, Trouble

Functions = dict[str, Callable[..., int]]


def number(value: int, code: int = 0) -> Callable[..., int]:
    """A call that writes its last output."""

    def call(*arguments: Any) -> int:
        arguments[-1]._obj.value = value
        return code

    return call


def not_supported(*_: object) -> int:
    return abi.NOT_SUPPORTED


@pytest.fixture
def functions(monkeypatch: pytest.MonkeyPatch) -> Functions:
    """The library's functions by name; what is not put there is absent."""
    table: Functions = {"nvmlInitWithFlags": lambda _: 0}
    monkeypatch.setattr(pynvml, "nvmlLib", object())
    monkeypatch.setattr(pynvml, "_nvmlGetFunctionPointer_cache", table)
    return table


def read(functions: Functions, tier: str = "fast") -> Result:
    library = Library()
    library.initialise()
    result = Result()
    Reader(library, Meter(), object()).read(tier, result)  # type: ignore[arg-type]
    return settle(tier, result)  # type: ignore[arg-type]


def test_an_empty_library(functions: Functions) -> None:
    result = read(functions)
    assert result.values == {}
    assert result.missing == dict.fromkeys(METRICS_OF["fast"], "unsupported")


@pytest.mark.parametrize("error", [TypeError("x"), UnicodeDecodeError("utf-8", b"", 0, 1, "x")])
def test_an_exception_stays_with_its_read(functions: Functions, error: Exception) -> None:
    def broken(*_: object) -> int:
        raise error

    functions["nvmlDeviceGetPerformanceState"] = broken
    functions["nvmlDeviceGetFieldValues"] = broken
    functions["nvmlDeviceGetClockInfo"] = number(1980)
    result = read(functions)
    assert result.missing["performance_state"] == f"error({type(error).__name__})"
    assert result.missing["power_w"] == f"error({type(error).__name__})"
    assert result.values == {"sm_clock_mhz": 1980, "memory_clock_mhz": 1980}


def test_an_older_call_is_made_when_the_newer_is_not_supported(functions: Functions) -> None:
    functions["nvmlDeviceGetTemperatureV"] = not_supported
    functions["nvmlDeviceGetTemperature"] = number(55)
    assert read(functions).values == {"temperature_c": 55}


@pytest.mark.parametrize("code", [abi.NO_PERMISSION, abi.UNKNOWN])
def test_and_not_when_the_newer_failed(functions: Functions, code: int) -> None:
    functions["nvmlDeviceGetTemperatureV"] = lambda *_: code
    functions["nvmlDeviceGetTemperature"] = number(55)
    result = read(functions)
    assert "temperature_c" not in result.values
    assert result.missing["temperature_c"] in ("denied", "error(999)")
    assert code in result.codes


@pytest.mark.parametrize("code", [1, 9, 15, 16, 18])
def test_codes_about_the_whole_device_end_the_reading(functions: Functions, code: int) -> None:
    functions["nvmlDeviceGetPerformanceState"] = lambda *_: code
    with pytest.raises(Trouble) as caught:
        read(functions)
    assert caught.value.code == code


def test_a_field_that_says_the_device_is_lost(functions: Functions) -> None:
    def lost(_handle: object, count: int, rows: Any) -> int:
        for row in rows[:count]:
            row.answer = abi.GPU_IS_LOST
        return abi.SUCCESS

    functions["nvmlDeviceGetFieldValues"] = lost
    with pytest.raises(Trouble):
        read(functions)


def test_a_call_is_spared_once_it_is_not_supported(functions: Functions) -> None:
    asked = []

    def count(*_: object) -> int:
        asked.append(1)
        return abi.ARGUMENT_VERSION_MISMATCH

    functions["nvmlDeviceGetPerformanceState"] = count
    library, meter = Library(), Meter()
    library.initialise()
    reader = Reader(library, meter, object())
    for _ in range(3):
        reader.read("fast", Result())
    assert len(asked) == meter.calls == 1

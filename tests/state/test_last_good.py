"""The last good value is kept with its age; a value that is not there is None, never 0."""

from gputop.model.frame import DeviceInfo, DeviceReading, ReadTimes
from gputop.state.last_good import LastGood, Value
from gputop.state.store import DeviceState

INFO = DeviceInfo(uuid="GPU-1", name="X", temperature_slowdown_c=90.0,
                  missing={"fan_count": "unsupported"})  # fmt: skip


def reading(at: float, **values: object) -> DeviceReading:
    return DeviceReading(uuid="GPU-1", read_at=ReadTimes(fast=at), **values)


def test_a_current_value_has_no_reason():
    last = LastGood()
    last.update(reading(1.0, power_w=300.0))
    assert last.get("power_w", INFO) == Value(300.0, 1.0)


def test_a_value_that_goes_missing_is_kept_with_its_time_and_the_reason():
    last = LastGood()
    last.update(reading(1.0, power_w=300.0))
    last.update(reading(2.0, missing={"power_w": "error(999)"}))
    last.update(reading(3.0, missing={"power_w": "error(999)"}))
    value = last.get("power_w", INFO)
    assert value == Value(300.0, 1.0, "error(999)")
    assert not value.current


def test_a_device_that_is_lost_keeps_what_it_said_last():
    last = LastGood()
    last.update(reading(1.0, power_w=300.0, temperature_c=60.0))
    last.update(DeviceReading(uuid="GPU-1", status="lost"))
    assert last.get("temperature_c", INFO) == Value(60.0, 1.0, "lost")


def test_what_never_had_a_value_has_none():
    last = LastGood()
    last.update(reading(1.0, missing={"power_w": "unsupported"}))
    assert last.get("power_w", INFO) == Value(None, None, "unsupported")
    assert LastGood().get("power_w", INFO).reason == "pending"


def test_zero_is_a_value():
    last = LastGood()
    last.update(reading(1.0, gpu_utilization=0.0))
    assert last.get("gpu_utilization", INFO).current


def test_limits_come_from_the_inventory():
    assert LastGood().get("temperature_slowdown_c", INFO) == Value(90.0)
    assert LastGood().get("fan_count", INFO).reason == "unsupported"


def test_history_takes_a_reading_once_however_often_a_frame_repeats_it():
    state = DeviceState(INFO)
    for _ in range(5):
        state.update(reading(10.25, power_w=100.0))
    state.update(reading(10.75, power_w=200.0))
    series = state.history.series("power_w")
    assert series is not None
    assert series.span(10, 11).mean == 150.0


def test_history_knows_nothing_of_a_metric_that_was_never_read():
    state = DeviceState(INFO)
    state.update(reading(1.0, power_w=100.0, missing={"gpu_utilization": "unsupported"}))
    assert state.history.series("gpu_utilization") is None

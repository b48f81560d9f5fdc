"""A single reading, from real collectors on fake machines."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
import pytest

from gputop.errors import CollectorFailed, NoDriver, UsageError
from gputop.model.frame import Frame, Hello
from gputop.model.missing import NEEDS_TWO_READINGS
from gputop.sources.once import _Reading, read_once
from tests.samples import sample_frame, sample_hello, sample_processes, sample_reading
from tests.sources.test_local import await_end, children, fake, script

TENTH = 0.1


def once(
    command: Callable[[Sequence[str]], list[str]], *arguments: str, timeout_s: float = 60.0
) -> tuple[Hello, Frame]:
    return read_once(list(arguments), TENTH, timeout_s, command)


def test_it_is_a_second_reading_with_the_devices() -> None:
    hello, frame = once(fake(opens_after_s=0.05))
    assert [device.index for device in hello.devices] == [0, 1]
    assert [device.status for device in frame.devices] == ["ok", "ok"]
    assert frame.interval_s == TENTH
    assert min(device.power_w or 0 for device in frame.devices) >= 102.0


@pytest.mark.parametrize("comes", [True, False])
def test_a_process_that_shows_up_late_is_read_twice_unless_that_takes_long(comes: bool) -> None:
    reading = _Reading(1.0, 60.0)
    reading.take(sample_hello())
    process = sample_processes()[0]
    once_read = msgspec.structs.replace(
        process, cpu_utilization=None, missing={"cpu_utilization": NEEDS_TWO_READINGS}
    )
    processes = [[], [once_read], [process if comes else once_read], [once_read], [once_read]]
    done_at = None
    for second, listed in enumerate(processes):
        if not reading.done:
            reading.take(
                sample_frame(boottime_s=second, devices=[sample_reading(0)], processes=listed)
            )
            done_at = second
    assert reading.done
    assert done_at == (2 if comes else 4)


def test_the_host_has_its_rates() -> None:
    _, frame = once(fake(host="linux"))
    assert frame.host.cpu_utilization is not None


def test_arguments_reach_the_collector() -> None:
    hello, frame = once(fake(), "--devices", "1", "--interval", "30")
    assert [device.index for device in hello.devices] == [1]
    assert len(frame.devices) == 1


def test_one_device_that_hangs_says_so_and_the_other_is_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GPUTOP_DEADLINE_SCALE", "0.1")
    _, frame = once(fake(pending={"GPU-00000001"}))
    assert [device.status for device in frame.devices] == ["ok", "timed_out"]
    assert "has not answered" in frame.devices[1].detail


def test_the_deadline_ends_the_wait_for_a_device() -> None:
    _, frame = once(fake(pending={"GPU-00000000", "GPU-00000001"}), timeout_s=3.0)
    assert [device.status for device in frame.devices] == ["timed_out"] * 2


@pytest.mark.parametrize(
    ("machine", "error"),
    [
        ({"status": "absent"}, NoDriver),
        ({"status": "failed"}, NoDriver),
        ({"status": "stuck"}, CollectorFailed),
    ],
)
def test_a_machine_without_devices(machine: dict[str, object], error: type[Exception]) -> None:
    with pytest.raises(error):
        once(fake(**machine))


@pytest.mark.parametrize("devices", ["7", "0,7"])
def test_a_device_that_is_not_there(devices: str) -> None:
    """Also beside one that is: what is missing would be missed by nobody."""
    with pytest.raises(UsageError, match=r"No device of this machine is called 7"):
        once(fake(), "--devices", devices)


def test_a_collector_that_says_nothing() -> None:
    with pytest.raises(CollectorFailed, match=r"within 0\.2 s"):
        once(script("time.sleep(600)"), timeout_s=0.2)


def test_a_collector_that_dies_has_last_words() -> None:
    with pytest.raises(CollectorFailed, match="no luck"):
        once(script("put(FRAME); sys.exit('gputop: no luck.')"))


def test_a_collector_that_writes_garbage() -> None:
    with pytest.raises(CollectorFailed, match="cannot be understood"):
        once(script("put(b'oops\\n'); time.sleep(600)"))


def test_a_driver_that_answers_without_devices_is_given_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GPUTOP_DEADLINE_SCALE", "0.1")
    with pytest.raises(CollectorFailed, match=r"could not be read within 1 s"):
        once(fake(devices=0), timeout_s=1.0)


def test_no_process_is_left_behind() -> None:
    before = set(children())
    once(fake())
    for pid in set(children()) - before:
        await_end(pid)

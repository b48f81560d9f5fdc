"""Which devices a stream is about."""

from __future__ import annotations

from gputop.collect.backend import Answers
from gputop.collect.selection import Selection
from gputop.model.frame import DeviceInfo, DeviceReading, DeviceUse, DriverInfo, Event

A, B, C = "GPU-aaaa-1", "GPU-aabb-2", "GPU-cccc-3"
MIG = "MIG-1111"


def inventory(*uuids: str) -> list[DeviceInfo]:
    return [DeviceInfo(uuid, "Test", index) for index, uuid in enumerate(uuids)]


def answers(devices: list[DeviceInfo]) -> Answers:
    return Answers(
        DriverInfo("ok"),
        devices,
        [DeviceReading(device.uuid) for device in devices],
        {
            1: [DeviceUse(A), DeviceUse(B)],
            2: [DeviceUse(B)],
            3: [DeviceUse(C, mig=MIG)],
        },
        [Event("", 0, 0.0, 0.0, "xid", device=uuid) for uuid in (A, B, None)],
        nvml_calls=5,
    )


def chosen(selection: Selection, devices: list[DeviceInfo]) -> list[str]:
    return [device.uuid for device in selection.apply(answers(devices)).inventory]


def test_nothing_asked_for_is_everything() -> None:
    everything = answers(inventory(A, B, C))
    assert Selection([]).apply(everything) is everything


def test_everything_said_is_about_the_chosen() -> None:
    found = Selection(["1"]).apply(answers(inventory(A, B, C)))
    assert [device.uuid for device in found.inventory] == [B]
    assert [reading.uuid for reading in found.readings] == [B]
    assert found.uses == {1: [DeviceUse(B)], 2: [DeviceUse(B)]}
    assert [event.device for event in found.events] == [B, None]
    assert found.nvml_calls == 5


def test_a_uuid_may_be_its_beginning_in_any_case() -> None:
    assert chosen(Selection(["gpu-CC"]), inventory(A, B, C)) == [C]
    assert chosen(Selection([C, "GPU-aab"]), inventory(A, B, C)) == [B, C]


def test_an_index_keeps_meaning_the_device_it_meant() -> None:
    selection = Selection(["0"])
    assert chosen(selection, inventory(A, B)) == [A]
    assert chosen(selection, inventory(B, A)) == [A]


def test_an_index_whose_device_is_gone_is_looked_up_again() -> None:
    selection = Selection(["0"])
    assert chosen(selection, inventory(A, B)) == [A]
    assert chosen(selection, inventory(B, C)) == [B]


def test_what_is_not_there_is_named() -> None:
    selection = Selection(["7", "0", "GPU-zz", "7"])
    assert selection.not_found(inventory(A)).selectors == ["7", "GPU-zz"]
    assert selection.not_found(inventory(*(f"GPU-{n}" for n in range(8)))).selectors == ["GPU-zz"]


def test_a_device_that_does_not_say_who_it_is_may_be_the_one() -> None:
    nameless = DeviceInfo("index:1", "GPU 1", 1)
    found = Selection(["GPU-zz"]).not_found([*inventory(A), nameless])
    assert found.nameless == [nameless]
    assert str(found).endswith("called GPU-zz, but not every one says who it is (GPU 1)")
    by_index = Selection(["7"]).not_found([*inventory(A), nameless])
    assert str(by_index) == "No device of this machine is called 7"


def test_a_device_brings_its_instances_and_an_instance_its_device() -> None:
    devices = [*inventory(A, B, C), DeviceInfo(MIG, "1g.10gb", 0, parent=C)]
    assert chosen(Selection(["2"]), devices) == [C, MIG]
    assert chosen(Selection(["MIG-1"]), devices) == [C, MIG]
    assert chosen(Selection(["0"]), devices) == [A]
    assert list(Selection(["MIG-1"]).apply(answers(devices)).uses) == [3]

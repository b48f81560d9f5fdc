"""What the records add up to: devices keep their places, and nothing old is shown as current."""

from gputop.model.frame import (
    ContainerLimits,
    DeviceInfo,
    DeviceReading,
    DriverInfo,
    Frame,
    Hello,
    HostInfo,
    HostReading,
    ReadTimes,
)
from gputop.state.store import DEPARTED_KEPT, UNLISTED_S, Store, cpu_load, host_memory


def hello(*uuids: str, status: str = "ok", boot: str = "b", **more: float) -> Hello:
    devices = [DeviceInfo(uuid=uuid, name="X", index=n) for n, uuid in enumerate(uuids)]
    return Hello(schema=1, program="t", session="s", host=HostInfo("h", boot),
                 driver=DriverInfo(status, message="away"), devices=devices,
                 **{"interval_s": 1.0, "utc_s": 0.0, "boottime_s": 0.0, **more})  # fmt: skip


def frame(at: float, *uuids: str, interval_s: float = 1.0) -> Frame:
    return Frame(session="s", seq=int(at), utc_s=at, boottime_s=at, interval_s=interval_s,
                 host=HostReading(read_at=at),
                 devices=[DeviceReading(uuid=u, read_at=ReadTimes(fast=at), power_w=at)
                          for u in uuids])  # fmt: skip


def test_a_device_that_a_frame_says_nothing_of_is_not_current():
    store = Store()
    for record in (hello("A", "B"), frame(1, "A", "B"), frame(2, "A")):
        store.apply(record)
    value = store.devices[1].value("power_w")
    assert (value.value, value.current) == (1, False)
    assert store.devices[0].value("power_w").current


def test_a_driver_that_is_away_leaves_every_device_old_and_in_its_place():
    store = Store()
    for record in (hello("A", "B"), frame(1, "A", "B"), hello(status="absent"), frame(2)):
        store.apply(record)
    assert [d.uuid for d in store.devices] == ["A", "B"]
    assert {d.reading.status for d in store.devices} == {"pending"}
    assert store.devices[0].reading.detail == "away"
    store.apply(frame(1000))
    assert {d.reading.status for d in store.devices} == {"pending"}


def test_a_device_that_is_no_longer_listed_stays_in_its_place_and_is_lost_in_time():
    store = Store()
    for record in (hello("A", "B", "C"), frame(1, "A", "B", "C"), hello("A", "C")):
        store.apply(record)
    store.apply(frame(2, "A", "C"))
    assert [d.uuid for d in store.devices] == ["A", "B", "C"]
    assert store.devices[1].reading.status == "pending"
    store.apply(frame(2 + UNLISTED_S, "A", "C"))
    assert (store.devices[1].reading.status, store.devices[1].reading.since_s) == ("lost", 2)
    store.apply(hello("A", "B", "C"))
    store.apply(frame(30, "A", "B", "C"))
    assert {d.reading.status for d in store.devices} == {"ok"}


def test_a_device_without_a_name_gives_way_to_the_one_of_its_index():
    store = Store()
    store.apply(hello("index:0"))
    store.apply(hello("GPU-1"))
    assert [d.uuid for d in store.devices] == ["GPU-1"]


def test_a_device_that_can_no_longer_say_who_it_is_is_the_one_that_is_missing_at_its_index():
    """A collector was started again while a device was lost: one device, lost since then."""
    store = Store()
    for at, uuid, since in ((1, "B", None), (5, "B", 4.0), (60, "index:1", 55.0)):
        store.apply(hello("A", uuid, "C"))
        read = frame(at, "A", uuid, "C")
        read.devices[1].status = "ok" if since is None else "lost"
        read.devices[1].since_s = since
        store.apply(read)
    assert [d.uuid for d in store.devices] == ["A", "B", "C"]
    assert [d.reading.uuid for d in store.devices] == ["A", "B", "C"]
    assert (store.devices[1].reading.status, store.devices[1].reading.since_s) == ("lost", 4.0)
    store.apply(hello("A", "B", "C"))
    store.apply(frame(70, "A", "B", "C"))
    assert {d.reading.status for d in store.devices} == {"ok"}


def test_a_device_without_a_name_at_an_index_where_none_is_missing_is_another():
    store = Store()
    store.apply(hello("A", "B"))
    store.apply(hello("A", "B", "index:2"))
    assert [d.uuid for d in store.devices] == ["A", "B", "index:2"]


def test_another_boot_is_another_history():
    store = Store()
    for record in (hello("A"), frame(1, "A"), hello("A", boot="c")):
        store.apply(record)
    assert store.frame is None
    assert store.devices[0].history.series("power_w") is None


def test_the_period_is_the_longer_one_while_it_changes():
    store = Store()
    store.apply(hello("A"))
    store.apply(frame(1, "A"))
    store.apply(hello("A", interval_s=60.0))
    assert store.period_s == 60


def test_in_a_container_its_limits_are_what_counts():
    limits = ContainerLimits(cpu_quota_cores=4, cpu_used_cores=3, memory_limit_bytes=16,
                             memory_used_bytes=1)  # fmt: skip
    host = HostReading(read_at=1, cpu_utilization=0.1, memory_used_bytes=200,
                       memory_total_bytes=500, container=limits)  # fmt: skip
    assert cpu_load(host) == 0.75
    assert host_memory(host) == (1, 16)
    store = Store()
    store.apply(hello("A"))
    store.apply(Frame(session="s", seq=1, utc_s=1, boottime_s=1, interval_s=1, host=host))
    series = store.host_history.series("memory_used_bytes")
    assert series is not None
    assert series.span(1, 2).high == 1


def test_outside_a_container_the_hosts():
    host = HostReading(cpu_utilization=0.1, memory_used_bytes=200, memory_total_bytes=500)
    assert cpu_load(host) == 0.1
    assert host_memory(host) == (200, 500)


def with_instances(*uuids: str) -> Hello:
    made = hello("A")
    made.devices += [DeviceInfo(uuid=u, name="X", index=n, parent="A")
                     for n, u in enumerate(uuids)]  # fmt: skip
    return made


def test_instances_that_were_taken_away_are_forgotten_but_for_the_latest():
    store = Store()
    for number in range(4 * DEPARTED_KEPT):
        store.apply(with_instances(f"M{number}", "stays"))
        store.apply(frame(number, "A", f"M{number}", "stays"))
    assert store.device("M0") is None
    assert store.device(f"M{4 * DEPARTED_KEPT - 2}") is not None
    known = [uuid for uuid in store._devices if uuid.startswith("M")]
    assert len(known) == DEPARTED_KEPT + 1
    assert [i.uuid for i in store.instances("A")] == [f"M{4 * DEPARTED_KEPT - 1}", "stays"]


def test_an_instance_that_comes_back_has_its_history():
    store = Store()
    for record in (with_instances("M"), frame(1, "A", "M"), with_instances(), frame(2, "A"),
                   with_instances("M")):  # fmt: skip
        store.apply(record)
    state = store.device("M")
    assert state is not None
    assert state.history.series("power_w") is not None

"""Warnings begin, last and end; each rule on both sides of its edge."""

from typing import Any

import msgspec
import pytest

from gputop.insight.alert_log import PAST_KEPT, XID_SHOWN_S, AlertLog
from gputop.insight.rules import RULES, Thresholds
from gputop.model.frame import (
    DeviceInfo,
    DeviceReading,
    DeviceUse,
    DriverInfo,
    Event,
    Frame,
    Hello,
    HostInfo,
    HostReading,
    Process,
    ReadTimes,
    SampleSpan,
)
from gputop.model.nvml_tables import HARMFUL
from gputop.state.store import Store

GIB = 2**30
HEALTHY: dict[str, Any] = {
    "gpu_utilization": 0.9, "memory_used_bytes": 40 * GIB, "memory_total_bytes": 80 * GIB,
    "temperature_c": 60.0, "event_reasons": 0, "performance_state": 0, "pcie_generation": 5,
    "pcie_width": 16, "ecc_uncorrected_volatile": 0, "ecc_corrected_volatile": 0,
    "remap_pending": False, "remap_failed": False, "retirement_pending": False,
    "recovery_action": 0, "power_w": 400.0, "power_limit_w": 700.0, "fabric_state": 3,
    "fabric_status": 0, "fabric_health": 1,
}  # fmt: skip


class Host:
    """Feeds frames to a store and an alert log."""

    def __init__(self) -> None:
        self.store, self.log, self.now = Store(), AlertLog(Thresholds()), 1000.0
        info = DeviceInfo(uuid="G", name="NVIDIA X", index=0, temperature_slowdown_c=90.0,
                          pcie_generation_max=5, pcie_width_max=16)  # fmt: skip
        self.store.apply(
            Hello(schema=1, program="t", session="s", host=HostInfo("h", "b"),
                  driver=DriverInfo("ok"), devices=[info], interval_s=1, utc_s=0, boottime_s=0)
        )  # fmt: skip

    def tick(
        self,
        seconds: int = 1,
        processes: list[Process] | None = None,
        listed_processes: bool = True,
        late_s: float = 0.0,
        **values: Any,
    ) -> None:
        for _ in range(seconds):
            self.now += 1
            fields = {**HEALTHY, **values} if values.get("status", "ok") == "ok" else values
            listed = self.now if listed_processes and "status" not in fields else None
            fast = self.now - late_s
            times = ReadTimes(fast=fast, medium=fast, slow=fast, processes=listed)
            reading = DeviceReading(uuid="G", read_at=times, **fields)
            self.store.apply(
                Frame(session="s", seq=int(self.now), utc_s=self.now + 5e8, boottime_s=self.now,
                      interval_s=1, host=HostReading(), devices=[reading],
                      processes=processes or [])
            )  # fmt: skip
            self.log.update(self.store)

    @property
    def rules(self) -> set[str]:
        return {alert.rule for alert in self.log.active}


BENIGN = 0x1 | 0x2 | 0x100

CASES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "hot": ({"temperature_c": 87.0}, {"temperature_c": 86.0}),
    "memory_full": ({"memory_used_bytes": 76 * GIB}, {"memory_used_bytes": int(75.9 * GIB)}),
    "power_full": ({"power_w": 679.0}, {"power_w": 678.0}),
    "stale": ({"late_s": 3.1}, {"late_s": 2.9}),
    "fabric": ({"fabric_state": 2}, {"fabric_state": None, "fabric_status": 9}),
    "link": ({"pcie_width": 8}, {"pcie_width": 16}),
    "ecc_uncorrected": ({"ecc_uncorrected_volatile": 1}, {"ecc_uncorrected_volatile": None}),
    "ecc_corrected": ({"ecc_corrected_volatile": 3}, {"ecc_corrected_volatile": 0}),
    "remap_pending": ({"remap_pending": True}, {"remap_pending": None}),
    "remap_failed": ({"remap_failed": True}, {"remap_failed": False}),
    "recovery": ({"recovery_action": 1}, {"recovery_action": 0}),
    "idle_holding": (
        {"gpu_utilization": 0.0, "memory_used_bytes": 40 * GIB},
        {"gpu_utilization": 0.0, "memory_used_bytes": GIB},
    ),
    "lost": ({"status": "lost"}, {}),
    "error": ({"status": "error"}, {}),
    "timed_out": ({"status": "timed_out"}, {}),
    **{
        f"reason:{reason.key}": (
            {"event_reasons": reason.bit},
            {"event_reasons": 0x1 | 0x2 | 0x100},
        )
        for reason in HARMFUL
    },
}


def test_every_rule_has_a_case():
    assert set(CASES) == {rule.key for rule in RULES}


@pytest.mark.parametrize("rule", CASES)
def test_a_rule_speaks_on_its_side_of_the_edge_only(rule):
    bad, good = CASES[rule]
    host = Host()
    host.tick(330, **good)
    assert rule not in host.rules
    host.tick(330, **bad)
    assert rule in host.rules
    (alert,) = [a for a in host.log.active if a.rule == rule]
    assert alert.meaning
    assert alert.advice
    assert alert.where == "0 X"


def test_a_warning_ends_and_is_remembered_with_its_times():
    host = Host()
    host.tick(3)
    host.tick(10, event_reasons=0x40)
    host.tick(30)
    assert not host.rules
    (alert,) = host.log.past
    assert alert.rule == "reason:hw_thermal"
    assert alert.severity == "critical"
    assert (alert.since_s, alert.until_s) == (1004.0, 1014.0)


def test_a_value_at_the_edge_does_not_flap():
    host = Host()
    for _ in range(30):
        host.tick(1, temperature_c=87.0)
        host.tick(1, temperature_c=86.0)
    assert host.rules == {"hot"}
    assert not host.log.past


def test_the_worst_value_is_kept():
    host = Host()
    host.tick(2, temperature_c=88.0)
    host.tick(2, temperature_c=95.0)
    host.tick(2, temperature_c=88.0)
    (alert,) = host.log.active
    assert alert.worst_detail == "-5 °C below slowdown"
    assert alert.detail == "2 °C below slowdown"


def test_a_link_that_is_slow_while_idle_is_no_warning():
    host = Host()
    host.tick(60, gpu_utilization=0.0, memory_used_bytes=0, performance_state=8,
              pcie_generation=1)  # fmt: skip
    assert host.rules == set()


def test_a_link_is_given_ten_seconds_to_step_up():
    host = Host()
    host.tick(9, pcie_generation=1)
    assert host.rules == set()
    host.tick(3, pcie_generation=1)
    assert host.rules == {"link"}


def test_a_roll_up_bit_gives_way_to_what_it_rolls_up():
    host = Host()
    host.tick(3, event_reasons=0x8 | 0x40)
    assert host.rules == {"reason:hw_thermal"}


def test_a_warning_does_not_end_for_want_of_a_reading():
    host = Host()
    host.tick(3, remap_pending=True)
    host.tick(60, status="timed_out")
    assert host.rules == {"remap_pending", "timed_out"}


def test_notices_are_not_counted_in_the_header():
    host = Host()
    host.tick(3, event_reasons=0x4, remap_pending=True, ecc_uncorrected_volatile=2)
    assert (host.log.count("critical"), host.log.count("warning"), host.log.count("notice")) == (
        1, 1, 1,
    )  # fmt: skip
    assert [a.severity for a in host.log.active] == ["critical", "warning", "notice"]


def xid(host: Host, seq: int, code: int, session: str = "s") -> None:
    host.store.apply(
        Event(session=session, seq=seq, utc_s=host.now + 5e8, boottime_s=host.now, kind="xid",
              device="G", code=code)
    )  # fmt: skip


def test_an_xid_is_shown_for_a_while_and_counts_once():
    host = Host()
    host.tick(1)
    xid(host, 1, 79)
    xid(host, 1, 79)
    host.tick(2)
    (alert,) = host.log.active
    assert alert.title == "Xid 79: GPU has fallen off the bus"
    assert alert.severity == "critical"
    host.tick(int(XID_SHOWN_S) + 1)
    assert not host.log.active
    assert len(host.log.past) == 1


def test_an_unlisted_xid_is_a_warning_that_says_so():
    host = Host()
    host.tick(1)
    xid(host, 1, 999)
    host.tick(1)
    (alert,) = host.log.active
    assert alert.severity == "warning"
    assert "unlisted" in alert.title


def test_a_page_that_waits_for_retirement_is_told_as_such():
    host = Host()
    host.tick(3, retirement_pending=True)
    (alert,) = host.log.active
    assert (alert.rule, alert.title) == ("remap_pending", "page retirement pending")
    host.tick(10, retirement_pending=False)
    assert not host.log.active


def test_the_first_xid_of_a_stream_counts():
    host = Host()
    host.tick(1)
    xid(host, 0, 79)
    host.tick(1)
    assert host.rules == {"xid:79"}


def test_an_xid_counts_once_over_a_restart_of_the_collector():
    host = Host()
    host.tick(1)
    xid(host, 0, 79)
    host.tick(2)
    xid(host, 0, 31, session="second")
    host.tick(400)
    assert sorted(alert.rule for alert in host.log.past) == ["xid:31", "xid:79"]
    assert not host.log.active


def test_what_the_collector_logs_is_no_xid():
    host = Host()
    host.tick(1)
    host.store.apply(
        Event(session="s", seq=0, utc_s=0, boottime_s=host.now, kind="log", text="No device 9.")
    )
    host.tick(2)
    assert host.rules == set()


def test_an_instance_of_a_device_can_be_full_too():
    host = Host()
    assert host.store.hello is not None
    hello = host.store.hello
    hello.devices.append(DeviceInfo(uuid="MIG-1", name="NVIDIA X MIG 1g.10gb", parent="G"))
    host.store.apply(hello)
    host.now += 1
    full = DeviceReading(uuid="MIG-1", read_at=ReadTimes(fast=host.now),
                         memory_used_bytes=10 * GIB, memory_total_bytes=10 * GIB)  # fmt: skip
    host.store.apply(
        Frame(session="s", seq=1, utc_s=0, boottime_s=host.now, interval_s=1, host=HostReading(),
              devices=[DeviceReading(uuid="G", read_at=ReadTimes(fast=host.now)), full])
    )  # fmt: skip
    host.log.update(host.store)
    assert {(a.device, a.rule) for a in host.log.active} == {("MIG-1", "memory_full")}


def process(memory: int) -> Process:
    return Process(pid=7, start_ticks=1, name="train", user="ann",
                   uses=[DeviceUse(device="G", memory_bytes=memory)])  # fmt: skip


def test_a_process_that_gave_back_much_memory_is_noted():
    host = Host()
    host.tick(2, processes=[process(8 * GIB)])
    host.tick(2)
    (alert,) = host.log.past
    assert alert.rule == "process_gone"
    assert "8.0 GiB" in alert.meaning


def test_a_process_is_not_gone_while_its_device_is_silent():
    host = Host()
    host.tick(2, processes=[process(8 * GIB)])
    host.tick(5, listed_processes=False)
    host.tick(5, status="timed_out")
    host.tick(2, processes=[process(8 * GIB)])
    assert not [a for a in host.log.past if a.rule == "process_gone"]


@pytest.mark.parametrize(
    ("fields", "detail"),
    [
        ({"fabric_state": 1}, "registration not started"),
        ({"fabric_status": 999}, "registration failed with NVML code 999"),
        ({"fabric_health": 2}, "unhealthy"),
        ({"fabric_health": 3}, "limited capacity"),
        ({"fabric_health": 0}, None),
        ({"fabric_state": 2, "fabric_status": None, "fabric_health": None},
         "registration in progress"),
    ],
)  # fmt: skip
def test_the_fabric_is_told_of_by_what_it_lacks(fields, detail):
    host = Host()
    host.tick(8, **fields)
    assert [alert.detail for alert in host.log.active] == ([detail] if detail else [])


def test_a_power_cap_that_the_driver_tells_of_is_not_told_twice():
    host = Host()
    host.tick(30, power_w=700.0, event_reasons=0x4)
    assert host.rules == {"reason:sw_power_cap"}


def test_power_at_the_limit_takes_ten_seconds_and_ends_below_the_edge_only():
    host = Host()
    host.tick(9, power_w=690.0)
    assert host.rules == set()
    host.tick(5, power_w=690.0)
    host.tick(30, power_w=660.0)
    assert host.rules == {"power_full"}
    host.tick(10, power_w=650.0)
    assert host.rules == set()


def test_a_device_that_is_back_is_an_event_of_its_own():
    host = Host()
    host.tick(2)
    host.tick(30, status="lost")
    host.tick(2)
    back, lost = host.log.history
    assert (lost.rule, back.rule, back.severity) == ("lost", "back", "notice")
    assert back.device == "G"
    assert "30" in back.meaning
    assert [change.what for change in host.log.take_changes()] == ["begin", "end", "moment"]
    assert host.log.take_changes() == []


@pytest.mark.parametrize("away", ["lost", "error", "timed_out"])
def test_a_device_that_is_away_while_the_driver_is_let_go_of_is_one_warning(away):
    host = Host()
    host.tick(2)
    host.tick(10, status=away)
    host.tick(10, status="pending")
    assert host.rules == {away}, "nothing is known of it: it may be as it was"
    host.tick(5, status=away)
    host.tick(6)
    (alert,) = [alert for alert in host.log.history if alert.rule == away]
    assert alert.lasted_s(host.now) == 25


def test_a_device_is_away_for_as_long_as_it_says():
    host = Host()
    host.tick(2)
    asked = host.now
    host.now += 3
    host.tick(4, status="timed_out", since_s=asked)
    (alert,) = host.log.active
    assert alert.since_s == asked
    assert host.now - alert.since_s == host.store.frame.boottime_s - asked == 7
    assert alert.since_utc_s == asked + 5e8


@pytest.mark.parametrize("away", ["lost", "error", "timed_out", "pending"])
def test_a_device_that_does_not_answer_is_not_slow_any_more(away):
    host = Host()
    host.tick(2, late_s=4.0)
    assert host.rules == {"stale"}
    host.tick(8, status=away)
    assert "stale" not in host.rules


def test_a_device_that_was_lost_before_it_said_who_it_is_is_back():
    host = Host()
    named = host.store.hello
    host.store = Store()
    unnamed = DeviceInfo(uuid="index:0", name="GPU 0", index=0)
    host.store.apply(msgspec.structs.replace(named, devices=[unnamed]))
    lost = DeviceReading(uuid="index:0", status="lost", since_s=999.0)
    host.store.apply(
        Frame(session="s", seq=1, utc_s=5e8, boottime_s=1000.0, interval_s=1, host=HostReading(),
              devices=[lost])
    )  # fmt: skip
    host.log.update(host.store)
    assert [(a.rule, a.device) for a in host.log.active] == [("lost", "index:0")]
    host.store.apply(named)
    host.tick(3)
    back, gone = host.log.history
    assert (back.rule, back.device, gone.rule, gone.device) == ("back", "G", "lost", "G")
    assert gone.where == "0 X"


def test_a_driver_that_answers_again_is_not_a_device_that_is_back():
    host = Host()
    host.tick(2)
    host.tick(30, status="timed_out")
    host.tick(2)
    assert [alert.rule for alert in host.log.history] == ["timed_out"]


def test_an_xid_is_a_moment_however_long_it_is_shown():
    host = Host()
    host.tick(1)
    xid(host, 1, 79)
    host.tick(int(XID_SHOWN_S) + 2)
    (alert,) = host.log.past
    assert alert.lasted_s(host.now) == 0
    assert [change.what for change in host.log.take_changes()] == ["moment"]


def logged(host: Host, seq: int, code: int, at: float, session: str = "s") -> None:
    host.store.apply(
        Event(session=session, seq=seq, utc_s=at + 5e8, boottime_s=at, kind="xid", device="G",
              code=code, text="NVRM: Xid (PCI:0000:01:00): 48, pid=1")
    )  # fmt: skip


def test_an_xid_of_before_the_start_is_listed_as_such_and_counts_for_nothing():
    host = Host()
    host.tick(1)
    logged(host, 0, 48, at=500.0)
    host.tick(1, event_reasons=0x40)
    host.tick(10)
    assert host.log.active == []
    now, before = host.log.history
    assert (now.rule, now.before_start) == ("reason:hw_thermal", False)
    assert (before.rule, before.before_start, before.since_s) == ("xid:48", True, 500.0)
    assert "NVRM" in before.detail
    assert host.log.count("critical") == 0
    assert {change.alert.rule for change in host.log.take_changes()} == {"reason:hw_thermal"}


def test_a_collector_that_starts_anew_tells_of_nothing_twice():
    host = Host()
    host.tick(1)
    logged(host, 0, 48, at=500.0)
    xid(host, 1, 79)
    at = host.now
    host.tick(5)
    logged(host, 0, 48, at=500.4, session="second")
    logged(host, 1, 79, at=at + 0.3, session="second")
    host.tick(1)
    assert len(host.log.past) + len(host.log.active) == 2


def test_time_held_back_since_the_driver_was_loaded_is_of_before_the_start():
    host = Host()
    host.tick(3, sw_thermal_violation_s=3725.0, hw_thermal_violation_s=9.9,
              power_violation_s=1e6)  # fmt: skip
    (alert,) = host.log.past
    assert (alert.rule, alert.before_start) == ("reason:sw_thermal", True)
    assert alert.detail == "1 h 02 m in all since the driver was loaded"
    assert not host.log.active


def test_what_the_driver_buffered_before_the_start_is_told_once():
    host = Host()
    means = [500.0] * 5 + [690.0] * 5
    spans = [
        SampleSpan("power_w", 990 + n, 990.9 + n, 600.0, mean, 705.0, 50)
        for n, mean in enumerate(means)
    ]
    host.tick(1, samples=spans)
    host.tick(3)
    (alert,) = host.log.past
    assert (alert.rule, alert.before_start) == ("power_full", True)
    assert (alert.since_s, alert.until_s) == (995.0, 1000.0)
    assert alert.worst_detail == "up to 705 W"


def test_a_short_peak_in_the_buffer_is_no_event():
    host = Host()
    spans = [SampleSpan("power_w", 995.0, 995.9, 600.0, 699.0, 705.0, 50)]
    host.tick(2, samples=spans)
    assert not host.log.past


def full_instance(host: Host, *uuids: str) -> None:
    """A hello and a frame with MIG instances whose memory is full."""
    host.now += 1
    device = DeviceInfo(uuid="G", name="NVIDIA X", index=0)
    infos = [DeviceInfo(uuid=uuid, name="MIG", index=0, parent="G") for uuid in uuids]
    host.store.apply(
        Hello(schema=1, program="t", session="s", host=HostInfo("h", "b"),
              driver=DriverInfo("ok"), devices=[device, *infos], interval_s=1, utc_s=0,
              boottime_s=0)
    )  # fmt: skip
    times = ReadTimes(fast=host.now, medium=host.now, slow=host.now)
    full = [
        DeviceReading(uuid=u, read_at=times, memory_used_bytes=99, memory_total_bytes=100)
        for u in uuids
    ]
    host.store.apply(
        Frame(session="s", seq=int(host.now), utc_s=host.now, boottime_s=host.now, interval_s=1,
              host=HostReading(), devices=[DeviceReading(uuid="G", read_at=times), *full])
    )  # fmt: skip
    host.log.update(host.store)


def test_an_instance_that_is_taken_away_takes_its_warning_along() -> None:
    host = Host()
    full_instance(host, "MIG-1")
    assert [alert.device for alert in host.log.active] == ["MIG-1"]
    full_instance(host, "MIG-2")
    assert [alert.device for alert in host.log.active] == ["MIG-2"]
    (ended,) = host.log.past
    assert (ended.device, ended.until_s) == ("MIG-1", host.now)


def test_a_device_that_vanishes_keeps_its_warnings() -> None:
    host = Host()
    host.tick(20, remap_pending=True)
    host.store.apply(
        Hello(schema=1, program="t", session="s", host=HostInfo("h", "b"),
              driver=DriverInfo("ok"), devices=[], interval_s=1, utc_s=0, boottime_s=0)
    )  # fmt: skip
    host.log.update(host.store)
    assert "remap_pending" in host.rules


def test_processes_that_end_by_the_hundred_push_no_warning_off_the_list() -> None:
    host = Host()
    host.tick(3)
    host.tick(1, status="lost")
    host.tick(1)
    for number in range(2 * PAST_KEPT["notice"]):
        use = DeviceUse("G", memory_bytes=2 * GIB)
        host.tick(1, processes=[Process(pid=number + 1, start_ticks=number, uses=[use])])
    ended = [alert for alert in host.log.past if alert.rule == "process_gone"]
    assert len(ended) <= PAST_KEPT["notice"]
    assert ended[-1].title == f"process {2 * PAST_KEPT['notice'] - 1} ended"
    assert [alert.rule for alert in host.log.past if alert.severity == "critical"] == ["lost"]

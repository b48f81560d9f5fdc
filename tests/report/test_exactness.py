"""Sums over time against cases worked out by hand.

A reading speaks for the time since the one before it: in each test the stretches and their values
stand beside the frames.
"""

from __future__ import annotations

import pytest

from gputop.insight.verdicts import Verdict
from gputop.model.frame import DeviceInfo, HostReading, ReadTimes, SampleSpan
from gputop.report import words
from gputop.report.account import (
    NOBODY,
    OTHER_HOST,
    REBOOTED,
    TOO_SHORT,
    Account,
    Options,
)
from gputop.report.device_account import DeviceAccount
from gputop.report.moments import Moment
from gputop.report.prices import Prices
from tests.demo_records import demo_records
from tests.report.runs import (
    BOOT_S,
    GIB,
    GPU,
    UTC_S,
    device_of,
    frame,
    hello,
    job,
    reading,
    report_of,
    uses,
    utilised,
)


def utilization(*records, **more):
    return device_of(*records, **more).statistics["gpu_utilization"]


# --- time ---------------------------------------------------------------------------------------


def test_readings_weigh_as_long_as_they_speak_for():
    # 1 s at 0.2, 4 s at 0.6, 0.5 s at 1.0: 0.2 + 2.4 + 0.5 = 3.1 over 5.5 s
    found = utilization(*utilised((0, 0.9), (1, 0.2), (5, 0.6), (5.5, 1.0)))
    assert found.covered_s == pytest.approx(5.5)
    assert found.mean == pytest.approx(3.1 / 5.5)
    assert found.median == pytest.approx(0.6)  # 1 s below it, half of 5.5 s is 2.75 s
    assert found.p95 == pytest.approx(1.0)  # 5 s are 91 %
    assert (found.minimum, found.maximum) == (0.2, 1.0)


def test_a_reading_that_frames_repeat_is_taken_once():
    records = [hello(), frame(0, reading(0, gpu_utilization=0.5))]
    for at in (1, 2, 3, 4):  # the driver is slow: a new reading every two seconds
        read_at = at // 2 * 2
        records.append(frame(at, reading(at, read_at=read_at, gpu_utilization=read_at / 4)))
    # (0, 2] at 0.5 and (2, 4] at 1.0
    found = utilization(*records)
    assert (found.covered_s, found.mean) == (pytest.approx(4), pytest.approx(0.75))


def test_a_gap_is_left_out_and_stated():
    # Silence from 2 to 12: more than three intervals and two seconds. 2 s at 0.5, 2 s at 0.9.
    device = device_of(*utilised((0, 0.5), (1, 0.5), (2, 0.5), (12, 0.9), (13, 0.9), (14, 0.9)))
    found = device.statistics["gpu_utilization"]
    assert found.covered_s == pytest.approx(4)
    assert found.mean == pytest.approx(0.7)
    assert device.coverage == pytest.approx(4 / 14)


def test_what_was_not_read_is_a_gap_and_not_zero():
    # (0, 1] and (3, 4] are known: after the hole the first reading speaks for no time.
    found = utilization(*utilised((0, 0.4), (1, 0.4), (2, None), (3, 0.8), (4, 0.8)))
    assert (found.covered_s, found.mean) == (pytest.approx(2), pytest.approx(0.6))
    assert found.minimum == 0.4


def test_a_lost_device_covers_no_time_while_it_is_away():
    lost = [frame(at, reading(at, status="lost")) for at in (2, 3)]
    records = [*utilised((0, 0.5), (1, 0.5)), *lost,
               *utilised((4, 0.5), (5, 0.5))[1:]]  # fmt: skip
    device = device_of(*records)
    assert device.covered_s == pytest.approx(2)
    assert device.coverage == pytest.approx(2 / 5)


def test_a_lost_device_that_a_new_collector_knows_by_its_index_only_is_no_other():
    nameless = frame(3, reading(3, "index:0", status="lost"))
    found = report_of(*utilised((0, 0.5), (1, 0.5)), hello("index:0"), nameless,
                      *utilised((4, 0.5), (5, 0.5)))  # fmt: skip
    assert [device.uuid for device in found.devices] == [GPU]
    assert found.devices[0].covered_s == pytest.approx(2)


def test_a_device_that_is_lost_before_it_says_who_it_is_is_no_other():
    nameless = [frame(at, reading(at, "index:0", status="lost")) for at in (0, 1)]
    found = report_of(hello("index:0"), *nameless, *utilised((2, 0.5), (3, 0.5)))
    assert [device.uuid for device in found.devices] == [GPU]
    assert [(event.title, event.count) for event in found.events] == [
        ("device lost", 1), ("device back", 1),
    ]  # fmt: skip
    assert found.events[0].where == found.events[1].where


def test_a_wall_clock_that_jumps_moves_nothing():
    steady = utilised((0, 0.1), (1, 0.2), (2, 0.6))
    jumped = [hello(), *(
        frame(at, reading(at, gpu_utilization=value), utc_s=UTC_S + jump)
        for at, value, jump in ((0, 0.1, 0), (1, 0.2, -7200), (2, 0.6, 86_400))
    )]  # fmt: skip
    plain, other = report_of(*steady), report_of(*jumped)
    assert other.duration_s == plain.duration_s == 2
    assert other.devices[0].statistics == plain.devices[0].statistics


def test_a_suspended_machine_is_a_gap():
    # CLOCK_BOOTTIME goes on while it sleeps.
    found = report_of(*utilised((0, 1.0), (1, 1.0), (3601, 1.0), (3602, 1.0)))
    assert found.duration_s == pytest.approx(3602)
    assert found.devices[0].covered_s == pytest.approx(2)
    assert found.devices[0].active_s == pytest.approx(2)


def test_frames_out_of_order_or_twice_count_once():
    frames = utilised((0, 0.5), (1, 0.5), (2, 1.0))
    twice = [*frames, frames[2], frames[3]]
    found = report_of(*twice)
    assert found.devices[0].statistics == report_of(*frames).devices[0].statistics
    assert "Left out: 2 frames not later than those that stand before." in found.notes


def test_a_machine_that_was_restarted_is_summed_up_after_it():
    before = utilised((5000, 0.1), (5001, 0.1))
    after = [hello(boot_id="next"), *utilised((0, 0.9), (1, 0.9))[1:]]
    found = report_of(*before, *after)
    assert found.duration_s == 1
    assert found.devices[0].statistics["gpu_utilization"].mean == pytest.approx(0.9)
    assert REBOOTED in found.notes


def test_what_another_machine_recorded_is_not_called_a_restart():
    other = hello(boot_id="other")
    other.host.hostname = "elsewhere"
    found = report_of(*utilised((0, 0.1), (1, 0.1)), other, *utilised((0, 0.9), (1, 0.9))[1:])
    assert found.hostname == "elsewhere"
    assert OTHER_HOST in found.notes
    assert REBOOTED not in found.notes


def test_a_longer_interval_is_no_gap():
    found = utilization(*utilised((0, 0.5), (10, 0.5), (20, 1.0), interval_s=10.0))
    assert (found.covered_s, found.mean) == (pytest.approx(20), pytest.approx(0.75))


def test_an_interval_made_shorter_does_not_make_the_time_before_it_a_gap():
    slow = utilised((0, 0.5), (10, 0.5), interval_s=10.0)
    last = frame(18, reading(18, gpu_utilization=0.5), interval_s=0.1)
    assert utilization(*slow, last).covered_s == pytest.approx(18)


def test_what_the_driver_buffered_takes_the_place_of_the_reading():
    # The buffer saw (0, 1] at 0.25, with peaks to 0.9; the reading at its end says 0.0.
    span = SampleSpan("gpu_utilization", BOOT_S + 0.25, BOOT_S + 1.0, 0.0, 0.25, 0.9, 4)
    found = utilization(
        hello(), frame(0, reading(0, gpu_utilization=0.0)),
        frame(1, reading(1, gpu_utilization=0.0, samples=[span])),
    )  # fmt: skip
    assert (found.covered_s, found.mean) == (pytest.approx(1), pytest.approx(0.25))
    assert (found.minimum, found.maximum) == (0.0, 0.9)


def test_buffers_that_overlap_count_once():
    # (0, 1] at 0.2, then a buffer that begins again at 0.5: of it (1, 2] at 0.8 is new.
    spans = [SampleSpan("gpu_utilization", BOOT_S + start, BOOT_S + end, mean, mean, mean, 1001)
             for start, end, mean in ((0.001, 1.0, 0.2), (0.5, 2.0, 0.8))]  # fmt: skip
    found = utilization(hello(), *(
        frame(at, reading(at, gpu_utilization=0.0, samples=samples))
        for at, samples in ((0, []), (1, spans[:1]), (2, spans[1:]))
    ))  # fmt: skip
    assert (found.covered_s, found.mean) == (pytest.approx(2), pytest.approx(0.5))


def test_a_buffer_that_is_told_anew_by_a_device_that_was_away_counts_once():
    # (0, 2] at 0.4; lost; opened again it tells (0, 4] at 0.8, of which (2, 4] is new.
    spans = [SampleSpan("gpu_utilization", BOOT_S + start, BOOT_S + end, mean, mean, mean, 1001)
             for start, end, mean in ((0.001, 2.0, 0.4), (0.001, 4.0, 0.8))]  # fmt: skip
    found = utilization(
        hello(), frame(0, reading(0, gpu_utilization=0.0)),
        frame(2, reading(2, gpu_utilization=0.0, samples=spans[:1])),
        frame(3, reading(3, status="lost")),
        frame(4, reading(4, gpu_utilization=0.0, samples=spans[1:])),
    )  # fmt: skip
    assert (found.covered_s, found.mean) == (pytest.approx(4), pytest.approx(0.6))


def test_buffered_samples_from_before_the_begin_do_not_count():
    early = SampleSpan("gpu_utilization", BOOT_S - 2.0, BOOT_S, 1.0, 1.0, 1.0, 13)
    device = device_of(hello(), frame(0, reading(0, gpu_utilization=0.0, samples=[early])),
                       frame(1, reading(1, gpu_utilization=0.0)))  # fmt: skip
    assert device.statistics["gpu_utilization"].mean == 0.0
    assert device.statistics["gpu_utilization"].maximum == 0.0


def test_a_part_of_a_recording_is_what_lies_between_its_moments():
    records = utilised(*((at, at / 10) for at in range(11)))
    options = Options(start=Moment(after_s=4), end=Moment(after_s=6))
    found = report_of(*records, options=options)
    # (4, 5] at 0.5, (5, 6] at 0.6
    assert found.duration_s == 2
    assert found.devices[0].statistics["gpu_utilization"].mean == pytest.approx(0.55)
    by_clock = Options(start=Moment(utc_s=UTC_S + 4), end=Moment(utc_s=UTC_S + 6))
    assert report_of(*records, options=by_clock) == found


@pytest.mark.parametrize(("utc_s", "day"), [(UTC_S, "2026-11-18"), (1e300, "no calendar has")])
def test_a_part_without_a_reading_names_the_time_that_there_is(utc_s, day):
    account = Account(Options(start=Moment(after_s=60)))
    account.add_all([hello(), frame(0, reading(0), utc_s=utc_s)])
    assert day in account.missed


# --- shares -------------------------------------------------------------------------------------


def test_tenths_idle_and_work():
    # 1 s at 0.03, 2 s at 0.1, 3 s at 0.95, 4 s at 1.0: 0.03 + 0.2 + 2.85 + 4 = 7.08
    device = device_of(*utilised((0, 0), (1, 0.03), (3, 0.1), (6, 0.95), (10, 1.0)))
    assert device.utilization_tenths_s == pytest.approx([1, 2, 0, 0, 0, 0, 0, 0, 0, 7])
    assert device.idle_share == pytest.approx(0.1)
    assert device.active_s == pytest.approx(7.08)


def test_a_run_without_a_verdict_says_so_where_it_was_too_short_for_one():
    short, long = (
        report_of(*utilised(*((at, 1.0) for at in range(seconds)))) for seconds in (30, 70)
    )
    assert [device.verdicts for device in (*short.devices, *long.devices)] == [[], []]
    assert (TOO_SHORT in short.notes, TOO_SHORT in long.notes) == (True, False)
    judged = report_of(*demo_records(2, 45))
    assert any(device.verdicts for device in judged.devices)
    assert TOO_SHORT not in judged.notes


def test_verdicts_share_the_time_in_which_one_stood():
    def said(key, advice):
        return Verdict(key, key, "measured", (), "", advice, "")

    account = DeviceAccount(DeviceInfo(GPU, ""), 0.0)
    for verdict, seconds in (
        (said("starved", "more workers"), 3.0), (None, 50.0), (said("healthy", ""), 4.0),
        (said("starved", "faster disk"), 2.0), (said("starved", "more workers"), 1.0),
    ):  # fmt: skip
        account.judge(verdict, seconds)
    found = account.report(None, None, True, 60.0, 0.05, False)
    # 6 s of starved and 4 s of healthy; in the other 50 s nothing could be said.
    assert found.starved_share == pytest.approx(0.6)
    shares = [(v.key, v.seconds, v.share, v.advice) for v in found.verdicts]
    assert shares == [("starved", 6.0, pytest.approx(0.6), "more workers"),
                      ("healthy", 4.0, pytest.approx(0.4), "")]  # fmt: skip


def test_throttling_by_counter_and_by_bit():
    def at(second, counter, mask):
        return frame(second, reading(second, event_reasons=mask, sw_thermal_violation_s=counter))

    # The counter grew by 1.5 s in 4 s; the power cap's bit stood in one of the four seconds.
    device = device_of(hello(), at(0, 7.0, 0), at(1, 7.0, 0x4), at(2, 8.0, 0), at(3, 8.5, 0),
                       at(4, 8.5, 0))  # fmt: skip
    shares = {reason.key: (reason.share, reason.basis) for reason in device.held_back}
    assert shares["sw_thermal"] == (pytest.approx(1.5 / 4), "counter")
    assert shares["sw_power_cap"] == (pytest.approx(1 / 4), "sampled")


def test_gpu_hours():
    # Two devices of three are held for an hour; one works all the time, one a quarter of it.
    devices = ("GPU-0", "GPU-1", "GPU-2")
    records = [hello(*devices)]
    for at in range(0, 3601, 60):
        readings = [reading(at, uuid, gpu_utilization=value)
                    for uuid, value in zip(devices, (1.0, 0.25, 0.0), strict=True)]  # fmt: skip
        held = [uses(1, 8, uuid="GPU-0"), uses(2, 8, uuid="GPU-1")]
        records.append(frame(at, *readings, processes=held, interval_s=60.0))
    found = report_of(*records)
    assert [device.used for device in found.devices] == [True, True, False]
    assert found.gpu_hours_allocated == pytest.approx(2.0)
    assert found.gpu_hours_active == pytest.approx(1.25)


def test_active_hours_are_told_of_the_hours_that_were_read():
    # Two devices for an hour; one says nothing of its utilisation, the other half of the time.
    records = [hello("GPU-0", "GPU-1")]
    for at in range(0, 3601, 60):
        busy = 0.5 if at <= 1800 else None
        records.append(frame(at, reading(at, gpu_utilization=busy), reading(at, "GPU-1"),
                             processes=[uses(1, 8), uses(2, 8, uuid="GPU-1")],
                             interval_s=60.0))  # fmt: skip
    found = report_of(*records)
    assert found.gpu_hours_allocated == pytest.approx(2.0)
    assert (found.gpu_hours_active, found.gpu_hours_read) == (pytest.approx(0.25), 0.5)
    said = {row.label: row.value for row in words.summary(found)}
    assert said["GPU-hours"] == "2.00 allocated, 0.25 active (50 % of the 0.50 that were read)"


def test_the_host_is_weighed_too():
    def at(second, cpu, memory):
        host = HostReading(read_at=BOOT_S + second, cpu_utilization=cpu, memory_used_bytes=memory,
                           memory_total_bytes=64 * GIB)  # fmt: skip
        return frame(second, host=host)

    found = report_of(hello(), at(0, 0.0, GIB), at(1, 0.1, 2 * GIB), at(4, 0.5, 4 * GIB)).host
    assert found.cpu.mean == pytest.approx((0.1 + 1.5) / 4)
    assert found.memory_used_bytes.mean == pytest.approx((2 + 12) / 4 * GIB)
    assert found.memory_used_bytes.maximum == 4 * GIB


# --- energy -------------------------------------------------------------------------------------


def energy(*readings, **more):
    return device_of(hello(), *(frame(at, reading(at, **values)) for at, values in readings),
                     **more).energy  # fmt: skip


def test_energy_by_the_counter():
    found = energy((0, {"energy_j": 5000.0, "power_w": 90.0}),
                   (1, {"energy_j": 5100.0, "power_w": 90.0}),
                   (4, {"energy_j": 5700.0, "power_w": 90.0}))  # fmt: skip
    assert (found.joules, found.covered_s, found.basis) == (700.0, 4.0, "counter")
    assert found.average_w == pytest.approx(175.0)
    assert found.power_j == pytest.approx(360.0)  # kept beside it, for comparison


def test_energy_by_power_where_there_is_no_counter():
    # (0, 1] at 100 W, (1, 4] at 300 W
    found = energy((0, {"power_w": 50.0}), (1, {"power_w": 100.0}), (4, {"power_w": 300.0}))
    assert (found.joules, found.covered_s, found.basis) == (1000.0, 4.0, "power")
    assert found.counter_j is None


def test_energy_where_the_counter_began_anew():
    # 100 J by the counter, then a reset: the second before it is 200 W by power, then 50 J again.
    found = energy((0, {"energy_j": 9000.0, "power_w": 200.0}),
                   (1, {"energy_j": 9100.0, "power_w": 200.0}),
                   (2, {"energy_j": 3.0, "power_w": 200.0}),
                   (3, {"energy_j": 53.0, "power_w": 200.0}))  # fmt: skip
    assert found.joules == pytest.approx(100 + 200 + 50)
    assert (found.counter_s, found.covered_s, found.basis) == (2.0, 3.0, "both")


def test_energy_is_never_negative_however_the_counter_behaves():
    found = energy((0, {"energy_j": 1e9}), (1, {"energy_j": 0.0}), (2, {"energy_j": 1e15}),
                   (3, {"energy_j": 10.0}), (4, {"energy_j": 40.0}))  # fmt: skip
    assert (found.joules, found.covered_s) == (30.0, 1.0)


def test_the_counter_knows_what_was_used_in_a_gap():
    found = energy((0, {"energy_j": 0.0}), (1, {"energy_j": 100.0}), (101, {"energy_j": 5100.0}))
    assert (found.joules, found.covered_s, found.basis) == (5100.0, 101.0, "counter")


def test_a_counter_that_stops_being_read_is_carried_on_by_power():
    found = energy((0, {"energy_j": 0.0, "power_w": 10.0}),
                   (1, {"energy_j": 10.0, "power_w": 10.0}),
                   (2, {"power_w": 30.0}), (3, {"power_w": 30.0}))  # fmt: skip
    assert found.joules == pytest.approx(70.0)
    assert found.basis == "both"


def test_buffered_power_is_integrated_where_there_is_any():
    # 50 samples a second with a mean of 400 W; the reading at the end says 100 W.
    spans = [SampleSpan("power_instant_w", BOOT_S + n + 0.02, BOOT_S + n + 1.0, 50.0, 400.0, 690.0,
                        50) for n in range(2)]  # fmt: skip
    found = device_of(
        hello(), frame(0, reading(0, power_w=100.0)),
        *(frame(n + 1, reading(n + 1, power_w=100.0, samples=[spans[n]])) for n in range(2)),
    )  # fmt: skip
    assert found.energy.joules == pytest.approx(800.0)
    assert found.statistics["power_w"].maximum == 690.0


def test_counter_and_integration_agree_on_the_simulated_machine():
    found = report_of(*demo_records(8, 120))
    compared = [device.energy for device in found.devices if device.energy]
    assert len(compared) == 8
    for each in compared:
        assert each.basis == "counter"
        assert each.counter_j / each.counter_s == pytest.approx(
            each.power_j / each.power_s, rel=0.01
        )
    assert found.energy.joules == pytest.approx(sum(each.joules for each in compared))


def test_integration_of_point_readings_agrees_within_one_per_cent_too():
    # Without the driver's buffers all that is left is the mean of each last second.
    bare = []
    for record in demo_records(8, 120):
        for each in getattr(record, "devices", []):
            if hasattr(each, "samples"):
                each.samples = []
        bare.append(record)
    demo_records.cache_clear()  # they were changed
    found = [device.energy for device in report_of(*bare).devices if device.energy]
    for each in found:
        assert each.power_j / each.power_s == pytest.approx(
            each.counter_j / each.counter_s, rel=0.01
        )


def test_energy_of_several_devices_and_how_much_of_their_time_it_is_of():
    # One is read for all 4 s at 100 W, the other is lost after 2 s at 200 W.
    records = [hello("GPU-0", "GPU-1")]
    for at in range(5):
        lost = {"status": "lost"} if at > 2 else {"power_w": 200.0}
        records.append(frame(at, reading(at, power_w=100.0), reading(at, "GPU-1", **lost),
                             processes=[uses(1, 1), uses(2, 1, uuid="GPU-1")]))  # fmt: skip
    found = report_of(*records).energy
    assert found.joules == pytest.approx(4 * 100 + 2 * 200)
    assert found.average_w == pytest.approx(300)
    assert found.covered_s == pytest.approx((4 + 2) / 2)


def test_cost_and_co2():
    prices = Prices(per_gpu_hour=2.0, per_kwh=0.3, co2_g_per_kwh=400.0, currency="EUR")
    records = [hello(), *(frame(at, reading(at, energy_j=at * 500.0), processes=[uses(1, 8)],
                                interval_s=60.0)
                          for at in range(0, 3601, 60))]  # fmt: skip
    found = report_of(*records, options=Options(prices=prices)).cost
    # One device for an hour at 500 W
    assert found.gpu_hours == pytest.approx(2.0)
    assert found.energy == pytest.approx(0.15)
    assert found.co2_g == pytest.approx(200.0)
    assert report_of(*records).cost is None


# --- who ----------------------------------------------------------------------------------------


def test_two_jobs_on_one_device_and_the_rest():
    def at(second, ours, theirs, used, sm, busy):
        values = {"memory_used_bytes": used * GIB, "memory_total_bytes": 80 * GIB,
                  "gpu_utilization": busy}  # fmt: skip
        held = [uses(1, ours, sm[0], True), uses(2, theirs, sm[1], False)]
        return frame(second, reading(second, **values), processes=held)

    found = report_of(
        job(0, 4), hello(), at(0, 10, 20, 32, (0.0, 0.0), 0.0), at(1, 10, 20, 32, (0.5, 0.3), 0.9),
        at(4, 30, 20, 51, (0.7, 0.1), 0.8),
    )  # fmt: skip
    ours, theirs, rest = found.devices[0].holders
    assert (ours.who, theirs.who, rest.who) == ("job", "others", "unattributed")
    assert ours.memory_peak_bytes == 30 * GIB
    assert ours.memory_peak_share == pytest.approx(30 / 80)
    assert theirs.memory_peak_bytes == 20 * GIB
    assert rest.memory_peak_bytes == 2 * GIB
    assert ours.memory_mean_bytes == pytest.approx((10 + 3 * 30) / 4 * GIB)
    assert ours.sm_mean == pytest.approx((0.5 + 3 * 0.7) / 4)
    assert theirs.sm_mean == pytest.approx((0.3 + 3 * 0.1) / 4)
    assert rest.sm_mean == pytest.approx((0.1 + 0.0) / 4)
    assert ours.held_s == theirs.held_s == pytest.approx(4)
    assert [process.job for process in found.processes] == [True, False]


def test_a_device_that_only_others_use_is_not_the_jobs():
    records = [job(0, 2), hello("GPU-0", "GPU-1")]
    for at in range(3):
        both = [reading(at, "GPU-0", gpu_utilization=0.5), reading(at, "GPU-1", gpu_utilization=1)]
        held = [uses(1, 1, job=True), uses(2, 1, job=False, uuid="GPU-1")]
        records.append(frame(at, *both, processes=held))
    found = report_of(*records)
    assert [device.used for device in found.devices] == [True, False]
    assert found.gpu_hours_allocated == pytest.approx(2 / 3600)
    assert found.gpu_hours_active == pytest.approx(1 / 3600)
    assert [process.pid for process in found.processes] == [1]


def test_memory_that_one_process_does_not_tell_is_not_summed_up():
    held = [uses(1, 10, job=True), uses(2, None, job=True)]
    device = device_of(job(0, 1), hello(), *(
        frame(at, reading(at, memory_used_bytes=30 * GIB), processes=held) for at in (0, 1)
    ))  # fmt: skip
    ours, _, rest = device.holders
    assert ours.memory_peak_bytes is None
    assert rest.memory_peak_bytes is None


def test_a_process_that_could_not_be_told_is_in_the_rest_of_a_job_s_device():
    held = [uses(1, 10, 0.5, True), uses(2, 20, 0.2, None)]
    records = [frame(at, reading(at, memory_used_bytes=32 * GIB, gpu_utilization=0.8),
                     processes=held) for at in (0, 1)]  # fmt: skip
    ours, others, rest = device_of(job(0, 1), hello(), *records).holders
    assert (ours.memory_peak_bytes, others.memory_peak_bytes) == (10 * GIB, 0)
    assert rest.memory_peak_bytes == 22 * GIB
    assert rest.sm_mean == pytest.approx(0.3)
    held[0].job = None  # as everybody's is where there is no job
    everybody, rest = device_of(hello(), *records).holders
    assert (everybody.who, everybody.memory_peak_bytes) == ("others", 30 * GIB)
    assert rest.memory_peak_bytes == 2 * GIB


def test_a_job_without_a_process_on_a_device_says_whom_it_cannot_follow():
    records = [hello(), *(frame(at, reading(at), processes=[uses(2, 20, job=False)])
                          for at in (0, 1))]  # fmt: skip
    assert NOBODY in report_of(job(0, 1), *records).notes
    assert NOBODY not in report_of(*records).notes


def test_where_processes_cannot_be_told_apart_every_device_counts_and_it_is_said():
    why = "In this container nobody can tell."
    found = report_of(job(0, 1, unfollowed=why), hello("GPU-0", "GPU-1"),
                      *(frame(at, reading(at, "GPU-0"), reading(at, "GPU-1"),
                              processes=[uses(1, 1)]) for at in (0, 1)))  # fmt: skip
    assert [device.used for device in found.devices] == [True, True]
    told = f"{why} So every device that was watched counts as the job's."
    assert found.notes == [told, TOO_SHORT]
    assert {holder.who for holder in found.devices[0].holders} == {"others", "unattributed"}


def test_a_job_counts_from_its_begin_to_its_end():
    # Frames from 0 to 5; the job from 1.5 to 3.5: (1.5, 2] at 0.2, (2, 3] at 0.3, (3, 3.5] at 0.4
    frames = utilised(*((at, at / 10) for at in range(6)))
    found = report_of(*frames[:1], job(1.5, 3.5), *frames[1:])
    assert found.duration_s == pytest.approx(2)
    statistic = found.devices[0].statistics["gpu_utilization"]
    assert statistic.covered_s == pytest.approx(2)
    assert statistic.mean == pytest.approx((0.5 * 0.2 + 0.3 + 0.5 * 0.4) / 2)


def test_a_job_that_ended_before_the_first_reading_still_has_its_time():
    found = report_of(job(0, 0.02, user_s=0.01, system_s=0.0))
    assert found.duration_s == pytest.approx(0.02)
    assert found.devices == []
    assert found.notes == ["It ended before the first reading."]
    assert found.gpu_hours_allocated is None


def test_a_job_that_ended_while_its_devices_were_being_opened_is_not_said_to_have_had_none():
    starting = hello(status="starting")
    starting.devices = []
    found = report_of(starting, job(0, 0.02), frame(0.03), hello(GPU))
    assert words.summary(found)[1].value == "There were no readings."


def test_one_reading_is_no_statistic():
    found = report_of(*utilised((0, 0.5)))
    device = found.devices[0]
    assert device.statistics["gpu_utilization"].mean is None
    assert device.statistics["gpu_utilization"].maximum == 0.5
    assert device.active_s is None
    assert device.energy is None


def test_read_times_that_are_not_there_are_a_gap():
    records = utilised((0, 0.5), (1, 0.5), (2, 0.5))
    records[2].devices[0].read_at = ReadTimes()
    assert utilization(*records).covered_s == 0
    assert device_of(*records).uuid == GPU

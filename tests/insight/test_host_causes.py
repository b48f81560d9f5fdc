"""What the host was doing while a device ran dry: each cause on both sides of its edge."""

import pytest

from gputop.insight.host_causes import CAUSES
from gputop.insight.verdicts import Verdict
from gputop.model.frame import ContainerLimits, HostReading, Pressure, Process
from tests.insight.test_verdicts import sawtooth
from tests.insight.verdict_machine import GIB, judged, process, use

STARVED = sawtooth(3, 10)
NO_REASON = "; the host shows no reason."


def verdict_with(host: HostReading | None = None, *processes: Process) -> Verdict:
    verdict = judged(STARVED, host=host, processes=list(processes)).verdict()
    assert verdict is not None
    assert verdict.key == "starved"
    return verdict


def limits(**changes: float) -> HostReading:
    fields = {"cpu_quota_cores": 8.0, "cpu_used_cores": 4.0, "memory_limit_bytes": 100 * GIB,
              "memory_used_bytes": 50 * GIB, "cpu_throttled": 0.0} | changes  # fmt: skip
    return HostReading(container=ContainerLimits(**fields))


def pressure(**changes: float) -> HostReading:
    return HostReading(pressure=Pressure(**changes))


CASES = {
    "quota": (limits(cpu_throttled=0.021), limits(cpu_throttled=0.019),
              "the container's CPU quota stopped its processes 2 % of the time"),
    "memory": (limits(memory_used_bytes=95.1 * GIB), limits(memory_used_bytes=94.9 * GIB),
               "the container's memory was at its limit (95.1/100 GiB)"),
    "memory pressure": (pressure(memory_some=0.101), pressure(memory_some=0.099),
                        "tasks waited for memory 10 % of the time"),
    "disk": (pressure(io_some=0.101), pressure(io_some=0.099),
             "tasks waited for the disk 10 % of the time"),
    "iowait": (HostReading(iowait=1.01 / 32), HostReading(iowait=0.99 / 32),
               "1.0 cores waited for the disk"),
    "cpu": (HostReading(cpu_utilization=0.901), HostReading(cpu_utilization=0.899),
            "the CPU was 90 % busy"),
    "cpu quota": (limits(cpu_used_cores=7.3), limits(cpu_used_cores=7.1),
                  "the CPU was 91 % busy"),
    "cpu pressure": (pressure(cpu_some=0.101), pressure(cpu_some=0.099),
                     "tasks waited for a free core 10 % of the time"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_cause_is_named_on_its_side_of_the_edge_only(case):
    busy, quiet, clause = CASES[case]
    verdict = verdict_with(busy)
    assert verdict.sentence.endswith(f", while {clause}.")
    assert verdict.advice in {cause.advice for cause in CAUSES}
    assert len(verdict.evidence) == 4
    assert verdict_with(quiet).sentence.endswith(NO_REASON)


@pytest.mark.parametrize(
    ("cores", "threads", "named"),
    [(0.91, 30, True), (1.09, 30, True), (0.89, 30, False), (1.2, 30, False), (3.7, 4, True),
     (3.5, 4, False), (3.7, None, False), (None, 1, False)],
)  # fmt: skip
def test_a_process_whose_threads_are_full_is_named(cores, threads, named):
    worker = process(
        42, use(gib=0.5), name="load\x1b[31mer", cpu_utilization=cores, threads=threads
    )
    sentence = verdict_with(None, worker).sentence
    assert ("of load" in sentence) == named
    assert "\x1b" not in sentence
    if not named:
        assert sentence.endswith(NO_REASON)


def test_many_full_processes_are_counted_and_three_shown():
    workers = [process(n, use(gib=0.5), cpu_utilization=0.97) for n in range(6)]
    verdict = verdict_with(None, *workers)
    assert "6 of its processes each kept a core busy" in verdict.sentence
    assert sum(e.label.startswith("CPU of") for e in verdict.evidence) == 3


def test_processes_of_other_devices_are_not_blamed():
    other = process(1, use("G1"), cpu_utilization=1.0)
    assert verdict_with(None, process(), other).sentence.endswith(NO_REASON)


def test_two_causes_stand_in_the_sentence_and_all_in_the_evidence():
    host = limits(cpu_throttled=0.3, memory_used_bytes=99 * GIB)
    host.pressure = Pressure(io_some=0.5)
    verdict = verdict_with(host)
    assert " and the container's memory was at its limit" in verdict.sentence
    assert "disk" not in verdict.sentence
    assert [e.label for e in verdict.evidence[3:]] == [
        "CPU quota throttling", "Container memory", "Pressure, io",
    ]  # fmt: skip
    assert verdict.advice.startswith("Raise the container's CPU limit")


def test_a_process_that_cannot_be_read_for_a_while_keeps_its_mean():
    machine = judged(STARVED, processes=[process(cpu_utilization=1.0)])
    machine.run(10, STARVED, processes=[process(cpu_utilization=None)])
    assert "worked nearly all the time" in machine.verdict().sentence


def test_a_mean_follows_what_the_process_does():
    machine = judged(STARVED, processes=[process(cpu_utilization=1.0)])
    machine.run(10, STARVED, processes=[process(cpu_utilization=0.1)])
    assert machine.verdict().sentence.endswith(NO_REASON)

"""Each verdict on both sides of every edge of its rule."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from gputop.insight.verdict_rules import RULES
from gputop.model.frame import DeviceInfo, Process
from gputop.model.missing import NEEDS_TWO_READINGS
from tests.insight.verdict_machine import (
    GIB,
    GPM,
    LINK_BYTES_PER_S,
    PLAIN,
    Machine,
    Values,
    judged,
    process,
    use,
)


@dataclass(frozen=True)
class Case:
    """Values that make a rule speak, and the nearest that do not."""

    rule: str
    basis: str
    base: dict[str, Any]
    speaks: dict[str, Any]
    silent: tuple[dict[str, Any], ...]
    """Changes to what speaks, each just beyond one edge."""
    needs: tuple[str, ...]
    """Without any one of these readings it does not speak."""
    seconds: int = 75
    options: dict[str, Any] = field(default_factory=dict)

    def values(self, **changes: Any) -> dict[str, Any]:
        return {**self.base, **self.speaks, **changes}


LATCHED = {"gpu_utilization": 1.0, "memory_used_bytes": GIB, "power_w": 115.0}
NONE_THERE: dict[str, Any] = {"processes": []}
IDLE = {"gpu_utilization": 0.0, "power_w": 70.0}
COPYING = {"pcie_rx_bytes_per_s": 0.202 * LINK_BYTES_PER_S, "sm_activity": 0.298}

CASES = (
    Case("latched", "measured", GPM, LATCHED | {"sm_activity": 0.0},
         ({"gpu_utilization": 0.98}, {"sm_activity": 0.051}, {"memory_used_bytes": 1.61 * GIB}),
         ("gpu_utilization", "memory_used_bytes", "memory_total_bytes"), options=NONE_THERE),
    Case("latched", "estimated", PLAIN, LATCHED, ({"power_w": 351.0}, {"gpu_utilization": 0.98}),
         ("gpu_utilization", "memory_used_bytes"), options=NONE_THERE),
    Case("idle_holding", "measured", GPM, IDLE | {"sm_activity": 0.0},
         ({"gpu_utilization": 0.051}, {"sm_activity": 0.051}, {"memory_used_bytes": 1.59 * GIB}),
         ("memory_used_bytes", "memory_total_bytes"), 320),
    Case("idle_holding", "measured", PLAIN, IDLE, ({"gpu_utilization": 0.051},),
         ("gpu_utilization", "memory_used_bytes"), 320),
    Case("thermal", "measured", GPM, {"sw_thermal_violation_s": 0.102, "event_reasons": 0x20},
         ({"sw_thermal_violation_s": 0.098, "event_reasons": 0},), ()),
    Case("thermal", "measured", GPM, {"hw_thermal_violation_s": 0.102},
         ({"hw_thermal_violation_s": 0.098},), ("hw_thermal_violation_s",)),
    Case("pcie", "measured", GPM, {"pcie_rx_bytes_per_s": 0.702 * LINK_BYTES_PER_S},
         ({"pcie_rx_bytes_per_s": 0.698 * LINK_BYTES_PER_S},),
         ("pcie_rx_bytes_per_s", "pcie_generation", "pcie_width")),
    Case("pcie", "measured", PLAIN, {"pcie_tx_bytes_per_s": 0.702 * LINK_BYTES_PER_S},
         ({"pcie_tx_bytes_per_s": 0.698 * LINK_BYTES_PER_S}, {"pcie_generation": 2}),
         ("pcie_tx_bytes_per_s", "pcie_width")),
    Case("pcie", "measured", GPM, COPYING,
         ({"pcie_rx_bytes_per_s": 0.198 * LINK_BYTES_PER_S}, {"sm_activity": 0.302}),
         ("pcie_rx_bytes_per_s", "sm_activity", "pcie_width")),
    Case("power_capped", "measured", GPM, {"power_violation_s": 0.102, "power_w": 681.0},
         ({"power_violation_s": 0.098}, {"power_w": 677.0}), ("power_violation_s",)),
    Case("power_capped", "measured", GPM, {"power_brake_violation_s": 0.102},
         ({"power_brake_violation_s": 0.098},), ("power_brake_violation_s",)),
    Case("memory_bound", "measured", GPM, {"dram_activity": 0.502, "sm_activity": 0.498},
         ({"dram_activity": 0.498}, {"sm_activity": 0.502}), ("dram_activity", "sm_activity")),
    Case("memory_bound", "measured", GPM, {"dram_activity": 0.602, "tensor_activity": 0.148},
         ({"dram_activity": 0.598}, {"tensor_activity": 0.152}),
         ("dram_activity", "tensor_activity")),
    Case("memory_bound", "estimated", PLAIN,
         {"memory_utilization": 0.602, "gpu_utilization": 0.902, "power_w": 629.0},
         ({"memory_utilization": 0.598}, {"gpu_utilization": 0.898}, {"power_w": 631.0}),
         ("memory_utilization", "gpu_utilization", "power_w", "power_limit_w")),
    Case("compute_bound", "measured", GPM, {"tensor_activity": 0.502, "sm_activity": 0.602},
         ({"tensor_activity": 0.498}, {"sm_activity": 0.598}),
         ("tensor_activity", "sm_activity")),
    Case("compute_bound", "measured", GPM, {"fp32_activity": 0.502, "sm_activity": 0.602},
         ({"fp32_activity": 0.498},), ("fp32_activity",)),
    Case("compute_bound", "estimated", PLAIN,
         {"gpu_utilization": 0.902, "power_w": 491.5, "memory_utilization": 0.598},
         ({"gpu_utilization": 0.898}, {"power_w": 488.5}, {"memory_utilization": 0.602}),
         ("gpu_utilization", "power_w", "power_limit_w", "memory_utilization")),
    Case("launch_bound", "measured", GPM,
         {"gpu_utilization": 0.902, "sm_activity": 0.498, "dram_activity": 0.398},
         ({"gpu_utilization": 0.898}, {"sm_activity": 0.502}, {"dram_activity": 0.402}),
         ("gpu_utilization", "sm_activity", "dram_activity")),
    Case("launch_bound", "estimated", PLAIN,
         {"gpu_utilization": 0.902, "power_w": 314.0, "sm_clock_mhz": 1784,
          "memory_utilization": 0.398},
         ({"gpu_utilization": 0.898}, {"power_w": 316.0}, {"sm_clock_mhz": 1780},
          {"memory_utilization": 0.402}),
         ("gpu_utilization", "power_w", "power_limit_w", "sm_clock_mhz", "memory_utilization")),
    Case("healthy", "measured", GPM, {"sm_activity": 0.802}, ({"sm_activity": 0.798},),
         ("sm_activity",)),
    Case("healthy", "estimated", PLAIN, {"gpu_utilization": 0.802, "power_w": 351.0},
         ({"gpu_utilization": 0.798}, {"power_w": 349.0}),
         ("gpu_utilization", "power_w", "power_limit_w")),
)  # fmt: skip
OTHERWISE = {"starved", "straggler"}
"""Rules that have tests of their own below."""


def name(case: Case) -> str:
    return f"{case.rule}-{case.basis}-{'-'.join(case.speaks)}"


def test_every_rule_has_a_case():
    assert {case.rule for case in CASES} | OTHERWISE == {rule.key for rule in RULES}


def test_the_readme_explains_every_verdict_in_order():
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    rows = re.findall(r"^\| ([^|]+) \| .* \| .* \|$", readme.partition("## The verdict")[2], re.M)
    assert rows[: len(RULES) + 1] == ["verdict", *(rule.title for rule in RULES)]


@pytest.mark.parametrize("base", [GPM, PLAIN], ids=["gpm", "plain"])
def test_no_verdict_is_an_answer(base):
    machine = judged(base)
    assert machine.verdict() is None
    assert machine.book.silence("G0") == "Nothing clear limits it: the readings are mixed."


@pytest.mark.parametrize("case", CASES, ids=name)
def test_a_rule_speaks_on_its_side_of_each_edge_only(case):
    verdict = judged(case.values(), seconds=case.seconds, **case.options).verdict()
    assert verdict is not None
    assert (verdict.key, verdict.basis) == (case.rule, case.basis)
    assert verdict.evidence
    assert all(e.label and e.value and e.window for e in verdict.evidence)
    assert verdict.sentence.endswith(".")
    assert verdict.advice.endswith(".")
    for changes in case.silent:
        machine = judged(case.values(**changes), seconds=case.seconds, **case.options)
        assert machine.key() != case.rule, changes


@pytest.mark.parametrize("case", CASES, ids=name)
def test_what_was_not_read_never_counts_as_zero(case):
    for missing in case.needs:
        values = case.values(**{missing: None})
        if missing.endswith("_violation_s"):
            values.pop(missing)
        machine = judged(values, seconds=case.seconds, **case.options)
        verdict = machine.verdict()
        told = (case.rule, case.basis) if verdict is None else (verdict.key, verdict.basis)
        assert verdict is None or told != (case.rule, case.basis), missing


@pytest.mark.parametrize("case", [c for c in CASES if c.base is PLAIN], ids=name)
def test_an_estimate_names_no_activity_of_the_sms(case):
    verdict = judged(case.values(), seconds=case.seconds, **case.options).verdict()
    assert verdict is not None
    assert "SM" not in verdict.sentence.replace("SM clock", "")
    assert {e.label for e in verdict.evidence}.isdisjoint(
        {"SM active", "Tensor active", "DRAM active"}
    )


def test_a_device_with_gpm_is_not_guessed_at_while_its_counters_are_awaited():
    waiting = {**PLAIN, "gpu_utilization": 0.9, "power_w": 600.0}
    machine = Machine().run(60, waiting)
    assert machine.key() == "compute_bound"
    assert Machine().run(60, waiting, reason=NEEDS_TWO_READINGS).key() is None
    machine = Machine().run(12, {**waiting, "sm_activity": 0.3}).run(60, waiting)
    assert machine.key() is None, "they were there once: nothing takes their place"


@pytest.mark.parametrize(
    ("utilization", "memory", "key"),
    [(0.9, 0.6, "memory_bound"), (0.9, 0.59, "compute_bound"), (0.89, 0.6, "healthy")],
)
def test_whole_per_cents_at_an_edge_are_on_its_side(utilization, memory, key):
    values = {**PLAIN, "gpu_utilization": utilization, "memory_utilization": memory}
    assert judged({**values, "power_w": 490.0}).key() == key


# --- Sampled event reasons ----------------------------------------------------------------------


@pytest.mark.parametrize(("held", "key"), [(5, None), (7, "thermal")])
def test_sampled_bits_are_an_estimate(held, key):
    def bits(n: int) -> dict[str, Any]:
        return {**GPM, "event_reasons": 0x20 if n % 60 < held else 0}

    machine = Machine().run(120, bits)
    assert machine.key() == key
    if key:
        assert machine.verdict().basis == "estimated"
        assert "of 60 s" in machine.verdict().sentence


def test_a_share_of_a_few_seconds_is_no_share_of_a_minute():
    hot = {**GPM, "sw_thermal_violation_s": 1.0, "event_reasons": 0x20}
    assert Machine().run(28, hot).key() is None
    assert Machine().run(40, hot).key() == "thermal"


# --- Latched and idle devices -------------------------------------------------------------------


def test_a_process_with_a_context_explains_the_utilisation():
    values = {**GPM, **LATCHED, "sm_activity": 0.0}
    tiny = process(7, use(gib=0.06), name="Xorg")
    assert judged(values, processes=[tiny]).key() == "latched"
    for gib in (0.0626, None):
        assert judged(values, processes=[process(7, use(gib=gib))]).key() != "latched"
    assert judged(values, processes=[], lists=False).key() != "latched", "nobody looked"


def test_one_dip_in_the_minute_is_no_latch():
    def dips(n: int) -> dict[str, Any]:
        return {**GPM, **LATCHED, "sm_activity": 0.0, "gpu_utilization": 0.5 if n == 30 else 1.0}

    assert judged(dips, processes=[]).key() != "latched"


def test_idle_must_last_as_long_as_the_settings_say():
    values = {**PLAIN, **IDLE}
    assert Machine().run(270, values).key() is None
    assert Machine().run(270, values).book.silence("G0") == "The device is idle."
    assert Machine(idle_s=120).run(130, values).key() == "idle_holding"

    def blip(n: int) -> dict[str, Any]:
        return {**values, "gpu_utilization": 0.06 if n == 200 else 0.0}

    assert Machine().run(320, blip).key() is None


def test_an_idle_device_says_whose_memory_it_is():
    machine = Machine().run(320, {**PLAIN, **IDLE}, processes=[
        process(1, use(gib=38)), process(2, use(gib=0.01), name="nv-hostengine", user="root"),
    ])  # fmt: skip
    assert machine.verdict().sentence.endswith("are held for ann.")


# --- Input-starved ------------------------------------------------------------------------------


def sawtooth(gap_s: int, of_s: int, busy: float = 0.8, gap: float = 0.0, **changes: Any) -> Values:
    def values(n: int) -> dict[str, Any]:
        return {**GPM, "gpu_utilization": gap if n % of_s < gap_s else busy, **changes}

    return values


def irregular(gaps: set[int]) -> Values:
    def values(n: int) -> dict[str, Any]:
        return {**GPM, "gpu_utilization": 0.0 if n % 60 in gaps else 0.8}

    return values


def test_a_sawtooth_with_power_far_below_the_limit_is_starved():
    verdict = judged(sawtooth(3, 10), seconds=120).verdict()
    assert verdict is not None
    assert (verdict.key, verdict.basis) == ("starved", "estimated")
    assert verdict.sentence == (
        "It ran dry 6 times in 60 s, at 48 % of its power limit; the host shows no reason."
    )
    assert [(e.label, e.value) for e in verdict.evidence] == [
        ("GPU utilisation", "56 %"), ("Seconds with an idle gap", "30 %"), ("Power", "336/700 W"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("values", "key"),
    [
        (irregular({*range(0, 60, 5)} | {31}), "starved"),  # 13 of 60 s
        (irregular({*range(0, 60, 6)}), None),  # 10 of 60 s
        (sawtooth(5, 20), "starved"),  # three long gaps
        (sawtooth(8, 30), None),  # two
        (sawtooth(1, 4, 0.926), "starved"),  # mean 69.5 %
        (sawtooth(1, 4, 0.96), None),  # mean 72 %
        (sawtooth(3, 10, gap=0.049), "starved"),
        (sawtooth(3, 10, gap=0.051), None),
        (sawtooth(3, 10, busy=0.502), "starved"),
        (sawtooth(3, 10, busy=0.498), None),
        (sawtooth(3, 10, power_w=488.0), "starved"),
        (sawtooth(3, 10, power_w=492.0), None),
        (sawtooth(3, 10, power_w=None), None),
        (sawtooth(3, 10, power_limit_w=None), None),
        (sawtooth(3, 10, gap=None), None),
    ],
)  # fmt: skip
def test_the_edges_of_a_starved_device(values, key):
    assert judged(values, seconds=120).key() == key


def test_a_full_link_is_the_reason_and_not_the_loader():
    full = {"pcie_rx_bytes_per_s": 0.8 * LINK_BYTES_PER_S}
    assert judged(sawtooth(3, 10, **full), seconds=120).key() == "pcie"


def test_what_was_not_read_between_busy_and_idle_is_no_fall():
    def holes(n: int) -> dict[str, Any]:
        return {**GPM, "gpu_utilization": (0.8, None, 0.0, None)[n % 4]}

    assert judged(holes, seconds=120).key() is None


def test_the_end_of_a_job_is_no_starvation():
    machine = Machine().run(90, GPM)
    for _ in range(12):
        machine.run(5, {**GPM, "gpu_utilization": 0.0})
        assert machine.key() is None


# --- Stragglers ---------------------------------------------------------------------------------


def pair(clock: float, other: float = 1980, **changes: Any) -> tuple[Values, Values]:
    return {**GPM, "sm_clock_mhz": clock, **changes}, {**GPM, "sm_clock_mhz": other}


def ranks(**changes: Any) -> list[Process]:
    return [process(1, use("G0")), process(2, use("G1"), **changes)]


def test_the_slower_of_two_ranks_is_the_straggler():
    machine = judged(*pair(1780), processes=ranks())
    assert (machine.key("G0"), machine.key("G1")) == ("straggler", None)
    verdict = machine.verdict("G0")
    assert verdict.basis == "estimated"
    assert [e.value for e in verdict.evidence[:2]] == ["1780 MHz", "1980 MHz"]
    assert judged(*pair(1784), processes=ranks()).key("G0") is None


def test_clocks_that_somebody_holds_are_said():
    verdict = judged(*pair(1200, event_reasons=0x2), processes=ranks()).verdict("G0")
    assert verdict.sentence.endswith("An application or administrator holds its clocks there.")
    assert "-rac" in verdict.advice


def test_one_process_on_both_devices_is_one_job():
    both = process(1, use("G0"), use("G1"), user=None, name=None)
    assert judged(*pair(1780), processes=[both]).key("G0") == "straggler"


@pytest.mark.parametrize(
    "changes",
    [{"user": "bob"}, {"name": "vllm"}, {"started_utc_s": 1e9 + 121}, {"started_utc_s": None},
     {"user": None}, {"name": None}],
)  # fmt: skip
def test_devices_with_different_jobs_are_no_peers(changes):
    assert judged(*pair(1780), processes=ranks(**changes)).key("G0") is None


def test_two_processes_without_a_name_are_no_job():
    nameless = [process(n, use(f"G{n}"), name=None, user=None) for n in range(2)]
    assert judged(*pair(1780), processes=nameless).key("G0") is None


def test_ranks_may_start_two_minutes_apart():
    late = ranks(started_utc_s=1e9 + 120)
    assert judged(*pair(1780), processes=late).key("G0") == "straggler"


@pytest.mark.parametrize(
    "other",
    [{"gpu_utilization": 0.49}, {"gpu_utilization": None}, {"sm_clock_mhz": None}],
)  # fmt: skip
def test_a_peer_that_is_idle_or_unread_is_none(other):
    slow, peer = pair(1780)
    assert judged(slow, {**peer, **other}, processes=ranks()).key("G0") is None


def test_a_lost_peer_is_none():
    slow, _ = pair(1780)
    machine = judged(slow, {"status": "lost"}, processes=ranks())
    assert machine.key("G0") is None


def test_another_model_is_no_peer():
    infos = [
        DeviceInfo(uuid="G0", name="NVIDIA X", index=0),
        DeviceInfo(uuid="G1", name="NVIDIA Y"),
    ]
    machine = Machine(infos=infos).run(75, *pair(1780), processes=ranks())
    assert machine.key("G0") is None


def test_what_is_known_to_hold_the_clocks_says_more_than_that_they_are_low():
    held = {"power_violation_s": 0.5, "power_w": 690.0}
    assert judged(*pair(1400, **held), processes=ranks()).key("G0") == "power_capped"
    boosted = {"sync_boost_violation_s": 0.5}
    assert judged(*pair(1400, **boosted), processes=ranks()).key("G0") is None
    few = {"sync_boost_violation_s": 0.05}
    assert judged(*pair(1400, **few), processes=ranks()).key("G0") == "straggler"

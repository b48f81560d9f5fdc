"""What can limit a device: one table of rules, the first that speaks is the verdict.

The order is the order of precedence: what makes the other readings meaningless comes first (a
latched or idle device), then what takes time away (heat, the link, missing input, power, a slow
peer), then what the kernels themselves run into, and last that nothing does.

Sources of the edges: K is the KempnerPulse dashboard's table of GPM profiles, DCGM is NVIDIA's
description of its profiling fields, P is gputop's own proposal (both in the project's NVML notes).
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from gputop import text
from gputop.insight.host_causes import causes
from gputop.insight.look import PART, Look, span_text
from gputop.insight.verdicts import Basis, Evidence, Verdict
from gputop.model.nvml_tables import HARMFUL

CONTEXT_BYTES = 64 << 20
"""A process with less device memory has no CUDA context: that alone takes some hundred MiB."""
HELD = 0.02
"""Share of the card's memory: a driver alone holds less."""
LATCHED = 0.99
STARVED_POWER = 0.7
"""Share of the power limit, on the mean, below which there was clearly nothing to do (P)."""
STARVED_FALLS = 3
"""A job that ends falls idle once; one that waits does it again and again."""
COPYING = 0.2
"""Share of the link at which copies are worth naming where the SMs hardly work: K's 1 GB/s is
nothing on today's links."""
ACTIVITIES = ("sm_activity", "tensor_activity", "dram_activity")
PIPES = ("tensor_activity", "fp16_activity", "fp32_activity", "fp64_activity")


class Case(Struct, frozen=True):
    """Why a rule speaks."""

    basis: Basis
    sentence: str
    evidence: tuple[Evidence, ...]
    advice: str | None = None
    """In place of the rule's."""


class VerdictRule(Struct, frozen=True):
    """One thing that can limit a device."""

    key: str
    title: str
    test: Callable[[Look], Case | None]
    advice: str
    source: str

    def judge(self, look: Look) -> Verdict | None:
        """The verdict, where the rule speaks."""
        case = self.test(look)
        if case is None:
            return None
        return Verdict(
            self.key, self.title, case.basis, case.evidence, case.sentence,
            case.advice or self.advice, self.source,
        )  # fmt: skip


# --- What makes the other readings meaningless --------------------------------------------------


def _latched(look: Look) -> Case | None:
    if look.holders is None or any(use.memory_bytes is None or use.memory_bytes >= CONTEXT_BYTES
                                   for _, use in look.holders):  # fmt: skip
        return None
    if not look.above(look.low("gpu_utilization"), LATCHED):
        return None
    used, activity = look.memory_share, look.mean("sm_activity")
    if used is None or used >= HELD or (activity is not None and activity >= look.idle):
        return None
    if activity is None and look.above(look.limit_share, 0.5):
        return None  # something draws power: it may be a process that this machine cannot see
    return Case(
        "estimated" if activity is None else "measured",
        f"Utilisation has stood at {text.percent(look.mean('gpu_utilization'))} for "
        f"{look.scene.window}, yet no process is on the device and its memory is empty.",
        (
            *look.readings("gpu_utilization", "sm_activity"), *look.power(),
            look.said("Processes", "none", "now"),
        ),
    )  # fmt: skip


def _idle_holding(look: Look) -> Case | None:
    if look.above(look.now("gpu_utilization"), look.idle):
        return None  # the common case, without a look at minutes of history
    seconds = look.scene.thresholds.idle_s
    highs = [look.high(name, seconds) for name in ("gpu_utilization", "sm_activity")]
    known = [high for high in highs if high is not None]
    if not known or not all(look.below(high, look.idle) for high in known):
        return None
    used, total = look.now("memory_used_bytes"), look.now("memory_total_bytes")
    if not look.above(look.memory_share, HELD):
        return None
    window = span_text(seconds)
    held = text.bytes_pair(used, total)
    evidence = [
        look.said(label, f"at most {text.percent(high)}", window)
        for label, high in zip(("GPU utilisation", "SM active"), highs, strict=True)
        if high is not None
    ]
    owners = sorted({
        text.clean(process.user, 16) for process, use in look.holders or ()
        if process.user and (use.memory_bytes or 0) >= CONTEXT_BYTES
    })  # fmt: skip
    whose = f" for {' and '.join(owners[:2])}" if owners and len(owners) < 3 else ""
    return Case(
        "measured",
        f"Nothing ran for {window}, while {text.size(used)} of its memory are held{whose}.",
        (*evidence, look.said("Memory", held, "now")),
    )


# --- What takes time away -----------------------------------------------------------------------


def _held_back(*keys: str) -> Callable[[Look], Case | None]:
    """A rule on the time that any of these event reasons took."""
    labels = {reason.key: reason.label for reason in HARMFUL}
    advices = {reason.key: reason.advice for reason in HARMFUL}

    def test(look: Look) -> Case | None:
        shares = [look.shares[key] for key in keys if key in look.shares]
        worst = max(shares, key=lambda share: share.share, default=None)
        if worst is None or not look.above(worst.share, look.scene.thresholds.held_back):
            return None
        if worst.covered_s < PART * look.scene.window_s:
            return None
        key, window = worst.reason.key, span_text(worst.covered_s)
        clock, best = look.mean("sm_clock_mhz"), look.now("sm_clock_max_mhz")
        cost = ""
        if clock is not None and best and clock < best:
            cost = f"; the SM clock was {clock:.0f} of {text.mhz(best)}"
        evidence = tuple(
            look.said(labels[share.reason.key][:1].upper() + labels[share.reason.key][1:],
                      text.percent(share.share), span_text(share.covered_s))
            for share in shares
        )  # fmt: skip
        return Case(
            "measured" if worst.basis == "counter" else "estimated",
            f"{labels[key].capitalize()} held the clocks down for {text.percent(worst.share)} of "
            f"{window}{cost}.",
            (*evidence, *look.power(), *look.readings("sm_clock_mhz", "temperature_c")),
            advices[key],
        )

    return test


_thermal = _held_back("hw_thermal", "sw_thermal")
_supply = _held_back("power_brake", "board_limit")
_capped = _held_back("sw_power_cap")


def _power_capped(look: Look) -> Case | None:
    peak, limit = look.peak("power_w"), look.now("power_limit_w")
    if (
        peak is not None
        and limit
        and not look.above(peak / limit, look.scene.thresholds.power_full)
    ):
        return _supply(look)  # the bit alone: it was never at its own limit
    return _supply(look) or _capped(look)


def _pcie(look: Look) -> Case | None:
    share, activity = look.link_share, look.mean("sm_activity")
    full = look.above(share, look.scene.thresholds.link_full)
    copying = look.above(share, COPYING) and look.below(activity, 0.3)
    if not (full or copying):
        return None
    width, generation = look.now("pcie_width"), look.now("pcie_generation")
    link = f"gen {generation:.0f} x{width:.0f}"
    idle = f", while the SMs were active {text.percent(activity)} of it" if copying else ""
    return Case(
        "measured",
        f"Copies took {text.percent(share)} of what the PCIe link ({link}) carries over "
        f"{look.scene.window}{idle}.",
        (
            *look.readings("pcie_rx_bytes_per_s", "pcie_tx_bytes_per_s", "sm_activity"),
            look.said("PCIe link", f"{link}, {text.rate(look.link_bytes_per_s)} each way", "now"),
        ),
    )


def _starved(look: Look) -> Case | None:
    gaps, power = look.gaps, look.limit_share
    if gaps is None or gaps[1] < STARVED_FALLS or not look.below(power, STARVED_POWER):
        return None
    share, falls = gaps
    if not look.above(share, look.scene.thresholds.starved_gaps):
        return None
    if not look.below(look.mean("gpu_utilization"), 0.7):
        return None
    said = causes(look)
    host = " and ".join(found.clause for _, found in said[:2])
    evidence = [
        *look.readings("gpu_utilization"),
        look.said("Seconds with an idle gap", text.percent(share)),
        *look.power(),
        *(reading for _, found in said for reading in found.evidence),
    ]
    return Case(
        "estimated",
        f"It ran dry {falls} times in {look.scene.window}, at {text.percent(power)} of its power "
        f"limit{f', while {host}' if host else '; the host shows no reason'}.",
        tuple(evidence),
        said[0][0].advice if said else None,
    )


def _straggler(look: Look) -> Case | None:
    mine, theirs = look.busy_clock, look.peer_clock
    if mine is None or theirs is None or not look.busy:
        return None
    edges = look.scene.thresholds
    if not look.above(1 - mine / theirs, edges.straggler):
        return None
    if any(share.share >= edges.held_back for share in look.shares.values()):
        return None  # what holds it back is known, and says more
    count = len(look.peers)
    held = int(look.now("event_reasons") or 0) & 0x2
    cause = " An application or administrator holds its clocks there." if held else ""
    return Case(
        "estimated",
        f"Under load its SM clock was {text.mhz(mine)}, {text.percent(1 - mine / theirs)} below "
        f"that of {count} other device{'s' * (count != 1)} with the same job, which will wait for "
        f"it.{cause}",
        (
            look.said("SM clock under load", text.mhz(mine)),
            look.said("Its peers' (median)", text.mhz(theirs)),
            *look.readings("gpu_utilization"), *look.power(),
        ),
        "Give the clocks back (nvidia-smi -rgc; -rac)." if held else None,
    )  # fmt: skip


# --- What the kernels run into ------------------------------------------------------------------


def _memory_bound(look: Look) -> Case | None:
    sm, tensor, dram = (look.mean(name) for name in ACTIVITIES)
    if look.counts_activity:
        starved_sms = look.above(dram, 0.5) and look.below(sm, 0.5)
        no_tensor = look.above(dram, 0.6) and look.below(tensor, 0.15)
        if not (starved_sms or no_tensor):
            return None
        return Case(
            "measured",
            f"Device memory was transferring {text.percent(dram)} of the cycles over "
            f"{look.scene.window} (80 % is about all it can do), the tensor pipes worked "
            f"{text.percent(tensor)}.",
            look.readings(*reversed(ACTIVITIES)),
        )
    if not (look.saturated and look.above(look.mean("memory_utilization"), 0.6)
            and look.below(look.limit_share, 0.9)):  # fmt: skip
        return None
    return Case(
        "estimated",
        f"Device memory was being read or written "
        f"{text.percent(look.mean('memory_utilization'))} of {look.scene.window}, and the board "
        "drew less than its limit: kernels probably wait for memory.",
        (*look.readings("gpu_utilization", "memory_utilization"), *look.power()),
    )


def _compute_bound(look: Look) -> Case | None:
    sm = look.mean("sm_activity")
    if look.counts_activity:
        pipes = [(look.mean(name) or 0.0, name) for name in PIPES if look.mean(name) is not None]
        most, name = max(pipes, default=(None, ""))
        if not (look.above(sm, 0.6) and look.above(most, 0.5)):
            return None
        pipe = name.removesuffix("_activity")
        return Case(
            "measured",
            f"The {pipe if pipe == 'tensor' else pipe.upper()} pipes were busy "
            f"{text.percent(most)} and the SMs active {text.percent(sm)} of {look.scene.window}: "
            "arithmetic is the limit, as it should be.",
            look.readings("sm_activity", name, "dram_activity"),
        )
    if not (look.saturated and look.above(look.limit_share, 0.7)
            and look.below(look.mean("memory_utilization"), 0.6)):  # fmt: skip
        return None
    return Case(
        "estimated",
        f"Kernels ran all the time at {text.percent(look.limit_share)} of the power limit, and "
        "memory was not busy: arithmetic is probably the limit.",
        (*look.readings("gpu_utilization", "memory_utilization"), *look.power()),
    )


def _launch_bound(look: Look) -> Case | None:
    if not look.saturated:
        return None
    sm, dram = look.mean("sm_activity"), look.mean("dram_activity")
    if look.counts_activity:
        if not (look.below(sm, 0.5) and look.below(dram, 0.4)):
            return None
        return Case(
            "measured",
            f"A kernel ran {text.percent(look.mean('gpu_utilization'))} of {look.scene.window}, "
            f"but only {text.percent(sm)} of the SMs' time was used: the kernels are small, or "
            "wait to be launched.",
            look.readings("gpu_utilization", *ACTIVITIES),
        )
    clock, best = look.mean("sm_clock_mhz"), look.now("sm_clock_max_mhz")
    full_clock = clock is not None and best is not None and look.above(clock / best, 0.9)
    if not (full_clock and look.below(look.limit_share, 0.45)
            and look.below(look.mean("memory_utilization"), 0.4)):  # fmt: skip
        return None
    return Case(
        "estimated",
        f"Kernels ran all the time and the clocks were high, but the board drew only "
        f"{text.percent(look.limit_share)} of its limit: the kernels are probably small.",
        (
            *look.readings("gpu_utilization", "memory_utilization"), *look.power(),
            *look.readings("sm_clock_mhz"),
        ),
    )  # fmt: skip


def _healthy(look: Look) -> Case | None:
    sm = look.mean("sm_activity")
    if look.counts_activity:
        if not look.above(sm, 0.8):
            return None
        return Case(
            "measured",
            f"The SMs were active {text.percent(sm)} of {look.scene.window}, and nothing held "
            "them back.",
            look.readings("gpu_utilization", *ACTIVITIES),
        )
    if not (look.above(look.mean("gpu_utilization"), 0.8) and look.above(look.limit_share, 0.5)):
        return None
    return Case(
        "estimated",
        f"Kernels ran {text.percent(look.mean('gpu_utilization'))} of {look.scene.window} at "
        f"{text.percent(look.limit_share)} of the power limit, and nothing held them back.",
        (*look.readings("gpu_utilization"), *look.power()),
    )


RULES: tuple[VerdictRule, ...] = (
    VerdictRule(
        "latched", "100 % without a process", _latched,
        "Reset the device (nvidia-smi -r) once nobody needs it.",
        "reports of Blackwell after a kill in mid-kernel; low edges P"),
    VerdictRule(
        "idle_holding", "idle, holding memory", _idle_holding,
        "End the process that holds it, or ask its owner to.", "P: utilisation and SM below 5 %"),
    VerdictRule(
        "thermal", "thermally limited", _thermal,
        "Improve the airflow, or lower the power limit.", "P: event reasons and their counters"),
    VerdictRule(
        "pcie", "PCIe-bound", _pcie,
        "Pin the host memory, overlap copies with kernels, or keep the data on the device.",
        "P: 70 % of the negotiated link; K: traffic with SM below 30 %"),
    VerdictRule(
        "starved", "input-starved", _starved,
        "Prefetch more batches, and profile what prepares them.",
        "P: idle gaps in a fifth of the seconds, mean below 70 %, power below 70 % of the limit"),
    VerdictRule(
        "power_capped", "power-capped", _power_capped,
        "Raise the power limit (nvidia-smi -pl) if the supply allows it.",
        "P: time capped, at 97 % of the limit"),
    VerdictRule(
        "straggler", "straggler among its peers", _straggler,
        "Compare its clocks, limits and temperature with theirs (nvidia-smi -q -d CLOCK,POWER).",
        "P: clock under load 10 % below the peers' median"),
    VerdictRule(
        "memory_bound", "memory-bandwidth-bound", _memory_bound,
        "Fuse kernels, use smaller types, or raise the batch so that weights are read less often.",
        "K: DRAM 50 %, SM below 50 %; P: DRAM 60 %, tensor below 15 %; DCGM: 80 % is the most"),
    VerdictRule(
        "compute_bound", "compute-bound", _compute_bound,
        "Nothing to mend; lower precision or sparsity would do less arithmetic.",
        "K: pipe 50 %, SM 60 %"),
    VerdictRule(
        "launch_bound", "launch-bound or small batches", _launch_bound,
        "Raise the batch size, fuse kernels, or record them as CUDA graphs.",
        "P: utilisation 90 %, SM below 50 %, DRAM below 40 %"),
    VerdictRule(
        "healthy", "healthy", _healthy, "Nothing to mend.", "DCGM: SM active 80 %"),
)  # fmt: skip

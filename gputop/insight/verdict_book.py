"""Follows the verdicts over time: which one stands for each device.

A device is judged every few seconds, not on every tick, and what was found must be found twice in
a row before it takes the place of another verdict: the line does not flap at an edge.
"""

from __future__ import annotations

from msgspec import Struct

from gputop.insight.cpu_use import CpuUse
from gputop.insight.look import Look, Scene
from gputop.insight.rules import Thresholds
from gputop.insight.verdict_rules import RULES
from gputop.insight.verdicts import Verdict
from gputop.state.store import Store

EVERY_S = 5.0
"""Seconds from one judgement of a device to the next."""


class _Entry(Struct):
    """What is thought of one device."""

    due_s: float
    """CLOCK_BOOTTIME of the next judgement."""
    verdict: Verdict | None = None
    silence: str = "Too little has been read yet."
    judged: bool = False
    heard: str | None = None
    """Key of what the last judgement found."""


class VerdictBook:
    """The verdicts on one host's devices and MIG instances."""

    def __init__(self, thresholds: Thresholds | None = None) -> None:
        self.thresholds = thresholds or Thresholds()
        self._entries: dict[str, _Entry] = {}
        self._cpu = CpuUse()
        self._boot: str | None = None

    def update(self, store: Store) -> None:
        """Take the store as it is after its newest frame."""
        boot = store.hello.host.boot_id if store.hello else None
        if boot != self._boot:
            self._boot, self._entries, self._cpu = boot, {}, CpuUse()
        self._cpu.update(store)
        scene = Scene(store, self.thresholds, self._cpu)
        every = [d for whole in store.devices for d in (whole, *store.instances(whole.uuid))]
        for place, device in enumerate(every):
            # They take turns, so that no tick has to judge them all.
            entry = self._entries.setdefault(device.uuid, _Entry(scene.now - place % EVERY_S))
            if device.reading.status != "ok" or device.late_s is not None:
                self._entries[device.uuid] = _Entry(
                    scene.now, silence="It has no current readings."
                )
            elif scene.now >= entry.due_s:
                entry.due_s += EVERY_S * (1 + (scene.now - entry.due_s) // EVERY_S)
                _judge(scene.look(device), entry)

    def of(self, uuid: str) -> Verdict | None:
        """The verdict on a device or MIG instance; None where there is none."""
        entry = self._entries.get(uuid)
        return entry.verdict if entry else None

    def silence(self, uuid: str) -> str:
        """Why there is no verdict, in one sentence; empty where there is one."""
        entry = self._entries.get(uuid)
        if entry is None:
            return "Nothing has been read yet."
        return entry.silence


def _judge(look: Look, entry: _Entry) -> None:
    standing = entry.verdict.key if entry.verdict else None
    found = None
    for rule in RULES:
        look.lenient = rule.key == standing
        found = rule.judge(look)
        if found is not None:
            break
    look.lenient = False
    key = found.key if found else None
    # What is found of a device for the first time stands at once.
    if key == standing or key == entry.heard or not entry.judged:
        entry.verdict = found
        entry.silence = "" if found else _silence(look)
        entry.judged = entry.judged or found is not None
    entry.heard = key


def _silence(look: Look) -> str:
    """Why no rule speaks."""
    activity = [look.peak(name) for name in ("gpu_utilization", "sm_activity")]
    known = [high for high in activity if high is not None]
    if not known:
        return f"Too little was read in the last {look.scene.window}."
    if all(high < look.idle for high in known):
        return "The device is idle."
    return "Nothing clear limits it: the readings are mixed."

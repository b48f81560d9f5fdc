"""One simulated device as its collector sees it: what it answers at each tick, and what not."""

from __future__ import annotations

from msgspec import Struct

from gputop.collect.backend import Tick
from gputop.collect.demo import inventory, readings
from gputop.collect.demo.clock import STEP_S, DemoClock
from gputop.collect.demo.holdings import Holding, holdings, instance_uses, uses
from gputop.collect.demo.noise import Noise
from gputop.collect.demo.people import Crowd
from gputop.collect.demo.physics import Card, Span
from gputop.collect.demo.readings import AWAITED, Fields, Sums
from gputop.collect.demo.stories import Place
from gputop.model.frame import (
    DeviceInfo,
    DeviceReading,
    DeviceStatus,
    DeviceUse,
    Event,
    ReadTimes,
    SampleSpan,
)
from gputop.model.xids import xid

MEDIUM_S, SLOW_S = 1.0, 5.0
EARLY_S = 0.05
"""A tick this much before a tier is due counts: ticks are never exactly on time."""
SECOND_READING_S = 0.1
"""Rates are read again this early while they wait for their second reading (GPM asks for 100 ms
between samples)."""
PRE_ROLL_S = 300
PRE_ROLL_STRIDE = 2
WARM_UP_S = 60
"""Modelled before the pre-roll so that it begins warm, in coarse steps."""
WARM_UP_STRIDE = 10
FINE_STEPS = 700
"""A gap of more steps than this (suspend, release) is caught up in coarse ones."""
CATCH_UP_CALLS = 600
UPTIME_S = 1_030_900.0
"""How long the machine had been up at the story's second 0."""

CALLS = {"fast": 11, "medium": 9, "slow": 21}
"""Driver calls that a real collector would make for each tier."""
READ_S, SLOW_READ_S = 0.0021, 0.42
"""How long the fast reads take, and while the driver is slow."""

LOST = (
    "The GPU has fallen off the bus (Xid 79): reset it, or reboot the machine if it does not come "
    "back."
)
HANGS = (
    "The driver does not answer for this GPU: look for NVRM lines in the kernel log; it goes on "
    "by itself when the call returns."
)

ERRORS = "The driver answers for this GPU with errors (NVML code 999): look at the kernel log."


class _Tier(Struct):
    """When a tier was last read (CLOCK_BOOTTIME), and the card's integrals then."""

    period_s: float
    read_at: float | None = None
    before: Sums | None = None
    rates: bool = False
    """Whether its rates have had their second reading."""

    def due(self, now_s: float) -> bool:
        if self.read_at is None:
            return True
        wait_s = self.period_s - EARLY_S if self.rates else SECOND_READING_S
        return now_s - self.read_at >= wait_s


class Gpu:
    """A device with its MIG instances."""

    def __init__(self, seed: int, part: Place, count: int, crowd: Crowd, clock: DemoClock) -> None:
        self._part, self._crowd, self._clock = part, crowd, clock
        self._noise = Noise(f"{seed}/{part.index}/noise")
        self._holders = crowd.on(part)
        info = inventory.device_info(seed, part, count)
        self._uuid = info.uuid
        self._cut = part.story.instances
        self.infos: list[DeviceInfo] = [
            info, *(inventory.instance_info(seed, part, info, n) for n in range(len(self._cut)))
        ]  # fmt: skip
        self._lacks = [
            inventory.MIG_PARENT_LACKS if self._cut else inventory.DEVICE_LACKS,
            *(inventory.INSTANCE_LACKS for _ in self._cut),
        ]
        self._card = Card(
            part.story, self._noise, part.shift_s,
            clock.start_step - round((PRE_ROLL_S + WARM_UP_S) / STEP_S),
        )  # fmt: skip
        self._history: list[list[SampleSpan]] | None = None
        self.calls = 0
        self.forget()

    def forget(self) -> None:
        """As if nothing had been read or watched yet: at the start, and after a release."""
        self._forget_readings()
        self._watched_to: float | None = None

    def _forget_readings(self) -> None:
        self._medium, self._slow = _Tier(MEDIUM_S), _Tier(SLOW_S)
        self._values: list[Fields] = [{} for _ in self.infos]
        self._said: list[DeviceReading] | None = None
        self.uses: list[tuple[int, DeviceUse]] = []

    def silent(
        self, status: DeviceStatus, since_s: float | None, detail: str
    ) -> list[DeviceReading]:
        """Readings without a value, for the device and its instances."""
        return [
            DeviceReading(info.uuid, status, since_s, detail, missing=lacks)
            for info, lacks in zip(self.infos, self._lacks, strict=True)
        ]

    def read(self, tick: Tick) -> list[DeviceReading]:
        """Go on to the tick, and answer for the device and its instances."""
        self._advance(self._clock.step(tick))
        t = self._clock.seconds(tick)
        found = self._trouble(t)
        if found is not None:
            self._forget_readings()
        elif (found := self._last_words(t)) is None:
            found = self._said = self._answer(tick, t)
        if self._history is not None:
            for reading, spans in zip(found, self._history, strict=True):
                reading.samples = spans
            self._history = None
        return found

    def events(self, tick: Tick) -> list[Event]:
        """The Xids since the last call; none from before the driver was opened, or from far back
        in a long gap.
        """
        t = self._clock.seconds(tick)
        after, self._watched_to = self._watched_to, t
        if after is None:
            return []
        after = max(after, t - FINE_STEPS * STEP_S)
        shift = self._part.shift_s
        return [
            Event("", 0, self._clock.utc(at + shift), self._clock.boottime(at + shift), "xid",
                  self._uuid, code, xid(code).name)
            for code, windows in self._part.story.xids
            for at in windows.begins(after - shift, t - shift)
        ]  # fmt: skip

    # -- time ------------------------------------------------------------------------------

    def _advance(self, to_step: int) -> None:
        card = self._card
        if card.step < self._clock.start_step:
            self._history = self._pre_roll()
        gap = to_step - card.step
        if gap > FINE_STEPS:
            card.advance(to_step - FINE_STEPS, max(1, gap // CATCH_UP_CALLS))
        card.advance(to_step)

    def _pre_roll(self) -> list[list[SampleSpan]]:
        """Live through the minutes before the start; the driver's buffers of each second."""
        card, clock = self._card, self._clock
        card.advance(clock.start_step - round(PRE_ROLL_S / STEP_S), WARM_UP_STRIDE)
        spans: list[list[SampleSpan]] = [[] for _ in self.infos]
        per_second = round(1 / STEP_S)
        for second in range(-PRE_ROLL_S, 0):
            self._clear_buffers()
            heat = card.temperature_c
            card.advance(clock.start_step + (second + 1) * per_second, PRE_ROLL_STRIDE)
            t = card.step * STEP_S
            start_s = clock.boottime(t - 1.0)
            if start_s >= 0.0 and self._trouble(t) is None and card.work.count:
                heats = (float(int(heat)), float(int(card.temperature_c)))
                self._spans_of_second(spans, t, start_s, heats)
        self._clear_buffers()
        card.age(PRE_ROLL_S + WARM_UP_S, UPTIME_S)
        return spans

    def _spans_of_second(
        self, spans: list[list[SampleSpan]], t: float, start_s: float, heats: tuple[float, float]
    ) -> None:
        end_s, card, own = start_s + 1.0, self._card, spans[0]
        own.append(_span("power_w", start_s, end_s, card.watts))
        own.append(SampleSpan("temperature_c", start_s, end_s, min(heats), sum(heats) / 2,
                              max(heats), 2))  # fmt: skip
        held = holdings(self._holders, t)
        if not self._cut:
            own.append(_span("gpu_utilization", start_s, end_s, card.work))
            used = [(own, _memory_of(held))]
        else:
            used = [(spans[n + 1], _memory_of(held, n)) for n in range(len(self._cut))]
        for where, memory in used:
            where.append(SampleSpan("memory_used_bytes", start_s, end_s, memory, memory, memory, 1))

    def _clear_buffers(self) -> None:
        self._card.watts.clear()
        self._card.work.clear()

    def _trouble(self, t: float) -> list[DeviceReading] | None:
        """Readings of a device that is lost or does not answer at the story's second `t`."""
        story, local = self._part.story, t - self._part.shift_s
        if story.lost is not None and (into := story.lost.into(local)) is not None:
            return self.silent("lost", self._clock.boottime(t - into), LOST)
        if story.hangs is not None and (into := story.hangs.into(local)) is not None:
            return self.silent("timed_out", self._clock.boottime(t - into), HANGS)
        if story.errors is not None and (into := story.errors.into(local)) is not None:
            return self.silent("error", self._clock.boottime(t - into), ERRORS)
        return None

    def _last_words(self, t: float) -> list[DeviceReading] | None:
        """What it said last, in a span in which nothing new is heard of it."""
        lags = self._part.story.lags
        lagging = lags is not None and lags.into(t - self._part.shift_s) is not None
        return self._said if lagging else None

    # -- reading ---------------------------------------------------------------------------

    def _answer(self, tick: Tick, t: float) -> list[DeviceReading]:
        now_s, held = tick.boottime_s, holdings(self._holders, t)
        self._read_fast(held)
        self.calls += CALLS["fast"]
        samples: list[SampleSpan] = []
        if tick.slow or self._medium.due(now_s):
            samples = self._samples(now_s)
            self._read_medium(t, held, now_s)
            self.calls += CALLS["medium"] + 2 * len(held)
        if tick.slow or self._slow.due(now_s):
            self._read_slow(t, held, now_s)
            self.calls += CALLS["slow"]
        medium_s = self._medium.read_at
        times = ReadTimes(now_s, medium_s, self._slow.read_at, medium_s)
        awaited = not (self._medium.rates and self._slow.rates)
        found = []
        for n, info in enumerate(self.infos):
            values, missing = self._values[n], self._lacks[n]
            if missing:
                values = {name: value for name, value in values.items() if name not in missing}
            if awaited:
                missing = missing | {
                    name: why for name, why in AWAITED.items()
                    if name not in values and name not in missing
                }  # fmt: skip
            found.append(DeviceReading(
                info.uuid, read_at=times, read_s=self._duration(t),
                samples=[] if n else samples, missing=missing, **values,
            ))  # fmt: skip
        return found

    def _read_fast(self, held: list[Holding]) -> None:
        own = self._values[0]
        own.update(readings.fast(self._card))
        if not self._cut:
            own.update(readings.memory(
                inventory.MEMORY_TOTAL_BYTES, inventory.MEMORY_RESERVED_BYTES, _memory_of(held)
            ))  # fmt: skip
        for n, instance in enumerate(self._cut):
            total = instance.memory_mib * inventory.MIB
            reserved = inventory.MEMORY_RESERVED_BYTES * instance.slices // 7
            self._values[n + 1].update(readings.memory(total, reserved, _memory_of(held, n)))

    def _read_medium(self, t: float, held: list[Holding], now_s: float) -> None:
        tier, own = self._medium, self._values[0]
        own.update(readings.medium(self._card, self._part, tier.before))
        if self._cut:
            if tier.before is not None:
                for n, instance in enumerate(self._cut):
                    self._values[n + 1].update(
                        readings.instance_activities(instance, t - self._part.shift_s, self._noise)
                    )
            names = [info.uuid for info in self.infos[1:]]
            self.uses = list(instance_uses(self._crowd, held, self._uuid, names))
        else:
            totals = [
                own[n] for n in ("gpu_utilization", "memory_utilization", "decoder_utilization")
            ]
            self.uses = list(uses(self._crowd, held, self._uuid, totals))
        self._note(tier, now_s)

    def _read_slow(self, t: float, held: list[Holding], now_s: float) -> None:
        local = t - self._part.shift_s
        fields = readings.slow(self._card, self._part, local, len(held), self._slow.before)
        self._values[0].update(fields)
        for n in range(len(self._cut)):
            self._values[n + 1].update(
                {name: fields[name] for name in ("bar1_used_bytes", "bar1_total_bytes")}
            )
        self._note(self._slow, now_s)

    def _note(self, tier: _Tier, now_s: float) -> None:
        if tier.before is not None and self._card.step > tier.before.step:
            tier.rates = True
        tier.before = readings.sums(self._card)
        tier.read_at = now_s

    def _samples(self, now_s: float) -> list[SampleSpan]:
        """What the driver buffered since the medium tier was last read."""
        start_s, card, spans = self._medium.read_at, self._card, []
        if start_s is not None and card.work.count:
            spans.append(_span("power_w", start_s, now_s, card.watts))
            if not self._cut:
                spans.append(_span("gpu_utilization", start_s, now_s, card.work))
        self._clear_buffers()
        return spans

    def _duration(self, t: float) -> float:
        slow = self._part.story.slow_calls
        base = READ_S if slow is None or slow.into(t - self._part.shift_s) is None else SLOW_READ_S
        return round(base * (1.0 + 0.3 * self._noise.white(t)), 6)


def _memory_of(held: list[Holding], instance: int | None = None) -> int:
    """Bytes that the processes hold together (on one MIG instance)."""
    return sum(h.memory_bytes for h in held if h.use.instance == instance)


def _span(metric: str, start_s: float, end_s: float, span: Span) -> SampleSpan:
    digits = 3
    return SampleSpan(
        metric, start_s, end_s, round(span.minimum, digits),
        round(span.total / span.count, digits), round(span.maximum, digits), span.count,
    )  # fmt: skip

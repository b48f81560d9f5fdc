"""The physics of one simulated H100 SXM: clocks, power, heat and what they hold back.

Power is a floor, a part for clocks that are up, and a dynamic part that grows with activity and
with the clock to the power 2.4 (voltage falls with frequency). Where that would pass the limit
the clock is lowered until it does not. Heat is a first-order model: the temperature goes to
ambient plus power times thermal resistance. Constants without a source are chosen so that a busy
H100 stands near 600 W and 65 °C.
"""

from __future__ import annotations

import math

from gputop.collect.demo.clock import STEP_S
from gputop.collect.demo.noise import Noise
from gputop.collect.demo.stories import AFTER_FALLS, Story
from gputop.collect.demo.workloads import NOTHING

SM_CLOCK_MAX_MHZ = 1980
"""H100 SXM; nvidia-smi shows it as the maximum of both SM and graphics clock."""
SM_CLOCK_IDLE_MHZ = 345
CLOCK_STEP_MHZ = 15
IDLE_W = 70.0
AWAKE_W = 45.0
DYNAMIC_W = 600.0
POWER_EXPONENT = 2.4
AWAKE_S = 3.0
"""The clocks stay up this long after the last kernel."""

MAX_OPERATING_C = 87.0
SLOWDOWN_C = 90.0
SHUTDOWN_C = 95.0
MEMORY_MAX_C = 95.0
AMBIENT_C = 29.0
RESISTANCE_C_PER_W = 0.060
HEAT_TAU_S = 11.0
MEMORY_TAU_S = 22.0
STIFLED = 1.7
"""How much the thermal resistance grows in a span without air: by this share of itself."""
STIFLE_S = 40.0
"""How long it takes to grow so far."""
THERMAL_FLOOR_MHZ = 1650
"""The lowest clock that software thermal slowdown goes to; beyond it only hardware helps."""
HARDWARE_DIVISOR = 2
HARDWARE_RELEASE_C = 84.0
SENSOR_STEPS = round(1.0 / STEP_S)
"""The power sensor of Ampere and later answers the mean of a second (nvml.h)."""
HOLD_S = 0.4
"""The driver's event reasons stay up for a moment after their cause."""

IDLE, POWER_CAP, HW_SLOWDOWN, SYNC, SW_THERMAL, HW_THERMAL, BRAKE = (
    0x1, 0x4, 0x8, 0x10, 0x20, 0x40, 0x80,
)  # fmt: skip


class Span:
    """Minimum, mean and maximum of a quantity since the last `take`."""

    __slots__ = ("count", "maximum", "minimum", "total")

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Begin a new span."""
        self.minimum, self.maximum = math.inf, -math.inf
        self.total, self.count = 0.0, 0

    def add(self, value: float) -> None:
        """Take in one value."""
        if value < self.minimum:
            self.minimum = value
        if value > self.maximum:
            self.maximum = value
        self.total += value
        self.count += 1


class Card:
    """The state of one device, advanced in fixed steps.

    Quantities named ``*_sum`` are integrals over time since the model began, in the unit of the
    quantity times seconds; two of them give the mean over the time between.
    """

    __slots__ = (
        "_awake_until", "_cap_until", "_clamp_mhz", "_hardware", "_heat_until", "_noise",
        "_recent", "_shift_s", "_story", "_was_lost",
        "brake_s", "clock_mhz", "dram_sum", "energy_j", "hw_thermal_s", "instant_w",
        "memory_busy", "memory_c", "nvlink_sum", "power_s", "power_w", "reasons", "resets",
        "rx_sum", "sm_sum", "step", "sw_thermal_s", "sync_s", "temperature_c", "tensor_sum",
        "tx_sum", "utilization", "watts", "work",
    )  # fmt: skip

    def __init__(self, story: Story, noise: Noise, shift_s: float, first_step: int) -> None:
        """A device that has been running for a while when its model begins at `first_step`."""
        self._story, self._noise, self._shift_s = story, noise, shift_s
        self.step = first_step
        self.clock_mhz = float(SM_CLOCK_IDLE_MHZ)
        self.temperature_c, self.memory_c = 55.0, 55.0
        self.utilization = self.memory_busy = 0.0
        self.reasons = IDLE
        self.power_s = self.sync_s = self.sw_thermal_s = self.hw_thermal_s = self.brake_s = 0.0
        self.sm_sum = self.tensor_sum = self.dram_sum = 0.0
        self.rx_sum = self.tx_sum = self.nvlink_sum = 0.0
        self.resets = 0
        self.watts, self.work = Span(), Span()
        self._awake_until = self._cap_until = self._heat_until = -math.inf
        self._clamp_mhz = float(SM_CLOCK_MAX_MHZ)
        self._hardware = self._was_lost = False
        self._recent = [0.0] * SENSOR_STEPS
        self._forget_energy(first_step)

    def advance(self, to_step: int, stride: int = 1) -> None:
        """Go on to `to_step`, `stride` steps of the model at a time."""
        while self.step < to_step:
            self._step(min(stride, to_step - self.step))

    def _step(self, stride: int) -> None:
        self.step += stride
        dt = stride * STEP_S
        t = self.step * STEP_S - self._shift_s
        story, noise = self._story, self._noise
        load = story.load(t, noise)
        if story.lost is not None:
            if story.lost.into(t) is not None:
                self._off(dt)
                return
            if AFTER_FALLS.into(t) is not None:
                load = NOTHING
            if self._was_lost:
                self._reset(t)
        duty, sm, tensor, dram, rx, tx, nvlink = load

        # Clocks: up while there is work, then down to what heat and the board allow.
        if duty > 0.0:
            self._awake_until = t + AWAKE_S
        reasons = 0
        if t < self._awake_until:
            clock, floor_w = float(SM_CLOCK_MAX_MHZ), IDLE_W + AWAKE_W
            if self._clamp_mhz < clock or self.temperature_c > MAX_OPERATING_C:
                clock = self._thermal_clamp(t, dt)
                if t < self._heat_until:
                    reasons |= SW_THERMAL
                    self.sw_thermal_s += dt
            if self._hardware or self.temperature_c >= SLOWDOWN_C:
                self._hardware = self.temperature_c > HARDWARE_RELEASE_C
                if self._hardware:
                    clock = min(clock, SM_CLOCK_MAX_MHZ / HARDWARE_DIVISOR)
                    reasons |= HW_SLOWDOWN | HW_THERMAL
                    self.hw_thermal_s += dt
            if story.brake is not None and story.brake.into(t) is not None:
                clock = min(clock, SM_CLOCK_MAX_MHZ / HARDWARE_DIVISOR)
                reasons |= HW_SLOWDOWN | BRAKE
                self.brake_s += dt
            if story.sync is not None and story.sync.into(t) is not None:
                clock = min(clock, SM_CLOCK_MAX_MHZ / HARDWARE_DIVISOR)
                reasons |= SYNC
                self.sync_s += dt
            for hold in story.holds:
                if hold.windows.into(t) is not None:
                    clock = min(clock, SM_CLOCK_MAX_MHZ * hold.clock)
                    reasons |= hold.reason
        else:
            clock, floor_w = float(SM_CLOCK_IDLE_MHZ), IDLE_W
            reasons = IDLE

        # Power, and the clock that keeps it under the limit.
        activity = min(1.0, 0.35 * sm + 0.55 * tensor + 0.35 * dram)
        demand = DYNAMIC_W * activity * (1.0 + 0.012 * noise.white(t))
        power = floor_w + demand * (clock / SM_CLOCK_MAX_MHZ) ** POWER_EXPONENT
        if power > story.limit_w:
            share = ((story.limit_w - floor_w) / demand) ** (1.0 / POWER_EXPONENT)
            clock = share * SM_CLOCK_MAX_MHZ
            power = story.limit_w
            self._cap_until = t + HOLD_S
        if t < self._cap_until:
            reasons |= POWER_CAP
            self.power_s += dt
        self.reasons, self.clock_mhz, self.instant_w = reasons, clock, power

        # Heat.
        resistance = RESISTANCE_C_PER_W
        if story.airflow is not None and (into := story.airflow.into(t)) is not None:
            resistance *= 1.0 + STIFLED * min(1.0, into / STIFLE_S)
        self._warm(power, resistance, dram, dt)

        # What the counters and the driver's buffers saw.
        blend = min(1.0, 3.0 * dt)
        self.utilization += (duty - self.utilization) * blend
        self.memory_busy += (min(1.0, 1.1 * dram) - self.memory_busy) * blend
        self.sm_sum += sm * dt
        self.tensor_sum += tensor * dt
        self.dram_sum += dram * dt
        self.rx_sum += rx * dt
        self.tx_sum += tx * dt
        self.nvlink_sum += nvlink * dt
        self.watts.add(power)
        self.work.add(self.utilization)
        self._use_energy(power, stride)

    def _thermal_clamp(self, t: float, dt: float) -> float:
        """The clock that the driver's own thermal slowdown allows, which follows the heat."""
        excess = self.temperature_c - MAX_OPERATING_C
        if excess > 0.0:
            change = -CLOCK_STEP_MHZ * (1.0 + excess)
        else:
            change = 2.0 * CLOCK_STEP_MHZ * min(1.0, -excess / 2.0)
        clamp = self._clamp_mhz + change * dt / STEP_S
        self._clamp_mhz = min(float(SM_CLOCK_MAX_MHZ), max(float(THERMAL_FLOOR_MHZ), clamp))
        if self._clamp_mhz < SM_CLOCK_MAX_MHZ:
            self._heat_until = t + HOLD_S
        return self._clamp_mhz

    def _warm(self, power: float, resistance: float, dram: float, dt: float) -> None:
        """Exact over `dt` for constant power, so that any length of step is stable."""
        target = AMBIENT_C + power * resistance
        self.temperature_c += (target - self.temperature_c) * -math.expm1(-dt / HEAT_TAU_S)
        memory = target + 3.0 + 9.0 * dram
        self.memory_c += (memory - self.memory_c) * -math.expm1(-dt / MEMORY_TAU_S)

    def _use_energy(self, power: float, stride: int) -> None:
        """Add to the energy counter, and keep its last second for the power sensor's mean."""
        recent = self._recent
        for number in range(self.step - stride + 1, self.step + 1):
            self.energy_j += power * STEP_S
            place = number % SENSOR_STEPS
            self.power_w = self.energy_j - recent[place]
            recent[place] = self.energy_j

    def _forget_energy(self, step: int) -> None:
        """Begin the energy counter at 0, as if the device had idled in the second up to `step`."""
        self.energy_j = 0.0
        self.power_w = self.instant_w = IDLE_W
        for back in range(SENSOR_STEPS):
            self._recent[(step - back) % SENSOR_STEPS] = -IDLE_W * STEP_S * back

    def quiet_s(self, t: float) -> float:
        """Seconds since its clocks went down, at the story's second `t`; negative while up."""
        return t - self._awake_until

    def age(self, modelled_s: float, uptime_s: float) -> None:
        """Make the counters look as if all the time since the driver was loaded had gone like the
        `modelled_s` seconds so far. A device that was reset keeps its own.
        """
        if self.resets:
            return
        factor = uptime_s / modelled_s
        offset = self.energy_j * (factor - 1.0)
        self.energy_j += offset
        self._recent = [energy + offset for energy in self._recent]
        self.power_s *= factor
        self.sync_s *= factor
        self.sw_thermal_s *= factor
        self.hw_thermal_s *= factor
        self.brake_s *= factor

    def _off(self, dt: float) -> None:
        """Off the bus: no power, no work, and it cools."""
        self._was_lost = True
        self._warm(0.0, RESISTANCE_C_PER_W, 0.0, dt)

    def _reset(self, t: float) -> None:
        """Back on the bus at `t`: the counters of the driver begin again."""
        self._was_lost = self._hardware = False
        self._awake_until = t
        self._cap_until = self._heat_until = -math.inf
        self._clamp_mhz = float(SM_CLOCK_MAX_MHZ)
        self.power_s = self.sync_s = self.sw_thermal_s = self.hw_thermal_s = self.brake_s = 0.0
        self.utilization = self.memory_busy = 0.0
        self._forget_energy(self.step - 1)
        self.resets += 1
        self.watts.clear()
        self.work.clear()

"""NvmlDevices on the fake driver, in a process of its own, moved step by step by a test.

The dynamic loader reads LD_LIBRARY_PATH when a process starts, so the devices live in a child
(`main` below) that obeys one command a line and answers each with one line of JSON.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from gputop.collect.backend import Answers, Tick
from gputop.model.frame import DeviceReading
from tests.fake_driver import Scenario, build
from tests.waiting import readable

ROOT = Path(__file__).parents[2]
PATIENCE_S = 60.0
"""A net for a test that waits for what never comes; nothing is measured by it."""
FOREVER_S = 10 * PATIENCE_S
"""Who waited so long would not be waited for."""


class Step(msgspec.Struct):
    """One command to the child."""

    do: str
    slow: bool = False
    interval_s: float = 1.0
    wait_s: float = 5.0


class Told(msgspec.Struct):
    """What the child answers."""

    answers: Answers
    needs_restart: bool

    def reading(self, number: int = 0) -> DeviceReading:
        return self.answers.readings[number]

    @property
    def statuses(self) -> list[str]:
        return [reading.status for reading in self.answers.readings]


class Probe:
    """The test's side of the child."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process

    def do(self, step: Step) -> Told:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(msgspec.json.encode(step) + b"\n")
        self.process.stdin.flush()
        assert readable(self.process.stdout, timeout_s=PATIENCE_S), f"{step.do} does not return"
        line = self.process.stdout.readline()
        assert line, f"the child died: {self.process.wait(PATIENCE_S)}"
        return msgspec.json.decode(line, type=Told)

    def tick(self, *, slow: bool = False, interval_s: float = 1.0, wait_s: float = 5.0) -> Told:
        """Ask, wait for the devices asked, and fetch."""
        return self.do(Step("tick", slow, interval_s, wait_s))

    def answers(self) -> Told:
        """Fetch what was answered, without asking."""
        return self.do(Step("answers"))

    def release(self) -> Told:
        return self.do(Step("release"))

    def retake(self) -> Told:
        return self.do(Step("retake"))

    def close(self) -> Told:
        return self.do(Step("close"))

    def until(
        self, true: Callable[[Told], object], *, slow: bool = False, wait_s: float = 0.2
    ) -> Told:
        """Tick until `true` holds of what is told."""
        return self._repeat(lambda: self.tick(slow=slow, wait_s=wait_s), true)

    def watch(self, true: Callable[[Told], object]) -> Told:
        """Fetch without asking until `true` holds of what is told."""
        return self._repeat(self.answers, true)

    def _repeat(self, act: Callable[[], Told], true: Callable[[Told], object]) -> Told:
        end = time.monotonic() + PATIENCE_S
        while True:
            told = act()
            if true(told):
                return told
            assert time.monotonic() < end, msgspec.json.encode(told).decode()
            time.sleep(0.02)

    def ready(self, devices: int = 1) -> Told:
        """Tick until so many devices are there and all groups of each have been read."""

        def read(told: Told) -> bool:
            times = [reading.read_at for reading in told.answers.readings]
            return len(times) == devices and all(at.fast and at.medium and at.slow for at in times)

        return self.until(read)


@contextlib.contextmanager
def machine(
    tmp_path: Path,
    lines: Mapping[str, str | int | float] | None = None,
    *,
    absent: Sequence[str] = (),
    scale: float = 1.0,
    library: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Iterator[tuple[Scenario, Probe]]:
    """A scenario and a probe whose driver is being opened. `scale` shrinks the deadlines."""
    folder = library or build(absent)
    scenario = Scenario(tmp_path / "scenario", lines, library=folder, log_calls=True)
    variables = {k: v for k, v in os.environ.items() if k not in UNWANTED}
    variables |= {
        **scenario.env(),
        "GPUTOP_DEADLINE_SCALE": str(scale),
        "PYTHONPATH": str(ROOT),
        **(environment or {}),
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.collect.nvml_probe"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, env=variables,
    )  # fmt: skip
    try:
        yield scenario, Probe(process)
    finally:
        process.kill()
        process.communicate()


UNWANTED = ("CUDA_VISIBLE_DEVICES", "SLURM_STEP_GPUS", "SLURM_JOB_GPUS")


def main() -> None:
    """The child."""
    from gputop.collect.nvml import NvmlDevices

    devices = NvmlDevices()
    devices.open()
    plain = {"release": devices.release, "retake": devices.retake, "close": devices.close}
    number = 0
    for line in sys.stdin.buffer:
        step = msgspec.json.decode(line, type=Step)
        if step.do == "tick":
            number += 1
            boottime = time.clock_gettime(time.CLOCK_BOOTTIME)
            devices.request(Tick(number, boottime, time.time(), step.interval_s, step.slow))
            devices.wait(step.wait_s)
        else:
            plain.get(step.do, lambda: None)()
        told = Told(devices.answers(), devices.needs_restart)
        sys.stdout.buffer.write(msgspec.json.encode(told) + b"\n")
        sys.stdout.buffer.flush()
    os._exit(0)


if __name__ == "__main__":
    main()

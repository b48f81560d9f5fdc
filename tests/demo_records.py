"""Records of the simulated machine on a clock of our own: the same for every run."""

from functools import lru_cache
from types import SimpleNamespace
from unittest import mock

from gputop.collect.backend import Tick
from gputop.collect.demo import demo_machine
from gputop.model.frame import SCHEMA_VERSION, AnyRecord, Frame, Hello

START_S = 10_000.0
UTC_S = 1_795_000_000.0
SEED = 7
MY_UID = 1000


@lru_cache(maxsize=8)
def demo_records(
    devices: int = 8, seconds: int = 60, interval_s: float = 1.0
) -> tuple[AnyRecord, ...]:
    """Hellos, frames and events of `seconds` seconds, as a collector would send them."""
    # The demo gives some processes to whoever runs it: here that is always the same person.
    with (
        mock.patch("os.getuid", return_value=MY_UID),
        mock.patch("pwd.getpwuid", return_value=SimpleNamespace(pw_name="me")),
    ):
        machine = demo_machine(devices, SEED)
    machine.devices.open()
    records: list[AnyRecord] = []
    inventory: object = None
    for number in range(int(seconds / interval_s) + 1):
        at = START_S + number * interval_s
        tick = Tick(number, at, UTC_S + number * interval_s, interval_s)
        machine.devices.request(tick)
        machine.devices.wait(1.0)
        answers = machine.devices.answers()
        if (answers.driver, answers.inventory) != inventory:
            inventory = (answers.driver, answers.inventory)
            records.append(
                Hello(
                    schema=SCHEMA_VERSION, program="gputop test", session="demo",
                    host=machine.host.info(), driver=answers.driver,
                    devices=list(answers.inventory), interval_s=interval_s, utc_s=tick.utc_s,
                    boottime_s=at, simulated=True,
                )
            )  # fmt: skip
        for event in answers.events:
            event.session, event.seq = "demo", len(records) + 1
            records.append(event)
        records.append(
            Frame(
                session="demo", seq=number, utc_s=tick.utc_s, boottime_s=at,
                interval_s=interval_s, host=machine.host.read(tick),
                devices=list(answers.readings),
                processes=machine.host.processes(tick, answers.uses, True), simulated=True,
            )
        )  # fmt: skip
    return tuple(records)

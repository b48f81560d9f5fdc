"""What a sick driver looks like: the tables of `faults.py`, each row through the real program.

Every row is run the same way (`observe.py`): the screen says what is wrong at that device and
nowhere else, and for how long; keys answer; the file that `e` writes, `gputop record`, `gputop
stream` and `gputop snapshot` say what the screen says, in every format, with nothing that was not
read among it; and leaving while it lasts waits for nothing. How fast that goes, and what is said of
the devices that are well, is compared with a control run. What goes wrong in mid-run is a story
(`story.py`): all of them live through it side by side, and say the same during it and after it.
"""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from tests.e2e.conftest import Driver, moving
from tests.e2e.faults import FAULTS, NOTHING, SHORT, SIZE, TEMP, TROUBLES, Fault, Trouble, at, of
from tests.e2e.observe import WELL, Observed, Observer, shown_age, wait_older
from tests.e2e.program import Gputop, Records, Run, Start, wait_flat
from tests.e2e.said import differences
from tests.e2e.story import LOOKED_AT_RARELY, Story
from tests.fake_driver import Lines, at_rest, build, corrupt, many_processes

RATIOS = {
    "the others move on": 4, "a reading is of its time": 10, "the help": 6, "a pause": 8,
    "the cursor": 8, "the device's screen": 6, "leaving": 20,
}  # fmt: skip
"""How many times as long as in a control run a step may take. The shorter a step is, the more a
busy machine adds to it.
"""
TRIES = 3


@pytest.fixture
def observe(driver: Driver, gputop: Start, run: Run) -> Observer:
    return Observer(driver, gputop, run)


@pytest.fixture(scope="session")
def controls() -> dict[tuple[str, ...], Observed]:
    """What the control run with a driver came to, by what that driver lacks."""
    return {}


@pytest.fixture
def control(observe: Observer, controls: dict[tuple[str, ...], Observed]) -> Control:
    return Control(observe, controls)


class Control:
    """Compares with a run in which nothing is wrong."""

    def __init__(self, observe: Observer, known: dict[tuple[str, ...], Observed]) -> None:
        self._observe, self._known = observe, known

    def run(self, absent: tuple[str, ...]) -> Observed:
        """The control run with such a driver."""
        if absent not in self._known:
            self._known[absent] = self._observe(replace(NOTHING, absent=absent))
        return self._known[absent]

    def check_paces(
        self, paces: Mapping[str, float], again: Callable[[], Mapping[str, float]],
        absent: tuple[str, ...] = (),
    ) -> None:  # fmt: skip
        """See that no step takes much longer than where nothing is wrong. What is slow once and
        not `again` was the machine's doing: another program had it.
        """
        usual = self.run(absent).paces
        slow, tried = set(paces), [paces]
        while slow := slow & {step for step in paces if paces[step] > RATIOS[step] * usual[step]}:
            assert len(tried) < TRIES, (slow, tried, usual)
            # The machine may have been idle at the control run.
            now = self._observe(replace(NOTHING, absent=absent)).paces
            usual.update({step: max(usual[step], now[step]) for step in now})
            paces = again()
            tried.append(paces)

    def check(self, fault: Fault) -> None:
        """See that nothing is slower, and nothing else is said of the devices that are well."""
        seen, usual = self._observe(fault), self.run(fault.absent)
        assert seen.panes == usual.panes
        well = [f"GPU {index}" for index in WELL]
        here, there = ({name: one.told[name] for name in well} for one in (seen, usual))
        assert differences(here, there) == []
        assert seen.fresh >= usual.fresh / 2
        self.check_paces(seen.paces, lambda: self._observe(fault).paces, fault.absent)

    def check_trouble(self, trouble: Trouble, library: Path | None = None) -> None:
        """See the same where there is no driver to read."""
        self.check_paces(
            self._observe.trouble(trouble, library).paces,
            lambda: self._observe.trouble(trouble, library).paces,
        )


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_a_device_fault(control: Control, fault: Fault) -> None:
    control.check(fault)


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault.returns], ids=str)
def test_a_device_that_was_ill_is_well_again(
    driver: Driver, gputop: Start, run: Run, fault: Fault
) -> None:
    scenario = driver(at_rest(3) | moving(3))
    terminal = gputop(scenario, size=SIZE, scale=fault.scale)
    terminal.wait_device(0, r"temp +\d+/")
    story = Story(terminal, scenario, run)
    scenario.update(fault.wrong)
    terminal.wait_device(0, fault.shows)
    story.check_alike()
    scenario.remove(*fault.wrong)
    terminal.wait_device(0, r"MHz · P0 ")
    terminal.wait_alive(0)
    story.check_after()
    terminal.check_leaves()


# -- the driver as a whole -------------------------------------------------------------------


@pytest.mark.parametrize("trouble", TROUBLES, ids=str)
def test_a_driver_that_cannot_be_opened(control: Control, trouble: Trouble) -> None:
    """The screen shows the CPU and what to do; the commands say the same and fail."""
    control.check_trouble(trouble)


@pytest.mark.parametrize("trouble", TROUBLES, ids=str)
def test_a_driver_that_can_be_opened_at_last(
    driver: Driver, gputop: Start, run: Run, trouble: Trouble
) -> None:
    """The GPUs are picked up when the driver appears."""
    scenario = driver(at_rest(2) | moving(2) | trouble.wrong)
    terminal = gputop(scenario, size=SIZE, scale=SHORT)
    wait_flat(terminal, trouble.says)
    story = Story(terminal, scenario, run)
    assert story.before["devices"] == []
    scenario.remove(*[key for key in trouble.wrong if key != "count"])
    scenario.set("count", 2)
    terminal.wait_alive(1, 2)
    terminal.wait_alive(0, 1)
    assert len(story.check_screen()["devices"]) == 2
    story.check_after()
    terminal.check_leaves()


def test_an_init_that_hangs_does_not_hold_up_leaving(driver: Driver, gputop: Start) -> None:
    terminal = gputop(driver({"count": 2, "init.hang": "forever"}), scale=SHORT)
    wait_flat(terminal, "does not answer to being opened")
    terminal.check_leaves()


def real_driver() -> bool:
    import ctypes

    try:
        ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        return False
    return True


NO_LIBRARY = Trouble("absent", r"libnvidia-ml\.so\.1\) was not found", "Install the NVIDIA driver")
CORRUPT = Trouble("corrupt", r"libnvidia-ml\.so\.1", r"[Rr]einstall|Install")


@pytest.mark.skipif(real_driver(), reason="this machine has an NVIDIA driver: it is not absent")
def test_the_library_is_absent(control: Control, tmp_path: Path) -> None:
    control.check_trouble(NO_LIBRARY, tmp_path)


@pytest.mark.skipif(real_driver(), reason="this machine has an NVIDIA driver: it is not absent")
def test_the_library_is_absent_and_then_there(
    driver: Driver, gputop: Start, tmp_path: Path
) -> None:
    empty = tmp_path / "driver"
    empty.mkdir()
    terminal = gputop(driver(moving(2), library=empty), scale=SHORT)
    wait_flat(terminal, NO_LIBRARY.says)
    (empty / "libnvidia-ml.so.1").symlink_to(build() / "libnvidia-ml.so.1")
    terminal.wait_alive(1, 2)
    terminal.check_leaves()


def test_a_corrupt_library(control: Control, tmp_path: Path) -> None:
    control.check_trouble(CORRUPT, corrupt(tmp_path / "corrupt"))


def check_ages_grow(terminal: Gputop, pattern: str) -> None:
    """Both devices say for how many seconds they have been so."""
    for index in (0, 1):
        wait_older(terminal, index, pattern, shown_age(terminal, index, pattern))


# -- stories -------------------------------------------------------------------------------------


def test_the_driver_goes_uninitialised_in_mid_run(driver: Driver, gputop: Start, run: Run) -> None:
    """Once for everyone who reads from it."""
    scenario = driver(at_rest(2) | moving(2))
    terminal = gputop(scenario, size=SIZE, scale=SHORT)
    terminal.wait_alive(0, 1)
    story = Story(terminal, scenario, run)
    scenario.set("call.nvmlDeviceGet*.error", "1 times=1")
    terminal.wait_alive(0, 4)
    terminal.wait_alive(1, 2)
    story.check_screen()
    scenario.remove("call.nvmlDeviceGet*.error")  # a snapshot would meet it as it opens the driver
    story.check_after()
    terminal.check_leaves()


def test_the_driver_is_unloaded_and_loaded_again(driver: Driver, gputop: Start, run: Run) -> None:
    scenario = driver(at_rest(2) | moving(2))
    terminal = gputop(scenario, size=SIZE, scale=SHORT)
    terminal.wait_alive(0, 1)
    story = Story(terminal, scenario, run)
    scenario.update({"init.error": 9, "call.nvmlDevice*.error": 9})
    wait_flat(terminal, "▲ The NVIDIA kernel driver is not loaded")
    check_ages_grow(terminal, r"error for (\d+) s")
    terminal.check_keys_answer()
    assert story.check_alike()["devices"][0]["gpu_utilization"] is None
    scenario.remove("init.error", "call.nvmlDevice*.error")
    terminal.wait_gone("is not loaded")
    terminal.wait_alive(0)
    terminal.wait_alive(1)
    story.check_after()
    terminal.check_leaves()


def test_the_devices_are_revoked_in_mid_run(driver: Driver, gputop: Start, run: Run) -> None:
    """`systemctl daemon-reload` takes a container's devices away: every call answers 999."""
    wrong = {"init.error": 999, "call.nvmlDevice*.error": 999}
    scenario = driver(at_rest(2) | moving(2))
    terminal = gputop(scenario, size=SIZE, scale=SHORT)
    terminal.wait_alive(0, 1)
    story = Story(terminal, scenario, run)
    scenario.update(wrong)
    wait_flat(terminal, r"error \(999\).*restart the container")
    check_ages_grow(terminal, r"error for (\d+) s")
    terminal.check_keys_answer()
    for device in story.check_alike()["devices"]:
        assert device["status"] != "ok"
        assert device["gpu_utilization"] is None
    scenario.remove(*wrong)
    terminal.wait_gone("restart the container")
    terminal.wait_alive(0)
    story.check_after()
    terminal.check_leaves()


def test_an_upgrade_while_it_runs_starts_the_collector_afresh(
    driver: Driver, gputop: Start, run: Run
) -> None:
    scenario = driver(at_rest(2) | moving(2))
    terminal = gputop(scenario, size=SIZE, scale=SHORT)
    terminal.wait_alive(0, 1)
    (first,) = terminal.collectors
    story = Story(terminal, scenario, run)
    scenario.update({"init.error": 18, "call.nvmlDevice*.error": 18})
    wait_flat(terminal, "different versions|replaced")
    check_ages_grow(terminal, r"not read for (\d+) s")
    assert [d["gpu_utilization"] for d in story.check_alike()["devices"]] == [None, None]
    scenario.remove("init.error", "call.nvmlDevice*.error")
    terminal.wait_alive(0, 4)
    (now,) = terminal.collectors
    assert now != first, "only a new process can load the new library"
    story.check_after()
    terminal.check_leaves()


def test_a_device_comes_back_under_another_index(driver: Driver, gputop: Start, run: Run) -> None:
    scenario = driver(at_rest(3) | moving(3, **{"device.1.name": "NVIDIA A100-SXM4-40GB"}))
    terminal = gputop(scenario, size=SIZE, scale=SHORT)
    terminal.wait_alive(2, 1)
    terminal.wait_device(1, "A100")  # they are opened side by side
    story = Story(terminal, scenario, run)
    scenario.update({"order": "0 2", "count": 2})
    terminal.wait_for(r"A100.* lost for ")
    terminal.wait_alive(0)
    statuses = [device["status"] for device in story.check_alike()["devices"]]
    assert sorted(statuses) == ["lost", "ok", "ok"]
    scenario.update({"order": "1 0 2", "count": 3, "device.1.generation": 2})
    terminal.wait_device(0, "A100.* P0 ")
    terminal.wait_alive(0)
    terminal.wait_device(2, "H100.* P0 ")
    terminal.wait_device(1, "H100.* P0 ")
    assert len(re.findall("A100", terminal.text())) == 1
    story.check_after()
    terminal.check_leaves()


def test_devices_that_take_long_to_open_are_not_said_to_be_none(
    driver: Driver, gputop: Start
) -> None:
    """As without persistence mode. What does not say who it is is listed after a while."""
    wrong = {"device.*.call.nvmlDeviceGetUUID.hang": "forever"}
    scenario = driver(moving(2) | wrong)
    terminal = gputop(scenario, size=SIZE)
    terminal.wait_for("Opening the GPUs")
    terminal.wait_for("No GPU is read yet")
    terminal.wait_for(r"\A.* 2 GPUs")
    check_ages_grow(terminal, r"no answer for (\d+) s")
    drawn = terminal.raw.decode("utf-8", "replace")
    for untrue in ("lists no device", "No process uses", "still held"):
        assert untrue not in drawn
    scenario.remove(*wrong)
    terminal.wait_alive(1)
    terminal.check_leaves()


def test_devices_that_were_asked_for_and_are_not_there_are_said_so(
    driver: Driver, gputop: Start
) -> None:
    terminal = gputop(driver(moving(2)), "--devices", "7", scale=SHORT)
    wait_flat(terminal, "▲ No device of this machine is called 7")
    wait_flat(terminal, "Of the devices that were asked for, none was found")
    assert "lists no device" not in terminal.raw.decode("utf-8", "replace")
    terminal.check_leaves()


def test_a_device_appears(driver: Driver, gputop: Start, run: Run) -> None:
    scenario = driver(at_rest(3) | moving(2))
    terminal = gputop(scenario, size=SIZE, scale=SHORT)
    terminal.wait_alive(1, 1)
    story = Story(terminal, scenario, run)
    scenario.set("count", 3)
    terminal.wait_alive(2)
    terminal.wait_for("3 GPUs")
    assert len(story.check_screen()["devices"]) == 3
    story.check_after()
    terminal.check_leaves()


def test_every_device_vanishes_and_comes_back(driver: Driver, gputop: Start, run: Run) -> None:
    """They stay in their places, and say since when they are gone."""
    scenario = driver(at_rest(2) | moving(2))
    terminal = gputop(scenario, size=SIZE, scale=SHORT)
    terminal.wait_alive(1, 1)
    story = Story(terminal, scenario, run)
    scenario.set("count", 0)
    wait_flat(terminal, "▲ The NVIDIA driver works but lists no GPU")
    check_ages_grow(terminal, r"error for (\d+) s")
    terminal.check_keys_answer()
    devices = story.check_alike()["devices"]
    assert [device["gpu_utilization"] for device in devices] == [None, None]
    scenario.set("count", 2)
    terminal.wait_alive(0)
    terminal.wait_alive(1)
    story.check_after()
    terminal.check_leaves()


def test_a_crash_in_the_library(driver: Driver, gputop: Start, run: Run) -> None:
    scenario = driver(at_rest(2) | moving(2))
    terminal = gputop(scenario, size=SIZE, scale=SHORT)
    terminal.wait_alive(0, 1)
    first = terminal.collectors
    story = Story(terminal, scenario, run)
    scenario.set("device.0.crash", "nvmlDeviceGetTemperature*")
    wait_flat(terminal, r"▲ The collector was killed by signal 11.*the next attempt is in")
    command = run(scenario, "snapshot")
    age = int(terminal.wait_for(r"(\d+) s old")[1])
    terminal.wait_for(lambda t: (now := t.find(r"(\d+) s old")) and int(now[1]) > age)
    terminal.check_keys_answer()
    story.check_screen(current=False)
    story.check_crashed("temperature_c")
    assert command.end() == 1
    assert "gputop: " in command.errors
    assert command.errors.count("\n") == 1
    scenario.remove("device.0.crash")
    terminal.wait_gone("killed by signal")
    terminal.wait_alive(0)
    assert terminal.collectors != first
    story.check_after()
    terminal.check_leaves()


def test_a_lost_device_is_still_that_one_when_the_collector_is_killed(
    driver: Driver, gputop: Start, run: Run
) -> None:
    """The next collector cannot learn who it is."""
    scenario = driver(at_rest(3) | moving(3))
    terminal = gputop(scenario, size=SIZE, scale=SHORT)
    terminal.wait_alive(2, 1)
    story = Story(terminal, scenario, run)
    scenario.set("device.1.lost", 1)
    since = int(terminal.wait_device(1, r"lost for (\d+) s")[1])
    (first,) = terminal.collectors
    os.kill(first, signal.SIGKILL)
    wait_flat(terminal, "killed by signal 9")
    terminal.wait_gone("killed by signal 9")
    terminal.wait_alive(2)
    found = terminal.wait_device(1, r"H100.* lost for (\d+) s")
    assert int(found[1]) > since, "it is lost for as long as before, and longer"
    assert terminal.find(r"\A.* 3 GPUs")
    statuses = [device["status"] for device in story.check_screen()["devices"]]
    assert statuses == ["ok", "lost", "ok"]
    scenario.remove("device.1.lost")
    terminal.wait_alive(1)
    story.check_after()
    terminal.check_leaves()


def test_counters_that_go_back_give_no_negative_rate(driver: Driver, run: Run) -> None:
    """Energy, PCIe and NVLink counters are set back while a stream runs."""
    scenario = driver(moving(1))
    stream = run(scenario, "stream", "--interval", "0.1", "--count", "40")
    names = ("energy_mj", "pcie_tx_bytes", "pcie_rx_bytes", "nvlink_tx_kib", "nvlink_rx_kib")
    scenario.update({f"device.0.{name}": "from 5" for name in names})
    frames = Records(stream.check()).frames
    rates = [
        getattr(frame.devices[0], name)
        for frame in frames
        if frame.devices
        for name in ("pcie_rx_bytes_per_s", "nvlink_rx_bytes_per_s", "nvlink_tx_bytes_per_s")
    ]
    known = [rate for rate in rates if rate is not None]
    assert known
    assert min(known) >= 0
    assert max(known) < 1e13


def test_around_a_dialog_and_the_palette_the_devices_stay_live(
    driver: Driver, gputop: Start
) -> None:
    """A picture that stands still there would tell old values, and no warning, for new."""
    scenario = driver({**moving(2), **many_processes(1)})
    terminal = gputop(scenario, size=(100, 40), scale=SHORT)
    terminal.wait_for(" 100000 ")
    terminal.press("K", shows="Send a signal to th|not signalled|has already ended")
    terminal.wait_alive(0)
    scenario.set("device.1.lost", 1)
    terminal.wait_for("✗ 1 critical")
    terminal.press("esc")
    terminal.wait_gone("Send a signal to th|not signalled|has already ended")
    terminal.press("ctrl-p", shows="Search")
    scenario.remove("device.1.lost")
    terminal.wait_gone("✗ 1 critical")
    terminal.wait_frames()
    terminal.type("esc")
    terminal.wait_gone("Search")
    terminal.check_leaves()


XID_SAYS = "Xid 79: GPU has fallen off the bus"
ILL: dict[str, tuple[Lines, int, str]] = {
    "well": ({}, 0, "P0 "),
    "hangs": (at(TEMP, hang="forever"), 0, "no answer for"),
    "lost": (of(lost=1), 0, "lost for"),
    "another hangs": ({f"device.1.call.{TEMP}.hang": "forever"}, 1, "no answer for"),
}
"""What is wrong while an Xid comes, and what stands at which device then."""


@pytest.mark.parametrize(("wrong", "ill", "shows"), ILL.values(), ids=ILL)
def test_an_xid_is_told_alike_by_all(
    driver: Driver, gputop: Start, run: Run, wrong: Lines, ill: int, shows: str
) -> None:
    """Whatever its device is doing, and the others."""
    scenario = driver(at_rest(2) | moving(2))
    terminal = gputop(scenario, size=SIZE, scale=SHORT)
    terminal.wait_alive(0, 1)
    terminal.wait_alive(1, 1)
    story = Story(terminal, scenario, run)
    scenario.update(wrong)
    terminal.wait_device(ill, shows)
    scenario.set("device.0.xid.0", "79 seq=1")
    story.check_xid(0, 79)
    terminal.press("w", shows=rf"^.✗ critical .*{XID_SAYS}")
    terminal.press("esc", hides="Esc back")
    story.check_alike()
    if wrong:
        scenario.remove(*wrong)
    story.check_after()
    terminal.check_leaves()


# -- letting go ----------------------------------------------------------------------------------


def test_releasing_closes_nvml_and_taking_back_opens_it(
    driver: Driver, gputop: Start, run: Run
) -> None:
    scenario = driver(at_rest(2) | moving(2), log_calls=True)
    terminal = gputop(scenario, size=SIZE)
    terminal.wait_alive(0, 1)
    story = Story(terminal, scenario, run)
    terminal.press("x", shows=r"▲ The driver is released\. Press x to take it back")
    calls = scenario.calls()
    assert calls[-1].symbol == "nvmlShutdown"
    used = scenario.calls_path
    assert used is not None
    size = used.stat().st_size
    terminal.wait_frames()
    assert used.stat().st_size == size, scenario.calls()[len(calls) :]
    opened = [name for name in _open_files(terminal.collectors[0]) if "nvidia" in name]
    assert opened == []
    check_ages_grow(terminal, r"released for (\d+) s")
    assert story.check_screen()["devices"][0]["gpu_utilization"] is None
    story.check_commands(story.before)  # only the screen has let go
    terminal.press("x", hides="The driver is released")
    terminal.wait_alive(0)
    terminal.wait_alive(1)
    assert scenario.calls()[len(calls)].symbol.startswith("nvmlInit")
    story.check_after()
    terminal.check_leaves()


def _open_files(pid: int) -> list[str]:
    return [os.readlink(path) for path in Path(f"/proc/{pid}/fd").iterdir() if path.exists()]


def test_a_collector_started_while_released_leaves_the_driver_alone(
    driver: Driver, gputop: Start
) -> None:
    """One call of nvmlInit is enough to spoil a reset, or to wake a laptop's GPU."""
    scenario = driver(moving(2), log_calls=True)
    terminal = gputop(scenario, size=SIZE, scale=SHORT)
    terminal.wait_alive(0, 1)
    terminal.press("x", shows=r"▲ The driver is released\. Press x to take it back")
    calls = len(scenario.calls())
    for _ in range(2):
        (pid,) = terminal.collectors
        os.kill(pid, signal.SIGKILL)
        wait_flat(terminal, "killed by signal 9")
        terminal.wait_for(r"▲ The driver is released\. Press x to take it back")
        terminal.wait_frames()
        devices = terminal.saved_snapshot()["devices"]
        assert [d["status"] for d in devices] == ["pending", "pending"], "as on screen"
        assert [d["gpu_utilization"] for d in devices] == [None, None]
    assert scenario.calls()[calls:] == []
    terminal.press("x", hides="The driver is released")
    terminal.wait_alive(0)
    assert scenario.calls()[calls].symbol.startswith("nvmlInit")
    terminal.check_leaves()


def test_releasing_while_a_call_hangs_says_so(driver: Driver, gputop: Start, run: Run) -> None:
    scenario = driver(at_rest(2) | moving(2))
    terminal = gputop(scenario, size=SIZE, scale=SHORT)
    terminal.wait_alive(0, 1)
    story = Story(terminal, scenario, run)
    scenario.update(at(TEMP, hang="forever"))
    terminal.wait_device(0, "no answer for")
    hanging = terminal.saved_snapshot()
    terminal.press("x")
    wait_flat(terminal, "▲ A call into the NVIDIA driver does not return, so the driver is still")
    terminal.check_keys_answer()
    assert [d["temperature_c"] for d in story.check_screen()["devices"]] == [None, None]
    story.check_commands(hanging, LOOKED_AT_RARELY)  # only the screen is about to let go
    scenario.remove(*at(TEMP, hang="forever"))
    wait_flat(terminal, "▲ The driver is released")
    terminal.press("x", hides="The driver is released")
    terminal.wait_alive(0)
    terminal.wait_alive(1)
    story.check_after()
    terminal.check_leaves()


XID_79 = "NVRM: Xid (PCI:0000:3b:00): 79, pid=1, GPU has fallen off the bus."


@pytest.mark.parametrize("killed", [False, True], ids=["", "and-the-collector-is-killed"])
def test_an_xid_that_comes_while_the_driver_is_released_is_told_when_it_is_back(
    driver: Driver, gputop: Start, run: Run, tmp_path: Path, killed: bool
) -> None:
    """NVML tells of what happens to those who listen; the kernel's log keeps it."""
    log = tmp_path / "kmsg"
    log.touch()
    bus = {"device.0.pci_bus_id": "00000000:3B:00.0"}
    scenario = driver(at_rest(2) | moving(2) | bus)
    env = {"GPUTOP_KERNEL_LOG": str(log)}
    terminal = gputop(scenario, size=SIZE, scale=SHORT, env=env)
    terminal.wait_alive(0, 1)
    story = Story(terminal, scenario, run)
    terminal.press("x", shows=r"▲ The driver is released\. Press x to take it back")
    if killed:
        os.kill(terminal.collectors[0], signal.SIGKILL)
        wait_flat(terminal, "killed by signal 9")
        terminal.wait_gone("killed by signal 9")
    log.write_text(f"4,1,{time.monotonic() * 1e6:.0f},-;{XID_79}\n")
    scenario.set("device.0.xid.0", "79 seq=1")
    terminal.wait_frames()
    assert not terminal.find("Xid 79")
    terminal.press("x", hides="The driver is released")
    terminal.wait_device(0, "✗ Xid 79: GPU has fallen off the bus")
    terminal.wait_alive(1)
    story.check_xid(0, 79)
    story.check_screen()
    story.check_after()
    terminal.check_leaves()


# -- what must stay out --------------------------------------------------------------------------


def test_foreign_modules_in_the_working_folder_are_not_imported(
    driver: Driver, gputop: Start, folder: Path
) -> None:
    for name in ("psutil", "pynvml"):
        (folder / f"{name}.py").write_text("open('was-imported', 'w'); raise SystemExit(9)\n")
    terminal = gputop(driver(moving(1)))
    terminal.wait_alive(0)
    assert not (folder / "was-imported").exists()
    terminal.check_leaves()


def test_what_the_driver_prints_is_not_drawn(driver: Driver, gputop: Start) -> None:
    scenario = driver({**moving(1), "not.a.key": 1})
    terminal = gputop(scenario)
    terminal.wait_alive(0)
    for value in range(2, 6):
        scenario.set("not.a.key", value)
        terminal.wait_alive(0, 1)
    assert b"not.a.key" not in terminal.raw
    terminal.check_leaves()

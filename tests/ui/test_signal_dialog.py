"""The signal dialog under a real pilot, with real children."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from textual import events
from textual.pilot import Pilot

from gputop import procfs
from gputop.actions.signals import OpenTargets, Outcome, Status, Target
from gputop.model.frame import DeviceUse, Process
from gputop.ui.screens import signal_dialog
from gputop.ui.screens.signal_dialog import SignalDialog, SignalPanel
from gputop.ui.themes import DARK, MONO, Palette
from gputop.ui.view import View
from tests.samples import GIB, UUIDS, sample_frame, sample_hello
from tests.ui.small_app import SmallApp, view_of
from tests.ui.source import app_on, screen_lines

SAFETY_S = 30
IGNORES_TERM = """
import signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", flush=True)
while True: time.sleep(600)
"""
Child = subprocess.Popen[bytes]


@pytest.fixture
def children() -> Iterator[Callable[..., Child]]:
    started: list[Child] = []

    def start(*command: str) -> Child:
        started.append(subprocess.Popen(command or ("sleep", "600"), stdout=subprocess.PIPE))
        return started[-1]

    yield start
    for child in started:
        child.kill()
        child.wait(SAFETY_S)
        if child.stdout:
            child.stdout.close()


def target_of(child: Child, name: str = "sleep") -> Target:
    return Target(child.pid, procfs.start_ticks(child.pid), name, "ann")


class Stage:
    """The dialog on its app, and what it was dismissed with."""

    def __init__(self, app: SmallApp, dialog: SignalDialog, pilot: Pilot[Any]) -> None:
        self.app, self.dialog, self.pilot = app, dialog, pilot
        self.outcomes: list[Outcome] | None = None

    @property
    def panel(self) -> SignalPanel:
        return self.dialog.query_one(SignalPanel)

    @property
    def lines(self) -> list[str]:
        return [
            self.panel.render_line(y).text.strip("│╭╮╰╯─|+- ")
            for y in range(self.panel.size.height)
        ]

    @property
    def selected(self) -> str:
        return next(line for line in self.lines if "[ " in line).partition("[ ")[2].split()[0]

    async def press_at_once(self, *keys: str) -> None:
        """As over a slow link, where one packet brings them all."""
        for key in keys:
            self.app.post_message(events.Key(key, key if len(key) == 1 else None))
        for _ in range(3):
            await self.pilot.pause()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(SAFETY_S):
            while not condition():
                await self.pilot.pause(0.01)


def play(
    scenario: Callable[[Stage], Awaitable[None]], targets: list[Target],
    size: tuple[int, int] = (100, 24), protected: tuple[int, ...] = (), view: View | None = None,
    **options: Any,
) -> None:  # fmt: skip
    async def run() -> None:
        app = SmallApp(**options)
        app.view = view or View()
        before = set(os.listdir("/proc/self/fd"))
        async with app.run_test(size=size) as pilot:
            dialog = SignalDialog(targets, protected)
            stage = Stage(app, dialog, pilot)
            await app.push_screen(dialog, lambda outcomes: setattr(stage, "outcomes", outcomes))
            await pilot.pause()
            await scenario(stage)
            if dialog.is_current:
                await pilot.press("escape")
            await pilot.pause()
            held = [f"/proc/self/fd/{fd}" for fd in set(os.listdir("/proc/self/fd")) - before]
            links = [os.readlink(path) for path in held if os.path.lexists(path)]
            assert not [link for link in links if "pidfd" in link]

    asyncio.run(run())


def test_cancel_is_preselected_and_sends_nothing(children: Callable[..., Child]) -> None:
    child = children()

    async def scenario(stage: Stage) -> None:
        assert stage.selected == "Cancel"
        assert f"{child.pid} sleep (ann)" in stage.lines
        assert "Nothing is sent." in stage.lines
        await stage.pilot.press("enter")
        await stage.pilot.pause()
        assert stage.outcomes is not None
        assert [outcome.status for outcome in stage.outcomes] == [Status.READY]

    play(scenario, [target_of(child)])
    assert child.poll() is None


@pytest.mark.parametrize("key", ["escape", "q"])
def test_escape_closes_and_sends_nothing(children: Callable[..., Child], key: str) -> None:
    child = children()

    async def scenario(stage: Stage) -> None:
        await stage.pilot.press("right", key)
        await stage.pilot.pause()
        assert stage.outcomes is not None

    play(scenario, [target_of(child)])
    assert child.poll() is None


def test_keys_walk_the_choices_and_letters_only_select(children: Callable[..., Child]) -> None:
    child = children()

    async def scenario(stage: Stage) -> None:
        seen = []
        for key in ("right", "l", "tab", "right", "left", "h", "shift+tab", "t", "i", "k", "c"):
            await stage.pilot.press(key)
            seen.append(stage.selected)
        assert seen == ["TERM", "INT", "KILL", "Cancel", "KILL", "INT", "TERM",
                        "TERM", "INT", "KILL", "Cancel"]  # fmt: skip

    play(scenario, [target_of(child)])
    assert child.poll() is None


@pytest.mark.parametrize(("key", "number"), [("t", 15), ("i", 2), ("k", 9)])
def test_enter_sends_and_the_dialog_closes_once_all_have_ended(
    children: Callable[..., Child], key: str, number: int
) -> None:
    both = [children(), children()]

    async def scenario(stage: Stage) -> None:
        await stage.pilot.press(key, "enter")
        await stage.until(lambda: stage.outcomes is not None)
        assert stage.outcomes is not None
        assert [outcome.status for outcome in stage.outcomes] == [Status.SENT] * 2
        assert stage.app.toasts == ["2 processes ended."]

    play(scenario, [target_of(child) for child in both])
    assert [child.wait(SAFETY_S) for child in both] == [-number, -number]


def test_a_process_that_ignores_the_signal_is_said_to_run_on_and_can_be_killed(
    children: Callable[..., Child], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signal_dialog, "MOMENT_S", 0.05)
    child = children(sys.executable, "-c", IGNORES_TERM)
    assert child.stdout is not None
    assert child.stdout.readline() == b"ready\n"

    async def scenario(stage: Stage) -> None:
        await stage.pilot.press("t", "enter")
        running = f"{child.pid} python (ann) got TERM and is still running."
        await stage.until(lambda: running in stage.lines)
        assert stage.selected == "Close"
        assert stage.outcomes is None
        await stage.pilot.press("k", "enter")
        await stage.until(lambda: stage.outcomes is not None)
        assert stage.app.toasts == [f"{child.pid} python (ann) ended."]

    play(scenario, [target_of(child, "python")])
    assert child.wait(SAFETY_S) == -9


@pytest.mark.parametrize(
    "keys",
    [("t", "escape", "enter"), ("t", "q", "enter"), ("enter", "t", "enter"),
     ("ctrl+p", "k", "enter"), ("t", "ctrl+p", "enter")],
    ids=" ".join,
)  # fmt: skip
def test_keys_meant_for_another_screen_send_nothing(
    children: Callable[..., Child], monkeypatch: pytest.MonkeyPatch, keys: tuple[str, ...]
) -> None:
    """They come at once, so that the dialog has them before it has closed or is covered."""
    sent: list[int] = []
    monkeypatch.setattr(OpenTargets, "send", lambda _, number: sent.append(number))

    async def scenario(stage: Stage) -> None:
        await stage.press_at_once(*keys)
        assert sent == []

    play(scenario, [target_of(children())])


def test_a_second_enter_sends_nothing_more(
    children: Callable[..., Child], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many a program leaves its work at once when it gets INT again."""
    sent: list[int] = []
    monkeypatch.setattr(OpenTargets, "send", lambda _, number: sent.append(number))

    async def scenario(stage: Stage) -> None:
        await stage.press_at_once("i", "enter", "enter")
        assert sent == [signal.SIGINT]

    play(scenario, [target_of(children())])


def test_escape_twice_closes_this_dialog_and_nothing_else(children: Callable[..., Child]) -> None:
    async def scenario(stage: Stage) -> None:
        await stage.press_at_once("escape", "escape")
        assert len(stage.app.screen_stack) == 1
        assert stage.outcomes is not None

    play(scenario, [target_of(children())])


def test_cancel_that_comes_late_closes_no_screen_over_it(children: Callable[..., Child]) -> None:
    """Enter on Cancel is on its way through the panel while Ctrl-P opens the palette."""

    async def scenario(stage: Stage) -> None:
        await stage.pilot.press("ctrl+p")
        palette = stage.app.screen
        assert palette is not stage.dialog
        stage.dialog._panel.action_press()
        await stage.pilot.pause()
        assert stage.app.screen is palette
        assert stage.outcomes is None

    play(scenario, [target_of(children())])


def test_what_ends_behind_another_screen_closes_the_dialog_and_not_that_screen(
    children: Callable[..., Child],
) -> None:
    child = children(sys.executable, "-c", IGNORES_TERM)
    assert child.stdout is not None
    assert child.stdout.readline() == b"ready\n"

    async def scenario(stage: Stage) -> None:
        await stage.pilot.press("t", "enter", "ctrl+p")
        palette = stage.app.screen
        assert palette is not stage.dialog
        child.kill()
        await stage.until(lambda: stage.dialog._ended != set())
        await stage.pilot.pause()
        assert stage.app.screen is palette
        assert stage.outcomes is None
        await stage.pilot.press("escape")
        await stage.until(lambda: stage.outcomes is not None)
        assert len(stage.app.screen_stack) == 1

    play(scenario, [target_of(child)])


def test_a_recycled_pid_gets_nothing_while_the_others_do(
    children: Callable[..., Child],
) -> None:
    bystander, wanted = children(), children()
    ticks = procfs.start_ticks(bystander.pid)
    assert ticks is not None
    recycled = Target(bystander.pid, ticks - 5, "train", "bob")

    async def scenario(stage: Stage) -> None:
        assert any("another process has its pid" in line for line in stage.lines)
        await stage.pilot.press("k", "enter")
        ended = f"{wanted.pid} sleep (ann) got KILL and ended."
        await stage.until(lambda: ended in stage.lines)
        assert stage.outcomes is None  # there is something to read: it stays
        assert "There is no process here that can be signalled." in stage.lines
        await stage.pilot.press("enter")
        await stage.pilot.pause()
        assert stage.outcomes is not None
        assert {outcome.status for outcome in stage.outcomes} == {Status.REUSED, Status.SENT}

    play(scenario, [recycled, target_of(wanted)])
    assert wanted.wait(SAFETY_S) == -9
    assert bystander.poll() is None


def test_a_process_that_ends_meanwhile_is_shown_and_cannot_be_chosen(
    children: Callable[..., Child],
) -> None:
    child = children()

    async def scenario(stage: Stage) -> None:
        await stage.pilot.press("k")
        child.kill()
        gone = f"{child.pid} sleep (ann) has already ended."
        await stage.until(lambda: gone in stage.lines)
        assert stage.selected == "Close"
        await stage.pilot.press("right", "k")
        assert stage.selected == "Close"

    play(scenario, [target_of(child)])


def test_gputop_and_its_collector_are_protected(children: Callable[..., Child]) -> None:
    collector = children()

    async def scenario(stage: Stage) -> None:
        assert sum("is protected" in line for line in stage.lines) == 2
        await stage.pilot.press("k", "enter")
        await stage.pilot.pause()

    ourselves = Target(os.getpid(), procfs.start_ticks(os.getpid()), "gputop", "ann")
    play(scenario, [target_of(collector), ourselves], protected=(collector.pid,))
    assert collector.poll() is None


@pytest.mark.parametrize("palette", [DARK, MONO], ids=lambda palette: palette.name)
@pytest.mark.parametrize("size", [(40, 10), (60, 15), (100, 24), (300, 80)])
def test_many_targets_fit(size: tuple[int, int], palette: Palette) -> None:
    targets = [Target(os.getpid(), None, f"n{n}") for n in range(30)]
    targets.append(Target(1, 1, "init"))

    async def scenario(stage: Stage) -> None:
        panel = stage.panel
        width, height = panel.size
        assert width <= size[0]
        assert height <= size[1]
        assert [panel.render_line(y).cell_length for y in range(height)] == [width] * height
        assert any("more" in line for line in stage.lines)
        assert stage.selected == "Close"

    play(scenario, targets, size=size, palette=palette)


def test_what_needs_a_word_is_not_hidden_behind_the_rest(children: Callable[..., Child]) -> None:
    child = children()

    async def scenario(stage: Stage) -> None:
        assert any("1 init is protected" in line for line in stage.lines)
        assert any(line.endswith("16 more") for line in stage.lines)

    play(scenario, [*[target_of(child)] * 30, Target(1, 1, "init")])


def test_in_ascii_mode_nothing_else_is_drawn(children: Callable[..., Child]) -> None:
    async def scenario(stage: Stage) -> None:
        panel = stage.panel
        drawn = "".join(panel.render_line(y).text for y in range(panel.size.height))
        assert drawn.isascii()

    play(scenario, [target_of(children())], ascii_only=True)


def test_a_click_selects_and_a_second_one_sends(children: Callable[..., Child]) -> None:
    child = children()

    async def scenario(stage: Stage) -> None:
        panel = stage.panel
        row = next(y for y in range(panel.size.height) if "[ Cancel ]" in panel.render_line(y).text)
        column = panel.render_line(row).text.index("KILL")
        await stage.pilot.click("#signal-panel", offset=(column, row))
        assert stage.selected == "KILL"
        assert child.poll() is None
        await stage.pilot.click("#signal-panel", offset=(column, row))
        await stage.until(lambda: stage.outcomes is not None)

    play(scenario, [target_of(child)])
    assert child.wait(SAFETY_S) == -9


def running(child: Child, *arguments: str) -> Process:
    return Process(
        pid=child.pid, start_ticks=procfs.start_ticks(child.pid), name="sleep", user="ann",
        command=["/bin/sleep", *arguments],
        uses=[DeviceUse(UUIDS[0], "C", memory_bytes=60 * GIB),
              DeviceUse(UUIDS[1], "C", memory_bytes=2 * GIB)],
    )  # fmt: skip


def test_targets_are_told_apart_by_what_they_hold_and_run(children: Callable[..., Child]) -> None:
    both = [children(), children()]
    processes = [running(both[0], "600"), running(both[1], "x" * 200)]
    view = view_of(sample_hello(), sample_frame(processes=processes))

    async def scenario(stage: Stage) -> None:
        assert "GPU 0,1 · 62.0 GiB · sleep 600" in stage.lines
        assert any(line.startswith("GPU 0,1 · 62.0 GiB · sleep xxx") for line in stage.lines)

    play(scenario, [target_of(child) for child in both], view=view)


def test_of_many_targets_each_has_one_row_with_all_of_it(children: Callable[..., Child]) -> None:
    child = children()
    view = view_of(sample_hello(), sample_frame(processes=[running(child, "600")]))

    async def scenario(stage: Stage) -> None:
        row = f"{child.pid} sleep (ann)  GPU 0,1 · 62.0 GiB · sleep 600"
        assert stage.lines.count(row) == 15

    play(scenario, [target_of(child)] * 30, view=view)


def test_arguments_stay_hidden_here_too(children: Callable[..., Child]) -> None:
    child = children()
    view = view_of(sample_hello(), sample_frame(processes=[running(child, "SECRET")]))

    async def scenario(stage: Stage) -> None:
        assert "GPU 0,1 · 62.0 GiB · sleep" in stage.lines

    play(scenario, [target_of(child)], view=view, settings={"hide-args": True})


def test_a_long_sentence_wraps(children: Callable[..., Child]) -> None:
    bystander = children()
    ticks = procfs.start_ticks(bystander.pid)
    assert ticks is not None
    recycled = Target(bystander.pid, ticks - 5, "train", "bob")

    async def scenario(stage: Stage) -> None:
        said = " ".join(" ".join(stage.lines).split())
        assert "has ended and another process has its pid, so nothing is sent." in said
        assert "There is no process here that can be signalled." in said

    play(scenario, [recycled], size=(40, 20))


def test_where_nothing_can_be_sent_there_is_only_close() -> None:
    async def scenario(stage: Stage) -> None:
        drawn = " ".join(stage.lines)
        assert "[ Close ]" in drawn
        assert not any(word in drawn for word in ("TERM", "INT", "KILL"))

    play(scenario, [Target(1, 1, "init")])


def test_the_screen_below_stays_visible() -> None:
    async def run() -> None:
        app = app_on([sample_hello(), sample_frame()])
        async with app.run_test(size=(120, 40)) as pilot:
            await pilot.pause()
            below = screen_lines(app)
            await app.push_screen(SignalDialog([Target(1, 1, "init")]))
            await pilot.pause()
            shown = screen_lines(app)
            assert "init is protected" in "".join(shown)
            assert shown[:10] == below[:10]
            assert "node-07" in shown[0]

    asyncio.run(run())

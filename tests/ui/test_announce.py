"""The bell and messages on the desktop: seldom, clean, and for what matters only."""

import pytest

from gputop.insight.alerts import Alert, Change
from gputop.settings import Settings
from gputop.state.store import Store
from gputop.ui.announce import APART_S, Announcer, desktop_message
from tests.ui.source import app_on


def change(severity="critical", what="begin", title="device lost", where="6 H100"):
    alert = Alert(rule="lost", device="G", where=where, severity=severity, word="LOST",
                  title=title, meaning="It is lost.", advice="Reset it.", since_s=1.0,
                  since_utc_s=1.0)  # fmt: skip
    return Change(what, alert)


class Desk:
    def __init__(self, **settings):
        self.written, self.now = [], 100.0
        values = {name.replace("_", "-"): value for name, value in settings.items()}
        self.announcer = Announcer(
            Settings(values), self.written.append, lambda said: None, {"TERM": "xterm"},
            lambda: self.now,
        )  # fmt: skip

    def take(self, *changes):
        self.announcer.take(changes, Store())


def test_nothing_is_told_unless_it_was_asked_for():
    desk = Desk()
    desk.take(change())
    assert desk.written == []


def test_the_bell_rings_for_what_begins_and_not_for_notices_or_ends():
    desk = Desk(bell=True)
    desk.take(change("notice"), change(what="end"))
    assert desk.written == []
    desk.take(change(what="moment"))
    assert desk.written == ["\a"]


def test_it_rings_once_in_a_while_and_what_came_in_between_is_told_by_its_number():
    desk = Desk(notify=True)
    desk.take(change("warning", title="row remap pending"))
    desk.now += APART_S - 0.1
    desk.take(change("warning"), change("critical", title="power brake"))
    assert len(desk.written) == 1
    desk.now += 0.2
    desk.take()
    assert len(desk.written) == 2
    assert "critical: GPU 6 H100, power brake (and 1 more)" in desk.written[1]


@pytest.mark.parametrize(
    ("environ", "beginning", "end"),
    [
        ({"TERM": "xterm-256color"}, "\x1b]9;gputop host: ", "\x1b\\"),
        ({"TERM": "foot"}, "\x1b]777;notify;gputop host;", "\x1b\\"),
        ({"TERM": "xterm", "VTE_VERSION": "7600"}, "\x1b]777;notify;gputop host;", "\x1b\\"),
        ({"TERM": "tmux-256color", "TMUX": "/tmp/x"}, "\x1bPtmux;\x1b\x1b]9;", "\x1b\x1b\\\x1b\\"),
    ],
)
def test_a_message_is_what_the_terminal_knows(environ, beginning, end):
    message = desktop_message("host", "device lost", environ)
    assert message.startswith(beginning)
    assert message.endswith(end)
    assert "device lost" in message


def test_screen_would_draw_it_so_it_gets_none():
    assert desktop_message("host", "device lost", {"TERM": "screen.xterm-256color"}) == ""


def test_hostile_words_end_no_sequence():
    message = desktop_message("h\x07", "a\x1b\\\x07;b\x9c\n" + "x" * 500, {"TERM": "foot"})
    body = message.removeprefix("\x1b]777;notify;").removesuffix("\x1b\\")
    assert not set(body) & set("\x1b\x07\x9c\n")
    assert body.count(";") == 1
    assert len(body) < 300


async def test_the_app_rings_through_its_terminal(monkeypatch):
    from tests.demo_records import demo_records

    written = []
    app = app_on(demo_records(8, 42), bell=True)
    monkeypatch.setattr(app.announcer, "_write", written.append)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        assert written == ["\a"]

"""The height of a story: the screen, what `e` writes of it and what it records say the same."""

from __future__ import annotations

from gputop.export.json_format import document
from gputop.insight.host_state import HostState
from gputop.ui.view import take
from tests.e2e.observe import recorded
from tests.e2e.program import Gputop, Records
from tests.e2e.said import Document, check_pane, differences, records_of, told
from tests.e2e.unread import check_nothing_unread


class Story:
    """A screen that records what comes in from now on."""

    def __init__(self, terminal: Gputop) -> None:
        self._terminal = terminal
        terminal.press("R", shows=r"\A.*● REC ")

    def check_alike(self, *, current: bool = True) -> Document:
        """See that all say the same of every device, and end the recording.

        Args:
            current: False where the screen has nothing newer than an old frame, and says so: its
                values are drawn as old ones, and the files hold them with the time they are of.

        Returns:
            What `e` wrote.
        """
        terminal = self._terminal
        saved = terminal.saved_snapshot()
        check_nothing_unread(records_of(saved))
        if current:
            for index, device in enumerate(d for d in saved["devices"] if d["parent"] is None):
                check_pane(terminal, index, device, ())
        terminal.press("R", hides="● REC ", shows="frames recorded to")
        (path,) = terminal.folder.glob("*.ndjson.zst")
        recording = recorded(path)
        check_nothing_unread(recording.all)
        wrong = differences(told(saved), told(_played_back(recording)))
        assert not wrong, wrong
        path.unlink()
        return saved


def _played_back(recording: Records) -> Document:
    """What a screen shows at the end of a recording: devices that are gone stay in their places."""
    state = HostState()
    for record in recording.all:
        state.apply(record)
    shown = take(state.store, state.alerts, state.verdicts).shown
    assert shown is not None
    return document(*shown)

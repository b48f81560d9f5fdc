"""The events of a report, worked out by hand."""

from __future__ import annotations

from msgspec.structs import replace

from gputop.insight.alert_log import PROCESS_GONE
from gputop.insight.alerts import Alert
from gputop.model.frame import Event
from gputop.model.nvml_tables import Severity
from gputop.report.happenings import MOST, events
from gputop.report.series import Window
from tests.report.runs import BOOT_S, GPU, UTC_S, frame, reading, report_of, utilised

WINDOW = Window(100.0, 200.0)


def alert(
    since: float, until: float | None, title: str = "hot", severity: Severity = "warning",
    device: str = GPU, detail: str = "",
) -> Alert:  # fmt: skip
    return Alert(title, device, "0 H100", severity, "HOT", title, "", "", since, UTC_S + since,
                 detail=detail, until_s=until)  # fmt: skip


def told(*alerts: Alert) -> list[tuple[str, float, int, float, bool]]:
    """Title, offset from the begin, how often, for how long, and whether it lasts."""
    found = events(alerts, WINDOW, now=200.0)
    return [(e.title, e.offset_s, e.count, e.lasted_s, e.lasts) for e in found]


def test_the_same_on_the_same_device_is_one_event():
    # 110 to 115 and 150 to the end at 200: 5 s and 50 s
    assert told(alert(110, 115), alert(150, None)) == [("hot", 10, 2, 55, True)]
    assert len(told(alert(110, 115), alert(110, 115, device="GPU-1"))) == 2


def test_what_lies_outside_of_the_window_is_cut_off_or_left_out():
    assert told(alert(80, 130), alert(190, 250)) == [("hot", 0, 2, 30 + 10, False)]
    assert told(alert(10, 99), alert(201, None)) == []


def test_a_moment_lasts_no_time():
    assert told(alert(120, 120, "Xid 79")) == [("Xid 79", 20, 1, 0, False)]


def test_an_xid_that_is_still_shown_at_the_end_lasts_no_time():
    shown = replace(alert(190, None, "Xid 79"), rule="xid:79")
    assert told(shown) == [("Xid 79", 90, 1, 0, False)]


def test_what_was_before_the_start_is_not_added_to_what_was_seen():
    before = replace(alert(100, 100, detail="33 h in all"), before_start=True)
    assert told(before, alert(110, 115)) == [("hot", 0, 1, 0, False), ("hot", 10, 1, 5, False)]


def test_the_worst_stand_first_and_then_the_earliest():
    found = told(alert(150, 151, "late"), alert(110, 111, "notice", "notice"),
                 alert(190, 191, "dead", "critical"), alert(120, 121, "early"))  # fmt: skip
    assert [title for title, *_ in found] == ["dead", "early", "late", "notice"]


def test_an_event_that_became_worse_is_as_bad_as_it_was():
    first, second = alert(110, 111, detail="1 error"), alert(120, 121, severity="critical")
    (event,) = events([first, second], WINDOW, now=200.0)
    assert (event.severity, event.detail, event.utc_s) == ("critical", "1 error", UTC_S + 110)


def test_processes_that_ended_on_a_device_are_one_event():
    def gone(at: float, pid: int) -> Alert:
        return replace(alert(at, at, f"process {pid} ended", "notice"), rule=PROCESS_GONE)

    assert told(gone(110, 7)) == [("process 7 ended", 10, 1, 0, False)]
    assert told(gone(110, 7), gone(120, 8)) == [("processes ended", 10, 2, 0, False)]


def test_what_is_too_much_to_list_is_counted():
    xids = [
        Event("s", n, UTC_S + 1, BOOT_S + 1, "xid", GPU, 1000 + n) for n in range(MOST + 5)
    ]  # fmt: skip
    found = report_of(*utilised((0, 1.0), (1, 1.0)), *xids, frame(2, reading(2)))
    assert len(found.events) == MOST
    assert "5 more events, the mildest and latest of all, are left out." in found.notes

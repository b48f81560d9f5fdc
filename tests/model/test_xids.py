"""The Xid catalogue: NVIDIA's name, fault and action for the codes that matter most."""

import pytest

from gputop.model.xids import ACTIONS, XIDS, xid


@pytest.mark.parametrize(
    ("code", "fault", "action", "severity"),
    [
        (13, "application", "restart_app", "warning"),
        (31, "application", "restart_app", "warning"),
        (43, "application", "ignore", "warning"),
        (45, "application", "follow", "notice"),
        (48, "hardware", "reset_gpu", "critical"),
        (63, "hardware", "ignore", "notice"),
        (64, "hardware", "reset_gpu", "critical"),
        (74, "hardware", "nvlink", "critical"),
        (79, "hardware", "reboot", "critical"),
        (94, "hardware", "restart_app", "warning"),
        (95, "hardware", "reset_gpu", "critical"),
        (119, "driver", "reset_gpu", "critical"),
        (154, "driver", "follow", "warning"),
    ],
)
def test_the_catalogue_s_fault_and_action(code, fault, action, severity):
    found = xid(code)
    assert (found.fault, found.action, found.severity) == (fault, action, severity)


def test_every_entry_says_what_it_means_and_what_to_do_in_a_sentence():
    for code, entry in XIDS.items():
        assert entry.code == code
        assert entry.meaning.endswith(".")
        assert entry.advice.startswith(ACTIONS[entry.action])
        assert entry.advice.endswith(".")
        assert entry.advice.count(".") == 1


def test_a_code_of_the_future_is_told_apart():
    assert xid(4711).name == "unlisted Xid"
    assert "catalogue" in xid(4711).advice

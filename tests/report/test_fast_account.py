"""A report is added up by short cuts; without them it is the same, to the last digit.

What each number has to be stands in `test_exactness.py`.
"""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from gputop.insight.alert_log import AlertLog
from gputop.model.frame import AnyRecord, DeviceReading
from gputop.report import account as accounts
from gputop.report.account import Account, Options
from gputop.report.device_account import REPORTED, DeviceAccount
from gputop.report.moments import Moment
from gputop.report.series import Window, patience
from gputop.report.shape import encode
from tests.report.uneven import uneven

PART = Options(start=Moment(after_s=40), end=Moment(after_s=150))


class OneByOne(DeviceAccount):
    """Adds up a reading when it comes, one quantity after the other."""

    def update(self, reading: DeviceReading, interval_s: float, window: Window) -> None:
        fast = reading.read_at.fast
        if reading.status != "ok" or fast is None:
            self.lapse()
            return
        self.memory_total = reading.memory_total_bytes or self.memory_total
        self.power_limit = reading.power_limit_w or self.power_limit
        self._rhythm = interval_s, window
        self._add_in_order(reading, list(REPORTED))
        self._answered.read(fast, 1.0, patience("fast", interval_s), window)


class AskingAll(AlertLog):
    """Asks every rule at every reading."""

    def _is_new(self, device: object) -> bool:
        return True


def plain_report(records: Iterable[AnyRecord], options: Options | None) -> str:
    """Without a short cut: the past is kept as for the charts of a screen."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(accounts, "DeviceAccount", OneByOne)
        patch.setattr(accounts, "AlertLog", AskingAll)
        patch.setattr(accounts, "_keeping", lambda thresholds: accounts.FOR_CHARTS)
        return encode(Account(options).add_all(records).report())


@pytest.mark.parametrize("job", [False, True])
@pytest.mark.parametrize("options", [None, PART], ids=["whole", "part"])
def test_short_cuts_change_nothing(job, options):
    records = uneven(2 * (options is None) + job, job)
    report = Account(options).add_all(records).report()
    assert encode(report) == plain_report(records, options)
    # The recordings hold what is to be tested.
    assert any(device.parent for device in report.devices)
    assert any(device.held_back for device in report.devices)
    assert len({verdict.key for device in report.devices for verdict in device.verdicts}) > 4
    assert any(event.title == "device lost" for event in report.events)
    assert all(0 < (device.coverage or 0) < 1 for device in report.devices)

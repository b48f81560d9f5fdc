"""What a day of history costs: design.md allows 20 MB for eight devices."""

from gputop.model.metrics import CHARTED
from gputop.model.nvml_tables import HARMFUL
from gputop.state.history import History, Series
from gputop.state.throttle import ThrottleAccount

DEVICES = 8
BUDGET = 20e6
DAY_S = 86_400


def bytes_of(series: Series) -> int:
    return sum(ring._cells.nbytes for ring in (series.fine, series.coarse))


def bytes_of_throttling(account: ThrottleAccount) -> int:
    """As large as it gets: every reason has held the device back at least once."""
    (read, *_) = account._read.values()
    tally = sum(part._held.itemsize * len(part._held) for part in (read._seconds, read._minutes))
    return tally * (len(account._read) + len(HARMFUL))


def test_a_day_of_every_charted_metric_of_eight_devices_fits_the_budget():
    history = History()
    for metric in CHARTED:
        history.ensure(metric.name).add(DAY_S, 1.0)
    charts = sum(bytes_of(history.series(metric.name)) for metric in CHARTED)
    total = DEVICES * (charts + bytes_of_throttling(ThrottleAccount()))
    print(f"{DEVICES} devices, {len(CHARTED)} metrics, 24 h: {total / 1e6:.1f} MB")
    assert total < BUDGET


def test_a_series_reaches_back_a_day_and_takes_no_more_after_it():
    series = Series()
    before = bytes_of(series)
    for minute in range(0, 2 * DAY_S, 60):
        series.add(float(minute), minute / 60)
    assert bytes_of(series) == before
    newest = 2 * DAY_S - 60
    assert series.span(newest - DAY_S + 60, newest - DAY_S + 120).mean == (newest - DAY_S + 60) / 60
    assert series.span(newest - DAY_S - 60, newest - DAY_S) is None
    assert series.oldest == newest - DAY_S + 60

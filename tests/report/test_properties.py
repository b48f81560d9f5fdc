"""What holds for every recording, however hostile its values."""

from __future__ import annotations

import json
import math
import random

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from gputop.model.frame import Process
from gputop.report import html_page, markdown_page, text_page
from gputop.report.compare import compare
from gputop.report.shape import encode
from gputop.report.text_page import Look
from gputop.report.weights import MOST_COLUMNS, Columns, Weighted
from tests.records import few, machines
from tests.report.runs import frame, hello, reading, report_of, uses

ratios = st.floats(0, 1)
steps = st.lists(st.tuples(st.floats(0.01, 20), st.none() | ratios, st.none() | st.floats(0, 1e6)),
                 min_size=1, max_size=30)  # fmt: skip


def _records(drawn):
    at, records = 0.0, [hello()]
    for passed, busy, joules in drawn:
        at += passed
        records.append(frame(at, reading(at, gpu_utilization=busy, energy_j=joules,
                                         power_w=300.0, event_reasons=0x4)))  # fmt: skip
    return records


@few
@given(steps)
def test_shares_stay_shares_and_sums_agree(drawn):
    found = report_of(*_records(drawn))
    device = found.devices[0]
    statistic = device.statistics.get("gpu_utilization")
    assert 0 <= device.covered_s <= found.duration_s + 1e-6
    if statistic is not None and statistic.mean is not None:
        assert sum(device.utilization_tenths_s) == pytest.approx(statistic.covered_s)
        assert statistic.minimum - 1e-9 <= statistic.mean <= statistic.maximum + 1e-9
        assert statistic.minimum <= statistic.median <= statistic.p95 <= statistic.maximum
        assert 0 <= device.idle_share <= 1 + 1e-9
        assert device.active_s == pytest.approx(statistic.mean * statistic.covered_s)
    if device.energy is not None:
        assert device.energy.joules >= 0
        assert device.energy.covered_s <= found.duration_s + 1e-6
    for reason in device.held_back:
        assert 0 <= reason.share <= 1
    assert sum(verdict.share for verdict in device.verdicts) <= 1 + 1e-9


@few
@given(st.lists(st.tuples(ratios, st.floats(0.001, 100)), min_size=1), st.randoms())
def test_the_order_of_stretches_does_not_matter(stretches, rng: random.Random):
    one, other = Weighted(0.001), Weighted(0.001)
    shuffled = stretches[:]
    rng.shuffle(shuffled)
    for target, parts in ((one, stretches), (other, shuffled)):
        for value, seconds in parts:
            target.add(value, seconds)
    assert one.mean == pytest.approx(other.mean)
    assert one.tenths() == pytest.approx(other.tenths())
    assert one.covered_s == pytest.approx(sum(seconds for _, seconds in stretches))


@few
@given(st.lists(st.tuples(st.floats(0, 50), st.floats(0.01, 500), ratios), max_size=60))
def test_columns_hold_all_of_the_time_in_few_of_them(stretches):
    columns, at, whole = Columns(100.0), 100.0, Weighted(0.001)
    for gap, seconds, value in stretches:
        at += gap
        columns.add(at, at + seconds, value, value)
        whole.add(value, seconds)
        at += seconds
    means, highs = columns.means(), columns.highs()
    assert len(means) <= MOST_COLUMNS
    for mean, high in zip(means, highs, strict=True):
        assert (mean is None) == (high is None)
        assert mean is None or mean <= high + 1e-9
    assert sum(columns._seconds) == pytest.approx(whole.covered_s, abs=1e-3)


@settings(few, max_examples=15, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(machines(), machines())
def test_no_value_and_no_name_breaks_a_page(machine, other):
    found = report_of(*machine)
    for page in (text_page.render(found), text_page.render(found, Look(ascii_only=True)),
                 markdown_page.render(found), html_page.render(found), encode(found)):  # fmt: skip
        assert "\x1b" not in page
        page.encode()
    assert text_page.render(found, Look(ascii_only=True)).isascii()
    document = json.loads(encode(found), parse_constant=_refuse)
    assert document["type"] == "report"
    two = compare(found, report_of(*other))
    for page in (text_page.render_comparison(two), markdown_page.render_comparison(two),
                 html_page.render_comparison(two)):  # fmt: skip
        assert "\x1b" not in page
    json.loads(encode(two), parse_constant=_refuse)


def _refuse(name):
    raise AssertionError(f"{name} is no JSON")


def test_a_day_takes_no_more_memory_than_an_hour():
    weighted, columns = Weighted(0.001), Columns(0.0)
    for second in range(86_400):
        value = (math.sin(second) + 1) / 2
        weighted.add(value, 1.0)
        columns.add(second, second + 1, value, value)
    assert len(weighted._seconds) <= 1001
    assert len(columns.means()) <= MOST_COLUMNS
    assert weighted.mean == pytest.approx(0.5, abs=0.001)


def test_more_processes_than_a_report_lists_leave_the_busiest():
    held = [uses(pid, 1, sm=pid / 100) for pid in range(1, 60)]
    found = report_of(hello(), *(frame(at, reading(at), processes=held) for at in (0, 1, 2)))
    assert [process.pid for process in found.processes][:3] == [59, 58, 57]
    assert len(found.processes) == 12
    assert all(isinstance(process, Process) for process in held)

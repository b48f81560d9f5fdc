"""What the pages look like: width, marks, escapes, and that HTML needs nobody."""

from __future__ import annotations

import json
import re
from functools import lru_cache
from html.parser import HTMLParser

import msgspec
import pytest

from gputop.model.frame import Hello
from gputop.report import html_page, markdown_page, text_page
from gputop.report.account import Options
from gputop.report.compare import Comparison, compare
from gputop.report.moments import Moment
from gputop.report.shape import Chart, Report, encode
from gputop.report.text_page import Look, spark, squeeze
from gputop.text import Units, display_width
from tests.demo_records import UTC_S, demo_records
from tests.report.runs import frame, hello, job, reading, report_of, uses, utilised
from tests.samples import NASTY

EVIL = '"><script>alert(1)</script><img src=http://evil.example/x onerror=alert(1)>' + NASTY


@lru_cache
def demo() -> Report:
    return report_of(*demo_records(8, 90))


def evil() -> Report:
    records = [job(0, 3), hello()]
    records[0].name = EVIL
    records[1].host.hostname = EVIL
    records[1].not_found = [EVIL]
    records[1].devices[0].name = EVIL
    for at in range(4):
        held = uses(1, 8, 0.5, True)
        held.name = held.user = EVIL
        records.append(frame(at, reading(at, gpu_utilization=0.5, memory_total_bytes=80 << 30),
                             processes=[held]))  # fmt: skip
    return report_of(*records)


# -- text ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("make", [demo, evil])
def test_text_keeps_to_its_width(width, make):
    page = text_page.render(make(), Look(width))
    assert max(display_width(line) for line in page.splitlines()) <= width
    assert "\x1b" not in page


def test_colour_changes_no_word():
    plain, painted = (text_page.render(demo(), Look(colour=colour)) for colour in (False, True))
    assert "\x1b[" in painted
    assert re.sub(r"\x1b\[[\d;]*m", "", painted) == plain


def test_ascii_has_the_same_shape():
    unicode, plain = (text_page.render(demo(), Look(ascii_only=plain)) for plain in (False, True))
    assert plain.isascii()
    assert list(map(display_width, unicode.splitlines())) == list(map(len, plain.splitlines()))


def test_the_page_answers_the_questions():
    page = text_page.render(demo())
    for said in ("SIMULATED", "Time recorded", "GPU-hours", "Wh", "by the energy counter",
                 "What would most likely shorten it", "input-starved", "thermal slowdown",
                 "of time in %", "readings cover", "device lost", "Processes"):  # fmt: skip
        assert said in page, said


def test_a_number_stays_beside_its_unit():
    for width in range(60, 121):
        page = text_page.render(demo(), Look(width))
        assert not re.search(r"^ *(%|(s|W|Wh|GiB|MHz)\b)", page, re.M), width


def test_a_chart_shows_gaps_and_keeps_what_it_sums_up():
    chart = Chart(1.0, "mean", [0.0, 1.0, None, None, 0.5, 0.5], 1.0)
    assert spark(chart, 6) == "▁█  ▄▄"
    assert squeeze(chart, 3) == [0.5, None, 0.5]
    assert squeeze(Chart(1.0, "peak", [0.0, 1.0, None, None, 0.5, 0.2], 1.0), 3) == [1, None, 0.5]


def test_devices_that_were_asked_for_in_vain_are_named():
    record = hello()
    record.not_found = ["7", "GPU-x"]
    page = text_page.render(report_of(job(0, 2), record, frame(0, reading(0)), frame(1)))
    assert "Asked for and not found: 7, GPU-x." in page
    record.devices.clear()
    page = text_page.render(report_of(job(0, 2), record, frame(0), frame(1)))
    assert "None of the devices that were asked for was found: 7, GPU-x." in page


def test_no_driver_is_one_sentence_and_a_time():
    record = hello(status="absent", message="There is no driver.", remedy="Install one.")
    record.devices.clear()
    page = text_page.render(report_of(job(0, 2), record, frame(0), frame(1)))
    assert "There is no driver. Install one." in page
    assert "2.00 s" in page
    assert "GPU-hours" not in page


# -- markdown ------------------------------------------------------------------------------------


def test_markdown_tables_are_whole():
    for page in (markdown_page.render(demo()), markdown_page.render(evil())):
        for table in re.findall(r"(?:^\|.*\n)+", page, re.M):
            rows = [len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()]
            assert len(set(rows)) == 1, table
        assert "<script" not in page
        assert "<img" not in page
        assert "http://" not in page
    assert "%)" in markdown_page.render(demo())  # no more escapes than it takes


# -- HTML ----------------------------------------------------------------------------------------


class _Looks(HTMLParser):
    """Which tags and attributes there are, and whether they close."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.open: list[str] = []

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attributes}
        if tag not in ("meta", "rect", "polygon", "polyline"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attributes}

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.mark.parametrize("make", [demo, evil])
def test_html_needs_nobody_and_runs_nothing(make):
    page = html_page.render(make())
    looks = _Looks()
    looks.feed(page)
    assert looks.open == []
    assert not looks.tags & {"script", "img", "link", "iframe", "object", "embed", "a"}
    assert not {name for name in looks.attributes if name.startswith("on")}
    assert not looks.attributes & {"src", "href", "srcset", "style"}
    assert "@import" not in page
    assert "url(" not in page
    assert "default-src 'none'" in page


def test_html_draws_nothing_where_nothing_was_read():
    lost = next(device for device in demo().devices if device.index == 6)
    section = html_page.render(demo()).split("<section>")[7]
    assert None in lost.charts["gpu_utilization"].values
    first = section.split("</svg>")[0]
    assert first.count("<polyline") == 2  # before it was lost and after


# -- JSON ----------------------------------------------------------------------------------------


def test_json_comes_back_as_it_went_and_says_its_version():
    text = encode(demo())
    assert msgspec.json.decode(text, type=Report) == demo()
    document = json.loads(text)
    assert (document["type"], document["version"]) == ("report", 1)
    assert document["devices"][0]["statistics"]["power_w"]["mean"] > 100


# -- two runs ------------------------------------------------------------------------------------


def test_two_runs_are_compared_value_by_value():
    def run(length, busy, watts, uuid):
        records = [hello(uuid)]
        records += [
            frame(at, reading(at, uuid, gpu_utilization=busy, power_w=watts),
                  processes=[uses(1, 1, uuid=uuid)])
            for at in range(length + 1)
        ]  # fmt: skip
        return report_of(*records)

    two = compare(run(10, 0.5, 100.0, "GPU-a"), run(5, 0.8, 150.0, "GPU-b"))
    found = {(row.device, row.name): row for row in two.differences}
    time = found[None, "duration_s"]
    assert (time.a, time.b, time.change) == (10, 5, -0.5)
    assert time.shown[2] == "-50.0 %"
    energy = found[None, "energy_j"]
    assert (energy.a, energy.b) == (pytest.approx(1000), pytest.approx(750))
    busy = found["GPU 0  H100 80GB HBM3", "gpu_utilization.mean"]
    assert busy.shown[2] == "+30.0 pt"
    for page in (text_page.render_comparison(two), markdown_page.render_comparison(two),
                 html_page.render_comparison(two)):  # fmt: skip
        assert "50.0 %" in page.replace("\\", "")
    assert msgspec.json.decode(encode(two), type=Comparison) == two


def test_a_comparison_says_nothing_of_what_neither_run_read():
    def run(celsius):
        return report_of(
            hello(),
            *(frame(at, reading(at, temperature_c=celsius, gpu_utilization=0.5)) for at in (0, 1)),
        )

    found = {row.label: row for row in compare(run(60), run(70)).differences}
    assert "Power, mean" not in found
    warmer = found["Temperature, mean"]
    assert warmer.change is None  # no temperature is twice another
    assert warmer.shown == ("60 °C", "70 °C", "+10.0 °C")
    in_f = compare(run(70), run(60), Units(temperature="f")).differences
    assert ("158 °F", "140 °F", "-18.0 °F") in [row.shown for row in in_f]


def test_a_device_whose_throttling_was_not_read_is_not_said_to_be_free_of_it():
    def run(mask):
        return report_of(
            hello(),
            *(frame(at, reading(at, gpu_utilization=0.5, event_reasons=mask)) for at in (0, 1)),
        )

    capped, free, unread = run(0x4), run(0), run(None)
    assert "the driver did not say" in text_page.render(unread)
    assert "the driver did not say" not in text_page.render(free)

    def cap(a, b):
        rows = {row.name: row for row in compare(a, b).differences}
        return rows["held_back.sw_power_cap"].shown

    assert cap(capped, free) == ("100 %", "0 %", "-100.0 pt")
    assert cap(capped, unread) == ("100 %", "–", "–")


def test_charts_of_two_runs_have_one_scale_of_time():
    def run(seconds):
        return report_of(*utilised(*((at, 1.0) for at in range(seconds + 1))))

    page = html_page.render_comparison(compare(run(40), run(10)))
    lines = re.findall(r'<polyline class="line" points="([^"]*)"', page)
    ends = [float(line.split()[-1].split(",")[0]) for line in lines]
    assert ends == [480.0, 120.0]


def test_devices_of_one_run_only_are_said():
    one = report_of(*(hello("GPU-0", "GPU-1"), *(
        frame(at, *(reading(at, u, gpu_utilization=1.0) for u in ("GPU-0", "GPU-1")))
        for at in (0, 1))))  # fmt: skip
    other = report_of(hello(), *(frame(at, reading(at, gpu_utilization=1.0)) for at in (0, 1)))
    assert "Not compared: devices used 1 in A only." in text_page.render_comparison(
        compare(one, other)
    )


def test_a_pair_of_different_devices_is_called_by_both():
    def run(index, uuid):
        greeting = hello(uuid)
        greeting.devices[0].index = index
        return report_of(greeting, *(
            frame(at, reading(at, uuid, gpu_utilization=1.0)) for at in (0, 1)))  # fmt: skip

    one, other = run(0, "GPU-a"), run(4, "GPU-b")
    for render in (text_page, markdown_page, html_page):
        both = render.render_comparison(compare(one, other))
        assert re.search(r"GPU 0 +H100 80GB HBM3 \(A\), GPU 4 +H100 80GB HBM3 \(B\)", both)
        assert "(A)" not in render.render_comparison(compare(one, one))


# -- moments -------------------------------------------------------------------------------------


def test_moments_mean_what_they_say(monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    first = next(record for record in demo_records(1, 5) if not isinstance(record, Hello))
    begin = first.boottime_s
    assert Moment.parse("90s").boottime(first) == begin + 90
    assert Moment.parse("+1h30m").boottime(first) == begin + 5400
    assert Moment.parse("2.5").boottime(first) == begin + 2.5
    date = "2026-11-18T11:07:40+00:00"  # a minute after the begin
    assert UTC_S == 1_795_000_000
    assert Moment.parse(date).boottime(first) == pytest.approx(begin + 60)


@pytest.mark.parametrize("text", ["", "tomorrow", "25:00", "12:61", "5 parsecs", "-3s", "1e99"])
def test_what_is_no_moment_is_refused(text):
    with pytest.raises(ValueError, match="is not a time such as"):
        Moment.parse(text)


def test_a_time_of_day_is_the_next_one():
    begin = frame(0)
    for hours in (0, 5, 23):
        clock = Moment(clock_s=hours * 3600)
        ahead = clock.boottime(begin) - begin.boottime_s
        assert -60 <= ahead < 86_400


def test_a_part_without_frames_says_nothing_rather_than_zero():
    options = Options(start=Moment(after_s=1000))
    found = report_of(*demo_records(1, 5), options=options)
    assert found.duration_s is None
    assert found.devices == []
    text_page.render(found)

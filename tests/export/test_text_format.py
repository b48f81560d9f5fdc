import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gputop.export.table import Column, lay_out
from gputop.export.text_format import render
from gputop.insight.verdicts import Verdict
from gputop.model.frame import DeviceReading, Frame, Hello
from gputop.text import Units, display_width
from tests.records import few, machines
from tests.samples import (
    MIG_UUIDS,
    UUIDS,
    no_driver_frame,
    no_driver_hello,
    sample_frame,
    sample_hello,
    sample_info,
    sample_reading,
)


def page(width: int = 100, **options) -> list[str]:
    return render(sample_hello(), sample_frame(), width=width, **options).splitlines()


def line_with(lines: list[str], *parts: str) -> str:
    found = [line for line in lines if all(part in line for part in parts)]
    assert len(found) == 1, (parts, found)
    return found[0]


@pytest.mark.parametrize("width", [80, 100, 120, 200])
def test_every_line_fits_and_every_device_has_its_row(width):
    lines = page(width)
    assert max(map(display_width, lines)) <= width
    places = [m[1] for line in lines if (m := re.match(r" *(\d(?::\d)?)  \S", line))]
    assert places == ["0", "1", "2", "3", "3:0", "3:1", "4", "5", "6", "7"]


def test_wider_pages_show_more():
    titles = {
        width: next(x for x in page(width) if x.startswith("GPU  NAME")) for width in (80, 160)
    }
    assert "MEMORY" in titles[80]
    assert "TENSOR" not in titles[80]
    assert "TENSOR" in titles[160]


def test_a_row_at_eighty_columns():
    row = next(line for line in page(80) if line.startswith("  0  "))
    assert row.split() == [
        "0", "H100", "80GB", "HBM3", "93%", "61/80G", "612/700W", "71°", "1980MHz", "P0", "–",
    ]  # fmt: skip


def test_the_legend_says_why_values_are_not_there():
    lines = page()
    assert line_with(lines, "– POWER", "no permission").endswith("(GPU 5)")
    assert line_with(lines, "– FAN", "not supported").endswith("(GPU 0, 1, 3, 4, 6)")
    assert line_with(lines, "– SM CLOCK", "error 999").endswith("(GPU 5)")
    assert line_with(lines, "– USER, COMMAND", "no permission").endswith("(PID 6300)")


def test_a_lost_device_is_no_legend_but_a_complaint():
    lines = page()
    assert not any(line.startswith("–") and "lost" in line for line in lines)
    assert line_with(lines, "CRITICAL", "device lost")


def test_a_long_legend_names_a_few():
    infos = [sample_info(0, uuid=f"GPU-{n}", index=n) for n in range(12)]
    readings = [sample_reading(0, uuid=info.uuid) for info in infos]
    text = render(sample_hello(devices=infos), sample_frame(devices=readings, processes=[]))
    assert "FAN: not supported (GPU 0, 1, 2, 3, 4, 5, 6, 7 and 4 more)" in text


def test_a_pending_device_says_so():
    frame = sample_frame(devices=[], processes=[])
    text = render(sample_hello(devices=[sample_info(0)]), frame, width=200)
    assert "not read yet (GPU 0)" in text


def test_a_host_value_that_is_not_there_has_its_reason():
    frame = sample_frame()
    frame.host.cpu_utilization = None
    frame.host.missing = {"cpu_utilization": "needs_two_readings"}
    text = render(sample_hello(), frame)
    assert "CPU     – of 8 cores" in text
    assert "– CPU: needs a second reading" in text


def test_a_host_without_swap_says_so():
    frame = sample_frame()
    frame.host.swap_total_bytes = frame.host.swap_used_bytes = 0
    assert "Memory  212/1511 GiB · no swap\n" in render(sample_hello(), frame)


def test_health_in_words_worst_first():
    lines = page()
    sick = [re.split("  +", line)[2] for line in lines if re.match(r"[A-Z]+ +GPU 6", line)]
    assert sick[0].startswith("power brake. ")
    assert sick[-1].startswith("power cap. ")
    lost = line_with(page(200), "CRITICAL", "GPU 2")
    assert "device lost: The device has fallen off the bus; reboot the machine. Reset" in lost
    assert line_with(lines, "WARNING", "thermal slowdown. Improve")
    assert line_with(lines, "devices have no warning").startswith("4 of 8 ")


def test_no_throttling_is_no_complaint():
    text = render(
        sample_hello(devices=[sample_info(0)]),
        sample_frame(devices=[sample_reading(0)], processes=[]),
    )
    assert "WARNING" not in text
    assert "1 of 1 devices have no warning." in text
    assert "No process holds a device." in text


def test_a_process_list_that_was_not_read_is_not_called_empty():
    hello = sample_hello(devices=[sample_info(0), sample_info(1)])
    lost = DeviceReading(sample_info(1).uuid, "lost")
    said = "Process lists are not readable: GPU 1: device lost."
    for processes in ([], sample_frame().processes[:1]):
        frame = sample_frame(devices=[sample_reading(0), lost], processes=processes)
        text = render(hello, frame)
        assert text.rstrip().endswith(said)
        assert "No process holds" not in text


def test_processes_show_names_and_arguments_only_when_asked_for():
    assert line_with(page(), "4101", "60.0 GiB").endswith("  python3")
    assert "SECRET" not in "\n".join(page())
    assert line_with(page(200, with_args=True), "4101", "60.0 GiB").endswith("--token SECRET")
    assert "3:0" in line_with(page(), "tritonserver")


def test_heading_driver_and_host():
    lines = page()
    assert lines[0].startswith("gputop 0.0-sample · node-07 · 2026-11-2")
    assert lines[0].endswith("rates over 250 ms")
    assert line_with(lines, "Driver") == "Driver  580.95.05 · CUDA 13.0 · 8 devices"
    assert line_with(lines, "Memory ") == "Memory  212/1511 GiB · swap 0.0/8.0 GiB"
    assert line_with(lines, "Limits").startswith("Limits  4.2/16.0 cores, throttled 3 %")
    assert not any("SIMULATED" in line for line in lines)
    assert "SIMULATED" in render(sample_hello(simulated=True), sample_frame())


def test_no_driver_says_what_to_do_and_shows_the_host():
    text = render(no_driver_hello(), no_driver_frame())
    assert "Driver  absent: No NVIDIA driver library was found. Install the NVIDIA driver." in text
    assert "CPU     12 %" in text
    assert "GPU" not in text


def test_units_of_the_settings():
    text = "\n".join(page(160, units=Units(temperature="f", memory="decimal")))
    assert "160 °F" in text
    assert "65.5/85.9 GB" in text


def test_zero_is_shown_as_zero():
    row = next(line for line in page(120) if line.startswith("  4  "))
    assert re.search(r" 0 % +61", row)


def test_a_lost_device_shows_no_numbers():
    frame = sample_frame(devices=[DeviceReading(uuid=UUIDS[0], status="lost")], processes=[])
    lines = render(sample_hello(devices=[sample_info(0)]), frame).splitlines()
    row = next(line for line in lines if line.startswith("  0  "))
    assert set(row.split()[4:]) == {"–"}


@few
@given(machines(), st.integers(40, 200))
def test_no_control_character_gets_through(machine: tuple[Hello, Frame], width: int):
    hello, frame = machine
    for with_args in (False, True):
        text = render(hello, frame, with_args, width)
        assert not any(unicodedata.category(c) in {"Cc", "Cs", "Cf"} and c != "\n" for c in text)


# --- Tables -------------------------------------------------------------------------------------

WORDS = Column("NAME", lambda row, tight: row, flexible=True)
LONG = Column("VALUE", lambda row, tight: "1G" if tight else "1.0 GiB")
EXTRA = Column("EXTRA", lambda row, tight: "x", rank=1)


def test_columns_shorten_before_words_are_cut():
    roomy = lay_out([WORDS, LONG], ["a" * 12], 22)
    assert roomy.lines == ["NAME            VALUE", "aaaaaaaaaaaa  1.0 GiB"]
    assert lay_out([WORDS, LONG], ["a" * 12], 20).lines[1] == "aaaaaaaaaaaa     1G"
    assert lay_out([WORDS, LONG], ["a" * 12], 17).lines[1] == "aaaaaaaaa…     1G"


def test_extra_columns_come_where_there_is_room():
    assert lay_out([WORDS, EXTRA, LONG], ["a"], 40).lines[0] == "NAME  EXTRA    VALUE"
    assert lay_out([WORDS, EXTRA, LONG], ["a"], 13).lines[0] == "NAME    VALUE"


def test_a_verdict_is_a_sentence_with_how_it_is_known_and_what_to_try():
    verdict = Verdict("pcie", "PCIe-bound", "measured", (), "Copies fill it.", "Pin it.", "K")
    lines = page(verdicts={UUIDS[1]: verdict, MIG_UUIDS[0]: verdict})
    said = "PCIe-bound (measured). Copies fill it. Pin it."
    assert f"GPU 1  {said}" in lines
    assert f"GPU 3:0  {said}" in lines
    assert sum("PCIe-bound" in line for line in page()) == 0

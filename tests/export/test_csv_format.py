import csv
import io
import unicodedata

from hypothesis import given

from gputop.export.csv_format import devices_table, processes_table
from gputop.export.devices import devices
from gputop.model.frame import DeviceInfo, Frame, Hello
from gputop.model.metrics import METRICS
from tests.records import few, machines
from tests.samples import GIB, MIG_UUIDS, UUIDS, sample_frame, sample_hello


def rows(table: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(table, newline="")))


def test_one_row_per_device_and_instance():
    found = rows(devices_table(sample_hello(), sample_frame()))
    assert len(found) == 10
    by_uuid = {row["uuid"]: row for row in found}
    assert by_uuid[MIG_UUIDS[0]]["parent"] == UUIDS[3]
    assert by_uuid[UUIDS[0]]["power_w"] == "612.3"
    assert by_uuid[UUIDS[0]]["ecc_mode"] == "true"
    assert by_uuid[UUIDS[4]]["gpu_utilization"] == "0.0"
    assert by_uuid[UUIDS[2]]["status"] == "lost"
    assert by_uuid[UUIDS[1]]["temperature_margin_c"] == "-1.0"
    assert {row["window_s"] for row in found} == {"0.25"}
    assert {row["simulated"] for row in found} == {"false"}


def test_what_is_not_there_is_empty_and_has_its_reason():
    row = next(r for r in rows(devices_table(sample_hello(), sample_frame())) if r["index"] == "5")
    assert row["power_w"] == ""
    reasons = dict(pair.split("=", 1) for pair in row["missing"].split(";"))
    assert reasons["power_w"] == "denied"
    assert reasons["power_limit_max_w"] == "unsupported"


def test_one_row_per_process_and_device():
    found = rows(processes_table(sample_hello(), sample_frame()))
    assert [(row["pid"], row["device"]) for row in found] == [
        ("4101", UUIDS[0]), ("4101", UUIDS[1]), ("5200", UUIDS[3]), ("6300", UUIDS[5]),
        ("7400", UUIDS[4]),
    ]  # fmt: skip
    assert found[0]["device_memory_bytes"] == str(60 * GIB)
    assert found[3]["missing"] == "device_memory_bytes=unsupported;name=denied;user=denied"
    assert found[4]["user"] == "'@eve"
    assert found[4]["device_memory_bytes"] == "0"


def test_a_process_without_a_device_keeps_its_row():
    frame = sample_frame()
    frame.processes[0].uses = []
    row = rows(processes_table(sample_hello(), frame))[0]
    assert (row["pid"], row["device"], row["device_memory_bytes"]) == ("4101", "", "")


def test_command_lines_stay_out_unless_asked_for():
    without = processes_table(sample_hello(), sample_frame())
    assert "command" not in without.splitlines()[0].split(",")
    assert "SECRET" not in without
    assert "SECRET" in processes_table(sample_hello(), sample_frame(), with_args=True)


@few
@given(machines())
def test_numbers_come_back_and_text_drives_nothing(machine: tuple[Hello, Frame]):
    hello, frame = machine
    tables = [devices_table(hello, frame), processes_table(hello, frame, with_args=True)]
    for row, device in zip(rows(tables[0]), devices(hello, frame), strict=True):
        for metric in METRICS:
            expected = device.number(metric)
            cell = row[metric.name]
            assert (cell == "") == (expected is None)
            if isinstance(expected, bool):
                assert cell == str(expected).lower()
            elif expected is not None:
                assert type(expected)(cell) == expected
    for table in tables:
        for row in rows(table):
            for cell in row.values():
                assert cell.isascii() or not any(
                    unicodedata.category(c) in {"Cc", "Cf", "Cs", "Zl", "Zp"} for c in cell
                )
                assert cell.isprintable() or not cell.isascii()
                assert is_number(cell) or not cell.startswith(tuple("=+-@＝＋－＠\t\r"))


def is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def test_a_name_that_looks_like_a_number_with_a_sign_is_text():
    hello = sample_hello(devices=[DeviceInfo(uuid=UUIDS[0], name="-1")])
    frame = sample_frame(devices=[])
    assert rows(devices_table(hello, frame))[0]["name"] == "'-1"


def test_a_name_keeps_letters_that_no_terminal_draws_for_sure():
    hello = sample_hello(devices=[DeviceInfo(uuid=UUIDS[0], name="हिन्दी")])
    assert rows(devices_table(hello, sample_frame(devices=[])))[0]["name"] == "हिन्दी"

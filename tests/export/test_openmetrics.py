import unicodedata

import pytest
from hypothesis import given
from prometheus_client import parser as older
from prometheus_client.openmetrics import parser as openmetrics

from gputop.export.devices import devices
from gputop.export.openmetrics import render
from gputop.model.frame import Frame, Hello
from gputop.model.metrics import METRICS
from gputop.text import clean
from tests.records import few, machines
from tests.samples import (
    GIB,
    MIG_UUIDS,
    NASTY,
    UUIDS,
    no_driver_frame,
    no_driver_hello,
    sample_frame,
    sample_hello,
    sample_info,
    sample_reading,
)

Sample = tuple[str, frozenset[tuple[str, str]]]


def parsed(text: str) -> dict[Sample, float]:
    families = openmetrics.text_string_to_metric_families(text)
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def find(samples: dict[Sample, float], name: str, **labels: str) -> list[float]:
    wanted = set(labels.items())
    return [value for (found, pairs), value in samples.items() if found == name and wanted <= pairs]


def test_values_have_base_units_and_labels():
    samples = parsed(render(sample_hello(), sample_frame()))
    assert find(samples, "hw_power_watts", hw_id=UUIDS[0], hw_index="0") == [612.3]
    assert find(samples, "hw_gpu_clock_hertz", hw_id=UUIDS[0], domain="sm") == [1.98e9]
    assert find(samples, "hw_energy_joules_total", hw_id=UUIDS[0]) == [1.25e9]
    assert find(samples, "hw_gpu_utilization_ratio", hw_id=UUIDS[4], task="general") == [0.0]
    assert find(samples, "hw_gpu_memory_usage_bytes", hw_id=MIG_UUIDS[0], state="used",
                hw_parent=UUIDS[3]) == [12 * GIB]  # fmt: skip
    assert find(samples, "hw_gpu_throttle_reason", hw_id=UUIDS[1], reason="sw_thermal") == [1]
    assert find(samples, "hw_gpu_throttle_reason", hw_id=UUIDS[0], reason="sw_thermal") == [0]
    assert find(samples, "hw_gpu_process_memory_bytes", pid="4101", hw_id=UUIDS[1]) == [59 * GIB]
    assert find(samples, "system_cpu_utilization_ratio") == [0.12]
    assert find(samples, "system_pressure_ratio", resource="io", tasks="some") == [0.1]
    assert find(samples, "gputop_window_seconds") == [0.25]
    assert find(samples, "gputop_reading_timestamp_seconds") == [1795271130.5]
    assert find(samples, "hw_gpu_read_timestamp_seconds", hw_id=UUIDS[0], group="slow") == [
        1795271126.5
    ]


def test_what_is_not_there_has_no_sample():
    samples = parsed(render(sample_hello(), sample_frame()))
    assert find(samples, "hw_power_watts", hw_id=UUIDS[5]) == []
    assert find(samples, "hw_gpu_utilization_ratio", hw_id=UUIDS[2]) == []
    assert find(samples, "hw_gpu_throttle_reason", hw_id=UUIDS[2]) == []
    assert find(samples, "system_pressure_ratio", resource="io", tasks="full") == []
    assert find(samples, "hw_status", hw_id=UUIDS[2], hw_state="lost") == [1]
    assert find(samples, "hw_status", hw_id=UUIDS[2], hw_state="ok") == [0]


@pytest.mark.parametrize("name", [NASTY, 'a"b', "a\\nb", "ends in \\", "{x=1}", "# EOF", "हिन्दी"])
def test_labels_come_back_as_they_were(name):
    hello = sample_hello(devices=[sample_info(0, name=name)])
    text = render(hello, sample_frame(devices=[sample_reading(0)], processes=[]))
    assert find(parsed(text), "hw_power_watts", hw_name=clean(name, drawn=False)) == [612.3]


def test_it_says_whether_it_is_simulated():
    assert find(parsed(render(sample_hello(), sample_frame())), "gputop_simulated") == [0]
    simulated = parsed(render(sample_hello(simulated=True), sample_frame()))
    assert find(simulated, "gputop_simulated") == [1]


def test_no_driver():
    samples = parsed(render(no_driver_hello(), no_driver_frame()))
    assert find(samples, "gputop_driver_status", status="absent") == [1]
    assert find(samples, "gputop_driver_status", status="ok") == [0]
    assert find(samples, "system_memory_usage_bytes", state="used") == [212 * GIB]


def test_families_have_type_unit_and_help_that_both_parsers_read():
    text = render(sample_hello(), sample_frame())
    families = {f.name: f for f in openmetrics.text_string_to_metric_families(text)}
    assert families["hw_energy_joules"].type == "counter"
    assert families["hw_energy_joules"].unit == "joules"
    assert families["hw_power_watts"].type == "gauge"
    assert families["hw_gpu_io_rate_bytes_per_second"].unit == "bytes_per_second"
    assert {f.type for f in families.values()} == {"counter", "gauge"}
    for line in text.splitlines():
        if line.startswith("# HELP"):
            assert "\\" not in line
            assert '"' not in line
    assert text.endswith("\n# EOF\n")


def test_the_older_parser_reads_the_same_samples():
    text = render(sample_hello(), sample_frame())
    again = {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in older.text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert again == parsed(text)


def test_no_sample_stands_for_two_metrics():
    names = [metric for metric in METRICS if metric.openmetric]
    targets = {(m.openmetric.name, m.openmetric.labels) for m in names if m.openmetric}
    assert len(targets) == len(names)


def test_command_lines_are_never_in_it():
    assert "SECRET" not in render(sample_hello(), sample_frame())


@few
@given(machines())
def test_any_machine_parses_with_its_values(machine: tuple[Hello, Frame]):
    hello, frame = machine
    text = render(hello, frame)
    assert not any(unicodedata.category(c) in {"Cc", "Cs", "Cf"} and c != "\n" for c in text)
    samples = parsed(text)
    for device in devices(hello, frame):
        for metric in METRICS:
            number = device.number(metric)
            if metric.openmetric is None:
                continue
            labels = dict(metric.openmetric.labels)
            found = find(samples, metric.openmetric.name, hw_id=device.info.uuid, **labels)
            refused = number is None or (metric.openmetric.counter and number < 0)
            scale = metric.openmetric.scale
            assert found == ([] if refused else [number if scale == 1 else number * scale])

"""The parsers of /proc files, with what older, newer and odder kernels write."""

from __future__ import annotations

import math
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gputop import procfs

STAT = (
    "4242 (python) S 1 4242 4242 0 -1 4194304 500 0 0 0 731 42 0 0 20 0 17 0 98765 4096000 2048 "
    "18446744073709551615 1 1 0 0 0 0 0 16781312 0 0 0 0 17 3 0 0 0 0 0"
)


def stat_with(name: str) -> bytes:
    return STAT.replace("(python)", f"({name})").encode()


def test_process_stat_gives_its_fields() -> None:
    assert procfs.parse_process_stat(STAT.encode()) == procfs.ProcessStat(
        name="python", state="S", user_ticks=731, system_ticks=42, threads=17,
        start_ticks=98765, resident_pages=2048, parent_pid=1,
    )  # fmt: skip


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=15))
def test_a_process_may_have_any_name(name: str) -> None:
    stat = procfs.parse_process_stat(stat_with(name))
    assert stat is not None
    assert (stat.name, stat.start_ticks) == (name, 98765)


def test_a_name_that_is_no_utf8_is_still_a_name() -> None:
    stat = procfs.parse_process_stat(STAT.encode().replace(b"python", b"py\xff\xfe"))
    assert stat is not None
    assert stat.name == "py\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}"


@given(st.binary(max_size=300))
def test_what_is_no_process_stat_is_refused(content: bytes) -> None:
    stat = procfs.parse_process_stat(content)
    assert stat is None or stat.start_ticks == int(stat.start_ticks)


@pytest.mark.parametrize("content", [b"", b"1", b"1 (a", b"1 a) S 1", b"1 (a) S 1 2 3"])
def test_a_cut_process_stat_is_none(content: bytes) -> None:
    assert procfs.parse_process_stat(content) is None


def test_our_own_start_is_found_and_that_of_nobody_is_not() -> None:
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    assert procfs.start_ticks(os.getpid()) == int(fields[19])
    assert procfs.start_ticks(2**22 + 1) is None


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"python\0train.py\0--token\0x y\0", ["python", "train.py", "--token", "x y"]),
        (b"nginx: master process", ["nginx: master process"]),
        (b"a\0\0b\0", ["a", "", "b"]),
        (b"\xff\0", ["\N{REPLACEMENT CHARACTER}"]),
        (b"", []),
    ],
)
def test_command_lines(content: bytes, expected: list[str]) -> None:
    assert procfs.parse_command_line(content) == expected


def test_cpu_ticks_leave_guests_out_since_user_time_has_them() -> None:
    ticks = procfs.parse_cpu_ticks(
        b"cpu  10 1 5 80 4 0 0 0 7 1\ncpu0 10 1 5 80 4 0 0 0 7 1\nintr 1"
    )
    assert ticks == {None: procfs.CpuTicks(100, 84, 4), 0: procfs.CpuTicks(100, 84, 4)}


def test_cpu_ticks_of_old_and_new_kernels() -> None:
    old = procfs.parse_cpu_ticks(b"cpu 1 2 3 4\ncpu0 1 2 3 4\nintr 9 9\n")
    assert old[0] == procfs.CpuTicks(10, 4, 0)
    new = procfs.parse_cpu_ticks(b"cpu 1 2 3 4 5 6 7 8 9 10 11 12\n")
    assert new[None].total == 36


def test_cpu_ticks_of_512_cores_with_some_offline() -> None:
    online = [core for core in range(512) if core % 3]
    lines = [b"cpu 1 2 3 4", *(b"cpu%d 1 2 3 %d" % (core, core) for core in online), b"intr 5"]
    ticks = procfs.parse_cpu_ticks(b"\n".join(lines))
    assert [core for core in ticks if core is not None] == online
    assert ticks[511].idle == 511


@given(st.binary(max_size=400).map(lambda rest: b"cpu" + rest))
def test_what_is_no_stat_breaks_nothing(content: bytes) -> None:
    assert all(ticks.idle <= ticks.total for ticks in procfs.parse_cpu_ticks(content).values())


def test_meminfo_is_in_bytes() -> None:
    text = "MemTotal:  1000 kB\nHugePages_Total:       3\nBroken\nOdd: x kB\n"
    assert procfs.parse_meminfo(text) == {"MemTotal": 1_024_000, "HugePages_Total": 3}


def test_available_memory_of_a_kernel_before_3_14() -> None:
    old = {"MemFree": 100, "Cached": 50, "Buffers": 7, "Shmem": 20}
    assert procfs.available_memory(old) == 137
    assert procfs.available_memory(old | {"MemAvailable": 90}) == 90
    assert procfs.available_memory({}) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0.14 1.50 12.06 3/412 9999", (0.14, 1.5, 12.06)),
        ("0.14 1.50", None),
        ("", None),
        ("a b c", None),
        ("0.1 nan 0.3", None),
        ("1e999 1 1", None),
    ],
)
def test_load(text: str, expected: tuple[float, float, float] | None) -> None:
    assert procfs.parse_load(text) == expected


def test_pressure_is_a_ratio() -> None:
    text = (
        "some avg10=12.50 avg60=0.04 avg300=0.01 total=3557125\n"
        "full avg10=100.00 avg60=0.00 avg300=0.00 total=0\n"
        "most avg10=1.00\n"
    )
    assert procfs.parse_pressure(text) == {"some": 0.125, "full": 1.0}


WORDS = st.sampled_from(
    ["some", "full", "avg10=", "avg10=nan", "avg10=inf", "avg10=1.5", "MemTotal:", "MemTotal", "kB",
     "9" * 5000, "-1", "1e400", "nan", "0.5", "²", "\0", "\n", ":", "\N{ARABIC-INDIC DIGIT THREE}"]
)  # fmt: skip
TEXTS = st.text(max_size=200) | st.lists(WORDS, max_size=12).map(" ".join)


@given(TEXTS)
def test_of_any_text_only_numbers_that_can_be_are_taken(text: str) -> None:
    """NaN and infinities never enter a record, and no counter has a thousand digits."""
    pressure = procfs.parse_pressure(text)
    assert set(pressure) <= {"some", "full"}
    assert all(map(math.isfinite, [*pressure.values(), *(procfs.parse_load(text) or ())]))
    assert all(0 <= value < 10**20 * 1024 for value in procfs.parse_meminfo(text).values())
    assert "\n" not in procfs.parse_cpu_model(text)


@given(st.lists(st.binary(max_size=20).map(lambda word: word.replace(b"\0", b"")), max_size=6))
def test_arguments_come_back_one_by_one(arguments: list[bytes]) -> None:
    content = b"".join(argument + b"\0" for argument in arguments)
    wanted = [argument.decode("utf-8", "replace") for argument in arguments]
    assert procfs.parse_command_line(content) == wanted


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("processor\t: 0\nmodel name\t: AMD EPYC  9654\n", "AMD EPYC 9654"),
        ("processor : 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd4f\n", "Neoverse V2"),
        ("CPU implementer : 0x41\nCPU part : 0xfff\n", ""),
        ("CPU implementer : new\nCPU part : 0xfff\n", ""),
        ("processor : 0\ncpu\t\t: POWER9, altivec supported\n", "POWER9, altivec supported"),
        ("", ""),
    ],
)
def test_cpu_model(text: str, name: str) -> None:
    assert procfs.parse_cpu_model(text) == name


def test_reading_stops_at_the_limit(tmp_path: Path) -> None:
    file = tmp_path / "long"
    file.write_bytes(b"x" * 200_000)
    assert len(procfs.read(str(file), 100)) == 100
    assert len(procfs.read(str(file))) == 200_000
    assert procfs.read_text(str(tmp_path / "none")) is None

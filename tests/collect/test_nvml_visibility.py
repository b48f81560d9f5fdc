"""Which devices the environment gave to this user, and how long the driver may take."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gputop.collect.nvml.deadlines import Deadlines
from gputop.collect.nvml.visibility import Visibility

A, B = "GPU-8a7c5e00-1f2d-4b3a-9c00-000000000000", "GPU-90000000-1f2d-4b3a-9c00-000000000001"
MIG = "MIG-5c2e0000-0000-4000-8000-000000000001"


def mine(text: str | None) -> tuple[bool | None, bool | None]:
    environment = {} if text is None else {"CUDA_VISIBLE_DEVICES": text}
    visibility = Visibility.from_environment(environment)
    return visibility.mine(A, 0), visibility.mine(B, 1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, (None, None)),
        ("", (False, False)),
        ("-1", (False, False)),
        ("NoDevFiles", (False, False)),
        ("0", (True, False)),
        ("1,0", (True, True)),
        (" 1 ", (False, True)),
        ("1,-1,0", (False, True)),
        (A, (True, False)),
        ("GPU-90000000", (False, True)),
        ("gpu-8A7C", (True, False)),
        ("GPU-", (False, False)),
        ("10", (False, False)),
        (f"MIG-{A}/7/0", (False, False)),
    ],
)
def test_devices(text: str | None, expected: tuple[bool | None, bool | None]) -> None:
    assert mine(text) == expected


NAMES = st.sampled_from(["0", "1", " 1 ", A, B, A[:12], "gpu-9", MIG, f"MIG-{A}/7/0"])
NONE = st.text().filter(lambda t: "," not in t and not t.strip()[:1].isdecimal()).filter(
    lambda t: not t.strip().lower().startswith(("gpu-", "mig-"))
)  # fmt: skip


@given(st.lists(NAMES), NONE, st.lists(NAMES))
def test_behind_a_name_that_means_none_nothing_counts(
    names: list[str], none: str, more: list[str]
) -> None:
    assert mine(",".join([*names, none, *more])) == mine(",".join([*names, ""]))


@given(st.text(), st.text(), st.none() | st.integers(), st.text())
def test_any_text_names_a_device_or_none(text: str, uuid: str, index: int | None, mig: str) -> None:
    visibility = Visibility.from_environment({"CUDA_VISIBLE_DEVICES": text})
    named = visibility.mine(uuid, index)
    assert named is any(
        name == str(index) or (len(name) > 4 and uuid.lower().startswith(name.lower()))
        for name in visibility.names or ()
    )
    if named:
        assert visibility.mine_instance(uuid, index, mig, 1, 0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, None),
        (MIG, True),
        (MIG[:12], True),
        (f"MIG-{A}/7/0", True),
        (f"MIG-{A}/8/0", False),
        ("0", True),
        ("1", False),
    ],
)
def test_instances(text: str | None, expected: bool | None) -> None:
    environment = {} if text is None else {"CUDA_VISIBLE_DEVICES": text}
    visibility = Visibility.from_environment(environment)
    assert visibility.mine_instance(A, 0, MIG, 7, 0) is expected
    assert visibility.mine(A, 0, [(MIG, 7, 0)]) is expected


def test_cuda_comes_before_the_scheduler() -> None:
    both = {"CUDA_VISIBLE_DEVICES": "0", "SLURM_STEP_GPUS": "1"}
    assert Visibility.from_environment(both).mine(B, 1) is False
    assert Visibility.from_environment({"SLURM_JOB_GPUS": "1"}).mine(B, 1) is True


@pytest.mark.parametrize(
    ("text", "factor"), [("0.5", 0.5), ("1", 1), ("", 1), ("none", 1), ("-2", 1), ("nan", 1)]
)
def test_deadlines_scale_together(text: str, factor: float) -> None:
    scaled = Deadlines.from_environment({"GPUTOP_DEADLINE_SCALE": text})
    assert scaled.init_s == Deadlines().init_s * factor
    assert scaled.reading_s == Deadlines().reading_s * factor

"""Whatever the driver says of processes is a value that can be, or a reason."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gputop.collect.nvml import abi
from gputop.collect.nvml.processes import SHARES, Row, uses_of
from gputop.collect.nvml.shares import MEMBERS, shares_of

PIDS = st.integers(1, 5)
COUNTS = st.integers(0, 2**32 - 1) | st.integers(95, 105)
INSTANCES = {(1, 0): "MIG-1", (2, 0): "MIG-2"}


@st.composite
def samples(draw: st.DrawFn) -> dict[int, abi.ProcessSample]:
    """Process utilisation as the driver's rows hold it, by pid."""
    pids = draw(st.sets(PIDS))
    return {pid: abi.ProcessSample(pid, 1, *(draw(COUNTS) for _ in MEMBERS)) for pid in pids}


ROWS = st.lists(
    st.builds(
        Row, PIDS, st.sampled_from("CGM"), st.none() | st.integers(0, 2**64 - 2),
        st.none() | st.sampled_from([*INSTANCES, (9, 9)]),
    )
)  # fmt: skip


@given(samples())
def test_a_share_is_at_most_the_whole_or_refused_with_what_was_said(
    said: dict[int, abi.ProcessSample],
) -> None:
    shares = shares_of(said, idle=True)
    for pid, row in said.items():
        for member, name in MEMBERS:
            raw, refused = getattr(row, member), shares.missing.get(pid, {})
            if raw <= 100:
                assert shares.rows[pid][name] == raw / 100
                assert name not in refused
            else:
                assert name not in shares.rows[pid]
                assert str(raw) in refused[name]


@given(ROWS, samples(), st.booleans())
def test_every_listed_process_has_one_use_a_place_and_each_field_a_value_or_a_reason(
    rows: list[Row], said: dict[int, abi.ProcessSample], idle: bool
) -> None:
    shares = shares_of(said, idle)
    uses = uses_of("GPU", rows, shares, INSTANCES)
    places = {(row.pid, INSTANCES.get(row.instance) if row.instance else None) for row in rows}
    assert {(pid, use.mig) for pid, group in uses.items() for use in group} == places
    assert sum(map(len, uses.values())) == len(places)
    for pid, group in uses.items():
        for use in group:
            told = [
                row.memory_bytes for row in rows
                if (row.pid, INSTANCES.get(row.instance) if row.instance else None)
                == (pid, use.mig) and row.memory_bytes is not None
            ]  # fmt: skip
            assert use.memory_bytes == max(told, default=None)
            for name in ("memory_bytes", *SHARES):
                assert (getattr(use, name) is None) == (name in use.missing)
            for name in SHARES:  # nobody is idle of whom the driver says something else
                if getattr(use, name) == 0.0:
                    assert idle if pid not in said else shares.rows[pid][name] == 0.0

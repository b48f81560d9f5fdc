"""Random records for property tests: any field may be missing, any text may be hostile."""

from __future__ import annotations

from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from gputop.model import missing
from gputop.model.frame import DeviceInfo, DeviceReading, DeviceUse, Frame, Hello, Process
from tests.samples import NASTY, sample_frame, sample_hello

HOSTILE = [
    NASTY, "", "=1+1", "+1", "-1", "@x", "\t=1", "\r=1", "＝1", 'a"b', "a,b", "a\nb", "a\\b", "{}",
    "\x1b]0;title\x07", "\x9b31m", "[/red]", "\ud800", "\u2028", "# EOF", "日本語",
]  # fmt: skip
texts = st.sampled_from(HOSTILE) | st.text(st.characters(exclude_categories=()), max_size=12)
reasons = st.sampled_from(
    [missing.UNSUPPORTED, missing.DENIED, missing.error(999), missing.implausible("\x1b[2J")]
)
few = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)  # fmt: skip
"""A machine has some hundred fields to draw: a few of them say much."""

floats = st.floats(-1e15, 1e15, allow_nan=False)
integers = st.integers(-(2**40), 2**60)


def _values(kind: Any) -> st.SearchStrategy[Any]:
    """A strategy for the types that records use."""
    if get_origin(kind) is Literal:
        return st.sampled_from(get_args(kind))
    plain: dict[Any, st.SearchStrategy[Any]] = {
        float: floats, int: integers, bool: st.booleans(), str: texts,
        list[str]: st.lists(texts, max_size=3), list[float]: st.lists(floats, max_size=3),
        dict[str, str]: st.just({}),
    }  # fmt: skip
    if kind in plain:
        return plain[kind]
    options = [option for option in get_args(kind) if option is not type(None)]
    if options and type(None) in get_args(kind):
        return st.none() | st.one_of(*map(_values, options))
    return st.nothing()


@st.composite
def records(draw: st.DrawFn, record: type[msgspec.Struct], **fixed: Any) -> Any:
    """A record with every simple field drawn, and reasons for some of those without a value."""
    hints = get_type_hints(record)
    fields = dict(fixed)
    for field in msgspec.structs.fields(record):
        strategy = _values(hints[field.name])
        if field.name not in fixed and not strategy.is_empty:
            fields[field.name] = draw(strategy)
    if "missing" in fields and "missing" not in fixed:
        absent = [name for name, value in fields.items() if value is None]
        fields["missing"] = {name: draw(reasons) for name in absent if draw(st.booleans())}
    return record(**fields)


@st.composite
def machines(draw: st.DrawFn) -> tuple[Hello, Frame]:
    """A hello and a frame of the same devices, up to three, and their processes."""
    count = draw(st.integers(0, 3))
    uuids = [f"GPU-{number}" for number in range(count)]
    infos = [draw(records(DeviceInfo, uuid=uuid, parent=None)) for uuid in uuids]
    readings = [draw(records(DeviceReading, uuid=uuid)) for uuid in uuids]
    processes = []
    for pid in range(draw(st.integers(0, 3))):
        chosen = draw(st.lists(st.sampled_from(uuids), unique=True)) if uuids else []
        uses = [draw(records(DeviceUse, device=uuid)) for uuid in chosen]
        processes.append(draw(records(Process, pid=pid, uses=uses)))
    return sample_hello(devices=infos), sample_frame(devices=readings, processes=processes)

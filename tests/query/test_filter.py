"""The filter language: what each field matches, what is unknown, and what is refused."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gputop.query import FIELDS, Amount, Filter, Place, QueryError, compile_filter
from gputop.query.language import LONGEST
from gputop.query.subject import UNKNOWN
from gputop.text import clean

GIB = 2.0**30


@dataclass(frozen=True)
class Subject:
    pid: int = 4101
    name: str | None = "python3"
    command_line: str | None = "/usr/bin/python3 train.py --lr 0.1"
    user: str | None = "ann"
    places: tuple[Place, ...] = (
        Place(0, "GPU-aaaa0000-1"), Place(3, "GPU-bbbb0000-1", 1, "MIG-cccc0000-1"),
    )  # fmt: skip
    kinds: str = "C"
    state: str | None = "R"
    mine: bool | None = True
    memory: Amount = UNKNOWN
    sm: Amount = UNKNOWN
    cpu: Amount = UNKNOWN
    host_memory: Amount = UNKNOWN
    threads: Amount = UNKNOWN
    running_s: Amount = UNKNOWN


ANN = Subject(
    memory=Amount(10.2 * GIB), sm=Amount(0.931), cpu=Amount(3.4),
    host_memory=Amount(512 * 2.0**20), threads=Amount(96), running_s=Amount(7200),
)  # fmt: skip
NOBODY = Subject(
    name=None, command_line=None, user=None, places=(Place(None, "GPU-dddd"),), kinds="",
    state=None, mine=None,
)  # fmt: skip
UNKNOWN_TERMS = (
    "user:ann", "gpu:0", "gpu:3:1", "name:python", "cmd:train", "mem>0", "mem<1G", "mem=0",
    "sm>=0", "cpu:0", "hostmem>0", "threads>0", "time<1h", "type:c", "state:r", "mine:yes",
    "mine:no",
)  # fmt: skip


def matches(text: str, subject: Subject = ANN) -> bool:
    return compile_filter(text)(subject)


@pytest.mark.parametrize(
    "text",
    [
        "", "  ", "python", "PYTHON", "train.py", "ann", "410", '"train.py --lr"', "'--lr 0.1'",
        "user:AN", "user=ann", "user:bob,ann", "gpu:0", "gpu=3", "gpu:1-3", "gpu:7,0", "gpu:3:1",
        "gpu:GPU-aaaa", "gpu:mig-cccc", "gpu:bbbb", "device:0", "pid:4101", "pid:1,4000-4200",
        "pid>4100", "pid<=4101", "name=python3", "cmd:train.py", 'cmd:"TRAIN.PY --lr"',
        "command:train", "mem>10G", "mem>=10.1G", "mem<10.3GiB", "mem=10G", "mem:10.2G",
        "mem>10GB", "memory > 10G", "mem>0", "sm:93", "sm=93%", "sm>93", "sm<93.2", "cpu>=340",
        "hostmem=512MiB", "hostmem<=512M", "threads:96", "threads>95", "time=2h", "time>1.5h",
        "time>90m", "time<1d", "type:c", "type:compute,mps", "state:r", "state:running",
        "state:Z,R", "mine:yes", "!bob", "-bob", "!user:bob", "!mem>11G", "ann gpu:0 mem>10G",
    ],
)  # fmt: skip
def test_matches(text: str) -> None:
    assert matches(text)


@pytest.mark.parametrize(
    "text",
    [
        "bob", "user=an", "user:bob,eve", "gpu:1", "gpu:1-2", "gpu:3:0", "gpu:GPU-b0", "gpu:aaab",
        "pid:4102", "pid:4102-4200", "pid>4101", "name=python", "cmd=train.py", "mem>11G",
        "mem=11G", "mem=10.0G", "mem<10G", "sm=92", "sm>=94", "cpu>340", "threads:95",
        "time>2h", "time=1h", "type:g", "type:graphics,mps", "state:s", "state:sleeping",
        "mine:no", "!ann", "!user:ann", "-mem>10G", "ann bob", "ann mem>11G",
    ],
)  # fmt: skip
def test_does_not_match(text: str) -> None:
    assert not matches(text)


@pytest.mark.parametrize("text", UNKNOWN_TERMS)
def test_what_is_unknown_matches_neither_a_term_nor_its_negation(text: str) -> None:
    assert not matches(text, NOBODY)
    assert not matches(f"!{text}", NOBODY)


def test_every_field_has_a_term_for_the_unknown() -> None:
    covered = {text.split(":")[0].split("<")[0].split(">")[0].split("=")[0]
               for text in UNKNOWN_TERMS}  # fmt: skip
    assert covered == {field.name for field in FIELDS} - {"pid"}


def test_plain_text_cannot_be_found_in_what_is_unknown() -> None:
    assert not matches("python", NOBODY)
    assert matches("!python", NOBODY)


@pytest.mark.parametrize(
    ("text", "known"),
    [
        ("mem>5G", True), ("mem>=10G", True), ("mem<9G", False), ("mem<=9G", False),
        ("mem=5G", False), ("mem>12G", None), ("mem<12G", None), ("mem=12G", None),
    ],
)  # fmt: skip
def test_of_a_sum_with_an_unknown_part_only_the_lower_bound_is_known(
    text: str, known: bool | None
) -> None:
    subject = replace(ANN, memory=Amount(10 * GIB, at_least=True))
    assert matches(text, subject) is (known is True)
    assert matches(f"!{text}", subject) is (known is False)


@pytest.mark.parametrize(
    ("text", "bytes_"),
    [("1K", 1024), ("1kB", 1000), ("2MiB", 2 * 2**20), ("2MB", 2e6), ("3g", 3 * 2.0**30),
     ("3GB", 3e9), ("1.5Ti", 1.5 * 2**40), ("7b", 7)],
)  # fmt: skip
def test_sizes_are_binary_unless_they_say_otherwise(text: str, bytes_: float) -> None:
    assert matches(f"mem>={text}", replace(ANN, memory=Amount(bytes_)))
    assert not matches(f"mem>={text}", replace(ANN, memory=Amount(bytes_ * 0.999)))


def test_without_arguments_the_command_is_known_by_its_program_only() -> None:
    subject = replace(ANN, command_line=None)
    assert matches("cmd:python", subject)
    assert not matches("cmd:train", subject)
    assert not matches("!cmd:train", subject)


def test_quotes_keep_a_field_from_being_one() -> None:
    subject = replace(ANN, command_line="env LR=0.1 http://host:80/x")
    assert matches('"LR=0.1"', subject)
    assert matches("'http://host:80'", subject)
    with pytest.raises(QueryError, match="LR"):
        compile_filter("LR=0.1")


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.name)
def test_the_examples_in_the_help_are_filters(field) -> None:  # type: ignore[no-untyped-def]
    compiled = compile_filter(field.example)
    assert len(compiled.terms) == 1
    assert not compiled(replace(NOBODY, pid=0))


@pytest.mark.parametrize(
    ("text", "position", "said"),
    [
        ("mem>", 4, "a size with its unit"),
        ("ann mem>10", 8, "a size with its unit"),
        ("mem>10Q", 4, "a size with its unit"),
        ("mem>10.", 4, "a size with its unit"),
        ("sm>x", 3, "a percentage"),
        ("threads>1%", 8, "a number"),
        ("time>2y", 5, "a time"),
        ("colour:red", 0, "Fields are user, gpu, pid"),
        (" !colour:red", 2, "Fields are user, gpu, pid"),
        ("user>ann", 0, "user takes : or ="),
        ("user:", 5, "a user's name"),
        ("user: ann", 5, "a user's name"),
        ("gpu:3-1", 4, "a range from low to high"),
        ("gpu:x", 4, "an index"),
        ("gpu:0,,x", 4, "an index"),
        ("pid:a", 4, "a process id"),
        ("type:x", 5, "compute"),
        ("state:q", 6, "running"),
        ("mine:", 5, "yes or no"),
        (">3", 0, "needs a field before it"),
        ("mem >3G >4", 8, "needs a field before it"),
        ("!", 0, "right behind it"),
        ("ann - bob", 4, "right behind it"),
        ('ann "bob', 4, "not closed"),
        ('cmd:"a b', 4, "not closed"),
        ("x" * 1001, 1000, "at most 1000"),
    ],
)
def test_what_cannot_be_meant_is_refused_where_it_stands(
    text: str, position: int, said: str
) -> None:
    with pytest.raises(QueryError) as caught:
        compile_filter(text)
    assert caught.value.position == position
    assert said in str(caught.value)
    assert str(caught.value).endswith(".")


PIECES = st.sampled_from(
    ["mem", "user", "gpu", "sm", "pid", "time", ":", "=", ">", "<=", "10G", "50%", "0-3", "ann",
     '"', "'", " ", "!", "-", ",", "GPU-aa", "9" * 400, "c", "yes", "²", "日本", "\x00"]
)  # fmt: skip
TEXTS = st.text(max_size=60) | st.lists(PIECES, max_size=12).map("".join)
AMOUNTS = st.builds(Amount, st.none() | st.floats(0, 1e13, allow_nan=False), st.booleans()).map(
    lambda amount: amount if amount.value is not None else Amount()
)
SUBJECTS = st.builds(
    Subject, pid=st.integers(0, 5000), name=st.none() | st.text(max_size=8),
    command_line=st.none() | st.text(max_size=20), user=st.none() | st.sampled_from(["ann", "bob"]),
    kinds=st.sampled_from(["", "C", "CG", "M"]), state=st.none() | st.sampled_from("RSDZ"),
    mine=st.none() | st.booleans(), memory=AMOUNTS, sm=AMOUNTS, cpu=AMOUNTS, host_memory=AMOUNTS,
    threads=AMOUNTS, running_s=AMOUNTS,
)  # fmt: skip


def compiled_or_none(text: str) -> Filter | None:
    try:
        return compile_filter(text)
    except QueryError:
        return None


@example("ann -", ANN)
@given(TEXTS, SUBJECTS)
def test_any_text_is_a_filter_or_a_query_error(text: str, subject: Subject) -> None:
    compiled = compiled_or_none(text)
    if compiled is not None:
        assert compiled(subject) in (True, False)
        assert compiled(subject) == all(term.holds(subject) for term in compiled.terms)


@given(TEXTS)
def test_what_is_refused_is_one_sentence_about_a_place_in_the_text(text: str) -> None:
    try:
        compile_filter(text)
    except QueryError as error:
        assert 0 <= error.position <= len(text)
        assert str(error).endswith(".")
        assert len(str(error)) < 400
        assert str(error) == clean(str(error))


@given(TEXTS, SUBJECTS, st.sampled_from(["", " ", "  \t"]))
def test_a_filter_keeps_its_text_and_reads_the_same_again(
    text: str, subject: Subject, blanks: str
) -> None:
    compiled = compiled_or_none(text)
    if compiled is not None:
        again = compile_filter(blanks + compiled.text + blanks)
        assert compiled.text == text
        assert len(again.terms) == len(compiled.terms)
        assert again(subject) == compiled(subject)


VALUES = {
    ":": st.text(st.characters(codec="utf-8", exclude_characters='"\n'), min_size=1, max_size=12),
    "=": st.sampled_from(["10G", "50%", "3", "1.5h", "ann", "c", "run", "yes"]),
}


@given(st.sampled_from(FIELDS), st.data(), SUBJECTS)
def test_a_quoted_value_is_taken_whole_whatever_is_in_it(field, data, subject) -> None:  # type: ignore[no-untyped-def]
    operator = data.draw(st.sampled_from(field.operators))
    value = data.draw(VALUES.get(operator, VALUES["="]))
    compiled = compiled_or_none(f'{field.name}{operator}"{value}"')
    assert compiled is None or len(compiled.terms) == 1
    if compiled is not None:
        assert not (compiled(subject) and compile_filter(f"!{compiled.text}")(subject))


@pytest.mark.parametrize(
    "piece", ["!", "-", "a:", 'a:"', "mem>", "mem  ", "'", "0-", ",", "<", " ", "9"]
)
def test_a_filter_of_the_greatest_length_is_answered(piece: str) -> None:
    """Of any length there may be, and on a command line of a megabyte."""
    text = (piece * LONGEST)[:LONGEST]
    compiled = compiled_or_none(text) or compile_filter("x")
    assert compiled(replace(ANN, command_line="ab " * 350_000)) in (True, False)


TERMS = st.sampled_from(
    ["ann", "python", "user:bob", "mem>1G", "mem<4G", "sm>=50", "cpu<100%", "threads=4",
     "type:c", "state:run", "mine:yes", "time>1h", "pid>100", "gpu:0", 'cmd:"a b"']
)  # fmt: skip
SIGNED = st.builds(str.__add__, st.sampled_from(["", "!", "-"]), TERMS)


@given(st.lists(SIGNED, max_size=4), st.lists(SIGNED, max_size=4), SUBJECTS)
def test_terms_side_by_side_must_all_hold(
    left: list[str], right: list[str], subject: Subject
) -> None:
    both = compile_filter(" ".join([*left, *right]))
    apart = [compile_filter(" ".join(terms)) for terms in (left, right)]
    assert both(subject) == all(part(subject) for part in apart)


@given(TERMS, SUBJECTS)
def test_a_term_and_its_negation_never_both_hold(term: str, subject: Subject) -> None:
    assert not (matches(term, subject) and matches(f"!{term}", subject))


@given(TERMS.filter(lambda term: term not in {"ann", "python"}))
def test_negation_is_complete_where_everything_is_known(term: str) -> None:
    assert matches(term) != matches(f"!{term}")

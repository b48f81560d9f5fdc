"""Changes to lines of JSON that leave them JSON, so that the fuzzer gets behind the decoder."""

from __future__ import annotations

import copy
import json
import random
from typing import Any

from tests.records import HOSTILE

NUMBERS = [0, -1, 1, 0.5, 101, 2**31, 2**32 - 1, 2**53, 2**63, 2**64, -(2**63), 10**30, 1e-320,
           1e18, 1e300, -1e300]  # fmt: skip
TEXTS = [*HOSTILE, "x" * 2000, "lost", "pending", "timed_out", "ok", "absent", "released"]
OTHERS = ["null", "true", "[]", "{}", "[[]]", "[0]", '{"a": "b"}']
"""JSON of values that mostly fit nowhere."""


def change(content: bytes, seed: int) -> bytes | None:
    """`content` with up to four values or keys of one line changed; None where no line is JSON."""
    chance = random.Random(seed)
    lines = content.split(b"\n")
    number = chance.choice([n for n, line in enumerate(lines) if line] or [0])
    try:
        document = json.loads(lines[number])
    except (ValueError, RecursionError):
        return None
    for _ in range(chance.choice((1, 1, 2, 4))):
        _change_one(document, chance)
    lines[number] = json.dumps(document).encode()
    if chance.random() < 0.2:
        lines.insert(number, lines[number])
    return b"\n".join(lines)


def _change_one(document: Any, chance: random.Random) -> None:
    """Walk down to somewhere and change what is there."""
    here = document
    while isinstance(here, dict | list) and here:
        keys = list(here) if isinstance(here, dict) else range(len(here))
        key = chance.choice(keys)
        inner = here[key]
        if isinstance(inner, dict | list) and inner and chance.random() < 0.8:
            here = inner
            continue
        if chance.random() < 0.15:
            del here[key]
        elif chance.random() < 0.2:
            here[key] = copy.deepcopy(here[chance.choice(keys)])
        else:
            here[key] = _another(inner, chance)
        return


def _another(value: Any, chance: random.Random) -> Any:
    """Mostly a value of the same kind, so that the line remains a record."""
    if chance.random() < 0.15:
        return json.loads(chance.choice(OTHERS))
    match value:
        case bool():
            return not value
        case int() | float():
            if abs(value) > 1e30 or chance.random() < 0.5:
                return chance.choice(NUMBERS)
            return chance.choice((-value, value * 1000, value + 1, 0))
        case str():
            return chance.choice(TEXTS)
        case list():
            return value * 2
        case _:
            return value

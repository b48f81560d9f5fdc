"""Random keys, clicks and sizes: the program neither dies nor leaves anything behind.

    python -m tests.monkey --seconds 120 --seed 1 --size 80x24
    python -m tests.monkey --seconds 120 -- replay FILE

It types at `gputop --demo`, or at what is given, which must send no signals: a monkey would. The
same seed types the same keys; what was typed last stands in the failure.
"""

from __future__ import annotations

import argparse
import random
import re
import signal
import tempfile
import time
from pathlib import Path

from tests.e2e.program import Gputop, environment
from tests.terminal import KEYS

LEAVES = {"q", "ctrl-c", "ctrl-q", "ctrl-z"}
"""What ends or stops the program, as it should."""
LETTERS = [chr(code) for code in range(33, 127) if chr(code) not in LEAVES]
NAMED = [name for name in KEYS if name not in LEAVES]
PASTE = "\x1b[200~[red]\n\x1b]52;c;Zg==\x07\x1b[201~"
ODD = ["é", "漢", "\u202e", "👩\u200d🚀", "\x1b[", "\x1b[?2026;9$y", PASTE]
"""What few people type: wide and invisible letters, half a sequence, a paste, an odd answer."""


def press(terminal: Gputop, chance: random.Random) -> str:
    """Do one thing to the terminal; returns what."""
    kind = chance.choices(("letter", "named", "odd", "click", "resize"), (50, 40, 2, 6, 2))[0]
    if kind == "resize":
        size = chance.randint(1, 250), chance.randint(1, 70)
        terminal.resize(*size)
        return f"resize{size}"
    if kind == "click":
        x, y = chance.randint(1, terminal.columns), chance.randint(1, terminal.rows)
        key = f"\x1b[<{chance.choice((0, 2, 35, 64, 65))};{x};{y}{chance.choice('Mm')}"
    else:
        key = chance.choice({"letter": LETTERS, "named": NAMED, "odd": ODD}[kind])
    terminal.type(key)
    return key


def play(arguments: list[str], size: tuple[int, int], seed: int, seconds: float) -> int:
    """Type at one program until the time is over or the monkey found the way out.

    Returns:
        How many keys it typed.

    Raises:
        AssertionError: the program died, or left a process, the terminal or an error behind.
    """
    chance = random.Random(seed)
    typed: list[str] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        variables = environment(folder, {}, 1.0) | {
            "GPUTOP_TRACEBACK": "1",
            "PYTHONFAULTHANDLER": "1",
        }
        terminal = Gputop(arguments, folder, variables, size=size)
        with terminal:
            terminal.wait_for(lambda t: 1049 in t.modes and t.text().strip())
            until = time.monotonic() + seconds
            while time.monotonic() < until and terminal.is_running:
                typed += [press(terminal, chance) for _ in range(chance.randint(1, 8))]
                time.sleep(chance.uniform(0, 0.1))  # as people do
            try:
                if terminal.is_running:
                    terminal.check_leaves("ctrl-c")
                assert terminal.exit_code() == 0, terminal.describe()
                assert terminal.is_restored(), terminal.describe()
                assert terminal.descendants() == []
                assert b"Traceback" not in terminal.raw, bytes(terminal.raw[-3000:]).decode()
            except AssertionError as problem:
                last = " ".join(map(repr, typed[-60:]))
                if terminal.is_running:  # it hangs: where, the fault handler says
                    terminal.signal(signal.SIGABRT)
                    terminal.exit_code()
                drawn = bytes(terminal.raw).decode(errors="replace")
                trace = drawn[re.search(r"Traceback|Fatal Python error|\Z", drawn).start() :]
                raise AssertionError(
                    f"{problem}\nseed {seed}, typed last: {last}\n{trace}"
                ) from None
    return len(typed)


def main() -> None:
    """Play until the time is over, with a new seed each time that the monkey has left."""
    parser = argparse.ArgumentParser(prog="python -m tests.monkey", description=__doc__)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--size", default="80x24")
    parser.add_argument("arguments", nargs="*", default=["--demo"])
    given = parser.parse_args()
    columns, rows = map(int, given.size.split("x"))
    seed, keys, until = given.seed, 0, time.monotonic() + given.seconds
    while (left := until - time.monotonic()) > 0:
        keys += play(given.arguments, (columns, rows), seed, left)
        seed += 1
    print(f"{keys} keys, {seed - given.seed} programs: all is well")


if __name__ == "__main__":
    main()

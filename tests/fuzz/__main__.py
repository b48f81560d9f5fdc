"""Fuzz what reads files and pipes: ``python -m tests.fuzz frames --seconds 600``.

It needs atheris (``pip install -e '.[test,fuzz]'``) and ends at the first input that breaks a
promise; the input is left in the working folder as ``crash-...``. Mend what it shows, and move the
file into a folder of the target's name under ``tests/fuzz/found/`` so that it stays mended.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

SLOWEST_S = 60
"""Seconds after which an input counts as one that hangs: a thousand times what it takes."""
MOST_MEMORY_MB = 1024
LONGEST_INPUT = 1 << 13


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("target", choices=("frames", "recordings", "settings"))
    parser.add_argument("--seconds", type=int, default=0, help="stop after so long")
    parser.add_argument("--runs", type=int, default=-1, help="stop after so many inputs")
    parser.add_argument("--corpus", help="a folder to keep what was worth keeping, for next time")
    args = parser.parse_args()
    try:
        import atheris
    except ImportError:
        sys.exit("atheris is not there; install it with pip install -e '.[test,fuzz]'.")
    with atheris.instrument_imports(include=["gputop", "tomllib"]):
        import tomllib  # noqa: F401  # the settings import it when they are read

        from tests.fuzz.mutate import change
        from tests.fuzz.targets import TARGETS
    target = TARGETS[args.target]

    def mutate(content: bytes, longest: int, seed: int) -> bytes:
        changed = change(content, seed) if seed % 4 else None
        if changed is None or len(changed) > longest:
            return atheris.Mutate(content, longest)
        return changed

    with tempfile.TemporaryDirectory() as temporary:
        corpus = Path(args.corpus or Path(temporary, "corpus"))
        corpus.mkdir(parents=True, exist_ok=True)
        for number, seed in enumerate(target.seeds()):
            (corpus / f"seed-{number}").write_bytes(seed)
        words = Path(temporary, "words")
        words.write_text("".join(f'"{_escaped(word)}"\n' for word in target.words))
        options = [
            f"-runs={args.runs}", f"-max_total_time={args.seconds}", f"-timeout={SLOWEST_S}",
            f"-rss_limit_mb={MOST_MEMORY_MB}", f"-max_len={LONGEST_INPUT}", f"-dict={words}",
            "-print_final_stats=1", str(corpus),
        ]  # fmt: skip
        mutator = {"custom_mutator": mutate} if target.lines_of_json else {}
        atheris.Setup([sys.argv[0], *options], target.check, **mutator)
        atheris.Fuzz()


def _escaped(word: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in word.encode())


if __name__ == "__main__":
    main()

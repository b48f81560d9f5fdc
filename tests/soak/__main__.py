"""`python -m tests.soak`: soak, print the curve, and say what is wrong with it."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from tests.soak import run


def main() -> int:
    """Run a soak; returns 1 where something is wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--hours", type=int, default=24, help="simulated hours (default: 24)")
    parser.add_argument("--interval", type=float, default=1.0, help="simulated seconds (1)")
    parser.add_argument("--draw-every", type=int, default=10, help="frames to a picture (10)")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write every figure")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="gputop-soak-") as folder:
        soak = run.Soak(Path(folder), args.hours, args.interval, args.draw_every)
        print(run.heading(), flush=True)
        soak.run(lambda sample: print(run.row(sample), flush=True))
    if args.json:
        hours = [asdict(sample) for sample in soak.samples]
        args.json.write_text(json.dumps(hours, indent=1) + "\n", encoding="utf-8")
    wrong = run.problems(soak.samples)
    print("\n".join(wrong) or "flat, and no warning lost")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

"""Measures this engine on this machine beside a raw baseline: ``python -m tests.benchmarks [--smoke] [--out FILE]``.

Exits with 0 whether or not the targets are met, for a loaded machine misses them too; 1 where a measurement could not
be taken.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from pathlib import Path

from engine.errors import VmdeckError
from tests.benchmarks import firecracker_loads, report
from tests.benchmarks.case import prepared
from tests.benchmarks.figure import Figure, Skipped
from tests.benchmarks.http_addition import served
from tests.benchmarks.raw import RawFailure
from tests.benchmarks.series import Bench, Counts
from tests.benchmarks.subject import NoOutputError, TimedEngine


async def measure(counts: Counts) -> list[Figure | Skipped]:
    """All figures; says what it does on stderr, and prints what they were measured on."""
    async with prepared() as (settings, case):
        for line in report.header(case):
            print(line, flush=True)
        engine = TimedEngine(settings)
        loads = await firecracker_loads.figures(settings, case, counts.loads, _say)
        async with engine, served(engine, settings) as endpoint:
            bench = Bench(engine, case, counts, _say)
            return [
                *await bench.restores(),
                *await bench.boots(),
                *await bench.clones(),
                *await bench.http(endpoint),
                *loads,
            ]


def _say(text: str) -> None:
    print(f"measuring {text}", file=sys.stderr, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="two samples of each: that it works, not how fast")
    parser.add_argument("--out", type=Path, default=Path("bench.json"), help="where the figures go (bench.json)")
    options = parser.parse_args()
    try:
        figures = asyncio.run(measure(Counts.smoke() if options.smoke else Counts()))
    except (VmdeckError, RawFailure, NoOutputError, OSError) as error:
        print(f"A measurement could not be taken: {error} {getattr(error, 'remedy', '')}".rstrip(), file=sys.stderr)
        return 1
    print()
    for line in report.table(figures):
        print(line)
    options.out.write_text(json.dumps([figure.entry() for figure in figures], indent=2) + "\n")
    print(f"\nThe same is in {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

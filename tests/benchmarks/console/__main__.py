"""Measures the console in a real pty: ``python -m tests.benchmarks.console [--smoke] [--out FILE]``.

Each figure is told and written as soon as it is there. Exits with 0 whether or not the targets are met, for a loaded
machine misses them too; 1 where a measurement could not be taken.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from engine.snapshots.manifest import host_cpu
from tests.benchmarks import report
from tests.benchmarks.console.series import ConsoleBench, Counts
from tests.benchmarks.figure import Figure


def _say(text: str) -> None:
    print(f"measuring {text}", file=sys.stderr, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.console", description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="few samples of each: that it works, not how fast")
    parser.add_argument("--out", type=Path, default=Path("bench-console.json"), help="where the figures go")
    options = parser.parse_args()
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"Host   {host_cpu()}, {os.cpu_count()} CPUs, Linux {os.uname().release}, load {load}", flush=True)
    print(report.heading(), flush=True)
    figures = list[Figure]()
    try:
        for figure in ConsoleBench(Counts.smoke() if options.smoke else Counts(), _say).figures():
            figures.append(figure)
            print(report.row(figure), flush=True)
            options.out.write_text(json.dumps([one.entry() for one in figures], indent=2) + "\n")
    except (AssertionError, OSError) as error:
        print(f"A measurement could not be taken: {error}", file=sys.stderr)
        return 1
    print()
    for figure in figures:
        print(f"{figure.name}: {figure.meaning}")
    print(f"\nThe same is in {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

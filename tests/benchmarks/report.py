"""The figures for people: what they were measured on, then a line for each."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from engine.snapshots.manifest import host_cpu
from tests.benchmarks.case import Case
from tests.benchmarks.figure import Figure, Skipped

_VERDICTS = {None: "", True: "met", False: "MISSED"}


def header(case: Case) -> Iterator[str]:
    choice, machine = case.choice, case.saved.spec
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    yield f"Host   {host_cpu()}, {os.cpu_count()} CPUs, Linux {os.uname().release}, load {load}"
    yield f"VMM    {choice.vmm} {choice.version}, {choice.accelerator}: {choice.reason}"
    yield f"Guest  {machine.memory_mib} MiB, {machine.vcpus} CPU, kernel {case.kernel}"


def table(figures: Sequence[Figure | Skipped]) -> Iterator[str]:
    yield heading()
    yield from map(row, figures)
    yield ""
    for figure in figures:
        yield f"{figure.name}: {figure.meaning}"


def heading() -> str:
    return f"{'figure':<28} {'unit':<10} {'n':>3} {'median':>9} {'p95':>9} {'raw':>9} {'ratio':>6}  target"


def row(figure: Figure | Skipped) -> str:
    if isinstance(figure, Skipped):
        return f"{figure.name:<28} {figure.unit:<10}   0  not measured: {figure.reason}"
    base = "" if figure.baseline_median is None else f"{figure.baseline_median:.1f}"
    ratio = "" if figure.ratio is None else f"{figure.ratio:.2f}"
    target = "" if figure.target is None else f"{figure.target}  {_VERDICTS[figure.met]}"
    return (
        f"{figure.name:<28} {figure.unit:<10} {len(figure.samples):>3} {figure.median:>9.1f} {figure.p95:>9.1f} "
        f"{base:>9} {ratio:>6}  {target}"
    ).rstrip()

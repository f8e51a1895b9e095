"""All measurements of the console, each on a real pty against an engine of its own process."""

from __future__ import annotations

import itertools
import os
import re
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.benchmarks.console.busy_engine import STAMP, STAMP_WRAPS_MS
from tests.benchmarks.console.sessions import busy_engine, console
from tests.benchmarks.figure import Figure, Target
from tests.terminal import Link, TerminalProgram

TICK_S = 2.0
SIZES = {"80x24": ((80, 24), 4096), "200x50": ((200, 50), 10240)}  # columns and rows; bytes that a tick may take
FLEETS = (20, 50, 500)
SLOW = Link(bytes_s=30 * 1024)
STALL_S = 10.0
CURSOR = "▸"
_GOING = "◐"
_KEY_EVERY_S = 0.15
_STAMP = re.compile(rf"{STAMP}([0-9a-f]{{7}})")


@dataclass(frozen=True, slots=True)
class Counts:
    """How often, and for how long."""

    starts: int = 8
    ticks: int = 15
    keys: int = 60
    stall_s: float = STALL_S
    slow_s: float = 40
    fast_ticks: int = 10_000
    tick_s: float = TICK_S

    @property
    def own_tick_s(self) -> float | None:
        """None for the console's own pace."""
        return None if self.tick_s == TICK_S else self.tick_s

    @classmethod
    def smoke(cls) -> Counts:
        return cls(starts=2, ticks=2, keys=5, stall_s=1.5, slow_s=4, fast_ticks=60, tick_s=0.25)


@dataclass(frozen=True, slots=True)
class ConsoleBench:
    counts: Counts
    say: Callable[[str], None]

    def figures(self) -> Iterator[Figure]:
        yield from self.first_paint()
        yield self.idle()
        for vms, size in itertools.product(FLEETS, SIZES):
            yield from self.ticks(vms, size)
        yield from self.keys()
        yield self.keys_in_a_flood()
        yield from self.slow_link()
        yield self.memory()

    # --- start

    def first_paint(self) -> Iterator[Figure]:
        self.say(f"first paint, {self.counts.starts} times")
        paints, pythons = list[float](), list[float]()
        with busy_engine(20) as (socket, _):
            for _ in range(self.counts.starts):
                began = time.monotonic()
                subprocess.run([sys.executable, "-c", "pass"], check=True)
                pythons.append((time.monotonic() - began) * 1000)
                with console(socket) as program:
                    program.sees("Overview")
                    paints.append((time.monotonic() - program.started) * 1000 - pythons[-1])
        meaning = "start of the process to the first paint, without the interpreter's own start (the baseline)"
        yield Figure("first_paint", "ms", meaning, paints, pythons, Target(400))

    # --- steady state

    def idle(self) -> Figure:
        self.say("bytes while nothing changes")
        with busy_engine(0) as (socket, _), console(socket, tick_s=self.counts.own_tick_s) as program:
            _show_vms(program, "No VM is alive")
            program.watch(2 * self.counts.tick_s)
            per_tick = [float(_size(program, self.counts.tick_s)) for _ in range(self.counts.ticks)]
        return Figure(
            "idle_bytes",
            "bytes/tick",
            "sent to the terminal while nothing changes",
            per_tick,
            target=Target(0, of_p95=True),
        )

    def ticks(self, vms: int, size: str) -> Iterator[Figure]:
        self.say(f"ticks with {vms} VMs at {size}")
        shape, bound = SIZES[size]
        per_tick, cpu = list[float](), list[float]()
        with busy_engine(vms) as (socket, _), console(socket, size=shape, tick_s=self.counts.own_tick_s) as program:
            _show_vms(program, STAMP)
            program.watch(2 * self.counts.tick_s)
            for _ in range(self.counts.ticks):
                before, began = program.cpu_s, time.monotonic()
                per_tick.append(float(_size(program, self.counts.tick_s)))
                cpu.append(100 * (program.cpu_s - before) / (time.monotonic() - began))
        changing = f"{vms} VMs of which 30% change each tick of {self.counts.tick_s:g} s, 256 colours, {size}"
        yield Figure(f"tick_bytes_{vms}_{size}", "bytes/tick", changing, per_tick, target=Target(bound))
        yield Figure(f"tick_cpu_{vms}_{size}", "% of core", changing, [statistics.mean(cpu)], target=Target(3))

    # --- keys

    def keys(self) -> Iterator[Figure]:
        self.say(f"keys, {self.counts.keys} times")
        with busy_engine(50) as (socket, pid), console(socket) as program:
            _show_vms(program, STAMP)
            live = list(itertools.islice(_key_times(program), self.counts.keys))
            yield _p95("key_to_paint", "cursor key to the moved cursor, 50 VMs changing", live, 60)
            self.say(f"keys while the engine stands still for {self.counts.stall_s:g} s")
            os.kill(pid, signal.SIGSTOP)
            try:
                end = time.monotonic() + self.counts.stall_s
                stalled = list(itertools.takewhile(lambda _: time.monotonic() < end, _key_times(program)))
            finally:
                os.kill(pid, signal.SIGCONT)
            meaning = f"the same while the engine's process stands still for {self.counts.stall_s:g} s"
            yield _p95("key_to_paint_stalled", meaning, stalled, 60)

    def keys_in_a_flood(self) -> Figure:
        """Letters typed into the editor while code that it shows floods its output; floods until there are enough."""
        self.say(f"keys while output floods, {self.counts.keys} times")
        typed = list[float]()
        with busy_engine(0) as (socket, _), console(socket, size=(120, 36)) as program:
            program.sees("Overview")
            program.type("5")
            program.sees("import platform")
            program.type("qz")
            program.sees("qz")
            while len(typed) < self.counts.keys:
                program.type(b"\x12")  # ctrl+r
                program.sees(_GOING)
                typed += _typing_times(program)
                program.sees("✓ success")
        return _p95("key_to_paint_flood", "letter to its paint while a run's output floods, 200 MB each", typed, 60)

    # --- weeks in tmux

    def memory(self) -> Figure:
        ticks = self.counts.fast_ticks
        self.say(f"memory over {ticks} ticks")
        with busy_engine(50) as (socket, _), console(socket, tick_s=0.001) as program:
            _show_vms(program, STAMP)
            program.watch(0, every_s=0)
            self._after(program, ticks // 10)
            before = program.resident_bytes
            self._after(program, ticks - ticks // 10)
            grown = (program.resident_bytes - before) / 1024 / 1024
        meaning = f"resident memory of the console after {ticks} ticks, more than after the first tenth of them"
        return Figure("memory_growth", "MiB", meaning, [grown], target=Target(2))

    def _after(self, program: TerminalProgram, ticks: int) -> None:
        """Each tick shows a new stamp, so as many stamps are as many ticks at least."""
        seen = 0
        last = _stamp(program)
        while seen < ticks:
            program.watch(0, every_s=0.002)
            if (now := _stamp(program)) != last:
                seen, last = seen + 1, now

    # --- a slow line

    def slow_link(self) -> Iterator[Figure]:
        self.say(f"a link of 30 KB/s for {self.counts.slow_s:g} s")
        ages, keys = list[float](), list[float]()
        with busy_engine(50) as (socket, _), console(socket, size=SIZES["200x50"][0], link=SLOW) as program:
            program.sees("Overview", 60)
            _show_vms(program, STAMP, 60)

            def note_age() -> None:
                if (stamp := _stamp(program)) is not None:
                    ages.append(_age_s(stamp))

            program.watch(self.counts.slow_s, note_age, 0.1)
            keys = list(itertools.islice(_key_times(program), max(3, self.counts.keys // 4)))
        yield _p95("slow_link_age", "age of what is on screen, 200x50, 50 VMs, 30 KB/s", ages, 2 * TICK_S, unit="s")
        yield _p95("slow_link_key", "cursor key to the moved cursor on that link", keys, 2000)


def _show_vms(program: TerminalProgram, sign: str, deadline_s: float = 20) -> None:
    program.sees("Overview", deadline_s)
    program.type("2")
    program.sees(sign, deadline_s)


def _size(program: TerminalProgram, seconds: float) -> int:
    return sum(len(piece.data) for piece in program.watch(seconds))


def _stamp(program: TerminalProgram) -> int | None:
    """When the engine gave what is on screen."""
    found = _STAMP.search(program.text)
    return int(found[1], 16) if found else None


def _age_s(stamp: int) -> float:
    return (round(time.monotonic() * 1000) - stamp) % STAMP_WRAPS_MS / 1000


def _cursor_row(program: TerminalProgram) -> int | None:
    return next((row for row, line in enumerate(program.screen.display) if line.startswith(CURSOR)), None)


def _key_times(program: TerminalProgram) -> Iterator[float]:
    """Milliseconds from a key to the cursor's new place on screen, again and again."""
    for key in itertools.cycle("jk"):
        program.look()
        before, began = _cursor_row(program), time.monotonic()
        program.type(key)
        program.until(lambda before=before: _cursor_row(program) != before, 60, "the cursor moved")
        yield (time.monotonic() - began) * 1000
        program.watch(_KEY_EVERY_S)


def _typing_times(program: TerminalProgram) -> Iterator[float]:
    """Milliseconds from a letter after "qz", or its deletion, to the paint of it, as long as a run goes on."""
    while _GOING in program.text:
        typed = "qzx" in program.text
        began = time.monotonic()
        program.type("\x7f" if typed else "x")
        program.until(lambda typed=typed: ("qzx" in program.text) is not typed, 60, "the letter")
        yield (time.monotonic() - began) * 1000
        program.watch(0.03)


def _p95(name: str, meaning: str, samples: list[float], bound: float, unit: str = "ms") -> Figure:
    return Figure(name, unit, meaning, samples, target=Target(bound, of_p95=True))

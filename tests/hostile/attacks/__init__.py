"""Hostile programs, as data: each with the only outcome that is true for it. One file per thing attacked."""

from __future__ import annotations

from tests.hostile.attacks import exhaustion, kernel, lifetime, names, output, walls
from tests.hostile.attacks.attack import Attack

ATTACKS: tuple[Attack, ...] = (
    *exhaustion.ATTACKS,
    *kernel.ATTACKS,
    *lifetime.ATTACKS,
    *names.ATTACKS,
    *output.ATTACKS,
    *walls.ATTACKS,
)

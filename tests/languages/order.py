"""In which order languages are proven, and which are small enough for a test at every change."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping

from engine.languages.catalogue import Recipe
from engine.languages.proofs import LanguageProof, standing

SMALL_BYTES = 120_000_000  # of the image on disk; the base system alone takes about 60


def smallest_first(recipes: Iterable[Recipe], proofs: Mapping[str, LanguageProof]) -> list[Recipe]:
    """A run that is ended early has then proven the most. Those of unknown size are last, by the memory they need."""

    def size(recipe: Recipe) -> tuple[bool, int]:
        proof = proofs.get(recipe.id)
        known = proof.image_bytes if proof else None
        return (False, known) if known else (True, recipe.memory_mib or 0)

    return sorted(recipes, key=size)


def sample(recipes: Iterable[Recipe], proofs: Mapping[str, LanguageProof], *, seed: str, count: int) -> list[Recipe]:
    """``count`` of those that were proven with a small image: others for every seed, the same for the same."""
    small = [
        recipe for recipe in recipes if (proof := standing(recipe, proofs)) and (proof.image_bytes or 0) <= SMALL_BYTES
    ]
    return random.Random(seed).sample(small, min(count, len(small)))  # noqa: S311 - nothing secret is chosen

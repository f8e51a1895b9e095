"""Which languages have run all their examples in a real microVM, and what it took: proofs.json, one entry for each.

`./taskw test:languages` writes it. An entry counts for the row that it was made with: once a row's commands, packages
or examples change, its language is unproven until it has run again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from engine.languages.catalogue import Recipe
from engine.whole_file import write_whole

SHIPPED = Path(__file__).with_name("proofs.json")
# What a reader sees of a language, and where else it can be had: a proof stands without them.
_NOT_RUN = {"title", "aliases", "category", "syntax", "example", "docker", "version", "lacks"}


class LanguageProof(BaseModel):
    """How one language did, and what it took. Measured of what ran; an unproven one has a problem instead."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    row: str = Field(description="digest of the row that ran")
    date: datetime
    vmm: str = Field(description="with its version and accelerator")
    problem: str | None = Field(default=None, description="what failed, None where all examples did as they should")
    version: str | None = Field(default=None, description="what the language's tool says of itself")
    image_bytes: int | None = Field(default=None, description="what the image takes on disk")
    build_s: float | None = None
    cold_ms: float | None = Field(default=None, description="request to first output of hello, by a boot")
    warm_ms: float | None = Field(default=None, description="the same from a snapshot")
    peak_memory_bytes: int | None = Field(default=None, description="most memory that one of the examples used")


Proofs = dict[str, LanguageProof]
_PROOFS = TypeAdapter(Proofs)


def row_digest(recipe: Recipe) -> str:
    """Of all in a row that its examples ran with."""
    row = recipe.model_dump_json(exclude=_NOT_RUN, exclude_defaults=True)
    return hashlib.sha256(row.encode()).hexdigest()[:16]


def read_proofs(path: Path = SHIPPED) -> Proofs:
    """By id of the language; none where the file is not there. Raises ValueError for one that is not as we write it."""
    return _PROOFS.validate_json(path.read_bytes()) if path.exists() else {}


def write_proof(language: str, proof: LanguageProof, path: Path = SHIPPED) -> None:
    """Take ``proof`` in place of an earlier one of that language; all others stay."""
    proofs = {**read_proofs(path), language: proof}
    ordered = {name: proofs[name] for name in sorted(proofs)}
    write_whole(path, _PROOFS.dump_json(ordered, indent=2, exclude_none=True) + b"\n", 0o644)


def standing(recipe: Recipe, proofs: Mapping[str, LanguageProof]) -> LanguageProof | None:
    """The proof of a language as its row is now; None where there is none, or its examples failed."""
    proof = proofs.get(recipe.id)
    if proof is None or proof.problem is not None or proof.row != row_digest(recipe):
        return None
    return proof

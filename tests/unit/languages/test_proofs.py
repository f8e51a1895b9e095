"""A proof is of a row as it was, and a run of some languages leaves those of others as they are."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from engine.languages.catalogue import Catalogue, Recipe
from engine.languages.proofs import LanguageProof, read_proofs, row_digest, standing, write_proof
from engine.languages.table import proof_table
from tests.languages.order import SMALL_BYTES, sample, smallest_first

CATALOGUE = Catalogue.load()
LUA, JAVA, C = (CATALOGUE.recipe(name) for name in ("lua", "java", "c"))


def proof(recipe: Recipe, **fields: object) -> LanguageProof:
    when = datetime(2026, 11, 23, tzinfo=UTC)
    return LanguageProof.model_validate({"row": row_digest(recipe), "date": when, "vmm": "qemu 7.2 (tcg)", **fields})


@pytest.mark.parametrize("change", [{"run": ("lua",)}, {"expect": "Hi\n"}, {"pypi": ("lupa==2.0",)}])
def test_a_changed_row_is_unproven(change: dict[str, object]) -> None:
    assert standing(LUA.model_copy(update=change), {"lua": proof(LUA)}) is None


@pytest.mark.parametrize("change", [{"title": "Moon"}, {"aliases": ("moon",)}, {"example": "print(1)"}])
def test_what_only_a_reader_sees_leaves_a_proof_standing(change: dict[str, object]) -> None:
    assert standing(LUA.model_copy(update=change), {"lua": proof(LUA)}) == proof(LUA)


def test_a_failure_proves_nothing_and_is_not_in_the_table() -> None:
    failed = {"lua": proof(LUA, problem="hello was to print")}
    assert standing(LUA, failed) is None
    assert list(proof_table([LUA], failed))[-1] == "\n0 languages are proven."


def test_a_later_run_keeps_what_it_did_not_prove(tmp_path: Path) -> None:
    path = tmp_path / "proofs.json"
    write_proof("lua", proof(LUA, cold_ms=5000.0), path)
    write_proof("java", proof(JAVA), path)
    write_proof("java", proof(JAVA, problem="no"), path)
    assert read_proofs(path) == {"java": proof(JAVA, problem="no"), "lua": proof(LUA, cold_ms=5000.0)}


def test_no_file_is_no_proof(tmp_path: Path) -> None:
    assert read_proofs(tmp_path / "none.json") == {}


def test_what_is_shipped_is_of_languages_that_there_are() -> None:
    assert set(read_proofs()) <= {row.id for row in CATALOGUE}


def test_small_languages_come_first() -> None:
    proofs = {"lua": proof(LUA, image_bytes=1), "java": proof(JAVA, image_bytes=2)}
    assert smallest_first([C, JAVA, LUA], proofs) == [LUA, JAVA, C]
    assert smallest_first([JAVA, C], {}) == [C, JAVA]


def test_a_sample_is_of_small_proven_languages_and_changes() -> None:
    proofs = {row.id: proof(row, image_bytes=SMALL_BYTES) for row in CATALOGUE if row.id != "lua"}
    proofs["java"] = proof(JAVA, image_bytes=SMALL_BYTES + 1)
    samples = [sample(CATALOGUE, proofs, seed=str(day), count=4) for day in range(30)]
    assert samples[0] == sample(CATALOGUE, proofs, seed="0", count=4)
    drawn = {row.id for each in samples for row in each}
    assert len(drawn) > 20
    assert drawn.isdisjoint({"lua", "java"})

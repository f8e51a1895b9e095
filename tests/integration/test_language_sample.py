"""Four small languages, others every day, are built and run all their examples in real microVMs.

`./taskw test:languages` does that with every language; what it says of a language is said here once more of some.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from engine.engine import Engine
from engine.languages.catalogue import Catalogue, Recipe
from engine.languages.proofs import read_proofs
from engine.settings import Settings
from tests.languages.building import why_not_built
from tests.languages.grounds import made_grounds
from tests.languages.order import sample
from tests.languages.proof import prove

TODAY = f"{datetime.now(UTC):%Y-%m-%d}"
SAMPLE = sample((row for row in Catalogue.load() if not why_not_built(row)), read_proofs(), seed=TODAY, count=4)


@pytest.fixture(scope="module")
def grounds(prepared: Settings) -> Iterator[Settings]:
    """Of all, so that packages that they share are downloaded once."""
    with made_grounds(prepared, jobs=1) as settings:
        yield settings


@pytest.mark.vm
@pytest.mark.parametrize("row", SAMPLE, ids=lambda row: row.id)
async def test_a_language_of_todays_sample_does_all_that_its_row_says(grounds: Settings, row: Recipe) -> None:
    print(f"sample of {TODAY}: {' '.join(each.id for each in SAMPLE)}")
    async with Engine(grounds) as engine:
        proof = await prove(engine, row)
        assert proof.problem is None
        assert (await engine.images(), await engine.snapshots()) == ([], [])

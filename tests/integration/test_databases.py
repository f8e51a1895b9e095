"""The real databases of the catalogue, as far as their images are here: each clone has data, time and luck of its own.

Their examples are proven by ./taskw test:languages.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import pytest

from engine.engine import Engine
from engine.models import CreateSnapshotRequest, JobState
from engine.rootfs.store import ImageStore
from engine.settings import Settings
from tests.lab import made_lab
from tests.running import run_code

pytestmark = [pytest.mark.vm, pytest.mark.nightly]


@dataclass(frozen=True)
class Database:
    """Snippets. ``gone`` is said by ``read`` where nothing was written; none to ``draw`` where clones draw the same."""

    language: str
    write: str
    read: str
    gone: str
    clock: str
    draw: str | None


DATABASES = (
    Database(
        "mysql",
        "CREATE TABLE mine (x INT); INSERT INTO mine VALUES (7); SELECT x FROM mine;",
        "SELECT x FROM mine;",
        "Table 'main.mine' doesn't exist",
        "SELECT UNIX_TIMESTAMP();",
        "SELECT RAND(), UUID();",
    ),
    Database(
        "postgresql",
        "CREATE TABLE mine (x int); INSERT INTO mine VALUES (7); SELECT x FROM mine;",
        "SELECT x FROM mine;",
        'relation "mine" does not exist',
        "\\pset tuples_only\nSELECT extract(epoch FROM now())::bigint;",
        "SELECT random(), gen_random_uuid();",
    ),
    Database("redis", "SET mine 7\nGET mine", "EXISTS mine", "0", "TIME", None),
)


@pytest.fixture(scope="module", params=DATABASES, ids=lambda database: database.language)
def database(request: pytest.FixtureRequest, prepared: Settings) -> Database:
    found: Database = request.param
    if found.language not in {image.name for image in ImageStore(prepared).list() if image.problem is None}:
        pytest.skip(f"no image {found.language!r} (make it: vmdeck rootfs build {found.language})")
    return found


async def _make_snapshot(lab: Settings, language: str) -> None:
    async with Engine(lab) as engine:
        job = await engine.create_snapshot(CreateSnapshotRequest(language=language))
        async for event in engine.job_events(job.id):
            job = event.job
        assert job.state is JobState.DONE, job.error


@pytest.fixture(scope="module")
def database_lab(prepared: Settings, database: Database) -> Iterator[Settings]:
    with made_lab(prepared) as lab:
        asyncio.run(_make_snapshot(lab, database.language))
        yield lab


@pytest.fixture
async def engine(database_lab: Settings) -> AsyncIterator[Engine]:
    async with Engine(database_lab) as engine:
        yield engine


async def test_what_one_clone_writes_the_other_does_not_see(engine: Engine, database: Database) -> None:
    writer, reader = await asyncio.gather(
        run_code(engine, database.language, database.write, boot="snapshot"),
        run_code(engine, database.language, database.read, boot="snapshot"),
    )
    assert writer.status == "success", writer.stderr
    assert "7" in writer.stdout
    assert database.gone in reader.stdout + (reader.stderr or "")


async def test_a_clone_has_the_right_time(engine: Engine, database: Database) -> None:
    result = await run_code(engine, database.language, database.clock, boot="snapshot")
    said = next(int(word) for word in result.stdout.split() if word.isdigit())
    assert abs(said - time.time()) < 10


async def test_clones_do_not_draw_the_same(engine: Engine, database: Database) -> None:
    if database.draw is None:
        pytest.skip("the catalogue's client has no way to seed this server anew: docs/security.md")
    results = [await run_code(engine, database.language, database.draw, boot="snapshot") for _ in range(2)]
    drawn = [line.split() for result in results for line in result.stdout.splitlines() if "." in line]
    assert len(drawn) == 2
    assert not set(drawn[0]).intersection(drawn[1]) - {"|"}


async def test_a_cold_boot_starts_the_server_too(engine: Engine, database: Database) -> None:
    result = await run_code(engine, database.language, database.write, boot="cold")
    assert (result.status, result.boot) == ("success", "cold"), result.stderr

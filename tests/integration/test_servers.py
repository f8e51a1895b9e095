"""A language's server runs in the cell before the code does, from a cold boot and from a snapshot, and is none of the
run's own: neither its output, nor what it takes, nor its data in another clone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from pathlib import Path

import pytest

from engine.engine import Engine
from engine.errors import NotReadyError
from engine.models import BootMode, CreateSnapshotRequest, Job, JobState, RunRequest, RunResult
from engine.settings import Settings
from tests.hostile.remains import remains
from tests.integration.served import LANGUAGE, SERVER, catalogue
from tests.lab import made_lab
from tests.running import run_code

pytestmark = pytest.mark.vm
MIB = 1024 * 1024


def lay_catalogue(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "languages.toml").write_text(text)
    monkeypatch.setenv("VMDECK_CONFIG_DIR", str(folder))


async def snapshot_job(lab: Settings) -> Job:
    async with Engine(lab) as engine:
        job = await engine.create_snapshot(CreateSnapshotRequest(language=LANGUAGE))
        async for event in engine.job_events(job.id):
            job = event.job
        return job


@pytest.fixture(scope="module")
def served_lab(prepared: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """With a snapshot whose server runs."""
    with made_lab(prepared) as lab, pytest.MonkeyPatch.context() as monkeypatch:
        lay_catalogue(tmp_path_factory.mktemp("config"), monkeypatch, catalogue())
        job = asyncio.run(snapshot_job(lab))
        assert job.state is JobState.DONE, job.error
        yield lab


@pytest.fixture
async def served(served_lab: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Engine]:
    lay_catalogue(tmp_path / "own", monkeypatch, catalogue())
    async with Engine(served_lab) as engine:
        yield engine
    assert remains(served_lab) == []


async def ask(engine: Engine, *lines: str, boot: BootMode = "snapshot", **fields: object) -> RunResult:
    return await run_code(engine, LANGUAGE, "\n".join(lines), boot=boot, **fields)


async def test_the_server_answers_the_code_as_the_user_that_the_code_is(served: Engine, any_boot: BootMode) -> None:
    result = await ask(served, "6 * 7", "os.getuid()", "os.path.exists('/proc/1')", boot=any_boot)
    assert (result.status, result.stdout) == ("success", "42\n65534\nFalse\n")
    assert result.boot == any_boot


async def test_a_snapshot_says_that_a_server_runs_in_it(served: Engine) -> None:
    (snapshot,) = [each for each in await served.snapshots() if each.language == LANGUAGE]
    assert (snapshot.warm, snapshot.fits) == ("server", True)
    assert (await served.verify_snapshot(snapshot.name)).ok


async def test_what_one_clone_writes_the_other_does_not_see_and_both_have_the_time(served: Engine) -> None:
    write = "names.update(mine=1, file=open('/tmp/mine', 'w')), os.path.exists('/tmp/mine')"
    first = await ask(served, write, "names.get('mine'), time.time()")
    other = await ask(served, "names.get('mine'), os.path.exists('/tmp/mine')", "time.time()")
    assert first.stdout.splitlines()[0] == "(None, True)"
    assert first.stdout.splitlines()[1].startswith("(1, ")
    seen, clock = other.stdout.splitlines()
    assert seen == "(None, False)"
    assert abs(float(clock) - time.time()) < 10


async def test_the_start_of_the_server_is_none_of_the_runs_time(
    lab: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = f"import time\nbegan = time.monotonic()\ntime.sleep(3)\n{SERVER}"
    lay_catalogue(tmp_path / "own", monkeypatch, catalogue(slow))
    async with Engine(lab) as engine:
        result = await ask(engine, "time.monotonic() - began", boot="cold")
    assert result.exec_time_ms < float(result.stdout) * 1000
    assert result.timings.restore > 3000


async def test_the_servers_output_is_not_the_runs_and_never_stops_it(
    lab: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flood = "import os, threading\ndef flood():\n while True: os.write(1, b'x' * 65536); os.write(2, b'y' * 65536)\n"
    lay_catalogue(tmp_path / "own", monkeypatch, catalogue(f"{flood}threading.Thread(target=flood).start()\n{SERVER}"))
    async with Engine(lab) as engine:
        result = await ask(engine, "6 * 7", boot="cold")
    assert (result.status, result.stdout, result.stderr) == ("success", "42\n", None)


async def test_what_the_server_takes_is_not_counted_as_the_codes(
    lab: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    big = f"""
import threading, time
held = bytearray(40 << 20)
with open("/tmp/file", "wb") as file:
    file.write(bytes(24 << 20))
for _ in range(40):
    threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
{SERVER}"""
    lay_catalogue(tmp_path / "own", monkeypatch, catalogue(big))
    limits = {"memory_mib": 24, "pids": 4, "tmpfs_mib": 8}
    more = "open('/tmp/more', 'wb').write(bytes(9 << 20))"
    async with Engine(lab) as engine:
        result = await ask(engine, "len(held)", "threading.active_count()", more, boot="cold", limits=limits)
    assert result.stdout == f"{40 * MIB}\n41\n"
    assert result.usage.peak_memory_bytes < 24 * MIB
    assert result.status == "failed"  # by the file that is more than the code's share


async def test_what_the_server_computes_for_the_code_counts_as_its_cpu_time(served: Engine) -> None:
    spin = "any(iter(lambda: time.process_time() > 1000, True))"
    result = await ask(served, spin, timeout=60, limits={"cpu_s": 2})
    assert result.status == "timeout"
    assert result.exec_time_ms < 30_000
    assert result.usage.cpu_ms >= 2000


async def test_a_server_that_never_answers_the_code_does_not_hold_the_run(served: Engine) -> None:
    result = await ask(served, "time.sleep(1000)", timeout=2)
    assert (result.status, result.exit_code) == ("timeout", 124)


async def test_memory_that_the_server_takes_for_the_code_ends_the_run_as_its_own_would(served: Engine) -> None:
    result = await ask(served, "len([bytes(1) * (1 << 20) for _ in range(4000)])", "1")
    assert (result.status, result.exit_code) == ("memory_limit", 137)


async def test_code_that_ends_its_server_has_only_itself_to_blame(served: Engine) -> None:
    result = await ask(served, "os.kill(os.getpid(), 9)", "1")
    assert (result.status, result.stdout) == ("failed", "")
    assert "the server said nothing" in (result.stderr or "")


async def test_a_server_that_ends_at_once_is_told_with_its_last_words(
    lab: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay_catalogue(tmp_path / "own", monkeypatch, catalogue("import sys; sys.exit('no such \\x1b[31m disk')"))
    async with Engine(lab) as engine:
        with pytest.raises(NotReadyError) as refused:
            await ask(engine, "1", boot="cold")
    assert "it ended with code 1; the end of its output: no such \\x1b[31m disk" in refused.value.message
    assert remains(lab) == []


async def test_a_run_that_is_given_up_while_the_server_starts_leaves_nothing(
    lab: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay_catalogue(tmp_path / "own", monkeypatch, catalogue(ready="raise SystemExit('not yet')"))
    async with Engine(lab) as engine:
        async with aclosing(engine.stream(RunRequest(language=LANGUAGE, code="1", boot="cold"))) as events:
            async for event in events:
                if event.text == "starting server":
                    break
        assert remains(lab) == []


async def test_a_language_whose_server_ends_gets_no_snapshot(
    lab: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay_catalogue(tmp_path / "own", monkeypatch, catalogue("print('not today')"))
    job = await snapshot_job(lab)
    assert job.state is JobState.FAILED
    assert "not today" in str(job.error)
    assert [folder.name for folder in lab.snapshots_dir.iterdir() if LANGUAGE in folder.name] == []


async def test_a_snapshot_without_the_server_that_the_language_has_now_does_not_serve(
    served_lab: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without = catalogue().partition(f"[{LANGUAGE}.server]")[0].replace('"server"', '"pagecache"')
    lay_catalogue(tmp_path / "own", monkeypatch, without)
    async with Engine(served_lab) as engine:
        (snapshot,) = [each for each in await engine.snapshots() if each.language == LANGUAGE]
        assert snapshot.problem == "Served has no server any more"


@pytest.mark.nightly
async def test_a_server_that_gets_never_ready_ends_at_the_deadline(
    prepared: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay_catalogue(tmp_path / "own", monkeypatch, catalogue(ready="raise SystemExit('not yet')"))
    with made_lab(prepared, boot_deadline_s=40) as lab:
        async with Engine(lab) as engine:
            with pytest.raises(NotReadyError, match=r"it did not answer within 40 s; .*not yet"):
                await ask(engine, "1", boot="cold")
        assert remains(lab) == []

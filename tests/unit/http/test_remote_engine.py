"""RemoteEngine against a real server on a real socket: the same calls, the same answers, the same errors."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from engine.api import EngineApi
from engine.client import RemoteEngine
from engine.errors import (
    BusyError,
    ConflictError,
    ForbiddenError,
    GuestProtocolError,
    InputError,
    InternalError,
    NotFoundError,
    NotReadyError,
    OutcomeUnknownError,
    SnapshotMismatchError,
    VmdeckError,
)
from engine.http.server import serve_socket
from engine.models import (
    BuildImageRequest,
    BuildLanguageRequest,
    CreateSnapshotRequest,
    DockerImageRequest,
    Job,
    JobEvent,
    JobState,
    PruneRequest,
    RemotePlace,
    RunQuery,
    RunRequest,
    SetupOptions,
    SourceFile,
)
from engine.settings import Settings
from tests.unit.fake_engine import BROKEN, NOON, SLOW, FakeEngine, raising

RICH_RUN = RunRequest(
    language="echo",
    code="one\ntwo\n",
    files=(SourceFile(path="a/b.txt", content="x"),),
    args=("--flag", "ü"),
    stdin="in\n",
    env={"STDERR": "oops\n", "EXIT": "3"},
    timeout=2.5,
    memory_mib=128,
    vcpus=1,
    boot="snapshot",
    snapshot="python-256",
    kernel="/boot/vmlinuz",
)
BATCH = RunRequest(language="echo", code="a\n", stdin=("first\n", "second\n"))


async def events_of(api: EngineApi, request: RunRequest) -> list[object]:
    return [event async for event in api.stream(request)]


async def whole_job(api: EngineApi) -> list[object]:
    job = await api.build_image(BuildImageRequest(name="new", packages=("bash",)))
    return [job, *[event async for event in api.job_events(job.id)]]


OPTIONS = SetupOptions(skip=("docker",), vmm="qemu", kernel="/srv/vmlinux", offline="/srv/offline")


async def rest_of_job(api: EngineApi) -> list[object]:
    job = await api.create_snapshot(CreateSnapshotRequest(language="echo"))
    return [event async for event in api.job_events(job.id, after=2)]


async def identities(api: EngineApi) -> list[object]:
    return [identity async for identity in api.attach()]


async def cancelled_job(api: EngineApi) -> list[object]:
    job = await api.apply_setup([SLOW])
    return [await api.cancel_job(job.id), await api.jobs()]


QUERY = RunQuery(language="echo", outcome="!success", caller="cli", since=NOON, before=9, after=1, limit=5)


PLACE = RemotePlace(bucket="images", endpoint_url="http://127.0.0.1:9000/s3", prefix="team/(a)", region="eu-1")


async def retried_job(api: EngineApi) -> list[object]:
    job = await api.apply_setup([BROKEN])
    return [await api.retry_job(job.id), await api.jobs()]


async def removals(api: EngineApi) -> list[object]:
    await api.remove_image("python-bookworm")
    await api.remove_snapshot("python-256")
    await api.kill_vm("vm-1")
    return [await api.images(), await api.snapshots(), await api.vms()]


async def built_language(api: EngineApi) -> list[object]:
    request = BuildLanguageRequest(language="c++", name="own", pypi=("numpy==2",), npm=("@a/b@1",), size_mib=64)
    job = await api.build_language(request)
    return [job, *[event async for event in api.job_events(job.id)]]


async def pruned(api: EngineApi) -> list[object]:
    both = [PruneRequest(), PruneRequest(cache="clear")]
    return [[await api.leftovers(each) for each in both], [await api.prune(each) for each in both]]


async def serial_of(api: EngineApi, after: int = 0) -> list[object]:
    return [piece async for piece in api.vm_serial("vm-1", after=after)]


CALLS: dict[str, Callable[[EngineApi], Awaitable[object]]] = {
    "health": lambda api: api.health(),
    "health full": lambda api: api.health(full=True),
    "metrics": lambda api: api.metrics(),
    "attach": identities,
    "languages": lambda api: api.languages(),
    "run": lambda api: api.run(RICH_RUN),
    "run batch": lambda api: api.run(BATCH),
    "stream": lambda api: events_of(api, RICH_RUN),
    "stream batch": lambda api: events_of(api, BATCH),
    "images": lambda api: api.images(),
    "snapshots": lambda api: api.snapshots(),
    "verify": lambda api: api.verify_snapshot("python-256"),
    "refresh": lambda api: api.refresh_snapshot("python-256"),
    "remote images": lambda api: api.remote_images(PLACE),
    "upload image": lambda api: api.upload_image("echo", PLACE),
    "download image": lambda api: api.download_image("a+b.c", PLACE),
    "remote snapshots": lambda api: api.remote_snapshots(),
    "upload snapshot": lambda api: api.upload_snapshot("python-256", PLACE),
    "download snapshot": lambda api: api.download_snapshot("python-256"),
    "vms": lambda api: api.vms(),
    "vm": lambda api: api.vm("vm-1"),
    "serial console": lambda api: serial_of(api),
    "serial console, resumed": lambda api: serial_of(api, after=5),
    "samples": lambda api: api.samples(),
    "samples, some": lambda api: api.samples(last=2),
    "setup steps": lambda api: api.setup_steps(),
    "setup, all": lambda api: api.apply_setup(),
    "setup steps with options": lambda api: api.setup_steps(OPTIONS),
    "setup with options": lambda api: api.apply_setup(options=OPTIONS),
    "setup record": lambda api: api.setup_record(),
    "undo": lambda api: api.undo_setup(),
    "image job": whole_job,
    "image job from Docker's": lambda api: api.build_docker_image(DockerImageRequest(name="new", image="app:1")),
    "job resumed": rest_of_job,
    "job cancelled": cancelled_job,
    "job repeated": retried_job,
    "past runs": lambda api: api.runs(),
    "past runs asked for": lambda api: api.runs(QUERY),
    "figures of past runs": lambda api: api.run_stats(window_s=60.5),
    "request of a past run": lambda api: api.run_request("past-2"),
    "removals": removals,
    "language built": built_language,
    "pruning": pruned,
    # --- settings and service
    "settings": lambda api: api.settings(),
    "setting set": lambda api: api.set_setting("vmm", "qemu"),
    "setting unset": lambda api: api.set_setting("vmm", None),
    "token": lambda api: api.api_token(),
    "service": lambda api: api.service(),
    "service stopped": lambda api: api.control_service("stop"),
}

ERRORS = [
    InputError("bad", remedy="do better"),
    NotFoundError("none", remedy="list", name="x"),
    ConflictError("in use"),
    ForbiddenError("the operator's only", remedy="send the token"),
    NotReadyError("no QEMU", remedy="vmdeck setup", missing=3),
    BusyError("full", retry_after_s=7),
    OutcomeUnknownError("lost", vm_id="vm-9"),
    GuestProtocolError("nonsense"),
    SnapshotMismatchError("other CPU", remedy="create it again"),
    InternalError("ours", ratio=0.5, none=None),
]


def facts(error: VmdeckError) -> tuple[object, ...]:
    return type(error), error.message, error.remedy, error.context, getattr(error, "retry_after_s", None)


@pytest.mark.parametrize("name", CALLS)
async def test_each_call_gives_what_the_engine_itself_gives(name: str, remote: RemoteEngine) -> None:
    assert await CALLS[name](remote) == await CALLS[name](FakeEngine())


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.kind)
async def test_each_error_survives_the_way_back(error: VmdeckError, engine: FakeEngine, remote: RemoteEngine) -> None:
    with raising(engine, error), pytest.raises(VmdeckError) as raised:
        await remote.languages()
    assert facts(raised.value) == facts(error)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.kind)
async def test_an_error_after_output_ends_the_stream(
    error: VmdeckError, engine: FakeEngine, remote: RemoteEngine
) -> None:
    engine.lost_with = error
    seen: list[str] = []

    async def watch() -> None:
        async for event in remote.stream(RunRequest(language="lost")):
            seen.append(event.text)

    with pytest.raises(VmdeckError) as raised:
        await watch()
    assert (seen[-1], facts(raised.value)) == ("started\n", facts(error))


async def test_every_class_of_the_tree_is_among_the_errors_tried() -> None:
    def below(cls: type[VmdeckError]) -> set[type[VmdeckError]]:
        own = {each for each in cls.__subclasses__() if each.__module__ == "engine.errors"}
        return own.union(*(below(each) for each in own))

    assert {type(error) for error in ERRORS} == below(VmdeckError)


@hypothesis_settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(st.characters(exclude_categories=["Cs"])))
async def test_any_text_arrives_as_it_was(text: str, remote: RemoteEngine) -> None:
    sent = "".join(
        [event.text async for event in remote.stream(RunRequest(language="echo", code=text)) if event.kind == "stdout"]
    )
    assert sent == text


async def test_closing_the_iterator_ends_the_run(engine: FakeEngine, remote: RemoteEngine) -> None:
    async with aclosing(remote.stream(RunRequest(language="hang"))) as events:
        async for event in events:
            if event.kind == "stdout":
                break
        assert engine.live == 1
    await asyncio.wait_for(engine.until_live(0), 10)


async def test_cancelling_a_run_ends_it_in_the_engine(engine: FakeEngine, remote: RemoteEngine) -> None:
    run = asyncio.create_task(remote.run(RunRequest(language="hang")))
    await asyncio.wait_for(engine.until_live(1), 10)
    run.cancel()
    await asyncio.wait_for(engine.until_live(0), 10)
    with pytest.raises(asyncio.CancelledError):
        await run


async def test_a_socket_nobody_listens_on_is_not_ready(tmp_path: Path) -> None:
    async with RemoteEngine(tmp_path / "none.sock") as client:
        with pytest.raises(NotReadyError, match="No engine answers") as raised:
            await client.health()
    assert "vmdeck serve" in raised.value.remedy


@pytest.mark.parametrize("streaming", [True, False])
async def test_a_server_that_dies_during_a_run_leaves_its_outcome_unknown(streaming: bool, tmp_path: Path) -> None:
    async def die_half_way(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        writer.write(head + b'1c\r\nevent: stdout\ndata: {"kind"\r\n')
        await writer.drain()
        writer.close()

    path = tmp_path / "dying.sock"
    async with await asyncio.start_unix_server(die_half_way, path), RemoteEngine(path) as client:
        request = RunRequest(language="echo")
        with pytest.raises(OutcomeUnknownError):
            await (events_of(client, request) if streaming else client.run(request))


async def test_a_foreign_server_is_named_as_such(tmp_path: Path) -> None:
    async def foreign(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 500 Oops\r\nContent-Length: 4\r\n\r\noops")
        await writer.drain()
        writer.close()

    path = tmp_path / "foreign.sock"
    async with await asyncio.start_unix_server(foreign, path), RemoteEngine(path) as client:
        with pytest.raises(InternalError, match="no engine of ours"):
            await client.health()


async def test_an_answer_of_another_version_is_named_as_such(tmp_path: Path) -> None:
    async def other(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        await writer.drain()
        writer.close()

    path = tmp_path / "other.sock"
    async with await asyncio.start_unix_server(other, path), RemoteEngine(path) as client:
        with pytest.raises(InternalError, match="not one of this version"):
            await client.health()


async def test_what_keeps_a_quiet_stream_alive_is_no_event(tmp_path: Path) -> None:
    """A server says ``: ping`` where nothing happens for a while, as in a long step of a build."""
    job = Job(id="j", kind="image", title="Build", state=JobState.RUNNING, started=NOON)
    told = [JobEvent(job_id="j", seq=seq, at=job.started, line=f"line {seq}", job=job) for seq in (1, 2)]

    async def quiet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
        for event in told:
            writer.write(f"id: {event.seq}\ndata: {event.model_dump_json()}\n\n: ping\n\n".encode())
        await writer.drain()
        writer.close()

    path = tmp_path / "quiet.sock"
    async with await asyncio.start_unix_server(quiet, path), RemoteEngine(path) as client:
        assert [event async for event in client.job_events("j")] == told


async def test_what_is_asked_of_history_arrives_as_it_was_given(engine: FakeEngine, remote: RemoteEngine) -> None:
    await remote.runs(QUERY)
    assert engine.queries == [QUERY]


async def test_options_of_setup_arrive_as_they_were_given(engine: FakeEngine, remote: RemoteEngine) -> None:
    await remote.setup_steps(OPTIONS)
    await remote.apply_setup(["image"], OPTIONS)
    assert engine.setup_options == [OPTIONS, OPTIONS]


async def test_a_job_stream_waits_for_the_jobs_end(engine: FakeEngine, remote: RemoteEngine) -> None:
    job = await remote.apply_setup([SLOW])
    seen: list[JobState] = []
    async for event in remote.job_events(job.id):
        seen.append(event.job.state)
        if event.seq == 2:
            await engine.cancel_job(job.id)
    assert seen == [JobState.RUNNING, JobState.RUNNING, JobState.CANCELLED]


async def test_the_socket_is_for_its_owner_alone_and_goes_with_the_server(
    engine: FakeEngine, settings: Settings
) -> None:
    async with serve_socket(engine, settings) as path:
        assert path.stat().st_mode & 0o777 == 0o600
    assert not path.exists()


async def test_a_stale_socket_is_replaced_and_a_live_one_is_not(engine: FakeEngine, settings: Settings) -> None:
    import socket

    settings.runtime_dir.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as left_over:
        left_over.bind(str(settings.socket_path))
    async with serve_socket(engine, settings) as path:
        with pytest.raises(ConflictError, match="Another engine"):
            async with serve_socket(engine, settings):
                pass
        async with RemoteEngine(path) as client:
            assert (await client.health()).capacity == 2

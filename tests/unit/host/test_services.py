"""Services around vmdeck: asked within a deadline, missed only where something is lost by it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from engine.host import object_store, services
from engine.host.finding import Surroundings
from engine.host.s3_probe import plain
from engine.models import Severity
from tests.unit.host.fake_host import surroundings, write
from tests.unit.host.programs import script

SECRETS = ("AKIASECRETNAME", "the-secret-key", "user:password")


@pytest.fixture
def around(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Surroundings:
    """A host on which nothing is set."""
    for name in ("DOCKER_HOST", *object_store.NAMES):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    (tmp_path / "run").mkdir()
    return surroundings(tmp_path)


@contextlib.asynccontextmanager
async def answering(
    answer: bytes, listen: Callable[..., Awaitable[asyncio.Server]], *where: object
) -> AsyncIterator[asyncio.Server]:
    """A server that says ``answer`` to whatever it is asked, or nothing while there is none."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer):
            await reader.readuntil(b"\r\n\r\n")
            if not answer:
                await reader.read()  # until the other end goes away
            writer.write(answer)

    async with await listen(serve, *where) as server:
        yield server


# --- Docker


def docker_says(around: Surroundings, answer: bytes) -> contextlib.AbstractAsyncContextManager[asyncio.Server]:
    return answering(answer, asyncio.start_unix_server, around.run / "docker.sock")


async def test_a_docker_engine_that_answers_is_fine(around: Surroundings) -> None:
    async with docker_says(around, b"HTTP/1.0 200 OK\r\nServer: Docker/28.1.0 (linux)\r\n\r\nOK"):
        found = await services.docker(around)
    assert found.severity is Severity.OK
    assert found.seen.startswith("Docker/28.1.0 at ")


async def test_without_docker_only_its_images_are_missed(around: Surroundings) -> None:
    found = await services.docker(around)
    assert (found.severity, "needed only for images from Docker" in found.seen) == (Severity.INFO, True)
    assert found.remedy


@pytest.mark.parametrize(
    ("systemd", "dockerd", "apt", "by_hand"),
    [(True, False, True, False), (True, True, False, False), (True, False, False, True), (False, True, True, True)],
)
async def test_setup_is_named_for_docker_only_where_it_would_do_it(
    around: Surroundings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    systemd: bool, dockerd: bool, apt: bool, by_hand: bool,
) -> None:  # fmt: skip
    if systemd:
        (around.run / "systemd/system").mkdir(parents=True)
    if dockerd:
        script(tmp_path / "bin" / "dockerd", "")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(services, "has_apt", lambda: apt)
    found = await services.docker(around)
    assert (found.severity, found.by_hand) == (Severity.INFO, by_hand)
    assert ("vmdeck setup" in found.remedy) is not by_hand


async def test_a_docker_engine_of_others_is_worth_knowing(
    around: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refused(_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(asyncio, "open_unix_connection", refused)
    found = await services.docker(around)
    assert (found.severity, "docker USER" in found.remedy) == (Severity.INFO, True)


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.0 503 Busy\r\n\r\n", b"SSH-2.0-OpenSSH\r\n\r\n"])
async def test_a_docker_engine_that_is_silent_or_odd_is_degraded(
    around: Surroundings, monkeypatch: pytest.MonkeyPatch, answer: bytes
) -> None:
    monkeypatch.setattr(services, "ANSWER_DEADLINE_S", 0.2 if not answer else 60)
    async with docker_says(around, answer):
        assert (await services.docker(around)).severity is Severity.DEGRADED


async def test_a_docker_socket_that_nobody_serves_is_degraded(around: Surroundings) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(around.run / "docker.sock"))
    assert (await services.docker(around)).severity is Severity.DEGRADED


async def test_a_docker_engine_elsewhere_is_named_by_its_scheme_only(
    around: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "ssh://user:password@box")
    found = await services.docker(around)
    assert (found.severity, "ssh" in found.seen, "password" in found.seen) == (Severity.INFO, True, False)


# --- vmdeck's own


async def test_without_systemd_and_without_a_unit_is_worth_knowing(around: Surroundings) -> None:
    assert (await services.service(around)).severity is Severity.INFO
    (around.run / "systemd" / "system").mkdir(parents=True)
    found = await services.service(around)
    assert (found.severity, found.seen) == (Severity.INFO, "not installed")
    assert "vmdeck service install" in found.remedy


@pytest.mark.parametrize(
    ("state", "severity"), [("active", Severity.OK), ("inactive", Severity.INFO), ("failed", Severity.DEGRADED)]
)
async def test_an_installed_service_is_judged_by_its_state(
    around: Surroundings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: str, severity: Severity
) -> None:
    (around.run / "systemd" / "system").mkdir(parents=True)
    write(around.etc / "systemd" / "system" / "vmdeck.service")
    script(tmp_path / "bin" / "systemctl", f"#!/bin/sh\necho {state}\n")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    found = await services.service(around)
    assert (found.severity, state in found.seen) == (severity, True)


# --- S3


def s3_says(answer: bytes) -> contextlib.AbstractAsyncContextManager[asyncio.Server]:
    return answering(answer, asyncio.start_server, "127.0.0.1", 0)


def http(status: str, body: str) -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Type: application/xml\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


BUCKETS = http("200 OK", "<ListAllMyBucketsResult><Buckets/></ListAllMyBucketsResult>")
REFUSAL = http("403 Forbidden", "<Error><Code>AccessDenied</Code><Message>no</Message></Error>")
PROXY = http("502 Bad Gateway", "")
PAGE = http("200 OK", "<html>hello")


@pytest.fixture
def with_secrets(around: Surroundings, monkeypatch: pytest.MonkeyPatch) -> Surroundings:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", SECRETS[0])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRETS[1])
    monkeypatch.setattr(object_store, "PROBE_DEADLINE_S", 60)
    return around


async def test_without_any_configuration_nobody_is_asked(
    around: Surroundings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(object_store, "_PROBE", tmp_path / "must-not-be-run")
    found = await object_store.object_store(around)
    assert (found.severity, "no credentials or endpoint" in found.seen) == (Severity.INFO, True)


@pytest.mark.parametrize(
    ("answer", "severity"),
    [
        (BUCKETS, Severity.OK),
        (REFUSAL, Severity.OK),
        (PROXY, Severity.DEGRADED),
        (PAGE, Severity.DEGRADED),
        (b"", Severity.DEGRADED),
    ],
    ids=["lists", "refuses", "proxy", "web page", "silent"],
)
async def test_only_s3_own_answer_is_a_sign_of_life_and_no_secret_is_told(
    with_secrets: Surroundings, monkeypatch: pytest.MonkeyPatch, answer: bytes, severity: Severity
) -> None:
    async with s3_says(answer) as server:
        port = server.sockets[0].getsockname()[1]
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://{SECRETS[2]}@127.0.0.1:{port}")
        found = await object_store.object_store(with_secrets)
    assert found.severity is severity
    assert f"http://127.0.0.1:{port}" in found.seen
    assert not [secret for secret in SECRETS if secret in found.seen]


async def test_no_credentials_are_looked_for_not_even_by_the_program_that_gives_them(
    around: Surroundings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(object_store, "PROBE_DEADLINE_S", 60)
    ran = tmp_path / "ran"
    write(tmp_path / ".aws" / "config", f"[default]\ncredential_process = touch {ran}\n")
    async with s3_says(BUCKETS) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        found = await object_store.object_store(around)
    assert (found.severity, ran.exists()) == (Severity.OK, False)


async def test_a_probe_that_hangs_is_cut_off(
    with_secrets: Surroundings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(object_store, "_PROBE", write(tmp_path / "hangs.py", "import signal; signal.pause()"))
    monkeypatch.setattr(object_store, "PROBE_DEADLINE_S", 0.2)
    found = await object_store.object_store(with_secrets)
    assert (found.severity, "no answer within 0.2 s" in found.seen) == (Severity.DEGRADED, True)


async def test_a_probe_that_fails_shows_nothing_of_what_it_said(
    with_secrets: Surroundings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(object_store, "_PROBE", write(tmp_path / "fails.py", f"raise SystemExit({SECRETS[1]!r})"))
    found = await object_store.object_store(with_secrets)
    assert (found.severity, SECRETS[1] in found.seen) == (Severity.DEGRADED, False)


async def test_a_profile_that_is_not_there_is_degraded(around: Surroundings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_store, "PROBE_DEADLINE_S", 60)
    monkeypatch.setenv("AWS_PROFILE", "missing")
    found = await object_store.object_store(around)
    assert (found.severity, "ProfileNotFound" in found.seen) == (Severity.DEGRADED, True)


async def test_files_of_aws_count_as_configuration(
    around: Surroundings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / ".aws" / "credentials", "[default]\naws_secret_access_key = the-secret-key\n")
    report = json.dumps({"endpoint": "https://s3.example"})
    monkeypatch.setattr(object_store, "_PROBE", write(tmp_path / "answers.py", f"print({report!r})"))
    monkeypatch.setattr(object_store, "PROBE_DEADLINE_S", 60)
    found = await object_store.object_store(around)
    assert (found.severity, found.seen) == (Severity.OK, "https://s3.example answers (by credentials)")


@pytest.mark.parametrize("url", ["https://a:b@s3.example:9000/path?x=y#z", "https://s3.example:9000"])
def test_an_endpoint_is_shown_without_user_path_and_query(url: str) -> None:
    assert plain(url) == "https://s3.example:9000"

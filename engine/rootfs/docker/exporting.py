"""The process that asks a Docker engine for an image's files: ``python -m engine.rootfs.docker.exporting``.

It pulls what is absent, makes a container that never runs, and writes its file system to a pipe as one tar stream. The
container goes however this ends: at SIGTERM too, and one whose process was killed goes with the next image that is
taken from that engine. Of the engine nothing is mounted, and no path of its host is read.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import signal
import time
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, cast

from docker import DockerClient
from docker.errors import APIError, DockerException, ImageNotFound, NotFound
from requests.exceptions import RequestException

from engine.errors import NotReadyError
from engine.host.process import ProcessId
from engine.rootfs.docker import child
from engine.rootfs.docker.archives import fitting
from engine.rootfs.docker.documents import Runtime, parsed, settings
from engine.rootfs.docker.pull import PULL_SHARE, pull

LABEL = "vmdeck.export"
"""Of containers: the boot, and the process in it, that they are made by."""
_NAME = "vmdeck-export-"
_ANSWER_S = 60
_PIECE = 1024 * 1024
_FOREIGN_KEPT_S = 24 * 3600  # of another host or boot, whose processes can't be seen from here
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_NEVER_RUNS = ["/vmdeck-never-runs-this"]  # an image without a command of its own must be given one


def export(client: Any, reference: str, pipe: int) -> dict[str, Any]:
    """Write the image's files to ``pipe``; its settings and where it is from. Raises InputError, NotReadyError."""
    _remove_leftovers(client)
    attributes, pulled = _inspected(client, reference)
    fitting(attributes["Os"], attributes["Architecture"])
    runtime = parsed(Runtime, json.dumps(attributes.get("Config") or {}).encode(), "config")
    summary = {"name": reference, "id": attributes["Id"], **settings(runtime)}
    child.say(f"Exporting {reference}")
    with _container(client, attributes["Id"]) as container, suppress(BrokenPipeError):  # the unpacker says why
        share = PULL_SHARE if pulled else 0.0
        _send(client.api.export(container, chunk_size=_PIECE), pipe, attributes.get("Size") or 0, share)
    return summary


def _inspected(client: Any, reference: str) -> tuple[Mapping[str, Any], bool]:
    """What the engine knows of the image, and whether it had to be pulled."""
    try:
        return client.images.get(reference).attrs, False
    except ImageNotFound:
        pull(client.api, reference)
    return client.images.get(reference).attrs, True


def _send(pieces: Iterable[bytes], pipe: int, size: int, share: float) -> None:
    """``size`` is about how many bytes it will be, ``share`` the part of the whole work that is done before."""
    sent = 0
    for piece in pieces:
        left = memoryview(piece)
        while left:
            left = left[os.write(pipe, left) :]
        sent += len(piece)
        child.say_bytes(sent)
        if size:
            child.say_reached(share + (1.0 - share) * min(1.0, sent / size))


@contextmanager
def _container(client: Any, image_id: str) -> Generator[str]:
    """One that is there for the block only. Its name is ours, so that it is known before the engine has answered."""
    name = f"{_NAME}{secrets.token_hex(6)}"
    labels = {LABEL: f"{_boot_id()} {ProcessId.of(os.getpid())}"}
    try:
        with _undisturbed():
            client.api.create_container(image_id, _NEVER_RUNS, name=name, labels=labels, network_disabled=True)
        yield name
    finally:
        with _undisturbed():
            _remove(client, name)


def _remove(client: Any, name: str) -> None:
    try:
        client.api.remove_container(name, v=True, force=True)
    except NotFound:
        return
    except (DockerException, RequestException) as error:
        child.say(f"The container {name} stays for now, the next image from this engine removes it: {reason(error)}")


def _remove_leftovers(client: Any) -> None:
    """Containers whose export was killed. The name counts too: a label can be the image's, and that is a stranger's."""
    for found in client.api.containers(all=True, filters={"label": LABEL, "name": f"^/?{_NAME}", "status": "created"}):
        if _is_over(found["Labels"].get(LABEL, ""), found["Created"]):
            child.say(f"Removing the container {found['Id'][:12]}, which an export that was killed has left")
            _remove(client, found["Id"])


def _is_over(label: str, created_s: float) -> bool:
    boot_id, _, process = label.partition(" ")
    try:
        if boot_id == _boot_id():
            return not ProcessId.parse(process).alive()
    except ValueError:
        return False  # none of ours
    return time.time() - created_s > _FOREIGN_KEPT_S


def _boot_id() -> str:
    return _BOOT_ID.read_text().strip()


@contextmanager
def _undisturbed() -> Generator[None]:
    """SIGTERM waits until the block is done."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


# --- faults of an engine


def connected(host: str | None) -> Any:
    """A client of the engine at the URL ``host``, else of the one that Docker's own variables and context name.

    Raises NotReadyError.
    """
    try:
        environment = {**os.environ, **({} if host is None else {"DOCKER_HOST": host})}
        return DockerClient.from_env(timeout=_ANSWER_S, environment=environment)
    except (DockerException, RequestException, OSError, ValueError) as error:
        where = host or os.environ.get("DOCKER_HOST") or "its usual socket"
        raise NotReadyError(
            f"No Docker engine answers at {where}: {reason(error)}",
            remedy="Start it, name another with --docker-host or DOCKER_HOST, or give an archive of the image: --tar",
        ) from error


def reason(error: BaseException) -> str:
    """The cause below what the libraries made of it."""
    if isinstance(error, APIError):
        return str(cast(Any, error).explanation or error)
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        cause = cause.__cause__ or cause.__context__
    return str(error)


def _work(arguments: Sequence[str]) -> Mapping[str, Any]:
    parser = argparse.ArgumentParser()
    parser.add_argument("--image", required=True)
    parser.add_argument("--pipe", type=int, required=True)
    parser.add_argument("--host")
    asked = parser.parse_args(arguments)
    client = connected(asked.host)
    try:
        return export(client, asked.image, asked.pipe)
    except (DockerException, RequestException) as error:
        raise NotReadyError(
            f"The Docker engine failed at the image {asked.image}: {reason(error)}",
            remedy="See its log (journalctl -u docker) and the room on its disk, then try again",
        ) from error


if __name__ == "__main__":
    child.run(_work)

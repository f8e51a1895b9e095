"""Pulling an image into a Docker engine, told layer by layer."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any, cast

from docker.errors import APIError, NotFound
from docker.utils import parse_repository_tag

from engine.errors import InputError, NotReadyError, VmdeckError
from engine.rootfs.docker import child

PULL_SHARE = 0.7  # of pulling and exporting
_SAID_EVERY_S = 0.3
# What the engine says of a layer: how far it is with that.
_STATES = {
    "Pulling fs layer": 0.0,
    "Waiting": 0.0,
    "Downloading": 0.0,
    "Verifying Checksum": 0.7,
    "Download complete": 0.7,
    "Extracting": 0.7,
    "Pull complete": 1.0,
    "Already exists": 1.0,
}
_SHARES = {"Downloading": 0.7, "Extracting": 0.3}
_SILENT = ("Downloading", "Extracting", "Waiting", "Verifying Checksum")  # said many times a second, or of no interest


def pull(api: Any, reference: str) -> None:
    """``api`` is the library's low-level client. Raises InputError where no registry has it, NotReadyError."""
    repository, tag = parse_repository_tag(reference)
    child.say(f"Pulling {reference}", 0.0)
    try:
        follow(reference, api.pull(repository, tag=tag or "latest", stream=True, decode=True))
    except NotFound as error:
        raise _unknown(reference, str(error.explanation)) from error
    except APIError as error:
        raise _failed(reference, str(error.explanation)) from error


def follow(reference: str, events: Iterable[Mapping[str, Any]]) -> None:
    """Say what the engine's events say. Raises InputError, NotReadyError for one that is an error."""
    layers: dict[str, float] = {}
    fetched: dict[str, int] = {}
    said, reached = 0.0, 0.0
    for event in events:
        if "error" in event:
            raise _failed(reference, str(event["error"]))
        layer, status = str(event.get("id", "")), str(event.get("status", ""))
        if status not in _STATES:
            child.say(f"{layer}: {status}" if layer else status)
            continue
        part = cast("dict[str, int]", event.get("progressDetail") or {})
        current, total = part.get("current", 0), part.get("total", 0)
        layers[layer] = _STATES[status] + (_SHARES.get(status, 0.0) * min(1.0, current / total) if total else 0.0)
        if status == "Downloading":
            fetched[layer] = current
        if status not in _SILENT:
            child.say(f"{layer}: {status}")
        if time.monotonic() - said > _SAID_EVERY_S:
            said = time.monotonic()
            child.say_bytes(sum(fetched.values()))
            reached = max(reached, sum(layers.values()) / len(layers))  # layers can come later
            child.say_reached(PULL_SHARE * reached)


def _failed(reference: str, said: str) -> VmdeckError:
    if any(sign in said for sign in ("not found", "does not exist", "manifest unknown", "access denied")):
        return _unknown(reference, said)
    return NotReadyError(
        f"The image {reference} can't be pulled: {said}",
        remedy="See that the engine reaches the registry; or save the image elsewhere and give the archive: --tar",
    )


def _unknown(reference: str, said: str) -> VmdeckError:
    return InputError(
        f"Neither the Docker engine nor its registry has an image {reference}: {said}",
        remedy="Check the name (docker image ls); for a private registry run docker login as the engine's user",
    )

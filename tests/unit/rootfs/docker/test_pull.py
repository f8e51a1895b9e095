"""What a Docker engine says while it pulls becomes lines and fractions; what it says of a fault, an error."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from engine.errors import InputError, NotReadyError, VmdeckError
from engine.rootfs.docker import pull


def said(layer: str, status: str, current: int = 0, total: int = 0) -> dict[str, Any]:
    return {"id": layer, "status": status, "progressDetail": {"current": current, "total": total} if total else {}}


def told(events: list[Mapping[str, Any]], capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    pull.follow("app:1", events)
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_each_layer_is_told_of_and_the_whole_only_grows(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pull, "_SAID_EVERY_S", -1)
    events = [
        said("1", "Pulling from app"),
        said("a", "Pulling fs layer"),
        said("b", "Already exists"),
        said("a", "Downloading", 10, 100),
        said("a", "Downloading", 90, 100),
        said("a", "Verifying Checksum"),
        said("a", "Download complete"),
        said("a", "Extracting", 50, 100),
        said("a", "Pull complete"),
        {"status": "Status: Downloaded newer image for app:1"},
    ]
    found = told(events, capsys)
    assert [each["line"] for each in found if "line" in each] == [
        *("1: Pulling from app", "a: Pulling fs layer", "b: Already exists", "a: Download complete"),
        *("a: Pull complete", "Status: Downloaded newer image for app:1"),
    ]
    reached = [each["fraction"] for each in found if each.get("fraction") is not None]
    assert reached == sorted(reached)
    assert reached[-1] == pull.PULL_SHARE
    assert max(each.get("bytes", 0) for each in found) == 90


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("manifest for app:1 not found: manifest unknown", InputError),
        ("pull access denied for app, repository does not exist or may require 'docker login'", InputError),
        ("dial tcp: lookup registry: no such host", NotReadyError),
        ("toomanyrequests: You have reached your pull rate limit", NotReadyError),
    ],
)
def test_a_fault_amid_the_pull_is_an_error(fault: str, kind: type[VmdeckError]) -> None:
    with pytest.raises(kind) as caught:
        pull.follow("app:1", [{"errorDetail": {"message": fault}, "error": fault}])
    assert fault in caught.value.message
    assert caught.value.remedy

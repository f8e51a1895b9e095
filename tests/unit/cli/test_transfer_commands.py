"""Commands of exchange: what they ask of the engine, print and exit with."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from engine.models import Language, RemoteImage, RemotePlace, RemoteSnapshot
from tests.unit.cli.conftest import Invoke
from tests.unit.fake_engine import BROKEN, FakeEngine

PLACE = ("--bucket", "images", "--endpoint-url", "http://here:9000", "--prefix", "team", "--region", "eu-1")
NAMED = RemotePlace(bucket="images", endpoint_url="http://here:9000", prefix="team", region="eu-1")


@pytest.mark.parametrize(
    ("command", "done"),
    [
        (("rootfs", "upload", "--lang", "echo"), "Image echo is in the bucket\n"),
        (("rootfs", "download", "--lang", "echo"), "Image echo is ready\n"),
        (("snapshot", "upload", "python-256"), "Snapshot python-256 is in the bucket\n"),
        (("snapshot", "download", "python-256"), "Snapshot python-256 is ready\n"),
        (("snapshot", "upload", "--lang", "python"), "Snapshot python-256 is in the bucket\n"),
        (("snapshot", "download", "--lang", "python"), "Snapshot python-256 is ready\n"),
    ],
)
def test_a_transfer_asks_for_its_place_and_follows_its_job(
    command: tuple[str, ...], done: str, vmdeck: Invoke, engine: FakeEngine
) -> None:
    result = vmdeck(*command, *PLACE)
    assert (result.exit_code, result.stdout) == (0, done)
    assert "half done" in result.stderr
    assert set(engine.places) == {NAMED}


def test_the_end_of_a_transfer_is_json_with_its_progress_on_stderr(vmdeck: Invoke) -> None:
    result = vmdeck("rootfs", "upload", "--lang", "echo", "--json")
    assert json.loads(result.stdout)["state"] == "done"
    assert "half done" in result.stderr


def test_a_transfer_that_fails_is_exit_1_with_its_remedy(vmdeck: Invoke) -> None:
    result = vmdeck("rootfs", "download", "--lang", BROKEN)
    assert result.exit_code == 1
    assert "it broke\n  mend it" in result.stderr


def test_what_lies_in_a_bucket_is_listed_as_a_table_or_json(vmdeck: Invoke, engine: FakeEngine) -> None:
    header, first = vmdeck("rootfs", "list", "--remote", *PLACE).stdout.splitlines()
    assert header.split()[0] == "IMAGE"
    assert first.startswith("python-bookworm")
    (image,) = json.loads(vmdeck("rootfs", "list", "--remote", "--json").stdout)
    assert RemoteImage.model_validate_json(json.dumps(image)).name == "python-bookworm"
    header, first = vmdeck("snapshot", "list", "--remote").stdout.splitlines()
    assert first.startswith("python-256")
    assert first.endswith("it was made with another CPU")
    (snapshot,) = json.loads(vmdeck("snapshot", "list", "--remote", "--json").stdout)
    assert RemoteSnapshot.model_validate_json(json.dumps(snapshot)).name == "python-256"
    assert engine.places == [NAMED, RemotePlace(), RemotePlace(), RemotePlace()]


@pytest.mark.parametrize(
    "options",
    [
        ("--bucket", "Upper"),
        ("--bucket", "a/b"),
        ("--endpoint-url", "ftp://here"),
        ("--endpoint-url", "http://user:secret@here"),
        ("--prefix", "a\nb"),
        ("--region", "eu 1"),
    ],
)
def test_a_place_that_is_none_is_exit_2_before_the_engine_is_asked(
    options: tuple[str, str], vmdeck: Invoke, engine: FakeEngine
) -> None:
    result = vmdeck("rootfs", "upload", "--lang", "echo", *options)
    assert result.exit_code == 2
    assert engine.places == []


@pytest.mark.parametrize("group", ["rootfs", "snapshot"])
def test_a_place_does_not_go_unnoticed_in_a_list_of_what_is_here(group: str, vmdeck: Invoke) -> None:
    result = vmdeck(group, "list", "--bucket", "images")
    assert result.exit_code == 2
    assert "--remote" in result.stderr


@pytest.mark.parametrize("given", [(), ("python-256", "--lang", "python")])
def test_a_snapshot_is_named_in_one_way(given: tuple[str, ...], vmdeck: Invoke) -> None:
    result = vmdeck("snapshot", "upload", *given)
    assert result.exit_code == 2
    assert "--lang" in result.stderr


def test_a_language_with_several_snapshots_or_none_does_not_name_one(vmdeck: Invoke, engine: FakeEngine) -> None:
    assert "No snapshot there is of ruby" in vmdeck("snapshot", "upload", "--lang", "ruby").stderr
    first = engine.snapshots_by_name["python-256"]
    engine.snapshots_by_name["python-512"] = first.model_copy(update={"name": "python-512"})
    result = vmdeck("snapshot", "upload", "--lang", "python")
    assert result.exit_code == 2
    assert "python-256, python-512" in result.stderr


@pytest.mark.parametrize("command", ["upload", "download"])
def test_a_snapshot_is_found_by_any_name_of_its_language(
    command: str, vmdeck: Invoke, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def languages() -> Sequence[Language]:
        return (Language(id="python", aliases=("py",), title="Python", file_name="main.py"),)

    monkeypatch.setattr(engine, "languages", languages)
    assert "Snapshot python-256 is" in vmdeck("snapshot", command, "--lang", "Py").stdout

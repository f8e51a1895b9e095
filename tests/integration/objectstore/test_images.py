"""Images through a real S3 server: there and back, interrupted, refused, and nothing left behind."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.engine import Engine
from engine.errors import InputError, NotFoundError, NotReadyError
from engine.models import JobState, RemotePlace
from engine.rootfs.store import ImageStore
from engine.settings import Settings
from tests.integration.objectstore.hosts import MIB, Corner, alter, done, failed, left_behind, log_of, make_image
from tests.s3_server import BUCKET

Host = Callable[..., Settings]
FILES = {"rootfs-python.ext4.zst", "rootfs-python.manifest.json"}


async def test_an_image_arrives_as_it_left_with_its_holes(corner: Corner, host: Host) -> None:
    here, there = host("here"), host("there")
    sent = await make_image(here)
    async with Engine(here) as engine:
        await done(engine, await engine.upload_image("python", corner.place))
        (listed,) = await engine.remote_images(corner.place)
    assert (listed.name, listed.digest, listed.here, listed.problem) == ("python", sent.digest, True, None)
    assert corner.keys() == FILES
    async with Engine(there) as engine:
        assert not (await engine.remote_images(corner.place))[0].here
        await done(engine, await engine.download_image("python", corner.place))
    came = await ImageStore(there).verify("python")
    assert (came.digest, came.languages, came.source, came.problem) == (sent.digest, sent.languages, sent.source, None)
    assert came.disk_bytes <= sent.disk_bytes < sent.size_bytes - 16 * MIB + 8192
    assert left_behind(here) == left_behind(there) == []


async def test_an_image_is_found_by_a_language_that_it_serves(corner: Corner, host: Host) -> None:
    here, there = host("here"), host("there")
    await make_image(here, data_mib=1)
    async with Engine(here) as engine:
        await done(engine, await engine.upload_image("bash", corner.place))
    async with Engine(there) as engine:
        assert (await done(engine, await engine.download_image("sh", corner.place))).result == "python"


@pytest.mark.parametrize("lang", ["c#", "C#", "csharp"])
async def test_an_image_is_found_by_a_name_of_its_language_that_no_image_can_have(
    corner: Corner, host: Host, lang: str
) -> None:
    here, there = host("here"), host("there")
    await make_image(here, "csharp", data_mib=1)
    async with Engine(here) as engine:
        await done(engine, await engine.upload_image(lang, corner.place))
    async with Engine(there) as engine:
        assert (await done(engine, await engine.download_image(lang, corner.place))).result == "csharp"
        with pytest.raises(InputError, match="is no image or language"):
            await engine.download_image("../etc", corner.place)


async def test_an_upload_that_broke_off_goes_on_where_it_stopped(corner: Corner, host: Host) -> None:
    settings = host("here")
    image = await make_image(settings)
    async with Engine(settings) as engine:
        corner.gate.hold_after(42 * MIB)
        job = await engine.upload_image("python", corner.place)
        await corner.gate.held.wait()
        corner.gate.cut()
        assert "The connection to" in await failed(engine, job)
        assert (await engine.remote_images(corner.open_place)) == []
        before = corner.arrived()
        assert before > 0
        corner.gate.let_pass()
        corner.gate.passed = 0
        job = await done(engine, await engine.upload_image("python", corner.place))
        assert "Going on with an upload that broke off" in await log_of(engine, job)
        assert corner.gate.passed < 48 * MIB - before + MIB
        (listed,) = await engine.remote_images(corner.place)
    assert listed.digest == image.digest
    assert corner.unfinished() == left_behind(settings) == []


async def test_a_download_that_broke_off_goes_on_where_it_stopped(corner: Corner, host: Host) -> None:
    here, there = host("here"), host("there")
    image = await make_image(here)
    async with Engine(here) as engine:
        await done(engine, await engine.upload_image("python", corner.place))
    async with Engine(there) as engine:
        corner.gate.hold_after(30 * MIB)
        job = await engine.download_image("python", corner.place)
        await corner.gate.held.wait()
        corner.gate.cut()
        assert "The connection to" in await failed(engine, job)
        assert (await engine.images()) == []
        corner.gate.let_pass()
        corner.gate.passed = 0
        job = await done(engine, await engine.download_image("python", corner.place))
        assert "Going on with a download that broke off" in await log_of(engine, job)
        assert corner.gate.passed < 40 * MIB
    assert (await ImageStore(there).verify("python")).digest == image.digest
    assert left_behind(there) == []


async def test_a_cancelled_upload_leaves_nothing_on_either_side(corner: Corner, host: Host) -> None:
    settings = host("here")
    await make_image(settings)
    async with Engine(settings) as engine:
        corner.gate.hold_after(30 * MIB)
        job = await engine.upload_image("python", corner.place)
        await corner.gate.held.wait()
        cancelling = engine.cancel_job(job.id)
        corner.gate.let_pass()
        assert (await cancelling).state is JobState.CANCELLED
    assert corner.unfinished() == left_behind(settings) == []
    assert corner.keys() == set()


async def test_a_cancelled_download_leaves_nothing_and_the_older_image_stays(corner: Corner, host: Host) -> None:
    here, there = host("here"), host("there")
    await make_image(here)
    older = await make_image(there, data_mib=1, seed=2)
    async with Engine(here) as engine:
        await done(engine, await engine.upload_image("python", corner.place))
    async with Engine(there) as engine:
        corner.gate.hold_after(20 * MIB)
        job = await engine.download_image("python", corner.place)
        await corner.gate.held.wait()
        cancelling = engine.cancel_job(job.id)
        corner.gate.let_pass()
        assert (await cancelling).state is JobState.CANCELLED
    assert (await ImageStore(there).verify("python")).digest == older.digest
    assert left_behind(there) == []


@pytest.mark.parametrize("harm", ["altered", "shortened", "another content"])
async def test_a_corrupt_object_replaces_nothing(corner: Corner, host: Host, harm: str) -> None:
    here, there = host("here"), host("there")
    await make_image(here, data_mib=9)
    older = await make_image(there, data_mib=1, seed=2)
    async with Engine(here) as engine:
        await done(engine, await engine.upload_image("python", corner.place))
    packed = bytearray(corner.read("rootfs-python.ext4.zst"))
    manifest = json.loads(corner.read("rootfs-python.manifest.json"))
    if harm == "altered":
        packed[len(packed) // 2] ^= 1
    elif harm == "shortened":
        del packed[-1]
    else:  # whoever alters both is found out by the content's digest, or has made another image
        manifest["rootfs"]["sha256"] = manifest["manifest"]["digest"] = "0" * 64
    corner.write("rootfs-python.ext4.zst", bytes(packed))
    corner.write("rootfs-python.manifest.json", json.dumps(manifest).encode())
    async with Engine(there) as engine:
        said = await failed(engine, await engine.download_image("python", corner.place))
    assert "manifest says" in said
    assert (await ImageStore(there).verify("python")).digest == older.digest
    assert left_behind(there) == []


async def test_wrong_credentials_are_told_as_such(corner: Corner, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = host("here")
    await make_image(settings, data_mib=1)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of-another")
    async with Engine(settings) as engine:
        said = await failed(engine, await engine.upload_image("python", corner.place))
        with pytest.raises(NotReadyError, match="refuses access"):
            await engine.remote_images(corner.place)
    assert "refuses access to exchange: SignatureDoesNotMatch" in said
    assert "AWS_ACCESS_KEY_ID" in said
    assert "of-another" not in said


async def test_without_credentials_it_says_how_to_give_them(
    corner: Corner, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    async with Engine(host("here")) as engine:
        with pytest.raises(NotReadyError, match="no credentials") as raised:
            await engine.remote_images(corner.place)
    assert "AWS_ACCESS_KEY_ID" in raised.value.remedy


async def test_an_unknown_bucket_is_named(corner: Corner, host: Host) -> None:
    elsewhere = corner.place.model_copy(update={"bucket": "nowhere"})
    async with Engine(host("here")) as engine:
        with pytest.raises(NotFoundError, match="no bucket nowhere"):
            await engine.remote_images(elsewhere)
        assert "no bucket nowhere" in await failed(engine, await engine.download_image("python", elsewhere))


async def test_a_bucket_is_never_assumed(host: Host) -> None:
    async with Engine(host("here")) as engine:
        for call in (engine.remote_images, engine.remote_snapshots):
            with pytest.raises(InputError, match="No bucket is named") as raised:
                await call(RemotePlace())
            assert "--bucket" in raised.value.remedy
        with pytest.raises(InputError, match="No bucket is named"):
            await engine.download_image("python")


async def test_what_settings_name_need_not_be_named_again(corner: Corner, host: Host) -> None:
    settings = host("here", s3_bucket=BUCKET, s3_endpoint_url=corner.gate.url, s3_prefix=corner.prefix)
    await make_image(settings, data_mib=1)
    async with Engine(settings) as engine:
        await done(engine, await engine.upload_image("python"))
        assert [image.name for image in await engine.remote_images()] == ["python"]
    assert corner.keys() == FILES


async def test_an_image_that_is_there_is_not_sent_again(corner: Corner, host: Host) -> None:
    settings = host("here")
    await make_image(settings)
    async with Engine(settings) as engine:
        await done(engine, await engine.upload_image("python", corner.place))
        corner.gate.passed = 0
        job = await done(engine, await engine.upload_image("python", corner.place))
        assert "is there already" in await log_of(engine, job)
    assert corner.gate.passed < MIB


async def test_an_unfinished_upload_is_not_listed(corner: Corner, host: Host) -> None:
    corner.write("rootfs-python.ext4.zst", b"of an upload whose manifest has not come")
    async with Engine(host("here")) as engine:
        assert await engine.remote_images(corner.place) == []
        said = await failed(engine, await engine.download_image("python", corner.place))
    assert "There is no image python" in said


async def test_a_manifest_that_can_not_be_used_is_listed_with_its_problem(corner: Corner, host: Host) -> None:
    corner.write("rootfs-bad.manifest.json", b'{"format": 2}')
    corner.write("rootfs-..%2fx.manifest.json", b"{}")
    async with Engine(host("here")) as engine:
        (listed,) = await engine.remote_images(corner.place)
    assert listed.name == "bad"
    assert "can't be used" in (listed.problem or "")


async def test_an_image_with_a_hidden_change_is_not_uploaded(corner: Corner, host: Host) -> None:
    settings = host("here")
    image = await make_image(settings, data_mib=20)
    alter(Path(image.path), 5 * MIB)
    async with Engine(settings) as engine:
        said = await failed(engine, await engine.upload_image("python", corner.place))
    assert "not what it was made as" in said
    assert corner.keys() == set()


SIGNED = {"signature_key": "k" * 32}


async def test_a_required_signature_is_checked_and_its_lack_refused(corner: Corner, host: Host) -> None:
    here, there = host("here"), host("there", **SIGNED, require_signature="on")
    await make_image(here, data_mib=1)
    async with Engine(here) as engine:
        await done(engine, await engine.upload_image("python", corner.place))
    async with Engine(there) as engine:
        said = await failed(engine, await engine.download_image("python", corner.place))
        assert "it has no signature, and require_signature is on" in said
    async with Engine(here.model_copy(update=SIGNED)) as engine:
        await done(engine, await engine.upload_image("python", corner.place))  # anew, since it was not signed
    async with Engine(there) as engine:
        (listed,) = await engine.remote_images(corner.place)
        assert (listed.signature, listed.problem) == ("valid", None)
        await done(engine, await engine.download_image("python", corner.place))
    async with Engine(host("other", signature_key="o" * 32)) as engine:
        said = await failed(engine, await engine.download_image("python", corner.place))
        assert "its signature is not that of the key here" in said
    async with Engine(host("keyless", require_signature="on")) as engine:
        said = await failed(engine, await engine.download_image("python", corner.place))
        assert "there is no signature_key here" in said

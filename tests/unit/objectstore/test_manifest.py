"""Manifests from a bucket are anybody's words: what is not bounded and well formed is refused, naming the field."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from engine.errors import InputError
from engine.models import RemotePlace
from engine.objectstore import manifest
from engine.objectstore.manifest import SharedImage, SharedSnapshot, UnfitError
from engine.objectstore.packing import PackedFile
from engine.objectstore.place import ImageKeys, Place
from engine.rootfs.store import ImageManifest, ImageOrigin
from engine.settings import Settings
from engine.snapshots.manifest import FileRecord, SnapshotManifest
from engine.vmm.qemu_command import MACHINES

NOON = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)
DIGEST = "ab" * 32
KEY, OTHER_KEY = "k" * 32, "o" * 32


def packed(size: int) -> PackedFile:
    return PackedFile(sha256=DIGEST, size_bytes=size, data_bytes=size, packed_sha256=DIGEST, packed_bytes=10)


def image() -> SharedImage:
    origin = ImageOrigin(source="test", languages=("python",))
    made = ImageManifest(name="python", digest=DIGEST, size_bytes=4096, created=NOON, origin=origin)
    return SharedImage(manifest=made, rootfs=packed(4096))


def snapshot() -> SharedSnapshot:
    made = SnapshotManifest(
        name="python-256",
        language="python",
        warm="parked",
        created=NOON,
        image="python",
        image_digest=DIGEST,
        kernel="debian",
        kernel_sha256=DIGEST,
        initramfs_digest=DIGEST,
        cmdline="quiet",
        vmm="qemu",
        vmm_version="7.2",
        accelerator="tcg",
        machine=MACHINES["x86_64"],
        cpu_model="max",
        host_cpu="a CPU",
        memory_mib=256,
        vcpus=1,
        state=FileRecord(sha256=DIGEST, size=100, mtime_ns=1, inode=1),
        memory=FileRecord(sha256=DIGEST, size=4096, mtime_ns=1, inode=1),
    )
    return SharedSnapshot(manifest=made, state=packed(100), memory=packed(4096))


def altered(shared: SharedImage | SharedSnapshot, path: str, value: object, key: str = "") -> bytes:
    document = json.loads(manifest.written(shared, key))
    *folders, last = path.split(".")
    at = document
    for folder in folders:
        at = at[folder]
    at[last] = value
    return json.dumps(document).encode()


def test_what_is_written_is_read_again() -> None:
    assert manifest.read(manifest.written(image(), ""), SharedImage, "python", "") == (image(), "none")
    assert manifest.read(manifest.written(snapshot(), KEY), SharedSnapshot, "python-256", KEY) == (snapshot(), "valid")


BAD_IMAGE = [
    ("manifest.name", "../../etc"),
    ("manifest.name", "other"),
    ("manifest.digest", "ab"),
    ("manifest.digest", "cd" * 32),
    ("manifest.size_bytes", 4097),
    ("manifest.size_bytes", -1),
    ("manifest.unknown", 1),
    ("rootfs.size_bytes", 1 << 60),
    ("rootfs.packed_bytes", 1 << 60),
    ("rootfs.packed_bytes", 0),
    ("rootfs.data_bytes", -1),
    ("rootfs.packed_sha256", "../x"),
    ("kind", "snapshot"),
    ("format", 2),
]


@pytest.mark.parametrize(("path", "value"), BAD_IMAGE)
def test_an_image_of_no_sense_is_refused(path: str, value: object) -> None:
    with pytest.raises(UnfitError, match="can't be used"):
        manifest.read(altered(image(), path, value), SharedImage, "python", "")


BAD_SNAPSHOT = [
    ("manifest.name", "a/b"),
    ("manifest.image", "../python"),
    ("manifest.image", "python\n"),
    ("manifest.image_digest", "none"),
    ("manifest.machine", "microvm,firmware=/etc/shadow"),
    ("manifest.cpu_model", "max,phys-bits=1"),
    ("manifest.language", "x" * 5000),
    ("manifest.memory_mib", 1 << 30),
    ("manifest.vcpus", 0),
    ("manifest.memory.size", 1),
    ("manifest.state.sha256", "cd" * 32),
    ("memory.size_bytes", 1 << 50),
    ("kind", "image"),
]


@pytest.mark.parametrize(("path", "value"), BAD_SNAPSHOT)
def test_a_snapshot_of_no_sense_is_refused(path: str, value: object) -> None:
    with pytest.raises(UnfitError, match="can't be used"):
        manifest.read(altered(snapshot(), path, value), SharedSnapshot, "python-256", "")


@pytest.mark.parametrize("data", [b"", b"[]", b"null", b"{", b"\xff", b"[" * 100_000])
def test_what_is_no_manifest_at_all_is_refused(data: bytes) -> None:
    with pytest.raises(UnfitError, match="can't be used"):
        manifest.read(data, SharedImage, "python", "")


def test_any_change_breaks_the_signature() -> None:
    signed = manifest.written(image(), KEY)
    assert manifest.read(signed, SharedImage, "python", KEY)[1] == "valid"
    changed = altered(image(), "manifest.origin.source", "another", KEY)
    assert manifest.read(changed, SharedImage, "python", KEY)[1] == "wrong"


@pytest.mark.parametrize(
    ("signed_with", "checked_with", "state"),
    [("", "", "none"), ("", KEY, "none"), (KEY, "", "unchecked"), (KEY, KEY, "valid"), (KEY, OTHER_KEY, "wrong")],
)
def test_a_signature_is_worth_what_the_key_here_says(signed_with: str, checked_with: str, state: str) -> None:
    assert manifest.read(manifest.written(image(), signed_with), SharedImage, "python", checked_with)[1] == state


@pytest.mark.parametrize("signature", [1, None, [], "", "hmac-sha256:", "hmac-sha256:ü", "\ud800"])
def test_what_is_no_signature_is_not_a_valid_one(signature: object) -> None:
    data = altered(image(), "signature", signature, KEY)
    assert manifest.read(data, SharedImage, "python", KEY)[1] in ("wrong", "none")


def test_the_order_of_keys_does_not_matter_to_a_signature() -> None:
    document = json.loads(manifest.written(image(), KEY))
    turned = json.dumps(dict(reversed(document.items()))).encode()
    assert manifest.read(turned, SharedImage, "python", KEY)[1] == "valid"


# --- places


def test_keys_are_those_that_the_documentation_names() -> None:
    place = Place("b", "team/", "", "")
    assert place.image("python") == ImageKeys("team/rootfs-python.ext4.zst", "team/rootfs-python.manifest.json")
    own = place.image_of_snapshot("python-256")
    assert own.content == "team/snapshots/python-256/rootfs.ext4.zst"
    assert own.manifest == "team/snapshots/python-256/rootfs.manifest.json"
    assert place.snapshot_file("python-256", "memory") == "team/snapshots/python-256/memory.zst"
    assert place.snapshot_manifest("python-256") == "team/snapshots/python-256/manifest.json"


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("team/rootfs-python.manifest.json", "python"),
        ("team/rootfs-python3.11.manifest.json", "python3.11"),
        ("team/rootfs-python.ext4.zst", None),
        ("team/rootfs-../x.manifest.json", None),
        ("team/rootfs-X.manifest.json", None),
        ("team/rootfs-.manifest.json", None),
        ("other/rootfs-python.manifest.json", None),
    ],
)
def test_only_keys_that_a_name_gives_are_taken_for_images(key: str, name: str | None) -> None:
    assert Place("b", "team/", "", "").image_name(key) == name


@pytest.fixture
def settings() -> Callable[..., Settings]:
    return lambda **given: Settings.model_validate(given)


def test_what_is_asked_for_goes_before_the_settings(settings: Callable[..., Settings]) -> None:
    here = settings(s3_bucket="set", s3_prefix="/a/b/", s3_endpoint_url="http://set", s3_region="eu-1")
    assert Place.of(here, None) == Place("set", "a/b/", "http://set", "eu-1")
    asked = RemotePlace(bucket="asked", prefix="", endpoint_url="http://asked", region="us-1")
    assert Place.of(here, asked) == Place("asked", "", "http://asked", "us-1")


@pytest.mark.parametrize("prefix", ["..", "a/../b", "../../other-bucket", "./a", "a/.b", "a b", "a?b", "x" * 201])
def test_no_prefix_leads_out_of_the_bucket(prefix: str, settings: Callable[..., Settings]) -> None:
    with pytest.raises(ValidationError):
        RemotePlace(prefix=prefix)
    with pytest.raises(ValidationError):
        settings(s3_prefix=prefix)


def test_without_a_bucket_the_error_says_how_to_name_one(settings: Callable[..., Settings]) -> None:
    with pytest.raises(InputError, match="No bucket is named") as raised:
        Place.of(settings(), RemotePlace(endpoint_url="http://here"))
    assert "--bucket" in raised.value.remedy
    assert "s3_bucket" in raised.value.remedy

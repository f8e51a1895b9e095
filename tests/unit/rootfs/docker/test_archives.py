"""Images in files: every form gives the same tree and settings, and what is wrong with one is told."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.errors import InputError, VmdeckError
from engine.rootfs.docker.archives import same
from engine.rootfs.docker.unpacking import unpack
from tests.unit.rootfs.docker.conftest import seen
from tests.unit.rootfs.docker.saved import Made, digest, layout, layout_tar, saved, zstd
from tests.unit.rootfs.docker.tars import file, folder, hard_link, link, tar

BASE = tar(folder("bin"), file("bin/sh", b"shell", mode=0o755), file("gone"))
MIDDLE = tar(file(".wh.gone"), link("sh", "bin/sh"))
TOP = tar(hard_link("bin/bash", "bin/sh"), file("srv/code"))
IMAGE = Made([BASE, MIDDLE, TOP, MIDDLE])
FILES = ["bin", "bin/bash", "bin/sh", "sh", "srv", "srv/code"]
SETTINGS = {
    "id": f"sha256:{digest(IMAGE.config)}",
    "env": {"PATH": "/opt/bin:/bin", "GREETING": "hello=world", "EMPTY": ""},
    "workdir": "/srv",
    "user": "app",
}
FLAT = tar(folder("./"), folder("./bin"), file("./bin/sh"))

Unpacked = Callable[..., dict[str, object]]
needs_zstd = pytest.mark.skipif(shutil.which("zstd") is None, reason="no program zstd")


@pytest.fixture
def given(tmp_path: Path, tree: Path) -> Unpacked:
    """Unpacks a file of this content, or a folder of these files."""

    def unpacked(content: bytes | dict[str, bytes], image: str | None = None) -> dict[str, object]:
        source = tmp_path / "source"
        if isinstance(content, bytes):
            source.write_bytes(content)
        else:
            for name, text in content.items():
                (source / name).parent.mkdir(parents=True, exist_ok=True)
                (source / name).write_bytes(text)
        return unpack(tree, source, image)

    return unpacked


@pytest.mark.parametrize(
    "content",
    [
        saved(("app:1", IMAGE)),
        gzip.compress(saved(("app:1", IMAGE))),
        layout_tar(layout(("app:1", IMAGE))),
        layout(("app:1", IMAGE)),
        layout(("app:1", IMAGE), packed="tar"),
        layout(("app:1", IMAGE), nested=True),
        layout_tar(layout(("app:1", IMAGE), nested=True)),
    ],
    ids=["save", "save, gzip", "oci tar", "oci folder", "oci, not packed", "oci, platforms", "oci tar, platforms"],
)
def test_every_form_gives_the_image_and_its_settings(given: Unpacked, tree: Path, content: bytes) -> None:
    assert given(content) == {"name": "app:1", **SETTINGS}
    assert sorted(seen(tree)) == FILES
    assert (tree / "bin/bash").samefile(tree / "bin/sh")


@needs_zstd
@pytest.mark.parametrize(
    "packs", [lambda: zstd(saved(("app:1", IMAGE))), lambda: layout(("app:1", IMAGE), packed="zstd")]
)
def test_zstd_is_unpacked(given: Unpacked, tree: Path, packs: Callable[[], bytes]) -> None:
    assert given(packs()) == {"name": "app:1", **SETTINGS}
    assert sorted(seen(tree)) == FILES


@pytest.mark.parametrize("content", [FLAT, gzip.compress(FLAT)], ids=["tar", "gzip"])
def test_an_export_is_a_file_system_without_settings(given: Unpacked, tree: Path, content: bytes) -> None:
    assert given(content) == {"name": "", "id": "", "env": {}, "workdir": "/", "user": ""}
    assert sorted(seen(tree)) == ["bin", "bin/sh"]


def test_of_several_images_the_named_one_is_taken(given: Unpacked, tree: Path) -> None:
    other = Made([tar(file("other"))])
    assert given(saved(("one:1", IMAGE), ("docker.io/library/two:latest", other)), "two")["name"] == "two"
    assert sorted(seen(tree)) == ["other"]


@pytest.mark.parametrize("form", [saved, layout])
@pytest.mark.parametrize(("image", "said"), [(None, "not one image"), ("three", "no image 'three'")])
def test_which_images_there_are_is_told(given: Unpacked, form: Callable[..., bytes], image: str, said: str) -> None:
    other = Made([tar(file("other"))])
    with pytest.raises(InputError, match=said) as caught:
        given(form(("one:1", IMAGE), ("two:1", other)), image)
    assert "one:1" in f"{caught.value.message} {caught.value.remedy}"


def without(files: dict[str, bytes], name: str) -> dict[str, bytes]:
    return {each: content for each, content in files.items() if each != name}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (saved(("x:1", Made([BASE], "s390x"))), "is for linux/s390x"),
        (saved(("x:1", Made([BASE], os="windows"))), "is for windows/"),
        (layout(("x:1", Made([BASE], "s390x"))), "is for linux/s390x"),
        (saved(("x:1", Made([BASE], diff_ids=[f"sha256:{'0' * 64}"]))), "layer 1 is sha256:"),
        (layout(("x:1", Made([BASE], diff_ids=[f"sha256:{'0' * 64}"]))), "layer 1 is sha256:"),
        (saved(("x:1", Made([BASE], diff_ids=[f"sha256:{'0' * 64}"] * 2))), "1 layers and names 2"),
        (saved(("x:1", Made([BASE], runtime={"Env": ["A=" + "x" * 40_000]}))), "over 32768 bytes"),
        (saved(("x:1", Made([BASE], runtime={"Env": ["A=\0"]}))), "zero byte"),
        (saved(("x:1", Made([BASE], runtime={"Env": 3}))), "config.Env"),
        (saved(("x:1", Made([b"no tar at all" * 100]))), "damaged"),
        (saved(("x:1", Made([tar(file("../x"))]))), "leads out"),
        (tar(file("manifest.json", b'[{"Config": "../../etc/passwd", "Layers": []}]')), "no file '../../etc/passwd'"),
        (tar(file("manifest.json", b"{")), "manifest.json is not as it should be"),
        (tar(file("manifest.json", b"[]")), "not one image"),
        (tar(file("repositories", b"{}")), "before 1.10"),
        (tar(), "nothing in it"),
        ({"other": b""}, "no OCI layout"),
        ({"manifest.json": b'[{"Config": "/etc/passwd", "Layers": []}]'}, "no file"),
        ({"manifest.json": b'[{"Config": "../x", "Layers": []}]'}, "leads out"),
        ({"index.json": b'{"manifests": [{"digest": "sha256:../../x"}]}'}, "manifests.0.digest"),
        ({"index.json": json.dumps({"manifests": [{"digest": f"sha256:{'0' * 64}"}]}).encode()}, "no file"),
        ({**layout(("x:1", IMAGE)), f"blobs/sha256/{digest(IMAGE.config)}": b"{}"}, "has another digest"),
        (
            without(
                layout(
                    (
                        "x:1",
                        Made([BASE]),
                    ),
                    packed="tar",
                ),
                f"blobs/sha256/{digest(BASE)}",
            ),
            "no file",
        ),
        (b"\x1f\x8b\x08" + b"x" * 100, "damaged"),
        (gzip.compress(FLAT)[:-20], "damaged"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_wrong_is_told(given: Unpacked, content: bytes, said: str) -> None:
    with pytest.raises(VmdeckError, match=said) as caught:
        given(content)
    assert caught.value.remedy


def test_a_blob_that_is_a_link_is_not_followed(given: Unpacked, tmp_path: Path) -> None:
    """Else a layout could bring in files of the host."""
    files = layout(("x:1", IMAGE), packed="tar")
    blob = f"blobs/sha256/{digest(BASE)}"
    (tmp_path / "elsewhere").write_bytes(files[blob])
    (tmp_path / "source" / "blobs" / "sha256").mkdir(parents=True)
    (tmp_path / "source" / blob).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="no file"):
        given(without(files, blob))


@pytest.mark.parametrize(
    ("one", "two", "equal"),
    [
        ("busybox", "docker.io/library/busybox:latest", True),
        ("a/b:1", "docker.io/a/b:1", True),
        ("host:5000/a", "host:5000/a:latest", True),
        ("a:1", "a:2", False),
        ("a", "b", False),
    ],
)
def test_a_registrys_default_parts_of_a_name_may_be_left_out(one: str, two: str, equal: bool) -> None:
    assert same(one, two) is equal

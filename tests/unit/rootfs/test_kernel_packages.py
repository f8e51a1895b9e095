"""The distribution's kernel, its packages made here and handed out by a stand-in for apt; suite and sources of images.

What Ubuntu's packages hold and depend on is as its archive has it: the modules beside the kernel, some of them in a
package of their own.
"""

from __future__ import annotations

import gzip
import os
import platform
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from engine.errors import NotReadyError
from engine.models import BuildImageRequest
from engine.rootfs import archive, debian
from engine.rootfs.kernel import fetch_packaged_kernel, installed_kernel
from engine.rootfs.progress import silent
from engine.rootfs.store import ImageStore
from engine.settings import Settings
from tests.unit.rootfs.builders import MAKES_A_TREE, UNSHARE
from tests.unit.rootfs.test_bzimage import KERNEL, bzimage
from tests.unit.rootfs.test_kernel_modules import module

DEBIAN = {"ID": "debian", "VERSION_CODENAME": "bookworm"}
UBUNTU = {"ID": "ubuntu", "ID_LIKE": "debian", "VERSION_CODENAME": "noble", "UBUNTU_CODENAME": "noble"}
MINT = {"ID": "linuxmint", "ID_LIKE": "ubuntu debian", "VERSION_CODENAME": "wilma", "UBUNTU_CODENAME": "noble"}
ARCH = {"ID": "arch"}
VERSION = "6.8.0-31-generic"
BUILT_IN = ("virtio_mmio", "virtio_pci", "virtio_blk", "virtio_console", "overlay", "vmw_vsock_virtio_transport")


class Apt:
    """A folder of packages, and stand-ins for apt-cache and apt-get that know them and no others."""

    def __init__(self, folder: Path) -> None:
        self.packages = folder / "packages"
        self.programs = folder / "programs"
        self.packages.mkdir()
        self.programs.mkdir()
        self.program("dpkg", "echo amd64")
        self.program(
            "apt-cache",
            f"""verb=$1; shift; [ "$verb" = depends ] && shift 2
            for name; do
                [ -e {self.packages}/"$name".depends ] || continue
                case $verb in
                    depends) cat {self.packages}/"$name".depends;;
                    policy) printf '%s:\\n  Installed: (none)\\n  Candidate: 1.0\\n' "$name";;
                esac
            done""",
        )
        self.program(
            "apt-get",
            f"""while [ "$1" != download ]; do shift; done; shift
            for pinned; do cp {self.packages}/"${{pinned%=*}}.deb" .; echo "${{pinned%=*}}" >>{folder}/taken; done""",
        )
        self.taken_file = folder / "taken"

    def program(self, name: str, body: str) -> None:
        (self.programs / name).write_text(f"#!/bin/sh\n{body}\n")
        (self.programs / name).chmod(0o755)

    def add(self, name: str, files: dict[str, bytes], depends: str = "") -> None:
        (self.packages / f"{name}.depends").write_text(f"{name}\n" + (f"  Depends: {depends}\n" if depends else ""))
        tree = self.packages / name
        (tree / "DEBIAN").mkdir(parents=True)
        control = f"Package: {name}\nVersion: 1.0\nArchitecture: amd64\nMaintainer: a <a@b.invalid>\nDescription: a\n"
        (tree / "DEBIAN/control").write_text(control)
        for path, data in files.items():
            (tree / path).parent.mkdir(parents=True, exist_ok=True)
            (tree / path).write_bytes(data)
        subprocess.run(["dpkg-deb", "--build", tree, f"{tree}.deb"], check=True, capture_output=True)

    @property
    def taken(self) -> list[str]:
        return self.taken_file.read_text().split()


@pytest.fixture
def apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Apt:
    made = Apt(tmp_path)
    monkeypatch.setenv("PATH", f"{made.programs}:{os.environ['PATH']}")
    return made


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "data")


def host_is(monkeypatch: pytest.MonkeyPatch, release: dict[str, str]) -> None:
    monkeypatch.setattr(platform, "freedesktop_os_release", lambda: release)


def boot(version: str) -> dict[str, bytes]:
    return {f"boot/vmlinuz-{version}": bzimage(gzip.compress(KERNEL))}


def tree(version: str, *, built_in: tuple[str, ...] = (), modules: tuple[str, ...] = ()) -> dict[str, bytes]:
    files = {f"lib/modules/{version}/kernel/{name}.ko": module() for name in modules}
    if built_in:
        listed = "".join(f"kernel/{name}.ko\n" for name in built_in)
        files[f"lib/modules/{version}/modules.builtin"] = listed.encode()
    return files


def add_ubuntu(apt: Apt, *, modules: tuple[str, ...], extra: tuple[str, ...]) -> None:
    apt.add("linux-image-virtual", {}, depends=f"linux-image-{VERSION}")
    apt.add(f"linux-image-{VERSION}", boot(VERSION))
    apt.add(f"linux-modules-{VERSION}", tree(VERSION, built_in=BUILT_IN, modules=modules))
    apt.add(f"linux-modules-extra-{VERSION}", tree(VERSION, modules=extra))


async def test_debians_kernel_is_its_cloud_package_alone(
    apt: Apt, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    host_is(monkeypatch, DEBIAN)
    version = "6.1.0-9-cloud-amd64"
    apt.add("linux-image-cloud-amd64", {}, depends=f"linux-image-{version}")
    apt.add(f"linux-image-{version}", boot(version) | tree(version, modules=("virtio_blk",)))
    kernel = await fetch_packaged_kernel(settings)
    assert (kernel.id, kernel.version, kernel.brought) == (f"debian-{version}", version, False)
    assert apt.taken == [f"linux-image-{version}"]


async def test_ubuntus_kernel_comes_with_the_package_of_its_modules(
    apt: Apt, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    host_is(monkeypatch, UBUNTU)
    add_ubuntu(apt, modules=("virtio-rng",), extra=())
    kernel = await fetch_packaged_kernel(settings)
    assert (kernel.id, kernel.version, kernel.manifest.package_version) == (f"ubuntu-{VERSION}", VERSION, "1.0")
    assert kernel.vmlinux.read_bytes() == KERNEL
    assert (kernel.modules_dir / "kernel/virtio-rng.ko").is_file()
    assert apt.taken == [f"linux-image-{VERSION}", f"linux-modules-{VERSION}"]
    assert installed_kernel(settings) == kernel


async def test_the_extra_modules_are_taken_only_where_guests_need_one(
    apt: Apt, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    host_is(monkeypatch, MINT)
    add_ubuntu(apt, modules=(), extra=("virtio-rng",))
    kernel = await fetch_packaged_kernel(settings)
    assert (kernel.modules_dir / "kernel/virtio-rng.ko").is_file()
    assert (kernel.modules_dir / "modules.builtin").is_file()
    assert apt.taken[-1] == f"linux-modules-extra-{VERSION}"


async def test_a_kernel_without_a_module_that_guests_need_is_not_installed(
    apt: Apt, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    host_is(monkeypatch, UBUNTU)
    add_ubuntu(apt, modules=(), extra=())
    with pytest.raises(NotReadyError, match="no module virtio_rng"):
        await fetch_packaged_kernel(settings)
    assert installed_kernel(settings) is None
    assert list(settings.kernels_dir.iterdir()) == []


# --- images


@pytest.mark.parametrize(("release", "suite"), [(DEBIAN, "bookworm"), (UBUNTU, "noble"), (MINT, "noble")])
def test_images_follow_the_suite_that_the_hosts_packages_are_of(
    release: dict[str, str], suite: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    host_is(monkeypatch, release)
    assert debian.host_suite() == suite


def test_a_host_of_neither_names_the_setting_that_chooses_a_suite(monkeypatch: pytest.MonkeyPatch) -> None:
    host_is(monkeypatch, ARCH)
    with pytest.raises(NotReadyError) as caught:
        debian.host_suite()
    assert "default_suite" in caught.value.remedy


@pytest.mark.parametrize(("suite", "own_sources"), [("noble", True), ("bookworm", False)])
async def test_on_ubuntu_images_of_its_own_suite_come_from_the_sources_of_its_apt(
    suite: str, own_sources: bool, apt: Apt, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host_is(monkeypatch, UBUNTU)
    moved, sources = tmp_path / "sources.list", tmp_path / "ubuntu.sources"
    moved.write_text("# Ubuntu sources have moved to another file\n")
    sources.write_text("Types: deb\nURIs: http://mirror.invalid/ubuntu/\nSuites: noble\nComponents: main universe\n")
    monkeypatch.setattr(archive, "UBUNTU", replace(archive.UBUNTU, sources=(moved, sources)))
    apt.add("base-files", {})
    apt.add("bash", {})
    apt.program("unshare", UNSHARE)
    apt.program("mmdebstrap", f'printf "%s\\n" "$@" >{tmp_path}/arguments; {MAKES_A_TREE}')
    named = None if own_sources else suite
    request = BuildImageRequest(name="test", packages=("bash",), suite=named, languages=("bash",))
    image = await debian.build_debian_image(settings, ImageStore(settings), request, silent)
    assert image.source == f"{'ubuntu' if own_sources else 'debian'} {suite}"
    arguments = (tmp_path / "arguments").read_text().splitlines()
    assert (arguments[-1] == str(sources)) is own_sources
    assert suite in arguments

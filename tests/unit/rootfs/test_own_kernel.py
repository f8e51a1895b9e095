"""Kernels that the operator brings, small ones made here: what is taken for one, and which one guests boot."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import pytest

from engine.errors import NotReadyError
from engine.rootfs import own_kernel
from engine.rootfs.kernel import Kernel, KernelManifest, choose_kernel, installed_kernel, load_kernel, verify_kernel
from engine.rootfs.kernel_modules import WANTED
from engine.rootfs.own_kernel import examine, find_modules, install_own_kernel, own_kernel_id
from engine.rootfs.regular_file import refuse_foreign
from engine.settings import Settings
from tests.unit.rootfs.test_bzimage import bzimage, lz4_legacy, with_size
from tests.unit.rootfs.test_kernel_modules import module

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="the kernels made here are for x86_64")
VERSION = "6.12.113-test"
OTHER = 12345  # a user


def elf(version: str = VERSION, machine: int = 62) -> bytes:
    header = b"\x7fELF\x02\x01\x01".ljust(16, b"\0") + b"\x02\x00" + machine.to_bytes(2, "little")
    return header.ljust(4096, b"\0") + f"Linux version {version} (me@here) (gcc 12) #1 SMP\n".encode()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "data")


def write(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def tree(path: Path) -> Path:
    """Modules of a kernel that has all that guests want, one as a module and the rest built in."""
    write(path / "kernel/drivers/virtio_blk.ko", module())
    write(path / "kernel/drivers/sound.ko", module())
    write(path / "modules.builtin", "".join(f"kernel/{name}.ko\n" for name in WANTED if name != "virtio_blk").encode())
    return path


async def brought(settings: Settings, file: Path, modules: Path | None = None) -> Kernel:
    return await install_own_kernel(settings, examine(file), str(file), modules)


async def test_an_elf_alone_serves_in_both_roles(settings: Settings, tmp_path: Path) -> None:
    kernel = await brought(settings, write(tmp_path / "vmlinux", elf()))
    assert (kernel.version, kernel.brought) == (VERSION, True)
    assert kernel.bzimage == kernel.vmlinux
    assert kernel.vmlinux.read_bytes() == elf()
    assert load_kernel(kernel.folder) == kernel
    assert verify_kernel(kernel) == []


async def test_of_a_bzimage_the_elf_is_taken_too(settings: Settings, tmp_path: Path) -> None:
    image = bzimage(with_size(lz4_legacy(elf()), len(elf())))
    kernel = await brought(settings, write(tmp_path / "vmlinuz", image))
    assert (kernel.bzimage.read_bytes(), kernel.vmlinux.read_bytes()) == (image, elf())
    assert verify_kernel(kernel) == []


@pytest.mark.parametrize(
    "content", [b"", b"text", elf(machine=183), elf().replace(b"Linux", b"Other"), bzimage(b"x" * 99)]
)
def test_what_is_no_kernel_for_this_host_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(NotReadyError) as caught:
        examine(write(tmp_path / "file", content))
    assert caught.value.remedy


def test_on_arm_an_image_is_the_kernel_and_no_elf_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    image = bytes(56) + b"ARM\x64" + elf()
    kernel = examine(write(tmp_path / "Image", image))
    assert (kernel.arch, kernel.version, kernel.vmlinux, kernel.bzimage) == ("arm64", VERSION, image, None)
    with pytest.raises(NotReadyError, match="no kernel for aarch64"):
        examine(write(tmp_path / "vmlinux", elf(machine=183)))


def test_a_file_too_large_is_refused_before_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_kernel, "MAX_KERNEL_BYTES", 1000)
    with pytest.raises(NotReadyError, match="larger"):
        examine(write(tmp_path / "vmlinux", elf()))


def test_modules_are_looked_for_beside_the_file_and_then_on_the_host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own_kernel, "HOST_MODULES", tmp_path / "host")
    beside = tmp_path / "stick"
    assert find_modules(VERSION, beside) is None
    (tmp_path / "host" / VERSION).mkdir(parents=True)
    assert find_modules(VERSION, beside) is None, "an empty folder is no module tree"
    host = tree(tmp_path / "host" / VERSION)
    assert find_modules(VERSION, beside) == find_modules(VERSION, None) == host
    of_version = tree(beside / "lib/modules" / VERSION)
    assert find_modules(VERSION, beside) == of_version
    plain = tree(beside / "modules")
    assert find_modules(VERSION, beside) == plain


def as_link(place: Path) -> None:
    place.rename(place.with_name("elsewhere"))
    place.symlink_to(place.with_name("elsewhere"))


SPOILT = {
    "the folder is another's": lambda beside: os.chown(beside / "modules", OTHER, OTHER),
    "a module is another's": lambda beside: os.chown(beside / "modules/kernel/drivers/virtio_blk.ko", OTHER, OTHER),
    "others may write in the folder": lambda beside: (beside / "modules/kernel").chmod(0o777),
    "others may write in the folder above": lambda beside: beside.chmod(0o777),
    "the tree is a link": lambda beside: as_link(beside / "modules"),
    "a module is a link": lambda beside: as_link(beside / "modules/kernel/drivers/virtio_blk.ko"),
    "the list is a link": lambda beside: as_link(beside / "modules/modules.builtin"),
}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")
@pytest.mark.parametrize("how", SPOILT)
def test_modules_that_another_user_could_have_put_there_are_refused(tmp_path: Path, how: str) -> None:
    beside = tmp_path / "stick"
    tree(beside / "modules")
    assert find_modules(VERSION, beside) == beside / "modules"
    SPOILT[how](beside)
    with pytest.raises(NotReadyError) as caught:
        find_modules(VERSION, beside)
    assert caught.value.remedy


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")
def test_what_root_has_in_a_folder_like_tmp_is_roots_and_what_another_has_is_not(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    tree(shared / "modules")
    shared.chmod(0o1777)
    assert find_modules(VERSION, shared) == shared / "modules"
    os.chown(shared / "modules", OTHER, OTHER)
    with pytest.raises(NotReadyError, match=f"belongs to user {OTHER}"):
        find_modules(VERSION, shared)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")
def test_who_became_root_by_sudo_may_bring_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(tmp_path / "vmlinux", elf())
    os.chown(file, OTHER, OTHER)
    with pytest.raises(NotReadyError):
        refuse_foreign(file)
    monkeypatch.setenv("SUDO_UID", str(OTHER))
    refuse_foreign(file)


def test_the_version_that_a_kernel_says_leads_to_no_other_folder(tmp_path: Path) -> None:
    with pytest.raises(NotReadyError, match="does not say its version"):
        examine(write(tmp_path / "vmlinux", elf("6.1/../../../tmp/evil")))


async def test_of_the_modules_those_are_kept_that_guests_load(settings: Settings, tmp_path: Path) -> None:
    kernel = await brought(settings, write(tmp_path / "vmlinux", elf()), tree(tmp_path / "tree"))
    assert {path.name for path in kernel.modules_dir.iterdir()} == {"modules.builtin", "virtio_blk.ko"}


async def test_modules_that_lack_what_guests_want_install_nothing(settings: Settings, tmp_path: Path) -> None:
    modules = tree(tmp_path / "tree")
    (modules / "kernel/drivers/virtio_blk.ko").unlink()
    with pytest.raises(NotReadyError, match="virtio_blk"):
        await brought(settings, write(tmp_path / "vmlinux", elf()), modules)
    assert list(settings.kernels_dir.iterdir()) == []


def debians(settings: Settings, version: str) -> Kernel:
    """A kernel folder as Debian's package makes it."""
    folder = settings.kernels_dir / f"debian-{version}"
    (folder / "modules").mkdir(parents=True)
    for name in ("bzImage", "vmlinux"):
        (folder / name).write_bytes(elf(version))
    manifest = KernelManifest.model_validate(
        {
            "id": folder.name, "version": version, "arch": "amd64", "package": "linux-image", "package_version": "1",
            "package_sha256": "", "bzimage_sha256": "x", "vmlinux_sha256": "x", "modules_sha256": "x",
            "created": "2026-01-01T00:00:00Z",
        }
    )  # fmt: skip
    (folder / "manifest.json").write_text(manifest.model_dump_json())
    return Kernel(folder=folder, manifest=manifest)


async def test_guests_boot_the_kernel_that_was_brought_until_debians_is_chosen(
    settings: Settings, tmp_path: Path
) -> None:
    newest = debians(settings, "6.99.0")
    debians(settings, "6.1.0")
    assert installed_kernel(settings) == newest
    own = await brought(settings, write(tmp_path / "vmlinux", elf("5.10.1")))
    assert installed_kernel(settings) == own
    choose_kernel(settings, None)
    assert installed_kernel(settings) == newest
    assert load_kernel(own.folder) == own, "it stays, for it may be chosen again"


async def test_a_chosen_kernel_that_is_gone_is_not_quietly_replaced(settings: Settings) -> None:
    debians(settings, "6.1.0")
    choose_kernel(settings, own_kernel_id("a" * 64))
    assert installed_kernel(settings) is None


@pytest.mark.parametrize("note", ["", "\n", "../..", "/etc"])
async def test_a_spoilt_note_chooses_nothing(settings: Settings, note: str) -> None:
    debians(settings, "6.1.0")
    (settings.kernels_dir / "chosen").write_text(note)
    assert installed_kernel(settings) is None

"""A guest kernel that the operator brings: a bzImage, an ELF file or an arm64 Image; it gets a folder like Debian's.

A kernel that has virtio and the rest built in needs no modules. For another they are taken from the folder ``modules``
or ``lib/modules/<version>`` beside its file, or from the host's own /lib/modules/<version>, and of them only those that
guests load. They are read with this process's rights, so modules beside the file must be of nobody else.
Nothing here can tell whether a kernel without modules has all that a guest needs: its first boot does.
"""

from __future__ import annotations

import hashlib
import platform
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from engine.errors import NotReadyError
from engine.rootfs import kernel_modules
from engine.rootfs.bzimage import ELF_MAGIC, HEADER_BYTES, begins_as_kernel, extract_kernel, is_arm_image
from engine.rootfs.kernel import MANIFEST, Kernel, KernelManifest, choose_kernel, tree_sha256
from engine.rootfs.progress import Progress, silent
from engine.rootfs.regular_file import open_regular, refuse_foreign_tree
from engine.rootfs.staging import in_thread, staged_folder
from engine.settings import Settings

MAX_KERNEL_BYTES = 256 * 1024 * 1024
HOST_MODULES = Path("/lib/modules")
_BANNER = re.compile(rb"Linux version (\d[\w.+~-]{0,100}) ")
_ARCHS = {"x86_64": "amd64", "aarch64": "arm64"}  # as Debian calls them
_ELF_X86_64 = b"\x3e\x00"  # at 18


def _is_x86_elf(vmlinux: bytes) -> bool:
    return vmlinux.startswith(ELF_MAGIC) and vmlinux[18:20] == _ELF_X86_64


def _never(vmlinux: bytes) -> bool:
    return False


# What VMMs boot on each machine.
_FITS = {"x86_64": _is_x86_elf, "aarch64": is_arm_image}


@dataclass(frozen=True, slots=True)
class BroughtKernel:
    """A kernel file as examined. ``vmlinux`` is not packed; ``bzimage`` is None where the file is just that."""

    sha256: str
    version: str
    arch: str
    vmlinux: bytes
    bzimage: bytes | None

    @property
    def id(self) -> str:
        return own_kernel_id(self.sha256)


def own_kernel_id(sha256: str) -> str:
    """The id that a kernel file of this digest gets."""
    return f"own-{sha256[:12]}"


def examine(file: Path) -> BroughtKernel:
    """Read ``file`` and see what kernel it is; takes a second. Raises NotReadyError where it is none for this host."""
    data = read_kernel(file)
    vmlinux = extract_kernel(data)
    machine = platform.machine()
    if not _FITS.get(machine, _never)(vmlinux):
        raise NotReadyError(f"{file} is no kernel for {machine}", remedy="Bring one that is")
    banner = _BANNER.search(vmlinux)
    if banner is None:
        raise NotReadyError(f"{file} is no Linux kernel: it does not say its version", remedy="Bring another file")
    bzimage = None if vmlinux is data else data
    return BroughtKernel(hashlib.sha256(data).hexdigest(), banner[1].decode(), _ARCHS[machine], vmlinux, bzimage)


def find_modules(version: str, beside: Path | None) -> Path | None:
    """The module tree for that kernel, None where there is none; looks at all of it.

    Raises NotReadyError where another user could alter the one beside the kernel.
    """
    for place in () if beside is None else (beside / "modules", beside / "lib/modules" / version):
        if (place / kernel_modules.BUILT_IN).is_file():
            refuse_foreign_tree(place)
            return place
    host = HOST_MODULES / version
    return host if (host / kernel_modules.BUILT_IN).is_file() else None


async def install_own_kernel(
    settings: Settings, brought: BroughtKernel, source: str, modules: Path | None, progress: Progress = silent
) -> Kernel:
    """Make its folder, and have guests boot it from now on. ``source`` says where it came from.

    Raises NotReadyError: modules that guests need are missing or damaged, disk full, folder not writable.
    """
    target = settings.kernels_dir / brought.id
    async with staged_folder(target) as folder:
        kept = await in_thread(_keep_modules, modules, folder / "modules")
        progress(f"Kernel {brought.version}, {_told(modules, kept)}", 0.5)
        manifest = await in_thread(_lay_out, folder, brought, source)
    choose_kernel(settings, brought.id)
    progress(f"Guests boot kernel {brought.id} from now on", 1.0)
    return Kernel(folder=target, manifest=manifest)


def read_kernel(file: Path) -> bytes:
    """What is in ``file``, which begins as a kernel does. Raises NotReadyError: too large, not readable, no kernel."""
    try:
        with open_regular(file) as opened:
            if not begins_as_kernel(opened.read(HEADER_BYTES)):
                raise NotReadyError(f"{file} is no kernel: neither bzImage, ELF file nor Image", remedy="Bring another")
            opened.seek(0)
            data = opened.read(MAX_KERNEL_BYTES + 1)
    except OSError as error:
        raise NotReadyError(f"The kernel {file} can't be read: {error.strerror}", remedy="Name a kernel file") from None
    if len(data) > MAX_KERNEL_BYTES:
        raise NotReadyError(
            f"{file} is larger than the {MAX_KERNEL_BYTES // 1024 // 1024} MiB that a kernel may have",
            remedy="Strip its debugging symbols: strip --strip-debug",
        )
    return data


def _keep_modules(tree: Path | None, into: Path) -> int:
    """Copy what guests load of ``tree``, unpacked. How many modules that is."""
    into.mkdir()
    if tree is None:
        return 0
    found = kernel_modules.collect(tree)
    for name, data in found.content.items():
        (into / f"{name}.ko").write_bytes(data)
    with open_regular(tree / kernel_modules.BUILT_IN, follow=False) as listed:
        (into / kernel_modules.BUILT_IN).write_bytes(listed.read())
    return len(found.content)


def _told(modules: Path | None, kept: int) -> str:
    if modules is None:
        return "without modules: guests have what it has built in, and no more"
    return f"with {kept} modules of {modules}"


def _lay_out(folder: Path, brought: BroughtKernel, source: str) -> KernelManifest:
    (folder / "vmlinux").write_bytes(brought.vmlinux)
    if brought.bzimage is not None:
        (folder / "bzImage").write_bytes(brought.bzimage)
    manifest = KernelManifest(
        id=brought.id,
        version=brought.version,
        arch=brought.arch,
        source=source,
        source_sha256=brought.sha256,
        bzimage_sha256="" if brought.bzimage is None else brought.sha256,
        vmlinux_sha256=hashlib.sha256(brought.vmlinux).hexdigest(),
        modules_sha256=tree_sha256(folder / "modules"),
        created=datetime.now(UTC),
    )
    (folder / MANIFEST).write_text(manifest.model_dump_json(indent=2))
    return manifest

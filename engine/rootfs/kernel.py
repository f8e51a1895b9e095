"""Guest kernels: the distribution's (archive.py), downloaded and unpacked, not installed; which one guests boot.

Each lies in ``kernels/<id>/`` in both forms that VMMs want (bzImage for QEMU, the ELF inside it for PVH boot and
Firecracker), with its modules and a manifest of digests. One that the operator brings (own_kernel.py) may lack the
bzImage; guests boot it once it is chosen, by its id in ``kernels/chosen``.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from datetime import UTC, datetime
from pathlib import Path

from pydantic import Field, ValidationError

from engine.errors import NotReadyError
from engine.models import Name, Value
from engine.rootfs import kernel_modules, packages
from engine.rootfs.archive import Archive
from engine.rootfs.bzimage import extract_elf
from engine.rootfs.packages import Package
from engine.rootfs.progress import Progress, silent
from engine.rootfs.staging import explained, in_thread, sha256_file, staged_folder
from engine.settings import Settings

MANIFEST = "manifest.json"
CHOSEN = "chosen"


class KernelManifest(Value):
    """What is known of a kernel, as written beside it."""

    id: Name
    version: str = Field(description="as uname -r says")
    arch: str = Field(description="Debian's name of the architecture")
    package: str = Field(default="", description="the distribution's, as the two below; empty for one that was brought")
    package_version: str = ""
    package_sha256: str = ""
    source: str = Field(default="", description="where a kernel that was brought came from")
    source_sha256: str = Field(default="", description="of the file that was brought")
    bzimage_sha256: str = Field(default="", description="empty where there is only the ELF")
    vmlinux_sha256: str
    modules_sha256: str = Field(description="over names and contents of the module tree")
    cmdline: str = Field(
        default="", description="what this kernel needs on its command line beyond what every one does"
    )
    created: datetime


class Kernel(Value):
    """A complete kernel on this host."""

    folder: Path
    manifest: KernelManifest

    @property
    def id(self) -> str:
        return self.manifest.id

    @property
    def version(self) -> str:
        return self.manifest.version

    @property
    def arch(self) -> str:
        return self.manifest.arch

    @property
    def cmdline(self) -> str:
        return self.manifest.cmdline

    @property
    def brought(self) -> bool:
        """By the operator, not from a package."""
        return not self.manifest.package

    @property
    def bzimage(self) -> Path:
        """For VMMs that load a bzImage; the ELF, which they load too, where there is no other."""
        return self.folder / "bzImage" if self.manifest.bzimage_sha256 else self.vmlinux

    @property
    def vmlinux(self) -> Path:
        return self.folder / "vmlinux"

    @property
    def modules_dir(self) -> Path:
        """The folder that /lib/modules/<version> would be."""
        return self.folder / "modules"


async def fetch_packaged_kernel(settings: Settings, progress: Progress = silent) -> Kernel:
    """Download the newest kernel for virtual machines that apt knows, unless it is here already.

    Raises NotReadyError: apt's lists are missing, no network, disk full, folder not writable, no modules for guests.
    """
    archive = Archive.here()
    name, release = await _concrete_package(archive)
    version = (await packages.candidate_versions([name]))[name]
    kernel_id = f"{archive.name}-{release}"
    present = load_kernel(settings.kernels_dir / kernel_id)
    if present is not None and present.manifest.package_version == version:
        progress(f"Kernel {kernel_id} ({version}) is here", 1.0)
        return present
    target = settings.kernels_dir / kernel_id
    async with staged_folder(target) as folder:
        progress(f"Downloading {name} {version}", 0.1)
        (package,) = await packages.download([name], folder / "download", progress)
        progress("Unpacking the kernel", 0.6)
        await packages.unpack(package, folder / "download" / "root")
        await _add_modules(folder / "download", [each.format(version=release) for each in archive.modules], progress)
        manifest = await in_thread(_lay_out, folder, kernel_id, package)
        (folder / MANIFEST).write_text(manifest.model_dump_json(indent=2))
        progress("Writing the kernel to disk", 0.9)
    progress(f"Kernel {kernel_id} is ready", 1.0)
    return Kernel(folder=target, manifest=manifest)


def installed_kernel(settings: Settings) -> Kernel | None:
    """The kernel that guests boot: the chosen one, None where that is not complete; else the newest packaged."""
    chosen = settings.kernels_dir / CHOSEN
    if chosen.is_file():
        return load_kernel(settings.kernels_dir / Path(chosen.read_text().strip() or ".").name)
    if not settings.kernels_dir.is_dir():
        return None
    kernels = [kernel for path in settings.kernels_dir.iterdir() if (kernel := load_kernel(path)) is not None]
    packaged = (kernel for kernel in kernels if not kernel.brought)
    return max(packaged, key=lambda kernel: _version_key(kernel.version), default=None)


def choose_kernel(settings: Settings, kernel_id: str | None) -> None:
    """From now on guests boot this kernel; None: the newest packaged. Raises NotReadyError if that can't be noted."""
    path = settings.kernels_dir / CHOSEN
    try:
        if kernel_id is None:
            path.unlink(missing_ok=True)
            return
        note = path.with_name(f".{CHOSEN}")
        note.write_bytes(choice_note(kernel_id))
        note.replace(path)
    except OSError as error:
        raise explained(error, path) from error


def choice_note(kernel_id: str) -> bytes:
    """What stands in the file of that choice."""
    return f"{kernel_id}\n".encode()


def load_kernel(folder: Path) -> Kernel | None:
    """The kernel in ``folder``, None where it is not complete. Digests are not computed: see ``verify_kernel``."""
    if folder.name.startswith("."):
        return None
    try:
        manifest = KernelManifest.model_validate_json((folder / MANIFEST).read_bytes())
    except (OSError, ValidationError):
        return None
    kernel = Kernel(folder=folder, manifest=manifest)
    complete = kernel.bzimage.is_file() and kernel.vmlinux.is_file() and kernel.modules_dir.is_dir()
    return kernel if complete else None


def verify_kernel(kernel: Kernel) -> list[str]:
    """What of ``kernel`` is not as it was made; reads all of it (about 150 MB)."""
    manifest = kernel.manifest
    digests = (
        (kernel.bzimage, sha256_file, manifest.bzimage_sha256 or manifest.vmlinux_sha256),
        (kernel.vmlinux, sha256_file, manifest.vmlinux_sha256),
        (kernel.modules_dir, tree_sha256, manifest.modules_sha256),
    )
    return [f"{path} has changed since it was made" for path, digest, wanted in digests if digest(path) != wanted]


def tree_sha256(tree: Path) -> str:
    """Digest over the relative names and contents of all files below ``tree``."""
    digest = hashlib.sha256()
    for path in sorted(path for path in tree.rglob("*") if path.is_file()):
        digest.update(f"{path.relative_to(tree)}\0{sha256_file(path)}\n".encode())
    return digest.hexdigest()


async def _concrete_package(archive: Archive) -> tuple[str, str]:
    """The package that the archive's meta package stands for today, and its kernel's version."""
    arch = await packages.architecture()
    meta = archive.meta.format(arch=arch)
    for name in await packages.dependencies(meta):
        if match := re.fullmatch(archive.concrete.format(arch=re.escape(arch)), name):
            return name, match["version"]
    raise NotReadyError(
        f"{meta} names no kernel package", remedy=f"Run `apt-get update` and see that the archive is {archive.title}'s"
    )


async def _add_modules(download: Path, names: list[str], progress: Progress) -> None:
    """Unpack, beside the kernel that lies in ``download``/root, as many of the named packages as guests need.

    Raises NotReadyError where they lack a module after the last.
    """
    for number, name in enumerate(names, 1):
        progress(f"Downloading {name}", 0.6 + 0.1 * number)
        (package,) = await packages.download([name], download, progress)
        await packages.unpack(package, download / "root")
        try:
            await in_thread(kernel_modules.collect, _modules_in(download / "root"))
        except NotReadyError:
            if number == len(names):
                raise
        else:
            return


def _modules_in(root: Path) -> Path:
    """The folder /lib/modules/<version> of the one kernel that is unpacked at ``root``."""
    found = [tree for place in ("lib/modules", "usr/lib/modules") for tree in (root / place).glob("*")]
    if len(found) != 1:
        raise NotReadyError(
            f"The kernel's packages hold {len(found)} trees of modules, and not one",
            remedy="Bring a kernel of your own: vmdeck setup --kernel FILE",
        )
    return found[0]


def _lay_out(folder: Path, kernel_id: str, package: Package) -> KernelManifest:
    """Turn the unpacked package under ``folder``/download into a kernel folder."""
    root = folder / "download" / "root"
    (vmlinuz,) = (root / "boot").glob("vmlinuz-*")
    version = vmlinuz.name.removeprefix("vmlinuz-")
    vmlinuz.rename(folder / "bzImage")
    (folder / "vmlinux").write_bytes(extract_elf((folder / "bzImage").read_bytes()))
    _modules_in(root).rename(folder / "modules")
    shutil.rmtree(folder / "download")
    return KernelManifest(
        id=kernel_id,
        version=version,
        arch=package.architecture,
        package=package.name,
        package_version=package.version,
        package_sha256=package.sha256,
        bzimage_sha256=sha256_file(folder / "bzImage"),
        vmlinux_sha256=sha256_file(folder / "vmlinux"),
        modules_sha256=tree_sha256(folder / "modules"),
        cmdline="",
        created=datetime.now(UTC),
    )


def _version_key(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version))

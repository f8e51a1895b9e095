"""The one initramfs that all languages boot with: kernel modules, a private Python, the agent.

Built reproducibly: the same kernel, packages and agent give the same bytes, under ``guest/<digest of those inputs>/``.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from datetime import UTC, datetime
from importlib.resources import as_file, files
from pathlib import Path

from pydantic import Field, ValidationError

from engine.models import Value
from engine.rootfs import cpio, kernel_modules, packages, python_runtime, runtime_modules
from engine.rootfs.kernel import Kernel
from engine.rootfs.progress import Progress, silent
from engine.rootfs.staging import in_thread, sha256_file, staged_folder
from engine.settings import Settings

MANIFEST = "manifest.json"
ARCHIVE = "initramfs.cpio"
# Isolated, without site and environment: nothing but the script below decides what is imported.
INIT = b"""#!/usr/bin/python3 -ISE
import sys; sys.path.insert(0, "/agent")
from guest.init import main; main()
"""
_FOLDERS = {"dev": 0o755, "image": 0o755, "proc": 0o555, "run": 0o755, "sys": 0o555, "tmp": 0o1777}
_DEVICES = {"dev/console": (5, 1), "dev/null": (1, 3), "dev/kmsg": (1, 11)}
# A change of what builds the archive makes another archive.
_BUILDERS = (__file__, cpio.__file__, kernel_modules.__file__, python_runtime.__file__, runtime_modules.__file__)


class InitramfsManifest(Value):
    """What an initramfs was made from, as written beside it."""

    inputs: str = Field(description="digest of all that it was made from; the folder's name")
    source: str = Field(description="digest of kernel, agent and builder, without the Debian packages")
    kernel: str
    python: str
    packages: dict[str, str] = Field(description="versions by name")
    sha256: str
    size_bytes: int
    created: datetime


class Initramfs(Value):
    """A finished initramfs on this host."""

    path: Path
    manifest: InitramfsManifest

    @property
    def digest(self) -> str:
        """SHA-256 of the archive."""
        return self.manifest.sha256


async def build_initramfs(settings: Settings, kernel: Kernel, progress: Progress = silent) -> Initramfs:
    """The initramfs for ``kernel`` and the agent of this installation, built unless it is here already.

    Raises NotReadyError: apt's lists are missing, no network, disk full, folder not writable, kernel without virtio.
    """
    wanted = await python_runtime.runtime_packages()
    source = source_digest(kernel)
    inputs = _digest([source, *(f"{name}={version}" for name, version in sorted(wanted.items()))])
    target = settings.guest_dir / inputs
    present = load_initramfs(target)
    if present is not None:
        progress("The guest's initramfs is here", 1.0)
        return present
    async with staged_folder(target) as folder:
        with tempfile.TemporaryDirectory(prefix="work.", dir=folder) as work:
            python, entries = await _contents(kernel, list(wanted), Path(work), progress)
        archive = folder / ARCHIVE
        progress("Writing the initramfs", 0.9)
        await in_thread(cpio.write, archive, entries)
        manifest = InitramfsManifest(
            inputs=inputs,
            source=source,
            kernel=kernel.id,
            python=python,
            packages=wanted,
            sha256=await in_thread(sha256_file, archive),
            size_bytes=archive.stat().st_size,
            created=datetime.now(UTC),
        )
        (folder / MANIFEST).write_text(manifest.model_dump_json(indent=2))
    progress(f"Initramfs of {manifest.size_bytes / 1e6:.1f} MB is ready", 1.0)
    return Initramfs(path=target / ARCHIVE, manifest=manifest)


def installed_initramfs(settings: Settings, kernel: Kernel) -> Initramfs | None:
    """The newest initramfs here that was made from ``kernel`` and the agent of this installation."""
    if not settings.guest_dir.is_dir():
        return None
    source = source_digest(kernel)
    finished = (load_initramfs(folder) for folder in settings.guest_dir.iterdir())
    fitting = [each for each in finished if each is not None and each.manifest.source == source]
    return max(fitting, key=lambda each: each.manifest.created, default=None)


def load_initramfs(folder: Path) -> Initramfs | None:
    """The initramfs in ``folder``, None where it is not finished. Its digest is not computed."""
    if folder.name.startswith("."):
        return None
    try:
        manifest = InitramfsManifest.model_validate_json((folder / MANIFEST).read_bytes())
        whole = (folder / ARCHIVE).stat().st_size == manifest.size_bytes
    except (OSError, ValidationError):
        return None
    return Initramfs(path=folder / ARCHIVE, manifest=manifest) if whole else None


def source_digest(kernel: Kernel) -> str:
    """Digest of what an initramfs is made from apart from Debian's packages."""
    with as_file(files("guest")) as guest:
        agent = [f"{path.name} {sha256_file(path)}" for path in sorted(guest.glob("*.py"))]
    builders = [sha256_file(Path(path)) for path in _BUILDERS]
    return _digest([kernel.version, kernel.manifest.modules_sha256, *agent, *builders])


async def _contents(
    kernel: Kernel, names: list[str], work: Path, progress: Progress
) -> tuple[str, dict[str, cpio.Entry]]:
    """Python's version and all members of the archive."""
    progress("Downloading the guest's Python", 0.1)
    archives = await packages.download(names, work / "download", progress)
    progress("Unpacking and compiling the guest's Python", 0.4)
    python = await python_runtime.unpack(archives, work / "python")
    with as_file(files("guest")) as guest:
        python_runtime.copy_agent(guest, work / "source")
    (work / "compiled").mkdir()
    entries = await python_runtime.build(python, work / "source", work / "compiled")
    progress("Collecting kernel modules", 0.8)
    modules = await in_thread(kernel_modules.collect, kernel.modules_dir)
    entries |= {f"modules/{name}.ko": cpio.file(data) for name, data in modules.content.items()}
    entries["modules/order"] = cpio.file(modules.order_file().encode())
    entries |= {name: cpio.folder(mode) for name, mode in _FOLDERS.items()}
    entries |= {name: cpio.character_device(*numbers) for name, numbers in _DEVICES.items()}
    entries["init"] = cpio.file(INIT, 0o755)
    return python.version, entries


def _digest(parts: list[str]) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

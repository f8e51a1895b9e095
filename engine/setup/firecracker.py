"""The step that installs Firecracker and its jailer: which release, from where, and whether its digest is known.

Both programs of a release lie in ``vmm/firecracker-<version>/`` with a manifest of their digests. Older releases stay,
since a snapshot names the release that made it.
"""

from __future__ import annotations

import hashlib
import platform
import re
import ssl
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from engine.errors import InputError, NotReadyError
from engine.folders import is_root
from engine.host.firecracker_release import parsed, refuse_unfit
from engine.host.programs import FIRECRACKER, JAILER, firecracker_program, firecracker_release
from engine.models import SetupOptions, SetupTrace, Value
from engine.rootfs.progress import Progress, within
from engine.rootfs.staging import in_thread, sha256_file, staged_folder
from engine.settings import Settings
from engine.setup.base import Finding, SetupContext
from engine.setup.fetch import brought
from engine.setup.ledger import making
from engine.setup.partial import partial_folder
from engine.setup.release_archive import ReleaseContents, read_archive, release_contents
from engine.setup.releases import Releases, Version, archive_name
from engine.setup.source import shown

STEP = "firecracker"
MANIFEST = "manifest.json"
PROGRAMS = (FIRECRACKER, JAILER)
ARCHITECTURES = ("x86_64", "aarch64")
_VERSION = re.compile(r"v?(\d+\.\d+\.\d+)")


class InstalledRelease(Value):
    """What is known of an installed release, as written beside it."""

    version: Version
    arch: str
    origin: str
    archive_sha256: str
    vouched: str
    programs: dict[str, str]
    installed: datetime


@dataclass(frozen=True, slots=True)
class Wish:
    """The release to have: a version, or the one in the operator's ``file``."""

    version: str
    file: Path | None = None
    sha256: str = ""
    by_name: bool = True


@dataclass(frozen=True, slots=True)
class FirecrackerSetup:
    """``check`` and ``apply`` of the step, for the releases that are pinned and this host's architecture."""

    releases: Releases = field(default_factory=Releases.shipped)
    arch: str = field(default_factory=platform.machine)
    trust: ssl.SSLContext | None = None

    async def check(self, ctx: SetupContext) -> Finding:
        """Raises InputError for an option that names no release, NotReadyError for a file that is none."""
        if reason := await self._not_wanted(ctx):
            return Finding(True, reason, skipped=True)
        wish = await self._wish(ctx.options)
        seen = await self._seen(ctx.settings, wish)
        if seen is not None:
            return Finding(True, seen)
        where = release_folder(ctx.settings, wish.version)
        would = [f"{self._origin(ctx.options, wish)} to {where}"]
        here = installed_releases(ctx.settings)
        if wish.by_name and here and parsed(here[-1].version) > parsed(wish.version):
            would.append(f"but {here[-1].version} is newer and stays in use, unless firecracker_binary is set")
        return Finding(False, f"{wish.version} is not here", tuple(would))

    async def apply(self, ctx: SetupContext, progress: Progress) -> None:
        """Raises InputError, ConflictError, NotReadyError. Nothing is installed unless all of it is."""
        wish = await self._wish(ctx.options)
        archive = await self._archive(ctx, wish, within(progress, 0, 0.8))
        name = wish.file.name if wish.file else archive_name(wish.version, self.arch)
        contents = await in_thread(release_contents, archive, name)
        digest = hashlib.sha256(archive).hexdigest()
        vouched = self._vouch(contents, digest, wish)
        progress(f"{name}: SHA-256 {digest}, {vouched}", 0.85)
        manifest = InstalledRelease(
            version=contents.version,
            arch=contents.arch,
            origin=self._origin(ctx.options, wish),
            archive_sha256=digest,
            vouched=vouched,
            programs={program: hashlib.sha256(data).hexdigest() for program, data in contents.programs.items()},
            installed=datetime.now(UTC),
        )
        target = release_folder(ctx.settings, contents.version)
        async with making(ctx, STEP, target), staged_folder(target) as folder:
            await in_thread(_write, folder, contents, manifest)
            await _prove(folder, contents.version)
        progress(f"Firecracker {contents.version} and its jailer are installed", 1.0)

    async def _not_wanted(self, ctx: SetupContext) -> str | None:
        options = ctx.options
        if STEP in options.skip:
            return "left out, as asked"
        if self.arch not in ARCHITECTURES:
            return f"Firecracker is not made for {self.arch}"
        if options.firecracker is not None:
            return None
        vmm = ctx.settings.vmm if options.vmm == "auto" else options.vmm
        if vmm == "qemu":
            return "QEMU is to be used"
        if ctx.settings.firecracker_binary:
            return f"the settings name {ctx.settings.firecracker_binary}"
        if vmm == "firecracker":
            return None
        verdict = await ctx.kvm()
        if verdict.kind == "native" and ctx.settings.jail != "off" and not is_root():
            return "QEMU is used: Firecracker's jailer needs root, and this is another user"
        return None if verdict.kind == "native" else f"QEMU is used: KVM here is {verdict.kind} ({verdict.detail})"

    async def _wish(self, options: SetupOptions) -> Wish:
        if options.firecracker is None:
            return Wish(self.releases.default, by_name=False)
        if match := _VERSION.fullmatch(options.firecracker):
            return Wish(match[1])
        file = Path(options.firecracker)
        if not file.is_file():
            raise InputError(
                f"{options.firecracker} is neither a release of Firecracker nor a file",
                remedy=f"Name a release, as {self.releases.default}, or the file of a release archive",
            )
        archive = await in_thread(read_archive, file, self.releases.max_bytes)
        contents = await in_thread(release_contents, archive, file.name)
        return Wish(contents.version, file, hashlib.sha256(archive).hexdigest())

    async def _seen(self, settings: Settings, wish: Wish) -> str | None:
        """What meets the wish, None where nothing does. Where none was uttered, anything that works and is as new."""
        here = installed_releases(settings)
        newest = here[-1] if here else None
        if not wish.by_name:
            if newest and parsed(newest.version) >= parsed(wish.version) and await _sound(settings, newest):
                return f"{newest.version}, with its jailer"
            return None if here else await _elsewhere(settings)
        fitting = [each for each in here if each.version == wish.version and wish.sha256 in ("", each.archive_sha256)]
        if not fitting or not await _sound(settings, fitting[0]):
            return None
        if newest and newest.version != wish.version:
            chosen = release_folder(settings, wish.version) / FIRECRACKER
            return f"{wish.version}, but {newest.version} is newer and used: set firecracker_binary to {chosen}"
        return f"{wish.version}, with its jailer"

    async def _archive(self, ctx: SetupContext, wish: Wish, progress: Progress) -> bytes:
        """The archive, of the pinned digest unless the operator brought it or its programs are what is pinned."""
        limit = self.releases.max_bytes
        if wish.file is not None:
            return await in_thread(read_archive, wish.file, limit)
        refuse_unfit(wish.version)
        offline = ctx.options.offline
        by_programs = self.releases.programs_in(wish.version, self.arch)
        if offline is not None and by_programs and self.releases.archive(wish.version, self.arch) is None:
            return await in_thread(read_archive, Path(offline) / archive_name(wish.version, self.arch), limit)
        source = self.releases.source(wish.version, self.arch, ctx.options.mirror)
        place = ctx.settings.vmm_dir / source.name
        ctx.record(_trace(partial_folder(place, source.sha256)))
        async with brought(source, place, progress, offline, self.trust) as file:
            return await in_thread(read_archive, file, limit)

    def _vouch(self, contents: ReleaseContents, digest: str, wish: Wish) -> str:
        """Why these programs may be installed. Raises NotReadyError where they may not."""
        refuse_unfit(contents.version)
        if contents.arch != self.arch or contents.version != wish.version:
            raise NotReadyError(
                f"The archive holds Firecracker {contents.version} for {contents.arch}, and wanted is {wish.version} "
                f"for {self.arch}",
                remedy="Bring the archive of that release",
            )
        official = self.releases.archive_of(digest)
        if official is not None and (official.version, official.arch) == (contents.version, contents.arch):
            return "which is the official release's"
        known = self.releases.programs_in(contents.version, contents.arch)
        seen = {program: hashlib.sha256(data).hexdigest() for program, data in contents.programs.items()}
        if known is not None and seen == {FIRECRACKER: known.firecracker, JAILER: known.jailer}:
            return "packed anew, with the official release's programs in it"
        if wish.file is not None:
            return "which vmdeck does not know: it is taken because you brought it"
        raise NotReadyError(
            f"The archive of Firecracker {contents.version} is not the official one, nor are its programs: "
            f"its SHA-256 is {digest}",
            remedy="Bring the official archive",
        )

    def _origin(self, options: SetupOptions, wish: Wish) -> str:
        """Where the archive comes from, as a sentence's beginning. Raises NotReadyError for a release without a pin."""
        if wish.file is not None:
            official = self.releases.archive_of(wish.sha256)
            known = f"that of the official {official.version}" if official else "not known to vmdeck"
            return f"install {wish.file} (SHA-256 {wish.sha256}, {known})"
        if options.offline is not None:
            if not (
                self.releases.archive(wish.version, self.arch) or self.releases.programs_in(wish.version, self.arch)
            ):
                raise self.releases.unpinned(wish.version, self.arch)
            return f"install {archive_name(wish.version, self.arch)} of the folder {options.offline}"
        source = self.releases.source(wish.version, self.arch, options.mirror)
        return f"install {shown(source.url)} (SHA-256 {source.sha256})"


def release_folder(settings: Settings, version: str) -> Path:
    return settings.vmm_dir / f"{FIRECRACKER}-{version}"


def installed_releases(settings: Settings) -> list[InstalledRelease]:
    """What setup has installed here, oldest release first. Whether the programs still are what they were is not looked
    at.
    """
    found: list[InstalledRelease] = []
    for manifest in settings.vmm_dir.glob(f"{FIRECRACKER}-*/{MANIFEST}"):
        try:
            release = InstalledRelease.model_validate_json(manifest.read_bytes())
        except (OSError, ValidationError):
            continue
        if manifest.parent == release_folder(settings, release.version):
            found.append(release)
    return sorted(found, key=lambda release: parsed(release.version))


async def _sound(settings: Settings, release: InstalledRelease) -> bool:
    """Whether both programs are as installed and run."""
    folder = release_folder(settings, release.version)
    try:
        for program in PROGRAMS:
            if await in_thread(sha256_file, folder / program) != release.programs.get(program):
                return False
        await _prove(folder, release.version)
    except (OSError, NotReadyError):
        return False
    return True


async def _prove(folder: Path, version: str) -> None:
    """Raises NotReadyError unless both programs run here and say that they are of ``version``."""
    for program in PROGRAMS:
        if (said := await firecracker_release(folder / program)) != version:
            raise NotReadyError(
                f"The {program} in the archive of Firecracker {version} says that it is {said}",
                remedy="Bring the official archive",
            )


async def _elsewhere(settings: Settings) -> str | None:
    """A Firecracker of the host's own that can be used as it is."""
    try:
        program = await firecracker_program(settings)
    except NotReadyError:
        return None
    return f"{program.version} at {program.path}, which setup did not install"


def _write(folder: Path, contents: ReleaseContents, manifest: InstalledRelease) -> None:
    for program, data in contents.programs.items():
        (folder / program).write_bytes(data)
        (folder / program).chmod(0o755)
    (folder / MANIFEST).write_text(manifest.model_dump_json(indent=2))


def _trace(folder: Path) -> SetupTrace:
    return SetupTrace(step=STEP, kind="folder", what=str(folder), at=datetime.now(UTC))

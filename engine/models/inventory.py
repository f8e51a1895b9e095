"""What a host has to run code from: languages, images, snapshots."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from engine.models.building import SourceName
from engine.models.packages import MOST_PACKAGES, DebianPackage, Suite
from engine.models.value import Name, Value


class Proof(Value):
    """When, and in whose microVM, code of a language last ran as it should."""

    vmm: str
    date: datetime


class Measured(Value):
    """What a language took when all its examples were last proven, on the host that did that."""

    vmm: str = Field(description="with its version and accelerator")
    date: datetime
    image_bytes: int | None = Field(default=None, description="what its image takes on disk")
    build_s: float | None = None


class Language(Value):
    id: str
    title: str
    aliases: tuple[str, ...] = ()
    category: str = ""
    file_name: str
    example: str = ""
    syntax: str | None = Field(default=None, description="name of the highlighter, where there is one")
    image: str | None = Field(default=None, description="the local image that serves it, if any")
    ready: bool = False
    version: str | None = Field(default=None, description="what its tool in that image says of itself")
    source: str = Field(
        default="", description='where that image is from, else what one can be made from: "docker only"'
    )
    proven: Proof | None = Field(default=None, description="when code last ran in that image; none where none did")
    sources: tuple[SourceName, ...] = Field(default=(), description="what an image can be made from, preferred first")
    docker_image: str | None = Field(default=None, description="what an image is made from where its source is docker")
    measured: Measured | None = Field(default=None, description="what it takes, where vmdeck's own tests proved it")
    warm: bool = Field(default=False, description="a snapshot that fits this host exists")
    packages: tuple[str, ...] = Field(
        default=(), description="Debian packages of its image; none where it has no recipe"
    )
    pypi: tuple[str, ...] = Field(default=(), description="wheels of its image")
    npm: tuple[str, ...] = Field(default=(), description="npm packages of its image")
    suite: str | None = Field(default=None, description="Debian suite that it needs, where it needs a certain one")
    timeout_s: float = Field(default=10, description="default wall time of a run")
    memory_mib: int = Field(default=256, description="memory of its microVM where nothing else says")
    vcpus: int = Field(default=1, description="CPUs of its microVM where nothing else says")


class Image(Value):
    name: str
    languages: tuple[str, ...] = ()
    digest: str
    size_bytes: int
    disk_bytes: int
    created: datetime
    source: str
    source_id: str = Field(default="", description="of a Docker image its id, a digest")
    packages: tuple[str, ...] = ()
    pypi: tuple[str, ...] = ()
    npm: tuple[str, ...] = ()
    suite: str | None = None
    version: str | None = Field(default=None, description="what the language's tool says of itself")
    varies: tuple[str, ...] = Field(default=(), description="what may differ when the same is built again")
    env: dict[str, str] = Field(default_factory=dict)
    workdir: str = "/"
    user: str = ""
    path: str
    problem: str | None = Field(default=None, description="why it can't be used, if so")
    used_by: tuple[str, ...] = Field(
        default=(), description='"snapshot NAME", "VM ID": what keeps it from being removed'
    )
    runs: int = Field(default=0, description="runs in it that history knows of")
    proven: datetime | None = Field(default=None, description="when code last ran in it with success")


class Snapshot(Value):
    name: str
    language: str
    image: str
    image_digest: str
    vmm: str
    vmm_version: str
    accelerator: str
    memory_mib: int
    vcpus: int
    size_bytes: int
    disk_bytes: int
    created: datetime
    warm: str = Field(default="", description='"parked" (an interpreter waits), "server" (it runs), "pagecache"')
    fits: bool = True
    problem: str | None = Field(default=None, description="why it does not fit this host, if so")
    outdated: bool = Field(
        default=False, description="its image was built anew since: only a run that names it is restored from it"
    )
    shared_bytes: int | None = Field(
        default=None, description="of its memory file that clones share through page cache"
    )
    runs: int = Field(default=0, description="runs that were restored from it and that history knows of")
    last_used: datetime | None = None
    restore_ms: tuple[float, ...] = Field(default=(), description="of its last restores, newest first")
    manifest: dict[str, str] = Field(
        default_factory=dict, description="every field of its manifest as text; none where it can't be read"
    )


class Verification(Value):
    name: str
    ok: bool
    findings: tuple[str, ...] = ()


class BuildImageRequest(Value):
    """A root file system from Debian packages."""

    name: Name
    packages: tuple[DebianPackage, ...] = Field(max_length=MOST_PACKAGES)
    suite: Suite | None = None
    size_mib: int | None = Field(default=None, ge=16, le=65536, description="a floor; content plus room otherwise")
    languages: tuple[str, ...] = Field((), max_length=MOST_PACKAGES)


class CreateSnapshotRequest(Value):
    language: str
    name: Name | None = None
    memory_mib: int | None = Field(default=None, ge=64, le=65536)
    vcpus: int | None = Field(default=None, ge=1, le=32)

"""Images, snapshots and languages that have a past, and an engine that holds them."""

from __future__ import annotations

from datetime import timedelta

from engine.models import Language, Leftover, Measured, Proof, RemoteImage, RemoteSnapshot
from tests.console.fake_engine import FakeEngine, full, typical
from tests.console.samples import IMAGES, LANGUAGES, NOW, SNAPSHOTS

MANIFEST = {
    "format": "2",
    "kernel": "6.1.0-40-cloud-amd64",
    "kernel_sha256": "9a" * 32,
    "initramfs_digest": "c4" * 32,
    "cmdline": "console=ttyS0 quiet panic=-1",
    "machine": "microvm",
    "cpu_model": "max",
    "host_cpu": "AMD EPYC 7B13",
    "protocol_version": "1",
    "state": f"63122 bytes, SHA-256 {'51' * 32}",
    "memory": f"268435456 bytes, SHA-256 {'e0' * 32}",
}
USED_IMAGE = IMAGES[0].model_copy(
    update={
        "used_by": ("snapshot python-256m-1cpu", "VM vm-0a31"),
        "runs": 1204,
        "proven": NOW - timedelta(minutes=3),
        "version": "Python 3.11.2",
        "pypi": ("numpy==2.1",),
        "varies": ("file times under /var/cache",),
    }
)
FREE_IMAGE = IMAGES[0].model_copy(update={"name": "bash", "languages": ("bash",), "packages": ("bash",)})
GOOD = SNAPSHOTS[0].model_copy(
    update={
        "shared_bytes": 124_717_420,
        "runs": 1187,
        "last_used": NOW - timedelta(minutes=3),
        "restore_ms": (412.0, 380.5, 395.0, 1210.0, 388.0, 402.4, 391.0, 399.9),
        "manifest": MANIFEST,
    }
)
REFUSED = SNAPSHOTS[1].model_copy(update={"shared_bytes": 70_190_000, "manifest": MANIFEST})
OUTDATED = REFUSED.model_copy(update={"name": "bash-old", "fits": True, "problem": None, "outdated": True})
THERE = tuple(
    RemoteImage(
        name=name,
        languages=(language,),
        digest=digest,
        size_bytes=88_080_384,
        packed_bytes=24_000_000,
        created=NOW - timedelta(days=3),
        source="debian bookworm",
        signature=signature,
        problem=problem,
    )
    for name, language, digest, signature, problem in (
        ("python", "python", USED_IMAGE.digest, "valid", None),
        ("bash", "bash", "sha256:0b0e" + "0" * 60, "none", None),
        ("ruby", "ruby", "sha256:5a5a" + "0" * 60, "unchecked", None),
        ("lua", "", "", "wrong", "its manifest has a signature that is not of the key here"),
    )
)
SNAPSHOTS_THERE = tuple(
    RemoteSnapshot(
        name=name,
        language="python",
        image="python",
        image_digest=GOOD.image_digest,
        vmm="qemu",
        vmm_version="7.2.22",
        accelerator="tcg",
        memory_mib=256,
        vcpus=1,
        size_bytes=268_500_992,
        packed_bytes=41_000_000,
        created=created,
        signature="valid",
        here=here,
    )
    for name, created, here in (
        (GOOD.name, GOOD.created, True),
        (REFUSED.name, NOW - timedelta(days=1), False),
        ("ruby-256m-1c", NOW - timedelta(days=9), False),
    )
)
OLDER = Leftover(kind="image", name="python@19ab0000", why="an older build; no snapshot uses it", disk_bytes=61_865_984)
OLD_DOWNLOAD = Leftover(
    kind="cache", name="cache/apt/gcc-12.deb", why="no build took it for 30 days", disk_bytes=20_000_000
)
DOWNLOADS = Leftover(
    kind="cache", name="cache/apt", why="Debian packages; it can be downloaded again", disk_bytes=310_000_000
)
_PYTHON_OF_TESTS = Measured(vmm="qemu 7.2.22 tcg", date=NOW - timedelta(days=1), image_bytes=61_865_984, build_s=42.0)
PYTHON, BASH, FORTH = (
    language.model_copy(update=about)
    for language, about in zip(
        LANGUAGES,
        (
            {
                "packages": ("python3",),
                "source": "debian bookworm",
                "sources": ("debian", "docker"),
                "docker_image": "python:3.13-slim",
                "version": "Python 3.11.2",
                "proven": Proof(vmm="qemu", date=NOW - timedelta(minutes=3)),
                "measured": _PYTHON_OF_TESTS,
            },
            {"packages": ("bash",), "source": "debian bookworm", "sources": ("debian",)},
            {"packages": ("gforth",), "source": "debian", "sources": ("debian",)},
        ),
        strict=True,
    )
)
MONGO = Language(
    id="mongodb",
    title="MongoDB",
    category="Database",
    file_name="main.js",
    example='print("Hello from MongoDB")\n',
    source="docker only",
    sources=("docker",),
    docker_image="mongo:8",
)


def stocked() -> FakeEngine:
    """A few of each: used, free, refused, with a problem."""
    engine = typical()
    engine.image_list = (USED_IMAGE, FREE_IMAGE, IMAGES[1])
    engine.snapshot_list = (GOOD, REFUSED, OUTDATED)
    engine.language_list = (PYTHON, BASH, FORTH, MONGO)
    engine.remote_image_list, engine.remote_snapshot_list = THERE, SNAPSHOTS_THERE
    engine.leftover_list = {"bound": (OLDER, OLD_DOWNLOAD), "clear": (OLDER, DOWNLOADS)}
    return engine


def crammed() -> FakeEngine:
    """More than fits any screen, names as long as they may be."""
    engine = full()
    engine.language_list = tuple(
        Language(
            id=f"language-{number:02}",
            title=f"A language with a long title {number:02}",
            category="Esoteric and historic",
            file_name="main.x",
            example="\n".join(f"line {line}" for line in range(60)),
            packages=tuple(f"package-{part}" for part in range(30)),
            sources=("debian", "docker") if number % 5 else ("docker",),
            source="debian bookworm, docker",
            version="a tool of version 12.34.56-1ubuntu1~deb12u1 with much to say",
            ready=number % 3 != 0,
            warm=number % 3 == 1,
        )
        for number in range(70)
    )
    return engine

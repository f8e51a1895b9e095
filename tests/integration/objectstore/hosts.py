"""What tests of exchange are made of: a corner of the bucket, hosts with images, and jobs followed to their end."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from engine.engine import Engine
from engine.models import Image, Job, JobState, RemotePlace
from engine.rootfs.store import ImageOrigin, ImageStore
from engine.settings import Settings
from engine.snapshots.manifest import MANIFEST, MEMORY, STATE, SnapshotManifest
from engine.snapshots.store import record
from engine.vmm.qemu_command import MACHINES
from tests.s3_server import BUCKET, Gate, S3Server

MIB = 1024 * 1024


@dataclass
class Corner:
    """A prefix of the bucket that is the test's own, behind a gate, and what lies there."""

    server: S3Server
    gate: Gate
    prefix: str
    s3: Any = field(init=False)

    def __post_init__(self) -> None:
        self.s3 = self.server.client()

    @property
    def place(self) -> RemotePlace:
        return RemotePlace(bucket=BUCKET, endpoint_url=self.gate.url, prefix=self.prefix)

    def keys(self) -> set[str]:
        found = self.s3.list_objects_v2(Bucket=BUCKET, Prefix=f"{self.prefix}/").get("Contents", [])
        return {each["Key"].removeprefix(f"{self.prefix}/") for each in found}

    def read(self, key: str) -> bytes:
        return self.s3.get_object(Bucket=BUCKET, Key=f"{self.prefix}/{key}")["Body"].read()

    def write(self, key: str, data: bytes) -> None:
        self.s3.put_object(Bucket=BUCKET, Key=f"{self.prefix}/{key}", Body=data)

    def delete(self, key: str) -> None:
        self.s3.delete_object(Bucket=BUCKET, Key=f"{self.prefix}/{key}")

    @property
    def open_place(self) -> RemotePlace:
        """Past the gate."""
        return self.place.model_copy(update={"endpoint_url": self.server.url})

    def arrived(self) -> int:
        """Bytes of the one upload in parts that is unfinished."""
        (upload,) = self._uploads()
        parts = self.s3.list_parts(Bucket=BUCKET, Key=upload["Key"], UploadId=upload["UploadId"]).get("Parts", [])
        return sum(part["Size"] for part in parts)

    def abort_all(self) -> None:
        for upload in self._uploads():
            self.s3.abort_multipart_upload(Bucket=BUCKET, Key=upload["Key"], UploadId=upload["UploadId"])

    def unfinished(self) -> list[str]:
        """Uploads in parts that were neither completed nor aborted."""
        return [each["Key"] for each in self._uploads()]

    def _uploads(self) -> list[dict[str, Any]]:
        found = self.s3.list_multipart_uploads(Bucket=BUCKET).get("Uploads", [])
        return [each for each in found if each["Key"].startswith(f"{self.prefix}/")]


async def make_image(settings: Settings, name: str = "python", *, data_mib: int = 48, seed: int = 1) -> Image:
    """An image of data that can't be packed, with a hole of 8 MiB amid it and one at its end."""

    async def build(path: Path) -> ImageOrigin:
        data = hashlib.shake_256(bytes([seed])).digest(MIB * data_mib)
        with path.open("wb") as file:
            file.write(data[: len(data) // 2])
            file.seek(8 * MIB + 512, os.SEEK_CUR)
            file.write(data[len(data) // 2 :])
            file.truncate(file.tell() + 8 * MIB + 1)
        return ImageOrigin(source=f"test {seed}", languages=("python", "bash"))

    return await ImageStore(settings).put(name, build)


def make_snapshot(settings: Settings, image: Image, name: str = "python-256") -> SnapshotManifest:
    """A snapshot of ``image`` that nobody restores: only its manifest and sizes are real."""
    folder = settings.snapshots_dir / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / STATE).write_bytes(b"state" * 1000)
    (folder / MEMORY).write_bytes(os.urandom(64 * 1024))
    manifest = SnapshotManifest(
        name=name,
        language="python",
        warm="parked",
        created=datetime.now(UTC),
        image=image.name,
        image_digest=image.digest,
        kernel="debian",
        kernel_sha256="ab" * 32,
        initramfs_digest="ab" * 32,
        cmdline="quiet",
        vmm="qemu",
        vmm_version="7.2",
        accelerator="tcg",
        machine=MACHINES["x86_64"],
        cpu_model="max",
        host_cpu="a CPU",
        memory_mib=256,
        vcpus=1,
        state=record(folder / STATE),
        memory=record(folder / MEMORY),
    )
    (folder / MANIFEST).write_text(manifest.model_dump_json())
    return manifest


def alter(path: Path, offset: int) -> None:
    """Behind everybody's back, with size and times as they were."""
    times = path.stat()
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(b"altered")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


async def ended(engine: Engine, job: Job) -> Job:
    """The job as it ended."""
    async for event in engine.job_events(job.id):
        job = event.job
    return job


async def done(engine: Engine, job: Job) -> Job:
    job = await ended(engine, job)
    assert job.state is JobState.DONE, job.error
    return job


async def failed(engine: Engine, job: Job) -> str:
    """What it says for itself."""
    job = await ended(engine, job)
    assert job.state is JobState.FAILED
    return f"{job.error} {job.remedy}"


async def log_of(engine: Engine, job: Job) -> str:
    return "\n".join([event.line async for event in engine.job_events(job.id) if event.line])


def left_behind(settings: Settings) -> list[str]:
    """Hidden folders of stores and records of transfers."""
    data = settings.data_dir
    stores = [path for store in (settings.images_dir, settings.snapshots_dir) for path in store.glob(".*")]
    return [str(path.relative_to(data)) for path in (*stores, *(data / "transfers").glob("*"))]

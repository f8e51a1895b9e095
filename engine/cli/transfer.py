"""Commands that move images and snapshots to and from object storage, and list what lies there."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.cli import listing
from engine.cli.follow import follow
from engine.cli.session import checked, with_engine
from engine.errors import InputError, NotFoundError

if TYPE_CHECKING:
    from engine.api import EngineApi
    from engine.models import Job, RemoteImage, RemotePlace, RemoteSnapshot, Snapshot

Lang = Annotated[str, typer.Option(metavar="NAME", help="The image, or a language that it serves.")]
SnapshotName = Annotated[str | None, typer.Argument(metavar="NAME", help="Name of the snapshot; or give --lang.")]
SnapshotLang = Annotated[
    str | None, typer.Option("--lang", metavar="NAME", help="The only snapshot of this language, instead of a name.")
]
Remote = Annotated[bool, typer.Option("--remote", help="List what lies in the bucket instead.")]
BucketName = Annotated[str | None, typer.Option(metavar="NAME", help="S3 bucket; without it the setting s3_bucket.")]
Endpoint = Annotated[
    str | None, typer.Option("--endpoint-url", metavar="URL", help="An S3 service other than AWS's own.")
]
Prefix = Annotated[str | None, typer.Option(metavar="PATH", help="What all keys in the bucket begin with.")]
Region = Annotated[str | None, typer.Option(metavar="NAME", help="Region of the bucket.")]
Json = Annotated[bool, typer.Option("--json", help="Print the ended job as JSON; progress goes to stderr.")]


def place(bucket: str | None, endpoint_url: str | None, prefix: str | None, region: str | None) -> RemotePlace:
    """What the options name. Raises InputError."""
    from engine.models import RemotePlace

    return checked(RemotePlace, bucket=bucket, endpoint_url=endpoint_url, prefix=prefix, region=region)


def remote_place(
    bucket: str | None, endpoint_url: str | None, prefix: str | None, region: str | None, *, asked: bool
) -> RemotePlace | None:
    """For lists of either kind: None where what is here is ``asked`` for. Raises InputError."""
    if asked:
        return place(bucket, endpoint_url, prefix, region)
    if any(each is not None for each in (bucket, endpoint_url, prefix, region)):
        raise InputError("A place in object storage is named, but not asked for", remedy="Add --remote")
    return None


# --- images


def upload_image(
    lang: Lang,
    bucket: BucketName = None,
    endpoint_url: Endpoint = None,
    prefix: Prefix = None,
    region: Region = None,
    as_json: Json = False,
) -> None:
    """Put an image into a bucket. One that broke off is gone on with; Ctrl-C throws away what was sent."""
    at = place(bucket, endpoint_url, prefix, region)
    _transfer(lambda engine: engine.upload_image(lang, at), "Image {} is in the bucket", as_json=as_json)


def download_image(
    lang: Lang,
    bucket: BucketName = None,
    endpoint_url: Endpoint = None,
    prefix: Prefix = None,
    region: Region = None,
    as_json: Json = False,
) -> None:
    """Get an image from a bucket. An older one of its name serves until the new one is here whole."""
    at = place(bucket, endpoint_url, prefix, region)
    _transfer(lambda engine: engine.download_image(lang, at), "Image {} is ready", as_json=as_json)


def show_images(at: RemotePlace, *, as_json: bool) -> None:
    columns: listing.Columns[RemoteImage] = {
        "IMAGE": lambda image: image.name,
        "LANGUAGES": lambda image: ", ".join(image.languages),
        "SOURCE": lambda image: image.source,
        "SIZE": lambda image: listing.size(image.size_bytes),
        "PACKED": lambda image: listing.size(image.packed_bytes),
        "CREATED": lambda image: f"{image.created:%Y-%m-%d %H:%M}" if image.created else "",
        "SIGNATURE": lambda image: image.signature,
        "HERE": lambda image: "yes" if image.here else "no",
        "PROBLEM": lambda image: image.problem or "",
    }
    found = with_engine(lambda engine: engine.remote_images(at))
    empty = "No images there. `vmdeck rootfs upload` puts one there."
    listing.show(found, columns, as_json=as_json, empty=empty)


# --- snapshots


def upload_snapshot(
    name: SnapshotName = None,
    lang: SnapshotLang = None,
    bucket: BucketName = None,
    endpoint_url: Endpoint = None,
    prefix: Prefix = None,
    region: Region = None,
    as_json: Json = False,
) -> None:
    """Put a snapshot into a bucket, with its image unless that is there."""
    at = place(bucket, endpoint_url, prefix, region)

    async def start(engine: EngineApi) -> Job:
        return await engine.upload_snapshot(name or await _only(engine, lang, await engine.snapshots()), at)

    _require_one(name, lang)
    _transfer(start, "Snapshot {} is in the bucket", as_json=as_json)


def download_snapshot(
    name: SnapshotName = None,
    lang: SnapshotLang = None,
    bucket: BucketName = None,
    endpoint_url: Endpoint = None,
    prefix: Prefix = None,
    region: Region = None,
    as_json: Json = False,
) -> None:
    """Get a snapshot from a bucket, with its image where none of that name is here."""
    at = place(bucket, endpoint_url, prefix, region)

    async def start(engine: EngineApi) -> Job:
        return await engine.download_snapshot(name or await _only(engine, lang, await engine.remote_snapshots(at)), at)

    _require_one(name, lang)
    _transfer(start, "Snapshot {} is ready", as_json=as_json)


def show_snapshots(at: RemotePlace, *, as_json: bool) -> None:
    columns: listing.Columns[RemoteSnapshot] = {
        "SNAPSHOT": lambda snapshot: snapshot.name,
        "LANGUAGE": lambda snapshot: snapshot.language,
        "IMAGE": lambda snapshot: snapshot.image,
        "VMM": lambda snapshot: f"{snapshot.vmm} {snapshot.vmm_version} {snapshot.accelerator}",
        "MEM": lambda snapshot: f"{snapshot.memory_mib} MiB",
        "VCPUS": lambda snapshot: snapshot.vcpus,
        "PACKED": lambda snapshot: listing.size(snapshot.packed_bytes),
        "CREATED": lambda snapshot: f"{snapshot.created:%Y-%m-%d %H:%M}" if snapshot.created else "",
        "SIGNATURE": lambda snapshot: snapshot.signature,
        "HERE": lambda snapshot: "yes" if snapshot.here else "no",
        "PROBLEM": lambda snapshot: snapshot.problem or "",
    }
    found = with_engine(lambda engine: engine.remote_snapshots(at))
    empty = "No snapshots there. `vmdeck snapshot upload` puts one there."
    listing.show(found, columns, as_json=as_json, empty=empty)


# --- what both need


def _transfer(start: Callable[[EngineApi], Coroutine[Any, Any, Job]], done: str, *, as_json: bool) -> None:
    async def work(engine: EngineApi) -> Job:
        return await follow(engine, await start(engine))

    job = with_engine(work)
    if as_json:
        listing.show_json(job)
    else:
        print(done.format(job.result))


def _require_one(name: str | None, lang: str | None) -> None:
    if (name is None) == (lang is None):
        raise InputError("Which snapshot?", remedy="Give either its NAME or --lang")


async def _only(engine: EngineApi, lang: str | None, snapshots: Sequence[Snapshot] | Sequence[RemoteSnapshot]) -> str:
    """Raises NotFoundError where no snapshot is of that language, InputError where several are."""
    called = {name: each.id for each in await engine.languages() for name in (each.id, *each.aliases)}
    wanted = called.get(lang.lower(), lang) if lang else None
    names = [each.name for each in snapshots if each.language == wanted]
    if not names:
        raise NotFoundError(f"No snapshot there is of {lang}", remedy="List them: vmdeck snapshot list, --remote")
    if len(names) > 1:
        raise InputError(f"Several snapshots are of {lang}: {', '.join(names)}", remedy="Give the NAME of one")
    return names[0]

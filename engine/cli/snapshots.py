"""Commands for snapshots: create, list, refresh, remove, verify."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from engine.cli import listing, transfer
from engine.cli.follow import follow
from engine.cli.images import confirm
from engine.cli.session import checked, with_engine
from engine.printable import printable

if TYPE_CHECKING:
    from engine.api import EngineApi
    from engine.models import Job, Snapshot

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the snapshot.")]

EXIT_DAMAGED = 1


def create(
    lang: Annotated[str, typer.Option(metavar="NAME", help="The language to warm up.")],
    mem: Annotated[int | None, typer.Option(metavar="MIB", help="Memory of the VM, MiB.")] = None,
    vcpus: Annotated[int | None, typer.Option(metavar="N", help="Virtual CPUs.")] = None,
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="Name of the snapshot; without it one is made up.")
    ] = None,
) -> None:
    """Boot a VM, warm a language up in it, and keep its state to start runs from."""
    from engine.models import CreateSnapshotRequest

    request = checked(CreateSnapshotRequest, language=lang, name=name, memory_mib=mem, vcpus=vcpus)

    async def make(engine: EngineApi) -> Job:
        return await follow(engine, await engine.create_snapshot(request))

    print(f"Snapshot {with_engine(make).result} is ready")


def _fit(snapshot: Snapshot) -> str:
    if snapshot.outdated:
        return "by name only: its image was built anew"
    return "yes" if snapshot.fits else snapshot.problem or "no"


def show(
    remote: transfer.Remote = False,
    bucket: transfer.BucketName = None,
    endpoint_url: transfer.Endpoint = None,
    prefix: transfer.Prefix = None,
    region: transfer.Region = None,
    as_json: Json = False,
) -> None:
    """List the snapshots here, or those in a bucket."""
    if (at := transfer.remote_place(bucket, endpoint_url, prefix, region, asked=remote)) is not None:
        transfer.show_snapshots(at, as_json=as_json)
        return
    columns: listing.Columns[Snapshot] = {
        "SNAPSHOT": lambda snapshot: snapshot.name,
        "LANGUAGE": lambda snapshot: snapshot.language,
        "IMAGE": lambda snapshot: snapshot.image,
        "VMM": lambda snapshot: f"{snapshot.vmm} {snapshot.vmm_version} {snapshot.accelerator}",
        "MEM": lambda snapshot: f"{snapshot.memory_mib} MiB",
        "VCPUS": lambda snapshot: snapshot.vcpus,
        "ON DISK": lambda snapshot: listing.size(snapshot.disk_bytes),
        "CREATED": lambda snapshot: f"{snapshot.created:%Y-%m-%d %H:%M}",
        "FITS": _fit,
    }
    found = with_engine(lambda engine: engine.snapshots())
    listing.show(found, columns, as_json=as_json, empty="No snapshots. `vmdeck snapshot create` makes one.")


def remove(name: Name, yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")] = False) -> None:
    """Remove a snapshot."""
    confirm(f"Remove snapshot {name}?", yes=yes)
    with_engine(lambda engine: engine.remove_snapshot(name))
    print(f"Snapshot {name} is removed")


def refresh(name: Name) -> None:
    """Make a snapshot anew, of the same language and size; the old one serves until the new one is there."""

    async def make(engine: EngineApi) -> Job:
        return await follow(engine, await engine.refresh_snapshot(name))

    print(f"Snapshot {with_engine(make).result} is ready")


def verify(name: Name, as_json: Json = False) -> None:
    """Check that a snapshot's files are those it was made with. Exits with 1 if not."""
    verification = with_engine(lambda engine: engine.verify_snapshot(name))
    if as_json:
        listing.show_json(verification)
    else:
        print(f"Snapshot {name} is {'as it was made' if verification.ok else 'damaged or does not fit'}")
        for finding in verification.findings:
            print(printable(f"  {finding}"))
    raise typer.Exit(0 if verification.ok else EXIT_DAMAGED)

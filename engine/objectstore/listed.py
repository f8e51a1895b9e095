"""What lies in a bucket, told to whoever asked for a list of it, beside what is here."""

from __future__ import annotations

from collections.abc import Set

from engine.models import RemoteImage, RemoteSnapshot
from engine.objectstore.manifest import SharedImage, SharedSnapshot
from engine.objectstore.shelf import Found
from engine.snapshots.manifest import HostFacts, misfit
from engine.snapshots.store import StoredSnapshot

Builds = Set[tuple[str, str]]
"""Names and digests of images."""


def remote_image(found: Found[SharedImage], here: Builds) -> RemoteImage:
    if found.shared is None:
        return RemoteImage(name=found.name, signature=found.signature, problem=found.problem)
    made = found.shared.manifest
    return RemoteImage(
        name=found.name,
        languages=made.origin.languages,
        digest=made.digest,
        size_bytes=made.size_bytes,
        packed_bytes=found.shared.packed_bytes,
        created=made.created,
        source=made.origin.source,
        signature=found.signature,
        here=(found.name, made.digest) in here,
        problem=found.problem,
    )


def remote_snapshot(
    found: Found[SharedSnapshot], facts: HostFacts | None, stored: StoredSnapshot | None, here: Builds
) -> RemoteSnapshot:
    """Its ``problem`` is that of a download to this host."""
    if found.shared is None:
        return RemoteSnapshot(name=found.name, signature=found.signature, problem=found.problem)
    made = found.shared.manifest
    problem = found.problem
    if problem is None and facts is not None:
        problem = misfit(made, facts, made.image_digest)
    if problem is None and (made.image, made.image_digest) not in here:
        problem = found.lacks
    local = stored.manifest if stored is not None else None
    return RemoteSnapshot(
        name=found.name,
        language=made.language,
        image=made.image,
        image_digest=made.image_digest,
        vmm=made.vmm,
        vmm_version=made.vmm_version,
        accelerator=made.accelerator,
        memory_mib=made.memory_mib,
        vcpus=made.vcpus,
        size_bytes=made.state.size + made.memory.size,
        packed_bytes=found.shared.packed_bytes,
        created=made.created,
        signature=found.signature,
        here=local is not None and (local.state.sha256, local.memory.sha256) == (made.state.sha256, made.memory.sha256),
        problem=problem,
    )

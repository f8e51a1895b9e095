"""Images in files, as Docker and its kin write them: made of layers here, and made wrong at will."""

from __future__ import annotations

import gzip
import hashlib
import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from engine.rootfs.docker.archives import architecture
from tests.unit.rootfs.docker.tars import Entry, file, folder, link, tar

ENV = ["PATH=/opt/bin:/bin", "GREETING=hello=world", "EMPTY=", "odd"]


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def zstd(content: bytes) -> bytes:
    return subprocess.run(["zstd", "-c"], input=content, capture_output=True, check=True).stdout


PACKED = {"tar": lambda content: content, "gzip": gzip.compress, "zstd": zstd}


@dataclass(frozen=True)
class Made:
    """An image: its layers as tar archives, and what its config says."""

    layers: Sequence[bytes]
    architecture: str = field(default_factory=architecture)
    os: str = "linux"
    diff_ids: Sequence[str] | None = None
    runtime: Mapping[str, Any] = field(
        default_factory=lambda: {"Env": ENV, "WorkingDir": "/srv", "User": "app", "Cmd": ["sh"]}
    )

    @property
    def config(self) -> bytes:
        ids = self.diff_ids or [f"sha256:{digest(layer)}" for layer in self.layers]
        return json.dumps(
            {
                "architecture": self.architecture,
                "os": self.os,
                "config": self.runtime,
                "rootfs": {"type": "layers", "diff_ids": ids},
            }
        ).encode()


def saved(*images: tuple[str, Made]) -> bytes:
    """As docker save wrote before 25: a folder per layer, one that is there twice as a link."""
    entries: list[Entry] = []
    manifest: list[dict[str, object]] = []
    places: dict[bytes, str] = {}
    for tag, made in images:
        names: list[str] = []
        for index, layer in enumerate(made.layers):
            place = digest(f"{tag} {index}".encode())
            names.append(f"{place}/layer.tar")
            entries.append(folder(place))
            known = places.setdefault(layer, place)
            entries.append(file(names[-1], layer) if known == place else link(names[-1], f"../{known}/layer.tar"))
        config = f"{digest(made.config)}.json"
        entries.append(file(config, made.config))
        manifest.append({"Config": config, "RepoTags": [tag] if tag else None, "Layers": names})
    return tar(*entries, file("manifest.json", json.dumps(manifest).encode()))


def layout(*images: tuple[str, Made], packed: str = "gzip", nested: bool = False) -> dict[str, bytes]:
    """An OCI layout by name of file; ``nested`` puts an index with other platforms between."""
    files: dict[str, bytes] = {"oci-layout": b'{"imageLayoutVersion": "1.0.0"}'}

    def blob(content: bytes, kind: str, **more: object) -> dict[str, object]:
        files[f"blobs/sha256/{digest(content)}"] = content
        of = {"mediaType": f"application/vnd.oci.image.{kind}", "size": len(content)}
        return {**of, "digest": f"sha256:{digest(content)}", **more}

    def manifest(made: Made, **more: object) -> dict[str, object]:
        layers = [blob(PACKED[packed](layer), f"layer.v1.tar+{packed}") for layer in made.layers]
        config = blob(made.config, "config.v1+json")
        content = {"schemaVersion": 2, "config": config, "layers": layers}
        return blob(json.dumps(content).encode(), "manifest.v1+json", **more)

    top: list[dict[str, object]] = []
    for tag, made in images:
        name = {"annotations": {"org.opencontainers.image.ref.name": tag}} if tag else {}
        if nested:
            platforms = [
                manifest(Made([tar(file("wrong"))], "s390x"), platform={"os": "linux", "architecture": "s390x"}),
                manifest(made, platform={"os": "linux", "architecture": made.architecture}),
                manifest(Made([tar()]), platform={"os": "unknown", "architecture": "unknown"}),
            ]
            index = json.dumps({"schemaVersion": 2, "manifests": platforms}).encode()
            top.append(blob(index, "index.v1+json", **name))
        else:
            top.append(manifest(made, **name))
    files["index.json"] = json.dumps({"schemaVersion": 2, "manifests": top}).encode()
    return files


def layout_tar(files: Mapping[str, bytes]) -> bytes:
    return tar(*(file(name, content) for name, content in files.items()))

"""A build that is going to be killed: ``doomed_build.py DATA_DIR REQUEST`` says each fraction that it has reached."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from engine.models import DockerImageRequest
from engine.rootfs.docker.build import build_docker_image
from engine.rootfs.store import ImageStore
from engine.settings import Settings


def progress(_line: str, fraction: float | None = None) -> None:
    if fraction:
        print(f"reached {fraction}", flush=True)


if __name__ == "__main__":
    store = ImageStore(Settings(data_dir=Path(sys.argv[1])))
    asyncio.run(build_docker_image(store, DockerImageRequest.model_validate_json(sys.argv[2]), progress))

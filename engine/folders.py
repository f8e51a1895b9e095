"""Where configuration, data and sockets are, apart from what settings say: root's folders, or those of a user.

Costs nothing to import, for the console asks before its first paint.
"""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def is_root() -> bool:
    return os.geteuid() == 0


def config_dir() -> Path:
    if override := os.environ.get("VMDECK_CONFIG_DIR"):
        return Path(override)
    return Path("/etc/vmdeck") if is_root() else platformdirs.user_config_path("vmdeck")


def data_dir() -> Path:
    return Path("/var/lib/vmdeck") if is_root() else platformdirs.user_data_path("vmdeck")


def runtime_dir() -> Path:
    return Path("/run/vmdeck") if is_root() else platformdirs.user_runtime_path("vmdeck")

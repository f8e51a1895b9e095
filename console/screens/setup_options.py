"""What the operator may want of setup beyond its defaults: VMM, releases, sources. An empty field is the default."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from console.field_spec import FieldSpec
from console.screens.form import FormDialog
from engine.models import SetupOptions

_NO_PATH = {
    "firecracker": re.compile(r"v?\d+(\.\d+)+"),
    "kernel": re.compile(r"debian|.+://.+"),
    "offline": re.compile(r"(?!)"),
}
"""What these fields take beside a path of the engine's host."""


class SetupOptionsForm(FormDialog[SetupOptions, SetupOptions]):
    """Answers valid options that skip what ``options`` skip, or None."""

    fields = (
        FieldSpec("vmm", "VMM", "auto, firecracker or qemu"),
        FieldSpec("firecracker", "Firecracker", "a release (1.16.1), or /path/of/archive.tgz"),
        FieldSpec("kernel", "Kernel", "debian, /path/of/kernel, or https://...#sha256=..."),
        FieldSpec("mirror", "Mirror", "https site that serves what release sites serve"),
        FieldSpec("offline", "Offline", "/folder with what would be downloaded"),
    )
    about = ("Files and folders are those of the engine's host.",)
    REQUEST = SetupOptions
    YES = "Take"
    heading = "Options of setup"

    def __init__(self, options: SetupOptions) -> None:
        defaults = SetupOptions()
        given = {spec.key: getattr(options, spec.key) for spec in self.fields}
        super().__init__({key: str(value) for key, value in given.items() if value != getattr(defaults, key)})
        self._skip = options.skip

    def request_values(self, values: Mapping[str, str]) -> dict[str, Any]:
        return {**values, "skip": self._skip}

    def faults(self, values: Mapping[str, str]) -> dict[str, str]:
        return {
            key: "a path starts with /, as on the engine's host"
            for key, no_path in _NO_PATH.items()
            if not values.get(key, "/").startswith("/") and not no_path.fullmatch(values[key])
        }

    async def send(self, request: SetupOptions) -> SetupOptions:
        return request

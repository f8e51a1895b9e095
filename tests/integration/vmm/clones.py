"""Where a clone of Python's snapshot is restored from, for tests that drive the fleet itself."""

from __future__ import annotations

from engine.backend import Backend
from engine.inventory import Inventory
from engine.languages.catalogue import Catalogue
from engine.models import RunRequest
from engine.settings import Settings
from engine.vmm.base import MachineState


async def python_clone(settings: Settings, backend: Backend) -> MachineState:
    """Raises NotReadyError where no snapshot fits."""
    request = RunRequest(language="python", boot="snapshot")
    _, start = await Inventory(settings, Catalogue.load(), backend).plan(await backend.ready(), request, None)
    assert start.saved is not None
    return start.saved

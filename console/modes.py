"""The top-level areas of the console, in the order of their digits. Screens are imported when first shown."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from console.screens.mode_screen import ModeScreen


@dataclass(frozen=True, slots=True)
class Mode:
    """One area; ``screen`` is ``module:class``, so that the first paint pays for one screen only."""

    name: str
    title: str
    about: str
    screen: str

    def open(self) -> ModeScreen:
        module, _, cls = self.screen.partition(":")
        return getattr(import_module(module), cls)()


MODES: tuple[Mode, ...] = (
    Mode("overview", "Overview", "State of the host and its checks", "console.screens.overview:OverviewScreen"),
    Mode("vms", "VMs", "Live microVMs", "console.screens.vms:VmsScreen"),
    Mode("images", "Images", "Root file systems that runs use", "console.screens.images:ImagesScreen"),
    Mode("snapshots", "Snapshots", "Warm starting points", "console.screens.snapshots:SnapshotsScreen"),
    Mode("scratchpad", "Scratchpad", "Write code and run it", "console.screens.scratchpad:ScratchpadScreen"),
    Mode("jobs", "Jobs", "Long work: setup, builds, snapshots", "console.screens.jobs:JobsScreen"),
    Mode("runs", "Runs", "Runs that have ended", "console.screens.runs:RunsScreen"),
    Mode("setup", "Setup", "Make this host ready, step by step", "console.screens.setup:SetupScreen"),
    Mode("settings", "Settings", "Settings, themes and the service", "console.screens.settings:SettingsScreen"),
)

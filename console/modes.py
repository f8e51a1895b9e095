"""The top-level areas of the console, in the order of their digits. Screens are imported when first shown."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from console.screens.mode_screen import ModeScreen


@dataclass(frozen=True, slots=True)
class Mode:
    """One area; ``screen`` is ``module:class``, so that the first paint pays for one screen only; ``short`` is a title
    for little room."""

    name: str
    title: str
    about: str
    screen: str
    short: str

    def open(self) -> ModeScreen:
        module, _, cls = self.screen.partition(":")
        return getattr(import_module(module), cls)()


MODES: tuple[Mode, ...] = (
    Mode("overview", "Overview", "State of the host and its checks", "console.screens.overview:OverviewScreen", "Over"),
    Mode("vms", "VMs", "Live microVMs", "console.screens.vms:VmsScreen", "VMs"),
    Mode("images", "Images", "Root file systems that runs use", "console.screens.images:ImagesScreen", "Img"),
    Mode("snapshots", "Snapshots", "Warm starting points", "console.screens.snapshots:SnapshotsScreen", "Snap"),
    Mode("scratchpad", "Scratchpad", "Write code and run it", "console.screens.scratchpad:ScratchpadScreen", "Pad"),
    Mode("jobs", "Jobs", "Long work: setup, builds, snapshots", "console.screens.jobs:JobsScreen", "Jobs"),
    Mode("runs", "Runs", "Runs that have ended", "console.screens.runs:RunsScreen", "Runs"),
    Mode("setup", "Setup", "Make this host ready, step by step", "console.screens.setup:SetupScreen", "Setup"),
    Mode("settings", "Settings", "Settings, themes and the service", "console.screens.settings:SettingsScreen", "Conf"),
)

"""What the parts of the setup wizard share: how things stand, where the operator looks, and what changes both."""

from __future__ import annotations

from textual.timer import Timer

from console.host_look import HostLook
from console.live_run import LiveRun
from console.screens.mode_screen import ModeScreen
from console.setup_panes.pane import SetupPane
from console.setup_stages import Stage
from console.setup_walk import Walk
from engine.models import Job


class WalkScreen(ModeScreen):
    """Base of the parts of ``SetupScreen``, which shows what they change."""

    MODE = "setup"
    _draw_timer: Timer

    def __init__(self) -> None:
        super().__init__()
        self._run = LiveRun()
        self._walk = Walk()
        self._at = Stage.WELCOME
        self._placed = False  # whether the operator is where they chose to be, or where things stand
        self._jobs: list[Job] = []
        self._look_due = True
        self._looking = HostLook()

    @property
    def pane(self) -> SetupPane:
        """That of the stage looked at."""
        return self.query_one(f"#pane-{self._at.value}", SetupPane)

    def _walk_to(self, stage: Stage) -> None:
        """Go to a stage and stay there, whatever the look under way may see."""
        self._placed = True
        self._go(stage)

    def _go(self, stage: Stage) -> None:
        raise NotImplementedError

    def _show(self) -> None:
        """Bring all that is shown up to date."""
        raise NotImplementedError

"""What a pane of the setup wizard is given, and what all panes are."""

from __future__ import annotations

from dataclasses import dataclass

from textual.containers import Container

from console.followed_job import FollowedJob
from console.live_run import LiveRun
from console.setup_stages import Stage
from console.setup_walk import Walk


@dataclass(frozen=True, slots=True)
class SetupView:
    """All that the wizard knows at one moment."""

    walk: Walk
    at: Stage
    followed: FollowedJob | None
    run: LiveRun


class SetupPane(Container):
    """Base of the panes: ``show`` brings one up to date and paints only what differs."""

    def show(self, view: SetupView) -> None:
        raise NotImplementedError

    def note(self, walk: Walk) -> tuple[str, str]:
        """What the heading says about this stage, and its role; the screen adds when it looked."""
        return "", "muted"

    def flush(self) -> None:
        """Draw output that came since; called a few times a second while there may be some."""

    def toggle_log(self) -> bool:
        """Give the log all the room, or less again; False where there is none."""
        return False

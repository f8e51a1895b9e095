"""What the wizard's tests wait for."""

from __future__ import annotations

from console.screens.setup import SetupScreen
from console.setup_stages import Stage
from tests.console.driving import Driven

TICK_S = 0.05


def wizard(driven: Driven) -> SetupScreen:
    screen = driven.app.screen
    assert isinstance(screen, SetupScreen)
    return screen


async def stage(driven: Driven, wanted: Stage) -> None:
    """Wait until the wizard shows a stage."""
    await driven.until(
        lambda: (
            isinstance(driven.app.screen, SetupScreen)
            and driven.app.screen._at is wanted
            and not driven.app.screen._walk.stale
        ),
        f"stage {wanted}",
    )

"""One look at the host for its setup: checks, steps and languages, and how old what was seen is."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from console.connection import Connection
from console.quantities import age
from engine.api import EngineApi
from engine.errors import VmdeckError
from engine.models import Health, Language, SetupOptions, SetupStep

OLD_S = 30.0
Seen = tuple[Health, Sequence[SetupStep], Sequence[Language]]


class HostLook:
    """Asks; keeps when. A look that fails leaves the time of the last one that did not."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._at: float | None = None
        self._failed = False

    @property
    def under_way(self) -> bool:
        return self._since is not None

    @property
    def is_due(self) -> bool:
        """Whether what was seen is too old to come back to. After a look that failed, the operator says when."""
        return not self._failed and (self._at is None or time.monotonic() - self._at > OLD_S)

    async def look(self, connection: Connection, api: EngineApi, options: SetupOptions) -> Seen | None:
        """What is seen now, None where the engine was lost meanwhile; takes seconds. Raises VmdeckError as it does."""
        began = self._since = time.monotonic()
        # Who may only look may not name options: those can be files of the host.
        asked = None if options == SetupOptions() else options
        try:
            question = asyncio.gather(api.health(full=True), api.setup_steps(asked), api.languages())
            seen = await connection.answer(api, question)
        except VmdeckError:
            self._failed = True
            raise
        finally:
            if self._since == began:  # else another look has begun meanwhile
                self._since = None
        if seen is not None:
            self._at, self._failed = time.monotonic(), False
        return seen

    def note(self) -> tuple[str, str]:
        """What is being looked at, or how old what is shown is; and the role of that."""
        if self._since is not None:
            return f"● looking at checks and steps  {age(time.monotonic() - self._since)}", "accent"
        if self._failed:
            return "✗ could not look, r looks again", "error"
        if self._at is None:
            return "", "muted"
        minutes = int(time.monotonic() - self._at) // 60
        return (f"seen {minutes} m ago" if minutes else "seen just now"), "muted"

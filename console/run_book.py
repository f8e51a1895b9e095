"""The part of history that is loaded: newest runs first, growing at the top as runs end and at the bottom on demand."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

from engine.api import EngineApi
from engine.models import RunEntry, RunQuery

PAGE = 200
MAX_LOADED = 5_000
"""What the console holds of a history of 100,000; a filter finds the rest."""
_EXPORT_PAGE = 1_000


class RunBook:
    """Answers to one ``query``. ``complete`` once the oldest run that fits is loaded."""

    def __init__(self, query: RunQuery) -> None:
        self.query = query
        self.entries: list[RunEntry] = []
        self.complete = False

    async def refresh(self, api: EngineApi) -> None:
        """Add what came since the last time; begin anew where that is more than a page."""
        newest = self.entries[0].id if self.entries else None
        came = await self._ask(api, after=newest)
        if len(came) < PAGE and newest is not None:
            self.entries[:0] = came
            self.complete = self.complete and len(self.entries) <= MAX_LOADED
            del self.entries[MAX_LOADED:]
        else:
            self.entries, self.complete = list(came), len(came) < PAGE

    async def older(self, api: EngineApi) -> None:
        """Add a page at the end, if there is more and room for it."""
        if self.complete or self.full or not self.entries:
            return
        last = self.entries[-1].id
        found = await self._ask(api, before=last)
        if self.entries and self.entries[-1].id == last:  # no one else has added them meanwhile
            self.entries += found
            self.complete = len(found) < PAGE

    @property
    def full(self) -> bool:
        return len(self.entries) >= MAX_LOADED

    async def _ask(self, api: EngineApi, **bounds: int | None) -> Sequence[RunEntry]:
        return await api.runs(self.query.model_copy(update={**bounds, "limit": PAGE}))


async def every_page(api: EngineApi, query: RunQuery) -> AsyncGenerator[Sequence[RunEntry]]:
    """All runs that ``query`` finds, the newest first, in pieces."""
    before: int | None = None
    while True:
        page = await api.runs(query.model_copy(update={"before": before, "limit": _EXPORT_PAGE}))
        if page:
            yield page
        if len(page) < _EXPORT_PAGE:
            return
        before = page[-1].id

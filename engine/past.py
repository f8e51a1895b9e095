"""Runs that have ended: recorded with who asked for them, told again from history and from what memory keeps."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from engine.caller import asking
from engine.errors import BusyError, InputError, NotFoundError, NotReadyError, VmdeckError
from engine.history import History
from engine.models import MAX_TRACE_ID, MAX_WINDOW_S, Caller, RunEntry, RunQuery, RunRequest, RunResult, RunStats
from engine.models.run_asking import kinds
from engine.rootfs.staging import in_thread
from engine.runs.kept import KeptRequests, as_json
from engine.settings import Settings

_MIB = 1024 * 1024
_REFUSALS = (InputError, NotReadyError, BusyError)
"""What refuses a run before its code has begun. They may come in any number, and must not push out what ran."""
_LIST_THEM = "List the runs there are: vmdeck runs"


class PastRuns:
    """``history`` is None where its file can't be used: runs go on, yet nothing is told of them."""

    def __init__(self, settings: Settings, history: History | None, caller: Caller) -> None:
        self._history = history
        self._caller: Caller = caller
        self._kept = KeptRequests(settings.keep_requests_mib * _MIB)
        self._since = datetime.now(UTC)

    async def record(self, request: RunRequest, trace_id: str, item: int, outcome: RunResult | VmdeckError) -> None:
        if self._kept.limit_bytes and not isinstance(outcome, _REFUSALS):
            self._kept.keep(trace_id, await in_thread(as_json, request, item))
        if self._history is None:
            return
        caller = asking.get() or self._caller
        if isinstance(outcome, RunResult):
            entry = RunEntry.of(request, outcome, caller=caller, item=item)
        else:
            entry = RunEntry.failed(request, trace_id, outcome.kind, caller=caller, item=item, error=outcome.message)
        await self._history.record_run(entry)

    async def runs(self, query: RunQuery | None) -> Sequence[RunEntry]:
        return await self._told().runs(query or RunQuery())

    async def stats(self, window_s: float) -> RunStats:
        """Raises InputError, NotReadyError."""
        if not 0 < window_s <= MAX_WINDOW_S:
            raise InputError(
                f"window_s: {window_s:g} is not above 0 and at most {MAX_WINDOW_S}, which is 31 days",
                remedy="Ask for figures over a window within these bounds",
            )
        return await self._told().run_stats(window_s)

    async def request(self, trace_id: str) -> RunRequest:
        """Raises NotFoundError with the reason where it is not kept, InputError for what can't be a trace id."""
        if len(trace_id) > MAX_TRACE_ID:
            raise InputError(
                f"A trace id has at most {MAX_TRACE_ID} characters, not {len(trace_id)}", remedy=_LIST_THEM
            )
        if (kept := self._kept.get(trace_id)) is not None:
            return await in_thread(RunRequest.model_validate_json, kept)
        limit_mib = self._kept.limit_bytes // _MIB
        why, remedy = f"newer ones have taken the {limit_mib} MiB that are kept", "Set keep_requests_mib higher"
        if not limit_mib:
            why, remedy = "this engine keeps none", "Set keep_requests_mib to how many MiB it may take"
        elif self._history is not None:
            known = [run for run in await self._history.runs(RunQuery(trace_id=trace_id)) if run.trace_id == trace_id]
            if not known:
                raise NotFoundError(f"No run has the trace id {trace_id!r}", remedy=_LIST_THEM)
            if known[0].outcome in {kind for error in _REFUSALS for kind in kinds(error)}:
                why, remedy = f"it was refused before it ran: {known[0].error or known[0].outcome}", _LIST_THEM
            elif known[0].at < self._since:
                why, remedy = "it ran before this engine opened, and they are kept in memory only", _LIST_THEM
        raise NotFoundError(f"What run {trace_id} was asked to do is not kept: {why}", remedy=remedy)

    def _told(self) -> History:
        if self._history is None:
            raise NotReadyError(
                "No history is kept: its file can't be used",
                remedy="The engine's log says why; move history.db away and open the engine again",
            )
        return self._history

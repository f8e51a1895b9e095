"""The command for runs that have ended."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from engine.cli.listing import Columns, show
from engine.cli.session import checked, with_engine
from engine.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.api import EngineApi
    from engine.models import RunEntry, RunQuery


def runs(
    lang: Annotated[str | None, typer.Option(metavar="NAME", help="Only of this language.")] = None,
    outcome: Annotated[
        str | None, typer.Option(metavar="WORD", help="Only with this end: success, timeout, ...; '!success': others.")
    ] = None,
    caller: Annotated[
        str | None, typer.Option(metavar="WHO", help="Only of cli, http, console, bench, library.")
    ] = None,
    since: Annotated[str | None, typer.Option(metavar="TIME", help="Only since 30m, 2h, 7d or 2026-03-14.")] = None,
    limit: Annotated[int, typer.Option(metavar="N", help="At most so many, the newest.")] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
) -> None:
    """List runs that have ended, the newest first. Times are UTC."""
    if as_json and as_csv:
        raise InputError("--json and --csv exclude each other", remedy="Give one of them")
    query = _query(lang, outcome, caller, since)
    if limit < 1:
        raise InputError(f"--limit {limit} lists nothing", remedy="Ask for 1 or more")
    found = with_engine(lambda engine: _newest(engine, query, limit))
    if as_csv:
        from engine.models.run_table import csv_header, csv_rows

        print(csv_header() + csv_rows(found), end="")
        return
    columns: Columns[RunEntry] = {
        "ENDED": lambda run: f"{run.at:%Y-%m-%d %H:%M:%S}",
        "LANGUAGE": lambda run: run.language,
        "OUTCOME": lambda run: run.outcome,
        "EXIT": lambda run: "" if run.exit_code is None else run.exit_code,
        "TOTAL": lambda run: f"{run.timings.total:.0f} ms" if run.timings else "",
        "BOOT": lambda run: run.boot or "",
        "CALLER": lambda run: run.caller,
        "RUN": lambda run: run.trace_id,
    }
    show(found, columns, as_json=as_json, empty="No runs.")


async def _newest(engine: EngineApi, query: RunQuery, limit: int) -> Sequence[RunEntry]:
    """Asked for page by page, since one answer holds only so many."""
    from engine.models import MAX_RUNS_ASKED

    found: list[RunEntry] = []
    while (room := min(limit - len(found), MAX_RUNS_ASKED)) > 0:
        before = {"before": found[-1].id} if found else {}
        page = await engine.runs(query.model_copy(update={**before, "limit": room}))
        found += page
        if len(page) < room:
            break
    return found


def _query(lang: str | None, ending: str | None, caller: str | None, since: str | None) -> RunQuery:
    from engine.models import RunQuery
    from engine.models.run_asking import moment, outcome

    try:
        known = None if ending is None else outcome(ending)
        began = None if since is None else moment(since, datetime.now(UTC))
    except ValueError as error:
        raise InputError(str(error), remedy="See --help") from None
    return checked(RunQuery, language=lang, outcome=known, caller=caller, since=began)

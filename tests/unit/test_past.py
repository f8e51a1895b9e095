"""A past run can be told of and, while its request is kept, run again; what is not kept says why."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from engine.caller import asking
from engine.errors import BusyError, InputError, NotFoundError, NotReadyError, OutcomeUnknownError, VmdeckError
from engine.history import History
from engine.models import MAX_ARGS, MAX_ENV, MAX_FILES, RunQuery, RunRequest, RunResult, Timings, VmRef
from engine.past import PastRuns
from engine.runs.kept import KeptRequests, as_json
from engine.settings import Settings

REQUEST = RunRequest(language="python", code="print(1)", args=("a",), env={"B": "c"}, stdin="d")


def result(trace_id: str) -> RunResult:
    return RunResult(
        trace_id=trace_id,
        status="success",
        stdout="",
        stderr=None,
        exit_code=0,
        exec_time="5ms",
        exec_time_ms=5,
        timings=Timings(total=9),
        boot="snapshot",
        vm=VmRef(id="vm", vmm="qemu", image="python-bookworm", snapshot="python-256"),
    )


@pytest.fixture
async def history(tmp_path: Path) -> AsyncIterator[History]:
    async with History(tmp_path / "history.db") as opened:
        yield opened


def past(history: History | None, keep_mib: int = 32) -> PastRuns:
    return PastRuns(Settings(keep_requests_mib=keep_mib), history, "library")


async def test_a_run_is_noted_with_what_served_it_and_its_request_is_kept(history: History) -> None:
    runs = past(history)
    await runs.record(REQUEST, "t1", 0, result("t1"))
    (entry,) = await runs.runs(None)
    assert (entry.caller, entry.vm_id, entry.image, entry.snapshot) == (
        "library",
        "vm",
        "python-bookworm",
        "python-256",
    )
    assert await runs.request("t1") == REQUEST


async def test_the_one_who_asks_comes_before_the_one_who_opened_the_engine(history: History) -> None:
    runs = past(history)
    before = asking.set("console")
    await runs.record(REQUEST, "t1", 0, result("t1"))
    asking.reset(before)
    assert [entry.caller for entry in await runs.runs(RunQuery())] == ["console"]


async def test_a_run_that_ended_in_an_error_says_which_and_can_be_run_again(history: History) -> None:
    runs = past(history)
    await runs.record(REQUEST, "t1", 0, OutcomeUnknownError("the guest was lost"))
    (entry,) = await runs.runs(None)
    assert (entry.outcome, entry.error) == ("outcome-unknown", "the guest was lost")
    assert await runs.request("t1") == REQUEST


@pytest.mark.parametrize(
    "refusal",
    [BusyError("all places are taken", retry_after_s=1), NotFoundError("no such image"), NotReadyError("no KVM")],
)
async def test_a_refused_run_is_noted_and_what_it_asked_is_not_kept(history: History, refusal: VmdeckError) -> None:
    runs = past(history)
    await runs.record(REQUEST, "t1", 0, refusal)
    assert [entry.outcome for entry in await runs.runs(None)] == [refusal.kind]
    with pytest.raises(NotFoundError, match=f"refused before it ran: {refusal.message}"):
        await runs.request("t1")


async def test_an_item_of_a_batch_is_kept_with_its_own_input(history: History) -> None:
    runs = past(history)
    batch = REQUEST.model_copy(update={"stdin": ("first", "second")})
    await runs.record(batch, "t2", 1, result("t2"))
    assert await runs.request("t2") == REQUEST.model_copy(update={"stdin": "second"})


@pytest.mark.parametrize("trace_id", ["nobody", "t", ""])
async def test_a_run_that_never_was_is_told_as_such(history: History, trace_id: str) -> None:
    runs = past(history)
    await runs.record(REQUEST, "t1", 0, result("t1"))
    with pytest.raises(NotFoundError, match="No run has"):
        await runs.request(trace_id)


async def test_a_run_of_an_engine_before_is_told_as_such(history: History) -> None:
    await past(history).record(REQUEST, "t1", 0, result("t1"))
    with pytest.raises(NotFoundError, match="before this engine opened"):
        await past(history).request("t1")


async def test_an_engine_that_keeps_none_says_so(history: History) -> None:
    runs = past(history, keep_mib=0)
    await runs.record(REQUEST, "t1", 0, result("t1"))
    with pytest.raises(NotFoundError, match="keeps none") as caught:
        await runs.request("t1")
    assert "keep_requests_mib" in caught.value.remedy


async def test_what_newer_runs_pushed_out_is_told_as_such(history: History) -> None:
    runs = past(history, keep_mib=1)
    for number in range(3):
        await runs.record(REQUEST.model_copy(update={"code": "#" * 500_000}), f"t{number}", 0, result(f"t{number}"))
    with pytest.raises(NotFoundError, match="1 MiB"):
        await runs.request("t0")
    assert (await runs.request("t2")).language == "python"


async def test_without_a_history_runs_are_recorded_nowhere_and_that_is_told() -> None:
    runs = past(None)
    await runs.record(REQUEST, "t1", 0, result("t1"))
    assert await runs.request("t1") == REQUEST
    with pytest.raises(NotReadyError, match="No history"):
        await runs.runs(None)
    with pytest.raises(NotReadyError, match="No history"):
        await runs.stats(60)


async def test_figures_are_of_the_window_that_was_asked_for(history: History) -> None:
    runs = past(history)
    await runs.record(REQUEST, "t1", 0, result("t1"))
    assert (await runs.stats(60)).runs == 1
    assert await runs.runs(RunQuery(until=datetime.now(UTC) - timedelta(hours=1))) == []


@pytest.mark.parametrize("window_s", [0, -1, float("nan"), float("inf"), 32 * 86400])
async def test_a_window_that_is_none_is_refused_with_its_bound(history: History, window_s: float) -> None:
    with pytest.raises(InputError, match="31 days"):
        await past(history).stats(window_s)


async def test_a_trace_id_that_is_longer_than_any_is_refused_with_the_bound(history: History) -> None:
    with pytest.raises(InputError, match="64 characters"):
        await past(history).request("t" * 100)


def test_kept_requests_stay_within_their_bound_whatever_their_size() -> None:
    kept = KeptRequests(10_000)
    for number in range(50):
        kept.keep(str(number), b"x" * 1000)
    assert [number for number in range(50) if kept.get(str(number)) is not None] == list(range(40, 50))
    kept.keep("huge", b"x" * 20_000)
    assert kept.get("huge") is None
    assert kept.get("49") is not None, "one that is too large pushes nothing out"


def test_requests_of_many_small_parts_take_no_more_than_is_counted() -> None:
    """Each part as a value of its own would take several times the length of its text."""
    files = [{"path": f"f{number}", "content": ""} for number in range(MAX_FILES)]
    parts = {
        "language": "python",
        "args": ["é"] * MAX_ARGS,
        "env": dict.fromkeys(map("A{}".format, range(MAX_ENV)), ""),
    }
    kept = KeptRequests(1024 * 1024)
    tracemalloc.start()
    try:
        for number in range(500):
            kept.keep(str(number), as_json(RunRequest.model_validate({**parts, "files": files})))
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] < 1.1 * kept.limit_bytes
    finally:
        tracemalloc.stop()
    assert kept.get("499") is not None

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from engine.errors import NotReadyError
from engine.lock import CHANGES
from engine.settings import Settings
from engine.setup.base import made
from engine.setup.ledger import Ledger


def test_what_is_recorded_is_read_by_the_next_engine_in_order(settings: Settings, ledger: Ledger) -> None:
    ledger.record(made("packages", "package", "qemu"))
    ledger.record(made("folders", "folder", "/data"))
    assert [trace.what for trace in Ledger(settings).traces()] == ["qemu", "/data"]


def test_a_thing_made_again_keeps_its_place_and_what_was_before(ledger: Ledger) -> None:
    ledger.record(made("settings", "setting", 'vmm = "qemu"', before="auto"))
    ledger.record(made("x", "file", "/b", sha256="1"))
    ledger.record(made("settings", "setting", 'vmm = "qemu"', before="qemu"))
    ledger.record(made("x", "file", "/b", sha256="2"))
    assert [(trace.what, trace.before, trace.sha256) for trace in ledger.traces()] == [
        ('vmm = "qemu"', "auto", None),
        ("/b", None, "2"),
    ]


def test_the_file_goes_with_the_last_trace(ledger: Ledger) -> None:
    trace = made("packages", "package", "qemu")
    ledger.record(trace)
    ledger.forget(trace)
    assert not ledger.path.exists()
    assert [path.name for path in ledger.path.parent.iterdir()] == [CHANGES]


def test_only_its_owner_may_read_it(ledger: Ledger) -> None:
    ledger.record(made("packages", "package", "qemu"))
    assert ledger.path.stat().st_mode & 0o777 == 0o600


def test_what_a_killed_setup_made_in_a_store_is_found_later(settings: Settings, tmp_path: Path) -> None:
    store = tmp_path / "store"
    (store / "older").mkdir(parents=True)
    killed = Ledger(settings).newcomers("kernel", store)
    killed.__enter__()
    (store / "newer").mkdir()
    (store / "newer" / "manifest.json").write_text("{}")
    del killed  # it never comes to its end
    found = Ledger(settings).traces()
    assert [(trace.step, trace.what, trace.sha256 is not None) for trace in found] == [
        ("kernel", str(store / "newer"), True)
    ]
    with Ledger(settings).newcomers("kernel", store):
        (store / "newest").mkdir()
    assert [Path(trace.what).name for trace in Ledger(settings).traces()] == ["newer", "newest"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "not as vmdeck writes it"),
        (json.dumps({"version": 2, "traces": []}), "layout 2"),
        (json.dumps({"traces": [{"kind": "planet"}]}), "not as vmdeck writes it"),
    ],
)
def test_a_record_that_can_not_be_understood_is_neither_used_nor_replaced(
    content: str, reason: str, ledger: Ledger
) -> None:
    ledger.path.parent.mkdir()
    ledger.path.write_text(content)
    with pytest.raises(NotReadyError, match=reason):
        ledger.record(made("packages", "package", "qemu"))
    assert ledger.path.read_text() == content


def test_what_is_recorded_while_another_is_forgotten_stays(settings: Settings, ledger: Ledger) -> None:
    """Each in a thread of its own, as the engine and a command would."""
    kept = [made("x", "file", f"/kept-{number}") for number in range(20)]
    dropped = [made("x", "file", f"/dropped-{number}") for number in range(20)]
    for trace in dropped:
        ledger.record(trace)
    with ThreadPoolExecutor() as threads:
        done = [threads.submit(ledger.forget, trace) for trace in dropped]
        done += [threads.submit(Ledger(settings).record, trace) for trace in kept]
        for each in done:
            each.result()
    assert {trace.what for trace in ledger.traces()} == {trace.what for trace in kept}

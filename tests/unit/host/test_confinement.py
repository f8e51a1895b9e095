"""Whether VMM processes can be confined here is told with what stands in the way."""

from __future__ import annotations

import grp
import os
import pwd
from pathlib import Path
from types import SimpleNamespace

import pytest

from engine.host.confinement import jail
from engine.models import Severity
from tests.unit.host.fake_host import cgroup_v1, cgroup_v2, surroundings, write

RANGE = {"jail_uid_first": 500_000, "jail_uid_count": 10, "jail_gid": 500_000}


@pytest.fixture(autouse=True)
def fit_host(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Root, and nobody else has an id of the range."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(pwd, "getpwall", lambda: [SimpleNamespace(pw_name="ann", pw_uid=1000)])
    accounts(monkeypatch, {})
    cgroup_v2(tmp_path)


def accounts(monkeypatch: pytest.MonkeyPatch, users: dict[int, str], groups: dict[int, str] | None = None) -> None:
    monkeypatch.setattr(pwd, "getpwuid", lambda uid: SimpleNamespace(pw_name=users[uid]))
    monkeypatch.setattr(grp, "getgrgid", lambda gid: SimpleNamespace(gr_name=(groups or {})[gid]))


def test_root_with_free_ids_and_writable_groups_can(tmp_path: Path) -> None:
    found = jail(surroundings(tmp_path, **RANGE))
    assert (found.severity, found.seen) == (Severity.OK, "on: user ids 500000 to 500009, control groups v2")


def test_no_jail_by_settings_is_said_loudly(tmp_path: Path) -> None:
    found = jail(surroundings(tmp_path, jail="off", **RANGE))
    assert (found.severity, found.seen[:3]) == (Severity.DEGRADED, "OFF")
    assert found.remedy


def test_another_user_than_root_can_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    found = jail(surroundings(tmp_path, **RANGE))
    assert (found.severity, "not root" in found.seen) == (Severity.DEGRADED, True)


def test_ids_of_an_account_are_not_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pwd, "getpwall", lambda: [SimpleNamespace(pw_name="bob", pw_uid=500_009)])
    found = jail(surroundings(tmp_path, **RANGE))
    assert (found.severity, "bob" in found.seen) == (Severity.DEGRADED, True)


def test_ids_that_only_a_directory_service_knows_are_not_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    accounts(monkeypatch, {500_003: "eve"})
    assert "eve" in jail(surroundings(tmp_path, **RANGE)).seen


@pytest.mark.parametrize(
    ("line", "severity"),
    [
        ("carl:499000:1001", Severity.DEGRADED),
        ("carl:500009:65536", Severity.DEGRADED),
        ("carl:499000:1000", Severity.OK),
        ("carl:500010:65536", Severity.OK),
        ("a torn line", Severity.OK),
    ],
)
def test_ids_lent_to_containers_are_not_free(tmp_path: Path, line: str, severity: Severity) -> None:
    write(tmp_path / "etc" / "subuid", f"{line}\n")
    found = jail(surroundings(tmp_path, **RANGE))
    assert found.severity is severity
    assert ("containers of carl" in found.seen) == (severity is Severity.DEGRADED)


def test_a_group_that_somebody_has_is_not_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    accounts(monkeypatch, {}, {500_000: "staff"})
    found = jail(surroundings(tmp_path, **RANGE))
    assert (found.severity, "staff" in found.seen) == (Severity.DEGRADED, True)


def test_control_groups_that_can_not_be_written_limit_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)
    found = jail(surroundings(tmp_path, **RANGE))
    assert (found.severity, "can't be written" in found.seen) == (Severity.DEGRADED, True)


def test_a_missing_controller_is_named(tmp_path: Path) -> None:
    cgroup_v1(tmp_path / "old", "cpu", "memory")
    around = surroundings(tmp_path / "old", **RANGE)
    found = jail(around)
    assert (found.severity, found.seen) == (Severity.DEGRADED, "no control group for pids")

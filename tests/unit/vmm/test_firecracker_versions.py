"""Releases of Firecracker that can't do the work are refused, with the reason."""

from __future__ import annotations

import pytest

from engine.errors import NotReadyError
from engine.host.firecracker_release import has, refuse_unfit


@pytest.mark.parametrize("version", ["1.12.0", "1.12.1", "1.13.2", "1.16.1", "1.17.0-dev", "2.0.0"])
def test_a_release_that_works_is_taken(version: str) -> None:
    refuse_unfit(version)


@pytest.mark.parametrize(
    ("version", "reason"),
    [
        ("1.11.9", "too old"),
        ("0.25.2", "too old"),
        ("1.16.0", "vsock of every clone"),
        ("", "is no version"),
        ("v1.12", "is no version"),
    ],
)
def test_another_is_refused_with_the_reason(version: str, reason: str) -> None:
    with pytest.raises(NotReadyError, match=reason):
        refuse_unfit(version)


@pytest.mark.parametrize(
    ("version", "known"),
    [("1.12.1", False), ("1.15.9", False), ("1.16.1", True), ("1.17.0-dev", True), ("2.0.0", True)],
)
def test_a_feature_is_used_from_its_first_release_on(version: str, known: bool) -> None:
    assert has(version, "vsock_override") is known
    assert has(version, "clock_realtime") is known

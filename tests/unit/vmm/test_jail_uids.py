"""User ids for jails: one for each live VM, whoever started it, and free again when that has ended, however."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from engine.errors import BusyError, NotReadyError
from engine.vmm.jail_uids import claim, claimed, folder_owners

UIDS = range(5000, 5003)
ROOT = Path(__file__).parents[3]
_ANOTHER_ENGINE = """
import sys
from pathlib import Path
from engine.vmm.jail_uids import claim
held = claim(range(5000, 5003), claims=Path(sys.argv[1]))
print(held.uid, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def claims(tmp_path: Path) -> Path:
    return tmp_path / "jails" / "uids"


def test_no_two_claims_of_one_engine_are_the_same(claims: Path) -> None:
    held = [claim(UIDS, claims=claims) for _ in UIDS]
    assert [each.uid for each in held] == list(UIDS)
    assert claimed(UIDS, claims) == set(UIDS)


def test_when_all_are_taken_it_is_busy_and_nothing_is_lost(claims: Path) -> None:
    held = [claim(UIDS, claims=claims) for _ in UIDS]
    with pytest.raises(BusyError, match="All 3 user ids"):
        claim(UIDS, claims=claims)
    held[1].release()
    assert claim(UIDS, claims=claims).uid == UIDS[1]


def test_a_released_one_is_free_again(claims: Path) -> None:
    held = claim(UIDS, claims=claims)
    held.release()
    held.release()
    assert claimed(UIDS, claims) == set()


def test_one_that_nobody_holds_any_more_is_free_again(claims: Path) -> None:
    assert claim(UIDS, claims=claims).uid == UIDS[0]
    assert claimed(UIDS, claims) == set()


def test_another_engine_has_others_and_gives_them_back_when_it_is_killed(claims: Path) -> None:
    another = subprocess.Popen(
        [sys.executable, "-c", _ANOTHER_ENGINE, str(claims)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with another:
        try:
            assert another.stdout is not None
            assert int(another.stdout.readline()) == UIDS[0]
            ours = claim(UIDS, claims=claims)
            assert ours.uid == UIDS[1]
        finally:
            another.kill()
    assert claimed(UIDS, claims) == {UIDS[1]}
    ours.release()


def test_one_that_is_taken_otherwise_is_passed_over(claims: Path) -> None:
    assert claim(UIDS, {UIDS[0]}, claims).uid == UIDS[1]


def test_owners_of_firecrackers_jails_are_known(tmp_path: Path) -> None:
    root = tmp_path / "firecracker" / "vm1" / "root"
    root.mkdir(parents=True)
    assert folder_owners(tmp_path) == {root.stat().st_uid}
    assert folder_owners(tmp_path / "none") == set()


_UNDER_THE_SERVICE = """
mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" &&
mount --bind "$1/vmdeck-jails" "$1/vmdeck-jails" && mount -o remount,bind,rw "$1/vmdeck-jails" &&
! touch "$1/file" 2>/dev/null && exec "$2" -c "$3" "$1/vmdeck-jails/uids"
"""


def test_claims_are_made_where_their_folder_is_all_that_the_service_may_write(tmp_path: Path) -> None:
    """ProtectSystem=strict and RuntimeDirectory= of the unit: a folder of mode 0700 in a read-only one."""
    run = tmp_path / "run"
    (run / "vmdeck-jails").mkdir(mode=0o700, parents=True)
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode:
        pytest.skip("mount namespaces can't be made here")
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", _UNDER_THE_SERVICE, "sh", run, sys.executable, _ANOTHER_ENGINE],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == (f"{UIDS[0]}\n", "")


def test_where_claims_can_not_be_made_the_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NotReadyError, match=str(tmp_path / "file")) as caught:
        claim(UIDS, claims=tmp_path / "file" / "uids")
    assert "turn the jail off" in caught.value.remedy

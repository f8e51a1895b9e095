"""A VM whose control groups stay in use: the error is told, and its user id stays taken until nothing has it."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import InternalError
from engine.vmm import cgroups
from engine.vmm.home import VmHome
from engine.vmm.jail_uids import claim, claimed
from engine.vmm.leftovers import Leftovers
from engine.vmm.quarters import Traces

UIDS = range(5000, 5003)


class Vm:
    """A home whose groups are stand-ins: one that goes after one that can not be removed, since it is not empty."""

    def __init__(self, folder: Path) -> None:
        self.claims = folder / "claims" / "uids"
        self.groups = (folder / "stuck", folder / "free")
        self.jail = folder / "jail"
        for path in (*self.groups, self.jail):
            path.mkdir()
        (self.groups[0] / "member").touch()
        self.home = VmHome.create(folder / "vms", "vm1")
        self.home.note_elsewhere(Traces((self.jail,), self.groups))

    def end_of_the_member(self) -> None:
        (self.groups[0] / "member").unlink()


@pytest.fixture
def vm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Vm:
    monkeypatch.setattr(cgroups, "_REMOVAL_DEADLINE_S", 0.05)
    return Vm(tmp_path)


async def test_what_stays_is_named_and_what_can_go_has_gone(vm: Vm) -> None:
    with pytest.raises(InternalError, match=f"{vm.groups[0]} .*not empty"):
        await Leftovers().clear(vm.home, lambda: None)
    assert not vm.groups[1].exists()
    assert vm.jail.exists()  # its owner is the user id that is still taken
    assert vm.home.elsewhere().cgroups == vm.groups  # for the next engine


async def test_its_user_id_stays_taken_until_a_later_start_finds_it_gone(vm: Vm) -> None:
    leftovers = Leftovers()
    with pytest.raises(InternalError):
        await leftovers.clear(vm.home, claim(UIDS, claims=vm.claims).release)
    leftovers.retry()
    assert claimed(UIDS, vm.claims) == {UIDS[0]}
    vm.end_of_the_member()
    leftovers.retry()
    assert claimed(UIDS, vm.claims) == set()
    assert not any(path.exists() for path in (*vm.groups, vm.jail, vm.home.path))


async def test_one_that_goes_is_waited_for_and_gives_its_user_id_back(vm: Vm) -> None:
    vm.end_of_the_member()
    await Leftovers().clear(vm.home, claim(UIDS, claims=vm.claims).release)
    assert claimed(UIDS, vm.claims) == set()
    assert not vm.home.path.exists()

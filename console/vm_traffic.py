"""How much VMs move a second, from the counters of one look and the next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from engine.models import Vm

_STILL_AFTER_S = 3.0
"""The engine reads counters every two seconds: the same number before this much time is an old reading, no pause."""


class Traffic(NamedTuple):
    """Bytes a second, both ways together; None until two readings have told."""

    disk: float | None = None
    link: float | None = None


class _Meter:
    """One counter that only grows, and how fast it does."""

    def __init__(self) -> None:
        self.rate: float | None = None
        self._base: tuple[float, int] | None = None

    def take(self, at_s: float, total: int | None) -> None:
        if total is None:
            self.rate = self._base = None
            return
        if self._base is None or total < self._base[1]:
            self.rate, self._base = None, (at_s, total)
            return
        passed = at_s - self._base[0]
        if passed > 0 and (total > self._base[1] or passed >= _STILL_AFTER_S):
            self.rate, self._base = (total - self._base[1]) / passed, (at_s, total)


class TrafficRates:
    """Rates of all live VMs; time is each VM's own age."""

    def __init__(self) -> None:
        self._meters: dict[str, tuple[_Meter, _Meter]] = {}

    def take(self, vms: Sequence[Vm]) -> None:
        """The newest readings of all live VMs; what is not among them is forgotten."""
        self._meters = {vm.id: self._meters.get(vm.id) or (_Meter(), _Meter()) for vm in vms}
        for vm in vms:
            disk, link = self._meters[vm.id]
            disk.take(vm.age_s, _together(vm.disk_read_bytes, vm.disk_written_bytes))
            link.take(vm.age_s, _together(vm.link_in_bytes, vm.link_out_bytes))

    def of(self, vm_id: str) -> Traffic:
        meters = self._meters.get(vm_id)
        return Traffic(meters[0].rate, meters[1].rate) if meters else Traffic()


def _together(*counters: int | None) -> int | None:
    known = [counter for counter in counters if counter is not None]
    return sum(known) if known else None

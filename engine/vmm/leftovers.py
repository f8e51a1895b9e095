"""VMs that would not go: their process has ended, but something stays in their control groups.

Their user ids stay taken for as long, since whatever has one could signal and trace the next VM that gets it. Each
later start of a VM tries again, and so does the next engine, by the VM's home.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable

from engine.vmm.home import VmHome


class Leftovers:
    """Homes that could not be cleared, each with what gives its user id back."""

    def __init__(self) -> None:
        self._left: list[tuple[VmHome, Callable[[], None]]] = []
        self._retrying = threading.Lock()

    async def clear(self, home: VmHome, leave: Callable[[], None]) -> None:
        """Clear a home, then ``leave``; both later where it fails now. Raises as ``VmHome.clear``."""
        try:
            await home.clear()
        except BaseException:
            self._left.append((home, leave))
            raise
        leave()

    def retry(self) -> None:
        """Once for each, without waiting for any; in any thread. What still stays was told of before."""
        if not self._left or not self._retrying.acquire(blocking=False):
            return
        try:
            for entry in tuple(self._left):
                home, leave = entry
                with contextlib.suppress(OSError):
                    if not home.try_to_clear():
                        leave()
                        self._left.remove(entry)
        finally:
            self._retrying.release()


OF_THIS_ENGINE = Leftovers()
"""Of the process, as the claims of user ids are: a driver may have been replaced by another meanwhile."""

"""How much memory something costs this process at its worst moment."""

from __future__ import annotations

from pathlib import Path


class PeakMemory:
    """How far resident memory rose above what it was, in bytes. Linux resets the peak on request (proc(5))."""

    def __init__(self) -> None:
        Path("/proc/self/clear_refs").write_text("5")
        self._before = self._status("VmRSS")

    def rise(self) -> int:
        return self._status("VmHWM") - self._before

    def _status(self, name: str) -> int:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith(name + ":"):
                return int(line.split()[1]) * 1024
        raise LookupError(name)

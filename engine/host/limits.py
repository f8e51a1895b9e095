"""Checks of what this process may have: open files, processes and threads."""

from __future__ import annotations

import resource

from engine.host.finding import Finding, Surroundings, degraded, ok
from engine.host.kernel_file import told

_OPEN_FILES_PER_VM = 32
_OPEN_FILES_BASE = 256
_THREADS_PER_VM = 16
_THREADS_BASE = 128


def open_files(around: Surroundings) -> Finding:
    needed = _OPEN_FILES_BASE + _OPEN_FILES_PER_VM * (around.settings.max_running + around.settings.max_queued)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    seen = f"{_limit(soft)} (hard {_limit(hard)}); {needed} needed at full load"
    remedy = f"ulimit -n {needed}, or LimitNOFILE={needed} in the service's unit."
    return ok(seen) if _enough(soft, needed) else degraded(seen, remedy)


def processes(around: Surroundings) -> Finding:
    """Threads count as processes, of this user and of the whole host."""
    needed = _THREADS_BASE + _THREADS_PER_VM * around.settings.max_running
    soft, hard = resource.getrlimit(resource.RLIMIT_NPROC)
    seen = f"{_limit(soft)} (hard {_limit(hard)}); {needed} needed at full load"
    if not _enough(soft, needed):
        return degraded(seen, f"ulimit -u {needed}, or LimitNPROC={needed} in the service's unit.")
    pids = int(told(around.proc / "sys" / "kernel" / "pid_max") or needed)
    if pids < needed:
        return degraded(f"{seen}, and the whole host has {pids}", f"As root: sysctl kernel.pid_max={32 * needed}")
    return ok(seen)


def _enough(limit: int, needed: int) -> bool:
    return limit == resource.RLIM_INFINITY or limit >= needed


def _limit(value: int) -> str:
    return "unlimited" if value == resource.RLIM_INFINITY else str(value)

"""What QEMU tells of a live machine through its monitor: whether it runs, and what its drives were asked for."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field, ValidationError

from engine.errors import InternalError
from engine.models import Figure
from engine.vmm import figures
from engine.vmm.base import VmmCounters
from engine.vmm.qemu_monitor import QemuMonitor

_Count = Annotated[int, Field(ge=0, lt=2**63)]


class _Status(BaseModel):
    status: Annotated[str, Field(max_length=40)]


class _DriveStats(BaseModel):
    rd_bytes: _Count
    wr_bytes: _Count
    rd_operations: _Count
    wr_operations: _Count
    failed_rd_operations: _Count = 0


class _Drive(BaseModel):
    stats: _DriveStats


class _Answers(BaseModel):
    """A QEMU that its guest has taken over may say anything."""

    status: _Status
    drives: list[_Drive] = Field(max_length=64)


async def ask(monitor: QemuMonitor) -> VmmCounters:
    """Inside a session. Raises MonitorError, InternalError."""
    status = await monitor.execute("query-status")
    drives = await monitor.execute("query-blockstats")
    try:
        answers = _Answers.model_validate({"status": status, "drives": drives})
    except ValidationError as error:
        raise InternalError(f"QEMU's counters are not of the known shape: {error.error_count()} fields") from None
    stats = [drive.stats for drive in answers.drives]
    read, written = sum(each.rd_bytes for each in stats), sum(each.wr_bytes for each in stats)
    return VmmCounters(
        read,
        written,
        (
            Figure(name="machine", value=answers.status.status),
            Figure(name="drives read", value=figures.traffic(read, sum(each.rd_operations for each in stats))),
            Figure(name="drives written", value=figures.traffic(written, sum(each.wr_operations for each in stats))),
            Figure(name="failed reads", value=str(sum(each.failed_rd_operations for each in stats))),
        ),
    )

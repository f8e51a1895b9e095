"""The host: findings, load, and the VMM that runs use here."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from engine.models.value import Value
from engine.states import Severity

Serves = Literal["daemon", "console", "command"]


class Check(Value):
    """One finding about the host."""

    id: str
    title: str
    severity: Severity
    seen: str
    why: str = ""
    remedy: str = ""
    fixed_by: str | None = Field(default=None, description="the setup step that can fix it")
    group: str = Field(default="host", description="what it is about: cpu, kvm, kernel, memory ...")


class VmmChoice(Value):
    """Which VMM runs use here, and why."""

    vmm: str
    accelerator: str
    version: str | None
    reason: str
    jailed: bool = Field(default=True, description="whether its processes are confined")
    jail: str = Field(default="", description="what confines them, or why nothing does")


class Health(Value):
    status: Literal["ok", "degraded", "blocked"]
    version: str
    uptime_s: float
    vmm: VmmChoice
    running: int
    queued: int
    capacity: int
    checks: tuple[Check, ...] | None = None


class HostMetrics(Value):
    at: datetime
    cpu_percent: float
    load_1m: float
    cores: int
    memory_total_bytes: int
    memory_used_bytes: int
    disk_total_bytes: int
    disk_used_bytes: int
    net_rx_bytes_s: float
    net_tx_bytes_s: float


class HostSample(Value):
    """The host and the engine at one moment. The engine takes one every SAMPLE_S seconds, for all viewers."""

    metrics: HostMetrics
    running: int
    queued: int


class EngineIdentity(Value):
    """Which engine answers. The id changes each time an engine opens, so that a viewer sees that it is another."""

    id: str
    version: str
    pid: int
    host: str = Field(description="host name of the engine's box")
    data_dir: str
    serves: Serves = Field(
        description='"daemon" until it is stopped; "console" until no viewer and no work is left; "command" for itself'
    )
    now: datetime | None = Field(default=None, description="the engine's clock when it said this")
    role: Literal["operator", "viewer"] = Field(default="operator", description="a viewer may run code, change nothing")

"""What GET /metrics shows: runs that came over HTTP, and the engine's queue and VMs as they are now."""

from __future__ import annotations

from collections import Counter as Tally

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.responses import Response

from engine.api import EngineApi
from engine.models import RunResult, VmState

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
_STAGES = ("queue", "restore", "resync", "exec", "total")


class RunMetrics:
    """Counters of one server, in a registry of their own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._runs = Counter("vmdeck_runs", "Runs over HTTP that ended, by status", ["status"], registry=self._registry)
        self._errors = Counter(
            "vmdeck_run_errors",
            "Runs over HTTP that gave no result, by kind of error",
            ["kind"],
            registry=self._registry,
        )
        self._stages = Histogram(
            "vmdeck_run_stage_seconds",
            "Time in each stage of a run",
            ["stage"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._running = Gauge("vmdeck_runs_running", "Runs in a VM now", registry=self._registry)
        self._queued = Gauge("vmdeck_runs_queued", "Runs that wait now", registry=self._registry)
        self._capacity = Gauge("vmdeck_runs_capacity", "Runs that may be in a VM at once", registry=self._registry)
        self._vms = Gauge("vmdeck_vms", "Live VMs, by state", ["state"], registry=self._registry)

    def ended(self, result: RunResult) -> None:
        self._runs.labels(result.status).inc()
        for stage in _STAGES:
            self._stages.labels(stage).observe(getattr(result.timings, stage) / 1000)

    def failed(self, kind: str) -> None:
        self._errors.labels(kind).inc()

    async def exposition(self, engine: EngineApi) -> Response:
        """The page that Prometheus reads, with the engine asked for what it does now."""
        health = await engine.health()
        states = Tally(vm.state for vm in await engine.vms())
        self._running.set(health.running)
        self._queued.set(health.queued)
        self._capacity.set(health.capacity)
        for state in VmState:
            self._vms.labels(state.value).set(states[state])
        return Response(generate_latest(self._registry), media_type=CONTENT_TYPE_LATEST)

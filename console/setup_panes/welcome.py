"""The first stage: what this host is, what setup will touch, what can be undone."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import VerticalScroll

from console.quantities import count
from console.setup_panes.pane import SetupPane, SetupView
from console.setup_walk import Walk
from console.widgets.detail_pane import Detail, DetailPane, Field
from engine.models import SetupStep

_HOST_CHECKS = {
    "cpu.nested": "Machine",
    "kernel.version": "Kernel",
    "memory": "Memory",
    "disk": "Disk",
    "folders": "Folders",
}
_ABOUT = (
    "Code runs in microVMs of its own, made for one run and destroyed after it. For that this host needs a VMM, a "
    "guest kernel, an image and, for quick starts, a snapshot. Each stage says what it would do before it does it."
)


class WelcomePane(SetupPane):
    def compose(self) -> ComposeResult:
        with VerticalScroll():
            yield DetailPane()

    def show(self, view: SetupView) -> None:
        self.query_one(DetailPane).show(_welcome(view.walk))


def _welcome(walk: Walk) -> Detail:
    return Detail(
        "Welcome",
        (
            Field("vmdeck", _ABOUT),
            Field("", " "),
            *_host(walk),
            Field("", " "),
            *_plan(walk),
            Field("Undo", "What setup makes is written down; U shows and removes it.", "muted"),
            *_rights(walk),
        ),
    )


def _host(walk: Walk) -> list[Field]:
    if walk.health is None:
        return [Field("This host", "not looked at yet", "muted")]
    vmm = walk.health.vmm
    runs = f"{vmm.vmm} {vmm.version or ''} with {vmm.accelerator}" if vmm.vmm != "none" else "none yet"
    fields = [Field("VMM", f"{runs}: {vmm.reason}", "foreground" if vmm.vmm != "none" else "warning")]
    by_id = {check.id: check for check in walk.health.checks or ()}
    fields += [Field(label, by_id[each].seen, "muted") for each, label in _HOST_CHECKS.items() if each in by_id]
    return fields


def _plan(walk: Walk) -> list[Field]:
    if walk.steps is None:
        return [Field("To do", "not looked at yet", "muted")]
    if walk.is_ready and not walk.chosen:
        return [Field("To do", "nothing: this host is ready", "success")]
    todo = walk.chosen
    touching = [step for step in todo if step.touches_system]
    return [
        Field("Own folders", _titles([step for step in todo if not step.touches_system])),
        Field("This system", _titles(touching), "warning" if touching else "foreground"),
    ]


def _titles(steps: list[SetupStep]) -> str:
    return f"{count(len(steps), 'step')}: {', '.join(step.title for step in steps)}" if steps else "nothing to do"


def _rights(walk: Walk) -> list[Field]:
    if not walk.read_only:
        return []
    return [Field("Read-only", "Everything can be looked at here, and nothing applied.", "warning")]

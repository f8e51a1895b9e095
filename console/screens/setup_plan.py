"""What setup would do on this host, step by step, before anything is done."""

from __future__ import annotations

from collections.abc import Sequence

from textual.app import ComposeResult
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.widgets import Button, Static

from console.plain import brief
from console.quantities import count
from console.screens.dialog import Dialog
from engine.models import SetupStep


class SetupPlanDialog(Dialog[tuple[str, ...]]):
    """Answers the ids of the steps that are not done, where the operator agreed."""

    AUTO_FOCUS = "#no"
    heading = "Setup"
    hint = "tab moves, enter answers, esc closes"

    def compose_body(self) -> ComposeResult:
        with VerticalScroll(id="plan", can_focus=True):
            yield Static(Content.styled("Looking at the host …", "$muted"))
        with Horizontal(id="answers"):
            yield Button(Content("Close"), id="no", compact=True)
            yield Button(Content("Apply"), id="yes", variant="primary", compact=True, disabled=True)

    def on_mount(self) -> None:
        self._open: tuple[str, ...] = ()
        self.run_worker(self._look(), exit_on_error=False)

    async def _look(self) -> None:
        api = await self.app.connection.opened()
        self.show_steps(await api.setup_steps())

    def show_steps(self, steps: Sequence[SetupStep]) -> None:
        self._open = tuple(step.id for step in steps if not step.settled)
        self.query_one(Static).update(Content("\n").join(_lines(steps)))
        apply = self.query_one("#yes", Button)
        apply.label = Content(f"Apply {count(len(self._open), 'step')}" if self._open else "All is done")
        apply.disabled = not self._open or self.app.read_only
        apply.refresh(layout=True)  # a new label alone keeps the old width

    def on_button_pressed(self, event: Button.Pressed) -> None:
        self.dismiss(self._open if event.button.id == "yes" else None)


def _sign(step: SetupStep) -> tuple[str, str]:
    """The sign before a step's title, and the role of its colour."""
    if step.skipped:
        return "-", "muted"
    return ("✓", "success") if step.done else ("○", "accent")


def _lines(steps: Sequence[SetupStep]) -> list[Content]:
    lines: list[Content] = []
    for step in steps:
        sign, role = _sign(step)
        asks = "  changes the system" if step.touches_system and not step.settled else ""
        lines.append(
            Content.assemble(
                (f"{sign} ", f"${role}"), (brief(step.title), "bold" if not step.settled else ""), (asks, "$warning")
            )
        )
        seen = f"skipped: {step.seen}" if step.skipped else step.seen if step.done else step.why
        lines.append(Content.styled(f"  {brief(seen)}", "$muted"))
        if not step.settled:
            lines += [Content(f"    {brief(action)}") for action in step.would]
    return lines

"""The base of all forms: fields, what is wrong with each told in place, and a request that the engine may refuse.

A form stays open until the engine took its request, so that nothing typed is lost over an error.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

from pydantic import ValidationError
from textual import events
from textual.app import ComposeResult
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.widgets import Button, Input, Static

from console.fault_words import fault_words
from console.field_spec import FieldSpec
from console.plain import brief
from console.screens.dialog import Answer, Dialog
from console.screens.picker import Choice, PickerDialog
from console.widgets.choice_field import ChoiceField
from console.widgets.form_field import FormField
from engine.errors import VmdeckError
from engine.models import Value

Request = TypeVar("Request", bound=Value)
Choices = Callable[[], Sequence[Choice]]
SEND = "send"
_QUOTED_MAX = 24
_FRAME_ROWS = 6
"""Of a form besides its fields: border, what was refused, answers."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a request: in which field of it, with which text, of which kind, in words."""

    key: str
    text: str
    kind: str
    words: str

    @classmethod
    def of(cls, error: Mapping[str, Any]) -> Problem:
        key = str(error["loc"][0]) if error["loc"] else ""
        return cls(key, str(error["input"]), error["type"], fault_words(error))


class FormDialog(Dialog[Answer], Generic[Request, Answer]):
    """Subclasses give ``fields``, ``REQUEST``, ``YES`` and the methods below. Answers what ``send`` returned."""

    fields: tuple[FieldSpec, ...]
    about: tuple[str, ...] = ()
    """Lines above the fields."""
    REQUEST: ClassVar[type[Value]]
    YES: ClassVar[str]
    PATTERNS: ClassVar[Mapping[str, str]] = {}
    """What to say, by key, where a text does not fit the type's pattern; {} takes the text."""
    AUTO_FOCUS = "FormField Input, FormField ChoiceField"
    CSS_PATH = "../styles/form.tcss"
    hint = "tab moves, enter goes on, esc cancels"

    def __init__(self, values: Mapping[str, str] | None = None, *, first: str | None = None) -> None:
        """``values`` are what fields begin with, by key; ``first`` is the field to begin at."""
        super().__init__()
        self._given = dict(values or {})
        self._first = first
        self._touched: set[str] = set()
        self._prepared = asyncio.Event()

    def request_values(self, values: Mapping[str, str]) -> dict[str, Any]:
        """What goes into the request, by its fields; ``values`` are the texts of the form that are not empty."""
        return dict(values)

    def faults(self, values: Mapping[str, str]) -> dict[str, str]:
        """What is wrong beyond what the request's type tells, by field."""
        return {}

    def blamed(self, problem: Problem) -> str:
        """The field that a fault of the request is told at."""
        return problem.key or self.fields[0].key

    def request_type(self) -> type[Value]:
        """What the fields as they stand make."""
        return self.REQUEST

    def shows(self, key: str) -> bool:
        """Whether a field is for what is filled in so far; what another holds is left out of the request."""
        return True

    def changed(self, key: str) -> None:
        """A field was edited; others may follow it."""

    def wanted(self, key: str) -> None:
        """The list of a chosen field is asked for."""

    async def prepare(self) -> None:
        """Ask what defaults and checks need, once."""

    async def send(self, request: Request) -> Answer | None:
        """Do what the form is for; None leaves it open. Raises VmdeckError where that is refused."""
        raise NotImplementedError

    # --- frame

    def compose_body(self) -> ComposeResult:
        if self.about:
            yield Static(Content("\n".join(map(brief, self.about))), id="about")
        with VerticalScroll(id="fields", can_focus=False):
            for spec in self.fields:
                yield FormField(spec, self._given.get(spec.key, ""))
        yield Static(id="refusal")
        with Horizontal(id="answers"):
            yield Button(Content("Cancel"), id="no", compact=True)
            yield Button(Content(self.YES), id="yes", variant="primary", compact=True)

    def on_mount(self) -> None:
        if self._first is not None:
            self.field(self._first).entry.focus()
        self._arrange()
        self.run_worker(self._prepare(), group="prepare", exit_on_error=False)

    def on_resize(self, event: events.Resize) -> None:
        """Fields scroll where not all have room, so that what was refused and the answers are always there."""
        others = _FRAME_ROWS + (len(self.about) + 1 if self.about else 0)
        self.query_one("#fields").styles.max_height = max(2, event.size.height * 9 // 10 - others)

    async def _prepare(self) -> None:
        try:
            await self.prepare()
        finally:
            self._prepared.set()
        self._arrange()
        self.check()

    def _arrange(self) -> None:
        for spec in self.fields:
            self.field(spec.key).display = self.shows(spec.key)

    def field(self, key: str) -> FormField:
        return self.query_one(f"#field-{key}", FormField)

    @property
    def values(self) -> dict[str, str]:
        return {spec.key: self.field(spec.key).value.strip() if self.shows(spec.key) else "" for spec in self.fields}

    def touched(self, key: str) -> bool:
        """Whether the operator put something into a field."""
        return key in self._touched

    # --- checking

    def check(self, *, all_fields: bool = False) -> Request | None:
        """Show what is wrong with the fields that were touched, or with all; the request where nothing is."""
        filled = {key: value for key, value in self.values.items() if value}
        errors = self.faults(filled)
        request: Any = None
        try:
            request = self.request_type().model_validate(self.request_values(filled))
        except ValidationError as error:
            for problem in (Problem.of(each) for each in error.errors()):
                key = self.blamed(problem)
                errors.setdefault(key, self._said(key, problem))
        for spec in self.fields:
            shown = all_fields or self.touched(spec.key)
            self.field(spec.key).refuse(errors.get(spec.key, "") if shown else "")
        return None if errors else request

    def _said(self, key: str, problem: Problem) -> str:
        if problem.kind == "string_pattern_mismatch" and key in self.PATTERNS:
            return self.PATTERNS[key].format(brief(problem.text, _QUOTED_MAX))
        return problem.words

    def on_input_changed(self, event: Input.Changed) -> None:
        field = event.input.query_ancestor(FormField)
        key = field.spec.key
        if self.touched(key) or event.value != self._given.get(key, ""):  # a field tells what it begins with, too
            self._edited(field)

    def _edited(self, field: FormField) -> None:
        self._touched.add(field.spec.key)
        self.query_one("#refusal", Static).update("")
        self.changed(field.spec.key)
        self._arrange()
        self.check()

    def choose(self, key: str, text: str) -> None:
        """Set a chosen field as the operator picked it."""
        field = self.field(key)
        field.value = text
        self._edited(field)

    def pick(
        self, heading: str, choices: Choices, answered: Callable[[str | None], None], *, at: str | None = None
    ) -> None:
        """Open a list of what ``prepare`` asked for; until that is answered, it says so."""

        async def later() -> Sequence[Choice]:
            await self._prepared.wait()
            return choices()

        picker = PickerDialog(heading, choices(), at=at, later=None if self._prepared.is_set() else later)
        self.app.push_screen(picker, answered)

    def on_choice_field_wanted(self, event: ChoiceField.Wanted) -> None:
        self.wanted(event.field.query_ancestor(FormField).spec.key)

    # --- sending

    def on_input_submitted(self) -> None:
        self._submit()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        if event.button.id == "yes":
            self._submit()
        else:
            self.dismiss(None)

    def _submit(self) -> None:
        if self.query_one("#yes", Button).disabled:
            return
        request = self.check(all_fields=True)
        if request is None:
            wrong = next((spec.key for spec in self.fields if self.field(spec.key).error), self.fields[0].key)
            self.field(wrong).entry.focus()
            return
        self.query_one("#yes", Button).disabled = True
        self.query_one("#refusal", Static).update(Content.styled("◐ a moment …", "$muted"))
        self.run_worker(self._send(request), group=SEND, exclusive=True, exit_on_error=False)

    async def _send(self, request: Request) -> None:
        try:
            answer = await self.send(request)
        except VmdeckError as error:
            self.query_one("#refusal", Static).update(
                Content.assemble((f"✗ {brief(error.message)}", "$error"), (f"  {brief(error.remedy)}", "$foreground"))
            )
            return
        finally:
            self.query_one("#yes", Button).disabled = False
        if answer is None:
            self.query_one("#refusal", Static).update("")
        else:
            self.close_with(answer)

    # --- moving

    def on_key(self, event: events.Key) -> None:
        steps = {"down": self.focus_next, "up": self.focus_previous}
        if event.key in steps and isinstance(self.focused, Input | ChoiceField | Button):
            event.stop()
            steps[event.key]()

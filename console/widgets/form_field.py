"""One field of a form: its label, what is typed or chosen, and below it a remark or what is wrong with it."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Input, Label, Static, TextArea

from console.field_spec import FieldSpec
from console.plain import brief
from console.widgets.choice_field import ChoiceField
from console.widgets.plain_fields import PlainInput, PlainTextArea

_SAID = "-said"


class FormField(Vertical):
    """``value`` is the text typed or chosen. Has the class ``-said`` while there is something to say below it."""

    def __init__(self, spec: FieldSpec, value: str = "") -> None:
        super().__init__(id=f"field-{spec.key.replace('.', '-')}")
        self.spec = spec
        self._first_value = value
        self._remark = spec.remark
        self._error = ""

    def compose(self) -> ComposeResult:
        label = Label(Content(self.spec.label))
        if self.spec.kind == "text":
            yield label.add_class("over")
            yield self._entry()
        else:
            with Horizontal():
                yield label
                yield self._entry()
        yield Static(classes="remark")

    def _entry(self) -> Widget:
        value, placeholder = self._first_value, self.spec.placeholder
        match self.spec.kind:
            case "choice":
                return ChoiceField(value, placeholder)
            case "text":
                return PlainTextArea(
                    value, compact=True, show_line_numbers=False, highlight_cursor_line=False, placeholder=placeholder
                )
            case "line" | "secret":
                secret = self.spec.kind == "secret"
                return PlainInput(value, placeholder=placeholder, compact=True, password=secret)

    def on_mount(self) -> None:
        self._draw()

    @property
    def entry(self) -> Input | TextArea | ChoiceField:
        """What has the keys."""
        return self.query_one({"choice": ChoiceField, "text": TextArea}.get(self.spec.kind, Input))

    @property
    def value(self) -> str:
        entry = self.entry
        return entry.text if isinstance(entry, TextArea) else entry.value

    @value.setter
    def value(self, text: str) -> None:
        """The form sets it, so nobody is told that it changed."""
        entry = self.entry
        with entry.prevent(Input.Changed, TextArea.Changed):
            if not isinstance(entry, TextArea):
                entry.value = text
            elif entry.text != text:
                entry.load_text(text)

    def name_it(self, label: str) -> None:
        self.query_one(Label).update(Content(label))

    def say(self, remark: str) -> None:
        """What is worth knowing of it, where nothing is wrong."""
        self._remark = remark
        self._draw()

    def refuse(self, error: str) -> None:
        """What is wrong with it; empty where nothing is."""
        self._error = error
        self._draw()

    @property
    def error(self) -> str:
        return self._error

    def _draw(self) -> None:
        line = Content.styled(f"✗ {brief(self._error)}", "$error")
        self.query_one(".remark", Static).update(line if self._error else Content.styled(brief(self._remark), "$muted"))
        self.set_class(bool(self._error or self._remark), _SAID)

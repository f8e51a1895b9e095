"""One field of a form: its label, what is typed or chosen, and below it a remark or what is wrong with it."""

from __future__ import annotations

from dataclasses import dataclass

from textual import events
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Input, Label

from console.plain import brief
from console.widgets.cut_lines import CutLines
from console.widgets.plain_fields import PlainInput

_OPENS = "▾"
_MAX_CHARS = 4000


@dataclass(frozen=True, slots=True)
class FieldSpec:
    """``chosen`` fields are filled from a list that the form opens. ``remark`` is seen while nothing is wrong."""

    key: str
    label: str
    placeholder: str = ""
    remark: str = ""
    chosen: bool = False


class ChoiceField(Widget, can_focus=True):
    """Shows what was chosen; enter, space or a click ask for the list."""

    class Wanted(Message):
        def __init__(self, field: ChoiceField) -> None:
            super().__init__()
            self.field = field

    def __init__(self, placeholder: str) -> None:
        super().__init__()
        self._placeholder = placeholder
        self._text = ""

    def show(self, text: str) -> None:
        self._text = text
        self.refresh()

    def render(self) -> Content:
        room = max(0, self.size.width - 2)
        text = Content(brief(self._text)) if self._text else Content.styled(self._placeholder, "$muted")
        shown = text.truncate(room, ellipsis=True)
        return Content.assemble(shown, " " * (room - shown.cell_length), f" {_OPENS}")

    def on_key(self, event: events.Key) -> None:
        if event.key in ("enter", "space"):
            event.stop()
            self.post_message(self.Wanted(self))

    def on_click(self) -> None:
        self.post_message(self.Wanted(self))


class FormField(Vertical):
    """``value`` is the text typed or, of a chosen field, what the form set."""

    def __init__(self, spec: FieldSpec, value: str = "") -> None:
        super().__init__(id=f"field-{spec.key}")
        self.spec = spec
        self._value = value
        self._remark = spec.remark
        self._error = ""

    def compose(self) -> ComposeResult:
        with Horizontal():
            yield Label(Content(self.spec.label))
            if self.spec.chosen:
                yield ChoiceField(self.spec.placeholder)
            else:
                yield PlainInput(self._value, placeholder=self.spec.placeholder, compact=True, max_length=_MAX_CHARS)
        yield CutLines(id="remark")

    def on_mount(self) -> None:
        if isinstance(self.entry, ChoiceField):
            self.entry.show(self._value)
        self._draw()

    @property
    def entry(self) -> Input | ChoiceField:
        return self.query_one(ChoiceField) if self.spec.chosen else self.query_one(Input)

    @property
    def value(self) -> str:
        return self.entry.value.strip() if isinstance(self.entry, Input) else self._value

    @value.setter
    def value(self, text: str) -> None:
        self._value = text
        if isinstance(self.entry, Input):
            with self.entry.prevent(Input.Changed):  # the form sets it, nobody typed
                self.entry.value = text
        else:
            self.entry.show(text)

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
        self.query_one(CutLines).show(line if self._error else Content.styled(brief(self._remark), "$muted"))

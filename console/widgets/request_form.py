"""All that a request says besides its code: arguments, input, variables, limits, machine. Each field has a place
under it for what is wrong with it."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Container, Horizontal, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Input, Label, Static, TextArea

from console.plain import brief
from console.scratch.buffer import Buffer
from console.scratch.form import FIELDS
from console.widgets.pick_field import PickField
from console.widgets.plain_fields import PlainInput, PlainTextArea

_ARGS = "args"
_AREAS = {"stdin": "what the code reads, if anything", "env": "NAME=VALUE, one per line"}


class RequestForm(VerticalScroll, can_focus=False):
    """Writes into its buffer what is typed."""

    class Changed(Message):
        pass

    def compose(self) -> ComposeResult:
        with Container(classes="field -area", name="stdin"):
            yield from self._area("stdin")
        with Container(classes="field", name=_ARGS):
            yield from self._row(
                _ARGS, "args", PlainInput(name=_ARGS, compact=True, placeholder="words, as in a shell")
            )
        with Container(classes="field -area", name="env"):
            yield from self._area("env")
        for field in FIELDS:
            with Container(classes="field", name=field.key):
                yield from self._row(
                    field.key,
                    field.label,
                    PickField(field.hint, name=field.key)
                    if field.picked
                    else PlainInput(name=field.key, compact=True, placeholder=field.hint),
                )

    def _row(self, key: str, label: str, widget: Widget) -> ComposeResult:
        with Horizontal():
            yield Label(Content(label))
            yield widget
        yield Static(classes="problem")

    def _area(self, key: str) -> ComposeResult:
        yield Label(Content(key), classes="over")
        yield PlainTextArea(
            name=key,
            compact=True,
            show_line_numbers=False,
            highlight_cursor_line=False,
            placeholder=_AREAS[key],
        )
        yield Static(classes="problem")

    def on_mount(self) -> None:
        self._buffer = Buffer()

    def show(self, buffer: Buffer) -> None:
        """Show what a buffer says, and write into it from now on."""
        self._buffer = buffer
        with self.prevent(Input.Changed, TextArea.Changed):
            for name, text in (("stdin", buffer.stdin), ("env", buffer.env)):
                area = self._of(name).query_one(TextArea)
                if area.text != text:
                    area.load_text(text)
            self._of(_ARGS).query_one(Input).value = buffer.args
            for field in FIELDS:
                value = buffer.values.get(field.key, "")
                if field.picked:
                    self._of(field.key).query_one(PickField).value = value
                else:
                    self._of(field.key).query_one(Input).value = value
        several = len(buffer.stdins) > 1
        label = f"stdin {buffer.stdin_at + 1} of {len(buffer.stdins)}, b shows all" if several else "stdin"
        self._of("stdin").query_one(Label).update(Content(label))
        self.clear_problem()

    def show_problem(self, key: str, message: str) -> None:
        """Say at its field what is wrong, and go there; ``has_field`` tells whether there is one."""
        self.clear_problem()
        container = self._of(key)
        problem = container.query_one(".problem", Static)
        problem.update(Content.styled(f"✗ {brief(message)}", "$error"))
        problem.display = True
        self.focus_field(key)

    def has_field(self, key: str) -> bool:
        return any(container.name == key for container in self.query(".field"))

    def clear_problem(self) -> None:
        for problem in self.query(".problem"):
            problem.display = False

    def focus_field(self, key: str = "stdin") -> None:
        container = self._of(key)
        container.query("Input, TextArea, PickField").first().focus(scroll_visible=False)
        # The first refresh may still be one without the rows that were just shown; the second knows their places.
        self.call_after_refresh(self.call_after_refresh, container.scroll_visible, animate=False)

    def pick(self, key: str, value: str) -> None:
        """Take what was picked for a field."""
        self._of(key).query_one(PickField).value = value
        self._set(key, value)

    def _of(self, key: str) -> Widget:
        return next(container for container in self.query(".field") if container.name == key)

    def _set(self, key: str, value: str) -> None:
        if value:
            self._buffer.values[key] = value
        else:
            self._buffer.values.pop(key, None)
        self._changed()

    def _changed(self) -> None:
        self.clear_problem()
        self.post_message(self.Changed())

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        if event.input.name == _ARGS:
            self._buffer.args = event.input.value
            self._changed()
        elif event.input.name:
            self._set(event.input.name, event.input.value)

    def on_text_area_changed(self, event: TextArea.Changed) -> None:
        event.stop()
        if event.text_area.name == "env":
            self._buffer.env = event.text_area.text
        else:
            self._buffer.stdins[self._buffer.stdin_at] = event.text_area.text
        self._changed()

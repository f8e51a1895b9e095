"""All that a request says besides its code: arguments, input, variables, limits, machine. Each field has a place
under it for what is wrong with it."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.message import Message
from textual.widgets import Input, TextArea

from console.field_spec import FieldSpec
from console.scratch.buffer import Buffer
from console.scratch.form import FIELDS
from console.widgets.form_field import FormField

_STDIN, _ARGS, _ENV = (
    FieldSpec("stdin", "stdin", "what the code reads, if anything", kind="text"),
    FieldSpec("args", "args", "words, as in a shell"),
    FieldSpec("env", "env", "NAME=VALUE, one per line", kind="text"),
)
_ALL = (_STDIN, _ARGS, _ENV, *FIELDS)


class RequestForm(VerticalScroll, can_focus=False):
    """Writes into its buffer what is typed."""

    class Changed(Message):
        pass

    def compose(self) -> ComposeResult:
        yield from map(FormField, _ALL)

    def on_mount(self) -> None:
        self._buffer = Buffer()

    def show(self, buffer: Buffer) -> None:
        """Show what a buffer says, and write into it from now on."""
        self._buffer = buffer
        texts = {_STDIN.key: buffer.stdin, _ARGS.key: buffer.args, _ENV.key: buffer.env, **buffer.values}
        for field in self.query(FormField):
            field.value = texts.get(field.spec.key, "")
        several = len(buffer.stdins) > 1
        label = f"stdin {buffer.stdin_at + 1} of {len(buffer.stdins)}, b shows all" if several else _STDIN.label
        self.field(_STDIN.key).name_it(label)
        self.clear_problem()

    def show_problem(self, key: str, message: str) -> None:
        """Say at its field what is wrong, and go there; ``has_field`` tells whether there is one."""
        self.clear_problem()
        self.field(key).refuse(message)
        self.focus_field(key)

    def has_field(self, key: str) -> bool:
        return any(spec.key == key for spec in _ALL)

    def clear_problem(self) -> None:
        for field in self.query(FormField):
            field.refuse("")

    def focus_field(self, key: str = _STDIN.key) -> None:
        field = self.field(key)
        field.entry.focus(scroll_visible=False)
        # The first refresh may still be one without the rows that were just shown; the second knows their places.
        self.call_after_refresh(self.call_after_refresh, field.scroll_visible, animate=False)

    def pick(self, key: str, value: str) -> None:
        """Take what was picked for a field."""
        field = self.field(key)
        field.value = value
        self._take(field)

    def field(self, key: str) -> FormField:
        return next(field for field in self.query(FormField) if field.spec.key == key)

    def _take(self, field: FormField) -> None:
        """Write into the buffer what a field says."""
        buffer, value = self._buffer, field.value
        match field.spec.key:
            case _STDIN.key:
                buffer.stdins[buffer.stdin_at] = value
            case _ARGS.key:
                buffer.args = value
            case _ENV.key:
                buffer.env = value
            case key if value:
                buffer.values[key] = value
            case key:
                buffer.values.pop(key, None)
        self.clear_problem()
        self.post_message(self.Changed())

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self._take(event.input.query_ancestor(FormField))

    def on_text_area_changed(self, event: TextArea.Changed) -> None:
        event.stop()
        self._take(event.text_area.query_ancestor(FormField))

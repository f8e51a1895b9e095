"""A question before leftovers are removed: what would go, why nothing needs it, and how much that frees."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.widgets import Button

from console.plain import brief
from console.quantities import count, size
from console.screens.dialog import Dialog
from console.widgets.cut_lines import CutLines
from console.widgets.heading import Heading
from console.widgets.line_table import Cell, Column, LineTable, Row
from engine.models import Leftover, PruneRequest

Cache = Literal["bound", "clear"]
Leftovers = Mapping[Cache, Sequence[Leftover]]
"""What each way of pruning would remove."""
PRUNES: tuple[Cache, ...] = ("bound", "clear")
_ANSWERS: dict[str, Cache] = {"yes": "bound", "all": "clear"}
_KINDS = {"image": "older build", "cache": "download"}


class PruneDialog(Dialog[PruneRequest]):
    """Answers how to prune, or None. Downloads that builds of late used are among the rows, and removed only by the
    answer that says so."""

    AUTO_FOCUS = "#no"
    COLUMNS: ClassVar = (
        Column("WHAT", 11),
        Column("NAME", 20, most=40),
        Column("FREES", 8, right=True),
        Column("GOES", 0, priority=7),
    )
    heading = "Remove what nothing needs?"
    hint = "tab moves, enter answers, esc cancels"

    def __init__(self, leftovers: Leftovers) -> None:
        super().__init__()
        self._found = leftovers

    def compose_body(self) -> ComposeResult:
        yield Heading(f"{count(len(self._found['bound']), 'leftover')}, {_freed(self._found['bound'])}")
        yield LineTable(self.COLUMNS, sortable=False)
        yield CutLines((Content(""),), id="why")
        with Horizontal(id="answers"):
            yield Button(Content("Cancel"), id="no", compact=True)
            if self._found["bound"]:
                yield Button(
                    Content(f"Remove, {_freed(self._found['bound'])}"), id="yes", variant="error", compact=True
                )
            if self._rest:
                words = f"All downloads too, {_freed(self._found['clear'])}"
                yield Button(Content(words), id="all", variant="error", compact=True)

    @property
    def _rest(self) -> list[Leftover]:
        """What only clearing removes: downloads that the next build would take up again."""
        sooner = {_key(each) for each in self._found["bound"]}
        return [each for each in self._found["clear"] if _key(each) not in sooner]

    def on_mount(self) -> None:
        rows = [(each, Cell("now", "warning")) for each in self._found["bound"]]
        rows += [(each, Cell("if asked", "muted")) for each in self._rest]
        self.query_one(LineTable).set_rows(
            [
                Row(
                    _key(each),
                    (
                        Cell(_KINDS[each.kind]),
                        Cell(each.name),
                        Cell(size(each.disk_bytes)),
                        goes,
                    ),
                )
                for each, goes in rows
            ]
        )

    def on_line_table_highlighted(self, event: LineTable.Highlighted) -> None:
        why = next((each.why for each in (*self._found["bound"], *self._rest) if _key(each) == event.key), "")
        self.query_one("#why", CutLines).show(Content.styled(f"  {brief(why)}", "$muted"))

    def on_button_pressed(self, event: Button.Pressed) -> None:
        cache = _ANSWERS.get(event.button.id or "")
        self.dismiss(None if cache is None else PruneRequest(cache=cache))


def _key(leftover: Leftover) -> str:
    return f"{leftover.kind} {leftover.name}"


def _freed(leftovers: Sequence[Leftover]) -> str:
    return size(sum(each.disk_bytes for each in leftovers))

"""An area that is a list of what is here and, when the operator asks, of what the bucket of the settings has beside it.

The bucket is asked by key, with a refresh, and before a transfer; never with a tick, since it may be far away and costs
money. What it said stays beside what is here, which goes on being asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Generic, TypeVar

from console.bucket_states import MEANINGS, ONLY_HERE, ONLY_THERE, OTHER, REFUSED, SAME, SIGNATURES
from console.failure import Failure
from console.quantities import ago, moment, size
from console.screens.confirm import ConfirmDialog
from console.screens.list_screen import ListScreen
from console.screens.mode_screen import JOB_GOES_ON
from console.states import Look
from console.widgets.detail_pane import Detail, Field
from console.widgets.line_table import Cell, Row
from engine.api import EngineApi
from engine.errors import InputError, NotReadyError
from engine.models import Image, Job, RemoteImage, RemoteSnapshot, Snapshot

Here = TypeVar("Here", bound=Image | Snapshot)
There = TypeVar("There", bound=RemoteImage | RemoteSnapshot)
NOT_HERE = Cell("○ not here", "muted")
_ASK = "bucket"
_FRESH_S = 60
_BUCKET_SETTING = "s3_bucket"


@dataclass(frozen=True, slots=True)
class Pair(Generic[Here, There]):
    """What is of one name here, and in the bucket as far as that was asked."""

    name: str
    here: Here | None
    there: There | None


class BucketList(ListScreen[Pair[Here, There]]):
    """Subclasses give ``KIND``, the index of the column that tells of the bucket, the actions that are for what is
    here, and the methods below."""

    KIND: ClassVar[str]
    BUCKET_COLUMN: ClassVar[int]
    NEEDS_HERE: ClassVar[frozenset[str]]

    def __init__(self) -> None:
        super().__init__()
        self._here: tuple[Here, ...] = ()
        self._there: tuple[There, ...] | None = None
        self._asked: datetime | None = None
        self._made_then: dict[str, datetime] = {}
        self._asking = False
        self._question = 0

    async def fetch_here(self, api: EngineApi) -> Sequence[Here]:
        raise NotImplementedError

    async def fetch_there(self, api: EngineApi) -> Sequence[There]:
        raise NotImplementedError

    async def send(self, api: EngineApi, name: str) -> Job:
        """Start the upload."""
        raise NotImplementedError

    async def get(self, api: EngineApi, name: str) -> Job:
        """Start the download."""
        raise NotImplementedError

    def cells_here(self, item: Here) -> tuple[Cell, ...]:
        """Of all columns but the bucket's."""
        raise NotImplementedError

    def cells_there(self, item: There) -> tuple[Cell, ...]:
        """The same of what only the bucket has."""
        raise NotImplementedError

    def fields_here(self, item: Here) -> tuple[Field, ...]:
        raise NotImplementedError

    def fields_there(self, item: There) -> tuple[Field, ...]:
        """What the detail says of it beyond size, signature and problem."""
        raise NotImplementedError

    def is_same(self, here: Here, there: There) -> bool:
        raise NotImplementedError

    def can_upload(self, here: Here) -> bool:
        return True

    def about_here(self, items: Sequence[Here]) -> str:
        """What the heading says of what is here."""
        raise NotImplementedError

    def upload_words(self, here: Here) -> str:
        """What else an upload does."""
        raise NotImplementedError

    def download_words(self, here: Here | None, there: There) -> str:
        """What else a download does."""
        raise NotImplementedError

    # --- the list

    def on_mount(self) -> None:
        self._hide_column()

    async def fetch(self, api: EngineApi) -> Sequence[Pair[Here, There]]:
        self._here = tuple(await self.fetch_here(api))
        return self._pairs()

    def _pairs(self) -> list[Pair[Here, There]]:
        """What is here as the engine gives it, then what only the bucket has."""
        there = {each.name: each for each in self._there or ()}
        pairs: list[Pair[Here, There]] = [Pair(each.name, each, there.pop(each.name, None)) for each in self._here]
        pairs += (Pair(name, None, there[name]) for name in sorted(there))
        return pairs

    def show_again(self) -> None:
        self.show_items(self._pairs())

    def key_of(self, item: Pair[Here, There]) -> str:
        return item.name

    def row_of(self, item: Pair[Here, There]) -> Row:
        cells = self.cells_there(item.there) if item.here is None and item.there is not None else ()
        if item.here is not None:
            cells = self.cells_here(item.here)
        at = self.BUCKET_COLUMN
        return Row(item.name, (*cells[:at], self._standing(item).cell, *cells[at:]))

    def _standing(self, item: Pair[Here, There]) -> Look:
        if item.there is None:
            return ONLY_HERE
        if item.here is not None and self.is_same(item.here, item.there):
            return SAME
        if item.there.problem:
            return REFUSED
        return ONLY_THERE if item.here is None else OTHER

    def note_of(self, items: Sequence[Pair[Here, There]]) -> str:
        return ", ".join(filter(None, (self._about_bucket(), self.about_here(self._here))))

    def _about_bucket(self) -> str:
        if self._asking:
            return "asking the bucket …"
        if self._there is None or self._asked is None:
            return ""
        since_s = (self.app.now() - self._asked).total_seconds()
        return f"{len(self._there)} in the bucket" + (f" {ago(since_s)}" if since_s >= _FRESH_S else "")

    def detail_of(self, item: Pair[Here, There]) -> Detail:
        kind = self.KIND.capitalize()
        name, *here = self.fields_here(item.here) if item.here is not None else (Field(kind, item.name),)
        return Detail(f"{kind} {item.name}", (name, *self._bucket_fields(item), *here))

    def _bucket_fields(self, item: Pair[Here, There]) -> tuple[Field, ...]:
        if self._there is None:
            return ()
        look = self._standing(item)
        standing = Field("Bucket", f"{look.text}: {MEANINGS[look]}", look.role)
        there = item.there
        if there is None:
            return (standing,)
        return (
            standing,
            Field("  Problem", there.problem or "", "error"),
            Field("  Created", moment(there.created) if there.created else ""),
            Field("  Download", f"{size(there.packed_bytes)}, {size(there.size_bytes)} once unpacked"),
            Field("  Manifest", SIGNATURES[there.signature], "error" if there.signature == "wrong" else "foreground"),
            *self.fields_there(there),
        )

    def is_new_since(self, here: Here) -> bool:
        """Whether it came, or was made anew, after the bucket was asked."""
        return self._made_then.get(here.name) != here.created

    @property
    def current_here(self) -> Here | None:
        """What is here of the row under the cursor."""
        return None if (item := self.current) is None else item.here

    # --- asking the bucket

    def _hide_column(self) -> None:
        self.table.hidden = frozenset((self.BUCKET_COLUMN,)) if self._there is None else frozenset()

    def action_bucket(self) -> None:
        if self._there is None:
            self._look()
        else:
            self._question += 1  # what is asked now was asked for the list that is hidden
            self._asking = False
            self._take(None)

    def action_refresh_now(self) -> None:
        super().action_refresh_now()
        if self._there is not None:
            self._look()

    def _look(self) -> None:
        """Ask the bucket and show its list; keys go on to the list meanwhile."""
        if not self._asking:
            self.ask(self._look_now(), _ASK)

    async def _look_now(self) -> None:
        found = await self._looked()
        if isinstance(found, Failure):
            self._tell(found)

    async def _looked(self) -> Sequence[There] | Failure:
        """What the bucket has now, which the list shows from then on unless a newer question was asked or the list
        hidden meanwhile; or why it can't be asked."""
        self._question += 1
        question = self._question
        self._asking = True
        self.show_note()
        try:
            found = tuple(await self.fetch_there(await self.app.connection.opened()))
        except (InputError, NotReadyError) as error:
            return Failure.of(error)
        finally:
            if question == self._question:
                self._asking = False
                self.show_note()
        if question == self._question:
            self._take(found)
        return found

    def _take(self, there: tuple[There, ...] | None) -> None:
        self._there, self._asked = there, self.app.now()
        self._made_then = {each.name: each.created for each in self._here}
        self._hide_column()
        self.show_again()

    def _tell(self, failure: Failure) -> None:
        """That the bucket can't be asked; settings say where and what it is."""
        if not self.is_active:
            self.app.tell(f"{failure.message} {failure.remedy}".strip(), failed=True)
            return

        def answered(yes: bool | None) -> None:
            if yes:
                self.app.show_row("settings", _BUCKET_SETTING)

        text = f"{failure.message}.\n{failure.remedy}\nSettings (9) name the bucket, its endpoint and region."
        self.app.push_screen(ConfirmDialog("The bucket can't be asked", text, yes="Settings"), answered)

    def _ask_with_bucket(self, then: Callable[[There | None], None], name: str, late: str) -> None:
        """Ask what the bucket has of a name, for the question before a transfer."""

        def answered(found: Sequence[There] | Failure) -> None:
            if isinstance(found, Failure):
                self._tell(found)
            else:
                then(next((each for each in found if each.name == name), None))

        self.ask_here(self._looked(), answered, _ASK, late=late)

    # --- transfers

    def action_upload(self) -> None:
        here = self.current_here
        if here is None:
            return
        late = f"{self.KIND.capitalize()} {here.name} was not uploaded: U asks again."
        self._ask_with_bucket(lambda there: self._confirm_upload(here, there), here.name, late)

    def _confirm_upload(self, here: Here, there: There | None) -> None:
        sent = f"{size(here.size_bytes)} before packing. "
        replaced = f"The bucket has no {self.KIND} of this name yet."
        if there is not None:
            replaced = f"It replaces the one there, {_said(there)}."
            if self.is_same(here, there):
                replaced, sent = "The bucket has the same already: only what is missing of it is sent.", ""
        text = f"{replaced}\n{sent}{self.upload_words(here)}"
        self._confirm(f"Upload {self.KIND} {here.name}?", text, "Upload", lambda api: self.send(api, here.name))

    def action_download(self) -> None:
        item = self.current
        if item is None or item.there is None:
            return
        late = f"{self.KIND.capitalize()} {item.name} was not downloaded: F asks again."
        self._ask_with_bucket(lambda there: self._confirm_download(item, there), item.name, late)

    def _confirm_download(self, item: Pair[Here, There], there: There | None) -> None:
        if there is None:
            self.app.tell(f"The bucket has no {self.KIND} {item.name} any more.", failed=True)
            return
        here = next((each for each in self._here if each.name == item.name), None)
        replaced = "Nothing here is replaced."
        if here is not None:
            replaced = f"It replaces the one here, made {moment(here.created)}, once it has come whole."
        text = (
            f"{size(there.packed_bytes)} are fetched: {_said(there)}.\n{replaced} {self.download_words(here, there)}\n"
            f"{SIGNATURES[there.signature]}"
        )
        self._confirm(f"Download {self.KIND} {item.name}?", text, "Download", lambda api: self.get(api, item.name))

    def _confirm(self, heading: str, text: str, yes: str, begin: Callable[[EngineApi], Any]) -> None:
        async def begun() -> Job:
            return await begin(await self.app.connection.opened())

        def answered(agreed: bool | None) -> None:
            if agreed:
                self.ask_here(begun(), self.app.show_job, "transfer", late=JOB_GOES_ON)

        self.app.push_screen(ConfirmDialog(heading, text, yes=yes), answered)

    # --- what can be done now

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        allowed = super().check_action(action, parameters)
        if not allowed or not self.is_mounted:
            return allowed
        here, item = self.current_here, self.current
        if action in self.NEEDS_HERE and here is None:
            return None
        if action == "upload":
            return True if here is not None and self.can_upload(here) else None
        if action == "download":
            return True if item is not None and self._standing(item) in (ONLY_THERE, OTHER) else None
        return allowed


def _said(there: RemoteImage | RemoteSnapshot) -> str:
    """What a manifest in the bucket says in short."""
    made = f"made {moment(there.created)}" if there.created else "of unknown age"
    return f"{made}, {size(there.size_bytes)} once unpacked"

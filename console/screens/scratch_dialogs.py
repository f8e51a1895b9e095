"""What the scratchpad asks about in dialogs: language, buffers, files, history, inputs, copying, opening, saving."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, cast

from console.outcome import Outcome
from console.plain import brief
from console.preferences import keeps_scratch_history
from console.scratch.buffer import Buffer, BufferFile
from console.scratch.copying import COPIES, output_text, shell_line
from console.scratch.form import FieldError, buffer_of, request_of
from console.scratch.local_file import local_path, read_text_file, write_text_file
from console.scratch.past import PastEntry
from console.screens.confirm import ConfirmDialog
from console.screens.files_dialog import FilesDialog
from console.screens.history_dialog import HistoryDialog
from console.screens.inputs_dialog import InputsDialog
from console.screens.name_dialog import NameDialog
from console.screens.picker import Choice, PickerDialog
from console.widgets.choice_field import ChoiceField
from console.widgets.form_field import FormField
from engine.errors import ConflictError
from engine.models import RunRequest, Snapshot

if TYPE_CHECKING:
    from console.screens.scratchpad import ScratchpadScreen

_BOOTS = (
    Choice("", "auto", "the warmest way that there is"),
    Choice("snapshot", "snapshot", "from a snapshot, or not at all"),
    Choice("cold", "cold", "boot the kernel"),
)
_ASK = "ask"


class ScratchDialogs:
    """Part of ``ScratchpadScreen``."""

    @property
    def _pad(self) -> ScratchpadScreen:
        return cast("ScratchpadScreen", self)

    # --- language, boot mode, snapshot

    def action_choose_language(self) -> None:
        pad = self._pad
        languages = {language.id: language for language in pad.languages.values()}
        choices = [
            Choice(
                language.id,
                language.title,
                " ".join((language.category, language.id, *language.aliases)),
                "warm" if language.warm else "ready" if language.ready else "not set up",
                "" if language.ready else "muted",
            )
            for language in sorted(languages.values(), key=lambda language: (not language.ready, language.title))
        ]

        def answered(key: str | None) -> None:
            if key is not None:
                pad.take_up()
                pad.use_language(pad.desk.current, languages[key])
                pad.show_buffer()
                pad.changed()

        here = pad.language
        pad.app.push_screen(PickerDialog("Language", choices, at=here.id if here else None), answered)

    def on_choice_field_wanted(self, event: ChoiceField.Wanted) -> None:
        key = event.field.query_ancestor(FormField).spec.key
        if key == "boot":
            self._pick("Boot mode", key, _BOOTS)
        else:
            self._ask_snapshot(key)

    def _ask_snapshot(self, key: str) -> None:
        pad = self._pad
        named = pad.language.id if pad.language else pad.desk.current.language

        async def asked() -> Sequence[Snapshot]:
            api = await pad.app.connection.opened()
            return [snapshot for snapshot in await api.snapshots() if snapshot.language == named]

        def pick(snapshots: Sequence[Snapshot]) -> None:
            self._pick_snapshot(key, named, snapshots)

        pad.ask_here(asked(), pick, _ASK, late=f"The snapshots of {named} are known now: ask again.")

    def _pick_snapshot(self, key: str, named: str, snapshots: Sequence[Snapshot]) -> None:
        found = [
            Choice(one.name, one.name, f"{one.memory_mib} MiB, {one.vcpus} vCPU", "" if one.fits else "does not fit")
            for one in snapshots
        ]
        self._pick(f"Snapshot of {named}", key, (Choice("", "any", "that fits"), *found))

    def _pick(self, heading: str, key: str, choices: tuple[Choice, ...]) -> None:
        form = self._pad.form

        def answered(value: str | None) -> None:
            if value is not None:
                form.pick(key, value)

        self._pad.app.push_screen(PickerDialog(heading, choices, at=self._pad.desk.current.values.get(key)), answered)

    # --- buffers

    def action_new_buffer(self) -> None:
        self.open_buffer(Buffer(language=self._pad.desk.current.language))

    def open_buffer(self, buffer: Buffer, outcome: Outcome | None = None) -> None:
        """Open a buffer, or say why not."""
        try:
            self._pad.add_buffer(buffer, outcome)
        except ConflictError as error:
            self._pad.app.show_failure(error)

    def action_buffers(self) -> None:
        pad = self._pad
        pad.take_up()
        choices = [
            Choice(buffer.id, brief(buffer.title, 60), f"buffer {number}", brief(buffer.language, 16))
            for number, buffer in enumerate(pad.desk.buffers, 1)
        ]

        def answered(buffer_id: str | None) -> None:
            if buffer_id is not None:
                pad.desk.show(buffer_id)
                pad.show_buffer()
                pad.changed()

        pad.app.push_screen(PickerDialog("Open buffers", choices, at=pad.desk.current.id), answered)

    def action_next_buffer(self) -> None:
        self._step(1)

    def action_previous_buffer(self) -> None:
        self._step(-1)

    def _step(self, by: int) -> None:
        self._pad.take_up()
        self._pad.desk.step(by)
        self._pad.show_buffer()
        self._pad.changed()

    def action_close_buffer(self) -> None:
        """An untouched one closes at once."""
        pad = self._pad
        pad.take_up()
        buffer, outcome = pad.desk.current, pad.desk.outcome
        running = outcome is not None and outcome.busy
        if not pad.worth_keeping(buffer) and not running:
            self._close()
            return

        def answered(yes: bool | None) -> None:
            if yes and buffer is pad.desk.current:
                self._close()

        text = f"{brief(buffer.title, 60)}\nIts code, files and input are deleted; history keeps what was run."
        if running:
            text += "\nIts run ends."
        pad.app.push_screen(ConfirmDialog("Close this buffer?", text, yes="Close"), answered)

    def _close(self) -> None:
        pad = self._pad
        pad.action_cancel_run()
        pad.forget(pad.desk.close())
        pad.show_buffer()

    # --- files of the buffer

    def action_files(self) -> None:
        pad = self._pad
        pad.take_up()
        main = pad.language.file_name if pad.language else "code"
        shown = pad.desk.current.file

        def answered(index: int | None) -> None:
            files = pad.desk.current.files
            stays = next((at for at, file in enumerate(files) if file is shown), 0)
            pad.desk.current.at = stays if index is None else index
            pad.show_buffer()
            pad.changed()

        pad.app.push_screen(FilesDialog(pad.desk.current, main), answered)

    def action_next_file(self) -> None:
        self._pad.show_file(self._pad.desk.current.at + 1)

    def action_previous_file(self) -> None:
        self._pad.show_file(self._pad.desk.current.at - 1)

    # --- history, batch

    def action_history(self) -> None:
        def answered(entry: PastEntry | None) -> None:
            if entry is not None:
                self.open_buffer(buffer_of(entry.request), entry.outcome())

        self._pad.app.push_screen(HistoryDialog(self._pad.past, kept=keeps_scratch_history()), answered)

    def action_batch(self) -> None:
        pad = self._pad
        outcome = pad.desk.outcome
        busy = outcome is not None and outcome.busy

        def answered(answer: str | None) -> None:
            pad.show_buffer()
            pad.changed()
            if answer == "run" and (request := pad.request(batch=True)) is not None:
                pad.start(Outcome.batch(request))

        pad.take_up()
        pad.app.push_screen(InputsDialog(pad.desk.current, may_run=pad.app.rights.may_run and not busy), answered)

    # --- copy, open, save

    def action_copy(self) -> None:
        pad = self._pad
        pad.take_up()
        choices = [Choice(copy.key, copy.title, copy.about) for copy in COPIES]

        def answered(key: str | None) -> None:
            if key is not None:
                pad.ask(self._copy(key), _ASK)

        pad.app.push_screen(PickerDialog("Copy", choices), answered)

    async def _copy(self, key: str) -> None:
        pad = self._pad
        if key == "code":
            pad.app.copy(pad.desk.current.file.text, "code")
        elif key == "output":
            self._copy_output()
        elif (request := self._whole_request()) is not None:
            addresses: tuple[str, ...] = ()
            if key == "curl" and not pad.app.rights.viewer:  # who is told nothing of the service
                api = await pad.app.connection.opened()
                addresses = (await api.service()).addresses
            line = shell_line(key, request, addresses)
            pad.app.copy(line.text, f"{key} line")
            if line.missing:
                pad.app.tell(f"The {key} line leaves out: {', '.join(line.missing)}.", failed=True)

    def _whole_request(self) -> RunRequest | None:
        """With all inputs where there are several."""
        buffer = self._pad.desk.current
        try:
            return request_of(buffer, batch=len(buffer.stdins) > 1)
        except FieldError as error:
            self._pad.show_problem(error)
            return None

    def _copy_output(self) -> None:
        pad = self._pad
        if pad.desk.outcome is None:
            pad.app.tell("There is no output yet.")
            return
        text, missing = output_text(pad.desk.outcome)
        pad.app.copy(text, "output")
        if missing:
            pad.app.tell(f"The output leaves out {', '.join(missing)}.", failed=True)

    def action_open_file(self) -> None:
        def answered(path: str | None) -> None:
            if path is not None:
                self._pad.ask(self._open(path), _ASK, opens=True)

        about = "A text file of the machine that this console runs on"
        self._pad.app.push_screen(NameDialog("Open file", about, value=_here()), answered)

    async def _open(self, text: str) -> None:
        pad = self._pad
        path = local_path(text)
        code = await asyncio.to_thread(read_text_file, path)
        suffix = PurePosixPath(path.name).suffix
        fitting = (one.id for one in pad.languages.values() if suffix and one.file_name.endswith(suffix))
        language = next(fitting, pad.desk.current.language)
        pad.add_buffer(Buffer(language=language, files=[BufferFile(text=code)]))

    def action_save_file(self) -> None:
        pad = self._pad
        pad.take_up()
        file = pad.desk.current.file
        name = PurePosixPath(file.path).name or (pad.language.file_name if pad.language else "code.txt")

        def answered(path: str | None) -> None:
            if path is not None:
                pad.ask(self._save(path, file.text), _ASK, opens=True)

        about = "Path on the machine that this console runs on"
        pad.app.push_screen(NameDialog("Save file", about, value=_here() + name), answered)

    async def _save(self, text: str, content: str) -> None:
        pad = self._pad
        path = local_path(text)
        try:
            await asyncio.to_thread(write_text_file, path, content, replace=False)
        except ConflictError:
            if not pad.is_active:
                raise  # which is told as a note
            self._ask_to_replace(path, content)
        else:
            pad.app.tell(f"Saved {path}.")

    def _ask_to_replace(self, path: Path, content: str) -> None:
        pad = self._pad

        def answered(yes: bool | None) -> None:
            if yes:
                pad.ask(self._replace(path, content), _ASK)

        question = f"{brief(str(path))} exists. Its content will be lost."
        pad.app.push_screen(ConfirmDialog("Replace the file?", question, yes="Replace"), answered)

    async def _replace(self, path: Path, content: str) -> None:
        await asyncio.to_thread(write_text_file, path, content, replace=True)
        self._pad.app.tell(f"Saved {path}.")


def _here() -> str:
    """The folder in which the console was started, to begin a path with; nothing where that folder is gone."""
    try:
        return f"{Path.cwd()}/"
    except OSError:
        return ""

"""What setup made on this host: ``setup.json`` in the data folder, oldest first. Undo reads it from the end.

Every change rewrites the file in one step, under a lock in the data folder, so that the engine and the `service`
commands may both write. What is to be recorded is for the steps to say, what to do about it for ``undo``.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from pydantic import ValidationError

from engine.errors import NotReadyError
from engine.lock import locked_folder
from engine.models import SetupTrace, Value
from engine.rootfs.staging import in_thread, sha256_file
from engine.settings import Settings
from engine.setup.base import Notes, made
from engine.whole_file import write_whole

NAME = "setup.json"
VERSION = 1
MANIFEST = "manifest.json"  # of every artefact, whichever store it lies in


class Watched(Value):
    """A store as it was before a step began to work in it: what it holds beyond that is the step's."""

    step: str
    store: str
    names: tuple[str, ...]


class Record(Value):
    """The file's content."""

    version: int = VERSION
    traces: tuple[SetupTrace, ...] = ()
    watched: tuple[Watched, ...] = ()


class Ledger:
    """Raises NotReadyError where the file can't be read or written, or is of a newer version; ConflictError where
    another process does not come to the end of its change."""

    def __init__(self, settings: Settings) -> None:
        self.path = settings.data_dir / NAME

    def traces(self) -> tuple[SetupTrace, ...]:
        """Oldest first, with what a killed setup had begun."""
        record = self._read()
        for watched in record.watched:
            record = _settled(record, watched)
        return record.traces

    def record(self, trace: SetupTrace) -> None:
        """Note ``trace``. One of the same kind and thing keeps its place, what it knows of the time before, and its
        digest until there is a new one.
        """
        self._change(lambda record: record.model_copy(update={"traces": _with(record.traces, trace)}))

    def forget(self, *traces: SetupTrace) -> None:
        """Drop ``traces``. The file goes with the last one."""
        dropped = {_key(trace) for trace in traces}

        def drop(record: Record) -> Record:
            for watched in record.watched:  # of a killed setup; a live one's end settles it once more
                record = _settled(record, watched)
            left = tuple(each for each in record.traces if _key(each) not in dropped)
            return record.model_copy(update={"traces": left})

        self._change(drop)

    @contextmanager
    def newcomers(self, step: str, store: Path) -> Generator[None]:
        """Record as made by ``step`` each folder that appears in ``store`` meanwhile, after a kill too."""
        watched = Watched(step=step, store=str(store), names=tuple(_names(store)))

        def begin(record: Record) -> Record:
            others = tuple(each for each in record.watched if each.store != watched.store)
            earlier = [each for each in record.watched if each.store == watched.store]
            for each in earlier:  # a setup that was killed here
                record = _settled(record, each)
            return record.model_copy(update={"watched": (*others, watched)})

        self._change(begin)
        try:
            yield
        finally:
            self._change(lambda record: _settled(record, watched))

    def _change(self, change: Callable[[Record], Record]) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with locked_folder(self.path.parent):
                record = change(self._read())
                if record.traces or record.watched:
                    # Its owner's alone, as all that tells about a host.
                    write_whole(self.path, record.model_dump_json(indent=2).encode(), 0o600)
                else:
                    self.path.unlink(missing_ok=True)
        except OSError as error:
            raise NotReadyError(
                f"What setup makes can't be written down in {self.path}: {error.strerror or error}",
                remedy="Run as the user who owns the data folder, or set VMDECK_DATA_DIR to a folder of your own",
            ) from error

    def _read(self) -> Record:
        try:
            record = Record.model_validate_json(self.path.read_bytes())
        except FileNotFoundError:
            return Record()
        except (OSError, ValidationError) as error:
            reason = (error.strerror or str(error)) if isinstance(error, OSError) else "it is not as vmdeck writes it"
            raise NotReadyError(
                f"The record of setup {self.path} can't be read: {reason}",
                remedy="Mend it, or move it away: then undo no longer knows what setup made",
            ) from None
        if record.version > VERSION:
            raise NotReadyError(
                f"The record of setup {self.path} has layout {record.version}, this vmdeck knows up to {VERSION}",
                remedy="Use the newer vmdeck that wrote it",
            )
        return record


@asynccontextmanager
async def making(notes: Notes, step: str, folder: Path) -> AsyncGenerator[None]:
    """An artefact's folder is recorded as begun, with its digest at the end, and not at all where the body fails.

    Undo leaves one without a digest that is finished all the same: whoever was killed here, another may have made it.
    """
    begun = made(step, "folder", folder)
    try:
        await in_thread(notes.record, begun)
        yield
    except BaseException:
        await in_thread(_take_back, notes, begun)
        raise
    await in_thread(lambda: notes.record(made(step, "folder", folder, sha256=manifest_digest(folder))))


def _take_back(notes: Notes, begun: SetupTrace) -> None:
    """Unless it is known from an earlier time."""
    if not any(each.sha256 for each in notes.traces() if _key(each) == _key(begun)):
        notes.forget(begun)


def manifest_digest(folder: Path) -> str | None:
    """Digest of an artefact's manifest, which has those of all its files. None where there is none."""
    try:
        return sha256_file(folder / MANIFEST)
    except OSError:
        return None


def _settled(record: Record, watched: Watched) -> Record:
    traces = record.traces
    for name in _names(Path(watched.store)):
        if name not in watched.names:
            folder = Path(watched.store, name)
            traces = _with(traces, made(watched.step, "folder", folder, sha256=manifest_digest(folder)))
    left = tuple(each for each in record.watched if each != watched)
    return record.model_copy(update={"traces": traces, "watched": left})


def _names(store: Path) -> list[str]:
    """Finished artefacts: those under hidden names are still being built, and their builders' to remove."""
    return sorted(path.name for path in store.glob("[!.]*") if path.is_dir()) if store.is_dir() else []


def _key(trace: SetupTrace) -> tuple[str, str]:
    return trace.kind, trace.what


def _with(traces: tuple[SetupTrace, ...], trace: SetupTrace) -> tuple[SetupTrace, ...]:
    for index, each in enumerate(traces):
        if _key(each) == _key(trace):
            renewed = trace.model_copy(update={"before": each.before, "sha256": trace.sha256 or each.sha256})
            return (*traces[:index], renewed, *traces[index + 1 :])
    return (*traces, trace)

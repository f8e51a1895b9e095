"""What was run from the scratchpad and what came of it, on disk: one file per entry, the oldest ones given up."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from console.scratch.past import PastEntry
from console.scratch.state_folder import BrokenFile, private_folder, write_whole
from engine.errors import InputError, NotFoundError, NotReadyError

MAX_ENTRIES = 200
MAX_ENTRY_BYTES = 2 * 1024 * 1024
"""Of one file; bounds the folder to 400 MiB. Output alone is at most 256 KB, so it is input that may be too much."""
_SUFFIX = ".json"


@dataclass(frozen=True, slots=True)
class Found:
    """Entries that match, the newest first, and the files that could not be read."""

    entries: tuple[PastEntry, ...]
    broken: tuple[BrokenFile, ...]


class ScratchHistory:
    """Calls touch the disk, so a front end makes them in a thread. Consoles that share the folder do no harm."""

    def __init__(self, folder: Path, max_entries: int = MAX_ENTRIES) -> None:
        self._folder = folder
        self._max_entries = max_entries

    def add(self, entry: PastEntry) -> None:
        """Raises NotReadyError where it can't be written, InputError where it is too large to keep."""
        text = entry.model_dump_json()
        if (size := len(text.encode())) > MAX_ENTRY_BYTES:
            raise InputError(
                f"This run is not kept in the history: {size:,} bytes, over {MAX_ENTRY_BYTES:,}.",
                remedy="Its code, files and input are in the buffer still; save them as files.",
            )
        write_whole(private_folder(self._folder) / f"{entry.id}{_SUFFIX}", text)
        for path in self._paths()[self._max_entries :]:
            self._remove(path)

    def find(self, words: str = "") -> Found:
        """Entries with all the words."""
        entries: list[PastEntry] = []
        broken: list[BrokenFile] = []
        for path in self._paths():
            read = _read(path)
            if isinstance(read, BrokenFile):
                broken.append(read)
            elif read is not None and read.matches(words):
                entries.append(read)
        return Found(tuple(entries), tuple(broken))

    def get(self, entry_id: str) -> PastEntry:
        """Raises NotFoundError where it is gone or can't be read."""
        read = _read(self._folder / f"{entry_id}{_SUFFIX}")
        if isinstance(read, PastEntry):
            return read
        raise NotFoundError(str(read) if read else "This entry is gone.", remedy="Another console may have removed it.")

    def remove(self, entry_id: str) -> None:
        """One that is gone already is no error. Raises NotReadyError."""
        self._remove(self._folder / f"{entry_id}{_SUFFIX}")

    def clear(self) -> int:
        """Remove all entries, broken ones too; how many. Raises NotReadyError."""
        paths = self._paths()
        for path in paths:
            self._remove(path)
        return len(paths)

    def _paths(self) -> list[Path]:
        """The newest first."""
        return sorted(self._folder.glob(f"*{_SUFFIX}"), key=lambda path: path.name, reverse=True)

    def _remove(self, path: Path) -> None:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise NotReadyError(
                f"{path.name} can't be removed: {error.strerror}.", remedy=f"Make {self._folder} writable."
            ) from error


def _read(path: Path) -> PastEntry | BrokenFile | None:
    """None where it is gone."""
    try:
        return PastEntry.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        return BrokenFile(path.name, error.strerror or str(error))
    except ValidationError as error:
        first = error.errors()[0]
        return BrokenFile(path.name, f"{'.'.join(map(str, first['loc'])) or 'the file'}: {first['msg']}")

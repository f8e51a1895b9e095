"""Buffers on disk: private, whole, each with one console, and there again after a kill."""

from __future__ import annotations

import asyncio
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from console.scratch.autosave import Autosave
from console.scratch.buffer import Buffer, BufferFile
from console.scratch.buffer_store import BufferStore
from console.scratch.state_folder import scratch_home, write_whole
from engine.errors import NotReadyError, VmdeckError

ROOT = Path(__file__).parents[3]
HOLDER = """
import sys, time
from pathlib import Path
from console.scratch.buffer import Buffer, BufferFile
from console.scratch.buffer_store import BufferStore
store = BufferStore(Path(sys.argv[1]))
buffers, _ = store.adopt(20)
store.save(Buffer(language="python", files=[BufferFile(text="of the other", cursor=(0, 3))]))
print(len(buffers), flush=True)
time.sleep(600)
"""


def buffer(text: str, created: float = 1.0) -> Buffer:
    return Buffer(language="python", files=[BufferFile(text=text)], created=created, shown=created)


def texts(buffers: list[Buffer]) -> list[str]:
    return [one.main.text for one in buffers]


def test_buffers_come_back_in_the_order_in_which_they_were_made(tmp_path: Path) -> None:
    first = BufferStore(tmp_path)
    for number in (3, 1, 2):
        first.save(buffer(f"n{number}", created=number))
    first.release()
    found, broken = BufferStore(tmp_path).adopt(20)
    assert texts(found) == ["n1", "n2", "n3"]
    assert broken == []


def test_files_and_folder_are_the_operators_alone(tmp_path: Path) -> None:
    folder = tmp_path / "state" / "buffers"
    BufferStore(folder).save(buffer("secret"))
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}


def test_a_buffer_belongs_to_one_console_until_it_lets_go(tmp_path: Path) -> None:
    first, second = BufferStore(tmp_path), BufferStore(tmp_path)
    held = buffer("held")
    first.save(held)
    assert second.adopt(20) == ([], [])
    with pytest.raises(NotReadyError, match="open in another console"):
        second.save(held)
    first.release()
    assert texts(second.adopt(20)[0]) == ["held"]


def test_more_buffers_than_may_be_open_stay_on_disk(tmp_path: Path) -> None:
    store = BufferStore(tmp_path)
    for number in range(5):
        store.save(buffer(str(number), created=number))
    store.release()
    first, second = BufferStore(tmp_path), BufferStore(tmp_path)
    assert texts(first.adopt(2)[0]) == ["3", "4"]
    assert texts(second.adopt(20)[0]) == ["0", "1", "2"]


def test_a_killed_process_leaves_its_buffers_to_the_next(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "0\n"
        assert BufferStore(tmp_path).adopt(20)[0] == []
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    (found,) = BufferStore(tmp_path).adopt(20)[0]
    assert (found.main.text, found.main.cursor) == ("of the other", (0, 3))


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"version": 2}', '{"id": "0123456789ac", "files": [{}]}', '{"unknown": 1}']
)
def test_a_broken_file_is_named_and_left_where_it_is(tmp_path: Path, content: str) -> None:
    path = tmp_path / "0123456789ab.json"
    path.write_text(content)
    store = BufferStore(tmp_path)
    store.save(buffer("whole"))
    store.release()
    found, broken = BufferStore(tmp_path).adopt(20)
    assert texts(found) == ["whole"]
    assert [one.name for one in broken] == [path.name]
    assert path.read_text() == content


def test_a_removed_buffer_leaves_nothing(tmp_path: Path) -> None:
    store = BufferStore(tmp_path)
    one = buffer("x")
    store.save(one)
    store.remove(one.id)
    store.remove(one.id)
    assert list(tmp_path.iterdir()) == []


def test_a_write_that_fails_leaves_the_old_content_and_no_piece(tmp_path: Path) -> None:
    target = tmp_path / "file"
    write_whole(target, "old")
    with pytest.raises(UnicodeEncodeError):
        write_whole(target, "new \ud800")
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_relative_state_home_counts_for_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    assert scratch_home() == tmp_path / ".local/state/vmdeck/scratch"


class Desk:
    """A buffer, what was told, and the autosave over it."""

    def __init__(self, folder: Path, delay_s: float = 0.01, *, wanted: bool = True) -> None:
        self.failures: list[VmdeckError] = []
        self.store = BufferStore(folder)
        self.buffer = buffer("at first")
        self.autosave = Autosave(
            self.store,
            before=lambda: None,
            wanted=lambda _: wanted,
            failed=self.failures.append,
            delay_s=delay_s,
        )


async def test_changes_are_on_disk_a_moment_later_though_more_keep_coming(tmp_path: Path) -> None:
    desk = Desk(tmp_path, delay_s=0.05)
    path = tmp_path / f"{desk.buffer.id}.json"
    async with asyncio.timeout(10):
        while not path.exists():
            desk.buffer.main.text += "x"
            desk.autosave.changed(desk.buffer)
            await asyncio.sleep(0.005)
    await desk.autosave.flush()
    assert Buffer.model_validate_json(path.read_text()).main.text == desk.buffer.main.text


async def test_a_buffer_not_worth_keeping_has_no_file(tmp_path: Path) -> None:
    desk = Desk(tmp_path, wanted=False)
    desk.autosave.changed(desk.buffer)
    await desk.autosave.flush()
    assert list(tmp_path.iterdir()) == []


async def test_a_closed_buffer_goes_from_disk(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.autosave.changed(desk.buffer)
    await desk.autosave.flush()
    assert list(tmp_path.iterdir())
    desk.autosave.closed(desk.buffer)
    await desk.autosave.flush()
    assert list(tmp_path.iterdir()) == []


async def test_a_folder_that_cannot_be_used_is_told_once_and_tried_again(tmp_path: Path) -> None:
    folder = tmp_path / "file"
    folder.write_text("in the way")
    desk = Desk(folder)
    for _ in range(3):
        desk.autosave.changed(desk.buffer)
        await desk.autosave.flush()
    assert len(desk.failures) == 1
    folder.unlink()
    await desk.autosave.flush()
    assert (folder / f"{desk.buffer.id}.json").exists()

"""A change of config.toml changes one setting: no comment, no other line, no mode, no change of another writer."""

from __future__ import annotations

import fcntl
import os
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from engine import lock
from engine.config_file import change, values
from engine.errors import ConflictError, NotReadyError

TEXT = """# The box in the corner.
max_running = 2 # two
"vmm" = 'auto'   # decided in March

text = '''
vmm = "not this"
'''

[other]
vmm = "x"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config.toml"


def test_only_the_setting_changes(file: Path) -> None:
    file.write_text(TEXT)
    change(file, "vmm", "qemu")
    assert file.read_text() == TEXT.replace("'auto'", '"qemu"')


def test_a_new_setting_stays_out_of_tables_and_can_be_taken_away_again(file: Path) -> None:
    file.write_text(TEXT)
    change(file, "max_timeout_s", 2.5)
    assert tomllib.loads(file.read_text())["max_timeout_s"] == 2.5
    change(file, "max_timeout_s", None)
    assert file.read_text() == TEXT


@pytest.mark.parametrize("text", ["a = 1\r\n", "a = 1", "# only this\n", "", "[t]\na = 1\n"])
def test_taking_away_what_is_not_there_changes_nothing(text: str, file: Path) -> None:
    file.write_bytes(text.encode())
    change(file, "vmm", None)
    assert file.read_bytes() == text.encode()


def test_ends_of_lines_stay(file: Path) -> None:
    file.write_bytes(b"a = 1\r\nb = 2\r\n")
    change(file, "a", 3)
    assert file.read_bytes() == b"a = 3\r\nb = 2\r\n"


@pytest.mark.parametrize(
    ("mode", "secret", "left"),
    [(None, True, 0o600), (None, False, 0o644), (0o640, False, 0o640), (0o644, True, 0o640), (0o600, False, 0o600)],
)
def test_the_mode_stays_but_for_a_secret(mode: int | None, secret: bool, left: int, file: Path) -> None:
    if mode is not None:
        file.touch()
        file.chmod(mode)
    change(file, "api_token", "s3cret", secret=secret)
    assert file.stat().st_mode & 0o777 == left


def test_a_link_stays_a_link(file: Path, tmp_path: Path) -> None:
    target = tmp_path / "kept" / "vmdeck.toml"
    target.parent.mkdir()
    target.write_text("a = 1\n")
    file.symlink_to(target)
    change(file, "a", 2)
    assert file.is_symlink()
    assert target.read_text() == "a = 2\n"


def test_writers_do_not_lose_each_others_changes(file: Path) -> None:
    names = [f"name_{number}" for number in range(40)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: change(file, name, name), names))
    assert values(file) == {name: name for name in names}
    assert {path.name for path in file.parent.iterdir()} == {file.name, lock.CHANGES}


@pytest.mark.parametrize("content", [b"vmm = [", b"\xff\xfe"])
def test_a_file_that_can_not_be_read_is_named_and_left(content: bytes, file: Path) -> None:
    file.write_bytes(content)
    with pytest.raises(NotReadyError, match=str(file)):
        change(file, "vmm", "qemu")
    assert file.read_bytes() == content


def test_who_may_only_read_the_folder_can_not_keep_others_from_changing_it(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "_CHANGE_WAIT_S", 0.2)
    reading = os.open(file.parent, os.O_RDONLY)
    try:
        fcntl.flock(reading, fcntl.LOCK_EX)
        change(file, "a", 1)
    finally:
        os.close(reading)
    assert values(file) == {"a": 1}
    assert (file.parent / lock.CHANGES).stat().st_mode & 0o777 == 0o600


def test_a_change_waits_for_another_only_so_long(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "_CHANGE_WAIT_S", 0.2)
    with lock.locked_folder(file.parent), pytest.raises(ConflictError, match=str(file.parent)):
        change(file, "a", 1)
    change(file, "a", 1)


def test_a_link_in_place_of_the_lock_is_not_followed(file: Path, tmp_path: Path) -> None:
    (tmp_path / lock.CHANGES).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(NotReadyError, match="can't be written"):
        change(file, "a", 1)
    assert not (tmp_path / "elsewhere").exists()

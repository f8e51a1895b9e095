"""What may stand where the engine's socket, lock and log are: a folder that nobody else can change."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.errors import NotReadyError
from engine.own_folder import make_own_folder, require_own_folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "above" / "run"


def test_one_that_is_missing_is_made_for_its_owner_alone(folder: Path) -> None:
    make_own_folder(folder)
    assert folder.stat().st_mode & 0o777 == 0o700
    make_own_folder(folder)


def test_that_others_may_read_it_is_no_harm(folder: Path) -> None:
    folder.mkdir(mode=0o755, parents=True)
    make_own_folder(folder)


@pytest.mark.parametrize("mode", [0o720, 0o702, 0o1777])
def test_one_that_others_may_write_is_refused(folder: Path, mode: int) -> None:
    folder.mkdir(parents=True)
    folder.chmod(mode)
    with pytest.raises(NotReadyError, match="other users may change") as refused:
        make_own_folder(folder)
    assert f"chmod go-w {folder}" in refused.value.remedy


def test_a_link_is_refused_even_to_a_folder_of_our_own(folder: Path, tmp_path: Path) -> None:
    folder.parent.mkdir()
    folder.symlink_to(tmp_path)
    with pytest.raises(NotReadyError, match="symbolic link"):
        make_own_folder(folder)


@pytest.mark.parametrize(
    ("of_other", "said"),
    [(lambda folder: folder, "belongs to user 12345"), (lambda folder: folder.parent, "folder of user 12345")],
    ids=["the folder", "the one above"],
)
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_one_of_another_user_is_refused(folder: Path, of_other: Callable[[Path], Path], said: str) -> None:
    folder.mkdir(parents=True)
    os.chown(of_other(folder), 12345, 12345)
    with pytest.raises(NotReadyError, match=said) as refused:
        make_own_folder(folder)
    assert "VMDECK_RUNTIME_DIR" in refused.value.remedy


def test_what_is_no_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NotReadyError, match="no folder"):
        require_own_folder(tmp_path / "file")

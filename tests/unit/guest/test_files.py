"""Files in a folder that belongs to the enemy: laid, read and listed without being led astray."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from guest import files
from guest.spawn import GROUP_ID, USER_ID

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="acts as another user, which only root may")


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A folder of the user's, below others that it may pass."""
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == os.getuid() and folder != Path("/") and not folder.stat().st_mode & 0o001:
            folder.chmod(folder.stat().st_mode | 0o011)
    place = tmp_path / "work"
    place.mkdir()
    os.chown(place, USER_ID, GROUP_ID)
    return place


def test_a_file_is_laid_with_its_folders_as_the_user(work: Path) -> None:
    files.put(str(work), "a/b/c.txt", 0o640, 0, b"one")
    files.put(str(work), "a/b/c.txt", 0o640, 3, b"two")
    laid = work / "a/b/c.txt"
    assert laid.read_bytes() == b"onetwo"
    assert (laid.stat().st_uid, laid.stat().st_gid) == (USER_ID, GROUP_ID)
    assert files.get(str(work), "a/b/c.txt", 2, 100) == b"etwo"


@pytest.mark.parametrize("path", ["", "/etc/passwd", "../x", "a/../x", "a//b", "./a", "a\0b", ".."])
def test_a_path_that_is_not_plain_is_refused(work: Path, path: str) -> None:
    with pytest.raises(OSError, match="plain"):
        files.put(str(work), path, 0o644, 0, b"")
    with pytest.raises(OSError, match="plain"):
        files.get(str(work), path, 0, 1)


def test_a_link_on_the_way_is_not_followed(work: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir(mode=0o777)
    (outside / "secret").write_text("secret")
    (work / "folder").symlink_to(outside)
    (work / "file").symlink_to(outside / "secret")
    for path in ("folder/secret", "file"):
        with pytest.raises(OSError, match=r"symbolic|directory"):
            files.get(str(work), path, 0, 100)
        with pytest.raises(OSError, match=r"symbolic|directory"):
            files.put(str(work), path, 0o644, 0, b"owned")
    assert (outside / "secret").read_text() == "secret"


def test_what_is_not_a_regular_file_is_not_read(work: Path) -> None:
    os.mkfifo(work / "pipe", 0o666)
    os.chown(work / "pipe", USER_ID, GROUP_ID)
    with pytest.raises(OSError, match="regular"):
        files.get(str(work), "pipe", 0, 1)


def test_a_file_of_root_is_not_read(work: Path) -> None:
    (work / "private").write_text("root's")
    (work / "private").chmod(0o600)
    with pytest.raises(PermissionError):
        files.get(str(work), "private", 0, 1)


def test_a_tree_deeper_than_any_path_is_listed_to_a_depth(work: Path) -> None:
    (work / "top").write_text("1")
    # By a process of its own: no path reaches the bottom, so it has to walk there.
    dig = "import os\nfor _ in range(2000):\n    os.mkdir('d' * 100)\n    os.chdir('d' * 100)\nos.mknod('bottom')"
    subprocess.run([sys.executable, "-c", dig], cwd=work, check=True)
    try:
        assert files.listing(str(work)) == [{"path": "top", "size": 1}]
    finally:
        subprocess.run(["rm", "-rf", str(work)], check=True)  # shutil would recurse as deep


def test_a_folder_of_many_files_is_listed_to_a_number(work: Path) -> None:
    for number in range(files.MAX_LISTED + 50):
        (work / str(number)).touch()
    assert len(files.listing(str(work))) == files.MAX_LISTED


def test_long_names_are_listed_as_far_as_an_answer_holds_them(work: Path) -> None:
    for number in range(300):
        (work / f"{number:0250}").touch()
    listed = files.listing(str(work))
    assert 0 < sum(len(str(entry["path"])) for entry in listed) <= files.MAX_LISTED_BYTES


def test_names_that_are_not_utf8_are_listed_escaped(work: Path) -> None:
    Path(os.fsdecode(os.fsencode(work) + b"/\xff\n")).touch()
    assert files.listing(str(work)) == [{"path": "\\xff\n", "size": 0}]

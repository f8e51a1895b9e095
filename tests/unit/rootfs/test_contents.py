from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.errors import InternalError
from engine.rootfs import contents
from engine.rootfs.contents import DebianPackages

STATUS = """Package: libc6
Status: install ok installed
Architecture: amd64
Version: 2.36-9+deb12u10

Package: python3-minimal
Status: install ok installed
Architecture: amd64
Version: 1:3.11.2-1+b1

Package: gone
Status: deinstall ok config-files
Architecture: all
Version: 1
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "var/lib/dpkg").mkdir(parents=True)
    (tmp_path / "var/lib/dpkg/status").write_text(STATUS)
    return tmp_path


def test_installed_packages_are_known_by_name_and_version(tree: Path) -> None:
    assert list(DebianPackages.of(tree).lines()) == ["libc6 2.36-9+deb12u10", "python3-minimal 1:3.11.2-1+b1"]


def test_their_files_are_named_as_apt_names_them(tree: Path) -> None:
    assert list(DebianPackages.of(tree).archives()) == [
        "libc6_2.36-9+deb12u10_amd64.deb",
        "python3-minimal_1%3a3.11.2-1+b1_amd64.deb",
    ]


@pytest.mark.parametrize(("name", "release"), [("libc6", (2, 36)), ("python3-minimal", (3, 11)), ("gone", None)])
def test_a_release_is_the_first_two_numbers(tree: Path, name: str, release: tuple[int, int] | None) -> None:
    assert DebianPackages.of(tree).release(name) == release


def test_a_tree_whose_record_is_a_link_is_refused(tree: Path, tmp_path: Path) -> None:
    status = tree / "var/lib/dpkg/status"
    status.rename(tmp_path / "elsewhere")
    status.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InternalError, match="no record"):
        DebianPackages.of(tree)


def test_npm_packages_are_found_at_every_depth_with_their_scopes(tmp_path: Path) -> None:
    for place, name in (("a", "a"), ("@s/b", "@s/b"), ("a/node_modules/c", "c")):
        folder = tmp_path / "node_modules" / place
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "package.json").write_text(json.dumps({"name": name, "version": "1.0"}))
    for place, text in (("a/lib", '{"name": "part", "version": "1"}'), ("d", '{"type": "module"}')):
        (tmp_path / "node_modules" / place).mkdir(parents=True)
        (tmp_path / "node_modules" / place / "package.json").write_text(text)
    assert contents.npm_packages(tmp_path) == ["@s/b 1.0", "a 1.0", "c 1.0"]

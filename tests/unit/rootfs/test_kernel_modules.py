from __future__ import annotations

import lzma
import struct
from pathlib import Path

import pytest

from engine.errors import NotReadyError
from engine.rootfs.kernel_modules import collect


def module(*depends: str) -> bytes:
    """The smallest ELF file with a section .modinfo."""
    info = b"license=GPL\0depends=" + ",".join(depends).encode() + b"\0name=x\0"
    names = b"\0.modinfo\0.shstrtab\0"
    body = info + names
    table = 64 + len(body)
    header = b"\x7fELF\x02\x01\x01".ljust(16, b"\0") + struct.pack(
        "<HHIQQQIHHHHHH", 1, 62, 1, 0, 0, table, 0, 64, 0, 0, 64, 3, 2
    )
    sections = [
        struct.pack("<IIQQQQIIQQ", 0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
        struct.pack("<IIQQQQIIQQ", 1, 1, 0, 0, 64, len(info), 0, 0, 1, 0),
        struct.pack("<IIQQQQIIQQ", 10, 3, 0, 0, 64 + len(info), len(names), 0, 0, 1, 0),
    ]
    return header + body + b"".join(sections)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "kernel").mkdir()
    (tmp_path / "modules.builtin").write_text("kernel/fs/ext4/ext4.ko\nkernel/lib/crc-t10.ko\n")
    (tmp_path / "kernel/ring.ko").write_bytes(module())
    (tmp_path / "kernel/bus.ko").write_bytes(module("ring", "crc_t10"))
    (tmp_path / "kernel/the-disk.ko.xz").write_bytes(lzma.compress(module("bus", "ring")))
    return tmp_path


def test_what_a_module_needs_is_loaded_before_it_and_once(tree: Path) -> None:
    assert collect(tree, ("the_disk",)).order == {"the_disk": ("ring", "bus", "the_disk")}


def test_packed_modules_are_unpacked(tree: Path) -> None:
    assert collect(tree, ("the_disk",)).content["the_disk"] == module("bus", "ring")


def test_what_is_built_in_is_left_out(tree: Path) -> None:
    found = collect(tree, ("ext4", "ring"))
    assert set(found.content) == set(found.order) == {"ring"}


def test_the_order_file_has_a_line_for_each_wanted_module(tree: Path) -> None:
    assert collect(tree, ("bus", "ring")).order_file() == "bus: ring bus\nring: ring\n"


def test_a_kernel_without_a_wanted_module_is_refused_by_name(tree: Path) -> None:
    with pytest.raises(NotReadyError, match="overlay"):
        collect(tree, ("overlay",))


@pytest.mark.parametrize("content", [b"", b"text", module("ring")[:90]])
def test_a_damaged_module_is_refused_by_name(tree: Path, content: bytes) -> None:
    (tree / "kernel/ring.ko").write_bytes(content)
    with pytest.raises(NotReadyError, match=r"ring\.ko"):
        collect(tree, ("ring",))


def test_of_a_kernel_without_any_module_there_is_nothing_to_load(tmp_path: Path) -> None:
    assert collect(tmp_path).order_file() == ""

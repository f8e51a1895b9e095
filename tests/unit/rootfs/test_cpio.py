from __future__ import annotations

from pathlib import Path

from engine.rootfs import cpio


def members(archive: bytes) -> dict[str, dict[str, int | bytes]]:
    """Read newc back, as the kernel does."""
    names = (
        "inode",
        "mode",
        "uid",
        "gid",
        "links",
        "mtime",
        "size",
        "dev",
        "devminor",
        "major",
        "minor",
        "name",
        "sum",
    )
    found: dict[str, dict[str, int | bytes]] = {}
    at = 0
    while True:
        assert archive[at : at + 6] == b"070701"
        numbers = [int(archive[at + 6 + 8 * index : at + 14 + 8 * index], 16) for index in range(13)]
        fields: dict[str, int | bytes] = dict(zip(names, numbers, strict=True))
        name = archive[at + 110 : at + 110 + numbers[11] - 1].decode()
        data_at = at + (110 + numbers[11] + 3) // 4 * 4
        fields["data"] = archive[data_at : data_at + numbers[6]]
        at = (data_at + numbers[6] + 3) // 4 * 4
        if name == "TRAILER!!!":
            return found
        found[name] = fields


ENTRIES = {
    "usr/bin/tool": cpio.file(b"abcde", 0o755),
    "dev/console": cpio.character_device(5, 1),
    "lib": cpio.link("usr/lib"),
    "proc": cpio.folder(0o555),
}


def test_members_read_back_as_given(tmp_path: Path) -> None:
    cpio.write(tmp_path / "a", ENTRIES)
    found = members((tmp_path / "a").read_bytes())
    assert found["usr/bin/tool"]["data"] == b"abcde"
    assert found["usr/bin/tool"]["mode"] == 0o100755
    assert (found["dev/console"]["major"], found["dev/console"]["minor"]) == (5, 1)
    assert found["lib"]["data"] == b"usr/lib"
    assert found["proc"]["mode"] == 0o40555


def test_every_member_comes_after_the_folder_it_lies_in(tmp_path: Path) -> None:
    cpio.write(tmp_path / "a", ENTRIES)
    order = list(members((tmp_path / "a").read_bytes()))
    for name in order:
        parents = [str(parent) for parent in Path(name).parents if str(parent) != "."]
        assert all(order.index(parent) < order.index(name) for parent in parents)


def test_bytes_depend_on_neither_order_nor_time_nor_user(tmp_path: Path) -> None:
    cpio.write(tmp_path / "a", ENTRIES)
    cpio.write(tmp_path / "b", dict(reversed(ENTRIES.items())))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    for fields in members((tmp_path / "a").read_bytes()).values():
        assert (fields["uid"], fields["gid"], fields["mtime"]) == (0, 0, 0)

"""What is packed comes out the same, with its holes, and nothing that is packed can fill a disk or another's memory."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.objectstore import packing
from engine.objectstore.packing import PackedFile, Packer, unpack
from engine.objectstore.stop import Stop, StoppedError
from engine.objectstore.tally import Tally
from engine.rootfs.progress import silent

MIB = 1024 * 1024
FRAME = 4 * MIB


def pack(path: Path) -> tuple[bytes, PackedFile]:
    with path.open("rb") as file:
        packer = Packer(file, Stop())
        data = b"".join(part.data for part in packer.parts())
        return data, packer.packed()


def unpacked(data: bytes, file: PackedFile, folder: Path) -> str | None:
    """What is wrong; the content is in ``out``."""
    (folder / "packed").write_bytes(data)
    (folder / "out").unlink(missing_ok=True)
    return unpack(folder / "packed", folder / "out", file, 0o600, Stop(), Tally(silent, lambda _count: None))


def sparse_file(path: Path, pieces: list[tuple[int, bytes]], size: int) -> None:
    with path.open("wb") as file:
        for offset, data in pieces:
            file.seek(offset)
            file.write(data)
        file.truncate(size)


LAYOUTS = {
    "empty": ([], 0),
    "a byte": ([(0, b"x")], 1),
    "only a hole": ([], 3 * FRAME + 7),
    "data at the end": ([(3 * FRAME + 5, b"end")], 3 * FRAME + 8),
    "across frames": ([(FRAME - 5000, b"y" * 10_000)], 2 * FRAME),
    "written zeros": ([(0, bytes(2 * FRAME)), (100, b"z")], 2 * FRAME),
    "several parts": ([(0, os.urandom(9 * MIB)), (30 * MIB, os.urandom(9 * MIB))], 40 * MIB),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_content_comes_out_as_it_went_in_and_zeros_as_holes(layout: str, tmp_path: Path) -> None:
    pieces, size = LAYOUTS[layout]
    source = tmp_path / "in"
    sparse_file(source, pieces, size)
    data, file = pack(source)
    assert unpacked(data, file, tmp_path) is None
    content = source.read_bytes()
    assert (tmp_path / "out").read_bytes() == content
    assert (file.size_bytes, file.sha256) == (size, hashlib.sha256(content).hexdigest())
    assert (file.packed_bytes, file.packed_sha256) == (len(data), hashlib.sha256(data).hexdigest())
    blocks = sum(any(content[at : at + 4096]) for at in range(0, size, 4096))
    assert (tmp_path / "out").stat().st_blocks * 512 <= blocks * 4096
    assert file.data_bytes <= blocks * 4096


@settings(max_examples=30, deadline=None)
@given(pieces=st.lists(st.tuples(st.integers(0, 3 * FRAME), st.binary(min_size=1, max_size=9000)), max_size=4))
def test_any_layout_comes_out_as_it_went_in(
    pieces: list[tuple[int, bytes]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("any")
    sparse_file(folder / "in", pieces, max([offset + len(data) for offset, data in pieces], default=0))
    data, file = pack(folder / "in")
    assert unpacked(data, file, folder) is None
    assert (folder / "out").read_bytes() == (folder / "in").read_bytes()


def test_the_same_content_packs_to_the_same_parts_however_it_lies_on_disk(tmp_path: Path) -> None:
    content = os.urandom(9 * MIB) + bytes(5 * MIB) + b"end"
    (tmp_path / "dense").write_bytes(content)
    sparse_file(tmp_path / "sparse", [(0, content[: 9 * MIB]), (14 * MIB, b"end")], len(content))
    assert pack(tmp_path / "dense") == pack(tmp_path / "sparse")


def test_parts_are_of_a_size_that_s3_takes(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(os.urandom(30 * MIB))
    with (tmp_path / "in").open("rb") as file:
        parts = list(Packer(file, Stop()).parts())
    assert [part.number for part in parts] == [1, 2, 3, 4]
    assert all(5 * MIB <= len(part.data) <= 16 * MIB for part in parts[:-1])
    assert [part.content_end for part in parts][-1] == 30 * MIB
    assert packing.MAX_CONTENT_BYTES * 1.01 / packing.PART_BYTES < 10_000


def test_any_zstd_program_reads_it(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"hello" * MIB)
    data, _ = pack(tmp_path / "in")
    reader = zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True)
    assert reader.read() == b"hello" * MIB


def file_of(content: bytes, packed: bytes, **changed: object) -> PackedFile:
    known = {
        "sha256": hashlib.sha256(content).hexdigest(),
        "size_bytes": len(content),
        "data_bytes": len(content),
        "packed_sha256": hashlib.sha256(packed).hexdigest(),
        "packed_bytes": len(packed),
    }
    return PackedFile.model_validate({**known, **changed})


def test_a_bomb_is_not_unpacked_beyond_the_size_of_its_manifest(tmp_path: Path) -> None:
    bomb = zstandard.compress(bytes(1 << 30))
    assert len(bomb) < 100_000
    wrong = unpacked(bomb, file_of(b"x" * MIB, bomb), tmp_path)
    assert wrong is not None
    assert "more than the 1048576 bytes" in wrong
    assert (tmp_path / "out").stat().st_size <= 2 * MIB


def test_more_data_than_announced_is_not_written(tmp_path: Path) -> None:
    content = b"x" * 64 * MIB
    packed = zstandard.compress(content)
    wrong = unpacked(packed, file_of(content, packed, data_bytes=4096), tmp_path)
    assert wrong is not None
    assert "more data than the 4096 bytes" in wrong
    assert (tmp_path / "out").stat().st_blocks * 512 <= 2 * MIB


def test_a_window_that_takes_gigabytes_of_memory_is_refused(tmp_path: Path) -> None:
    content = os.urandom(MIB)
    parameters = zstandard.ZstdCompressionParameters(window_log=30)
    stream = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    packed = stream.compress(content) + stream.flush()
    wrong = unpacked(packed, file_of(content, packed), tmp_path)
    assert wrong is not None
    assert "can't be unpacked" in wrong


@pytest.mark.parametrize("harm", ["cut", "rubbish", "other content", "too short"])
def test_what_is_not_the_content_of_its_manifest_is_told(harm: str, tmp_path: Path) -> None:
    content = b"0123456789" * 100_000
    packed = zstandard.compress(content)
    file = file_of(content, packed)
    harmed = {
        "cut": packed[: len(packed) // 2],
        "rubbish": b"not zstd at all",
        "other content": zstandard.compress(content[::-1]),
        "too short": zstandard.compress(content[:-1]),
    }[harm]
    assert unpacked(harmed, file, tmp_path) is not None


def test_packing_stops_when_asked(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(os.urandom(20 * MIB))
    stop = Stop()
    with (tmp_path / "in").open("rb") as file:
        parts = Packer(file, stop).parts()
        next(parts)
        stop.ask()
        with pytest.raises(StoppedError):
            next(parts)

"""One object into one file: in ranges, several at a time, into a partial download that the next attempt goes on with.

Only content of the right digest gets out of here. A download that is cancelled leaves nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from functools import partial
from pathlib import Path

from engine.errors import NotReadyError
from engine.host.room import free_bytes
from engine.objectstore.bucket import AT_ONCE, Bucket, Held
from engine.objectstore.faults import ChangedError
from engine.objectstore.packing import PackedFile, unpack
from engine.objectstore.parallel import in_order
from engine.objectstore.stop import StoppedError
from engine.objectstore.tally import Tally
from engine.setup.partial import Partial

_RANGE = 4 * 1024 * 1024
_MARGIN = 16 * 1024 * 1024


def work_bytes(file: PackedFile) -> int:
    """What a tally of its download counts: each byte that comes, then each that is unpacked."""
    return file.packed_bytes + file.size_bytes


def download(bucket: Bucket, key: str, file: PackedFile, target: Path, out: Path, mode: int, tally: Tally) -> None:
    """Write the content to the new file ``out``; what has arrived is kept beside ``target`` meanwhile.

    Raises NotReadyError (not enough room, not the content of its manifest, no connection), ConflictError where another
    process downloads it, StoppedError, OSError.
    """
    arriving = Partial.claim(target, file.packed_sha256)
    try:
        _fetch(bucket, key, file, arriving, target, tally)
        wrong = None
        if (digest := arriving.digest()) != file.packed_sha256:
            wrong = f"its SHA-256 is {digest}, not {file.packed_sha256}"
        wrong = wrong or unpack(arriving.content, out, file, mode, bucket.stop, tally)
        arriving.drop()
        if wrong is not None:
            raise NotReadyError(
                f"{bucket.place.url(key)} is not what its manifest says, and was not taken: {wrong}",
                remedy="If it is being uploaded just now, try again later; else upload it anew",
            )
    except StoppedError:
        arriving.drop()
        raise
    finally:
        arriving.close()


def _fetch(bucket: Bucket, key: str, file: PackedFile, arriving: Partial, target: Path, tally: Tally) -> None:
    held = bucket.held(key)
    if held.size != file.packed_bytes:
        raise ChangedError(
            f"{bucket.place.url(key)} has {held.size} bytes, its manifest says {file.packed_bytes}",
            remedy="If it is being uploaded just now, try again later; else upload it anew",
        )
    if arriving.validator != held.etag or arriving.size > held.size:
        arriving.begin(held.etag)
    require_room(file.packed_bytes - arriving.size + file.data_bytes, target)
    if have := arriving.size:
        tally.line(f"Going on with a download that broke off: {have / 1e6:.1f} MB are here")
        tally.did(have)
    workers = bucket.until(bucket.stop.child())
    with closing(in_order(_ranges(workers, key, held, have, tally), AT_ONCE, workers.stop)) as pieces:
        for piece in pieces:
            arriving.append(piece)


def _ranges(bucket: Bucket, key: str, held: Held, start: int, tally: Tally) -> Generator[Callable[[], bytes]]:
    for at in range(start, held.size, _RANGE):
        yield partial(bucket.piece, key, at, min(at + _RANGE, held.size), held.etag, tally.arrived)


def require_room(count: int, target: Path) -> None:
    """Raises NotReadyError where ``count`` bytes have no room beside ``target``, with a little for all else."""
    needed = count + _MARGIN
    if (free := free_bytes(target.parent)) < needed:
        raise NotReadyError(
            f"{target.name} needs {needed / 2**20:.0f} MiB on the disk of {target.parent}, {free / 2**20:.0f} are free",
            remedy="Free some room and start it again",
        )

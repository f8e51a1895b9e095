"""Who may change a folder: one engine that owns it for its life, or whoever changes a file in it just now.

Both are an exclusive flock(2) on a file of mode 0600, which no other user can take. The kernel drops it with the
process, so a killed holder leaves none behind. The file itself is never removed: a second one could then lock another
file of the same name.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from engine.errors import ConflictError, NotReadyError
from engine.own_folder import make_own_folder
from engine.settings import Settings

CHANGES = ".lock"
"""Name of the file in a folder that whoever changes it holds."""

_CHANGE_WAIT_S = 10.0
_LOOK_AGAIN_S = 0.02
_HOLDER_BYTES = 4096
_FLAGS = os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
_log = logging.getLogger(__name__)


@contextmanager
def owned(settings: Settings) -> Generator[None]:
    """Own the runtime folder and the data folder: another engine may share one of them only.

    Raises ConflictError where another engine holds one (context: holder, its process; socket, where it may answer),
    NotReadyError where they can't be used.
    """
    make_own_folder(settings.runtime_dir)
    with ExitStack() as held:
        held.enter_context(_held(settings.lock_path, settings.socket_path))
        try:
            settings.data_dir.mkdir(parents=True, exist_ok=True)
            held.enter_context(_held(settings.data_lock_path, settings.socket_path))
        except OSError as error:
            if error.errno != errno.EROFS and os.path.lexists(settings.data_lock_path):
                raise NotReadyError(
                    f"The data folder {settings.data_dir} can't be used: {error.strerror}",
                    remedy="Run as the user that owns it, or set VMDECK_DATA_DIR to a folder of your own",
                ) from None
            # Where nobody could make a lock nobody holds one; the host's checks tell what is wrong.
            _log.warning("the data folder %s can't be written, and is not locked: %s", settings.data_dir, error)
        yield


@contextmanager
def _held(path: Path, socket: Path) -> Generator[None]:
    """Raises OSError, ConflictError."""
    descriptor = os.open(path, os.O_RDWR | _FLAGS, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _conflict(path.parent, *_holder(descriptor)) from None
        try:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n{socket.absolute()}\n".encode(), 0)
        except OSError as error:  # of a full disk, which the operator must be able to make room on
            _log.warning("%s does not tell who holds it: %s", path, error)
        yield
    finally:
        os.close(descriptor)


def _conflict(folder: Path, holder: str, socket: Path | None) -> ConflictError:
    where = f", with its socket at {socket}" if socket else ""
    ask = f", or use it: vmdeck console --connect {socket}" if socket else ""
    return ConflictError(
        f"Another engine (process {holder or 'unknown'}{where}) uses {folder}",
        remedy=f"Wait for it to end, stop it{ask}",
        holder=holder,
        socket=str(socket) if socket else None,
    )


def _holder(descriptor: int) -> tuple[str, Path | None]:
    """The process that holds a lock, or was the last to; and its socket, if that is the word of this user."""
    pid, _, rest = os.pread(descriptor, _HOLDER_BYTES, 0).decode(errors="replace").partition("\n")
    socket, end, _ = rest.partition("\n")
    ours = os.fstat(descriptor).st_uid == os.geteuid()
    return pid.strip(), Path(socket) if ours and end and socket.startswith("/") else None


def holder(path: Path) -> tuple[str, Path | None]:
    """As the lock at ``path`` names them: the process that holds it, or was the last to, and its socket."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return "", None
    try:
        return _holder(descriptor)
    finally:
        os.close(descriptor)


def held_by_this_process(path: Path) -> bool:
    """Whether the engine that holds the lock at ``path``, or was the last to, is of this process."""
    return holder(path)[0] == str(os.getpid())


@contextmanager
def locked_folder(folder: Path) -> Generator[None]:
    """Alone among those who change files in ``folder``. Blocks. Raises ConflictError after ten seconds, OSError."""
    path = folder / CHANGES
    descriptor = os.open(path, os.O_RDWR | _FLAGS, 0o600)
    try:
        given_up_s = time.monotonic() + _CHANGE_WAIT_S
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > given_up_s:
                    raise ConflictError(
                        f"Another process has been changing files in {folder} for {_CHANGE_WAIT_S:g} s",
                        remedy=f"Wait for it, or end it; `fuser {path}` names it",
                    ) from None
            time.sleep(_LOOK_AGAIN_S)  # flock(2) has no wait with a deadline
        yield
    finally:
        os.close(descriptor)

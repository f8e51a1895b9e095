"""The sockets that the server listens on: made before it starts, so that a refusal names its cause."""

from __future__ import annotations

import errno
import socket
import stat
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from engine.errors import ConflictError, InputError, NotReadyError
from engine.listening import listens
from engine.own_folder import make_own_folder

BACKLOG = 512


@contextmanager
def tcp_socket(host: str, port: int) -> Generator[socket.socket]:
    """A listening TCP socket. Raises ConflictError (port taken), InputError (no such address) or NotReadyError."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, address = min(found, key=lambda entry: entry[0] != socket.AF_INET)
        listener = socket.create_server((str(address[0]), int(address[1])), family=family, backlog=BACKLOG)
    except OSError as error:
        raise _bind_error(error, host, port) from None
    with listener:
        # Connections inherit it. asyncio only sets it on sockets made with an explicit protocol number, and without
        # it every answer waits 40 ms for the client's delayed acknowledgement.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield listener


@contextmanager
def unix_socket(path: Path) -> Generator[socket.socket]:
    """A listening unix socket for its owner only, removed at the end. Raises ConflictError or NotReadyError."""
    try:
        make_own_folder(path.parent)
        _clear_stale(path)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    except OSError as error:
        raise _unix_error(error, path) from None
    with listener:
        try:
            listener.bind(str(path))
        except OSError as error:
            raise _unix_error(error, path) from None
        try:
            path.chmod(0o600)
            listener.listen(BACKLOG)  # nobody could connect before, so never with wider permissions
            yield listener
        finally:
            path.unlink(missing_ok=True)


def _clear_stale(path: Path) -> None:
    """Remove the socket of an owner that was killed; its listener answers no more."""
    if not path.exists():
        return
    if not stat.S_ISSOCK(path.lstat().st_mode):
        raise ConflictError(f"{path} is not a socket", remedy="Move it away, or set VMDECK_RUNTIME_DIR")
    if listens(path):
        raise ConflictError(f"Another engine listens on {path}", remedy="Use it, or stop it first")
    path.unlink(missing_ok=True)


def _bind_error(error: OSError, host: str, port: int) -> ConflictError | InputError | NotReadyError:
    if error.errno == errno.EADDRINUSE:
        return ConflictError(f"Port {port} of {host} is taken", remedy="Choose another with --port")
    if error.errno == errno.EACCES:
        return NotReadyError(f"No permission to listen on port {port}", remedy="Choose a port from 1024 on")
    return InputError(f"Can't listen on {host}, port {port}: {error.strerror}", remedy="Give an address of this host")


def _unix_error(error: OSError, path: Path) -> NotReadyError:
    reason = error.strerror or str(error)
    return NotReadyError(
        f"Can't make the socket {path}: {reason}", remedy="Set VMDECK_RUNTIME_DIR to a short path of yours"
    )

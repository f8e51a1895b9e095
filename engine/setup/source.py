"""A file that setup takes from elsewhere: where it lies, the digest it must have, the most it may take."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

from engine.errors import InputError


@dataclass(frozen=True, slots=True)
class Source:
    """``sha256`` is in lower-case hex; a download that is larger than ``max_bytes`` is cut off."""

    url: str = field(repr=False)  # it may hold a password
    sha256: str
    max_bytes: int

    def __post_init__(self) -> None:
        """Raises InputError for what is no https URL of a file."""
        refuse_plain(self.url)
        if not self.name:
            raise InputError(f"{shown(self.url)} names no file", remedy="Give the URL of a file")

    @property
    def name(self) -> str:
        """The file's name, as in the URL."""
        name = PurePosixPath(unquote(urlsplit(self.url).path)).name
        return name if name.isprintable() and name not in (".", "..") else ""


def refuse_plain(url: str) -> None:
    """Raises InputError for anything but https: what comes by plain http may be anybody's."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme == "https" and bool(parts.hostname)
    except ValueError:
        usable = False
    if not usable:
        raise InputError(f"{shown(url)} is not an https URL, and nothing else is downloaded", remedy="Use https://")


def shown(url: str) -> str:
    """``url`` for messages and logs: without user, password, query and fragment, which may be secrets."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "the URL"
    return f"{parts.scheme}://{parts.hostname or ''}{port}{parts.path}"[:300]

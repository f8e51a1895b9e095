"""Textual's stylesheet, which parses each source once for each theme.

Textual's own forgets what it has parsed when an area with a sheet of its own is opened, and keeps no more than 64
sources: over these, each kind of widget that is seen for the first time has all sources parsed again, which takes
longer than a key may.
"""

from __future__ import annotations

from textual.cache import LRUCache
from textual.css.stylesheet import Stylesheet

_SOURCES_KEPT = 1024  # more than there are kinds of widgets


class ConsoleStylesheet(Stylesheet):
    def __init__(self, *, variables: dict[str, str]) -> None:
        super().__init__(variables=variables)
        self._parse_cache = LRUCache(_SOURCES_KEPT)

    def set_variables(self, variables: dict[str, str]) -> None:
        if variables != self._variables:
            super().set_variables(variables)

    def reparse(self) -> None:
        """Take up changed variables; a source that can't be parsed raises, and leaves the rules as they were."""
        self.parse()

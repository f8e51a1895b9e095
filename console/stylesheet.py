"""Textual's stylesheet, which parses each source once for each theme.

Textual's own forgets what it has parsed when an area with a sheet of its own is opened, and keeps no more than 64
sources: over these, each kind of widget that is seen for the first time has all sources parsed again, which takes
longer than a key may. It forgets all when the theme changes, which a preview does with each step through the list.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from textual.cache import LRUCache
from textual.css.stylesheet import Stylesheet

_SOURCES_KEPT = 1024  # more than there are kinds of widgets
_THEMES_KEPT = 8


@lru_cache(_THEMES_KEPT)
def _parsed_with(_variables: frozenset[tuple[str, str]]) -> LRUCache[Any, Any]:
    """What was parsed while the variables had these values."""
    return LRUCache(_SOURCES_KEPT)


class ConsoleStylesheet(Stylesheet):
    def __init__(self, *, variables: dict[str, str]) -> None:
        super().__init__(variables=variables)
        self._use_parsed()

    def set_variables(self, variables: dict[str, str]) -> None:
        if variables != self._variables:
            self._parse_cache = LRUCache(1)  # which is cleared, and not the one of the theme that was
            super().set_variables(variables)
            self._use_parsed()

    def reparse(self) -> None:
        """Take up changed variables; a source that can't be parsed raises, and leaves the rules as they were."""
        self.parse()

    def _use_parsed(self) -> None:
        self._parse_cache = _parsed_with(frozenset(self._variables.items()))

"""How packages are named: by name and version only, so that none is an option, a path or an address to any tool."""

from __future__ import annotations

import re
from functools import partial
from typing import Annotated

from pydantic import AfterValidator, Field

MOST_PACKAGES = 256  # of one kind in a request: all of them fit into one argument of a command

_DEBIAN_VERSION = r"[A-Za-z0-9.+~:-]{1,128}"
_DEBIAN = rf"[a-z0-9][a-z0-9.+-]{{1,127}}(:[a-z0-9]{{1,32}})?(={_DEBIAN_VERSION})?"
_SUITE = r"[a-z][a-z0-9-]{1,40}"
_CLAUSE = r"(==|>=|<=|~=|!=|<|>)[A-Za-z0-9][A-Za-z0-9.!+*]{0,63}"
_EXTRAS = r"\[[A-Za-z0-9,._-]{1,127}\]"
_WHEEL = rf"[A-Za-z0-9]([A-Za-z0-9._-]{{0,126}}[A-Za-z0-9])?({_EXTRAS})?({_CLAUSE}(,{_CLAUSE}){{0,7}})?"
_NPM_PART = r"[a-z0-9][a-z0-9._~-]{0,126}"
_NPM = rf"(@{_NPM_PART}/)?{_NPM_PART}(@[\^~]?[A-Za-z0-9][A-Za-z0-9.+-]{{0,63}})?"
# What pip takes for a file of the folder that it works in.
_ARCHIVES = (".whl", ".zip", ".tgz", ".tar", ".tar.gz", ".tar.bz2", ".tar.xz", ".tar.lzma", ".tbz", ".txz", ".tlz")


def _checked(name: str, pattern: str, what: str) -> str:
    if not re.fullmatch(pattern, name):
        raise ValueError(f"{name[:40]!r} is no {what}")
    return name


def _no_archive(name: str) -> str:
    if name.lower().endswith(_ARCHIVES):
        raise ValueError(f"{name[:64]!r} is a file to pip, and no name")
    return name


def _rule(pattern: str, what: str) -> tuple[AfterValidator, object]:
    """The check, which says what was wrong, and the pattern for those who read the API's description."""
    check = AfterValidator(partial(_checked, pattern=pattern, what=what))
    return check, Field(json_schema_extra={"pattern": f"^{pattern}$"})


DebianPackage = Annotated[str, *_rule(_DEBIAN, "package name, as python3 or bash=5.2-1")]
"""As Debian's policy has it (5.6.1), with an architecture and a version where wanted."""

Suite = Annotated[str, *_rule(_SUITE, "name of a suite, as bookworm")]

Wheel = Annotated[str, *_rule(_WHEEL, "wheel, as numpy or numpy==2.1"), AfterValidator(_no_archive)]
"""A requirement as PEP 508 has it, without address and marker."""

NpmPackage = Annotated[str, *_rule(_NPM, "npm package, as lodash or @vue/compiler-sfc@^3.4")]
"""A name with its scope, and a version, range or tag of the registry."""

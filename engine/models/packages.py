"""How packages are named: by name and version only, so that none is an option, a path or an address to any tool."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

MOST_PACKAGES = 256  # of one kind in a request: all of them fit into one argument of a command
_ARCHIVES = (".whl", ".zip", ".tgz", ".tar", ".tar.gz", ".tar.bz2", ".tar.xz", ".tar.lzma", ".tbz", ".txz", ".tlz")

DebianPackage = Annotated[
    str, Field(pattern=r"^[a-z0-9][a-z0-9.+-]{1,127}(:[a-z0-9]{1,32})?(=[A-Za-z0-9.+~:-]{1,128})?$")
]
"""As Debian's policy has it (5.6.1), with an architecture and a version where wanted: ``jq=1.6-2.1``."""

Suite = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{1,40}$")]


def _no_archive(name: str) -> str:
    if name.lower().endswith(_ARCHIVES):
        raise ValueError("pip takes a name that ends so for a file")
    return name


_CLAUSE = r"(==|>=|<=|~=|!=|<|>)[A-Za-z0-9][A-Za-z0-9.!+*]{0,63}"
Wheel = Annotated[
    str,
    Field(pattern=rf"^[A-Za-z0-9]([A-Za-z0-9._-]{{0,126}}[A-Za-z0-9])?(\[[A-Za-z0-9,._-]{{1,127}}\])?({_CLAUSE}(,{_CLAUSE}){{0,7}})?$"),
    AfterValidator(_no_archive),
]  # fmt: skip
"""A requirement as PEP 508 has it, without address and marker: ``numpy==2.1``."""

_NPM_PART = r"[a-z0-9][a-z0-9._~-]{0,126}"
NpmPackage = Annotated[str, Field(pattern=rf"^(@{_NPM_PART}/)?{_NPM_PART}(@[\^~]?[A-Za-z0-9][A-Za-z0-9.+-]{{0,63}})?$")]
"""A name with its scope, and a version, range or tag of the registry: ``@vue/compiler-sfc@^3.4``."""

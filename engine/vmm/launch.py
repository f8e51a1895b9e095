"""Starting a VMM process so that it never outlives its engine, even one that is killed."""

from __future__ import annotations

import os
from collections.abc import Sequence

DIES_WITH_ITS_PARENT = ("--pdeathsig", "KILL")
_BY_ITS_PARENT_ONLY = 'test "$PPID" = "$1" && shift && exec "$@"'
# The engine's variables may hold secrets, and none concerns a VMM.
ENVIRONMENT = {"PATH": os.defpath}


def beside_engine(command: Sequence[str], setpriv: Sequence[str] = ()) -> list[str]:
    """``command`` as this process' child, and nobody else's; ``setpriv`` are more options for setpriv(1).

    The kernel is asked to end it with its parent, which it forgets where the user changes, so not before that; the
    parent may be gone by then, which the child sees by its having another.
    """
    return [
        *("setpriv", *setpriv, *DIES_WITH_ITS_PARENT, "--"),
        *("sh", "-c", _BY_ITS_PARENT_ONLY, "sh", str(os.getpid())),
        *command,
    ]

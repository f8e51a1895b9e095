"""Stand-ins for the programs that build a tree, for tests that must not depend on an archive or a namespace."""

from __future__ import annotations

STATUS = "Package: jq\\nStatus: install ok installed\\nArchitecture: amd64\\nVersion: 1.6-2\\n"
# What mmdebstrap would do, with the word that is the tree's path in $tree.
MAKES_A_TREE = (
    'for tree; do case $tree in */tree) mkdir "$tree"; echo hello >"$tree/file"; mkdir -p "$tree/var/lib/dpkg"'
    f'; printf "{STATUS}" >"$tree/var/lib/dpkg/status"; break;; esac; done'
)
# No namespaces, and nothing runs inside the tree.
UNSHARE = 'case "$*" in *chamber_init.py*) exit 0; esac; while [ "$1" != -- ]; do shift; done; shift; exec "$@"'

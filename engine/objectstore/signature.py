"""Who made a manifest: an HMAC-SHA256 (RFC 2104) over it, by a key that all hosts of an operator share.

It is made of the manifest's JSON without the signature, keys in order and without spaces, as it was parsed: what is
checked is what is used. An older manifest keeps its valid signature: a bucket can be put back, not be made up.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping

from engine.models import SignatureState

FIELD = "signature"
_PREFIX = "hmac-sha256:"

Document = Mapping[str, object]


def signed(document: Document, key: str) -> dict[str, object]:
    """The document with its signature; without a key, as it is."""
    return {**document, FIELD: _PREFIX + _digest(document, key)} if key else dict(document)


def judged(document: Document, key: str) -> SignatureState:
    signature = document.get(FIELD)
    if signature is None:
        return "none"
    if not key:
        return "unchecked"
    wanted = _PREFIX + _digest(document, key)
    return (
        "valid" if hmac.compare_digest(str(signature).encode(errors="backslashreplace"), wanted.encode()) else "wrong"
    )


def _digest(document: Document, key: str) -> str:
    bare = {name: value for name, value in document.items() if name != FIELD}
    text = json.dumps(bare, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hmac.new(key.encode(), text.encode(), hashlib.sha256).hexdigest()

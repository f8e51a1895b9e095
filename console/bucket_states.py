"""How what is here and what a bucket has of one name stand to each other."""

from __future__ import annotations

from console.states import Look
from engine.models import SignatureState

SAME = Look("✓", "same", "success")
OTHER = Look("≠", "other", "warning")
ONLY_HERE = Look("↑", "only here", "muted")
ONLY_THERE = Look("↓", "only there", "accent")
REFUSED = Look("✗", "refused", "error")

MEANINGS = {
    SAME: "the bucket has the same",
    OTHER: "the bucket has another of this name",
    ONLY_HERE: "the bucket has none of this name",
    ONLY_THERE: "the bucket has it, this host does not",
    REFUSED: "what the bucket has would not be taken",
}
SIGNATURES: dict[SignatureState, str] = {
    "valid": "✓ signed with the key of the settings",
    "wrong": "✗ signed, but not with the key of the settings",
    "unchecked": "! signed, and no key here to check it with",
    "none": "! not signed",
}

"""What pydantic found wrong with what an operator typed, in the console's words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# pydantic's kind of error; the names in braces are those of its context.
_WORDS = {
    "missing": "is needed",
    "float_parsing": "must be a number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "finite_number": "must be a number",
    "greater_than": "must be over {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "less_than": "must be under {lt}",
    "string_too_long": "is over {max_length} characters",
    "too_long": "has over {max_length} entries",
    "literal_error": "must be {expected}",
    "string_pattern_mismatch": "is not a name: small letters, digits, dot, dash, plus and underscore",
}


def fault_words(error: Mapping[str, Any]) -> str:
    """``error`` is one of ``ValidationError.errors()``."""
    words = _WORDS.get(error["type"])
    if words is not None:
        return words.format(**error.get("ctx", {}))
    return str(error["msg"]).removeprefix("Value error, ")

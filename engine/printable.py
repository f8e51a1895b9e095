"""Text that others wrote, made fit for a terminal: what would steer it, or can't be seen, is shown as an escape."""

from __future__ import annotations


def printable(text: str) -> str:
    """One line of text."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def printable_json(text: str) -> str:
    """The same JSON: in its strings what is not printable stands as escapes, of which programs see nothing."""
    return "".join(char if char.isprintable() or char == "\n" else _json_escape(char) for char in text)


def _json_escape(char: str) -> str:
    units = char.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))

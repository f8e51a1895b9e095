"""Lines broken to a width in cells: at words for prose and logs, anywhere for output."""

from __future__ import annotations

from rich.cells import cell_len, chop_cells


def chopped(text: str, cells: int) -> list[str]:
    """Pieces of at most ``cells`` cells; an empty text gives one empty piece."""
    if cell_len(text) <= cells:
        return [text]
    return chop_cells(text, max(2, cells))


def broken(text: str, cells: int) -> list[str]:
    """Like ``chopped``, but after a space where a piece has one; put together the pieces are the text."""
    pieces: list[str] = []
    cells = max(2, cells)
    while cell_len(text) > cells:
        piece = chop_cells(text[: 2 * cells], cells)[0]
        words = piece[: piece.rfind(" ") + 1]
        piece = words if words.strip() and text[len(piece)] != " " else piece
        pieces.append(piece)
        text = text[len(piece) :]
    return [*pieces, text]


def wrapped(text: str, cells: int) -> list[str]:
    """Like ``chopped``, but broken between words where there are some. How far the first is indented is kept."""
    lines: list[str] = []
    line: str | None = None
    for word in text.split(" "):
        longer = word if line is None else f"{line} {word}"
        if cell_len(longer) <= cells:
            line = longer
            continue
        if line and not line.isspace():
            lines.append(line)
        *full, line = chopped(word, cells)
        lines += full
    return [*lines, line or ""]
